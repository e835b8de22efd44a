"""What a list says of itself is true."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.recommending import reasons
from pipelines.recommending.catalogue import Catalogue, Filters
from pipelines.storage.recommendations import Columns, Wanted


def ids(n: int) -> np.ndarray:
    return np.array([i.to_bytes(16, "big") for i in range(n)], "S16")


def catalogue() -> Catalogue:
    """100 videos: ten horror, the others drama; 0 is popular, 1 this month, 2 was wanted once, the rest never."""
    columns = Columns(
        ids(100), (np.arange(100) >= 10).astype(np.intp), (("Horror",), ("Drama",)), np.array([True, True])
    )
    wanted = Wanted(ids(3), np.array([9.0, 5.0, 0.1]), np.array([0, 4, 0]), np.array([50, 5, 1]))
    return Catalogue.of(columns, wanted)


def test_popular_new_or_nothing() -> None:
    known = catalogue()
    assert reasons.general(known, np.array([0, 1, 2, 3, -1])) == ["popular", "popular this month", None, "new", "new"]


def test_a_taste_is_more_than_the_catalogue_has() -> None:
    known = catalogue()
    found = reasons.tastes(known, np.array([0, 1, 2, 50]))
    assert found == {"horror": pytest.approx(7.5)}
    assert reasons.taste(("Drama", "Horror"), found) == "Horror" and reasons.taste(("Drama",), found) is None
    assert reasons.tastes(known, np.array([0, 1, 50])) == {}  # two are no taste


def test_only_what_is_near_is_named() -> None:
    vectors, liked = np.eye(3, dtype=np.float32), np.array([[0.0, 0.9, 0.1], [0.8, 0.0, 0.0]], np.float32)
    assert reasons.nearest_liked(vectors, liked, (0.1, 0.2)).tolist() == [1, 0, -1]
    assert reasons.nearest_liked(vectors, liked[:0], (0.1, 0.2)).tolist() == [-1, -1, -1]


def test_filters_are_words_in_any_case() -> None:
    known = catalogue()
    assert known.admitted(Filters.of(["HORROR "], [], True)).sum() == 10
    assert known.admitted(Filters.of([], ["horror"], True)).sum() == 90
    assert not known.admitted(Filters.of(["western"], [], True)).any()
    assert not Filters().admits((), available=False) and Filters.of([], [], False).admits((), available=False)
