"""The linear models against scikit-learn's, which fit fold by fold what these take from sums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.preprocessing import StandardScaler

from pipelines.models import estimators
from pipelines.models.estimators import Problem, apply_link
from pipelines.models.folds import split
from pipelines.models.linear import PENALTIES, SHRINKAGES, Logistic, Ridge
from pipelines.models.training_set import TrainingSet
from tests.models import learnable


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with estimators.one_thread():  # as training does
        yield


def problem(data: TrainingSet) -> Problem:
    folds = split(data.recordings, data.labels)
    if data.y is not None:
        Y = data.y.astype(np.float64)
    else:
        Y = (data.labels[:, None] == np.unique(data.labels)).astype(np.float64)
    return Problem(data.X, Y, data.weights.astype(np.float64), folds.index, folds.count)


def sklearn_ridge(p: Problem, setting: tuple[float, ...], X: np.ndarray) -> np.ndarray:
    scaler = StandardScaler().fit(p.X.astype(np.float64), sample_weight=p.weights)
    alphas = np.array(setting) * p.weights.sum()
    model = SklearnRidge(alpha=alphas).fit(scaler.transform(p.X.astype(np.float64)), p.Y, sample_weight=p.weights)
    return model.predict(scaler.transform(X.astype(np.float64)))


def test_ridge_is_the_pipeline_of_scaler_and_ridge() -> None:
    p = problem(learnable.regression())
    setting = (1e-3, 0.1, 2.0)
    np.testing.assert_allclose(Ridge().fit(p, setting).raw(p.X), sklearn_ridge(p, setting, p.X), atol=1e-8)


def test_cross_validated_ridge_is_refitted_ridge() -> None:
    p = problem(learnable.regression())
    found = Ridge().cross_validate(p)
    for f in range(p.folds):
        expected = sklearn_ridge(p.take(p.fold != f), found.settings[f], p.X[p.fold == f])
        np.testing.assert_allclose(found.raw[p.fold == f], expected, atol=1e-8)


def test_the_shrinkage_is_the_best_on_whole_folds() -> None:
    p = problem(learnable.regression(120, noise=3.0))
    found = Ridge().cross_validate(p)
    errors = np.zeros((len(SHRINKAGES), 3))
    for f in range(1, p.folds):  # for fold 0: each of the others held out in turn, fold 0 always
        inner = (p.fold != 0) & (p.fold != f)
        for s, shrinkage in enumerate(SHRINKAGES):
            answer = sklearn_ridge(p.take(inner), (shrinkage,) * 3, p.X[p.fold == f])
            errors[s] += p.weights[p.fold == f] @ (p.Y[p.fold == f] - answer) ** 2
    assert found.settings[0] == tuple(SHRINKAGES[errors.argmin(axis=0)])


def test_logistic_is_scikit_learns_one_class_against_the_rest() -> None:
    p = problem(learnable.classification())
    setting = (0.003,)
    scaler = StandardScaler().fit(p.X.astype(np.float64), sample_weight=p.weights)
    Z = scaler.transform(p.X.astype(np.float64))
    ours = Logistic().fit(p, setting).raw(p.X)
    for c in range(3):
        model = LogisticRegression(C=1 / (setting[0] * p.weights.sum()), solver="newton-cholesky", tol=1e-8)
        model.fit(Z, p.Y[:, c], sample_weight=p.weights)
        np.testing.assert_allclose(ours[:, c], model.decision_function(Z), atol=2e-3)


def test_cross_validated_logistic_is_refitted_logistic() -> None:
    p = problem(learnable.classification())
    found = Logistic().cross_validate(p)
    for f in range(p.folds):
        refitted = Logistic().fit(p.take(p.fold != f), found.settings[f]).raw(p.X[p.fold == f])
        np.testing.assert_allclose(found.raw[p.fold == f], refitted, atol=5e-3)


def test_noise_is_shrunk_harder_than_signal() -> None:
    clear = Logistic().cross_validate(problem(learnable.classification(sharp=6.0))).final[0]
    noise = Logistic().cross_validate(problem(learnable.classification(sharp=0.0))).final[0]
    assert noise > clear
    assert {clear, noise} <= set(PENALTIES)


@pytest.mark.parametrize("learner", [Ridge(), Logistic()])
def test_constant_and_equal_columns_are_harmless(learner: Ridge | Logistic) -> None:
    data = learnable.regression() if learner.name == "ridge" else learnable.classification()
    X = data.X.copy()
    X[:, 3] = -61.7
    X[:, 5] = X[:, 4]
    X[:, 6] = np.where(data.recordings == data.recordings[0], 5, -61.7)  # constant outside one recording
    p = problem(replace(data, X=X))
    found = learner.cross_validate(p)
    assert np.isfinite(found.raw).all()
    model = learner.fit(p, found.final)
    np.testing.assert_allclose(model.coef[3], 0, atol=1e-12)
    np.testing.assert_allclose(model.coef[4], model.coef[5], atol=1e-3)
    assert model.importance()[3] < 1e-12
    assert model.importance().sum() == pytest.approx(1)


def test_a_class_that_the_rows_do_not_hold_is_improbable_and_finite() -> None:
    p = problem(learnable.classification())
    without = p.take(p.Y[:, 2] == 0)
    model = Logistic().fit(without, (0.01,))
    shares = apply_link(model.raw(p.X), model.link)
    assert np.isfinite(model.raw(p.X)).all()
    assert shares[:, 2].max() < 0.01


def test_more_features_than_rows() -> None:
    p = problem(learnable.regression(40, 120, recordings=8))
    found = Ridge().cross_validate(p)
    assert np.isfinite(found.raw).all()
