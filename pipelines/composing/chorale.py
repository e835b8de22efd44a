"""A melody in, four voices out, in the manner of Bach's chorales: the front door of the chorale model.

Here any melody is brought into the model's form and back: key, register, rests, odd lengths, locks, given chords. What
the model thinks is harmonizer.py's, what becomes of it decoding.py's, held and repeated notes ties.py's.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import decoding, sonorities, ties, tokens
from pipelines.composing.chords import identify
from pipelines.composing.key import of_frames
from pipelines.composing.piece import Chord, Key
from pipelines.composing.tokens import BEAT, REST, UNKNOWN
from pipelines.composing.voicings import FREE, Around, Bounds
from pipelines.composing.weights import CHOSEN, Weights
from pipelines.errors import BadInput

if TYPE_CHECKING:
    from pipelines.composing.harmonizer import Harmonizer

MOST_CANDIDATES = 64
_COLDEST, _HOTTEST = 0.2, 4.0  # temperatures
_LONG_REST = 8  # sixteenths: under a melody's shorter rests the voices go on
_MIDDLE = 70.5  # half-way between the lowest and the highest mean of the training sopranos, 65 and 76
_LOW, _HIGH = 57, 83  # what a soprano sings; what lies beyond is shown to the model an octave nearer
_DEEPEST = 24  # the lowest pitch that a voice is given, when it goes down with a low melody


@dataclass(frozen=True, slots=True)
class Voiced:
    """``pitches`` int64[T, 4]: soprano (as it came), alto, tenor, bass as MIDI pitches a sixteenth, -1 a rest;
    ``onsets`` bool[T, 4]: where they are struck; ``log_likelihood``: of the chords on beats, nats a decided note;
    ``chords``: of each beat begun, ceil(T / 4)."""

    pitches: NDArray[np.int64]
    onsets: NDArray[np.bool_]
    log_likelihood: float
    chords: tuple[Chord, ...]


def complete(soprano: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[T] MIDI pitches a sixteenth (-1 rests) to int64[T, 4]: soprano, alto, tenor, bass.

    Any T; beats are four sixteenths from the start on. The same melody always gives the same voices. Raises BadInput
    for what is no MIDI pitch.
    """
    return harmonize(soprano)[0].pitches


