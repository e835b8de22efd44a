"""The casting problem of one query: what each source window is worth in each segment between two cuts.

Everything is a share of the whole edit, so that scores add. Solving it is left to casting.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.editing.shared import SharedFeatures
from pipelines.editing.windows import number_shots

TASTE = 0.012  # how much a pattern and seed's liking for a moment counts: equals are shown by one or the other
MOMENT = 2.0  # s of a clip that are liked alike
DULL = 0.1  # cost of a window in which nothing happens, whatever the query weighs
AGAIN = 0.1  # cost of a shot that comes back after one other
JUMP = 0.4  # ... and of one that follows itself, even where the cut is seen

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Problem:
    """Segments (between cuts) against first windows; all scores are shares of the edit's whole, so that they add."""

    lengths: Array  # [n_segments] s
    content: Array  # [n_segments, n_windows]: weighted heads if the segment begins in that window; -inf: too short
    n_windows: NDArray[np.int64]  # [n_segments, n_windows] neighbours that the segment takes there
    flow: NDArray[np.float32]  # [n_windows, n_windows], weighted
    visible: NDArray[np.bool_]  # [n_windows, n_windows]
    clip: NDArray[np.int64]  # [n_windows]
    shot: NDArray[np.int64]  # [n_windows], numbered over all clips
    clip_cost: Array  # [n_clips]: times the square of its seconds
    shot_cost: Array  # [n_shots]
    again: float
    jump: float
    opens: NDArray[np.bool_]  # [n_windows]: the first of a run
    tightness: float  # reward for a segment that leaves no gap before it, above 0 when material is scarce


def frame_problem(
    shared: SharedFeatures,
    weights: Mapping[str, float],
    cuts: NDArray[np.intp],
    seconds: Array,
    taste: Sequence[int],
) -> Problem:
    """The casting problem of one query between given cuts (grid indices); ``taste`` seeds the choice among equals."""
    lengths = np.diff(seconds[cuts])
    total = float(seconds[-1])
    taken, mean = _runs(shared, lengths, _suitability(shared, weights, cuts) + _taste(shared, taste))
    content = np.where(taken > 0, mean * lengths[:, None] / total, -np.inf)
    size = shared.window_end - shared.window_start
    shot = number_shots(shared.window_clip, shared.window_shot)
    balance = weights.get("balance", 0.0)
    material = float(size.sum())
    return Problem(
        lengths=lengths,
        content=content,
        n_windows=taken,
        flow=(shared.flow * (weights.get("flow", 0.0) / lengths.size)).astype(np.float32),
        visible=shared.visible_cut,
        clip=shared.window_clip.astype(np.int64),
        shot=shot,
        clip_cost=balance / 2 / (_fair_shares(sums(shared.window_clip, size), total) * total),
        shot_cost=balance / 2 / (np.maximum(_fair_shares(sums(shot, size), total), lengths.mean()) * total),
        again=AGAIN / lengths.size,
        jump=JUMP / lengths.size,
        opens=np.diff(shared.window_run, prepend=-1) != 0,
        tightness=max(0.0, total / material - 0.35) / lengths.size,
    )


def _suitability(shared: SharedFeatures, weights: Mapping[str, float], cuts: NDArray[np.intp]) -> Array:
    """[n_segments, n_windows] weighted heads, averaged over the segment's slots by their length, less what is dull."""
    step = np.diff(shared.grid)
    edges = cuts[:-1]
    out = np.zeros((edges.size, shared.window_clip.size))
    for name, head in shared.heads.items():
        if weights.get(name, 0.0) > 0:
            out += weights[name] * np.add.reduceat(head * step[:, None], edges, axis=0)
    return out / np.add.reduceat(step, edges)[:, None] - DULL * (1 - shared.window_liveliness)


def _taste(shared: SharedFeatures, seed: Sequence[int]) -> Array:
    """[n_windows] a small liking for some moments over others."""
    moments = np.stack([shared.window_clip, (shared.window_start / MOMENT).astype(np.int32)], axis=1)
    index = np.unique(moments, axis=0, return_inverse=True)[1].reshape(-1)
    rng = np.random.default_rng([*seed, 2])
    # The second draw breaks ties within a moment.
    return np.asarray(TASTE * rng.uniform(-1, 1, index.max() + 1)[index] + 1e-3 * rng.uniform(-1, 1, index.size))


def _runs(shared: SharedFeatures, lengths: Array, scores: Array) -> tuple[NDArray[np.int64], Array]:
    """How many windows each segment takes from each first window on (0: the run ends before), and their mean score."""
    run = shared.window_run
    last_of_run = np.searchsorted(run, run, side="right") - 1
    n = run.size
    size = (shared.window_end - shared.window_start)[None, :]
    taken = np.ceil(lengths[:, None] / size - 1e-6).astype(np.int64)
    taken[np.arange(n)[None, :] + taken - 1 > last_of_run[None, :]] = 0
    total = np.concatenate([np.zeros((lengths.size, 1)), np.cumsum(scores, axis=1)], axis=1)
    rows = np.arange(lengths.size)[:, None]
    first = np.arange(n)[None, :]
    return taken, (total[rows, first + taken] - total[rows, first]) / np.maximum(taken, 1)


def sums(of: NDArray[np.integer], values: Array, n: int = 0) -> Array:
    return np.bincount(of, weights=values, minlength=n).astype(np.float64)


def _fair_shares(held: Array, total: float) -> Array:
    """Seconds of each clip (or shot) when ``total`` seconds are spread as evenly as what each holds allows."""
    total = min(total, float(held.sum()))
    order = np.argsort(held, kind="stable")
    fair, left = np.zeros(held.size), total
    for k, i in enumerate(order.tolist()):
        fair[i] = min(float(held[i]), left / (held.size - k))
        left -= fair[i]
    return np.maximum(fair, 1e-3)
