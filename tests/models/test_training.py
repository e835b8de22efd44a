"""Training, from rows to a checked model, and every kind of rows that it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pipelines.errors import BadInput
from pipelines.mastering.tasks import TASKS, get
from pipelines.models import onnx_export, training
from pipelines.models.training import train
from pipelines.models.training_set import TrainingSet, names_hash
from tests.models import learnable
from tests.models.learnable import CLASSES, TARGETS


def test_a_linear_rule_is_learned_by_ridge() -> None:
    data = learnable.regression()
    trained = train(data, TARGETS)
    metrics = trained.metrics
    assert trained.estimator == metrics["estimator"] == "ridge"
    assert "does not win by more than one standard error" in metrics["choice"]
    for name in TARGETS.outputs:
        figures = metrics["targets"][name]
        assert figures["unit"] == "dB"
        assert len(figures["mae"]["folds"]) == 5
        assert figures["r2"]["mean"] > 0.8
        assert figures["mae"]["mean"] < 0.5 * figures["baseline"]["mean"]["mae"]["mean"]
        assert figures["baseline"]["mean"]["r2"]["mean"] <= 0
        assert figures["baseline"]["median"]["mae"]["all"] <= figures["baseline"]["mean"]["mae"]["all"] * 1.05
    assert metrics["n"] == 400 and metrics["n_groups"] == 40 and metrics["folds"]["count"] == 5
    assert metrics["parity"] < 1e-5
    assert trained.reference["n"] == 400
    assert trained.out_of_fold.shape == (400, 3)
    assert sum(trained.importance.values()) == pytest.approx(1)
    json.dumps([metrics, trained.reference], allow_nan=False)


def test_a_bent_rule_is_learned_by_lightgbm() -> None:
    trained = train(learnable.regression(3000, bend=1.5, recordings=200), TARGETS)
    tried = trained.metrics["candidates"]
    assert trained.estimator == "lightgbm"
    assert tried["lightgbm"]["loss"]["mean"] < tried["ridge"]["loss"]["mean"]
    assert trained.metrics["parity"] < 1e-5
    assert onnx_export.metadata_of(trained.onnx)["estimator"] == "lightgbm"


def test_classes_are_learned_beside_their_majority() -> None:
    data = learnable.classification(1200)
    trained = train(data, CLASSES)
    metrics = trained.metrics
    assert trained.estimator == "logistic"
    assert trained.classes == ("bright", "clear", "dense")
    majority = metrics["baseline"]["majority"]
    assert metrics["accuracy"]["mean"] > majority["accuracy"]["mean"] + 0.2
    assert metrics["f1_macro"]["mean"] > majority["f1_macro"]["mean"] + 0.3
    for lower in ("log_loss", "brier"):
        assert metrics[lower]["mean"] < majority[lower]["mean"]
    assert metrics["ece"]["all"] < 0.06
    assert set(metrics["classes"]) == set(trained.classes)
    np.testing.assert_allclose(trained.out_of_fold.sum(axis=1), 1, atol=1e-5)
    metadata = onnx_export.metadata_of(trained.onnx)
    assert onnx_export.classes_of(metadata) == trained.classes
    assert metadata["names_hash"] == names_hash(data.names)
    assert metadata["feature_version"] == "audio-1"
    assert metadata["code_version"] == training.VERSION
    json.dumps([metrics, trained.reference], allow_nan=False)


def test_identity_of_the_recording_does_not_leak_through_grouped_folds() -> None:
    """Labels drawn once a recording: who has heard the recording knows them, who has not can only guess."""
    data = learnable.identity()
    grouped = train(data, CLASSES).metrics["accuracy"]["all"]
    leaking = train(learnable.ungrouped(data), CLASSES).metrics["accuracy"]["all"]
    assert 0.25 < grouped < 0.75
    assert leaking > 0.95


def test_no_row_is_answered_by_a_model_that_heard_its_recording() -> None:
    data = learnable.regression(600, recordings=9)
    trained = train(data, TARGETS)
    for name in np.unique(data.recordings):
        assert len(np.unique(trained.fold[data.recordings == name])) == 1


def test_the_same_rows_give_the_same_bytes_in_another_process() -> None:
    """With another number of BLAS threads, and another seed of Python's hashes, too."""
    code = """
import hashlib
from pipelines.models.training import train
from tests.models import learnable
for data, task, seed in (
    (learnable.regression(200, bend=1.5), learnable.TARGETS, 3),
    (learnable.classification(200), learnable.CLASSES, 3),
):
    for estimators in (("linear",), ("lightgbm",)):
        print(hashlib.sha256(train(data, task, seed=seed, estimators=estimators).onnx).hexdigest())
"""
    here = [
        hashlib.sha256(train(data, task, seed=3, estimators=(name,)).onnx).hexdigest()
        for data, task in ((learnable.regression(200, bend=1.5), TARGETS), (learnable.classification(200), CLASSES))
        for name in ("linear", "lightgbm")
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "PYTHONHASHSEED": "77"}
    there = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True)
    assert there.stdout.split() == here
    assert len(set(here)) == 4


