"""The few dozen ways to set a beat that are worth weighing: three pitches under the soprano's.

They come from what the network and the memory say of each voice and of the chord, within the composer's locks and given
chords; which of them are sung is decided along the whole piece by crf.py and chorale.py. All pitches are relative
(tokens.py) but for ``shift``, which says where the voices' ranges lie.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import sonorities, tokens, voice_leading
from pipelines.composing.weights import Weights

FREE = -1
_PITCHES = np.append(np.arange(tokens.LOWEST, tokens.HIGHEST + 1), tokens.REST)  # by the vocabulary's index
_CLASSES = _PITCHES % 12
_LEADING_NOTE = 11
_E2 = 40
IMPOSSIBLE = 500.0  # nats: a candidate this far below its beat's best breaks a lock or leaves a given chord
_FORBIDDEN = -2 * IMPOSSIBLE  # finite: where nothing else is left (a chord note out of every range), the least evil


@dataclass(frozen=True, slots=True)
class Voicings:
    """``chords`` int64[B, K, 4]: soprano, alto, tenor, bass, relative, -1 a rest; ``scores`` float64[B, K], -inf where
    a beat has fewer than K; ``faults`` float64[B, K]: what of it rules took off, in nats (sonorities.py, and whoever
    sings above the melody)."""

    chords: NDArray[np.int64]
    scores: NDArray[np.float64]
    faults: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Around:
    """What is known of the melody beside each beat's first pitch: ``inside`` int64[B, 4], all of its sixteenths;
    ``places`` int64[B], sonorities.places'; ``minor``: its mode."""

    inside: NDArray[np.int64]
    places: NDArray[np.int64]
    minor: bool


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the composer decided, by beat: ``locked`` int64[B, 3] pitches (-2 free, -1 rests); ``chord_sets`` int64[B]
    pitch classes as bits (0: none given); ``basses`` int64[B] pitch classes (-1: none given)."""

    locked: NDArray[np.int64]
    chord_sets: NDArray[np.int64]
    basses: NDArray[np.int64]

    @classmethod
    def none(cls, n_beats: int) -> Bounds:
        return cls(
            np.full((n_beats, 3), tokens.UNKNOWN), np.zeros(n_beats, np.int64), np.full(n_beats, FREE, dtype=np.int64)
        )


def voicings(
    soprano: NDArray[np.int64],
    voices: NDArray[np.float32],
    chords: NDArray[np.float32],
    vocabulary: tokens.ChordVocabulary,
    bounds: Bounds,
    shift: int,
    weights: Weights,
    around: Around | None = None,
) -> Voicings:
    """The best ``weights.candidates`` of each beat under ``soprano`` int64[B] (-1: the voice rests).

    ``voices`` float[B, 3, P] and ``chords`` float[B, C] are log-probabilities (harmonizer.Opinion). Without ``around``
    the melody is still inside the beats, which are anywhere in a piece in major.
    """
    if around is None:
        around = Around(np.repeat(soprano[:, None], tokens.BEAT, axis=1), np.zeros(len(soprano), np.int64), False)
    above = _above_melody(soprano, around.inside, weights)
    single = _single(soprano, voices, bounds, shift, weights) - above[:, None]
    n = weights.pitches
    likeliest = np.argpartition(-single, n - 1, axis=2)[:, :, :n]
    worth = np.take_along_axis(single, likeliest, axis=2)
    combined = _combinations(n)
    # A plane a voice, as views [B, n^3, 4]: numpy adds up planes ten times faster than rows of four.
    sung = np.moveaxis(np.empty((4, len(soprano), len(combined)), np.int64), 0, -1)
    sung[:, :, 0] = soprano[:, None]
    pitches = _PITCHES[likeliest]
    scores = np.zeros(sung.shape[:2])
    above_melody = np.zeros(sung.shape[:2])
    bits = np.where(pitches >= 0, 1 << pitches % 12, 0)
    sets = np.zeros(sung.shape[:2], np.int64)
    sets |= np.where(soprano >= 0, 1 << soprano % 12, 0)[:, None]
    worst = np.take_along_axis(np.broadcast_to(above[:, None], single.shape), likeliest, axis=2)
    for voice in range(3):
        sung[:, :, voice + 1] = pitches[:, voice].take(combined[:, voice], axis=1)
        scores += worth[:, voice].take(combined[:, voice], axis=1)
        sets |= bits[:, voice].take(combined[:, voice], axis=1)
        if above.any():
            above_melody += worst[:, voice].take(combined[:, voice], axis=1)
    low = sung[:, :, 3]
    kinds = sets * 13 + np.where(low >= 0, low % 12, sonorities.NO_BASS)
    scores += weights.chord * np.take_along_axis(chords, vocabulary.classes_of(kinds), axis=1)
    faults = sonorities.costs(weights, around.minor)[around.places[:, None], kinds].astype(np.float64)
    faults += weights.false_relation * _clashing(sets, soprano, around)
    faults[bounds.chord_sets != 0] = 0.0  # the composer's chord is no fault
    scores -= faults
    faults += above_melody
    scores -= weights.crossing * voice_leading.crossings(sung)[:, :, 1:].sum(axis=2)
    scores -= weights.gap * voice_leading.gaps(sung).sum(axis=2)
    scores -= weights.doubled_leading_note * (((sung % 12 == _LEADING_NOTE) & (sung >= 0)).sum(axis=2) > 1)
    if bounds.chord_sets.any():
        unsung = bounds.chord_sets[:, None] & ~sets
        scores -= weights.missing_chord_note * np.bitwise_count(unsung)
    kept = min(weights.candidates, scores.shape[1])
    best = np.argpartition(-scores, kept - 1, axis=1)[:, :kept]
    chosen = np.stack([np.take_along_axis(sung[:, :, voice], best, axis=1) for voice in range(4)])
    return Voicings(
        np.moveaxis(chosen, 0, -1), np.take_along_axis(scores, best, axis=1), np.take_along_axis(faults, best, axis=1)
    )


@functools.lru_cache(maxsize=8)
def _combinations(n: int) -> NDArray[np.int64]:
    """int64[n^3, 3]"""
    return np.array(list(product(range(n), repeat=3)))


def _above_melody(soprano: NDArray[np.int64], inside: NDArray[np.int64], weights: Weights) -> NDArray[np.float32]:
    """float32[B, P]: what a pitch costs that lies above the melody on the beat, or as the melody dips in it; on its
    second eighth the voice can still go down (ornaments.py), and so it costs less there."""
    heard = np.where(inside >= 0, inside, 127)
    on_beat = np.minimum(np.where(soprano >= 0, soprano, 127), heard[:, 1])
    dips = heard.min(axis=1)
    costs = weights.above_melody * (on_beat[:, None] < _PITCHES) + weights.dip * (dips[:, None] < _PITCHES)
    return np.asarray(costs, np.float32)


def _clashing(sets: NDArray[np.int64], soprano: NDArray[np.int64], around: Around) -> NDArray[np.bool_]:
    """bool[B, K]: the chord has a false relation with the melody's second sixteenth."""
    second = around.inside[:, 1]
    quick = np.flatnonzero((second >= 0) & (second != soprano))
    found = np.zeros(sets.shape, bool)
    if quick.size:
        heard = sets[quick] | (1 << second[quick] % 12)[:, None]
        found[quick] = sonorities.false_relations(around.minor)[heard]
    return found


