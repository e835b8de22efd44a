"""In-points: where in its windows each shot begins, so that movements land on beats.

Which windows those are is left to casting.py; a shot may also move into free neighbours of its windows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.editing.framing import Problem
from pipelines.editing.shared import SharedFeatures
from pipelines.editing.windows import ACCENT_RATE

SLIDE = 0.5  # s into free windows to either side

Indices = NDArray[np.int64]


def in_points(
    shared: SharedFeatures, problem: Problem, windows: Indices, cuts: NDArray[np.intp], rates: Sequence[float]
) -> list[float]:
    """Seconds in the clip for each segment, in the middle of a source frame's time.

    Among the possible ones the earliest whose movements fall best on the beats, strong beats first. ``rates`` are the
    clips' frames a second.
    """
    first, last = _rooms(shared, problem, windows)
    out = []
    for k in range(windows.size):
        a, b = int(cuts[k]), int(cuts[k + 1])
        rate = rates[int(shared.window_clip[windows[k]])]
        start, end = float(shared.window_start[first[k]]), float(shared.window_end[last[k]])
        frames = np.arange(np.ceil(start * rate - 0.5), np.floor((end - float(problem.lengths[k])) * rate - 0.5) + 1)
        if frames.size == 0:
            out.append(float(shared.window_start[windows[k]]))
            continue
        starts = (frames + 0.5) / rate
        moments, accents = _accents(shared, int(first[k]), int(last[k]))
        beats = starts[:, None] + (shared.grid[a:b] - shared.grid[a])[None, :]
        nearest = np.maximum(np.searchsorted(moments, beats + 0.5 / ACCENT_RATE) - 1, 0)
        out.append(float(starts[int(np.argmax(np.round(accents[nearest] @ shared.grid_strength[a:b], 4)))]))
    return out


def _accents(shared: SharedFeatures, first: int, last: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Times and strengths of sudden motion from window ``first`` to ``last`` of one run."""
    moments, accents = [], []
    for w in range(first, last + 1):
        size = float(shared.window_end[w] - shared.window_start[w])
        steps = int(np.clip(np.ceil(size * ACCENT_RATE), 1, shared.window_accents.shape[1]))
        moments.append(shared.window_start[w] + np.arange(steps) / ACCENT_RATE)
        accents.append(shared.window_accents[w, :steps])
    return np.concatenate(moments), np.concatenate(accents)


def _rooms(shared: SharedFeatures, problem: Problem, windows: Indices) -> tuple[Indices, Indices]:
    """First and last window between which each segment may move: its own and free neighbours of the same run.

    Every pair of frames that may then meet at a cut stays a visible one.
    """
    taken = problem.n_windows[np.arange(windows.size), windows]
    first, last = windows.copy(), windows + taken - 1
    used = np.zeros(problem.clip.size, bool)
    for a, b in zip(first, last, strict=True):
        used[a : b + 1] = True

    def seen(k: int) -> bool:
        """Whether all that may go out of ``k`` differs from all that may come in after it."""
        if not 0 <= k < windows.size - 1:
            return True
        going = slice(first[k] + taken[k] - 1, last[k] + 1)
        coming = slice(first[k + 1], last[k + 1] - taken[k + 1] + 2)
        return bool(problem.visible[going, coming].all())

    for k, own in enumerate(windows):
        steps = int(np.ceil(SLIDE / float(shared.window_end[own] - shared.window_start[own])))
        for edge, way in ((first, -1), (last, 1)):
            for _ in range(steps):
                w = int(edge[k]) + way
                if not 0 <= w < used.size or used[w] or shared.window_run[w] != shared.window_run[own]:
                    break
                edge[k] = w
                if not (seen(k - 1) and seen(k)):
                    edge[k] -= way
                    break
                used[w] = True
    return first, last
