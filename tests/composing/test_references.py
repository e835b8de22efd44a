from __future__ import annotations

import numpy as np
import pytest

from pipelines.composing import corpus, references
from pipelines.composing.corpus import Chorale
from pipelines.composing.evaluation import SIMPLE
from pipelines.composing.harmonizer import Harmonizer
from pipelines.composing.memory import Memory
from pipelines.composing.metrics import judge
from pipelines.composing.references import Completer

FEW = 24


@pytest.fixture(scope="module")
def train() -> tuple[Chorale, ...]:
    return corpus.load().train[:FEW]


@pytest.fixture(scope="module", params=[*SIMPLE, "one_shot"])
def completer(request: pytest.FixtureRequest, train: tuple[Chorale, ...]) -> Completer:
    if request.param == "one_shot":
        return references.one_shot(Harmonizer.load())
    if request.param == "boosted_trees":
        return references.boosted_trees(train[:8], rounds=2)
    return SIMPLE[request.param](train)


@pytest.mark.parametrize("length", [1, 3, 16, 33])
def test_any_melody_is_completed_and_comes_back(completer: Completer, length: int) -> None:
    rng = np.random.default_rng(length)
    soprano = np.repeat(rng.integers(55, 85, -(-length // 3)), 3)[:length]
    soprano[rng.random(length) < 0.2] = -1
    made = completer(soprano)
    assert made.shape == (length, 4)
    assert (made[:, 0] == soprano).all()
    assert ((made >= -1) & (made <= 127)).all()
    assert (completer(soprano) == made).all()


def test_silence_stays_silent(completer: Completer) -> None:
    assert (completer(np.full(8, -1)) == -1).all()


@pytest.mark.parametrize("name", ["fixed_intervals", "most_frequent_voicing", "hidden_markov"])
def test_a_melody_in_another_key_is_sung_alike(name: str, train: tuple[Chorale, ...]) -> None:
    complete = SIMPLE[name](train)
    soprano = train[0].frames[:, 0]
    made = complete(soprano)
    assert (complete(soprano + 1) == np.where(made >= 0, made + 1, made)).all()


def test_each_is_better_than_the_one_before() -> None:
    """On the validation pieces, of what a seventh of the training pieces tell."""
    pieces = corpus.load()
    train, valid = pieces.train[:FEW], pieces.valid[:20]
    truth = [piece.frames for piece in valid]
    found = {
        name: judge(truth, [learn(train)(piece.frames[:, 0]) for piece in valid])
        for name, learn in SIMPLE.items()
        if name != "boosted_trees"
    }
    fixed, frequent, markov = (found[name] for name in ("fixed_intervals", "most_frequent_voicing", "hidden_markov"))
    assert 0.15 < fixed["frames"] < 0.25 < frequent["frames"] < 0.37
    assert fixed["parallels_beats"] > 100
    assert markov["parallels_beats"] < frequent["parallels_beats"]
    assert markov["frames"] > fixed["frames"] + 0.05


def test_the_one_shot_network_has_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asked the memory")

    monkeypatch.setattr(Memory, "votes", refuse)
    made = references.one_shot(Harmonizer.load())(corpus.load().valid[0].frames[:, 0])
    assert (made[:, 1:] >= -1).all()
