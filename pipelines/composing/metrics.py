"""How near completed chorales are to Bach's own and how well their voices are led, with intervals by bootstrap.

Both sides are frames of sixteenths, int64[T, 4] (soprano, alto, tenor, bass; -1 rests). Who is judged, and on what, is
evaluation.py's. The definitions were fixed before any model was chosen; Bach himself has 1.85 and .30 parallels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput

FRAMES_PER_BEAT = 4
RANGES = ((60, 81), (52, 74), (46, 69), (36, 66))  # of soprano, alto, tenor and bass in all 382 chorales
VOICES = ("soprano", "alto", "tenor", "bass")
_PERFECT = (0, 7)  # semitones modulo the octave: octaves and fifths
_RESAMPLED = 1000
# What is counted of a piece: the numerators of the measures below, then their denominators.
_MEASURES = ("frames", "alto", "tenor", "bass", "onsets", "notes", "beat_chords")
_RATES = ("parallels_beats", "parallels_eighths", "unisons_eighths", "crossing", "out_of_range")
NAMES = _MEASURES + _RATES
BETTER_BELOW = frozenset(_RATES)


@dataclass(frozen=True, slots=True)
class Measure:
    """A share (0..1), or for parallels and unisons a number in 100 chord changes; ``low`` and ``high`` hold 95 % of the
    resampled means. All are nan where there was nothing to count."""

    value: float
    low: float
    high: float

    def to_json(self) -> list[float]:
        return [self.value, self.low, self.high]


@dataclass(frozen=True, slots=True)
class Metrics:
    """What ``judge`` found.

    - ``frames``: share of sixteenths where alto, tenor or bass has Bach's pitch, of those where Bach's voice sounds;
      ``alto``, ``tenor``, ``bass``: the same of one voice.
    - ``onsets``: the same at those sixteenths alone where Bach's voice comes to a new pitch, or starts after a rest.
    - ``notes``: F1 over whole onsets: voice, moment and pitch are all right. An onset is a change of pitch.
    - ``beat_chords``: share of beats (every fourth sixteenth) whose set of pitch classes, of all voices, is Bach's.
    - ``parallels_beats``, ``parallels_eighths``: parallel fifths and octaves in 100 chord changes; see ``parallels``.
    - ``unisons_eighths``: two voices that move from one unison to another, counted alike.
    - ``crossing``: share of sixteenths where a voice sounds above the one that should be next above it.
    - ``out_of_range``: share of sounding sixteenths of alto, tenor and bass outside ``RANGES``.

    ``counts``: float64[n_pieces, 2, n_measures], numerators and denominators, for what is compared piece by piece.
    """

    values: dict[str, Measure]
    counts: NDArray[np.float64]

    def __getitem__(self, name: str) -> float:
        return self.values[name].value

    def by_piece(self, name: str) -> NDArray[np.float64]:
        """float64[n_pieces]; nan where a piece has nothing to count."""
        return _ratio(self.counts[:, :, NAMES.index(name)], name)

    def of(self, pieces: NDArray[np.bool_] | NDArray[np.int64]) -> Metrics:
        """The same of some of the pieces."""
        return _summed(self.counts[pieces])

    def to_json(self) -> dict[str, list[float]]:
        return {name: measure.to_json() for name, measure in self.values.items()}


def judge(truth: Sequence[NDArray[np.int64]], made: Sequence[NDArray[np.int64]]) -> Metrics:
    """Compares pieces, int64[T, 4] each, in one order. Raises BadInput when their number or a piece's shape differs.

    What is made where Bach's voice rests is not judged (four sixteenths in 1,000); a rest where it sounds is wrong.
    """
    if len(truth) != len(made):
        raise BadInput("chorales", f"{len(made)} were completed and {len(truth)} are known", "judge the same pieces")
    for number, (one, other) in enumerate(zip(truth, made, strict=True)):
        if one.shape != other.shape or one.ndim != 2 or one.shape[1] != 4:
            raise BadInput("chorales", f"piece {number} is {other.shape}, not {one.shape}", "judge the same pieces")
    rows = [_counted(one, other) for one, other in zip(truth, made, strict=True)]
    return _summed(np.array(rows, np.float64).reshape(len(rows), 2, len(NAMES)))


def difference(ours: Metrics, theirs: Metrics, name: str, seed: int = 0) -> Measure:
    """Ours less theirs on the same pieces, paired: the interval is of the difference, resampled by piece."""
    column = NAMES.index(name)
    both = np.concatenate([ours.counts[:, :, column], theirs.counts[:, :, column]], axis=1)
    drawn = _drawn(both[:, None, :], seed)[:, 0]
    apart = _ratio(drawn[:, :2], name) - _ratio(drawn[:, 2:], name)
    return _interval(ours[name] - theirs[name], apart)


def parallels(frames: NDArray[np.int64], step: int) -> tuple[int, int, int]:
    """(parallel fifths and octaves, parallel unisons, chord changes) between every ``step``-th sixteenth and the next.

    A chord change: all four voices sound at both, and one of them at least has another pitch. A parallel: two voices
    that sound at both go to other pitches in the same direction, and the interval between them is a fifth both times,
    or an octave both times, give or take octaves. Each pair of voices counts. Unisons are counted apart; fifths and
    octaves by contrary motion, and repeated ones, are none.
    """
    sampled = frames[::step]
    sounding = sampled >= 0
    both = sounding[1:] & sounding[:-1]
    motion = np.where(both, np.sign(np.diff(sampled, axis=0)), 0)
    found = unisons = 0
    for upper, lower in combinations(range(4), 2):
        apart = np.abs(sampled[:, upper] - sampled[:, lower])
        before, after = apart[:-1], apart[1:]
        together = (motion[:, upper] == motion[:, lower]) & (motion[:, upper] != 0)
        kept = together & (before % 12 == after % 12) & np.isin(after % 12, _PERFECT)
        found += int((kept & (before > 0) & (after > 0)).sum())
        unisons += int((kept & (before == 0) & (after == 0)).sum())
    return found, unisons, int((both.all(axis=1) & (motion != 0).any(axis=1)).sum())


def _counted(truth: NDArray[np.int64], made: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    sung = truth[:, 1:] >= 0
    right = (truth == made)[:, 1:] & sung
    onset, made_onset = _onsets(truth)[:, 1:], _onsets(made)[:, 1:]
    beats, made_beats = truth[::FRAMES_PER_BEAT], made[::FRAMES_PER_BEAT]
    same_chord = (_pitch_classes(beats) == _pitch_classes(made_beats)).all(axis=1)
    chord = (beats >= 0).any(axis=1)
    on_beats, on_eighths = parallels(made, FRAMES_PER_BEAT), parallels(made, FRAMES_PER_BEAT // 2)
    sounding = made >= 0
    crossed = (made[:, :-1] < made[:, 1:]) & sounding[:, :-1] & sounding[:, 1:]
    low, high = np.array(RANGES[1:]).T
    outside = ((made[:, 1:] < low) | (made[:, 1:] > high)) & sounding[:, 1:]
    return (
        [
            right.sum(),
            *right.sum(axis=0),
            (right & onset).sum(),
            2.0 * (right & onset & made_onset).sum(),
            (same_chord & chord).sum(),
            on_beats[0],
            on_eighths[0],
            on_eighths[1],
            crossed.any(axis=1).sum(),
            outside.sum(),
        ],
        [
            sung.sum(),
            *sung.sum(axis=0),
            onset.sum(),
            onset.sum() + made_onset.sum(),
            chord.sum(),
            on_beats[2],
            on_eighths[2],
            on_eighths[2],
            sounding.any(axis=1).sum(),
            sounding[:, 1:].sum(),
        ],
    )


def _onsets(frames: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool[T, 4]: a voice sounds, and had another pitch or none before."""
    changed = np.ones(frames.shape, bool)
    changed[1:] = frames[1:] != frames[:-1]
    return changed & (frames >= 0)


