"""Anybody's data frames become events in order and items in canonical columns; what was dropped or mended is counted.

How a single column is read is columns.py's; features are item_features.py's and user_features.py's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.recommending.columns import NEVER, ids_of, ratings_of, text_of, times_of, wanted_of, words_of
from pipelines.recommending.interactions import Interactions

if TYPE_CHECKING:
    import pandas as pd

ITEM_COLUMNS = ("item_id", "title", "genres", "year", "category", "duration_s", "performers", "tags", "description")
KNOWN = {*ITEM_COLUMNS, "user_id", "timestamp", "rating", "wanted"}
LISTS, NUMBERS, TEXTS = ("genres", "performers", "tags"), ("year", "duration_s"), ("title", "category", "description")
_ANY_TIME = 1 << 62
_SKEW = 86_400  # s: as far ahead as time zones and clocks are wrong
_TITLE_YEAR = re.compile(r"[(（]\s*((?:1[89]|20|21)\d\d)(?:\s*[-–]\s*(?:\d{4})?)?\s*[)）]\s*$")
_NO_GENRES = "(no genres listed)"  # MovieLens' own word


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What became of the rows of a frame: ``rows`` came, ``kept`` are events; the rest says why, in numbers of rows."""

    rows: int
    kept: int
    users: int
    items: int
    missing_users: int = 0
    missing_items: int = 0
    bad_times: int = 0  # missing, not a time, or absurd
    far_future: int = 0  # dropped
    near_future: int = 0  # set to now
    duplicates: int = 0  # the same in every column
    repeats: int = 0  # an older event of the same user, item and decision
    contradictions: int = 0  # an older event of the same user and item that says otherwise
    bad_ratings: int = 0  # became "no rating"
    unknown_items: int = 0  # items, not rows: decided on, but not among the items given
    unit: str = "seconds"

    @property
    def dropped(self) -> int:
        return self.rows - self.kept

    def sentences(self) -> tuple[str, ...]:
        """What a person should know, most telling first; the first sentence always stands."""
        told = [
            f"{self.kept:,} of {_counted(self.rows, 'row')} became events of {_counted(self.users, 'user')} and "
            f"{_counted(self.items, 'item')}."
        ]
        if self.users == 1:
            told.append("There is a single user, so nothing can be learned from what others chose.")
        if self.unit != "seconds":
            told.append(f"Timestamps were read as {self.unit}.")
        reasons = (
            (self.missing_users, "dropped: the user's id is missing"),
            (self.missing_items, "dropped: the item's id is missing"),
            (self.bad_times, "dropped: the timestamp is missing or not a time"),
            (self.far_future, "dropped: the timestamp lies more than a day in the future"),
            (self.near_future, "kept with the present as their time: the timestamp lies up to a day in the future"),
            (self.duplicates, "dropped: the same as another in every column"),
            (self.repeats, "dropped: the same user decided the same on the same item again later"),
            (self.contradictions, "dropped: the same user decided otherwise on the same item later (the newest stays)"),
            (self.bad_ratings, "kept without a rating: what stood there is not a number"),
        )
        told += [f"{_counted(count, 'row')} {reason}." for count, reason in reasons if count]
        if self.unknown_items:
            told.append(f"{_counted(self.unknown_items, 'item')} kept without metadata: not among the items given.")
        return tuple(told)


