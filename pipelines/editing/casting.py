"""Casting: which source windows play between the cuts, by beam search and then by changing one at a time.

Cut times are given (rhythm.py); in-points within the windows are left to solver.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.editing.shared import SharedFeatures

BEAM = 64
CHILDREN = 16  # at most, of one state, so that the beam is not one family
ROUNDS = 12  # of improvement; two to four are usual
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


@dataclass(frozen=True, slots=True)
class Casting:
    windows: NDArray[np.int64]  # [n_segments], the first window of each
    score: float


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
    shot = np.unique(
        np.stack([shared.window_clip, shared.window_shot], axis=1), axis=0, return_inverse=True
    )[1].reshape(-1).astype(np.int64)  # fmt: skip
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
        clip_cost=balance / 2 / (_fair_shares(_sums(shared.window_clip, size), total) * total),
        shot_cost=balance / 2 / (np.maximum(_fair_shares(_sums(shot, size), total), lengths.mean()) * total),
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


def _sums(of: NDArray[np.integer], values: Array, n: int = 0) -> Array:
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


def cast(problem: Problem, *, beam: int = BEAM) -> Casting | None:
    """The best casting found, or None when a beam of ``beam`` states finds no way through the constraints."""
    found = _beam(problem, beam)
    return None if found is None else improve(problem, found)


def score(problem: Problem, windows: NDArray[np.int64]) -> float:
    """What ``cast`` maximises; -inf when the windows break a constraint."""
    taken = problem.n_windows[np.arange(windows.size), windows]
    used = np.concatenate([np.arange(w, w + n) for w, n in zip(windows, taken, strict=True)])
    out = windows + taken - 1
    if np.any(taken == 0) or np.unique(used).size < used.size:
        return -np.inf
    if not problem.visible[out[:-1], windows[1:]].all():
        return -np.inf
    shot = problem.shot[windows]
    clip_use = _sums(problem.clip[windows], problem.lengths, problem.clip_cost.size)
    shot_use = _sums(shot, problem.lengths, problem.shot_cost.size)
    return float(
        problem.content[np.arange(windows.size), windows].sum()
        + problem.flow[out[:-1], windows[1:]].sum()
        - clip_use**2 @ problem.clip_cost
        - shot_use**2 @ problem.shot_cost
        - problem.again * np.sum(shot[2:] == shot[:-2])
        - problem.jump * np.sum(shot[1:] == shot[:-1])
    )


def _beam(p: Problem, beam: int) -> NDArray[np.int64] | None:
    n_segments, n = p.content.shape
    first = np.arange(n)
    used = np.zeros((1, n), bool)
    scores, rank_by = np.zeros(1), np.zeros(1)
    clip_use, shot_use = np.zeros((1, p.clip_cost.size)), np.zeros((1, p.shot_cost.size))
    parents: list[NDArray[np.int64]] = []
    chosen: list[NDArray[np.int64]] = []
    out = last = before = np.full(1, -1)
    marks = np.random.default_rng(0).integers(1, 1 << 62, n)
    marked = np.concatenate([[0], np.bitwise_xor.accumulate(marks)])  # of all windows before each
    shown = np.zeros(1, np.int64)  # which windows a state has used, as the exclusive or of their marks
    for k in range(n_segments):
        length, taken = p.lengths[k], p.n_windows[k]
        gain = p.content[k] - _cost(length, clip_use, p.clip_cost)[:, p.clip]
        gain -= _cost(length, shot_use, p.shot_cost)[:, p.shot]
        count = np.concatenate(
            [np.zeros((used.shape[0], 1), np.int32), np.cumsum(used, axis=1, dtype=np.int32)], axis=1
        )
        free = (count[:, first + taken] == count[:, first]) & (taken > 0)
        if k > 0:
            gain += p.flow[out] - p.jump * (p.shot[last][:, None] == p.shot[None, :])
            free &= p.visible[out]
        if k > 1:
            gain -= p.again * (p.shot[before][:, None] == p.shot[None, :])
        total = scores[:, None] + gain
        key = rank_by[:, None] + gain
        if p.tightness > 0:
            key = key + p.tightness * (
                p.opens | np.concatenate([np.zeros((used.shape[0], 1), bool), used[:, :-1]], axis=1)
            )
        key[~free] = -np.inf
        state, window = _fittest(key, shown[:, None] ^ marked[first] ^ marked[first + taken], beam)
        if state.size == 0:
            return None
        parents.append(state)
        chosen.append(window)
        rank_by, scores = key[state, window], total[state, window]
        before, last = last[state], window
        shown = shown[state] ^ marked[window] ^ marked[window + taken[window]]
        out = window + taken[window] - 1
        used = used[state] | ((first >= window[:, None]) & (first <= out[:, None]))
        clip_use, shot_use = clip_use[state], shot_use[state]
        rows = np.arange(state.size)
        clip_use[rows, p.clip[window]] += length
        shot_use[rows, p.shot[window]] += length
    at = int(np.argmax(scores))
    windows = np.empty(n_segments, np.int64)
    for k in range(n_segments - 1, -1, -1):
        windows[k] = chosen[k][at]
        at = int(parents[k][at])
    return windows


def _cost(length: float, use: Array, cost: Array) -> Array:
    return np.asarray(length * (2 * use + length) * cost)


def _fittest(key: Array, shown: NDArray[np.int64], beam: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(state, window) of the ``beam`` best finite entries, at most CHILDREN of one state, best first.

    Of states that have shown the same windows and end on the same one only the best is kept: their futures are alike.
    """
    children = min(CHILDREN if key.shape[0] > 1 else beam, key.shape[1])
    window = np.argpartition(-key, children - 1, axis=1)[:, :children]
    value = np.take_along_axis(key, window, axis=1).reshape(-1)
    alike = np.take_along_axis(shown, window, axis=1).reshape(-1)
    window = window.reshape(-1).astype(np.int64)
    state = np.repeat(np.arange(key.shape[0]), children)
    order = np.lexsort((window, state, -value))
    order = order[np.isfinite(value[order])][: 4 * beam]
    _, kept = np.unique(np.stack([alike[order], window[order]]), axis=1, return_index=True)
    order = order[np.sort(kept)[:beam]]
    return state[order], window[order]


