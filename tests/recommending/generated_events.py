"""Events that tests make up: from plain rows, by chance, or with tastes that a recommender can find."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.interactions import Interactions


def events(rows: list[tuple[int, int, int]], *, unwanted: set[int] = frozenset(), n_items: int = 0) -> Interactions:  # type: ignore[assignment]
    """(user, item, time) rows in any order; ``unwanted``: places in ``rows``."""
    table = np.array(rows, np.int64).reshape(-1, 3)
    wanted = np.array([i not in unwanted for i in range(len(rows))], bool)
    return made(table[:, 0], table[:, 1], table[:, 2], wanted, n_items=n_items)


def made(
    users: NDArray[np.int64],
    items: NDArray[np.int64],
    times: NDArray[np.int64],
    wanted: NDArray[np.bool_] | None = None,
    *,
    n_items: int = 0,
) -> Interactions:
    order = np.lexsort((np.arange(len(users)), times, users))
    wanted = np.ones(len(users), bool) if wanted is None else wanted
    return Interactions(
        users[order].astype(np.int32),
        items[order].astype(np.int32),
        times[order].astype(np.int64),
        np.full(len(users), np.nan, np.float32),
        wanted[order],
        np.array([f"u{u}" for u in range(int(users.max(initial=-1)) + 1)]),
        np.array([f"i{i}" for i in range(max(n_items, int(items.max(initial=-1)) + 1))]),
    )


def tastes(n_users: int = 120, n_items: int = 80, length: int = 20, seed: int = 0) -> Interactions:
    """Viewers who walk through the catalogue in steps of a few items: what comes next lies near what was last."""
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, n_items, n_users)
    steps = rng.integers(1, 4, (n_users, length)).cumsum(axis=1)
    items = (starts[:, None] + steps) % n_items
    times = rng.integers(0, 10_000_000, n_users)[:, None] + np.arange(length) * 259_200
    users = np.repeat(np.arange(n_users), length)
    return made(users, items.ravel(), times.ravel(), n_items=n_items)
