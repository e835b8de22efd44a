"""The yes-or-no half of the quality suite: what no finished edit may get wrong, whatever its style.

Each gate compares the plan with what screening.py saw and heard. How good an edit is beyond that is left to
scores.py, repeated pictures to repeats.py, timing against the beats to timing.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.editing.plan import Edit, Segment
from pipelines.editing.screening import Screening
from pipelines.editing.verdicts import Gate
from pipelines.video.analysis import VideoFeatures

BLACK = 27  # luma (16..235) below which even the brightest parts of a picture count as black (5 % of full)
BLACK_SHARE = 0.5  # of a shot's frames
STILL = 2  # grey levels: no part of the picture changes by more
STILL_FOR = 0.4  # s
MOVES = 0.01  # diagonal fractions that the source moves meanwhile, from which a still picture must be a fault
SAME_SONG = 0.5  # correlation with the song; another song gives below 0.15, strong AAC above 0.9
LIKE = 0.5  # histogram overlap with the planned source below which another source is looked for
CLEARER = 0.2  # by how much more another source must overlap


@dataclass(frozen=True, slots=True)
class Matching:
    """Planned and detected cuts, one to one within the tolerance, in record frames."""

    planned: NDArray[np.int64]  # [n] those found
    found: NDArray[np.int64]  # [n] where they were found
    missed: NDArray[np.int64]
    unplanned: NDArray[np.int64]


def match_cuts(planned: NDArray[np.int64], detected: NDArray[np.int64], within: int = 1) -> Matching:
    pairs: list[tuple[int, int]] = []
    used: set[int] = set()
    for distance in range(within + 1):  # exact ones first
        for cut in planned:
            if any(cut == p for p, _ in pairs):
                continue
            near = [int(d) for d in detected if abs(int(d) - int(cut)) == distance and int(d) not in used]
            if near:
                pairs.append((int(cut), near[0]))
                used.add(near[0])
    pairs.sort()
    have = {p for p, _ in pairs}
    return Matching(
        np.array([p for p, _ in pairs], np.int64),
        np.array([d for _, d in pairs], np.int64),
        np.array([int(p) for p in planned if int(p) not in have], np.int64),
        np.array([int(d) for d in detected if int(d) not in used], np.int64),
    )


def planned_cuts(edit: Edit) -> NDArray[np.int64]:
    return np.array([s.record_start for s in edit.segments[1:]], np.int64)


def frames(edit: Edit, seen: Screening) -> Gate:
    if seen.fps != edit.rate:
        return Gate(False, f"runs at {seen.fps} frames a second instead of {edit.rate}")
    if seen.n_frames != edit.n_frames:
        return Gate(False, f"has {seen.n_frames} frames instead of {edit.n_frames}")
    return Gate(True, f"{seen.n_frames} frames at {float(seen.fps):g} a second, as planned")


def lengths(edit: Edit, seen: Screening) -> Gate:
    if seen.sound.seconds == 0:
        return Gate(False, "the file has no sound")
    frame = 1 / float(edit.rate)
    gap = seen.sound.start + seen.sound.seconds - seen.video_seconds
    # Half a millisecond of slack for time bases that cannot say a frame exactly.
    passed = abs(gap) <= frame + 5e-4 and abs(seen.sound.start) <= frame + 5e-4
    return Gate(passed, f"sound ends {_ms(gap)} the picture, one frame ({frame * 1000:.0f} ms) is allowed")


def song(edit: Edit, seen: Screening) -> Gate:
    sound = seen.sound
    if sound.silent:
        return Gate(None, "the song is silent here, so its place cannot be heard")
    if sound.lags.size == 0 or float(sound.likeness.min()) < SAME_SONG:
        worst = float(sound.likeness.min(initial=1.0)) if sound.lags.size else 0.0
        return Gate(False, f"what is heard is not the planned piece of the song (correlation {worst:.2f})")
    worst = float(sound.lags[np.argmax(np.abs(sound.lags))])
    passed = abs(worst) <= 1 / float(edit.rate)
    return Gate(passed, f"the song starts {_ms(worst)} the plan (correlation {float(sound.likeness.min()):.2f})")


def cuts_found(matching: Matching) -> Gate:
    n = matching.planned.size + matching.missed.size
    if matching.missed.size:
        missing = f"{matching.missed.size} of {n} planned cuts"
        return Gate(False, f"{missing} not seen within a frame: at frame {_list(matching.missed)}")
    return Gate(True, f"all {n} planned cuts seen within a frame")


def cuts_unplanned(matching: Matching) -> Gate:
    if matching.unplanned.size:
        extra = _count(matching.unplanned.size, "cut")
        return Gate(False, f"{extra} seen that nobody planned: at frame {_list(matching.unplanned)}")
    return Gate(True, "no cut that was not planned")


def gaps(edit: Edit) -> Gate:
    edges = [0, *(s.record_end for s in edit.segments)]
    starts = [*(s.record_start for s in edit.segments), edit.n_frames]
    wrong = [a for a, b in zip(edges, starts, strict=True) if a != b]
    empty = [s.record_start for s in edit.segments if s.n_frames <= 0]
    if wrong or empty:
        return Gate(False, f"the segments leave a gap or overlap at frame {_list(wrong or empty)}")
    return Gate(True, "the segments follow each other without a gap")


def black(edit: Edit, seen: Screening) -> Gate:
    dark = seen.highlights < BLACK
    bad = [k for k, s in enumerate(edit.segments) if float(_of(dark, s).mean()) > BLACK_SHARE]
    if bad:
        return Gate(False, f"{_count(len(bad), 'black shot')}: {_shots(edit, bad)}")
    return Gate(True, "no black shot")


def frozen(edit: Edit, seen: Screening, clips: Sequence[VideoFeatures]) -> Gate:
    """A run of equal pictures fails where the source itself moves on; held frames and fixed cameras do not."""
    bad = []
    for k, s in enumerate(edit.segments):
        prints = seen.prints[s.record_start : s.record_end].astype(np.int16)
        apart = min(round(STILL_FOR * float(edit.rate)), len(prints) - 1)
        if apart < 1:
            continue
        begin, length = _longest(np.abs(prints[apart:] - prints[:-apart]).max(axis=1) <= STILL)
        if length:
            start = s.source_time + float(begin / edit.rate)
            seconds = float((length - 1 + apart) / edit.rate)
            moved = clips[s.clip].motion[_source_frames(clips[s.clip], start, start + seconds)[1:]]
            if moved.size >= 2 and float(moved.mean()) * seconds >= MOVES:
                bad.append(k)
    if bad:
        return Gate(False, f"{_count(len(bad), 'frozen shot')} whose source moves: {_shots(edit, bad)}")
    return Gate(True, "no frozen shot")


def source(edit: Edit, seen: Screening, clips: Sequence[VideoFeatures]) -> Gate:
    """Each shot's colours against those of its planned source; another clip must fit clearly better to fail."""
    if any(c.histograms.shape[0] == 0 for c in clips) or seen.histograms.shape[0] == 0:
        return Gate(None, "the clips have no colour histograms to compare with")
    bad = []
    for k, s in enumerate(edit.segments):
        inside = (seen.sample_frames >= s.record_start) & (seen.sample_frames < s.record_end)
        if not inside.any():
            continue
        shown = seen.histograms[inside].mean(axis=0)
        clip = clips[s.clip]
        times = clip.frame_times[clip.sample_frames]
        middle = s.source_time + float(s.n_frames / edit.rate) / 2
        near = np.argsort(np.abs(times - middle))[:3]
        own = float(_overlap(clip.histograms[near], shown).max())
        if own < LIKE:
            others = [float(_overlap(c.histograms, shown).max()) for j, c in enumerate(clips) if j != s.clip]
            if max(others, default=0.0) > own + CLEARER:
                bad.append(k)
    if bad:
        return Gate(False, f"another clip than planned in {_count(len(bad), 'shot')}: {_shots(edit, bad)}")
    return Gate(True, "every shot shows its planned clip")


