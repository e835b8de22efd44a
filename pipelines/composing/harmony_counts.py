"""What the harmony model learns from the training chorales: transitions, and which notes are sung over which chord.

``python -m pipelines.composing.harmony_counts`` makes harmony_counts.json anew. The model is progressions.py's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.corpus import Chorale, load
from pipelines.composing.functions import N_STATES, QUALITIES, State, states

SHIPPED = Path(__file__).with_name("harmony_counts.json")
BEAT = 4  # frames


@dataclass(frozen=True, slots=True)
class HarmonyCounts:
    """``transitions`` float64[2, N_STATES, N_STATES]: changes of chord in major and minor.

    ``emissions`` float64[4, 2, 2, 12]: notes of the melody by the chord's quality, whether they come on the beat,
    whether they go on by step, and their interval above the chord's root. ``states`` float64[2, N_STATES]: beats.
    """

    transitions: NDArray[np.float64]
    emissions: NDArray[np.float64]
    states: NDArray[np.float64]


def reduce(chorale: Chorale) -> NDArray[np.int64]:
    """int64[B]: the state of each beat's harmony, -1 where none of them fits.

    A state fits by what of it sounds through the beat, less what sounds beside it, the bass on the root being worth
    half a note; the notes of the beat's first frame count four times those inside of it.
    """
    beats = chorale.frames.reshape(-1, BEAT, 4)
    heard = np.zeros((len(beats), 12))
    weights = np.array([1.0, 0.25, 0.25, 0.25])
    for voice in range(4):
        for frame in range(BEAT):
            sounding = np.flatnonzero(beats[:, frame, voice] >= 0)
            degrees = (beats[sounding, frame, voice] - chorale.key.tonic) % 12
            heard[sounding, degrees] = np.maximum(heard[sounding, degrees], weights[frame])
    bass = np.where(beats[:, 0, 3] >= 0, (beats[:, 0, 3] - chorale.key.tonic) % 12, -1)
    scores = np.stack([_fits(heard, bass, state) for state in states(chorale.minor)], axis=1)
    found = scores.argmax(axis=1)
    return np.where(scores.max(axis=1) >= 1.5, found, -1)


def count(chorales: Iterable[Chorale]) -> HarmonyCounts:
    transitions = np.zeros((2, N_STATES, N_STATES))
    emissions = np.zeros((len(QUALITIES), 2, 2, 12))
    seen = np.zeros((2, N_STATES))
    for chorale in chorales:
        reduced = reduce(chorale)
        mode = int(chorale.minor)
        np.add.at(seen[mode], reduced[reduced >= 0], 1)
        for before, after in pairwise(reduced):
            if before >= 0 and after >= 0 and before != after:
                transitions[mode, before, after] += 1
        soprano = chorale.frames[:, 0]
        starts = [
            frame
            for frame in range(len(soprano))
            if soprano[frame] >= 0 and (frame % BEAT == 0 or soprano[frame] != soprano[frame - 1])
        ]
        for frame, following in zip(starts, [*starts[1:], -1], strict=True):
            state = reduced[frame // BEAT]
            if state < 0:
                continue
            chord = states(chorale.minor)[state]
            step = int(following >= 0 and 0 < abs(soprano[following] - soprano[frame]) <= 2)
            interval = (soprano[frame] - chorale.key.tonic - chord.offset) % 12
            emissions[QUALITIES.index(chord.quality), int(frame % BEAT == 0), step, interval] += 1
    return HarmonyCounts(transitions, emissions, seen)


@cache
def shipped_counts() -> HarmonyCounts:
    """Of the 229 training chorales."""
    held = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return HarmonyCounts(*(np.array(held[field.name], np.float64) for field in fields(HarmonyCounts)))


def write(counts: HarmonyCounts, path: Path = SHIPPED) -> None:
    held = {field.name: getattr(counts, field.name).astype(int).tolist() for field in fields(counts)}
    path.write_text(json.dumps(held, separators=(",", ":")) + "\n", encoding="utf-8")


def _fits(heard: NDArray[np.float64], bass: NDArray[np.int64], state: State) -> NDArray[np.float64]:
    inside = list(state.intervals)
    others = [degree for degree in range(12) if degree not in inside]
    score = heard[:, inside].sum(axis=1) - heard[:, others].sum(axis=1) + 0.5 * (bass == state.offset)
    third, seventh = inside[1], inside[3:]
    score -= 0.5 * (heard[:, third] < 1)
    for degree in seventh:  # a seventh chord only where its seventh sounds
        score -= 0.6 * (heard[:, degree] == 0)
    return np.asarray(score)


if __name__ == "__main__":
    write(count(load().train))
