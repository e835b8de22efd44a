"""How words and numbers become columns: vocabularies, TF-IDF and standardisers that were fitted once and are saved.

Which columns an item or a viewer has is item_features.py's and user_features.py's. Nothing here needs scikit-learn.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput

State = dict[str, Any]  # what JSON holds
Arrays = dict[str, NDArray[Any]]  # beside it, numbers only

# Han with its iteration mark, kana with the long-vowel sign but without the middle dot, and hangul: scripts whose
# words are not parted by spaces, or carry their grammar as endings.
_CJK = "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"  # noqa: E501
_RUNS = re.compile(rf"([{_CJK}]+)|((?:(?![{_CJK}])[^\W_])+)")
_LOG_TF = np.array([0.0, *(1 + math.log(n) for n in range(1, 256))])  # one table, so that one row and many agree
_FEW = 50  # texts below which a term of a single one is kept


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows of features and what was missing or unknown in them, counted by field."""

    matrix: NDArray[np.float32]  # [n, d], finite
    names: tuple[str, ...]  # [d]
    slices: Mapping[str, slice]  # the columns of each group
    missing: Mapping[str, int]  # rows without the field
    unknown: Mapping[str, int]  # entries that were not met when the encoder was fitted


@dataclass(frozen=True, slots=True)
class Sparse:
    """Rows of a sparse matrix, [n, width]: row i has ``values[starts[i]:starts[i + 1]]`` in those ``columns``."""

    starts: NDArray[np.int64]  # [n + 1]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]
    width: int

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row of each value."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words that have a column; case and width of letters do not tell them apart. Two columns follow: one for words
    that are unknown, one for cells without any."""

    words: tuple[str, ...]
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {word: column for column, word in enumerate(self.words)})

    @classmethod
    def fit(cls, cells: Iterable[Sequence[str]], most: int, least: int = 1) -> Vocabulary:
        """The up to ``most`` words that stand in the most cells, and in at least ``least``; ties in their order."""
        counts = Counter(word for cell in cells for word in {folded(word) for word in cell})
        frequent = sorted((-count, word) for word, count in counts.items() if count >= least and word)
        return cls(tuple(word for _, word in frequent[:most]))

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return folded(word) in self._index

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.words, "(other)", "(none)")

    def hot(self, cells: Sequence[Sequence[str]]) -> tuple[NDArray[np.float32], int, int]:
        """(1 in the columns of each cell's words [n, len + 2], missing cells, unknown words)."""
        matrix = np.zeros((len(cells), len(self.words) + 2), np.float32)
        missing = unknown = 0
        other = len(self.words)
        for row, cell in enumerate(cells):
            if not cell:
                matrix[row, -1] = 1
                missing += 1
            for word in cell:
                column = self._index.get(folded(word), other)
                matrix[row, column] = 1
                unknown += column == other
        return matrix, missing, unknown


@dataclass(frozen=True, slots=True)
class Standardiser:
    """(x - mean) / scale per column, within +-``limit``; what is missing (NaN) becomes 0, the mean."""

    mean: NDArray[np.float64]  # [k]
    scale: NDArray[np.float64]  # [k], 1 where a column does not vary
    limit: float = 6.0  # beyond it a value is a mistake more often than a fact, and a network's answer wild

    @classmethod
    def fit(cls, matrix: NDArray[np.float64]) -> Standardiser:
        """Of [n, k], NaN where a value is missing; a column without any value has mean 0 and scale 1."""
        known = np.isfinite(matrix)
        n = np.maximum(known.sum(axis=0), 1)
        filled = np.where(known, matrix, 0.0)
        mean = filled.sum(axis=0) / n
        scale = np.sqrt((np.where(known, filled - mean, 0.0) ** 2).sum(axis=0) / n)
        return cls(mean, np.where(scale > 1e-9 * np.maximum(np.abs(mean), 1), scale, 1.0))

    def transform(self, matrix: NDArray[np.float64]) -> NDArray[np.float32]:
        scaled = (matrix - self.mean) / self.scale
        found = np.clip(np.where(np.isfinite(matrix), scaled, 0.0), -self.limit, self.limit)
        return found.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Terms:
    """TF-IDF of texts: (1 + ln tf) (1 + ln((1 + n) / (1 + df))) at norm 1, as scikit-learn's TfidfVectorizer with
    sublinear_tf has it, over `tokens`."""

    terms: tuple[str, ...]
    idf: NDArray[np.float64]  # [k]
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {term: column for column, term in enumerate(self.terms)})

    @classmethod
    def fit(cls, texts: Sequence[str], most: int) -> Terms:
        """The up to ``most`` terms of the most texts, but not of more than half of them, which tell nothing apart,
        nor, from fifty texts on, of a single one, which likens it to none."""
        counts: Counter[str] = Counter()
        n = 0
        for text in texts:
            found = set(tokens(text))
            counts.update(found)
            n += bool(found)
        least, highest = (1 if n < _FEW else 2), max(n / 2, 1)
        frequent = sorted((-df, term) for term, df in counts.items() if least <= df <= highest)
        terms = tuple(sorted(term for _, term in frequent[:most]))
        idf = [1 + math.log((1 + n) / (1 + counts[term])) for term in terms]
        return cls(terms, np.array(idf, np.float64))

    def __len__(self) -> int:
        return len(self.terms)

    def transform(self, texts: Sequence[str]) -> tuple[Sparse, int, int]:
        """(weights [n, k], texts without a word, texts with words of which none is known)."""
        columns: list[int] = []
        repeats: list[int] = []
        starts = np.zeros(len(texts) + 1, np.int64)
        missing = unknown = 0
        index = self._index
        for row, text in enumerate(texts):
            found = tokens(text)
            counted = sorted(Counter(column for term in found if (column := index.get(term)) is not None).items())
            columns += [column for column, _ in counted]
            repeats += [min(count, len(_LOG_TF) - 1) for _, count in counted]
            starts[row + 1] = len(columns)
            missing += not found
            unknown += bool(found) and not counted
        weights = _LOG_TF[np.array(repeats, np.int64)] * self.idf[np.array(columns, np.int64)]
        rows = np.repeat(np.arange(len(texts)), np.diff(starts))
        squares = np.bincount(rows, weights * weights, minlength=len(texts))  # adds in order: the same for one row
        values = (weights / np.sqrt(squares[rows])).astype(np.float32)
        return Sparse(starts, np.array(columns, np.int32), values, len(self.terms)), missing, unknown


def folded(text: str) -> str:
    """The text with letters of one case and width: ＡＢＣ and abc, ｶﾀｶﾅ and カタカナ are the same."""
    return unicodedata.normalize("NFKC", text).casefold().strip()


def tokens(text: str) -> list[str]:
    """Words of two letters or more, and of Japanese, Chinese and Korean every two neighbouring characters (a lone one
    as it stands): bigrams find what titles share without a dictionary."""
    found: list[str] = []
    for run, word in _RUNS.findall(folded(text)):
        if run:
            found += [run[i : i + 2] for i in range(len(run) - 1)] or [run]
        elif len(word) > 1:
            found.append(word)
    return found


def versioned(state: State, kind: str, version: int) -> State:
    """``state`` itself when it is of this kind and version; BadInput otherwise."""
    found = (state.get("kind"), state.get("version"))
    if found != (kind, version):
        reason = f"was saved as {found[0]} {found[1]}, and this program reads {kind} {version}"
        raise BadInput("encoder", reason, "train the model again, or use the program that it was trained by")
    return state
