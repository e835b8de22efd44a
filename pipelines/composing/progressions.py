"""The harmony model of the pop style: a hidden Markov model whose states are functions and whose notes are the melody.

Learned from the chorales: which notes are sung over which chord (by weight of the beat, and whether they go on by
step) and a share of the transitions. Rule: the rest of the transitions (progressions.yaml), how easily a chord
changes on a beat, cadences, the opening and the ending. Where chords may change is harmonic_rhythm.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.functions import N_STATES, QUALITIES, State, Transitions, states

FREE = -1  # of a slot whose chord is not given


@dataclass(frozen=True, slots=True)
class SungNote:
    """A note of the melody, or the part of it that sounds in one slot. ``weight``: quarters, at most 2."""

    degree: int  # pitch class above the tonic
    weight: float
    strength: float  # 1 begins on a strong beat or sounds on from before it, 0.5 fills another beat, 0 off the beat
    by_step: bool  # goes on to its neighbour


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch with one chord. ``level``: 2 begins a bar, 1 a half of it, 0 any other beat.

    ``likeness``: equal for slots whose notes and place are equal; candidates vary them alike. ``cadence``: a phrase
    ends in it; ``closing``: it lies in a bar where one does. ``quarters``: how long it is to who waits for the next
    chord, 0 where the melody does not move, either.
    """

    notes: tuple[SungNote, ...]
    level: int
    likeness: int
    cadence: bool = False
    closing: bool = False
    quarters: float = 0.0


@dataclass(frozen=True, slots=True)
class HarmonyWeights:
    """``change``: probability of a new chord at a slot of level 0, 1, 2. The others are nats."""

    change: tuple[float, float, float] = (0.05, 0.25, 0.8)
    melody: float = 1.5  # of the notes' log-probabilities
    outside: float = 1.8  # against a chord for each note that is heard against it
    foreign: float = 0.9  # against each tone of a chord that the melody around contradicts
    home: float = 3.0  # the tonic in the first slot
    cadence: float = 0.8  # tonic or dominant at the end of a phrase
    ending: float = 6.0  # the tonic in the last slot, if the last note belongs to it
    authentic: float = 3.0  # dominant to tonic with the leading tone, where a phrase closes
    patience: float = 6.0  # quarters of a chord, from which on it becomes too long
    tiring: float = 0.7  # each further one
    rarity: float = 0.5  # of the log-probability that a function has in the chorales
    parallels: float = 2.5  # against the melody and the roots going on from one octave, or fifth, to the next
    secondary: float = 1.5  # against dominants of other degrees than the tonic: chorales have them more than songs
    diminished: float = 2.0  # against diminished triads, for the same reason


CHOSEN = HarmonyWeights()
_FLOOR = 0.008  # of a note's probability over a chord, before they are made to come to 1
_ALTERED = np.array([1, 2, 1, 4, 3, 6, 5, 7, 9, 8, 11, 10])  # the other form of the degree; tonic and fifth have none
_FAR = 0.3  # what the whole melody counts beside that
_UNFIT, _NOISE, _DIFFERENT = 2.0, 0.35, 0.12  # nats a quarter; nats; share of slots
_HEARD = 0.5  # quarters from which on a note is heard against a chord
_FINAL = 1.25  # how much more a cadence is worth where the piece closes
_AGES = 12  # slots; a chord may last longer
_NEIGHBOURHOOD = 3  # slots either side that tell which scale the melody is in


