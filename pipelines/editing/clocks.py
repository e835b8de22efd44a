"""From seconds to frames and timecodes: which frame of a clip is on screen when, on the clip's clock and the record's.

Exact arithmetic only; leaves decoding to pipelines.media and file formats to timelines.py and edl.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from pipelines.editing.plan import Edit, Segment, Source
from pipelines.errors import BadInput

RATES = (Fraction(10), Fraction(120))  # frames a second that an edit may have
SOUND_RATE = Fraction(48000)  # the song is placed by the sample
Section = tuple[float, str]  # s into the song where it starts, label
Mark = tuple[int, str]  # record frame, label
NEARLY = Fraction(1, 1000)  # s; containers round frame times to a millisecond, so nothing finer tells frames apart


def parse_rate(text: str) -> Fraction:
    """``25``, ``29.97`` or ``30000/1001`` as an exact rate; NTSC decimals become their 1001 fractions."""
    try:
        given = Fraction(text)
    except (ValueError, ZeroDivisionError):
        given = Fraction(0)
    whole = round(given)
    rate = given if given == whole else Fraction(whole * 1000, 1001)
    if abs(rate - given) > Fraction(1, 100) or not RATES[0] <= rate <= RATES[1]:
        raise BadInput(
            "fps", f"{text!r} is no rate that timelines know", "give one such as 24, 25, 29.97 or 30000/1001"
        )
    return rate


def own_rate(source: Source) -> Fraction:
    """Frames a second of a clip, samples a second of a song."""
    return Fraction(*source.fps) if source.fps[0] else SOUND_RATE


def frames_at(source: Source, rate: Fraction) -> int:
    """How many ticks of ``rate`` the source lasts: a clip's last may be begun only, as starts are rounded up."""
    if source.n_frames and rate == own_rate(source):
        return source.n_frames
    length = Fraction(source.duration)
    return math.ceil((length - NEARLY) * rate) if source.fps[0] else math.floor(length * rate)


def source_frame(segment: Segment, rate: Fraction) -> int:
    """Number of the frame, counted at ``rate`` from the clip's first, that is on screen at the segment's start."""
    return math.floor((Fraction(segment.source_time) + NEARLY) * rate)


def first_record_frame(segment: Segment, rate: Fraction) -> int:
    """The first tick of the record clock, counted from the clip's first frame, that is not before ``source_time``.

    Rounded up, so that a clip conformed on that clock never opens with a frame of the shot before.
    """
    return math.ceil((Fraction(segment.source_time) - NEARLY) * rate)


def record_marks(edit: Edit, sections: Sequence[Section]) -> list[Mark]:
    """The sections that start within the edit, each on the record frame nearest to its start."""
    start = Fraction(edit.music_start)
    marks = [(round((Fraction(time) - start) * edit.rate), label) for time, label in sections]
    return [(frame, label) for frame, label in marks if 0 <= frame < edit.n_frames]


def is_drop_frame(rate: Fraction) -> bool:
    """SMPTE ST 12-1 defines drop-frame counting for 30000/1001 and, by doubling, 60000/1001 only."""
    return rate in (Fraction(30000, 1001), Fraction(60000, 1001))


def timecode(frame: int, rate: Fraction) -> str:
    """``HH:MM:SS:FF``, or ``HH:MM:SS;FF`` where the rate drops frame numbers (SMPTE ST 12-1, 5.2.2)."""
    nominal = math.ceil(rate)
    mark = ":"
    if is_drop_frame(rate):
        mark = ";"
        dropped = nominal // 15  # 2 numbers at 29.97 and 4 at 59.94, in every minute but each tenth
        a_minute = nominal * 60 - dropped
        tens, rest = divmod(frame, a_minute * 10 + dropped)
        frame += dropped * (9 * tens + max(0, (rest - dropped) // a_minute))
    seconds, frames = divmod(frame, nominal)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours % 24:02}:{minutes:02}:{seconds:02}{mark}{frames:02}"
