"""Watching a model: what counting costs a call, and what a look at a month of its traffic costs."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import text

from benchmarks.measure import Figure, write
from pipelines import clock
from pipelines.models import drift, rollout, watching
from pipelines.notifier import Notifier
from pipelines.settings import Settings
from pipelines.storage.tables import ModelTraffic, ModelVersion
from pipelines.studio import Studio

FEATURES, OUTPUTS, DAYS = 164, 8, 30
NAME = "preset_cls"


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median wall-clock time."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def false_alarms(n: int) -> tuple[float, float]:
    """Shares of 300 features of one population whose PSI over n rows is above 0.25: with and without correction."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(n, [0.1] * 10, 300)
    corrected = drift.psi(np.full((300, 10), 0.1), counts, 2000)
    return float((corrected > 0.25).mean()), float((corrected + 9 * (1 / n + 1 / 2000) > 0.25).mean())


def month(studio: Studio) -> None:
    """A live version with two hours of minutes and a month of hours, as they lie after the looks before."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, FEATURES)).astype(np.float32)
    made = drift.reference(X, rng.random((2000, OUTPUTS), np.float32))
    now = clock.now().replace(second=0, microsecond=0)
    with studio.database.session() as session:
        model = ModelVersion(
            name=NAME,
            version="v20261122",
            uri="none",
            framework="onnx",
            input_dim=FEATURES,
            output_dim=OUTPUTS,
            metrics={},
            sha256="",
            feature_version="1",
            code_version="1",
            reference=made,
            created_by="benchmark",
        )
        session.add(model)
        session.flush()
        rollout.begin(session, NAME, model.id, now - timedelta(days=DAYS + 5), "benchmark", "benchmark")
        hour = now.replace(minute=0) - timedelta(hours=2)
        times = [hour - timedelta(hours=i) for i in range(1, DAYS * 24 - 4)]
        times += [now - timedelta(minutes=i) for i in range(120)]
        for at in dict.fromkeys(times):
            session.add(
                ModelTraffic(
                    model_id=model.id,
                    minute=at,
                    n=60,
                    errors=0,
                    retries=0,
                    latency_ms=30.0,
                    latency_counts=rng.multinomial(60, [1 / drift.LATENCY_BINS] * drift.LATENCY_BINS).tolist(),
                    input_counts=rng.multinomial(60, [0.1] * 10, FEATURES).ravel().tolist(),
                    output_counts=rng.multinomial(60, [0.05] * 20, OUTPUTS).ravel().tolist(),
                )
            )
        session.flush()
        session.execute(text("analyze model_traffic"))


def run() -> dict[str, Figure]:
    rng = np.random.default_rng(0)
    figures: dict[str, Figure] = {}
    X = rng.normal(size=(2000, FEATURES)).astype(np.float32)
    made = drift.reference(X, X[:, :OUTPUTS])
    edges, _ = drift.edges(made)
    row = X[0]
    figures["count_one_row"] = Figure(
        seconds(lambda: drift.count(edges, row), 2000) * 1e6,
        "us",
        at_most=50,
        note=f"{FEATURES} features, 10 bins each",
    )
    figures["count_512_rows"] = Figure(seconds(lambda: drift.count(edges, X[:512]), 20) * 1e3, "ms")
    figures["bucket"] = Figure(seconds(lambda: rollout.bucket(NAME, "yamada@studio"), 5000) * 1e6, "us", at_most=20)
    figures["reference_2000_rows"] = Figure(seconds(lambda: drift.reference(X, X[:, :OUTPUTS]), 5) * 1e3, "ms")
    for n in (50, 100, 300):
        ours, raw = false_alarms(n)
        figures[f"features_falsely_beyond_0.25_of_{n}_rows"] = Figure(
            ours * 100, "%", at_most=1.0 if n >= 100 else None, note=f"{raw:.1%} without the small-sample correction"
        )
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio.open(Settings(home=str(Path(folder) / "home")))
        try:
            month(studio)
            note = f"one version, {DAYS} days, {FEATURES} features: three windows, rules, audit"
            told = Notifier(studio.settings, studio.database)
            watching.check(studio, told)
            figures["check_a_month"] = Figure(
                seconds(lambda: watching.check(studio, told), 5), "s", at_most=5, note=note
            )
        finally:
            studio.database.close()
    return figures


if __name__ == "__main__":
    results = run()
    for name, figure in results.items():
        print(f"{name}: {figure.value:.3f} {figure.unit}  {'' if figure.met else 'NOT MET'}")
    write("drift", results)