def reproducible(edit: Edit, again: Edit | None) -> Gate:
    if again is None:
        return Gate(None, "not solved a second time here")
    if again.to_json() != edit.to_json():
        return Gate(False, "solving again with the same inputs and seed gave another plan")
    return Gate(True, "solving again with the same inputs and seed gave the same bytes")


def _of(values: NDArray[np.bool_], segment: Segment) -> NDArray[np.bool_]:
    part = values[segment.record_start : segment.record_end]
    return part if part.size else np.zeros(1, bool)


def _longest(flags: NDArray[np.bool_]) -> tuple[int, int]:
    """Start and length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))).reshape(-1, 2)
    if edges.size == 0:
        return 0, 0
    best = int(np.argmax(edges[:, 1] - edges[:, 0]))
    return int(edges[best, 0]), int(edges[best, 1] - edges[best, 0])


def _source_frames(clip: VideoFeatures, start: float, end: float) -> NDArray[np.int64]:
    first = int(np.searchsorted(clip.frame_times, start + 1e-6, side="right")) - 1
    last = int(np.searchsorted(clip.frame_times, end + 1e-6, side="right")) - 1
    return np.arange(max(0, first), min(clip.n_frames, last + 1))


def _overlap(histograms: NDArray[np.float32], shown: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.minimum(histograms, shown[None]).sum(axis=1))


def _ms(seconds: float) -> str:
    return f"{abs(seconds) * 1000:.0f} ms {'after' if seconds >= 0 else 'before'}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"


def _list(numbers: Sequence[int] | NDArray[np.int64]) -> str:
    shown = ", ".join(str(int(n)) for n in numbers[:8])
    return shown + (" ..." if len(numbers) > 8 else "")


def _shots(edit: Edit, which: Sequence[int]) -> str:
    return _list([k + 1 for k in which]) + f" (from frame {_list([edit.segments[k].record_start for k in which])})"
