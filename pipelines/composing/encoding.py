"""A chorale, known in part, as the rows of the network's one table of embeddings: a beat is a token, its row the sum.

Pitches are relative (tokens.py); what the sums go through is network.py's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import tokens
from pipelines.composing.tokens import BEAT, N_PITCHES, UNKNOWN

_HELD, _HIDDEN = N_PITCHES, N_PITCHES + 1  # as in the frame before; not known
_SLOT = N_PITCHES + 2
_SLOTS = BEAT * len(tokens.VOICES)
_CLASSES = 14  # pitch classes, rest, hidden: what the four voices' first frames share over octaves
_EDGE = 12  # beats from the start or the end that are told apart
_SHIFTS = 26  # shifts of -4..20, and unknown
_PLACES = (("from the start", _EDGE), ("from the end", _EDGE), ("in fours", 4), ("in threes", 3), ("back in fours", 4))
_STEP = 12  # semitones to the next beat's first note, up or down, that are told apart; or not known
_LONG = 9  # beats that the melody's note lasts, 0..8

_classes_at = _SLOTS * _SLOT
_places_at = _classes_at + len(tokens.VOICES) * _CLASSES
_long_at = _places_at + sum(size for _, size in _PLACES)
_minor_at = _long_at + _LONG
_shift_at = _minor_at + 2
_steps_at = _shift_at + _SHIFTS
N_ROWS = _steps_at + len(tokens.VOICES) * (2 * _STEP + 2)
N_VOTES = 3 * N_PITCHES + 2
_LOUD, _FAR = 3.0, 20.0  # scales near those of the embeddings; a match of more beats says no more
N_FEATURES = _SLOTS + 2 * len(tokens.VOICES) + len(_PLACES) + 3
MOVE = 13  # semitones from a beat's first note, up or down, that the network tells apart inside the beat
N_MOVES = 2 * MOVE + 1


def encode(frames: NDArray[np.int64], minor: bool, shift: int | None = None) -> NDArray[np.int32]:
    """int32[T / 4, N_FEATURES], rows of the table, of relative pitches int64[T, 4] (-2 where not known).

    ``shift``: what the pitches had taken off, None when nobody knows.
    """
    n = len(frames) // BEAT
    rows = np.empty((n, N_FEATURES), np.int64)
    beats = frames.reshape(n, BEAT, len(tokens.VOICES))
    hidden = beats == UNKNOWN
    indices = np.where(hidden, _HIDDEN, tokens.index_of(np.where(hidden, tokens.REST, beats)))
    held = (beats[:, 1:] == beats[:, :-1]) & ~hidden[:, 1:]
    indices[:, 1:][held] = _HELD
    rows[:, :_SLOTS] = indices.reshape(n, _SLOTS) + np.arange(_SLOTS) * _SLOT
    first = beats[:, 0]
    classes = np.where(first >= 0, first % 12, np.where(hidden[:, 0], 13, 12))
    at = _SLOTS
    rows[:, at : at + 4] = _classes_at + classes + np.arange(4) * _CLASSES
    at += 4
    beat = np.arange(n)
    places = (np.minimum(beat, _EDGE - 1), np.minimum(n - 1 - beat, _EDGE - 1), beat % 4, beat % 3, (n - 1 - beat) % 4)
    offset = _places_at
    for (_, size), place in zip(_PLACES, places, strict=True):
        rows[:, at] = offset + place
        at, offset = at + 1, offset + size
    rows[:, at] = _long_at + np.minimum(lengths(frames[:, 0]), _LONG - 1)
    rows[:, at + 1] = _minor_at + int(minor)
    rows[:, at + 2] = _shift_at + (_SHIFTS - 1 if shift is None else int(np.clip(shift + 4, 0, _SHIFTS - 2)))
    steps = np.full((n, len(tokens.VOICES)), 2 * _STEP + 1)
    between = (first[1:] >= 0) & (first[:-1] >= 0)
    steps[:-1][between] = np.clip(first[1:] - first[:-1], -_STEP, _STEP)[between] + _STEP
    rows[:, at + 3 :] = _steps_at + steps + np.arange(len(tokens.VOICES)) * (2 * _STEP + 2)
    return rows.astype(np.int32)


def moves_of(beats: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[n, 3 frames, voices], 0..N_MOVES - 1: how far from its first note each voice of int64[n, 4, voices] is in a
    beat's other frames; MOVE is not at all, as from and to a rest."""
    first, others = beats[:, :1], beats[:, 1:]
    moved = np.where((first >= 0) & (others >= 0), others - first, 0)
    return np.clip(moved, -MOVE, MOVE) + MOVE


def heard(voices: NDArray[np.float32], match: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[n, N_VOTES]: what the network hears of the memory's votes float32[n, 3, N_PITCHES] (memory.Votes)."""
    n = len(match)
    each = (_LOUD * voices.reshape(n, -1), np.minimum(match, _FAR)[:, None] / _LOUD, np.ones((n, 1)))
    return np.concatenate(each, axis=1).astype(np.float32)


def lengths(soprano: NDArray[np.int64], last: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """int64[T / 4]: for how many whole beats from a beat's first frame on the pitch there stays, of int64[T].

    ``last`` bool[T / 4]: beats after which another piece begins.
    """
    beats = soprano.reshape(-1, BEAT)
    whole = (beats == beats[:, :1]).all(1)
    goes_on = beats[1:, 0] == beats[:-1, 0]
    if last is not None:
        goes_on &= ~last[:-1]
    found: NDArray[np.int64] = whole.astype(np.int64)
    for beat in np.flatnonzero(whole[:-1] & goes_on)[::-1]:
        found[beat] += found[beat + 1]
    return found
