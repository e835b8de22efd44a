"""The models' view of a piece: beats of four frames each, whatever the metre, and a melody laid on them.

How a metre falls into beats is beats.py's; notes are never changed here, they are only looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.beats import Beats, beats_of
from pipelines.composing.piece import Note, Piece

FRAMES = 4  # in a beat
# Where a beat's frames begin. In a beat of three thirds each third has a frame, and one third two: the last, unless the
# melody divides another one, as a siciliano does.
DIVISIONS = np.array(
    [[0, 1 / 4, 1 / 2, 3 / 4], [0, 1 / 3, 2 / 3, 5 / 6], [0, 1 / 3, 1 / 2, 2 / 3], [0, 1 / 6, 1 / 3, 2 / 3]]
)
EVEN, TERNARY = 0, 1
SHORT_REST = 2  # frames; a breath this short is sung over by the other voices
_CLEARLY = 0.25  # the other division must fit this many times better
_NOTICEABLE = 0.004  # squared beats: an onset off by a sixteenth of a beat


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Beats from tick 0 to the beat in which the melody ends. A beat has four frames, at 0, 1/4, 1/2 and 3/4 of
    it, or, where the metre or the melody divides it in three, at 0, 1/3, 2/3 and 5/6 or as the melody has it.

    Beats are quarters in x/4; in x/2 halves, or quarters when those are the pulse; in 6/8, 9/8, 12/8 dotted quarters;
    in 5/8, 7/8 and the like quarters and one dotted quarter, where the melody puts it. ``level``: 3 a bar's first beat,
    2 its middle, 1 any other. ``bar`` counts from 1; an incomplete first bar is bar 1. ``pickup``: beats of the melody
    before its first bar line, 0 when it begins on one.
    """

    n_beats: int
    beat_ticks: NDArray[np.int64]  # [n_beats + 1]
    level: NDArray[np.int8]  # [n_beats]
    bar: NDArray[np.int64]  # [n_beats]
    frame_ticks: NDArray[np.int64]  # [4 * n_beats + 1]
    pickup: int

    @classmethod
    def of(cls, piece: Piece, notes: Sequence[Note] = ()) -> Grid:
        """The grid of a piece for ``notes``, its melody in order of time; without notes up to the piece's length."""
        beats = beats_of(piece, notes)
        places = DIVISIONS[_divisions(beats, notes)]
        starts, lengths = beats.ticks[:-1], np.diff(beats.ticks)
        inside = starts[:, None] + np.rint(places * lengths[:, None]).astype(np.int64)
        frame_ticks = np.append(inside.ravel(), beats.ticks[-1:])
        return cls(len(starts), beats.ticks, beats.level, beats.bar, frame_ticks, _pickup(beats, frame_ticks, notes))

    @property
    def n_frames(self) -> int:
        return FRAMES * self.n_beats

    def frame(self, tick: int) -> int:
        """The frame whose beginning lies nearest to ``tick``, 0..4 * n_beats (the end)."""
        return int(self._frames(np.array([tick]))[0])

    def tick(self, frame: int) -> int:
        """Where a frame begins; frame 4 * n_beats is the grid's end."""
        return int(self.frame_ticks[frame])

    def beat(self, tick: int) -> int:
        """The beat in which ``tick`` lies, 0..n_beats - 1."""
        return int(np.clip(np.searchsorted(self.beat_ticks, tick, side="right") - 1, 0, max(self.n_beats - 1, 0)))

    def soprano(self, notes: Sequence[Note]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """A melody as int64[4 * n_beats] pitches a frame (-1 rests) and bool[4 * n_beats] onsets.

        Each note begins at the nearest frame; two that fall together move apart as long as each is a frame long, and of
        a grace note and its main note the main note stays. A rest of up to two frames between notes is filled by the
        note before it. Where notes overlap the later one sounds.
        """
        pitches = np.full(self.n_frames, -1, dtype=np.int64)
        onsets = np.zeros(self.n_frames, dtype=np.bool_)
        if not notes or not self.n_frames:
            return pitches, onsets
        spans = self._spans(notes)
        for (first, end, pitch), following in zip(spans, [*(span[0] for span in spans[1:]), None], strict=True):
            if following is not None and (end > following or following - end <= SHORT_REST):
                end = following
            pitches[first:end] = pitch
            onsets[first] = True
        return pitches, onsets

    def _spans(self, notes: Sequence[Note]) -> list[tuple[int, int, int]]:
        """First frame, end frame and pitch of each note that is kept; first frames rise."""
        firsts = self._frames(np.array([note.start for note in notes]))
        ends = self._frames(np.array([note.end for note in notes]))
        spans: list[tuple[int, int, int]] = []
        held: list[int] = []  # how long, in ticks, the kept notes are
        last = self.n_frames - 1
        for note, first, end in zip(notes, firsts.tolist(), ends.tolist(), strict=True):
            first = min(first, last)
            if spans and first <= spans[-1][0]:
                taken = spans[-1][0]
                frame_long = self.frame_ticks[taken + 1] - self.frame_ticks[taken]
                room_before = taken > 0 and (len(spans) < 2 or spans[-2][0] < taken - 1)
                if held[-1] < frame_long and note.duration > held[-1]:
                    spans.pop()  # a grace note
                    held.pop()
                    first = taken
                elif note.duration < frame_long and note.duration <= held[-1]:
                    continue
                elif taken < last and note.end > self.frame_ticks[taken + 1]:
                    first = taken + 1
                elif room_before:
                    spans[-1] = (taken - 1, *spans[-1][1:])
                    first = taken
                elif taken < last:
                    first = taken + 1
                else:
                    continue
            spans.append((first, max(end, first + 1), note.pitch))
            held.append(note.duration)
        return spans

    def _frames(self, ticks: NDArray[np.int64]) -> NDArray[np.int64]:
        return _nearest(self.frame_ticks, ticks)


def _nearest(frame_ticks: NDArray[np.int64], ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    between = (frame_ticks[1:] + frame_ticks[:-1]) / 2
    return np.searchsorted(between, ticks, side="right").astype(np.int64)


def _divisions(beats: Beats, notes: Sequence[Note]) -> NDArray[np.int64]:
    """Each beat's row of DIVISIONS: as the metre has it, unless the melody's onsets clearly say otherwise."""
    chosen = np.where(beats.ternary, TERNARY, EVEN).astype(np.int64)
    if not len(chosen) or not notes:
        return chosen
    starts = np.array([note.start for note in notes], dtype=np.int64)
    beat = np.clip(np.searchsorted(beats.ticks, starts, side="right") - 1, 0, len(chosen) - 1)
    place = (starts - beats.ticks[beat]) / (beats.ticks[beat + 1] - beats.ticks[beat])
    off = np.stack([_misfit(place, row, beat, len(chosen)) for row in DIVISIONS])  # [division, beat]
    plain = ~beats.ternary
    if off[TERNARY, plain].sum() < _CLEARLY * off[EVEN, plain].sum():  # a piece in swing
        chosen[plain] = TERNARY
    as_is, best = np.take_along_axis(off, chosen[None], axis=0)[0], off.argmin(axis=0)
    return np.where((as_is > _NOTICEABLE) & (off.min(axis=0) < _CLEARLY * as_is), best, chosen)


def _misfit(
    place: NDArray[np.float64], places: NDArray[np.float64], beat: NDArray[np.int64], n_beats: int
) -> NDArray[np.float64]:
    """Squared distance of the onsets from the nearest of ``places``, summed for each beat."""
    distance = np.abs(place[:, None] - np.append(places, 1.0)).min(axis=1)
    return np.bincount(beat, distance**2, minlength=n_beats).astype(np.float64)


def _pickup(beats: Beats, frame_ticks: NDArray[np.int64], notes: Sequence[Note]) -> int:
    if not notes or not len(beats.level):
        return 0
    first = int(_nearest(frame_ticks, np.array([notes[0].start]))[0])
    if first % FRAMES:
        return 1 + _pickup_from(beats, first // FRAMES + 1)
    return _pickup_from(beats, first // FRAMES)


def _pickup_from(beats: Beats, beat: int) -> int:
    rest = np.flatnonzero(beats.level[beat:] == 3)
    return int(rest[0]) if rest.size else 0