def improve(p: Problem, windows: NDArray[np.int64]) -> Casting:
    """Replaces single windows and exchanges pairs as long as the score rises."""
    best = score(p, windows)
    for _ in range(ROUNDS):
        before = best
        for k in range(windows.size):
            windows, best = _replaced(p, windows, k, best)
        windows, best = _exchanged(p, windows, best)
        if best <= before + 1e-12:
            break
    return Casting(windows, best)


def _replaced(p: Problem, windows: NDArray[np.int64], k: int, best: float) -> tuple[NDArray[np.int64], float]:
    rows = np.arange(windows.size)
    n = p.clip.size
    first, taken = np.arange(n), p.n_windows[k]
    others = rows != k
    used = np.zeros(n + 1, np.int64)
    np.add.at(used, windows[others], 1)
    np.add.at(used, windows[others] + p.n_windows[rows, windows][others], -1)
    count = np.concatenate([[0], np.cumsum(np.cumsum(used[:-1]))])
    free = (count[first + taken] == count[first]) & (taken > 0)
    gain = p.content[k].copy()
    use = _sums(p.clip[windows[others]], p.lengths[others], p.clip_cost.size)
    gain -= _cost(p.lengths[k], use, p.clip_cost)[p.clip]
    use = _sums(p.shot[windows[others]], p.lengths[others], p.shot_cost.size)
    gain -= _cost(p.lengths[k], use, p.shot_cost)[p.shot]
    if k > 0:
        out = windows[k - 1] + p.n_windows[k - 1, windows[k - 1]] - 1
        gain += p.flow[out]
        free &= p.visible[out]
    if k + 1 < windows.size:
        out = np.maximum(first + taken - 1, 0)
        gain += p.flow[out, windows[k + 1]]
        free &= p.visible[out, windows[k + 1]]
    for j, cost in ((k - 2, p.again), (k - 1, p.jump), (k + 1, p.jump), (k + 2, p.again)):
        if 0 <= j < windows.size:
            gain -= cost * (p.shot == p.shot[windows[j]])
    gain[~free] = -np.inf
    w = int(np.argmax(gain))
    if gain[w] <= gain[windows[k]] + 1e-12:
        return windows, best
    changed = windows.copy()
    changed[k] = w
    return changed, score(p, changed)


def _exchanged(p: Problem, windows: NDArray[np.int64], best: float) -> tuple[NDArray[np.int64], float]:
    rows = np.arange(windows.size)
    taken, content = p.n_windows[:, windows], p.content[:, windows]
    own = p.n_windows[rows, windows]
    fits = (taken > 0) & (taken <= own[None, :])
    with np.errstate(invalid="ignore"):
        gain = content + content.T - content[rows, rows][:, None] - content[rows, rows][None, :]
    gain[~(fits & fits.T)] = -np.inf
    for flat in np.argsort(-np.triu(np.where(np.isfinite(gain), gain, -1e9), 1), axis=None, kind="stable")[
        : 2 * windows.size
    ]:
        a, b = divmod(int(flat), windows.size)
        if a == b or gain[a, b] <= 0:
            break
        changed = windows.copy()
        changed[[a, b]] = windows[[b, a]]
        value = score(p, changed)
        if value > best + 1e-12:
            windows, best = changed, value
    return windows, best
