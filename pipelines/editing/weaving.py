"""For scarce material: cuts and windows chosen together, so that short shots get short cuts and long ones long cuts.

Slower and blinder than placing cuts first (rhythm.py) and casting them then (casting.py), which need room to choose;
what it finds is improved by casting.improve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.editing.framing import JUMP
from pipelines.editing.patterns import CuttingStyle
from pipelines.editing.rhythm import Lengths, segment_gains
from pipelines.editing.shared import SharedFeatures
from pipelines.editing.windows import number_shots

STATES = 10  # kept at each grid time
CHOICES = 3  # windows tried per state and length, of different shots
PLENTY = 0.5  # how much more a shot is worth that has much left over one that has little

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class State:
    """A beginning of an edit."""

    score: float
    cuts: tuple[int, ...]
    windows: tuple[int, ...]
    out: int  # the last window shown
    free: NDArray[np.bool_]  # [n_windows]


def weave(
    shared: SharedFeatures, style: CuttingStyle, lengths: Lengths, seconds: Array, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.int64]] | None:
    """Cuts (grid indices, first 0, last n_slots) and the first window of each segment; None when none are found.

    ``seconds`` [n_slots + 1] are the grid times after rounding to frames.
    """
    n = shared.slot_energy.size
    gains = segment_gains(shared, style, lengths, seconds, seed)
    size = shared.window_end - shared.window_start
    shot = number_shots(shared.window_clip, shared.window_shot)
    last_of_run = np.searchsorted(shared.window_run, shared.window_run, side="right") - 1
    opens = np.diff(shared.window_run, prepend=-1) != 0
    waiting: list[list[State]] = [[] for _ in range(n + 1)]
    waiting[0] = [State(0.0, (0,), (), -1, np.ones(size.size, bool))]
    for a in range(n):
        for state in _kept(waiting[a]):
            left = np.bincount(shot, weights=size * state.free)
            worth = PLENTY * (left / left.sum())[shot] if left.sum() > 0 else np.zeros(size.size)
            # Right after what is used or a run's start, so that no crumbs are left.
            worth = worth + 0.02 * (opens | np.concatenate([[False], ~state.free[:-1]]))
            allowed = state.free if state.out < 0 else state.free & shared.visible_cut[state.out]
            if state.out >= 0:
                worth = worth - JUMP * (shot == shot[state.out])
            used = np.concatenate([[0], np.cumsum(~state.free)])
            for b, gain in gains[a]:
                taken = np.ceil((seconds[b] - seconds[a]) / size - 1e-6).astype(np.int64)
                end = np.minimum(np.arange(size.size) + taken, size.size)
                fits = allowed & (end - 1 <= last_of_run) & (used[end] == used[:-1])
                fits &= np.arange(size.size) + taken <= last_of_run + 1
                for w in _best_of_shots(np.where(fits, worth, -np.inf), shot):
                    free = state.free.copy()
                    free[w : end[w]] = False
                    value = gain + float(worth[w]) * float(seconds[b] - seconds[a]) / float(seconds[-1])
                    waiting[b].append(
                        State(state.score + value, (*state.cuts, b), (*state.windows, w), int(end[w]) - 1, free)
                    )
        waiting[a] = []
    if not waiting[n]:
        return None
    best = max(waiting[n], key=lambda s: s.score)
    return np.array(best.cuts, np.intp), np.array(best.windows, np.int64)


def _kept(states: list[State]) -> list[State]:
    """The best states, one of each set of windows shown and window shown last."""
    kept: dict[tuple[bytes, int], State] = {}
    for state in sorted(states, key=lambda s: -s.score):
        kept.setdefault((state.free.tobytes(), state.out), state)
        if len(kept) == STATES:
            break
    return list(kept.values())


def _best_of_shots(worth: Array, shot: NDArray[np.int64]) -> list[int]:
    """The best window of each of the CHOICES best shots."""
    out: list[int] = []
    worth = worth.copy()
    while len(out) < CHOICES and np.isfinite(w := worth[k := int(np.argmax(worth))]) and w > -np.inf:
        out.append(k)
        worth[shot == shot[k]] = -np.inf
    return out
