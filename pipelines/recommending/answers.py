"""What a viewer is answered: a list, which path made it, and why it was not another. Made by serving.py."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.ranking import Item
from pipelines.recommending.shelves import Shelf, State

TOWER, TABLE, POPULAR, REMEMBERED = "tower", "table", "popular", "remembered"


@dataclass(frozen=True, slots=True)
class Recommendations:
    """``path``: "tower", the viewer's history as it is now through the user tower; "table", their stored vector: in
    lists for many as long as they have decided nothing since, and whenever no tower answers; "popular", for who has no
    history, and without a model; "remembered", the popular list as it was when the database went away. ``version``:
    whose vectors they are, or the path."""

    items: tuple[Item, ...]
    path: str
    version: str
    latency_ms: float
    reasons: tuple[str, ...] = ()  # why it is not the tower of the viewer's own version


@dataclass(frozen=True, slots=True)
class Asked:
    """A viewer's vector for one version, and its set."""

    vector: NDArray[np.float32]
    state: State
    shelf: Shelf
    path: str
    version: str
    reasons: tuple[str, ...]


def answer(
    items: tuple[Item, ...], path: str, version: str, reasons: tuple[str, ...], started: float
) -> Recommendations:
    return Recommendations(items, path, version, (time.perf_counter() - started) * 1e3, reasons)