def harmonize(
    soprano: NDArray[np.int64],
    *,
    onsets: NDArray[np.bool_] | None = None,
    level: NDArray[np.int8] | None = None,
    key: Key | None = None,
    locked: NDArray[np.int64] | None = None,
    chords: Sequence[Chord | None] | None = None,
    candidates: int = 1,
    seed: int = 0,
    temperature: float = 1.0,
    harmonizer: Harmonizer | None = None,
    weights: Weights = CHOSEN,
) -> list[Voiced]:
    """``candidates`` settings of ``soprano`` int64[T] (MIDI pitches a sixteenth, -1 rests, beats from the start on).

    - ``onsets`` bool[T]: where the melody is struck (at changes of pitch when None); ``level`` int8[ceil(T / 4)]: what
      each beat is in its bar (grid.py), for ties at bar lines; ``key``: estimated from the melody when None.
    - ``locked`` int64[T, 4]: pitches that must come back (-1 a rest), -2 where free; the soprano's column is not read.
    - ``chords``, one or None for each of the ceil(T / 4) beats: every voice sings a note of it on the beat, the bass
      its bass, unless it is locked.
    - The first candidate is the best one and needs no seed; the others are drawn by ``seed``, the bolder the higher
      ``temperature`` (0.2..4), and differ in a quarter of the beats where that can be.
    - A melody far from a soprano's register takes the voices down with it by octaves when it is low; when it is high,
      they stay where they are. The voices rest in the melody's rests of two beats and more, and before and after it.

    Raises BadInput for pitches outside of 0..127, shapes that do not fit and numbers out of range.
    """
    melody = _checked(soprano, onsets, level, locked, chords, candidates)
    n_frames, n_beats = len(melody), -(-len(melody) // BEAT)
    struck = ties.heard_onsets(melody) if onsets is None else np.asarray(onsets, bool)
    wishes = np.full((n_frames, 4), UNKNOWN) if locked is None else np.asarray(locked, np.int64).copy()
    wishes[:, 0] = melody
    given = [None] * n_beats if chords is None else list(chords)
    if not (melody >= 0).any():
        silence = np.where(wishes == UNKNOWN, REST, wishes)
        return [_voiced(silence, melody, struck, level, Key(0), given, 0.0)] * candidates
    key = of_frames(melody).key if key is None else key
    model = shipped() if harmonizer is None else harmonizer

    whole = np.pad(wishes, ((0, n_beats * BEAT - n_frames), (0, 0)), mode="edge")
    resting = _long_rests(whole[:, 0])
    raised = _octaves_to_soprano(melody)
    silent = np.repeat(resting.reshape(-1, BEAT).all(axis=1), BEAT)  # beats in which nothing sounds
    sung = _filled(whole[:, 0]) + 12 * raised
    lowered = 12 * max(raised, 0)  # what the voices go down by with a low melody
    shown = np.where(silent, REST, sung + 12 * ((sung < _LOW).astype(np.int64) - (sung > _HIGH)))
    sung = np.where(silent, REST, sung)
    shift = tokens.shift_of(shown, key.tonic)
    fixed = np.where(whole[:, 1:] >= 0, whole[:, 1:] + lowered - shift, whole[:, 1:])
    fixed[silent[:, None] & (fixed == UNKNOWN)] = REST
    bounds = _bounds(fixed, given, shift)
    line = tokens.relative(shown, shift)
    opinion = model.skeleton(line, key.minor, fixed[::BEAT], shift)

    def inside(frames: NDArray[np.int64]) -> NDArray[np.float32]:
        return model.inside(np.concatenate([line[:, None], frames[:, 1:]], axis=1), key.minor, shift)

    heard = tokens.relative(sung, shift)
    around = Around(heard.reshape(-1, BEAT), sonorities.places(heard, level), key.minor)
    task = decoding.Task(heard, opinion.voices, opinion.chords, model.vocabulary, fixed, bounds, shift, around, inside)
    made = []
    for setting in decoding.decode(task, weights, candidates, seed, float(np.clip(temperature, _COLDEST, _HOTTEST))):
        frames = setting.frames[:n_frames] + shift - lowered
        frames += 12 * np.maximum(-((frames - _DEEPEST) // 12), 0) - 12 * np.maximum(-((127 - frames) // 12), 0)
        frames = np.where((setting.frames[:n_frames] < 0) | resting[:n_frames, None], REST, frames)
        frames = np.where(wishes == UNKNOWN, frames, wishes)
        made.append(_voiced(frames, melody, struck, level, key, given, setting.log_likelihood))
    return made


@functools.cache
def shipped() -> Harmonizer:
    """The harmoniser that comes with the project, loaded once a process."""
    from pipelines.composing.harmonizer import Harmonizer

    return Harmonizer.load()


def _checked(
    soprano: NDArray[np.int64],
    onsets: NDArray[np.bool_] | None,
    level: NDArray[np.int8] | None,
    locked: NDArray[np.int64] | None,
    chords: Sequence[Chord | None] | None,
    candidates: int,
) -> NDArray[np.int64]:
    """The melody as int64[T]; raises BadInput."""
    melody = np.asarray(soprano)
    remedy = "give MIDI pitches of 0 to 127 a sixteenth, -1 for a rest"
    if melody.ndim != 1 or not (np.issubdtype(melody.dtype, np.integer) or not melody.size):
        raise BadInput("melody", f"is {melody.dtype}{list(melody.shape)} and not a row of whole numbers", remedy)
    melody = melody.astype(np.int64)
    if melody.size and (melody.min() < REST or melody.max() > 127):
        raise BadInput("melody", f"holds {melody.min()} to {melody.max()}, which are not all MIDI pitches", remedy)
    n_frames, n_beats = len(melody), -(-len(melody) // BEAT)
    for name, one, expected in (("onsets", onsets, (n_frames,)), ("level", level, (n_beats,))):
        if one is not None and np.shape(one) != expected:
            raise BadInput(
                name, f"has the shape {np.shape(one)} and not {expected}", "give one for each of the melody's"
            )
    if locked is not None:
        if np.shape(locked) != (n_frames, 4):
            raise BadInput("locked notes", f"have the shape {np.shape(locked)} and not {(n_frames, 4)}", "lock frames")
        if n_frames and (np.min(locked) < UNKNOWN or np.max(locked) > 127):
            raise BadInput("locked notes", "are not all MIDI pitches", "give 0 to 127, -1 for a rest, -2 where free")
    if chords is not None and len(chords) != n_beats:
        raise BadInput("chords", f"are {len(chords)} for {n_beats} beats", "give a chord or None for each beat")
    if not 1 <= candidates <= MOST_CANDIDATES:
        raise BadInput("candidates", f"are {candidates}", f"ask for 1 to {MOST_CANDIDATES}")
    return melody


def _octaves_to_soprano(melody: NDArray[np.int64]) -> int:
    """By how many octaves the melody is to be raised (below 0: lowered) to lie nearest to a soprano's register."""
    return round((_MIDDLE - float(melody[melody >= 0].mean())) / 12)


def _long_rests(melody: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool[T]: where the voices rest with the melody: long rests, and what is before and after it."""
    rests = melody < 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], rests, [False]]).astype(np.int8)))
    found = np.zeros(len(melody), bool)
    for start, end in edges.reshape(-1, 2):
        found[start:end] = end - start >= _LONG_REST or start == 0 or end == len(melody)
    return found


def _filled(melody: NDArray[np.int64]) -> NDArray[np.int64]:
    """The melody whose notes last until the next; the first begins at once. A beat that starts with a rest after a
    note is thus the note's still, but where the melody comes in after a silent beat, the coming note's."""
    place = np.arange(len(melody))
    sounds = melody >= 0
    before = np.maximum.accumulate(np.where(sounds, place, -1))
    after = np.minimum.accumulate(np.where(sounds, place, len(melody))[::-1])[::-1]
    begins_silent = np.repeat(before[::BEAT] < place[::BEAT] - BEAT, BEAT)
    source = np.where((before < 0) | (begins_silent & (after < len(melody)) & ~sounds), after, before)
    return melody[source]


def _bounds(fixed: NDArray[np.int64], given: Sequence[Chord | None], shift: int) -> Bounds:
    bounds = Bounds.none(len(given))
    sets, basses = bounds.chord_sets, bounds.basses
    for beat, chord in enumerate(given):
        if chord is not None:
            sets[beat] = sum({1 << ((pitch_class - shift) % 12) for pitch_class in chord.pitch_classes})
            basses[beat] = (chord.bass - shift) % 12 if chord.bass in chord.pitch_classes else FREE
    return Bounds(fixed[::BEAT], sets, basses)


@functools.lru_cache(maxsize=4096)
def _named(pitch_classes: tuple[int, ...], bass: int, key: Key) -> Chord:
    if len(pitch_classes) == 1:
        third = (pitch_classes[0] + (3 if key.minor and pitch_classes[0] == key.tonic else 4)) % 12
        return identify((*pitch_classes, third), bass, key)
    return identify(pitch_classes, bass, key, sixths=False)


def _heard(beat: NDArray[np.int64]) -> list[int]:
    """The pitches that name a beat int64[1..4, 4]: its first chord's, where one sounds; a chord without a third takes
    in what follows in the beat."""
    found: list[int] = []
    for frame in beat[(beat >= 0).any(axis=1)]:
        found = found or [int(pitch) for pitch in frame if pitch >= 0]
        classes = {pitch % 12 for pitch in found}
        if len(classes) > 2 or any((a - b) % 12 in (3, 4) for a in classes for b in classes):
            break
        lowest = min(found)
        found += [int(pitch) for pitch in frame if pitch > lowest]
    return found


def _voiced(
    frames: NDArray[np.int64],
    melody: NDArray[np.int64],
    struck: NDArray[np.bool_],
    level: NDArray[np.int8] | None,
    key: Key,
    given: Sequence[Chord | None],
    log_likelihood: float,
) -> Voiced:
    names: list[Chord] = []
    for beat, chord in enumerate(given):
        sounding = _heard(frames[beat * BEAT : (beat + 1) * BEAT])
        if chord is not None:
            names.append(chord)
        elif sounding:
            names.append(_named(tuple(sorted({pitch % 12 for pitch in sounding})), min(sounding) % 12, key))
        else:  # a rest belongs to the chord before it
            names.append(names[-1] if names else _named((key.tonic,), key.tonic, key))
    return Voiced(frames, ties.onsets(frames, struck, level), log_likelihood, tuple(names))
