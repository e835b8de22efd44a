"""What the first events of a viewer tell, as one row of numbers: behaviour, genres, times, history.

Sums are of integers, so that one viewer and a hundred thousand prefixes get the very same rows. Which events a prefix
predicts, and what is pooled of the items themselves, is prefixes.py's and pools.py's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending import user_columns
from pipelines.recommending.cleaning import aligned
from pipelines.recommending.encoders import Arrays, Encoded, Standardiser, State, Vocabulary, versioned
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.searching import Ids, Known
from pipelines.recommending.user_sums import FIXED, Events, ItemTable

if TYPE_CHECKING:
    import pandas as pd

MOST_GENRES = 20
_FIT_ON = 50_000  # prefixes
_EVENTS, _PREFIXES = 1 << 17, 1 << 14  # at a time
_YEARS = (1000.0, 3000.0)
_INDICATORS = ("cold", "short")
_TABLE = ("genres", "popularity", "year", "dated")
_RATING_LIMIT = 10.0  # standard deviations


@dataclass(frozen=True, slots=True)
class UserEncoder:
    """Columns in four groups, standardised over the prefixes of the training events. What a prefix cannot tell (the
    mean rating of who rated nothing) is 0, the mean of those that can; a cold start has only counts (none), the
    indicators "cold" and "short", and such zeros."""

    item_ids: tuple[str, ...]
    genres: Vocabulary
    table: ItemTable  # popularity: ln(1 + events) of training; it and the year standardised
    rating: tuple[float, float]  # mean and scale of ratings
    span: tuple[int, int]  # s since the epoch: the first and last event of training
    scale: Standardiser
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    slices: dict[str, slice] = field(init=False, repr=False, compare=False)
    defaults: NDArray[np.float32] = field(init=False, repr=False, compare=False)  # [f] of a viewer without events
    _known: Known = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        groups = user_columns.names(self.genres.words)
        ends = np.cumsum([0, *map(len, groups.values())]).tolist()
        object.__setattr__(self, "names", tuple(name for group in groups.values() for name in group))
        object.__setattr__(self, "slices", {name: slice(*ends[at : at + 2]) for at, name in enumerate(groups)})
        object.__setattr__(self, "_known", Known.of(self.item_ids))
        if len(self.scale.mean) == len(self.names):  # not while `fit` is still looking for the scale
            none: NDArray[np.int64] = np.zeros(0, np.int64)
            object.__setattr__(self, "defaults", self.of_events([], none, none.astype(np.float32), none > 0))

    @classmethod
    def fit(cls, interactions: Interactions, items: pd.DataFrame | None = None) -> UserEncoder:
        """Of the training events and the items' genres and years (``items`` in any order, any of its rows)."""
        import pandas as pd

        frame = pd.DataFrame({"item_id": interactions.item_ids}) if items is None else items
        known = aligned(frame, interactions.item_ids)
        genres = Vocabulary.fit(known["genres"], MOST_GENRES)
        hot, _, _ = genres.hot(known["genres"].tolist())
        logs = np.log1p(np.bincount(interactions.items, minlength=interactions.n_items)[:, None].astype(np.float64))
        years = known["year"].to_numpy(np.float64)[:, None]
        years = np.where((years >= _YEARS[0]) & (years <= _YEARS[1]), years, np.nan)
        rated = interactions.ratings[np.isfinite(interactions.ratings)].astype(np.float64)
        ratings = Standardiser.fit(rated[:, None]) if len(rated) else Standardiser(np.zeros(1), np.ones(1))
        times = interactions.times
        unscaled = cls(
            item_ids=tuple(interactions.item_ids.tolist()),
            genres=genres,
            table=ItemTable(
                genres=np.pad(hot[:, : len(genres)].T.astype(np.uint8), ((0, 0), (0, 1))),
                popularity=np.append(_fixed(Standardiser.fit(logs).transform(logs)), 0).astype(np.int32),
                year=np.append(_fixed(Standardiser.fit(years).transform(years)), 0).astype(np.int32),
                dated=np.append(np.isfinite(years[:, 0]), False),
            ),
            rating=(float(ratings.mean[0]), float(ratings.scale[0])),
            span=(int(times.min()), int(times.max())) if len(times) else (0, 0),
            scale=Standardiser(np.zeros(0), np.ones(0)),
        )
        lasts = np.arange(0, len(interactions), max(1, -(-len(interactions) // _FIT_ON)))
        users = interactions.users[lasts]
        lengths = lasts + 1 - interactions.offsets[users]
        raw = [np.zeros((0, len(unscaled.names))), *unscaled._raw(interactions, users, lengths)]
        scale = Standardiser.fit(np.concatenate(raw))
        for name in _INDICATORS:  # rare ones: scaled they would be the largest numbers of all
            scale.mean[unscaled.names.index(name)], scale.scale[unscaled.names.index(name)] = 0, 1
        return replace(unscaled, scale=scale)

    def of_prefixes(
        self, interactions: Interactions, users: NDArray[np.int32], lengths: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """float32[n, f]: what the first ``lengths[i]`` events of user ``users[i]`` tell; nothing later has a part in
        it, nor the time at which one asks. Lengths beyond a history, or below 0, raise ValueError."""
        found = np.empty((len(users), len(self.names)), np.float32)
        order, at = np.argsort(users, kind="stable"), 0
        for raw in self._raw(interactions, np.asarray(users)[order], np.asarray(lengths, np.int64)[order]):
            found[order[at : at + len(raw)]] = self.scale.transform(raw)
            at += len(raw)
        return found

    def of_events(
        self,
        item_ids: Sequence[str] | Ids,
        times: NDArray[np.int64],
        ratings: NDArray[np.float32],
        wanted: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """float32[f] of one viewer's events, oldest first (other orders are sorted by time). An item that the
        encoder does not know counts as an event, without genres, year or popularity."""
        if isinstance(item_ids, np.ndarray):
            distinct, names = np.unique(item_ids, return_inverse=True)
            table = self._known.rows(distinct)
        else:
            numbers: dict[str, int] = {}
            names = np.array([numbers.setdefault(name, len(numbers)) for name in item_ids], np.int64)
            table = self._known.rows(list(numbers))
        table = np.where(table < 0, len(self.item_ids), table)
        moments = np.asarray(times, np.int64)
        columns = (names, moments, np.asarray(ratings, np.float32), np.asarray(wanted, np.bool_))
        if len(moments) > 1 and (moments[1:] < moments[:-1]).any():
            order = np.argsort(moments, kind="stable")
            columns = (names[order], moments[order], columns[2][order], columns[3][order])
        events = self._events(np.zeros(len(names), np.int64), *columns, table)
        start = np.zeros(1, np.int64)
        found: NDArray[np.float32] = self.scale.transform(
            user_columns.raw(events, start, start + len(names), self.span)
        )
        return found.reshape(-1)

    def encode(self, interactions: Interactions, users: NDArray[np.int32], lengths: NDArray[np.int32]) -> Encoded:
        """`of_prefixes` with its names, and counted: events (of all given) without a rating or of items without a
        genre, and events of unknown items."""
        rows = self._table(interactions.item_ids)[interactions.items]
        missing = {
            "rating": int((~np.isfinite(interactions.ratings)).sum()),
            "genres": int((self.table.genres[:, rows].sum(axis=0) == 0).sum()),
            "history": int((np.asarray(lengths) == 0).sum()),
        }
        unknown = {"items": int((rows == len(self.item_ids)).sum())}
        return Encoded(self.of_prefixes(interactions, users, lengths), self.names, self.slices, missing, unknown)

    def unknown(self, item_ids: Sequence[str]) -> int:
        """How many of these the encoder does not know."""
        return int((self._known.rows(item_ids) < 0).sum())

    def state(self) -> tuple[State, Arrays]:
        """What JSON holds and the arrays beside it; `from_state` gives an equal encoder back."""
        state = {
            "kind": "viewers",
            "version": 1,
            "item_ids": list(self.item_ids),
            "genres": list(self.genres.words),
            "rating": list(self.rating),
            "span": list(self.span),
        }
        arrays: Arrays = {name: getattr(self.table, name) for name in _TABLE}
        return state, arrays | {"mean": self.scale.mean, "scale": self.scale.scale}

    @classmethod
    def from_state(cls, state: State, arrays: Arrays) -> UserEncoder:
        """BadInput when another version of this program saved it."""
        state = versioned(state, "viewers", 1)
        (mean, scale), (first, last) = state["rating"], state["span"]
        return cls(
            item_ids=tuple(state["item_ids"]),
            genres=Vocabulary(tuple(state["genres"])),
            table=ItemTable(**{name: arrays[name] for name in _TABLE}),
            rating=(float(mean), float(scale)),
            span=(int(first), int(last)),
            scale=Standardiser(arrays["mean"], arrays["scale"]),
        )

    def _events(
        self,
        viewers: NDArray[np.int64],
        items: NDArray[np.int64],
        times: NDArray[np.int64],
        ratings: NDArray[np.float32],
        wanted: NDArray[np.bool_],
        table: NDArray[np.int64],
    ) -> Events:
        """Of columns whose ``items`` are numbers of ``table``, which holds their rows here."""
        mean, scale = self.rating
        level = np.clip((ratings.astype(np.float64) - mean) / scale, -_RATING_LIMIT, _RATING_LIMIT)
        level[~np.isfinite(ratings)] = np.nan  # an infinite one, too, is none
        return Events.of(viewers, items, times, level, wanted, self.table, table[items])

    def _table(self, item_ids: NDArray[np.str_] | Ids) -> NDArray[np.int64]:
        """The row of each of these items; the last one for those that are unknown."""
        rows = self._known.rows(item_ids)
        return np.where(rows < 0, len(self.item_ids), rows)

    def _raw(
        self, interactions: Interactions, users: NDArray[np.int32], lengths: NDArray[np.int64]
    ) -> Iterator[NDArray[np.float64]]:
        """Raw features of prefixes whose users ascend, in blocks: only the events of these users are looked at."""
        offsets = interactions.offsets
        held = np.diff(offsets)[users]
        if ((lengths < 0) | (lengths > held)).any():
            raise ValueError("a prefix is longer than the history of its user, or of a negative length")
        table = self._table(interactions.item_ids)
        begins = np.append(True, users[1:] != users[:-1]) if len(users) else np.zeros(0, np.bool_)
        reached = np.cumsum(np.where(begins, held, 0))
        at = 0
        while at < len(users):
            stop = int(np.searchsorted(reached, reached[at] - held[at] + _EVENTS, "right"))
            stop = max(min(stop, at + _PREFIXES), at + 1)
            distinct, viewer = np.unique(users[at:stop], return_inverse=True)
            counts = np.diff(offsets)[distinct]
            starts = np.cumsum(counts) - counts
            rows = np.arange(counts.sum()) + np.repeat(offsets[distinct] - starts, counts)
            events = self._events(
                np.repeat(np.arange(len(distinct)), counts),
                interactions.items[rows].astype(np.int64),
                interactions.times[rows],
                interactions.ratings[rows],
                interactions.wanted[rows],
                table,
            )
            first = starts[viewer]
            yield user_columns.raw(events, first, first + lengths[at:stop], self.span)
            at = stop


def _fixed(values: NDArray[np.float32]) -> NDArray[np.int32]:
    return np.rint(values[:, 0] * FIXED).astype(np.int32)
