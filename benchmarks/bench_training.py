"""Training: CPU of 20,000 x 160 rows with 5 folds, linear beside scikit-learn's, LightGBM, and learning in parts.

The rows are drawn here: correlated features at levels like decibels, 1,000 recordings, four targets that bend, eight
classes. Everything runs on one thread, so CPU seconds are seconds.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Figure, cpu_seconds, peak_rss_mb, write
from pipelines.mastering.tasks import TASKS
from pipelines.models import onnx_export, partial_fit
from pipelines.models.estimators import one_thread
from pipelines.models.training import Trained, train
from pipelines.models.training_set import TrainingSet

ROWS, FEATURES, RECORDINGS, PRESETS, HIDDEN = 20_000, 160, 1_000, 8, 20


def rows(n: int = ROWS, seed: int = 0) -> tuple[TrainingSet, TrainingSet]:
    """(for master_reg, for preset_cls)"""
    rng = np.random.default_rng(seed)
    recording = np.sort(rng.integers(0, RECORDINGS, n))
    hidden = 0.7 * rng.normal(size=(RECORDINGS, HIDDEN))[recording] + 0.7 * rng.normal(size=(n, HIDDEN))
    X = 5 * (hidden @ rng.normal(size=(HIDDEN, FEATURES)) + 0.5 * rng.normal(size=(n, FEATURES))) - 60
    y = hidden[:, :4] + np.sin(2 * hidden[:, 4:8]) + 0.3 * rng.normal(size=(n, 4))
    drawn = (2 * hidden[:, :PRESETS] + rng.gumbel(size=(n, PRESETS))).argmax(axis=1)
    targets = TrainingSet(
        "master_reg",
        X.astype(np.float32),
        y.astype(np.float32),
        None,
        rng.choice([0.3, 1, 3], n).astype(np.float32),
        np.array([f"song {i}" for i in recording]),
        np.array([f"{i % 50:016x}" for i in recording]),
        np.arange(n),
        "audio-1",
        tuple(f"feature {i}" for i in range(FEATURES)),
    )
    labels = np.array([f"preset {c}" for c in drawn])
    return targets, replace(targets, task="preset_cls", y=None, labels=labels)


def trained(data: TrainingSet, estimator: str) -> tuple[float, Trained]:
    """CPU seconds of the whole of ``train`` (folds, choice, fit, ONNX, parity, figures, learning curve), and what it
    gave."""
    kept: list[Trained] = []
    seconds = cpu_seconds(lambda: kept.append(train(data, TASKS[data.task], estimators=(estimator,))))
    return seconds, kept[0]


def by_scikit_learn(data: TrainingSet, fold: NDArray[np.int64], penalty: float) -> None:
    """Five folds of StandardScaler and one LogisticRegression a class, the penalty given."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    for f in range(5):
        learn = fold != f
        Z = StandardScaler().fit_transform(data.X[learn])
        weights = data.weights[learn]
        for name in np.unique(data.labels):
            model = LogisticRegression(C=1 / (penalty * weights.sum()), solver="newton-cholesky")
            model.fit(Z, data.labels[learn] == name, sample_weight=weights)


