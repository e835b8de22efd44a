"""The chain's edges against the detectors, pair by pair."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.composing import motion, voice_leading
from pipelines.composing.weights import REACH, Weights

_TABLE = tuple(tuple(float(100 * voice + at) for at in range(2 * REACH + 1)) for voice in range(3))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 5))
def test_edges_hold_what_the_detectors_find(seed: int, n_beats: int, n_candidates: int) -> None:
    rng = np.random.default_rng(seed)
    chords = rng.integers(48, 74, (n_beats, n_candidates, 4))
    chords[rng.random(chords.shape) < 0.05] = -1
    chords[:, :, 0] = rng.integers(60, 80, (n_beats, 1))
    leaving = np.where(rng.random(n_beats) < 0.5, chords[:, 0, 0], rng.integers(60, 80, n_beats))

    found = motion.steps(chords, leaving, Weights(intervals=_TABLE))

    for beat in range(n_beats - 1):
        for one in range(n_candidates):
            for other in range(n_candidates):
                before, after = chords[beat, one], chords[beat + 1, other]
                gone = np.concatenate([leaving[beat : beat + 1], before[1:]])
                similar = voice_leading.consecutives(before, after).sum()
                either = voice_leading.consecutives(before, after, contrary=True).sum()
                if leaving[beat] != before[0]:  # only the pairs with the soprano are other ones
                    similar += voice_leading.consecutives(gone, after)[:3].sum()
                    either += voice_leading.consecutives(gone, after, contrary=True)[:3].sum()
                assert found.parallel[beat, one, other] == similar
                assert found.contrary[beat, one, other] == either - similar
                sings = (before[1:] >= 0) & (after[1:] >= 0)
                step = np.where(sings, np.clip(after[1:] - before[1:], -REACH, REACH), 0)
                assert found.interval[beat, one, other] == (step + REACH + 100 * np.arange(3)).sum()


def test_a_root_that_stays_while_its_third_turns_is_seen() -> None:
    chords = np.array([[[69, 64, 60, 45], [69, 64, 61, 45]], [[69, 64, 61, 45], [69, 65, 60, 53]]])

    turned = motion.steps(chords, chords[:, 0, 0], Weights()).turned

    assert turned.tolist() == [[[True, False], [False, False]]]