@cache
def note_log_probabilities() -> NDArray[np.float64]:
    """float64[4, 2, 2, 12] of harmony_counts.py's emissions, smoothed by a template: chord tones share .85 on a
    strong beat and .6 on others; the major and the minor second above the root, not of a pop melody's leaps, less."""
    from pipelines.composing.chords import QUALITIES as INTERVALS
    from pipelines.composing.harmony_counts import shipped_counts

    counts = shipped_counts().emissions.copy()
    counts[QUALITIES.index("7")] += counts[QUALITIES.index("")]  # a seventh is a passing note of a major chord at times
    for quality, name in enumerate(QUALITIES):
        inside = np.zeros(12)
        inside[list(INTERVALS[name])] = 1
        scale = np.zeros(12)
        scale[[2, 5, 9, 10, 11] if name in ("", "7") else [2, 5, 8, 9, 10]] = 1
        scale *= 1 - inside
        rest = 1 - inside - scale
        for strong in (0, 1):
            share = 0.85 if strong else 0.6
            template = share * inside / inside.sum() + (0.93 - share) * scale / scale.sum() + 0.07 * rest / rest.sum()
            for step in (0, 1):
                learned = counts[quality, strong, step]
                # Beats of chorales are the quarter notes of a hymn: what they say is worth as much as the template.
                mixed = 0.5 * learned / max(learned.sum(), 1) + 0.5 * template
                counts[quality, strong, step] = mixed + _FLOOR
    return np.asarray(np.log(counts / counts.sum(axis=-1, keepdims=True)))


def scores(slots: Sequence[Slot], minor: bool, weights: HarmonyWeights = CHOSEN) -> NDArray[np.float64]:
    """float64[n, N_STATES]: what each slot's notes and place say for each state, in nats."""
    from pipelines.composing.harmony_counts import shipped_counts

    table, vocabulary = note_log_probabilities(), states(minor)
    seen = shipped_counts().states[int(minor)] + 5
    found = np.tile(weights.rarity * np.log(seen / seen.sum()), (len(slots), 1))
    found -= weights.secondary * np.array([state.quality == "7" and state.offset != 7 for state in vocabulary])
    found -= weights.diminished * np.array([state.quality == "dim" for state in vocabulary])
    profiles = _profiles(slots)
    for place, slot in enumerate(slots):
        for column, state in enumerate(vocabulary):
            quality = QUALITIES.index(state.quality)
            for note in slot.notes:
                interval = (note.degree - state.offset) % 12
                off, on = table[quality, :, int(note.by_step), interval]
                found[place, column] += weights.melody * note.weight * (off + note.strength * (on - off))
                found[place, column] -= weights.outside * _outside(note, state, slot.level)
            found[place, column] -= weights.foreign * _foreign(state, profiles[place])
        if slot.cadence:
            found[place] += weights.cadence * np.array([state.offset in (0, 7) for state in vocabulary])
    if slots:
        found[0, 0] += weights.home
        found[-1] += weights.ending * _endings(slots[-1], minor)
    return found


def steps(slots: Sequence[Slot], minor: bool, weights: HarmonyWeights = CHOSEN) -> NDArray[np.float64]:
    """float64[n, N_STATES, N_STATES]: what speaks for the step that leads to a slot, in nats: cadences where a phrase
    closes, and no parallels."""
    found = -weights.parallels * parallels(slots, minor)
    vocabulary = states(minor)
    tonic = np.array([state.offset == 0 and state.quality != "7" for state in vocabulary])
    # With the leading tone: in minor V, not v.
    dominant = [(state.offset == 7 and state.quality != "m") + 0.5 * (state.numeral == "viio") for state in vocabulary]
    cadence = weights.authentic * np.array(dominant)[:, None] * tonic
    final = max((place + 1 for place, slot in enumerate(slots) if not slot.closing), default=0)
    for place, slot in enumerate(slots):
        # A close on a weak beat would only anticipate the next phrase.
        if place and slot.closing and slot.level:
            rest = _settled(slot.notes[0].degree if slot.notes else 0, minor)
            found[place] += (_FINAL if place >= final else 1) * rest * cadence
    return found


def parallels(slots: Sequence[Slot], minor: bool) -> NDArray[np.float64]:
    """float64[n, N_STATES, N_STATES], 1 where the step to a slot takes the melody and the chords' roots from one octave
    or fifth to another, 0 elsewhere."""
    offsets = np.array([state.offset for state in states(minor)])
    sung = np.array([slot.notes[0].degree if slot.notes else -1 for slot in slots], np.int64)
    found = np.zeros((len(slots), N_STATES, N_STATES))
    above = (sung[:, None] - offsets) % 12
    for place in range(1, len(slots)):
        if min(sung[place], sung[place - 1]) >= 0 and sung[place] != sung[place - 1]:
            before, after = above[place - 1][:, None], above[place][None, :]
            found[place] = (before == after) & np.isin(after, (0, 7)) & (offsets[:, None] != offsets)
    return found