def test_the_first_training_of_a_process_runs_on_one_thread_too() -> None:
    """scipy brings a BLAS of its own, which no limit reaches that was set before it was loaded."""
    code = """
from pipelines.models.estimators import one_thread
with one_thread():
    import scipy.linalg, scipy.optimize
    from threadpoolctl import threadpool_info
    print({library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"})
"""
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    told = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "{1}"


def test_weights_count() -> None:
    """Rows of a wrong rule, trusted a hundredth as much, hardly move the model."""
    data = learnable.regression(400, noise=0.01)
    wrong = np.arange(400) % 2 == 0
    y = np.where(wrong[:, None], -data.y, data.y).astype(np.float32)
    trusted = replace(data, y=y, weights=np.where(wrong, 0.01, 1).astype(np.float32))
    equally = replace(trusted, weights=np.ones(400, np.float32))
    assert train(trusted, TARGETS).metrics["targets"]["low"]["r2"]["all"] > 0.8
    assert train(equally, TARGETS).metrics["targets"]["low"]["r2"]["all"] < 0.2


def test_few_recordings_mean_few_folds() -> None:
    metrics = train(learnable.regression(200, recordings=3), TARGETS).metrics
    assert metrics["folds"] == {
        "count": 3,
        "grouped_by": "recording",
        "note": "3 folds instead of 5: there are only 3 recordings",
    }
    metrics = train(learnable.regression(200, recordings=2), TARGETS).metrics
    assert metrics["estimator"] == "ridge"
    assert metrics["candidates"]["lightgbm"]["not_tried"].endswith("two recordings leave none to stop its rounds by")


def test_twenty_rows_are_enough_for_a_linear_model_only() -> None:
    trained = train(learnable.regression(20, recordings=8), TARGETS)
    assert trained.metrics["candidates"]["lightgbm"] == {"not_tried": "not tried: 20 rows, it wants 100"}
    with pytest.raises(BadInput, match="it wants 100"):
        train(learnable.regression(20, recordings=8), TARGETS, estimators=("lightgbm",))


def test_constant_columns_are_named_and_weigh_nothing() -> None:
    data = learnable.regression()
    X = data.X.copy()
    X[:, [2, 7]] = -80.0
    trained = train(replace(data, X=X), TARGETS)
    assert trained.metrics["constant_features"] == ["mel 2", "mel 7"]
    assert trained.importance["mel 2"] == pytest.approx(0, abs=1e-12)


def test_a_constant_target_is_answered_and_has_no_r2() -> None:
    data = learnable.regression()
    y = data.y.copy()
    y[:, 2] = -14.0
    trained = train(replace(data, y=y), TARGETS)
    figures = trained.metrics["targets"]["comp"]
    assert figures["r2"]["all"] is None and figures["r2"]["mean"] is None
    assert figures["mae"]["all"] < 1e-6
    np.testing.assert_allclose(onnx_export.run(trained.onnx, data.X)[:, 2], -14, atol=1e-4)


def test_a_class_of_one_recording_is_learned_and_scored_as_never_found() -> None:
    data = learnable.classification()
    labels = np.where(data.recordings == data.recordings[0], "rare", data.labels)
    trained = train(replace(data, labels=labels), CLASSES)
    assert trained.classes == ("bright", "clear", "dense", "rare")
    assert trained.metrics["classes"]["rare"]["recall"] == 0
    json.dumps(trained.metrics, allow_nan=False)


