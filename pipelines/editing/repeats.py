"""Does the viewer see the same piece of film twice? Judged by the plan's ranges and by the rendered pictures.

A picture is only taken for a repeat when it can be told from its own neighbours: before a fixed camera with nothing
going on, any two moments look alike, and then the plan's ranges alone decide.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from pipelines.editing.plan import Edit
from pipelines.editing.screening import Screening
from pipelines.editing.verdicts import Gate

PRINTS_PER_SECOND = 8
SAME = 2.0  # grey levels (rms): what encoding the same frame twice leaves between two prints
DISTINCT = 3.0  # how many times further off the neighbours a moment away must be ...
MOVED = 2.5  # ... and by how many grey levels (rms) at least: below it the scene hardly changes
NEIGHBOUR = 0.2  # s
LASTING = 0.2  # s for which the pictures must agree in step
_BLOCK = 512


def repeats(edit: Edit, seen: Screening) -> Gate:
    overlapping = repeated_ranges(edit)
    if overlapping:
        a, b = overlapping[0]
        return Gate(False, f"source ranges used twice: {len(overlapping)}, first by shots {a + 1} and {b + 1}")
    same = repeated_pictures(edit, seen)
    if same:
        a, b = same[0]
        return Gate(False, f"pairs of shots that show the same pictures: {len(same)}, first {a + 1} and {b + 1}")
    return Gate(True, "no source range is used and no picture seen twice")


def repeated_ranges(edit: Edit) -> list[tuple[int, int]]:
    """Pairs of segments whose source ranges overlap by a source frame or more."""
    by_clip: dict[int, list[tuple[float, float, int]]] = defaultdict(list)
    for k, s in enumerate(edit.segments):
        by_clip[s.clip].append((s.source_time, s.source_time + float(s.n_frames / edit.rate), k))
    out = []
    for clip, ranges in by_clip.items():
        fps = edit.clips[clip].fps
        slack = fps[1] / fps[0] if fps[0] else 1 / float(edit.rate)
        ranges.sort()
        reach, holder = -np.inf, -1
        for start, end, k in ranges:
            if start < reach - slack:
                out.append((min(holder, k), max(holder, k)))
            if end > reach:
                reach, holder = end, k
    return sorted(out)


def repeated_pictures(edit: Edit, seen: Screening) -> list[tuple[int, int]]:
    """Pairs of segments that show the same moving pictures in step."""
    n = min(seen.n_frames, edit.n_frames)
    if n == 0:
        return []
    owner = np.zeros(n, np.int64)
    for k, s in enumerate(edit.segments):
        owner[s.record_start : s.record_end] = k
    prints = seen.prints[:n].astype(np.float32)
    prints -= prints.mean(axis=0)
    size = prints.shape[1]
    norms = np.einsum("ij,ij->i", prints, prints)
    step = max(1, round(float(edit.rate) / PRINTS_PER_SECOND))
    asked = np.arange(0, n, step)
    away = _neighbour_distance(prints, owner, asked, max(2, round(NEIGHBOUR * float(edit.rate))))
    votes: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for at in range(0, asked.size, _BLOCK):
        rows = asked[at : at + _BLOCK]
        squared = norms[rows, None] + norms[None] - 2 * (prints[rows] @ prints.T)
        squared[owner[rows, None] == owner[None]] = np.inf
        nearest = np.argmin(squared, axis=1)
        distance = np.sqrt(np.maximum(squared[np.arange(rows.size), nearest], 0) / size)
        good = (distance < SAME) & (away[at : at + _BLOCK] > np.maximum(DISTINCT * distance, MOVED))
        for a, b in zip(rows[good], nearest[good], strict=True):
            pair = (int(min(owner[a], owner[b])), int(max(owner[a], owner[b])))
            votes[pair].append((int(a), int(b)) if owner[a] < owner[b] else (int(b), int(a)))
    return sorted(pair for pair, found in votes.items() if _in_step(found, float(edit.rate)))


def _neighbour_distance(
    prints: NDArray[np.float32], owner: NDArray[np.int64], asked: NDArray[np.int64], apart: int
) -> NDArray[np.float32]:
    """Distance to the nearer of the pictures ``apart`` frames before and after, within the same segment."""
    out = np.full(asked.size, np.inf, np.float32)
    for shift in (-apart, apart):
        other = np.clip(asked + shift, 0, owner.size - 1)
        inside = owner[other] == owner[asked]
        distance = np.sqrt(np.mean((prints[asked] - prints[other]) ** 2, axis=1))
        out[inside] = np.minimum(out[inside], distance[inside])
    out[np.isinf(out)] = 0.0  # a segment too short to be told from its neighbours
    return out


def _in_step(found: list[tuple[int, int]], fps: float) -> bool:
    """Whether enough matches keep one distance in time (a source held for several frames may be off by some)."""
    lags = np.array([b - a for a, b in found])
    at = np.array([a for a, _ in found])
    close = np.abs(lags - np.median(lags)) <= max(1, round(fps / 12))
    return bool(close.sum() >= 2 and np.ptp(at[close]) / fps >= LASTING - 1 / PRINTS_PER_SECOND)
