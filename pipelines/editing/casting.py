"""Casting: which source windows play between the cuts, by beam search and then by changing one at a time.

What a window is worth is left to framing.py, the cut times to rhythm.py, in-points within windows to inpoints.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.editing.framing import Array, Problem, sums

BEAM = 64
CHILDREN = 16  # at most, of one state, so that the beam is not one family
ROUNDS = 12  # of improvement; two to four are usual


@dataclass(frozen=True, slots=True)
class Casting:
    windows: NDArray[np.int64]  # [n_segments], the first window of each
    score: float


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
    clip_use = sums(problem.clip[windows], problem.lengths, problem.clip_cost.size)
    shot_use = sums(shot, problem.lengths, problem.shot_cost.size)
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
    use = sums(p.clip[windows[others]], p.lengths[others], p.clip_cost.size)
    gain -= _cost(p.lengths[k], use, p.clip_cost)[p.clip]
    use = sums(p.shot[windows[others]], p.lengths[others], p.shot_cost.size)
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