def interactions_of(
    frame: pd.DataFrame, items: pd.DataFrame | None, *, now: datetime | None = None, repeated: bool = False
) -> tuple[Interactions, Cleaning]:
    """Events of a frame with user_id, item_id (int, str or UUID), timestamp (seconds, ISO text or datetimes; UTC where
    no zone is said) and, if it has them, rating (number) and wanted (true or false; missing: true).

    Users are numbered in the order of their ids as text, items as in ``items`` and then those it lacks, in the order
    of their ids. Of several events of one user with one item the newest stays, or, with ``repeated``, all but exact
    duplicates do. Timestamps later than ``now`` are mended up to a day and dropped beyond.
    Raises BadInput when a column is missing or no event is left.
    """
    _require(frame, "interactions", ("user_id", "item_id", "timestamp"))
    rows = len(frame)
    users, user_ids = ids_of(frame["user_id"], "user_id")
    chosen, chosen_ids = ids_of(frame["item_id"], "item_id")
    times, unit = times_of(frame["timestamp"])
    ratings, bad_ratings = ratings_of(frame)
    wanted = wanted_of(frame)
    timed = times != NEVER
    counts = {
        "missing_users": int((users < 0).sum()),
        "missing_items": int(((users >= 0) & (chosen < 0)).sum()),
        "bad_times": int(((users >= 0) & (chosen >= 0) & ~timed).sum()),
    }
    keep = (users >= 0) & (chosen >= 0) & timed
    moment = _ANY_TIME if now is None else int(now.timestamp())
    far, near = keep & (times > moment + _SKEW), keep & (times > moment)
    keep &= ~far
    counts |= {"far_future": int(far.sum()), "near_future": int((near & keep).sum())}
    if not keep.any():
        reason = "have no rows" if not rows else f"have no usable row among {rows:,} ({_why(counts)})"
        raise BadInput("interactions", reason, "give rows with user_id, item_id and a timestamp that is not ahead")
    order = np.flatnonzero(keep)
    order = order[np.lexsort((times[order], users[order]))]  # stable: rows of one second stay as they came
    order, gone = _once(order, users, chosen, times, ratings, wanted, repeated)
    user_of, kept_users = _renumbered(users[order], user_ids, ())
    catalogue = () if items is None else _catalogue_ids(items)
    item_of, kept_items = _renumbered(chosen[order], chosen_ids, catalogue)
    by_name = np.argsort(user_of, kind="stable")
    order = order[by_name]
    found = Interactions(
        users=user_of[by_name],
        items=item_of[by_name],
        times=np.minimum(times[order], moment),  # only now: until here they had the order that they came in
        ratings=ratings[order],
        wanted=wanted[order],
        user_ids=kept_users,
        item_ids=kept_items,
    )
    counts |= gone | {"bad_ratings": int(bad_ratings[order].sum())}
    counts["unknown_items"] = 0 if items is None else found.n_items - len(catalogue)
    return found, Cleaning(rows, len(found), found.n_users, found.n_items, unit=unit, **counts)


