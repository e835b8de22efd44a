"""Who decided what, in order: the events that everything in this package learns from and is judged by.

Cleaning a person's data frame is here too; the tables of decisions are pipelines/storage's, features features.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Interactions:
    """n events, sorted by user, then time, then as they came. Users and items are counted from 0, without gaps.

    Items without any event are in ``item_ids`` too: the catalogue, not what happened to it. Raises ValueError when the
    columns disagree, which is the caller's mistake.
    """

    users: NDArray[np.int32]  # [n] rows of user_ids
    items: NDArray[np.int32]  # [n] rows of item_ids
    times: NDArray[np.int64]  # [n] seconds since the epoch
    ratings: NDArray[np.float32]  # [n] as given, NaN where none was
    wanted: NDArray[np.bool_]  # [n] False: a dislike or skip, which is history but never what is to be predicted
    user_ids: NDArray[np.str_]  # [n_users]
    item_ids: NDArray[Any]  # [n_items] names; for the towers alone also S16, uuid.bytes

    def __post_init__(self) -> None:
        columns = (self.items, self.times, self.ratings, self.wanted)
        if any(len(column) != len(self.users) for column in columns):
            raise ValueError("the columns of interactions have different lengths")

    def __len__(self) -> int:
        return len(self.users)

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """[n_users + 1]: the events of user u are ``offsets[u]:offsets[u + 1]``."""
        counts = np.bincount(self.users, minlength=self.n_users)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def take(self, rows: NDArray[np.bool_]) -> Interactions:
        """The events of a mask; users and items keep their numbers."""
        return Interactions(
            self.users[rows],
            self.items[rows],
            self.times[rows],
            self.ratings[rows],
            self.wanted[rows],
            self.user_ids,
            self.item_ids,
        )
