"""Learning new rows between the trainings: what it knows, what it keeps apart, and how it is stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import BadInput
from pipelines.models import onnx_export, partial_fit, warm_state
from pipelines.models.estimators import apply_link
from pipelines.models.training import train
from pipelines.models.training_set import TrainingSet
from tests.models import learnable
from tests.models.learnable import CLASSES, TARGETS


def first(data: TrainingSet, n: int) -> TrainingSet:
    return data.take(np.arange(len(data)) < n)


def shuffled(data: TrainingSet) -> TrainingSet:
    return data.take(np.random.default_rng(0).permutation(len(data)))


def same(one: warm_state.Incremental, other: warm_state.Incremental) -> bool:
    return warm_state.dumps(one) == warm_state.dumps(other)


def test_a_regression_learned_in_parts_is_the_one_learned_at_once() -> None:
    data = shuffled(learnable.regression(600))
    state = partial_fit.start(first(data, 300), TARGETS)
    at_once = partial_fit.update(state, data)
    in_parts = state
    for n in (400, 500, 600):
        in_parts = partial_fit.update(in_parts, first(data, n))
    np.testing.assert_allclose(in_parts.beta, at_once.beta, atol=1e-9)
    assert in_parts.updates == 3 and at_once.updates == 1
    assert np.array_equal(in_parts.row_ids, at_once.row_ids)


@pytest.mark.parametrize(("task", "measure"), [(TARGETS, "mae"), (CLASSES, "log_loss")])
def test_new_rows_bring_it_near_a_training_of_all(task: object, measure: str) -> None:
    many = {"d": 30, "recordings": 300, "seed": 4}
    data = shuffled(
        learnable.regression(3000, noise=2.0, **many) if task is TARGETS else learnable.classification(3000, **many)
    )
    state = partial_fit.start(first(data, 150), task)

    def error(state: warm_state.Incremental) -> float:
        found = partial_fit.evaluate(state, data, task)["incremental"][measure]
        return float(np.mean(list(found.values()))) if isinstance(found, dict) else found

    before = error(state)
    for n in range(250, 3001, 250):
        state = partial_fit.update(state, first(data, n))
    whole = partial_fit.start(data, task)
    assert error(state) < before
    assert error(state) - error(whole) < 0.25 * (before - error(whole))


def test_it_follows_a_rule_that_moves() -> None:
    data = shuffled(learnable.regression(1200))
    moved = replace(data, y=data.y + 2, row_ids=data.row_ids + 10_000)
    state = partial_fit.start(first(data, 300), TARGETS)
    before = partial_fit.evaluate(state, moved, TARGETS)["incremental"]["mae"]["low"]
    after = partial_fit.evaluate(partial_fit.update(state, moved), moved, TARGETS)["incremental"]["mae"]["low"]
    assert after < 0.5 * before


def test_rows_are_learned_once() -> None:
    data = learnable.classification()
    state = partial_fit.start(data, CLASSES)
    assert not partial_fit.unlearned(state, data).any()
    assert partial_fit.update(state, data) is state


@given(names=st.sets(st.text(min_size=1, max_size=5), min_size=2, max_size=30))
def test_some_recordings_are_held_out_never_most(names: set[str]) -> None:
    recordings = np.array(sorted(names))
    share = partial_fit.held_share(recordings)
    held = partial_fit.held_out(recordings, share)
    assert 1 <= held.sum() <= max(len(set(recordings)) // 2, 1)
    again = np.concatenate([recordings, ["another"]])
    assert np.array_equal(partial_fit.held_out(again, share)[:-1], held)


def test_a_held_out_recording_is_never_learned_from() -> None:
    data = shuffled(learnable.regression(500))
    state = partial_fit.update(partial_fit.start(first(data, 250), TARGETS), data)
    held = partial_fit.held_out(data.recordings, state.held_share)
    assert held.any()
    assert not np.isin(data.row_ids[held], state.row_ids).any()
    assert np.isin(data.row_ids[~held], state.row_ids).all()


def test_it_is_judged_beside_the_live_model_on_rows_that_neither_saw() -> None:
    data = shuffled(learnable.classification(800))
    early = first(data, 400)
    live = train(early, CLASSES, estimators=("linear",))
    state = partial_fit.update(partial_fit.start(early, CLASSES), data)
    figures = partial_fit.evaluate(state, data, CLASSES, live=live.onnx, seen=early.row_ids)
    held = partial_fit.held_out(data.recordings, state.held_share) & ~np.isin(data.row_ids, early.row_ids)
    assert figures["n"] == held.sum() > 0
    for model in ("incremental", "live"):
        assert 0.5 < figures[model]["accuracy"] <= 1
        assert figures[model]["log_loss"] < np.log(3)
    assert partial_fit.evaluate(state, data, CLASSES, seen=data.row_ids) == {"n": 0, "n_groups": 0, "updates": 1}


def test_a_class_that_it_does_not_know_waits_for_the_next_training() -> None:
    data = learnable.classification()
    state = partial_fit.start(data, CLASSES)
    fresh = replace(data, row_ids=data.row_ids + 10_000, labels=np.where(data.labels == "dense", "new", data.labels))
    unlearned = partial_fit.unlearned(state, fresh)
    assert unlearned.any() and not (unlearned & (fresh.labels == "new")).any()
    assert partial_fit.update(state, fresh).classes == ("bright", "clear", "dense")


def test_rows_that_are_gone_are_told() -> None:
    data = learnable.regression()
    state = partial_fit.start(data, TARGETS)
    assert not len(partial_fit.forgotten(state, data))
    left = data.take(data.users != data.users[0])
    gone = partial_fit.forgotten(state, left)
    assert len(gone) and set(gone) <= set(data.row_ids[data.users == data.users[0]])


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_its_onnx_answers_as_it_does(kind: str) -> None:
    data, task = (learnable.regression(), TARGETS) if kind == "regression" else (learnable.classification(), CLASSES)
    state = partial_fit.start(data, task)
    made = partial_fit.to_onnx(state, code_version="7")
    model = state.linear
    np.testing.assert_allclose(onnx_export.run(made, data.X), apply_link(model.raw(data.X), model.link), atol=1e-4)
    metadata = onnx_export.metadata_of(made)
    assert metadata["estimator"] == "incremental" and metadata["code_version"] == "7"
    assert onnx_export.classes_of(metadata) == state.classes


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_its_state_comes_back_as_it_was(kind: str) -> None:
    data, task = (learnable.regression(), TARGETS) if kind == "regression" else (learnable.classification(), CLASSES)
    state = partial_fit.start(data, task)
    back = warm_state.loads(warm_state.dumps(state))
    assert same(back, state)
    more = replace(data, row_ids=data.row_ids + 10_000)
    assert same(partial_fit.update(back, more), partial_fit.update(state, more))


def test_damaged_bytes_are_no_state() -> None:
    whole = warm_state.dumps(partial_fit.start(learnable.regression(), TARGETS))
    for bad in (b"", b"not one", whole[:-100], whole[:50], whole.replace(b'"format', b'"farmot'.ljust(7), 1)):
        with pytest.raises(BadInput, match="start it anew"):
            warm_state.loads(bad)
    swapped = replace(warm_state.loads(whole), scale=np.ones(3))
    with pytest.raises(BadInput, match="do not fit together"):
        warm_state.loads(warm_state.dumps(swapped))


def test_other_features_and_values_that_are_no_numbers_are_refused() -> None:
    data = learnable.regression()
    state = partial_fit.start(data, TARGETS)
    fresh = replace(data, row_ids=data.row_ids + 10_000)
    with pytest.raises(BadInput, match="learned from features audio-1, and these are audio-2"):
        partial_fit.update(state, replace(fresh, feature_version="audio-2"))
    with pytest.raises(BadInput, match="in another order"):
        partial_fit.update(state, replace(fresh, names=fresh.names[::-1]))
    X = fresh.X.copy()
    X[:, 0] = np.nan
    with pytest.raises(BadInput, match="not numbers"):
        partial_fit.update(state, replace(fresh, X=X))
    with pytest.raises(BadInput, match="has 10 rows"):
        partial_fit.start(first(data, 10), TARGETS)
