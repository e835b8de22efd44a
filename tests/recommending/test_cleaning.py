"""Anybody's frames: what is refused, dropped, mended, and how that is told."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import BadInput
from pipelines.recommending.cleaning import ITEM_COLUMNS, aligned, interactions_of, items_of
from pipelines.recommending.columns import id_text
from pipelines.recommending.interactions import Interactions

NOW = datetime(2026, 11, 21, tzinfo=UTC)
MOMENT = int(NOW.timestamp())


def frame(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            name: pd.Series([row[at] for row in rows], dtype=object).infer_objects()
            for at, name in enumerate(("user_id", "item_id", "timestamp", "rating")[: len(rows[0])])
        }
    )


def told(interactions: Interactions) -> list[tuple[str, str, int]]:
    users, items = interactions.user_ids[interactions.users], interactions.item_ids[interactions.items]
    return list(zip(users.tolist(), items.tolist(), interactions.times.tolist(), strict=True))


def test_events_are_sorted_by_user_then_time_then_as_they_came() -> None:
    given_rows = frame((2, "b", 30), (1, "z", 20), (2, "c", 10), (1, "a", 20), (2, "a", 30))
    found, cleaning = interactions_of(given_rows, None)
    assert told(found) == [("1", "z", 20), ("1", "a", 20), ("2", "c", 10), ("2", "b", 30), ("2", "a", 30)]
    assert found.item_ids.tolist() == ["a", "b", "c", "z"]
    assert cleaning.sentences() == ("5 of 5 rows became events of 2 users and 4 items.",)


def test_ids_are_the_same_as_int_float_and_text() -> None:
    one = uuid.uuid4()
    found, _ = interactions_of(frame((1, one, 1), (1.0, str(one), 2), (" 1 ", "other", 3)), None)
    assert told(found) == [("1", str(one), 2), ("1", "other", 3)]
    assert [id_text(value) for value in (7, 7.0, "7", np.int64(7), float("nan"), None)] == ["7"] * 4 + [""] * 2


def test_ids_of_a_column_with_a_gap_are_not_read_as_decimals() -> None:
    given_rows = pd.DataFrame({"user_id": [1, np.nan, 3], "item_id": [5, 6, np.nan], "timestamp": [1, 2, 3]})
    found, cleaning = interactions_of(given_rows, None)
    assert told(found) == [("1", "5", 1)]
    assert (cleaning.missing_users, cleaning.missing_items, cleaning.dropped) == (1, 1, 2)
    assert "There is a single user, so nothing can be learned from what others chose." in cleaning.sentences()
    assert "1 row dropped: the user's id is missing." in cleaning.sentences()


@pytest.mark.parametrize("missing", [None, "", "  ", float("nan"), float("inf"), pd.NA, pd.NaT, "x" * 201])
def test_missing_ids_are_dropped(missing: object) -> None:
    rows = pd.DataFrame(
        {"user_id": pd.Series(["a", missing], dtype=object), "item_id": ["i", "i"], "timestamp": [1, 2]}
    )
    found, cleaning = interactions_of(rows, None)
    assert found.user_ids.tolist() == ["a"]
    assert cleaning.missing_users == 1


@pytest.mark.parametrize(
    "times",
    [
        [1577836800, 1577836801],
        [1577836800.9, 1577836801.2],
        ["1577836800", "1577836801"],
        ["2020-01-01", "2020-01-01T00:00:01Z"],
        ["2020-01-01T09:00:00+09:00", "2020-01-01 00:00:01"],
        [datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, 0, 0, 1)],
        [date(2020, 1, 1), "1577836801"],
        pd.to_datetime([1577836800, 1577836801], unit="s"),
        pd.to_datetime([1577836800, 1577836801], unit="s", utc=True).tz_convert("Asia/Tokyo"),
        pd.array([1577836800, 1577836801], dtype="Int64"),
    ],
)
def test_times_in_many_clothes(times: Any) -> None:
    found, cleaning = interactions_of(pd.DataFrame({"user_id": 1, "item_id": [1, 2], "timestamp": times}), None)
    assert found.times.tolist() == [1577836800, 1577836801]
    assert cleaning.unit == "seconds"


@pytest.mark.parametrize(("factor", "unit"), [(1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")])
def test_finer_units_are_noticed_and_told(factor: float, unit: str) -> None:
    rows = pd.DataFrame({"user_id": 1, "item_id": [1, 2], "timestamp": np.array([1577836800, 1577836810]) * factor})
    found, cleaning = interactions_of(rows, None)
    assert found.times.tolist() == [1577836800, 1577836810]
    assert f"Timestamps were read as {unit}." in cleaning.sentences()


def test_what_is_no_time_is_dropped() -> None:
    times = pd.Series([5, "yesterday", None, float("nan"), float("inf"), "", pd.NaT, [3], 10**30], dtype=object)
    rows = pd.DataFrame({"user_id": 1, "item_id": range(len(times)), "timestamp": times})
    found, cleaning = interactions_of(rows, None)
    assert (found.times.tolist(), cleaning.bad_times) == ([5], len(times) - 1)


def test_the_future_is_mended_up_to_a_day_and_dropped_beyond() -> None:
    hour = timedelta(hours=1).seconds
    rows = frame((1, "late", MOMENT + 2 * hour), (1, "soon", MOMENT + hour), (1, "past", 5), (1, "far", MOMENT + 10**6))
    found, cleaning = interactions_of(rows, None, now=NOW)
    assert told(found) == [("1", "past", 5), ("1", "soon", MOMENT), ("1", "late", MOMENT)]
    assert (cleaning.near_future, cleaning.far_future) == (2, 1)
    assert any("more than a day in the future" in sentence for sentence in cleaning.sentences())
    untouched, _ = interactions_of(rows, None)
    assert untouched.times.max() == MOMENT + 10**6


def test_duplicates_repeats_and_contradictions() -> None:
    rows = frame(
        (1, "same", 10, 4.0),
        (1, "same", 10, 4.0),
        (1, "again", 10, 3.0),
        (1, "again", 20, 3.0),
        (1, "changed", 30, 5.0),
        (1, "changed", 5, 1.0),
        (1, "unrated", 7, None),
        (1, "unrated", 7, None),
    )
    found, cleaning = interactions_of(rows, None)
    assert told(found) == [("1", "unrated", 7), ("1", "same", 10), ("1", "again", 20), ("1", "changed", 30)]
    assert found.ratings[-1] == 5
    assert (cleaning.duplicates, cleaning.repeats, cleaning.contradictions, cleaning.dropped) == (2, 1, 1, 4)
    again, counted = interactions_of(rows, None, repeated=True)
    assert [item for _, item, _ in told(again)] == ["changed", "unrated", "same", "again", "again", "changed"]
    assert (counted.duplicates, counted.repeats, counted.contradictions) == (2, 0, 0)


def test_of_contradictions_in_one_second_the_last_given_stays() -> None:
    rows = frame((1, "a", 10, 1.0), (1, "a", 10, 5.0), (1, "a", 10, 2.0))
    assert interactions_of(rows, None)[0].ratings.tolist() == [2]
    wanted = frame((1, "a", 10), (1, "a", 10)).assign(wanted=[True, False])
    assert interactions_of(wanted, None)[0].wanted.tolist() == [False]


def test_ratings_that_are_none() -> None:
    ratings = pd.Series([4, "5", "good", float("inf"), None, 1e300], dtype=object)
    rows = pd.DataFrame({"user_id": 1, "item_id": range(6), "timestamp": range(6), "rating": ratings})
    found, cleaning = interactions_of(rows, None)
    np.testing.assert_array_equal(found.ratings, np.array([4, 5, np.nan, np.nan, np.nan, np.nan], np.float32))
    assert cleaning.bad_ratings == 3
    assert cleaning.kept == 6


def test_wanted_is_true_where_nothing_is_said() -> None:
    rows = frame((1, "a", 1), (1, "b", 2), (1, "c", 3))
    assert interactions_of(rows, None)[0].wanted.all()
    assert interactions_of(rows.assign(wanted=[0, 1, np.nan]), None)[0].wanted.tolist() == [False, True, True]
    nullable = rows.assign(wanted=pd.array([False, None, True], dtype="boolean"))
    assert interactions_of(nullable, None)[0].wanted.tolist() == [False, True, True]
    given_objects = rows.assign(wanted=pd.Series([False, None, True], dtype=object))
    assert interactions_of(given_objects, None)[0].wanted.tolist() == [False, True, True]
    with pytest.raises(BadInput, match="'no' in their column wanted"):
        interactions_of(rows.assign(wanted=["perhaps", "no", "yes"]), None)


def test_items_keep_their_order_and_unknown_ones_follow() -> None:
    items = pd.DataFrame({"item_id": [30, 4, 30, None, 5], "title": ["old", "b", "new", "none", "c"]})
    found, cleaning = interactions_of(frame((1, "9", 1), (1, 4, 2), (1, "8", 3)), items)
    assert found.item_ids.tolist() == ["30", "4", "5", "8", "9"]
    assert cleaning.unknown_items == 2
    assert "2 items kept without metadata: not among the items given." in cleaning.sentences()
    table = aligned(items, found.item_ids)
    assert table["item_id"].tolist() == found.item_ids.tolist()
    assert table["title"].tolist() == ["new", "b", "c", None, None]
    assert table["genres"].tolist() == [[]] * 5
    empty = interactions_of(frame((1, "9", 1)), items.iloc[:0])
    assert (empty[0].item_ids.tolist(), empty[1].unknown_items) == (["9"], 1)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (pd.DataFrame({"user_id": [], "item_id": [], "timestamp": []}), "have no rows"),
        (pd.DataFrame({"user_id": [1], "item_id": [1]}), "have no column timestamp"),
        (pd.DataFrame(), "have no column user_id or item_id or timestamp"),
        (frame((None, 1, 1), (1, 1, "soon")), r"no usable row among 2 \(1 without a user, 1 without a time\)"),
        (frame(([1], 1, 1)), "cannot be ids"),
        (pd.DataFrame([[1, 1, 1, 1]], columns=["user_id", "item_id", "timestamp", "user_id"]), "two columns user_id"),
    ],
)
def test_nothing_to_learn_from_is_bad_input(rows: pd.DataFrame, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        interactions_of(rows, None)


def test_only_future_rows_are_bad_input() -> None:
    with pytest.raises(BadInput, match="1 in the future"):
        interactions_of(frame((1, 1, MOMENT + 10**7)), None, now=NOW)


def test_items_in_canonical_columns() -> None:
    given_items = pd.DataFrame(
        {
            "item_id": [1, 2.0, "3", None, "2"],
            "title": ["Heat (1995)", "old", "街 (2001)", "nobody", None],
            "genres": ["Action|Crime|Action", ["x"], "(no genres listed)", "y", np.array(["Drama", "恋愛"])],
            "year": [None, "1990", "x", 5, float("inf")],
            "duration_s": [61, None, "90.5", 1, float("nan")],
            "studio": "ignored",
        }
    )
    items = items_of(given_items)
    assert tuple(items.columns) == ITEM_COLUMNS
    assert items["item_id"].tolist() == ["1", "2", "3"]
    assert items["title"].tolist() == ["Heat (1995)", None, "街 (2001)"]
    assert items["genres"].tolist() == [["Action", "Crime"], ["Drama", "恋愛"], []]
    np.testing.assert_array_equal(items["year"], [1995, np.nan, 2001])
    np.testing.assert_array_equal(items["duration_s"], [61, np.nan, 90.5])
    assert items["tags"].tolist() == [[], [], []]
    assert items.attrs == {"missing_ids": 1, "duplicates": 1}
    pd.testing.assert_frame_equal(items_of(items), items)


def test_the_frames_own_index_does_not_matter() -> None:
    rows = frame((2, "b", "2020-01-01", 1.0), (1, "a", 7, 2.0), (1, None, 8, 3.0))
    rows.index = pd.Index([5, 5, 0])
    found, _ = interactions_of(rows, None)
    assert told(found) == [("1", "a", 7), ("2", "b", 1577836800)]
    assert found.ratings.tolist() == [2, 1]
    items = pd.DataFrame({"item_id": ["a", "b", "a"], "title": ["x", "y", "z"]}, index=[3, 3, 3])
    assert items_of(items)["title"].tolist() == ["z", "y"]


def test_items_without_ids_are_bad_input() -> None:
    with pytest.raises(BadInput, match="items: have no column item_id"):
        items_of(pd.DataFrame({"title": ["a"]}))


CELLS = st.one_of(
    st.none(), st.integers(-5, 5), st.floats(), st.text(max_size=3), st.uuids(), st.booleans(), st.just(10**40)
)


@settings(deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), max_size=12), st.booleans())
def test_any_cells_give_ordered_events_or_bad_input(rows: list[tuple[Any, ...]], repeated: bool) -> None:
    columns = ("user_id", "item_id", "timestamp", "rating")
    table = pd.DataFrame({name: pd.Series([row[at] for row in rows], dtype=object) for at, name in enumerate(columns)})
    try:
        found, cleaning = interactions_of(table, None, now=NOW, repeated=repeated)
    except BadInput:
        return
    assert cleaning.kept == len(found) > 0
    counted = (cleaning.missing_users, cleaning.missing_items, cleaning.bad_times, cleaning.far_future)
    assert cleaning.dropped == sum(counted) + cleaning.duplicates + cleaning.repeats + cleaning.contradictions
    assert (np.lexsort((found.times, found.users)) == np.arange(len(found))).all()
    assert set(found.users) == set(range(found.n_users))
    assert set(found.items) == set(range(found.n_items))
    assert found.times.max() <= MOMENT
    if not repeated:
        assert len(set(zip(found.users.tolist(), found.items.tolist(), strict=True))) == len(found)


def test_a_frame_without_header_names_nobody() -> None:
    with pytest.raises(BadInput, match="2 of other names") as caught:
        interactions_of(pd.DataFrame(columns=["Aoi Hanamura", "f1"]), None)
    assert "Aoi" not in str(caught.value)
    with pytest.raises(BadInput, match="columns: user_id, film"):
        interactions_of(pd.DataFrame(columns=["user_id", "film"]), None)
