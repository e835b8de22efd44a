"""Inference: one session, the routed class with all that it counts, an exchange under load, and a minute of sound."""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Figure, write
from pipelines import clock
from pipelines.audio import features
from pipelines.media.audio import Audio, decode
from pipelines.models import registry, rollout, sessions
from pipelines.models.inference import Predictor
from pipelines.models.traffic import Counter
from pipelines.models.training import train
from pipelines.models.training_set import Task, TrainingSet
from pipelines.settings import Settings
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio
from tests.media import soundfiles

TASK = Task("master_reg", "regression", ("low", "high", "comp", "lufs"), ("dB", "dB", "dB", "LUFS"), "mix", "a bench")
D, K, ROWS = 164, 4, 2000
FEATURES = "audio-bench"
SONG = Path(__file__).parent.parent / "sample" / "media" / "vibe_ace.ogg"


def learned(estimator: str) -> Any:
    """A model of the size that mastering has, trained as the product trains them."""
    rng = np.random.default_rng(0)
    X = rng.normal(0, 1, (ROWS, D)).astype(np.float32)
    bent = X[:, :K] + (0 if estimator == "linear" else 3 * np.sin(2 * X[:, K : 2 * K]))
    data = TrainingSet(
        task=TASK.name,
        X=X,
        y=(bent + rng.normal(0, 0.3, bent.shape)).astype(np.float32),
        labels=None,
        weights=np.ones(ROWS, np.float32),
        recordings=np.array([f"r{i % 40}" for i in range(ROWS)]),
        users=np.array(["0" * 16] * ROWS),
        row_ids=np.arange(ROWS),
        feature_version=FEATURES,
        names=tuple(f"f{i}" for i in range(D)),
    )
    return train(data, TASK, estimators=(estimator,))