def _single(
    soprano: NDArray[np.int64], voices: NDArray[np.float32], bounds: Bounds, shift: int, weights: Weights
) -> NDArray[np.float32]:
    """Each voice's pitches by themselves, [B, 3, P]: the opinion less what ranges and the soprano cost."""
    scores = np.float32(weights.voices) * voices
    absolute = _PITCHES + shift
    below = voice_leading.LOWEST[1:, None] - absolute
    beyond = absolute - voice_leading.HIGHEST[1:, None]
    outside = np.where(_PITCHES >= 0, np.maximum(np.maximum(below, beyond), 0), 0)
    scores -= (weights.range * outside).astype(np.float32)
    scores[:, 2] -= low_bass(_PITCHES, shift, weights)
    # The alto's crossing is counted with its pitch; the others' above the soprano comes on top of the alto's.
    scores -= weights.crossing * (np.where(soprano < 0, 127, soprano)[:, None, None] < _PITCHES)
    scores[:, :, tokens.REST_INDEX] = _FORBIDDEN
    if bounds.chord_sets.any():
        allowed = (bounds.chord_sets[:, None] == 0) | ((bounds.chord_sets[:, None] >> _CLASSES) & 1).astype(bool)
        scores += np.where(allowed, 0.0, _FORBIDDEN)[:, None, :]
        right = (bounds.basses[:, None] == FREE) | (bounds.basses[:, None] == _CLASSES)
        scores[:, 2] += np.where(right, 0.0, _FORBIDDEN)
    locked = bounds.locked != tokens.UNKNOWN
    if locked.any():
        beat, voice = np.nonzero(locked)
        scores[beat, voice] = 2 * _FORBIDDEN
        scores[beat, voice, tokens.index_of(bounds.locked[beat, voice])] = 0.0
    return scores


def low_bass(pitches: NDArray[np.int64], shift: int, weights: Weights) -> NDArray[np.float32]:
    """What each of relative ``pitches`` costs as a bass note: below E2 by the semitone, below C2 it is as good as
    forbidden."""
    semitones = np.where(pitches >= 0, np.maximum(_E2 - shift - pitches, 0), 0)
    costs = weights.low_bass * semitones + weights.deepest_bass * (semitones > _E2 - voice_leading.LOWEST[3])
    return np.asarray(costs, np.float32)