def items_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The items in `ITEM_COLUMNS`: ids as text, lists of words (an "A|B" is split), numbers as float64 (NaN: unknown),
    texts or None. Rows without an id go, of rows with one id the last stays; both are counted in ``attrs``
    ("missing_ids", "duplicates"). A year that only the title names, "Heat (1995)", is read from there, and MovieLens'
    "(no genres listed)" is none.
    Raises BadInput without a column item_id.
    """
    import pandas as pd

    _require(frame, "items", ("item_id",))
    codes, ids = ids_of(frame["item_id"], "item_id")
    rows = np.full(len(ids), -1, np.int64)  # in the order of each id's first row
    rows[codes[codes >= 0]] = np.flatnonzero(codes >= 0)  # the last one: numpy keeps the last of such assignments
    columns: dict[str, Any] = {"item_id": pd.Series(ids, dtype="str")}
    for name in ITEM_COLUMNS[1:]:
        values = frame[name].iloc[rows] if name in frame.columns else pd.Series([None] * len(rows), dtype=object)
        if name in NUMBERS:
            numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
            columns[name] = np.where(np.isfinite(numbers), numbers, np.nan)
        else:
            read = words_of if name in LISTS else text_of
            columns[name] = pd.Series([read(value) for value in values.tolist()], dtype=object)
    columns["genres"] = columns["genres"].map(lambda genres: [genre for genre in genres if genre != _NO_GENRES])
    years, titles = columns["year"], columns["title"].tolist()
    for row in np.flatnonzero(np.isnan(years)):
        if found := _TITLE_YEAR.search(titles[row] or ""):
            years[row] = float(found.group(1))
    cleaned = pd.DataFrame(columns)
    missing = int((codes < 0).sum())
    cleaned.attrs = {"missing_ids": missing, "duplicates": len(frame) - missing - len(rows)}
    return cleaned


def aligned(items: pd.DataFrame, item_ids: NDArray[np.str_] | Sequence[str]) -> pd.DataFrame:
    """One row for each of ``item_ids`` (as in Interactions), in canonical columns; empty ones where ``items`` lacks
    it."""
    import pandas as pd

    cleaned = items_of(items).set_index("item_id")
    ids = [str(name) for name in item_ids]
    found = cleaned.reindex(ids).reset_index()
    absent = ~pd.Index(ids).isin(cleaned.index)
    for name in (*LISTS, *TEXTS):
        if absent.any():
            empty = list if name in LISTS else lambda: None
            values = found[name].tolist()
            found[name] = pd.Series(
                [empty() if gone else value for value, gone in zip(values, absent, strict=True)], dtype=object
            )
    found.attrs = {}
    return found[list(ITEM_COLUMNS)]


def _once(
    order: NDArray[np.int64],
    users: NDArray[np.int64],
    chosen: NDArray[np.int64],
    times: NDArray[np.int64],
    ratings: NDArray[np.float32],
    wanted: NDArray[np.bool_],
    repeated: bool,
) -> tuple[NDArray[np.int64], dict[str, int]]:
    """The rows that stay of ``order`` (by user, then time), and how many of each kind go."""
    said = np.where(np.isnan(ratings), np.float32(-np.inf), ratings)  # NaN is the same as NaN here
    by_pair = order[np.lexsort((said[order], wanted[order], times[order], chosen[order], users[order]))]
    a, b = by_pair[:-1], by_pair[1:]
    pair = (users[a] == users[b]) & (chosen[a] == chosen[b])
    same = pair & (said[a] == said[b]) & (wanted[a] == wanted[b])
    twice = np.zeros(len(users), np.bool_)
    twice[b[same & (times[a] == times[b])]] = True
    order = order[~twice[order]]
    if repeated:
        return order, {"duplicates": int(twice.sum())}
    by_pair = order[np.lexsort((chosen[order], users[order]))]  # stable: in order of time, then as they came
    a, b = by_pair[:-1], by_pair[1:]
    older = np.append((users[a] == users[b]) & (chosen[a] == chosen[b]), False)
    ends = np.flatnonzero(~older)
    newest = by_pair[ends[np.searchsorted(ends, np.arange(len(by_pair)))]]
    agree = (said[by_pair] == said[newest]) & (wanted[by_pair] == wanted[newest])
    gone = np.zeros(len(users), np.bool_)
    gone[by_pair[older]] = True
    counts = {
        "duplicates": int(twice.sum()),
        "repeats": int((older & agree).sum()),
        "contradictions": int((older & ~agree).sum()),
    }
    return order[~gone[order]], counts


def _renumbered(
    codes: NDArray[np.int64], ids: list[str], first: tuple[str, ...]
) -> tuple[NDArray[np.int32], NDArray[np.str_]]:
    """Codes into the ids in use: ``first`` as they stand, then the others sorted."""
    used = np.unique(codes)
    known = {name: row for row, name in enumerate(first)}
    others = sorted(ids[code] for code in used if ids[code] not in known)
    known |= {name: len(first) + row for row, name in enumerate(others)}
    rows = np.full(len(ids), -1, np.int32)
    rows[used] = [known[ids[code]] for code in used]
    return rows[codes], np.array([*first, *others], dtype=np.str_)


def _catalogue_ids(items: pd.DataFrame) -> tuple[str, ...]:
    _require(items, "items", ("item_id",))
    return tuple(ids_of(items["item_id"], "item_id")[1])


def _require(frame: pd.DataFrame, what: str, names: tuple[str, ...]) -> None:
    lacking = [name for name in names if name not in frame.columns]
    if lacking:
        # With none of ours among them they may be the first row of a file without a header, and say who decided what.
        known = any(name in frame.columns for name in KNOWN)
        held = ", ".join(map(str, frame.columns)) if known else f"{len(frame.columns)} of other names"
        raise BadInput(what, f"have no column {' or '.join(lacking)} (columns: {held})", "name the columns so")
    twice = [str(name) for name in frame.columns[frame.columns.duplicated()]]
    if twice:
        raise BadInput(what, f"have two columns {twice[0]}", "give each column a name of its own")


def _why(counts: dict[str, int]) -> str:
    words = {
        "missing_users": "without a user",
        "missing_items": "without an item",
        "bad_times": "without a time",
        "far_future": "in the future",
    }
    return ", ".join(f"{count:,} {words[name]}" for name, count in counts.items() if count and name in words)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