def in_parts(data: TrainingSet) -> dict[str, float]:
    """Mean absolute error (of all targets) on held-out recordings, over that of a training of all rows at once: after
    1,000 rows, after 1,000 more in hundreds, and the same hundreds by scikit-learn's SGDRegressor from there."""
    from sklearn.linear_model import SGDRegressor

    task = TASKS["master_reg"]
    data = data.take(np.random.default_rng(0).permutation(len(data))[:2500])

    def upto(n: int) -> TrainingSet:
        return data.take(np.arange(len(data)) < n)

    def error(state: partial_fit.Incremental) -> float:
        return float(np.mean(list(partial_fit.evaluate(state, data, task)["incremental"]["mae"].values())))

    start = partial_fit.start(upto(1250), task)
    whole = error(partial_fit.start(data, task))
    state, descended = start, start
    for n in range(1375, 2501, 125):  # a fifth of them are held out
        fresh = upto(n).take(partial_fit.unlearned(state, upto(n)))
        state = partial_fit.update(state, upto(n))
        Z = (fresh.X - start.mean) / start.scale
        beta = descended.beta.copy()
        for t in range(beta.shape[1]):
            model = SGDRegressor(learning_rate="constant", eta0=0.1 / FEATURES, alpha=1e-6, random_state=0)
            model.partial_fit(Z, fresh.y[:, t])  # gives it its shape
            model.coef_, model.intercept_ = beta[1:, t].copy(), beta[:1, t].copy()
            for _ in range(5):
                model.partial_fit(Z, fresh.y[:, t])
            beta[1:, t], beta[0, t] = model.coef_, model.intercept_[0]
        descended = replace(descended, beta=beta)
    return {"start": error(start) / whole, "ours": error(state) / whole, "sgd": error(descended) / whole}


def run() -> dict[str, Figure]:
    with one_thread():  # scikit-learn's as well
        return _run()


def _run() -> dict[str, Figure]:
    targets, classes = rows()
    small = targets.take(np.arange(200)), classes.take(np.arange(200))
    for data in small:  # imports
        train(data, TASKS[data.task])
    figures: dict[str, Figure] = {}

    what = f"{ROWS:,} x {FEATURES}, 5 folds of {RECORDINGS:,} recordings, and all that train() does"
    ridge, of_ridge = trained(targets, "linear")
    logistic, of_logistic = trained(classes, "linear")
    figures["linear_models"] = Figure(ridge + logistic, "CPU s", at_most=5, note=f"both of the next two; {what}")
    figures["ridge"] = Figure(
        ridge, "CPU s", note="4 targets, each with its shrinkage out of 22 chosen inside each fold"
    )
    figures["logistic"] = Figure(logistic, "CPU s", note=f"{PRESETS} classes, penalty out of 9 chosen inside each fold")
    penalty = of_logistic.metrics["candidates"]["logistic"]["final_setting"][0]
    theirs = cpu_seconds(lambda: by_scikit_learn(classes, of_logistic.fold, penalty))
    note = "five folds of LogisticRegression (newton-cholesky, float32) one class against the rest, nothing chosen"
    figures["logistic_by_scikit_learn"] = Figure(theirs, "CPU s", note=note)

    forest, of_forest = trained(targets, "lightgbm")
    figures["lightgbm_targets"] = Figure(forest, "CPU s", at_most=60, note=f"4 targets, one thread; {what}")
    seconds, of_classes = trained(classes, "lightgbm")
    figures["lightgbm_classes"] = Figure(seconds, "CPU s", at_most=60, note=f"{PRESETS} classes, one thread; {what}")
    for name, model in (("ridge", of_ridge), ("logistic", of_logistic), ("forest", of_forest), ("classes", of_classes)):
        figures[f"parity_{name}"] = Figure(model.metrics["parity"], "", at_most=onnx_export.LIMIT, note="over all rows")

    parts = in_parts(targets)
    note = "error after 1,000 rows and ten updates of 100, over that of one training of all 2,000"
    figures["partial_fit_over_whole"] = Figure(parts["ours"], "x", at_most=1.02, note=note)
    figures["partial_fit_before"] = Figure(parts["start"], "x", note="the same before the updates")
    figures["partial_fit_by_sgd"] = Figure(parts["sgd"], "x", note="the same updates by SGDRegressor, five epochs each")

    code = "from benchmarks.bench_training import rows, TASKS, train\ntrain(rows()[1], TASKS['preset_cls'])"
    figures["memory"] = Figure(peak_rss_mb(code), "MB", note=f"peak of a process that makes and learns {what}")
    return figures


if __name__ == "__main__":
    results = run()
    for name, figure in results.items():
        print(f"{name}: {figure.value:.3g} {figure.unit}  {'' if figure.met else 'NOT MET'}")
    write("training", results)
