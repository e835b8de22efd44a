"""Items as rows of numbers: words of any script, categories, gaps; one item and many; saved and read back."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import BadInput
from pipelines.recommending.cleaning import items_of
from pipelines.recommending.item_features import ItemEncoder

CATALOGUE = items_of(
    pd.DataFrame(
        {
            "item_id": ["a", "b", "c", "d", "e"],
            "title": ["Night Train (1995)", "夜行列車", "The Night Watch", None, "東京の夜"],
            "genres": ["Drama|Crime", "Drama", "drama", None, "恋愛"],
            "year": [None, 2001, 1980, np.nan, 2020],
            "category": ["live", "live", None, "clip", "clip"],
            "duration_s": [60.0, 240, np.nan, 3600, 90],
            "performers": [["Ito", "Sato"], ["Ito"], [], [], ["Mori"]],
            "tags": [["train"], [], ["slow burn"], [], []],
        }
    )
)
COUNTS = np.array([100, 5, 0, 1, 20])
ENCODER = ItemEncoder.fit(CATALOGUE, COUNTS)


def reread(encoder: ItemEncoder) -> ItemEncoder:
    state, arrays = encoder.state()
    assert all(array.dtype.kind in "fiub" for array in arrays.values())
    return ItemEncoder.from_state(json.loads(json.dumps(state)), {name: array.copy() for name, array in arrays.items()})


def value(encoder: ItemEncoder, items: pd.DataFrame, name: str) -> list[float]:
    return [float(number) for number in encoder.transform(items).matrix[:, encoder.names.index(name)]]


def test_titles_lend_no_year_to_the_words() -> None:
    assert "term:train" in ENCODER.names
    assert not any("1995" in name for name in ENCODER.names)


def test_groups_cover_the_columns_in_order() -> None:
    encoded = ENCODER.transform(CATALOGUE, COUNTS)
    assert list(encoded.slices) == ["tfidf", "categories", "numbers", "counts"]
    ends = [0, *(part.stop for part in encoded.slices.values())]
    assert [part.start for part in encoded.slices.values()] == ends[:-1]
    assert encoded.matrix.shape == (5, len(encoded.names)) == (5, ends[-1])
    assert len(set(encoded.names)) == len(encoded.names)
    assert encoded.matrix.dtype == np.float32


def test_missing_values_are_zero_with_an_indicator_and_counted() -> None:
    encoded = ENCODER.transform(CATALOGUE, COUNTS)
    assert encoded.missing == {
        "text": 1,
        "genres": 1,
        "category": 1,
        "performers": 2,
        "year": 1,
        "duration_s": 1,
        "title": 1,
    }
    assert value(ENCODER, CATALOGUE, "year_missing") == [0, 0, 0, 1, 0]
    assert value(ENCODER, CATALOGUE, "year")[3] == 0
    assert value(ENCODER, CATALOGUE, "genres:(none)") == [0, 0, 0, 1, 0]


def test_unknown_words_are_counted_and_have_a_column() -> None:
    new = pd.DataFrame(
        {
            "item_id": ["x", "y"],
            "title": ["completely new", "night TRAIN"],
            "genres": ["Western|DRAMA|Noir", ["Crime"]],
            "category": ["stream", "live"],
            "performers": [["Abe"], ["ito"]],
            "year": [20000, 1990],
        }
    )
    encoded = ENCODER.transform(new)
    assert encoded.unknown == {"text": 1, "genres": 2, "category": 1, "performers": 1}
    assert encoded.missing["year"] == 1  # no film is of the year 20000
    assert value(ENCODER, new, "genres:drama") == [1, 0]
    assert value(ENCODER, new, "genres:(other)") == [1, 0]
    assert value(ENCODER, new, "performers:ito") == [0, 1]
    hashed = [name.startswith("performers:#") for name in encoded.names]
    assert encoded.matrix[:, hashed].sum(axis=1).tolist() == [1, 0]


def test_an_item_of_nothing_but_an_id_is_finite() -> None:
    encoded = ENCODER.transform(pd.DataFrame({"item_id": ["bare"]}))
    assert np.isfinite(encoded.matrix).all()
    assert encoded.missing == dict.fromkeys(encoded.missing, 1)
    assert value(ENCODER, pd.DataFrame({"item_id": ["bare"]}), "never_decided") == [1]


def test_counts() -> None:
    encoded = ENCODER.transform(CATALOGUE, COUNTS).matrix[:, ENCODER.slices["counts"]]
    assert (np.argsort(encoded[:, 0]) == np.argsort(COUNTS)).all()
    assert (np.argsort(encoded[:, 1]) == np.argsort(COUNTS)).all()
    assert encoded[:, 2].tolist() == [0, 0, 1, 0, 0]
    assert (encoded[:, 1] >= 0).all()
    assert (encoded[:, 1] <= 1).all()
    with pytest.raises(ValueError, match="2 counts for 5 items"):
        ENCODER.transform(CATALOGUE, COUNTS[:2])


def test_words_alone_are_the_same_sparse() -> None:
    sparse = ENCODER.words(CATALOGUE)
    dense = np.zeros((5, sparse.width), np.float32)
    dense[sparse.rows, sparse.columns] = sparse.values
    np.testing.assert_array_equal(dense, ENCODER.transform(CATALOGUE).matrix[:, ENCODER.slices["tfidf"]])
    lengths = np.linalg.norm(dense, axis=1)
    assert ((abs(lengths - 1) < 1e-6) | (lengths == 0)).all()


def test_a_catalogue_of_ids_alone_and_an_empty_one() -> None:
    bare = pd.DataFrame({"item_id": ["a", "b"]})
    encoder = reread(ItemEncoder.fit(bare, np.zeros(2, np.int64)))
    assert encoder.transform(CATALOGUE, COUNTS).matrix.shape[0] == 5
    assert not encoder.buckets
    empty = ItemEncoder.fit(bare.iloc[:0], np.zeros(0, np.int64))
    assert np.isfinite(empty.transform(CATALOGUE, COUNTS).matrix).all()
    assert ENCODER.transform(bare.iloc[:0]).matrix.shape == (0, len(ENCODER.names))


def test_another_version_is_refused() -> None:
    state, arrays = ENCODER.state()
    with pytest.raises(BadInput, match="was saved as items 0, and this program reads items 1"):
        ItemEncoder.from_state(state | {"version": 0}, arrays)


def test_serving_needs_no_scikit_learn() -> None:
    code = (
        "import sys, pandas as pd, numpy as np\n"
        "from pipelines.recommending.item_features import ItemEncoder\n"
        "items = pd.DataFrame({'item_id': ['a'], 'title': ['Night']})\n"
        "ItemEncoder.fit(items, np.ones(1)).transform(items)\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('sklearn', 'scipy', 'tensorflow')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "[]"


WORDS = st.sampled_from(["night", "train", "夜行", "東京の夜", "Ito", "drama", "Crime", "live", "éa", "", "x" * 30])
TEXTS = st.one_of(st.none(), st.lists(WORDS, max_size=5).map(" ".join), st.text(max_size=12))
LISTS = st.one_of(st.none(), st.lists(WORDS, max_size=4), st.lists(WORDS, max_size=3).map("|".join))
NUMBERS = st.one_of(st.none(), st.floats(), st.integers(-10, 4000))
ITEMS = st.tuples(TEXTS, LISTS, NUMBERS, TEXTS, NUMBERS, LISTS, LISTS, TEXTS, st.integers(-1, 10**6))
COLUMNS = ("title", "genres", "year", "category", "duration_s", "performers", "tags", "description")


def table(rows: list[tuple[Any, ...]], columns: tuple[str, ...]) -> tuple[pd.DataFrame, Any]:
    cells = {name: pd.Series([row[at] for row in rows], dtype=object) for at, name in enumerate(COLUMNS)}
    held = {name: cells[name] for name in columns}
    ids = pd.Series([str(row) for row in range(len(rows))], dtype=object)
    return pd.DataFrame({"item_id": ids, **held}), np.array([row[-1] for row in rows], np.int64)


@settings(deadline=None)
@given(
    st.lists(ITEMS, min_size=1, max_size=8),
    st.lists(ITEMS, min_size=1, max_size=8),
    st.sets(st.sampled_from(COLUMNS)),
    st.randoms(use_true_random=False),
)
def test_rows_stand_for_themselves_and_survive_saving(
    known: list[tuple[Any, ...]], asked: list[tuple[Any, ...]], columns: set[str], random: Any
) -> None:
    names = tuple(sorted(columns))
    encoder = ItemEncoder.fit(*table(known, names))
    shuffled = random.sample(known, len(known))
    items, counts = table(asked, names)
    encoded = encoder.transform(items, counts)
    assert np.isfinite(encoded.matrix).all()
    for row in range(len(items)):
        one = encoder.transform(items.iloc[[row]], counts[[row]])
        np.testing.assert_array_equal(one.matrix[0], encoded.matrix[row])
    for same in (reread(encoder), ItemEncoder.fit(*table(shuffled, names))):
        again = same.transform(items, counts)
        np.testing.assert_array_equal(again.matrix, encoded.matrix)
        assert (again.names, again.missing, again.unknown) == (encoded.names, encoded.missing, encoded.unknown)
