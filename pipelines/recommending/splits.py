"""What is held out to judge by: each viewer's last event, or everything after a moment. Nothing of it is learned from.

Splits only cut; metrics.py measures, evaluation.py ranks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.recommending.interactions import Interactions

# The last fifth of ML-100K leaves 109 viewers with a history; a tenth leaves 90, too few to tell models apart.
SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Split:
    """What may be learned from, and for m viewers what they went on to choose.

    ``train`` holds a prefix of every viewer's events, so ``(users, lengths)`` are prefixes of the whole history too.
    Targets are wanted, and new to the viewer: an item seen before is removed from every list and could not be hit.
    """

    name: str  # "leave_last_out", "leave_last_two" or "global_time"
    train: Interactions
    users: NDArray[np.int32]  # [m], rising
    lengths: NDArray[np.int32]  # [m] events of each in ``train``; 0: a cold user
    target_offsets: NDArray[np.int64]  # [m + 1]: the targets of users[j] are target_items[offsets[j]:offsets[j + 1]]
    target_items: NDArray[np.int32]
    at: int | None = None  # s since the epoch, of a split by time

    def __len__(self) -> int:
        return len(self.users)

    @property
    def cold(self) -> NDArray[np.bool_]:
        """[m]: viewers without any history before the split."""
        return np.equal(self.lengths, 0)

    def targets(self, j: int) -> NDArray[np.int32]:
        """What the viewer in row j of ``users`` went on to choose."""
        return self.target_items[self.target_offsets[j] : self.target_offsets[j + 1]]

    def rows(self, kept: NDArray[np.bool_]) -> Split:
        """The same split with fewer viewers to judge by (``kept``: bool[m]); what is learned from stays."""
        counts = np.diff(self.target_offsets)
        offsets = np.concatenate([[0], np.cumsum(counts[kept])]).astype(np.int64)
        items = self.target_items[np.repeat(kept, counts)]
        return Split(self.name, self.train, self.users[kept], self.lengths[kept], offsets, items, self.at)


def leave_last_out(interactions: Interactions) -> Split:
    """Holds out each viewer's last wanted item that was new to them, and whatever they did after it.

    Viewers without two such events are learned from, not judged. Raises BadInput when nobody is left to judge.
    """
    return _leave_last(interactions, "leave_last_out")


def leave_last_two(interactions: Interactions) -> Split:
    """The split to choose by: the last but one is the target, the last is not in it at all.

    Raises BadInput when no viewer has three events.
    """
    return _leave_last(_leave_last(interactions, "leave_last_out").train, "leave_last_two")


def global_time(interactions: Interactions, *, share: float = SHARE, at: int | None = None) -> Split:
    """Learns from what was before a moment and judges by what came after, as a version in service is judged.

    ``at``: s since the epoch; without it, the moment that leaves ``share`` of the events for later. Raises BadInput
    when one of the sides is empty, for instance because all events have the same time.
    """
    if not 0 < share < 1:
        raise ValueError("share is between 0 and 1")
    if not len(interactions):
        raise BadInput("decisions", "there are none", "import some before a model is judged")
    if at is None:
        at = int(np.sort(interactions.times)[min(int(len(interactions) * (1 - share)), len(interactions) - 1)])
    before = interactions.times < at
    held = np.flatnonzero(~before & interactions.wanted & _first(interactions))
    if not before.any() or not len(held):
        reason = "nothing happened before the moment that divides them, or nothing new was chosen after it"
        raise BadInput("decisions", reason, "give decisions of several days, with their own times")
    train = interactions.take(before)
    users, counts = np.unique(interactions.users[held], return_counts=True)
    return Split(
        "global_time",
        train,
        users.astype(np.int32),
        np.bincount(train.users, minlength=train.n_users)[users].astype(np.int32),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        interactions.items[held],
        at,
    )


def validation(split: Split) -> Split:
    """The split to choose settings by for ``split``, cut the same way from what it learns from. Raises BadInput when
    that is too little."""
    if split.at is not None:
        return global_time(split.train)
    return _leave_last(split.train, "leave_last_two")


def _leave_last(interactions: Interactions, name: str) -> Split:
    offsets = interactions.offsets
    place = np.arange(len(interactions)) - offsets[interactions.users]
    rows = np.flatnonzero(interactions.wanted & _first(interactions) & (place > 0))
    last = rows[np.flatnonzero(np.diff(interactions.users[rows], append=-1))]
    if not len(last):
        reason = "no viewer has chosen something new after something else"
        raise BadInput("decisions", reason, "give viewers with several decisions each")
    ends = offsets[1:].copy()
    users = interactions.users[last]
    ends[users] = last
    train = interactions.take(np.arange(len(interactions)) < ends[interactions.users])
    one_each = np.arange(len(last) + 1, dtype=np.int64)
    return Split(name, train, users, place[last].astype(np.int32), one_each, interactions.items[last])


def _first(interactions: Interactions) -> NDArray[np.bool_]:
    """[n]: the first event of that viewer with that item."""
    keys = interactions.users.astype(np.int64) * interactions.n_items + interactions.items
    first = np.zeros(len(keys), bool)
    first[np.unique(keys, return_index=True)[1]] = True
    return first