def test_an_overconfident_forest_is_cooled() -> None:
    data = learnable.classification(600, classes=4, sharp=1.0)
    metrics = train(data, CLASSES, estimators=("lightgbm",)).metrics
    told = metrics["calibration"]
    assert told["applied"] == (told["temperature"] != 1.0)
    if told["applied"]:
        assert told["ece"] > told["ece_by_chance"]
        assert metrics["ece"]["all"] == pytest.approx(told["ece_calibrated"], abs=1e-6)


def test_the_learning_curve_rises_with_rows() -> None:
    curve = train(learnable.regression(800, noise=1.0), TARGETS, estimators=("linear",)).learning_curve
    assert list(curve.sizes) == sorted(curve.sizes) and len(curve.sizes) == 4
    assert curve.held[-1] > curve.held[0]
    assert curve.learned[0] > curve.learned[-1]


def unfit() -> list[tuple[TrainingSet, str]]:
    good, classes = learnable.regression(), learnable.classification()
    nan_x, nan_y, inf_x = good.X.copy(), good.y.copy(), good.X.copy()
    nan_x[5:8, 2] = np.nan
    inf_x[0, 0] = np.inf
    nan_y[3, 1] = np.nan
    zero = np.where(np.arange(400) == 9, 0, good.weights).astype(np.float32)
    return [
        (good.take(np.arange(10)), r"training set of master_reg: has 10 rows; gather at least 20 labelled rows"),
        (good.take(np.arange(1)), r"has 1 row;"),
        (good.take(np.arange(0)), r"has 0 rows;"),
        (replace(good, X=nan_x), r"3 of 400 rows have features that are not numbers \(mel 2\)"),
        (replace(good, X=inf_x), r"1 of 400 rows have features that are not numbers \(mel 0\)"),
        (replace(good, y=nan_y), r"1 labels are not numbers \(ids 1003\); correct or delete"),
        (replace(good, y=good.y[:, :2]), r"has 2 targets a row, the task 3 \(low, high, comp\)"),
        (replace(good, y=np.ones((400, 3), np.float32)), r"every row has the same answer"),
        (replace(good, weights=zero), r"weights are not all finite and above 0"),
        (replace(good, recordings=np.full(400, "one song")), r"all its 400 rows come from one recording"),
        (replace(good, X=good.X[:, :0], names=()), r"has no features"),
        (replace(classes, labels=np.full(400, "dense")), r"has only the class 'dense'; add rows of at least one other"),
        (classes, r"has classes where numbers are learned"),
    ]


@pytest.mark.parametrize(("data", "sentence"), unfit())
def test_rows_that_nothing_can_be_learned_from_are_refused_in_a_sentence(data: TrainingSet, sentence: str) -> None:
    task = CLASSES if "class '" in sentence else TARGETS
    with pytest.raises(BadInput, match=sentence):
        train(data, task)


def test_numbers_are_no_classes() -> None:
    with pytest.raises(BadInput, match="has numbers where classes are learned"):
        train(learnable.regression(), CLASSES)


def test_a_model_whose_onnx_disagrees_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "parity", lambda *_: 0.02)
    with pytest.raises(BadInput, match=r"model of master_reg: its ONNX differs from the model by 0\.02"):
        train(learnable.regression(), TARGETS, estimators=("linear",))


def test_masterings_tasks() -> None:
    assert set(TASKS) == {"master_reg", "preset_cls", "align_conf"}
    assert all(len(task.units) == len(task.outputs) for task in TASKS.values())
    assert get("align_conf").clip_kind == "vocal"
    with pytest.raises(BadInput, match="choose one of master_reg, preset_cls, align_conf"):
        get("karaoke")


def test_a_training_set_keeps_its_columns_together() -> None:
    data = learnable.classification()
    some = data.take(data.labels == "dense")
    assert set(some.labels) == {"dense"} and len(some) == len(some.row_ids) < len(data)
    with pytest.raises(ValueError, match="different lengths"):
        replace(data, weights=data.weights[:-1])
    with pytest.raises(ValueError, match="either y or labels"):
        replace(data, labels=None)
