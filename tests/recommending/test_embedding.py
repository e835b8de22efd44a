from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.recommending import embedding
from pipelines.recommending.embedding import Pace
from pipelines.recommending.interactions import Interactions
from pipelines.storage.decisions import History
from tests.recommending.vectors import user_ids, vectors, video_ids


class Clock:
    """``rate(n)`` is how long a batch of n takes."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def sizes(rate: object, n: int = 20_000, *, row_bytes: int = 100, **pace: object) -> list[int]:
    clock = Clock()

    def embed(rows: Sequence[int]) -> NDArray[np.float32]:
        clock.now += rate(len(rows))  # type: ignore[operator]
        return np.broadcast_to(one, (len(rows), 768))

    one = vectors(1, 0)
    rows = ((UUID(int=k), k) for k in range(n))
    made = embedding.generate(
        rows,
        embed,
        version="v1",
        row_bytes=row_bytes,
        pace=Pace(**pace),
        clock=clock,  # type: ignore[arg-type]
    )
    return [len(batch.ids) for batch in made]


def test_batches_grow_while_that_is_quicker() -> None:
    found = sizes(lambda n: 0.01 + n * 1e-5)
    assert found[:4] == [64, 128, 256, 512]
    assert max(found) > 2000
    assert sum(found) == 20_000


def test_batches_stop_to_grow_where_it_brings_nothing() -> None:
    assert set(sizes(lambda n: n * 1e-4, n=1000)[1:-1]) <= {64, 128}


def test_batches_stay_below_time_and_memory() -> None:
    slow = lambda n: 0.5 + n * 1e-2  # noqa: E731
    assert all(slow(n) <= 2.2 for n in sizes(slow, n=2000))
    assert max(sizes(lambda n: 0.01, row_bytes=1 << 20)) == 256
    assert max(sizes(lambda n: 0.01, n=10, row_bytes=1 << 30)) == 1
    assert sizes(lambda n: 0.01, n=0) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (vectors(3, 0)[:, :100], "3 x 100 numbers instead of 3 x 768"),
        (np.full((3, 768), np.nan), "NaN"),
        (vectors(3, 0) / 2, "length 0.5000"),
    ],
)
def test_unfit_vectors_name_their_version(found: NDArray[np.float32], said: str) -> None:
    rows = [(UUID(int=k), k) for k in range(3)]
    with pytest.raises(BadInput, match=said) as caught:
        list(embedding.generate(rows, lambda _: found, version="v20261121.4"))
    assert "v20261121.4" in str(caught.value)


class Towers:
    """A user's vector is that of the number of their events, an item's that of its year."""

    def user_inputs(self, histories: Interactions) -> NDArray[np.float32]:
        assert list(histories.user_ids) == sorted(histories.user_ids)
        return np.diff(histories.offsets)[:, None].astype(np.float32)

    def item_inputs(self, items: pd.DataFrame) -> NDArray[np.float32]:
        return items[["year"]].to_numpy(np.float32)

    def user_vectors(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([vectors(1, int(value)) for (value,) in inputs])

    item_vectors = user_vectors


def history(n: int) -> History:
    return History(
        np.array([str(one) for one in video_ids(n)], np.str_),
        np.array([str(k) for k in range(n)], np.str_),
        np.arange(n, dtype=np.int64),
        np.full(n, np.nan, np.float32),
        np.full(n, "like", np.str_),
    )


def test_viewers_and_videos_keep_their_order() -> None:
    lengths = [3, 0, 5, 1, 0, 2]
    histories = [(str(one), history(n)) for one, n in zip(user_ids(6), lengths, strict=True)]
    made = list(embedding.of_users(Towers(), histories, version="v1", pace=Pace(first=2)))
    assert [one for batch in made for one in batch.ids] == user_ids(6)
    expected = np.concatenate([vectors(1, n) for n in lengths])
    np.testing.assert_array_equal(np.concatenate([batch.vectors for batch in made]), expected)

    items = pd.DataFrame({"item_id": [str(one) for one in video_ids(5)], "year": [5, 1, 4, 2, 3]})
    made = list(embedding.of_videos(Towers(), items, version="v1", pace=Pace(first=2)))
    assert [one for batch in made for one in batch.ids] == video_ids(5)
    expected = np.concatenate([vectors(1, year) for year in items["year"]])
    np.testing.assert_array_equal(np.concatenate([batch.vectors for batch in made]), expected)


def test_histories_become_events_of_each_viewer() -> None:
    events = embedding.together([history(2), history(0), history(3)])
    assert events.offsets.tolist() == [0, 2, 2, 5]
    names = [str(one) for one in video_ids(3)]
    assert [str(name) for name in events.item_ids[events.items]] == [*names[:2], *names]
    assert events.times.tolist() == [0, 1, 0, 1, 2]
    assert len(embedding.together([history(0)])) == 0
