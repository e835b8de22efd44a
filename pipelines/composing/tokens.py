"""What the chorale model calls things: pitches as though the tonic were middle C, and chords by what they hold.

Which pieces these are made from is corpus.py's, what is predicted over them network.py's and memory.py's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

REST, UNKNOWN = -1, -2  # among pitches; both are below every relative pitch
VOICES = ("soprano", "alto", "tenor", "bass")
BEAT = 4  # frames a beat
LOWEST, HIGHEST = 20, 82  # relative pitches, both included: those of all voices of the chorales, 24..76, and room
N_PITCHES = HIGHEST - LOWEST + 2
REST_INDEX = N_PITCHES - 1
_TONIC = 60  # where the tonic stands among relative pitches
_DEEPEST_MEAN = 57.5  # of a melody in relative pitches, exclusive of an octave more; fewest chorales lie at the seam
_OTHER = 0  # the class of every chord that the vocabulary does not hold


def shift_of(soprano: NDArray[np.int64], tonic: int) -> int:
    """What to take off a piece's pitches [any shape] to make them relative: the tonic becomes 60, in the octave that
    puts the melody's mean into 57.5..69.5, so that a tune reads the same in every key. ``tonic``: 0..11."""
    sung = soprano[soprano >= 0]
    mean = float(sung.mean()) if sung.size else float(_TONIC + tonic)
    above = tonic - _TONIC
    return int(above + 12 * np.floor((mean - above - _DEEPEST_MEAN) / 12))


def relative(pitches: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """Pitches less ``shift``; rests and unknown ones stay what they are."""
    return np.where(pitches >= 0, pitches - shift, pitches)


def absolute(pitches: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """`relative` undone."""
    return np.where(pitches >= 0, pitches + shift, pitches)


def index_of(pitches: NDArray[np.int64]) -> NDArray[np.int64]:
    """The vocabulary's indices of relative pitches or rests; what lies outside is taken by octaves to the inside.

    Unknown pitches have no index and must not be asked for.
    """
    below, beyond = np.maximum(LOWEST - pitches, 0), np.maximum(pitches - HIGHEST, 0)
    inside = pitches + 12 * -(-below // 12) - 12 * -(-beyond // 12)
    return np.where(pitches == REST, REST_INDEX, inside - LOWEST)


def pitch_of(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """`index_of` undone: relative pitches, -1 for a rest."""
    return np.where(indices == REST_INDEX, REST, indices + LOWEST)


def pitch_class_set(voices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of [..., n] pitches, along the last axis: a bit a pitch class (bit 0 is C), rests left out."""
    bits = np.where(voices >= 0, 1 << (voices % 12), 0)
    found: NDArray[np.int64] = np.bitwise_or.reduce(bits, axis=-1)
    return found


@dataclass(frozen=True, slots=True)
class ChordVocabulary:
    """Chords of relative pitches, told apart by pitch-class set and the bass voice's pitch class.

    ``sets`` and ``basses`` int64[n]: the chords, commonest first; class 0 is every other one, class i + 1 the i-th.
    A bass that rests is 12.
    """

    sets: NDArray[np.int64]
    basses: NDArray[np.int64]
    _table: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        table = np.full((1 << 12) * 13, _OTHER, np.int64)
        table[self.sets * 13 + self.basses] = np.arange(1, len(self.sets) + 1)
        object.__setattr__(self, "_table", table)

    def __len__(self) -> int:
        """How many classes there are, the other ones' included."""
        return len(self.sets) + 1

    def classes(self, voices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of [..., 4] pitches of soprano, alto, tenor and bass, the chord's class [...]."""
        return self._table[_keys(voices)]

    def classes_of(self, chords: NDArray[np.int64]) -> NDArray[np.int64]:
        """The same of chords given as 13 times the pitch-class set plus the bass's pitch class (12: it rests)."""
        return self._table[chords]

    @classmethod
    def of(cls, pieces: Iterable[NDArray[np.int64]], least: int = 3) -> ChordVocabulary:
        """Those heard ``least`` times and more at beats of pieces int64[T, 4] of relative pitches."""
        heard = [_keys(piece[::BEAT]) for piece in pieces]
        keys, counts = np.unique(np.concatenate(heard) if heard else np.empty(0, np.int64), return_counts=True)
        kept = np.lexsort((keys, -counts))
        kept = kept[counts[kept] >= least]
        return cls(keys[kept] // 13, keys[kept] % 13)


def _keys(voices: NDArray[np.int64]) -> NDArray[np.int64]:
    bass = voices[..., 3]
    return pitch_class_set(voices) * 13 + np.where(bass >= 0, bass % 12, 12)
