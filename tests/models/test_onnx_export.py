"""A model's ONNX answers what the model answers, in the shape that serving expects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from pipelines.models import onnx_export
from pipelines.models.boosting import LightGBM
from pipelines.models.estimators import Fitted, Forest, Linear, Problem, apply_link
from pipelines.models.linear import Logistic, Ridge
from pipelines.models.training_set import TrainingSet
from tests.models import learnable


def problem(data: TrainingSet) -> Problem:
    Y = data.y if data.y is not None else data.labels[:, None] == np.unique(data.labels)
    fold = np.arange(len(data)) % 5
    return Problem(data.X, np.asarray(Y, np.float64), data.weights.astype(np.float64), fold, 5)


TARGETS = problem(learnable.regression(bend=1.0))
CLASSES = problem(learnable.classification())
PAIR = problem(learnable.classification(classes=2))
MODELS: dict[str, tuple[Fitted, Problem]] = {
    "ridge": (Ridge().fit(TARGETS, (0.01,) * 3), TARGETS),
    "logistic": (Logistic().fit(CLASSES, (0.001,)), CLASSES),
    "logistic of two": (Logistic().fit(PAIR, (0.001,)), PAIR),
    "forest": (LightGBM(False).fit(TARGETS, (20.0, 7.0, 1.0)), TARGETS),
    "forest of classes": (LightGBM(True).fit(CLASSES, (15.0,)), CLASSES),
    "forest of two": (LightGBM(True).fit(PAIR, (15.0,)), PAIR),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_the_onnx_agrees_with_its_model(name: str, temperature: float) -> None:
    model, p = MODELS[name]
    model = model.cooled(temperature)
    made = onnx_export.to_onnx(model, 12, {"task": "t"})
    assert onnx_export.parity(made, model, p.X) < 1e-5
    outputs = onnx_export.run(made, p.X)
    assert outputs.dtype == np.float32 and outputs.shape == p.Y.shape
    if model.link != "identity":
        np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-5)
    alone = onnx_export.run(made, p.X[:1])
    np.testing.assert_allclose(alone, outputs[:1], atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_one_input_one_output_and_the_metadata(name: str) -> None:
    model, _ = MODELS[name]
    metadata = {"task": "preset_cls", "classes": '["hell", "mūrk"]', "feature_version": "audio-1"}
    made = onnx_export.to_onnx(model, 12, metadata)
    graph = onnx.load_from_string(made).graph
    assert [i.name for i in graph.input] == ["features"]
    assert [o.name for o in graph.output] == ["outputs"]
    assert onnx_export.metadata_of(made) == metadata
    assert onnx_export.classes_of(metadata) == ("hell", "mūrk")
    assert onnx_export.classes_of({}) is None
    assert made == onnx_export.to_onnx(model, 12, dict(reversed(metadata.items())))


@pytest.mark.parametrize("name", MODELS)
def test_inputs_far_from_any_seen_still_give_numbers(name: str) -> None:
    model, _ = MODELS[name]
    made = onnx_export.to_onnx(model, 12, {})
    far = np.array([[1e6] * 12, [-1e6] * 12, [0] * 12], np.float32)
    assert np.isfinite(onnx_export.run(made, far)).all()
    assert onnx_export.parity(made, model, far) < 1e-4


def test_a_row_on_the_cut_between_neighbouring_floats_goes_the_same_way() -> None:
    low = np.float32(1.0)
    x = np.where(np.arange(400) % 2, np.nextafter(low, np.float32(2)), low)
    for _ in range(8):  # neighbours whose midpoint rounds up as well as down
        X = np.column_stack([x, np.zeros(400, np.float32)]).astype(np.float32)
        Y = (np.arange(400.0) % 2)[:, None]
        model = LightGBM(False).fit(Problem(X, Y, np.ones(400), np.arange(400) % 5, 5), (5.0,))
        assert np.ptp(model.raw(X)) > 0.1
        assert onnx_export.parity(onnx_export.to_onnx(model, 2, {}), model, X) < 1e-6
        x = np.nextafter(x, np.float32(2))


def test_a_large_mean_costs_no_digits() -> None:
    rng = np.random.default_rng(0)
    X = (1000 + 0.01 * rng.normal(size=(300, 4))).astype(np.float32)
    p = Problem(X, X[:, :1].astype(np.float64) * 50, np.ones(300), np.arange(300) % 5, 5)
    model = Ridge().fit(p, (1e-5,))
    assert onnx_export.parity(onnx_export.to_onnx(model, 4, {}), model, X) < 1e-5


def test_a_disagreement_is_seen() -> None:
    model, p = MODELS["ridge"]
    assert isinstance(model, Linear)
    made = onnx_export.to_onnx(replace(model, intercept=model.intercept + 0.5), 12, {})
    assert onnx_export.parity(made, model, p.X) > 0.05
    broken = onnx_export.to_onnx(replace(model, coef=np.full_like(model.coef, np.inf)), 12, {})
    assert onnx_export.parity(broken, model, p.X) == float("inf")


def test_a_target_that_never_moves_has_trees_of_one_leaf() -> None:
    Y = TARGETS.Y.copy()
    Y[:, 1] = -14.0
    p = replace(TARGETS, Y=Y)
    model = LightGBM(False).fit(p, (5.0, 5.0, 5.0))
    made = onnx_export.to_onnx(model, 12, {})
    assert onnx_export.parity(made, model, p.X) < 1e-5
    np.testing.assert_allclose(onnx_export.run(made, p.X)[:, 1], -14)


def test_more_threads_grow_the_same_trees() -> None:
    one, two = (LightGBM(False, threads=threads).fit(TARGETS, (10.0,) * 3) for threads in (1, 2))
    assert isinstance(one, Forest)
    assert onnx_export.to_onnx(one, 12, {}) == onnx_export.to_onnx(two, 12, {})


def test_one_against_the_rest_is_the_normalised_logistic_function() -> None:
    raw = np.array([[0.3, -2.0, 1.0], [-800.0, -801.0, -790.0]])
    plain = 1 / (1 + np.exp(-raw[0]))
    shares = apply_link(raw, "one_vs_rest")
    np.testing.assert_allclose(shares[0], plain / plain.sum())
    np.testing.assert_allclose(shares[1], np.exp([-10, -11, 0]) / np.exp([-10, -11, 0]).sum())