def decode(
    observed: NDArray[np.float64],
    levels: NDArray[np.int64],
    transitions: NDArray[np.float64],
    given: NDArray[np.int64] | None = None,
    change: tuple[float, float, float] = CHOSEN.change,
    onwards: NDArray[np.float64] | None = None,
    quarters: NDArray[np.float64] | None = None,
    patience: float = CHOSEN.patience,
    tiring: float = CHOSEN.tiring,
) -> NDArray[np.int64]:
    """int64[n]: the likeliest states (Viterbi) for ``observed`` float64[n, N_STATES] and ``transitions`` in nats.

    ``levels`` int64[n] say how easily the chord changes (``change``); ``given`` int64[n] holds states that must be,
    FREE elsewhere. ``onwards`` float64[n, N_STATES, N_STATES] is added to the step that leads to a slot. A state that
    lasts longer than ``patience`` of ``quarters`` float64[n] costs ``tiring`` for each more (how many slots it has
    lasted, _AGES at most, belongs to the chain's state: an explicit-duration hidden Markov model).
    """
    count = len(observed)
    if not count:
        return np.zeros(0, np.int64)
    allowed = observed.copy()
    if given is not None:
        for place in np.flatnonzero(given != FREE).tolist():
            allowed[place] = np.where(np.arange(allowed.shape[1]) == given[place], 0.0, -np.inf)
    stay, move = np.log1p(-np.array(change)), np.log(np.array(change))
    moves = transitions.copy()
    np.fill_diagonal(moves, -np.inf)
    since = np.concatenate([[0.0], np.cumsum(np.zeros(count) if quarters is None else quarters)])
    wide = allowed.shape[1]
    best = np.full((_AGES, wide), -np.inf)
    best[0] = allowed[0]
    came, age_before = np.zeros((2, count, wide), np.int64)
    capped = np.zeros((count, wide), bool)  # whether the oldest was the oldest before, too
    for place in range(1, count):
        level = levels[place]
        further = np.zeros((wide, wide)) if onwards is None else onwards[place]
        age_before[place] = best.argmax(axis=0)
        ways = best.max(axis=0)[:, None] + move[level] + moves + further
        begun = since[np.maximum(place - 1 - np.arange(_AGES), 0)]
        longer = np.maximum(since[place + 1] - begun - patience, 0) - np.maximum(since[place] - begun - patience, 0)
        stayed = best + stay[level] + np.diag(further) - tiring * longer[:, None]
        came[place] = ways.argmax(axis=0)
        capped[place] = stayed[-1] > stayed[-2]
        best = np.vstack([ways.max(axis=0), stayed[:-2], np.maximum(stayed[-2], stayed[-1])]) + allowed[place]
    age, state = (int(part) for part in np.unravel_index(int(best.argmax()), best.shape))
    path = np.empty(count, np.int64)
    for place in range(count - 1, -1, -1):
        path[place] = state
        if age == 0:
            state = int(came[place, state])
            age = int(age_before[place, state])
        elif age < _AGES - 1 or not capped[place, state]:
            age -= 1
    return path