def times(call: Callable[[int], object], n: int) -> NDArray[np.float64]:
    """Wall-clock seconds of each of ``n`` calls, after a tenth of them to warm up."""
    out = np.empty(n)
    for i in range(-n // 10, n):
        start = time.perf_counter()
        call(i)
        out[max(i, 0)] = time.perf_counter() - start
    return out


def released(studio: Studio, trained: Any, stage: int) -> ModelVersion:
    now = clock.now()
    row = registry.register(
        studio, name=TASK.name, trained_onnx=trained.onnx, framework=trained.estimator, metrics={},
        reference=trained.reference, feature_version=FEATURES, code_version="bench", snapshot_id=None, licences=[],
        provenance={"generated": True}, now=now, created_by="bench",
    )  # fmt: skip
    with studio.database.session() as session:
        rollout.begin(session, TASK.name, row.id, now, "bench", "a bench")
        if rollout.current(session, TASK.name).running is not None:
            rollout.set_stage(session, TASK.name, stage, now, "bench", "a bench")
    return row


def session_figures(linear: Any, forest: Any) -> dict[str, Figure]:
    figures = {}
    x = np.random.default_rng(1).normal(0, 1, (1000, D)).astype(np.float32)
    single = [np.ascontiguousarray(x[i : i + 1]) for i in range(1000)]
    for name, trained in (("linear", linear), ("forest", forest)):
        session = sessions.warm(trained.onnx, name)
        p50 = float(np.median(times(lambda i, s=session: s.run(single[i % 1000]), 20_000))) * 1e6
        note = f"one row of {D} features, {K} outputs; {trained.estimator}, {len(trained.onnx) / 1000:.0f} kB"
        figures[f"session_p50_{name}"] = Figure(p50, "µs", at_most=20, note=note)
        batch = float(np.median(times(lambda i, s=session: s.run(x), 50))) * 1e6 / len(x)
        figures[f"session_a_row_of_1000_{name}"] = Figure(batch, "µs")
    return figures


def routed_figures(studio: Studio, linear: Any, forest: Any) -> dict[str, Figure]:
    figures = {}
    x = np.random.default_rng(1).normal(0, 1, (1000, D)).astype(np.float32)
    released(studio, linear, 100)
    released(studio, forest, 25)
    with Predictor(studio, TASK.name, feature_version=FEATURES, refresh_s=0.5) as predictor:
        taken = times(lambda i: predictor.predict(f"user-{i % 997}", x[i % 1000]), 20_000) * 1e3
        note = "one row through Predictor.predict: rollout (linear live, forest at 25 %), time-out, checks, traffic"
        figures["routed_mean"] = Figure(float(taken.mean()), "ms", at_most=1, note=note)
        figures["routed_p50"] = Figure(float(np.median(taken)), "ms")
        note = "with a flush to the database and a look at the rollout every 0.5 s, ten times as often as by default"
        figures["routed_p99"] = Figure(float(np.quantile(taken, 0.99)), "ms", at_most=50, note=note)
        figures["routed_longest"] = Figure(float(taken.max()), "ms", note="of 20,000")
        figures |= crowd_figures(predictor, x)
        figures |= exchange_figures(studio, predictor, forest, x)
    return figures


def crowd_figures(predictor: Predictor, x: NDArray[np.float32]) -> dict[str, Figure]:
    """Four threads at once, on however many cores there are."""
    taken: list[NDArray[np.float64]] = []

    def ask(worker: int) -> None:
        taken.append(times(lambda i: predictor.predict(f"user-{worker}-{i % 997}", x[i % 1000]), 3000))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = 4 * 3300 / (time.perf_counter() - start)
    mean = float(np.concatenate(taken).mean()) * 1e3
    return {
        "routed_mean_of_4_threads": Figure(mean, "ms", at_most=1),
        "routed_calls_of_4_threads": Figure(rate, "calls/s"),
    }


def another(trained: Any, number: int) -> Any:
    """The same model as other bytes."""
    import onnx

    model = onnx.load_model_from_string(trained.onnx)
    model.metadata_props.add(key="number", value=str(number))
    return replace(trained, onnx=model.SerializeToString())


def exchange_figures(studio: Studio, predictor: Predictor, forest: Any, x: NDArray[np.float32]) -> dict[str, Figure]:
    """Calls while another thread has ten candidates registered, loaded and exchanged, one after another."""
    stop = threading.Event()
    models = [another(forest, number) for number in range(10)]

    def exchange() -> None:
        for model in models:
            released(studio, model, 25)
            predictor.refresh()
            time.sleep(0.05)
        stop.set()

    thread = threading.Thread(target=exchange)
    taken, versions, fell_back = [], set(), 0
    thread.start()
    while not stop.is_set():
        i = len(taken)
        start = time.perf_counter()
        answer = predictor.predict(f"user-{i % 997}", x[i % 1000])
        taken.append(time.perf_counter() - start)
        versions.add(answer.version)
        fell_back += answer.fell_back
    thread.join()
    note = f"{len(taken)} calls, answered by {len(versions)} versions, while ten candidates were exchanged"
    return {
        "exchange_longest": Figure(max(taken) * 1e3, "ms", at_most=50, note=note),
        "exchange_mean": Figure(statistics.mean(taken) * 1e3, "ms", at_most=1),
        "exchange_fell_back": Figure(fell_back, "calls", at_most=0),
    }


def counting_figures(linear: Any) -> dict[str, Figure]:
    counter = Counter(D, K, linear.reference)
    x, y = np.zeros((1, D), np.float32), np.zeros((1, K), np.float32)
    count = float(np.median(times(lambda _: counter.answered(x, y, 0.1), 20_000))) * 1e6

    def taken(_: int) -> None:
        for _ in range(512):
            counter.answered(x, y, 0.1)
        counter.take()

    flush = float(np.median(times(taken, 20))) * 1e3 - 512 * count / 1e3
    return {
        "traffic_a_call": Figure(count, "µs", at_most=10, note="counted, its row kept"),
        "traffic_histograms": Figure(flush, "ms", note=f"of 512 rows of {D} features, by the thread that flushes"),
    }


def sound_figures(linear: Any) -> dict[str, Figure]:
    """A stereo minute at 48 kHz, each part of the way apart."""
    samples = np.tile(decode(SONG).samples, 2)[:, : 48_000 * 60]
    session = sessions.warm(linear.onnx, "linear")
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        path = soundfiles.write(Path(folder) / "minute.wav", samples, 48_000, codec="pcm_s16le")
        ogg = SONG
        sound: Audio = decode(path)
        found = features.vectorize(sound.samples, sound.sample_rate)
        row = np.ascontiguousarray(np.resize(found.vector, (1, D)), np.float32)
        note = "60 s, 48 kHz, stereo, 16 bit wav"
        figures["minute_decode"] = Figure(float(np.median(times(lambda _: decode(path), 7))) * 1e3, "ms", note=note)
        seconds = decode(ogg).samples.shape[1] / decode(ogg).sample_rate
        vorbis = float(np.median(times(lambda _: decode(ogg), 5))) * 1e3 * 60 / seconds
        figures["minute_decode_vorbis"] = Figure(vorbis, "ms", note="per minute of an Ogg Vorbis song")
        vector = times(lambda _: features.vectorize(sound.samples, sound.sample_rate), 7)
        note = f"{len(found.vector)} features, loudness and true peak included"
        figures["minute_features"] = Figure(float(np.median(vector)) * 1e3, "ms", note=note)
        figures["minute_inference"] = Figure(float(np.median(times(lambda _: session.run(row), 1000))) * 1e3, "ms")
    return figures


def run() -> dict[str, Figure]:
    from threadpoolctl import threadpool_limits

    linear, forest = learned("linear"), learned("lightgbm")
    with threadpool_limits(1), tempfile.TemporaryDirectory(prefix="orimono-bench-") as home:
        figures = session_figures(linear, forest) | counting_figures(linear) | sound_figures(linear)
        studio = Studio.open(Settings(home=home))
        try:
            figures |= routed_figures(studio, linear, forest)
        finally:
            studio.database.close()
    return figures


if __name__ == "__main__":
    results = run()
    for name, figure in results.items():
        print(f"{name}: {figure.value:.3f} {figure.unit}  {'' if figure.met else 'NOT MET'}", file=sys.stderr)
    write("inference", results)
