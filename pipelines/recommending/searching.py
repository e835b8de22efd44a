"""The nearest videos of one embedding set, found in this process: a short form of every vector is scanned, the best are
scored with their whole vectors.

Which set that is, and what becomes of the rows found, is shelves.py's and serving.py's. Where memory does not allow
this, PostgreSQL searches (storage/embeddings.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HEAD, SHORTER = 192, 96  # numbers of the short form, of few and of many vectors: 200,000 take 77 MB and 3 ms to scan
MANY = 60_000
SAMPLE = 16_384  # vectors that the directions of the short form are found from
PAIRS = 512  # vectors whose dot products say how near two videos are that have nothing to do with each other
FEWEST, MOST = 96, 4096  # scored with their whole vectors; of many vectors at least one in PART
PART = 400
SLACK = 5.0  # standard deviations
BLOCK = 4096  # rows at a time where all of them are turned into float32
GROUP = 16  # a maximum is taken of so many scores before the best are looked for

Ids = NDArray[np.bytes_]  # "S16": uuid.bytes
Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Index:
    """n vectors of length 1. Nothing in it changes, so any number of threads may search.

    A dot product q.x is the sum over the head's directions in which the vectors differ most and the rest. The rest of a
    pair is at most the product of the lengths there, and for directions that have nothing to do with each other about
    that over the root of their number: what cannot reach the list even with SLACK times as much is not looked at. At
    32,304 and 200,000 vectors the twenty best of the scan's candidates were the twenty best of all (see the benchmark).
    """

    ids: Ids  # [n]
    full: NDArray[np.float16]  # [n, d]; its rounding moves a score by about 1e-5
    head: NDArray[np.float32]  # [n, k + 1]: the short form, and the length of what it leaves out
    basis: NDArray[np.float32]  # [d, k] orthonormal
    usual: tuple[float, float]  # mean and standard deviation of the dot product of two videos' short forms
    order: Rows  # [n] sorts the ids

    @classmethod
    def build(cls, n: int, dimensions: int, blocks: Iterable[tuple[Ids, NDArray[np.float32]]]) -> Index:
        """Over ids S16[m] and vectors float32[m, dimensions], in blocks; ``n``: about as many as will come."""
        ids, full = np.empty(n, "S16"), np.empty((n, dimensions), np.float16)
        filled = 0
        for some, vectors in blocks:
            if filled + len(some) > len(ids):
                ids, full = np.resize(ids, filled + len(some)), np.resize(full, (filled + len(some), dimensions))
            ids[filled : filled + len(some)] = some
            full[filled : filled + len(some)] = vectors
            filled += len(some)
        ids, full = ids[:filled], full[:filled]
        step = max(1, filled // SAMPLE)
        gram = np.zeros((dimensions, dimensions), np.float32)
        for start in range(0, filled, BLOCK * step):
            part = full[start : start + BLOCK * step : step].astype(np.float32)
            gram += part.T @ part
        _, directions = np.linalg.eigh(gram)
        basis = np.ascontiguousarray(directions[:, ::-1][:, : HEAD if filled <= MANY else SHORTER], np.float32)
        k = basis.shape[1]
        head = np.empty((filled, k + 1), np.float32)
        for start in range(0, filled, BLOCK):
            part = full[start : start + BLOCK].astype(np.float32)
            short = part @ basis
            head[start : start + BLOCK, :k], head[start : start + BLOCK, k] = short, _left_out(part, short)
        pairs = head[:: max(1, filled // PAIRS), :k]
        dots = (pairs @ pairs.T)[np.triu_indices(len(pairs), 1)]
        usual = (float(dots.mean()), float(dots.std())) if len(dots) else (0.0, 1.0)
        return cls(ids, full, head, basis, usual, np.argsort(ids, kind="stable"))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        return sum(a.nbytes for a in (self.ids, self.full, self.head, self.basis, self.order))

    def rows_of(self, ids: Ids) -> Rows:
        """Row of each id, -1 where there is none."""
        return find(self.ids, self.order, ids)

    def shorts(self, rows: Rows) -> NDArray[np.float32]:
        """float32[len(rows), k], whose dot products are nearly those of the vectors."""
        return self.head[rows, :-1]

    def vectors(self, rows: Rows) -> NDArray[np.float32]:
        """float32[len(rows), d]."""
        return self.full[rows].astype(np.float32)

    def search(
        self, query: NDArray[np.float32], limit: int, blocked: NDArray[np.bool_] | None = None, seen: Rows | None = None
    ) -> tuple[Rows, NDArray[np.float32]]:
        """Rows of the ``limit`` largest dot products with ``query`` [d], and these, falling (ties by id); fewer when no
        more are allowed. Never a row that ``blocked`` [n] marks or ``seen`` names."""
        bounds = self.head @ self._short(query)
        if blocked is not None:
            np.copyto(bounds, -np.inf, where=blocked)
        if seen is not None:
            bounds[seen[seen >= 0]] = -np.inf
        return self._scored(query, limit, bounds)

    def search_many(
        self,
        queries: NDArray[np.float32],
        limit: int,
        blocked: NDArray[np.bool_] | None = None,
        seen: Sequence[Rows] | None = None,
    ) -> list[tuple[Rows, NDArray[np.float32]]]:
        """``search`` for each row of ``queries`` [m, d], whose scans are one matrix product for a few at a time."""
        found = []
        at_once = max(1, (16 << 20) // (4 * max(1, len(self))))  # 16 MB of bounds
        withheld = None if blocked is None else np.flatnonzero(blocked)
        for start in range(0, len(queries), at_once):
            part = queries[start : start + at_once]
            table = np.stack([self._short(query) for query in part]) @ self.head.T
            for i, (query, bounds) in enumerate(zip(part, table, strict=True)):
                if withheld is not None:
                    bounds[withheld] = -np.inf
                if seen is not None:
                    rows = seen[start + i]
                    bounds[rows[rows >= 0]] = -np.inf
                found.append(self._scored(query, limit, bounds))
        return found

    def _short(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """[k + 1]: its product with a row of ``head`` is what their whole product will hardly exceed."""
        short = query @ self.basis
        length = float(np.sqrt(max(0.0, float(query @ query) - float(short @ short))))
        others = max(1, self.full.shape[1] - len(short))
        return np.append(short, np.float32(length * min(1.0, SLACK / float(np.sqrt(others)))))

    def _scored(
        self, query: NDArray[np.float32], limit: int, bounds: NDArray[np.float32]
    ) -> tuple[Rows, NDArray[np.float32]]:
        """The best by their whole vectors, of those whose bound is not below the score of the ``limit``-th."""
        first = largest(bounds, max(FEWEST, len(self) // PART, 2 * limit))
        scores = self.vectors(first) @ query
        if len(first) > limit:
            least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
            more = np.flatnonzero(bounds >= least)
            if len(more) > len(first):
                if len(more) > MOST:
                    more = more[np.argpartition(bounds[more], len(more) - MOST)[len(more) - MOST :]]
                more = np.setdiff1d(more, first, assume_unique=True)
                first = np.concatenate([first, more])
                scores = np.concatenate([scores, self.vectors(more) @ query])
        best = np.lexsort((self.ids[first], -scores))[:limit]
        return first[best], scores[best]


def largest(scores: NDArray[np.float32], k: int) -> Rows:
    """Rows of at least the ``k`` largest of scores [n] (all that are finite, if there are fewer), in no order.

    The k-th largest of the maxima of groups is no larger than the k-th largest of all: whatever is below it need not be
    looked at. Four times as quick as a partition of everything.
    """
    n_groups = len(scores) // GROUP
    if k * 4 > n_groups:
        k = min(k, len(scores))
        rows = np.argpartition(scores, len(scores) - k)[len(scores) - k :] if k else np.zeros(0, np.intp)
        return np.asarray(rows[scores[rows] > -np.inf])
    peaks = scores[: n_groups * GROUP].reshape(GROUP, n_groups).max(axis=0)  # a group lies across, for the cache's sake
    least = np.partition(peaks, n_groups - k)[n_groups - k]
    return np.flatnonzero(scores >= max(least, np.finfo(np.float32).min))


def find(ids: Ids, order: Rows, wanted: Ids) -> Rows:
    """Row in ``ids`` of each wanted id, -1 where there is none; ``order`` sorts the ids."""
    if not len(ids) or not len(wanted):
        return np.full(len(wanted), -1, np.intp)
    place = np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)
    rows = order[place]
    return np.where(ids[rows] == wanted, rows, -1)


def _left_out(vectors: NDArray[np.float32], short: NDArray[np.float32]) -> NDArray[np.float32]:
    squared = np.einsum("ij,ij->i", vectors, vectors) - np.einsum("ij,ij->i", short, short)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)), np.float32)
