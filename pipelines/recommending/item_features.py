"""What is known of an item as one row of numbers: words of its texts, categories, numbers, how often it was decided on.

Fitted on a catalogue, saved with the model; viewers' features are user_features.py's.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.columns import text_of, words_of
from pipelines.recommending.encoders import (
    Arrays,
    Encoded,
    Sparse,
    Standardiser,
    State,
    Terms,
    Vocabulary,
    folded,
    versioned,
)

if TYPE_CHECKING:
    import pandas as pd

MOST_TERMS = 1000
_MOST = {"genres": 64, "category": 32, "performers": 64}
_LEAST_PERFORMED = 2  # items of a performer who has a column
_BUCKETS = 32  # columns that all other performers share by their hash
_NUMBERS = ("year", "duration_log", "genres_log", "tags_log", "performers_log", "letters_log")
_GAPS = ("year_missing", "duration_missing")
_COUNTS = ("count_log", "count_rank", "never_decided")
_YEARS = (1000.0, 3000.0)
_YEAR_AT_END = re.compile(r"[(（]\d{4}(?:\s*[-–]\s*(?:\d{4})?)?[)）]\s*$")


@dataclass(frozen=True, slots=True)
class ItemEncoder:
    """Reads the columns that cleaning.items_of gives, or as many of them as there are, into four groups: "tfidf"
    (title, description and tags), "categories" (genres, category, performers), "numbers" (standardised; missing: 0 and
    an indicator) and "counts" (of decisions)."""

    terms: Terms
    genres: Vocabulary
    category: Vocabulary
    performers: Vocabulary
    buckets: int  # of performers by hash; 0 where the catalogue named none
    numbers: Standardiser  # of `_NUMBERS`
    counts: Standardiser  # of ln(1 + count)
    ranks: NDArray[np.float64]  # [<= 101] percentiles of the counts, ascending
    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    slices: dict[str, slice] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        groups = {
            "tfidf": [f"term:{term}" for term in self.terms.terms],
            "categories": [
                *(f"{name}:{word}" for name in _MOST for word in getattr(self, name).columns),
                *(f"performers:#{bucket}" for bucket in range(self.buckets)),
            ],
            "numbers": [*_NUMBERS, *_GAPS],
            "counts": list(_COUNTS),
        }
        ends = np.cumsum([0, *map(len, groups.values())]).tolist()
        object.__setattr__(self, "names", tuple(chain.from_iterable(groups.values())))
        object.__setattr__(self, "slices", {name: slice(*ends[at : at + 2]) for at, name in enumerate(groups)})

    @classmethod
    def fit(cls, items: pd.DataFrame, counts: NDArray[np.int64]) -> ItemEncoder:
        """Of a catalogue (any of the canonical columns; a row an item) and how often each item was decided on [n].
        The same rows in any order give the same encoder."""
        cells = _Cells.of(items)
        logs = _logs(counts, len(items))
        ranks = np.percentile(logs, np.linspace(0, 100, 101), method="nearest") if len(logs) else np.zeros(0)
        return cls(
            terms=Terms.fit(cells.texts, MOST_TERMS),
            genres=Vocabulary.fit(cells.genres, _MOST["genres"]),
            category=Vocabulary.fit(cells.category, _MOST["category"]),
            performers=Vocabulary.fit(cells.performers, _MOST["performers"], _LEAST_PERFORMED),
            buckets=_BUCKETS if any(cells.performers) else 0,
            numbers=Standardiser.fit(np.sort(cells.numbers(), axis=0)),  # sums in one order
            counts=Standardiser.fit(np.sort(logs)[:, None]),
            ranks=ranks.astype(np.float64),
        )

    def transform(self, items: pd.DataFrame, counts: NDArray[np.int64] | None = None) -> Encoded:
        """Features of items [n, d], known or new; without ``counts``, of items that nobody decided on yet.

        A row depends on its own item only, so that a large catalogue can be done in parts (4 kB an item). Missing:
        rows without a title, text, genre ...; unknown: genres, categories and performers without a column, and texts
        with no known term."""
        cells = _Cells.of(items)
        n = len(items)
        matrix = np.zeros((n, len(self.names)), np.float32)
        words, missing_texts, unknown_texts = self.terms.transform(cells.texts)
        matrix[words.rows, words.columns] = words.values
        missing, unknown = {"text": missing_texts}, {"text": unknown_texts}
        at = len(self.terms)
        for name in _MOST:
            hot, missing[name], unknown[name] = getattr(self, name).hot(getattr(cells, name))
            matrix[:, at : at + hot.shape[1]] = hot
            at += hot.shape[1]
        if self.buckets:
            for row, cell in enumerate(cells.performers):
                for name in cell:
                    if name not in self.performers:
                        matrix[row, at + zlib.crc32(folded(name).encode()) % self.buckets] = 1
            at += self.buckets
        numbers = cells.numbers()
        matrix[:, at : at + len(_NUMBERS)] = self.numbers.transform(numbers)
        at += len(_NUMBERS)
        gaps = np.isnan(numbers[:, : len(_GAPS)])
        matrix[:, at : at + len(_GAPS)] = gaps
        missing |= {"year": int(gaps[:, 0].sum()), "duration_s": int(gaps[:, 1].sum()), "title": cells.untitled}
        logs = _logs(np.zeros(n, np.int64) if counts is None else counts, n)
        matrix[:, self.slices["counts"]] = np.column_stack(
            [self.counts.transform(logs[:, None])[:, 0], self._rank(logs), logs == 0]
        )
        return Encoded(matrix, self.names, self.slices, missing, unknown)

    def words(self, items: pd.DataFrame) -> Sparse:
        """The group "tfidf" alone, sparse: what a large catalogue's is reduced from."""
        return self.terms.transform(_Cells.of(items).texts)[0]

    def state(self) -> tuple[State, Arrays]:
        """What JSON holds and the arrays beside it; `from_state` gives an equal encoder back."""
        words = {name: list(getattr(self, name).words) for name in _MOST}
        state = {"kind": "items", "version": 1, "terms": list(self.terms.terms), "buckets": self.buckets, **words}
        arrays = {
            "idf": self.terms.idf,
            "numbers_mean": self.numbers.mean,
            "numbers_scale": self.numbers.scale,
            "counts_mean": self.counts.mean,
            "counts_scale": self.counts.scale,
            "ranks": self.ranks,
        }
        return state, arrays

    @classmethod
    def from_state(cls, state: State, arrays: Arrays) -> ItemEncoder:
        """BadInput when another version of this program saved it."""
        state = versioned(state, "items", 1)
        return cls(
            terms=Terms(tuple(state["terms"]), arrays["idf"]),
            genres=Vocabulary(tuple(state["genres"])),
            category=Vocabulary(tuple(state["category"])),
            performers=Vocabulary(tuple(state["performers"])),
            buckets=int(state["buckets"]),
            numbers=Standardiser(arrays["numbers_mean"], arrays["numbers_scale"]),
            counts=Standardiser(arrays["counts_mean"], arrays["counts_scale"]),
            ranks=arrays["ranks"],
        )

    def _rank(self, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        """0..1: the share of the catalogue that was decided on less often."""
        return np.searchsorted(self.ranks, logs) / max(len(self.ranks), 1)


@dataclass(frozen=True, slots=True)
class _Cells:
    """A frame's columns as Python reads them, which is quick for one item, too."""

    texts: list[str]
    genres: list[list[str]]
    category: list[list[str]]
    performers: list[list[str]]
    tags: list[list[str]]
    year: list[float]
    duration: list[float]
    untitled: int

    @classmethod
    def of(cls, items: pd.DataFrame) -> _Cells:
        def column(name: str) -> list[Any]:
            return items[name].tolist() if name in items.columns else [None] * len(items)

        titles = [text_of(cell) for cell in column("title")]
        tags = [words_of(cell) for cell in column("tags")]
        descriptions = [text_of(cell) for cell in column("description")]
        return cls(
            texts=[
                "\n".join((_YEAR_AT_END.sub("", title or ""), description or "", *words))
                for title, description, words in zip(titles, descriptions, tags, strict=True)
            ],
            genres=[words_of(cell) for cell in column("genres")],
            category=[[text] if (text := text_of(cell)) else [] for cell in column("category")],
            performers=[words_of(cell) for cell in column("performers")],
            tags=tags,
            year=[_number(cell, *_YEARS) for cell in column("year")],
            duration=[_number(cell, 0.0, 1e9) for cell in column("duration_s")],
            untitled=titles.count(None),
        )

    def numbers(self) -> NDArray[np.float64]:
        """[n, len(_NUMBERS)], NaN where missing."""
        sizes = [list(map(len, cells)) for cells in (self.genres, self.tags, self.performers)]
        lengths = [len(text) for text in self.texts]
        logs = np.log1p(np.array([self.duration, *sizes, lengths], np.float64))
        return np.ascontiguousarray(np.vstack([np.array([self.year], np.float64), logs]).T)


def _number(cell: object, least: float, most: float) -> float:
    try:
        number = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
    return number if least <= number <= most else float("nan")


def _logs(counts: NDArray[np.int64] | Sequence[int], n: int) -> NDArray[np.float64]:
    if len(counts) != n:
        raise ValueError(f"{len(counts)} counts for {n} items")
    return np.log1p(np.maximum(np.asarray(counts, np.float64), 0))