def _pitch_classes(chords: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool[n, 12] of int64[n, 4]."""
    there: NDArray[np.bool_] = ((chords[:, :, None] % 12 == np.arange(12)) & (chords[:, :, None] >= 0)).any(axis=1)
    return there


def _summed(counts: NDArray[np.float64]) -> Metrics:
    total = counts.sum(axis=0)
    drawn = _drawn(np.swapaxes(counts, 1, 2), 0)  # [resampled, measure, 2]
    values = {}
    for column, name in enumerate(NAMES):
        value = float(_ratio(total[None, :, column], name)[0])
        values[name] = _interval(value, _ratio(drawn[:, column], name))
    return Metrics(values, counts)


def _drawn(counts: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Sums of as many pieces as there are, drawn with replacement: [resampled, ...] of [n_pieces, ...]."""
    n = len(counts)
    if not n:
        return np.zeros((1, *counts.shape[1:]))
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=_RESAMPLED)
    sums: NDArray[np.float64] = np.tensordot(weights.astype(np.float64), counts, axes=1)
    return sums


def _ratio(counts: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """float64[n] of [n, 2]."""
    scale = 100.0 if name.startswith(("parallels", "unisons")) else 1.0
    of = counts[:, 1]
    shares: NDArray[np.float64] = np.divide(counts[:, 0], of, out=np.full(len(of), np.nan), where=of > 0)
    return scale * shares


def _interval(value: float, drawn: NDArray[np.float64]) -> Measure:
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return Measure(value, np.nan, np.nan)
    low, high = np.percentile(known, [2.5, 97.5])
    return Measure(value, float(low), float(high))
