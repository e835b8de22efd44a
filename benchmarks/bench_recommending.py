"""Recommending: ML-100K by full ranking with seen items removed, three seeds, and what training costs.

Each training runs in a process of its own, so that its peak memory and CPU seconds are its own. Leave-last-out asks
right after each viewer's last event, the split by time at its moment, as a service would be asked.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Figure, write
from pipelines.recommending import metrics
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.splits import Split, global_time, leave_last_out

SEEDS = (0, 1, 2)
K = 20
SPLITS = {"leave_last_out": leave_last_out, "global_time": global_time}


@dataclass(frozen=True, slots=True)
class Ran:
    """One training: figures of warm viewers, and its costs."""

    recall: float
    ndcg: float
    viewers: int
    events: int
    seconds: float  # of train(): features, epochs, export
    cpu: float  # of the whole process
    memory_mb: float
    parity: float


def judged(split: Split, scores: NDArray[np.float32]) -> tuple[float, float, int]:
    """(Recall@20, NDCG@20, viewers) of those with a history."""
    warm = ~split.cold
    split, scores = split.rows(warm), scores[warm].copy()
    offsets = split.train.offsets
    for row, user in enumerate(split.users):
        scores[row, split.train.items[offsets[user] : offsets[user + 1]]] = -np.inf
    hit = metrics.hits(metrics.top(scores, K, split.users), split.target_offsets, split.target_items)
    n = np.diff(split.target_offsets)
    return float(metrics.recall(hit, n).mean()), float(metrics.ndcg(hit, n).mean()), len(split)


def data() -> tuple[Interactions, object]:
    from benchmarks import movielens100k

    events, items = movielens100k.load()
    return movielens100k.interactions(events, items), items


def once(name: str, seed: int) -> Ran:
    """Trains and judges, in this process."""
    from pipelines.recommending.cleaning import aligned
    from pipelines.recommending.training import train

    interactions, items = data()
    split = SPLITS[name](interactions)
    trained = train(split.train, items, seed=seed)  # type: ignore[arg-type]
    model, history = trained.model, split.train
    counts = np.bincount(history.items, minlength=history.n_items)
    vectors = model.item_vectors(model.item_inputs(aligned(items, history.item_ids), counts))  # type: ignore[arg-type]
    users = model.user_vectors(model.user_inputs(history, split.users, split.lengths, asked=split.at))
    recall, ndcg, viewers = judged(split, users @ vectors.T)
    events = len(history)
    costs = (trained.seconds, time.process_time(), trained.peak_memory_mb, trained.parity)
    return Ran(recall, ndcg, viewers, events, *costs)


def apart(name: str, seed: int) -> Ran:
    """The same in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.bench_recommending", name, str(seed)]
    out = subprocess.run(command, check=True, capture_output=True, text=True)
    return Ran(**json.loads(out.stdout.splitlines()[-1]))


def run() -> dict[str, Figure]:
    interactions, _ = data()
    figures: dict[str, Figure] = {}
    goals = {"leave_last_out": (0.33, 0.15), "global_time": (0.19, 0.21)}
    every: list[Ran] = []
    load = os.getloadavg()[1]
    for name, goal in goals.items():
        found = [apart(name, seed) for seed in SEEDS]
        every += found
        for what, least in zip(("recall", "ndcg"), goal, strict=True):
            values = [getattr(one, what) for one in found]
            note = f"mean of seeds {SEEDS}: {', '.join(f'{v:.4f}' for v in values)}; {found[0].viewers} warm viewers"
            figures[f"{name}_{what}"] = Figure(statistics.mean(values), "", at_least=least, note=note)
            figures[f"{name}_{what}_spread"] = Figure(max(values) - min(values), "", note="largest less smallest seed")
    split = global_time(interactions)
    for days in (7.0,):
        age = (split.train.times.max() - split.train.times) / (days * 86_400)
        recent = np.bincount(split.train.items, np.exp(-age), minlength=split.train.n_items).astype(np.float32)
        recall, ndcg, n = judged(split, np.tile(recent, (len(split), 1)))
        note = f"beside it: choices of the last days, decayed over {days:g} days; {n} warm viewers"
        figures["global_time_recent_popularity_recall"] = Figure(recall, "", note=note)
        figures["global_time_recent_popularity_ndcg"] = Figure(ndcg, "", note=note)
    full = every[: len(SEEDS)]
    # the same work each time: what is above the least is what others had of the machine meanwhile
    took = ", ".join(f"{one.seconds:.0f}" for one in full) + f" s; load {load:.1f} before"
    note = f"least of the seeds ({took}, {os.getloadavg()[1]:.1f} after); {full[0].events:,} events"
    figures["training"] = Figure(min(one.seconds for one in full), "s", at_most=300, note=note)
    figures["training_cpu"] = Figure(
        max(one.cpu for one in full), "CPU s", note="of that process, TensorFlow's import too"
    )
    figures["training_memory"] = Figure(max(one.memory_mb for one in full), "MB", at_most=2048, note="peak, the same")
    note = "largest difference between Keras and ONNX, both towers, all trainings"
    figures["parity"] = Figure(max(one.parity for one in every), "", at_most=1e-4, note=note)
    return figures


if __name__ == "__main__":
    if len(sys.argv) > 2:
        ran = once(sys.argv[1], int(sys.argv[2]))
        print(json.dumps({name: getattr(ran, name) for name in Ran.__slots__}))
    else:
        results = run()
        for name, figure in results.items():
            print(f"{name}: {figure.value:.3g} {figure.unit}  {'' if figure.met else 'NOT MET'}")
        write("recommending", results)
