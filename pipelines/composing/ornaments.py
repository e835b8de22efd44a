"""What happens inside a beat once its first chord is fixed: passing notes, neighbours, suspensions on the half beat.

What each voice would like to sing there is the network's and the memory's (Harmonizer.inside); here the four voices
agree, beat by beat, so that no parallels arise between eighths. In the 229 training chorales 93 to 99 % of what moves
inside a beat moves on its second eighth alone, so the other sixteenths follow that one.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import sonorities, tokens, voice_leading
from pipelines.composing.tokens import BEAT
from pipelines.composing.voicings import Around, low_bass
from pipelines.composing.weights import Weights

_OPTIONS = 4  # of a voice: staying, and the likeliest others
_COMBINED = np.array(list(product(range(_OPTIONS), repeat=3)))
_HALF = BEAT // 2
# Seconds, sevenths and the tritone, by interval modulo 12.
_DISSONANT = np.isin(np.arange(12), (1, 2, 6, 10, 11))


def ornament(
    skeleton: NDArray[np.int64],
    soprano: NDArray[np.int64],
    inside: NDArray[np.float32],
    locked: NDArray[np.int64],
    weights: Weights,
    shift: int = 0,
    around: Around | None = None,
) -> NDArray[np.int64]:
    """The whole piece int64[T, 4] (T = 4 B), relative pitches.

    ``skeleton`` int64[B, 4]: the chords at the beats; ``soprano`` int64[T]; ``inside`` float[T, 3, P]: logarithms of
    probabilities; ``locked`` int64[T, 3]: what the composer decided, -2 where nothing; ``shift``: relative to
    absolute. Without ``around`` the piece is in major, and none of its beats is the last.
    """
    n_beats = len(skeleton)
    if around is None:
        around = Around(soprano.reshape(n_beats, BEAT), np.zeros(n_beats, np.int64), False)
    frames = np.repeat(skeleton, BEAT, axis=0)
    frames[:, 0] = soprano
    if n_beats:
        second = _second_eighths(skeleton, inside, locked, weights, shift, around)
        halves = frames.reshape(n_beats, BEAT, 4)
        halves[:, _HALF:, 1:] = second[:, None, :]
    frames[:, 1:] = np.where(locked == tokens.UNKNOWN, frames[:, 1:], locked)
    return frames


def _second_eighths(
    skeleton: NDArray[np.int64],
    inside: NDArray[np.float32],
    locked: NDArray[np.int64],
    weights: Weights,
    shift: int,
    around: Around,
) -> NDArray[np.int64]:
    """Alto, tenor and bass at each beat's second eighth, int64[B, 3]."""
    n_beats = len(skeleton)
    soprano = around.inside[:, _HALF]
    by_beat = np.exp(inside.reshape(n_beats, BEAT, 3, tokens.N_PITCHES))
    expected = by_beat[:, _HALF:].sum(axis=1)  # right sixteenths of the two, [B, 3, P]
    beat, voice = np.arange(n_beats)[:, None], np.arange(3)
    held = skeleton[:, 1:]
    held_index = tokens.index_of(held)
    unfit = _unfit(around, weights)
    expected -= unfit[:, None]
    expected[:, 2] -= low_bass(tokens.pitch_of(np.arange(tokens.N_PITCHES)), shift, weights)
    expected[:, :, tokens.REST_INDEX] = -9.0
    worth_held = expected[beat, voice, held_index]
    worth_held[held < 0] = 0.0
    expected[beat, voice, held_index] = -99.0
    others = np.argpartition(-expected, _OPTIONS - 2, axis=2)[:, :, : _OPTIONS - 1]
    options = np.concatenate([held[:, :, None], tokens.pitch_of(others)], axis=2)  # [B, 3, options]
    worth = np.concatenate([worth_held[:, :, None], np.take_along_axis(expected, others, axis=2)], axis=2)
    worth[:, :, 1:] -= weights.move
    worth[:, :, 1:][held < 0] = -99.0  # a voice that rests at the beat goes on resting
    # What is to be the end moves no more; a pick-up may be this half beat alone, whose chord the first half decided.
    worth[np.isin(around.places, (sonorities.PICKUP, sonorities.LAST)), :, 1:] -= 3.0
    wanted = locked.reshape(n_beats, BEAT, 3)[:, _HALF]
    decided = wanted != tokens.UNKNOWN
    options[:, :, 0] = np.where(decided, wanted, options[:, :, 0])
    worth[:, :, 1:][decided] = -99.0

    chords = np.moveaxis(np.empty((4, n_beats, len(_COMBINED)), np.int64), 0, -1)  # a plane a voice
    chords[:, :, 0] = soprano[:, None]
    score = np.zeros(chords.shape[:2])
    for each in range(3):
        chords[:, :, each + 1] = options[:, each].take(_COMBINED[:, each], axis=1)
        score += worth[:, each].take(_COMBINED[:, each], axis=1)
    before = skeleton[:, None, :]
    after = np.concatenate([skeleton[1:], skeleton[-1:]])[:, None, :]
    similar, apart = voice_leading.passing_counts(before, chords, after)
    score -= weights.ornament_parallel * similar + weights.ornament_contrary * apart
    score[similar > similar[:, :1]] -= 99.0  # the first stays as it is: however much is wished, no more than it has
    score -= weights.ornament_crossing * voice_leading.crossings(chords).sum(axis=2)
    moves = [chords[..., each] != before[..., each] for each in range(4)]
    for upper, lower in zip(voice_leading.UPPER, voice_leading.LOWER, strict=True):
        interval = (chords[..., upper] - chords[..., lower]) % 12
        score -= weights.clash * (_DISSONANT[interval] & moves[upper] & moves[lower])
    sets = tokens.pitch_class_set(chords)
    wrong = sonorities.false_relations(around.minor)
    fourth = around.inside[:, _HALF + 1]
    score -= weights.ornament_fault * wrong[sets | np.where(fourth >= 0, 1 << fourth % 12, 0)[:, None]]
    best = score.argmax(axis=1)
    return chords[np.arange(n_beats), best, 1:]


def _unfit(around: Around, weights: Weights) -> NDArray[np.float32]:
    """float32[B, P]: what a pitch costs in the second eighth for lying above the melody or having the letter, and not
    the pitch, of one of its notes there."""
    pitches = tokens.pitch_of(np.arange(tokens.N_PITCHES))
    heard = around.inside[:, _HALF:]
    above = pitches > np.where(heard >= 0, heard, 127).min(axis=1)[:, None]
    enemies = np.where(heard >= 0, sonorities.against(around.minor)[heard % 12], 0)
    against = ((enemies[:, 0] | enemies[:, 1])[:, None] >> pitches % 12) & (pitches >= 0) & 1
    return np.asarray(weights.ornament_fault * (above | (against > 0)), np.float32)
