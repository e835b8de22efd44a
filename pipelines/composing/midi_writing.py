"""A Piece becomes a Standard MIDI File of type 1 that a DAW opens with names, tempo, metre, key, sections and
instruments.

What it reads back as is midi_reading.py's; a REAPER project around it is rpp.py's.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.composing.midi_reading import NO_CHORD, ROLE_TEXT
from pipelines.composing.piece import Part, Piece
from pipelines.errors import BadInput

if TYPE_CHECKING:
    from _typeshed import StrPath

DRUM_CHANNEL = 9
PITCHED_CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)
_LONGEST_DELTA = 0x0FFFFFFF
_META_TEXT, _META_NAME, _META_MARKER, _META_END, _META_TEMPO, _META_METRE, _META_KEY = (
    *(0x01, 0x03, 0x06),
    *(0x2F, 0x51, 0x58, 0x59),
)


def write(piece: Piece, path: StrPath) -> None:
    """Writes ``to_bytes(piece)``, whole or not at all; raises Unavailable when there is no room.

    It does not wait for the disk: the same piece can be written again, and the wait took most of the time.
    """
    from pipelines.media.replacing import replacing

    data = to_bytes(piece)
    with replacing(Path(path), durable=False) as temporary:
        temporary.write_bytes(data)


def to_bytes(piece: Piece) -> bytes:
    """The piece as a file: track 1 holds the maps, the markers and the chord symbols (as text; ``N.C.`` where none
    sounds), then a named track a part with its program and, as text, its role, so that a file that was
    written here need not be guessed at.

    Pitched parts take channels 1-9 and 11-16 in order; from the sixteenth on all but the first are reused, from the
    last down, and carry the program of the part that set it last (their tracks keep them apart in a DAW). Drums play on
    channel 10.
    Reading gives the same notes back, unless a part holds one pitch inside another of that pitch: MIDI cannot tell
    which of the two ends. Raises BadInput for what MIDI cannot say (a pitch of 128, more than 32,767 ticks in a
    quarter).
    """
    if not 0 < piece.ticks_per_quarter < 0x8000:
        raise BadInput(piece.name, f"has {piece.ticks_per_quarter} ticks in a quarter note", "MIDI has 1 to 32767")
    chunks = [_track(_maps(piece), piece.length)]
    for part, channel in zip(piece.parts, channels(piece), strict=True):
        name = (0, 0, _text(_META_NAME, part.name))
        named = part.role not in ("other", "drums")
        role = [(0, 0, _text(_META_TEXT, ROLE_TEXT + part.role))] if named else []
        chunks.append(_track([name, *role, *part_events(part, channel)], piece.length))
    if len(chunks) > 0xFFFF:
        raise BadInput(piece.name, f"has {len(piece.parts)} parts", "MIDI has room for 65534")
    header = b"MThd" + (6).to_bytes(4, "big") + (1).to_bytes(2, "big")
    return b"".join([header, len(chunks).to_bytes(2, "big"), piece.ticks_per_quarter.to_bytes(2, "big"), *chunks])


def channels(piece: Piece) -> list[int]:
    """The channel, 0..15, that each part plays on; the first pitched part shares its own with nobody."""
    free = itertools.chain(PITCHED_CHANNELS, itertools.cycle(reversed(PITCHED_CHANNELS[1:])))
    return [DRUM_CHANNEL if part.drums else next(free) for part in piece.parts]


Event = tuple[int, int, bytes]  # tick, its place among the events of that tick, the event's bytes


def _maps(piece: Piece) -> list[Event]:
    events = [(0, 0, _text(_META_NAME, piece.name))]
    for metre in piece.metres:
        power = metre.denominator.bit_length() - 1
        clock = 24 * 4 // metre.denominator or 1  # of the metronome: a beat; 32nds in a quarter follow
        if not 0 < metre.numerator < 256 or 1 << power != metre.denominator:
            raise BadInput(
                piece.name,
                f"has a metre of {metre.numerator}/{metre.denominator}",
                "MIDI has 1 to 255 over a power of 2",
            )
        events.append((metre.tick, 1, _meta(_META_METRE, bytes([metre.numerator, power, clock, 8]))))
    events.extend(
        (change.tick, 2, _meta(_META_KEY, bytes([change.key.fifths % 256, change.key.minor]))) for change in piece.keys
    )
    for tempo in piece.tempos:
        if not 0 < tempo.quarter_us < 1 << 24:
            raise BadInput(piece.name, f"has a quarter note of {tempo.quarter_us} us", "MIDI has 1 to 16777215")
        events.append((tempo.tick, 3, _meta(_META_TEMPO, tempo.quarter_us.to_bytes(3, "big"))))
    events.extend((marker.tick, 4, _text(_META_MARKER, marker.text)) for marker in piece.markers)
    for span, after in zip(piece.chords, (*piece.chords[1:], None), strict=False):
        events.append((span.start, 5, _text(_META_TEXT, span.chord.symbol)))
        if after is None or after.start > span.end:
            events.append((span.end, 5, _text(_META_TEXT, NO_CHORD)))
    return sorted(events, key=lambda event: event[:2])


def part_events(part: Part, channel: int) -> list[Event]:
    """Program, beginnings and endings of a part's notes in order: (tick, place within the tick, bytes)."""
    on, off = 0x90 | channel, 0x80 | channel
    events = [(0, 1, bytes((0xC0 | channel, part.program & 127)))]
    for note in part.notes:
        start, pitch, velocity = note.start, note.pitch, note.velocity
        end = start + note.duration
        if not 0 <= pitch <= 127 or start < 0 or end <= start:
            raise BadInput(
                f"part {part.name!r}", f"has {note}", "MIDI has pitches 0 to 127, starts from 0, at least a tick"
            )
        if not 0 < velocity < 128:
            velocity = min(max(velocity, 1), 127)
        # Endings come before beginnings; of a pitch that begins twice at once, what ends first begins first.
        events.append((end, 2, bytes((off, pitch, 64))))
        events.append((start, 2 + end, bytes((on, pitch, velocity))))
    events.sort()
    return events


def _track(events: list[Event], length: int) -> bytes:
    body = bytearray()
    at = 0
    for tick, _, event in events:
        delta = tick - at
        if delta < 0x80:
            body.append(delta)
        elif delta < 0x4000:
            body.append(delta >> 7 | 0x80)
            body.append(delta & 0x7F)
        else:
            body += _number(delta)
        body += event
        at = tick
    body += _number(max(length - at, 0)) + bytes((0xFF, _META_END, 0))
    return b"MTrk" + len(body).to_bytes(4, "big") + body


def _meta(kind: int, body: bytes) -> bytes:
    return bytes([0xFF, kind]) + _number(len(body)) + body


def _text(kind: int, text: str) -> bytes:
    return _meta(kind, text.encode(errors="replace"))


def _number(value: int) -> bytes:
    """A variable-length number."""
    if value > _LONGEST_DELTA:
        raise BadInput("the piece", f"has {value} ticks between two events", f"MIDI has at most {_LONGEST_DELTA}")
    rest = [value & 0x7F]
    while value := value >> 7:
        rest.append(value & 0x7F | 0x80)
    return bytes(reversed(rest))
