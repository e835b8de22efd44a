"""Viewers' first events as rows of numbers: what they mean, one viewer and many, nothing of the future."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import BadInput
from pipelines.recommending import user_features
from pipelines.recommending.cleaning import interactions_of
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.user_features import UserEncoder

DAY = 86_400
MONDAY = 1_767_571_200  # 2026-01-05 00:00 UTC
ITEMS = pd.DataFrame(
    {
        "item_id": [f"i{row}" for row in range(8)],
        "genres": ["Drama", "Drama|Crime", "Comedy", "Comedy|Drama", None, "Crime", "Horror", "Drama"],
        "year": [1990, 1995, 2000, None, 2010, 2015, 1950, 2020],
    }
)


def history(
    rows: Sequence[tuple[str, str, int, float | None, bool]], items: pd.DataFrame | None = ITEMS
) -> Interactions:
    columns = ("user_id", "item_id", "timestamp", "rating", "wanted")
    return interactions_of(pd.DataFrame(rows, columns=columns), items, repeated=True)[0]


def many(seed: int, users: int = 40) -> Interactions:
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        times = MONDAY + np.cumsum(rng.choice([0, 1, 60, 3600, 5 * DAY], size=rng.integers(1, 40)))
        for time in times:
            rating = None if rng.random() < 0.2 else float(rng.integers(1, 11)) / 2
            rows.append((f"u{user}", f"i{rng.integers(0, 8)}", int(time), rating, bool(rng.random() < 0.8)))
    return history(rows)


TRAINED = many(1)
ENCODER = UserEncoder.fit(TRAINED, ITEMS)
UNLIMITED = replace(ENCODER, scale=replace(ENCODER.scale, limit=1e9))


def every_prefix(interactions: Interactions) -> tuple[Any, Any]:
    """All users, each with lengths 0 to all events."""
    lengths = [np.arange(count + 1) for count in np.diff(interactions.offsets)]
    users = np.repeat(np.arange(interactions.n_users), [len(one) for one in lengths])
    return users.astype(np.int32), np.concatenate(lengths).astype(np.int32)


def alone(encoder: UserEncoder, interactions: Interactions, user: int, length: int) -> Any:
    rows = slice(interactions.offsets[user], interactions.offsets[user] + length)
    ids = interactions.item_ids[interactions.items[rows]].tolist()
    return encoder.of_events(ids, interactions.times[rows], interactions.ratings[rows], interactions.wanted[rows])


def raw(encoder: UserEncoder, row: Any) -> dict[str, float]:
    """The features before they were standardised."""
    return dict(zip(encoder.names, (row * encoder.scale.scale + encoder.scale.mean).tolist(), strict=True))


def test_one_viewer_is_the_same_as_many_prefixes_to_the_last_bit() -> None:
    other = many(2)
    users, lengths = every_prefix(other)
    found = ENCODER.of_prefixes(other, users, lengths)
    assert found.shape == (len(users), len(ENCODER.names))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    for row, (user, length) in enumerate(zip(users, lengths, strict=True)):
        np.testing.assert_array_equal(alone(ENCODER, other, user, length), found[row])


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    users, lengths = every_prefix(TRAINED)
    whole = ENCODER.of_prefixes(TRAINED, users, lengths)
    monkeypatch.setattr(user_features, "_EVENTS", 50)
    monkeypatch.setattr(user_features, "_PREFIXES", 7)
    order = np.random.default_rng(0).permutation(len(users))
    np.testing.assert_array_equal(ENCODER.of_prefixes(TRAINED, users[order], lengths[order]), whole[order])


def test_nothing_after_the_prefix_has_a_part_in_it() -> None:
    start = [("u", "i0", MONDAY, 4.0, True), ("u", "i1", MONDAY + 50, None, False)]
    users, lengths = np.zeros(3, np.int32), np.arange(3, dtype=np.int32)
    alone_rows = ENCODER.of_prefixes(history(start), users, lengths)
    later = history([*start, ("u", "i6", MONDAY + 900 * DAY, 1.0, True), ("v", "i0", MONDAY - DAY, 1.0, False)])
    np.testing.assert_array_equal(ENCODER.of_prefixes(later, users, lengths), alone_rows)


def test_only_the_last_events_date_itself_is_absolute() -> None:
    users, lengths = every_prefix(TRAINED)
    shifted = Interactions(
        TRAINED.users,
        TRAINED.items,
        TRAINED.times + 7 * DAY * 52,
        TRAINED.ratings,
        TRAINED.wanted,
        TRAINED.user_ids,
        TRAINED.item_ids,
    )
    before, after = (ENCODER.of_prefixes(events, users, lengths) for events in (TRAINED, shifted))
    differs = (before != after).any(axis=0)
    assert [name for name, moved in zip(ENCODER.names, differs, strict=True) if moved] == ["last_event"]


def test_what_the_columns_say() -> None:
    rows = [
        ("u", "i0", MONDAY + 3600, 2.0, True),  # Monday, 01:00
        ("u", "i2", MONDAY + 3600, 4.0, True),
        ("u", "i6", MONDAY + 3600 + 1800, None, False),  # half an hour later: the same session
        ("u", "i1", MONDAY + 5 * DAY + 13 * 3600, 5.0, True),  # Saturday, 13:00
        ("u", "i1", MONDAY + 5 * DAY + 13 * 3600 + 60, 3.0, True),
    ]
    found = raw(UNLIMITED, alone(UNLIMITED, history(rows), 0, 5))
    z = [(rating - ENCODER.rating[0]) / ENCODER.rating[1] for rating in (2.0, 4.0, 5.0, 3.0)]
    expected = {
        "events_log": math.log(6),
        "wanted_log": math.log(5),
        "wanted_share": 0.8,
        "rated_share": 0.8,
        "wanted_last": 1,
        "rating_mean": np.mean(z),
        "rating_sd": np.std(z),
        "rating_shift_recent": 0,
        "rating_last": z[-1],
        "repeat_share": 0.2,
        "genre:drama": 3 / 6,
        "genre:crime": 2 / 6,
        "genre:comedy": 1 / 6,
        "genre:horror": 0,  # not wanted
        "genre_shift_recent": 0,
        "hour_sin": math.sin(2 * math.pi * (13 * 60 + 1) / 1440),
        "weekday_cos": math.cos(2 * math.pi * 5 / 7),
        "night_share": 0.6,
        "afternoon_share": 0.4,
        "weekend_share": 0.4,
        "gap_last_log": math.log(61),
        "gap_mean_log": math.log1p((5 * DAY + 12 * 3600 + 60) / 4),
        "same_second_share": 0.25,
        "session_events_log": math.log(3),
        "session_seconds_log": math.log(61),
        "sessions_log": math.log(3),
        "cold": 0,
        "short": 0,
        "span_log": math.log1p((5 * DAY + 12 * 3600 + 60) / DAY),
        "last_hour_log": math.log(3),
        "last_day_log": math.log(3),
        "last_week_log": math.log(6),
        "last_month_log": math.log(6),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=2e-3)
    shares = np.array([3, 2, 1]) / 6
    entropy = -(shares * np.log(shares)).sum() / math.log(4)
    assert found["genre_entropy"] == pytest.approx(entropy, abs=1e-3)


def test_recent_events_are_the_last_ten() -> None:
    rows = [("u", "i6", MONDAY + 60 * at, 1.0, True) for at in range(30)]
    rows += [("u", "i2", MONDAY + 3600 + 60 * at, 5.0, at % 2 == 0) for at in range(10)]
    found = raw(UNLIMITED, alone(UNLIMITED, history(rows), 0, 40))
    assert found["wanted_share_recent"] == pytest.approx(0.5, abs=1e-3)
    shift = (5 - 2) / ENCODER.rating[1]
    assert found["rating_shift_recent"] == pytest.approx(shift, abs=2e-3)
    assert found["genre_shift_recent"] == pytest.approx(30 / 35, abs=1e-3)


def test_popularity_and_years_are_means_over_the_items() -> None:
    logs = np.log1p(np.bincount(TRAINED.items, minlength=8))
    popularity = (logs - logs.mean()) / logs.std()
    known = ITEMS["year"].to_numpy(np.float64)
    years = (known - np.nanmean(known)) / np.nanstd(known)
    rows = [("u", "i0", MONDAY, None, True), ("u", "i3", MONDAY + 1, None, True), ("u", "i5", MONDAY + 2, None, True)]
    found = raw(UNLIMITED, alone(UNLIMITED, history(rows), 0, 3))
    assert found["popularity_mean"] == pytest.approx(popularity[[0, 3, 5]].mean(), abs=2e-3)
    assert found["year_mean"] == pytest.approx(years[[0, 5]].mean(), abs=2e-3)


def test_a_cold_start_has_the_defaults() -> None:
    none = ENCODER.of_events([], np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.bool_))
    np.testing.assert_array_equal(none, ENCODER.defaults)
    users, lengths = np.zeros(2, np.int32), np.array([0, 1], np.int32)
    np.testing.assert_array_equal(ENCODER.of_prefixes(TRAINED, users, lengths)[0], none)
    nobody = history([("u", "i0", 1, None, True)]).take(np.zeros(1, np.bool_))
    np.testing.assert_array_equal(ENCODER.of_prefixes(nobody, users[:1], lengths[:1])[0], none)
    told = dict(zip(ENCODER.names, none.tolist(), strict=True))
    assert (told["cold"], told["short"]) == (1, 1)
    assert raw(ENCODER, none)["events_log"] == pytest.approx(0, abs=1e-6)
    assert told["rating_mean"] == told["genre:drama"] == told["hour_sin"] == told["gap_last_log"] == 0


def test_unknown_items_are_events_without_properties_and_are_counted() -> None:
    rows = [("u", "i0", MONDAY, None, True), ("u", "new", MONDAY + 1, None, True), ("u", "new", MONDAY + 2, 3.0, True)]
    events = history(rows)
    users, lengths = np.zeros(1, np.int32), np.array([3], np.int32)
    encoded = ENCODER.encode(events, users, lengths)
    assert encoded.unknown == {"items": 2}
    assert encoded.missing == {"rating": 2, "genres": 2, "history": 0}
    assert ENCODER.unknown(["i0", "new", "newer"]) == 2
    found = raw(UNLIMITED, alone(UNLIMITED, events, 0, 3))
    assert found["events_log"] == pytest.approx(math.log(4), abs=1e-5)
    assert found["genre:drama"] == pytest.approx(1, abs=1e-5)
    assert found["repeat_share"] == pytest.approx(1 / 3, abs=1e-5)
    np.testing.assert_array_equal(alone(ENCODER, events, 0, 3), encoded.matrix[0])


def test_events_in_another_order_are_sorted_by_time() -> None:
    rows = [("u", "i0", MONDAY, 1.0, True), ("u", "i2", MONDAY + 9, 5.0, False), ("u", "i5", MONDAY + 99, None, True)]
    events = history(rows)
    back = slice(None, None, -1)
    ids = events.item_ids[events.items].tolist()
    found = ENCODER.of_events(ids[back], events.times[back], events.ratings[back], events.wanted[back])
    np.testing.assert_array_equal(found, alone(ENCODER, events, 0, 3))


def test_prefixes_that_do_not_exist_are_refused() -> None:
    for length in (-1, 1000):
        with pytest.raises(ValueError, match="longer than the history"):
            ENCODER.of_prefixes(TRAINED, np.zeros(1, np.int32), np.array([length], np.int32))
    assert ENCODER.of_prefixes(TRAINED, np.zeros(0, np.int32), np.zeros(0, np.int32)).shape == (0, len(ENCODER.names))


def test_without_items_there_are_no_genres() -> None:
    encoder = UserEncoder.fit(TRAINED)
    assert not [name for name in encoder.names if name.startswith("genre:")]
    users, lengths = every_prefix(TRAINED)
    assert np.isfinite(encoder.of_prefixes(TRAINED, users, lengths)).all()


def test_groups_and_width() -> None:
    assert list(ENCODER.slices) == ["behavioural", "genres", "temporal", "history"]
    assert ENCODER.slices["history"].stop == len(ENCODER.names) == len(set(ENCODER.names)) == len(ENCODER.defaults)
    genres = [name.removeprefix("genre:") for name in ENCODER.names if name.startswith("genre:")]
    assert genres == ["drama", "comedy", "crime", "horror"]


def test_another_version_is_refused() -> None:
    state, arrays = ENCODER.state()
    with pytest.raises(BadInput, match="was saved as items 1, and this program reads viewers 1"):
        UserEncoder.from_state(state | {"kind": "items"}, arrays)


TIMES = st.one_of(
    st.integers(MONDAY, MONDAY + 10**6), st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, -1, MONDAY])
)
RATINGS = st.one_of(st.none(), st.floats(width=32), st.sampled_from([0.5, 3.0, 5.0]))
EVENTS = st.lists(
    st.tuples(st.sampled_from("uvw"), st.sampled_from([f"i{row}" for row in range(8)]), TIMES, RATINGS, st.booleans()),
    min_size=1,
    max_size=25,
)


def as_they_are(rows: list[tuple[Any, ...]]) -> Interactions:
    """Events that no cleaning has tamed, only sorted."""
    rows = sorted(rows, key=lambda row: (row[0], row[2]))
    names = sorted({row[0] for row in rows})
    return Interactions(
        np.array([names.index(row[0]) for row in rows], np.int32),
        np.array([int(row[1][1:]) for row in rows], np.int32),
        np.array([row[2] for row in rows], np.int64),
        np.array([math.nan if row[3] is None else row[3] for row in rows], np.float32),
        np.array([row[4] for row in rows], np.bool_),
        np.array(names),
        ITEMS["item_id"].to_numpy(np.str_),
    )


@settings(deadline=None)
@given(EVENTS, EVENTS)
def test_any_events_give_finite_rows_alike_alone_and_together_and_after_saving(
    known: list[tuple[Any, ...]], asked: list[tuple[Any, ...]]
) -> None:
    encoder = UserEncoder.fit(as_they_are(known), ITEMS)
    events = as_they_are(asked)
    users, lengths = every_prefix(events)
    found = encoder.of_prefixes(events, users, lengths)
    assert np.isfinite(found).all()
    for row, (user, length) in enumerate(zip(users, lengths, strict=True)):
        np.testing.assert_array_equal(alone(encoder, events, user, length), found[row])
    state, arrays = encoder.state()
    assert all(array.dtype.kind in "fiub" for array in arrays.values())
    saved = UserEncoder.from_state(json.loads(json.dumps(state)), {name: one.copy() for name, one in arrays.items()})
    np.testing.assert_array_equal(saved.of_prefixes(events, users, lengths), found)
    np.testing.assert_array_equal(saved.defaults, encoder.defaults)
    assert (saved.names, saved.slices) == (encoder.names, encoder.slices)
