from __future__ import annotations

import pandas as pd
import pytest

from pipelines.errors import BadInput
from pipelines.recommending import cleaning, dataset

EVENTS = pd.DataFrame(
    {
        "user_id": ["b", "a", "b", "c"],
        "item_id": ["10", "9", "9", "x"],
        "timestamp": [300, 100, 200, 50],
        "rating": [4.5, None, 2.0, 3.0],
        "wanted": [True, True, False, True],
    }
)
ITEMS = pd.DataFrame(
    {
        "item_id": ["9", "10", "unseen"],
        "title": ["Heat (1995)", None, "花"],
        "genres": ["Crime|Drama", None, []],
        "tags": [["noir"], [], []],
    }
)


def test_a_dataset_comes_back_as_it_was() -> None:
    interactions, _ = cleaning.interactions_of(EVENTS, ITEMS)
    items = cleaning.aligned(ITEMS, interactions.item_ids)
    events, catalogue = dataset.events_to_parquet(interactions, "abc"), dataset.items_to_parquet(items)
    back = dataset.read(events, catalogue)
    for column in ("users", "items", "times", "wanted", "user_ids", "item_ids"):
        assert getattr(back.interactions, column).tolist() == getattr(interactions, column).tolist(), column
    assert pd.Series(back.interactions.ratings).equals(pd.Series(interactions.ratings))
    pd.testing.assert_frame_equal(back.items, items.reset_index(drop=True), check_dtype=False)
    assert dataset.events_to_parquet(back.interactions, "abc") == events
    assert dataset.events_to_parquet(back.interactions, "other") != events
    assert dataset.items_to_parquet(back.items) == catalogue


def test_other_bytes_are_refused() -> None:
    with pytest.raises(BadInput, match="holds no events"):
        dataset.read(b"PAR1 nothing", b"PAR1")