def progressions(
    slots: Sequence[Slot],
    minor: bool,
    transitions: Transitions,
    *,
    given: NDArray[np.int64] | None = None,
    candidates: int = 1,
    seed: int = 0,
    temperature: float = 1.0,
    weights: HarmonyWeights = CHOSEN,
) -> list[NDArray[np.int64]]:
    """``candidates`` different paths int64[n] of states, the likeliest first; fewer when the melody has no others.

    The others are likeliest when what the ones before them chose costs something (diverse MAP) and the scores are
    perturbed a little by ``seed`` and ``temperature``, both alike wherever a bar comes again, so that a tune's form is
    kept. No slot gets a function that its notes speak clearly against.
    """
    observed = scores(slots, minor, weights)
    levels = np.array([slot.level for slot in slots], np.int64)
    moves = transitions.log_probabilities(minor)
    onwards = steps(slots, minor, weights)
    quarters = np.array([slot.quarters for slot in slots])

    def likeliest(said: NDArray[np.float64]) -> NDArray[np.int64]:
        return decode(said, levels, moves, given, weights.change, onwards, quarters, weights.patience, weights.tiring)

    found = [likeliest(observed)]
    if not slots:
        return found
    kinds = {likeness: place for place, likeness in enumerate(dict.fromkeys(slot.likeness for slot in slots))}
    kind_of = np.array([kinds[slot.likeness] for slot in slots], np.int64)
    sung = np.array([[sum(note.weight for note in slot.notes)] for slot in slots])
    unfit = np.where(observed < observed.max(axis=1, keepdims=True) - np.clip(_UNFIT * sung, 1.0, 4.0), -100.0, 0.0)
    rng = np.random.default_rng([seed, 101])
    used = np.zeros((len(kinds), N_STATES))
    used[kind_of, found[0]] += 1
    dearer = 1.0
    for _ in range(10 * max(0, candidates - 1)):
        if len(found) >= candidates:
            break
        noise = temperature * _NOISE * rng.gumbel(size=(len(kinds), N_STATES))
        path = likeliest(observed + unfit + (noise - dearer * used)[kind_of])
        if all((path != other).mean() >= _DIFFERENT for other in found):
            found.append(path)
            used[kind_of, path] += 1
            dearer = 1.0
        else:
            dearer *= 1.3
    return found


def _profiles(slots: Sequence[Slot]) -> NDArray[np.float64]:
    """float64[n, 12]: quarters that each degree is sung for around each slot."""
    own = np.zeros((len(slots), 12))
    for place, slot in enumerate(slots):
        for note in slot.notes:
            own[place, note.degree] += note.weight
    summed = np.cumsum(np.vstack([np.zeros((1, 12)), own]), axis=0)
    low = np.maximum(np.arange(len(slots)) - _NEIGHBOURHOOD, 0)
    high = np.minimum(np.arange(len(slots)) + _NEIGHBOURHOOD + 1, len(slots))
    return np.asarray(summed[high] - summed[low] + _FAR * (summed[-1] / max(len(slots), 1)) * (2 * _NEIGHBOURHOOD))


def _foreign(state: State, profile: NDArray[np.float64]) -> float:
    """How much the melody around sings the other form of the chord's tones, as F against F sharp; 0..3."""
    other = profile[_ALTERED[list(state.intervals)]]
    own = profile[list(state.intervals)]
    return float((np.maximum(other - own, 0) / (other + own + 0.5)).sum())


def _outside(note: SungNote, state: State, level: int) -> bool:
    """Whether a note is heard against a chord that it does not belong to: on its strong beat, or because it is the
    other form of one of the chord's tones, as G sharp is against G."""
    if note.degree in state.intervals or note.weight < _HEARD:
        return False
    return (level > 0 and note.strength == 1) or int(_ALTERED[note.degree]) in state.intervals


def _endings(slot: Slot, minor: bool) -> NDArray[np.float64]:
    """float64[N_STATES], 0..1: how well each closes a melody whose last slot this is. The tonic, the better the closer
    the last note is to the key's; and in minor, where it is the fifth, the dominant."""
    vocabulary = states(minor)
    last = slot.notes[-1].degree if slot.notes else 0
    found = np.zeros(len(vocabulary))
    found[0] = _settled(last, minor)
    if minor and last == 7:
        found[[state.numeral for state in vocabulary].index("V")] = 1.0
    return found


def _settled(degree: int, minor: bool) -> float:
    """0..1: how much at rest a melody is over the tonic on its degrees; on the fifth, in minor, it rather waits."""
    return {0: 1.0, 3 if minor else 4: 0.8, 7: 0.2 if minor else 0.5}.get(degree, 0.0)
