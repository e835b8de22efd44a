"""The nearest videos of one embedding set, found in this process: a short form of every vector is scanned, the best are
scored with their whole vectors.

Which set that is, and what becomes of the rows found, is shelves.py's and serving.py's. Where memory does not allow
this, PostgreSQL searches (storage/embeddings.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

HEAD = 96  # numbers of the short form: those of 200,000 vectors take 78 MB and 3 ms to scan
SAMPLE = 16_384  # vectors that the directions of the short form are found from
PAIRS = 512  # vectors whose dot products say how near two videos are that have nothing to do with each other
FEWEST, MOST = 160, 4096  # scored with their whole vectors; of many vectors at least one in PART
PART = 1000
SLACK = 5.0  # standard deviations
BLOCK = 4096  # rows at a time where all of them are turned into float32
GROUP = 16  # a maximum is taken of so many scores before the best are looked for
TABLE = 48 << 20  # bytes of bounds that are made at once for many
WHOLE = np.float32(32767)  # what 1 is as a whole number of 16 bits
_MIXED = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: spreads ids over the keys (Knuth, TAOCP 3, 6.4)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Ids = NDArray[np.bytes_]  # "S16": uuid.bytes
Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Lookup:
    """Rows by id, through sorted numbers made of the ids: a search among ids themselves takes ten times as long."""

    ids: Ids  # [n]
    keys: NDArray[np.uint64]  # [n] rising
    order: Rows  # [n] whose keys these are
    longest: int  # so many ids have the same key; 1, but for ids made to meet

    @classmethod
    def of(cls, ids: Ids) -> Lookup:
        keys = _keys(ids)
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.zeros(1, np.intp)
        return cls(ids, keys, order, int(np.diff(np.append(starts, len(keys))).max()))

    @property
    def nbytes(self) -> int:
        return self.ids.nbytes + self.keys.nbytes + self.order.nbytes

    def rows(self, wanted: Ids) -> Rows:
        """The row of each wanted id, -1 where there is none."""
        found = np.full(len(wanted), -1, np.intp)
        if not len(self.ids) or not len(wanted):
            return found
        first = np.searchsorted(self.keys, _keys(wanted))
        for step in range(self.longest):
            rows = self.order[np.minimum(first + step, len(self.ids) - 1)]
            found = np.where(self.ids[rows] == wanted, rows, found)
        return found


@dataclass(frozen=True, slots=True)
class Known:
    """Rows of items that are known by name. Where all names are UUIDs, ids of 16 bytes find theirs, too, in a twentieth
    of the time."""

    names: Mapping[str, int]
    lookup: Lookup | None

    @classmethod
    def of(cls, names: Sequence[str]) -> Known:
        try:
            digits = bytes.fromhex("".join(names).replace("-", ""))
        except ValueError:
            digits = b""
        whole = len(digits) == 16 * len(names) and all(map(_UUID.fullmatch, names))
        lookup = Lookup.of(np.frombuffer(digits, "S16")) if names and whole else None
        return cls({name: row for row, name in enumerate(names)}, lookup)

    def rows(self, items: Sequence[str] | NDArray[Any]) -> NDArray[np.int64]:
        """The row of each name, or id of 16 bytes; -1 where it is unknown."""
        if not isinstance(items, np.ndarray) or items.dtype.kind == "U":
            names: Sequence[str] = items.tolist() if isinstance(items, np.ndarray) else items
            return np.array([self.names.get(name, -1) for name in names], np.int64)
        if self.lookup is not None:
            return self.lookup.rows(items).astype(np.int64)
        found = [str(UUID(bytes=one.ljust(16, b"\0"))) for one in items.tolist()]
        return np.array([self.names.get(name, -1) for name in found], np.int64)


@dataclass(frozen=True, slots=True)
class Index:
    """n vectors of length 1. Nothing in it changes, so any number of threads may search.

    A dot product q.x is the sum over the head's directions in which the vectors differ most and the rest. The rest of a
    pair is at most the product of the lengths there, and for directions that have nothing to do with each other about
    that over the root of their number: what cannot reach the list even with SLACK times as much is not looked at. At
    32,304 and 200,000 vectors the twenty best of the scan's candidates were the twenty best of all (see the benchmark).
    """

    ids: Ids  # [n]
    full: NDArray[np.int16]  # [n, d] times WHOLE; its rounding moves a score by about 1e-5
    head: NDArray[np.float32]  # [k + 1, n]: the short form, and the length of what it leaves out; so it is read quicker
    basis: NDArray[np.float32]  # [d, k] orthonormal
    usual: tuple[float, float]  # mean and standard deviation of the dot product of two videos
    lookup: Lookup

    @classmethod
    def build(cls, n: int, dimensions: int, blocks: Iterable[tuple[Ids, NDArray[np.float32]]]) -> Index:
        """Over ids S16[m] and vectors float32[m, dimensions], in blocks; ``n``: about as many as will come."""
        ids, full = np.empty(n, "S16"), np.empty((n, dimensions), np.int16)
        filled = 0
        for some, vectors in blocks:
            if filled + len(some) > len(ids):
                ids, full = np.resize(ids, filled + len(some)), np.resize(full, (filled + len(some), dimensions))
            ids[filled : filled + len(some)] = some
            full[filled : filled + len(some)] = np.rint(vectors * WHOLE)
            filled += len(some)
        ids, full = ids[:filled], full[:filled]
        step = max(1, filled // SAMPLE)
        gram = np.zeros((dimensions, dimensions), np.float32)
        for start in range(0, filled, BLOCK * step):
            part = full[start : start + BLOCK * step : step].astype(np.float32) / WHOLE
            gram += part.T @ part
        _, directions = np.linalg.eigh(gram)
        basis = np.ascontiguousarray(directions[:, ::-1][:, :HEAD], np.float32)
        k = basis.shape[1]
        head = np.empty((k + 1, filled), np.float32)
        for start in range(0, filled, BLOCK):
            part = full[start : start + BLOCK].astype(np.float32)
            part /= WHOLE
            short = np.asarray(part @ basis, np.float32)
            head[:k, start : start + BLOCK], head[k, start : start + BLOCK] = short.T, _left_out(part, short)
        pairs = full[:: max(1, filled // PAIRS)].astype(np.float32) / WHOLE
        dots = (pairs @ pairs.T)[np.triu_indices(len(pairs), 1)]
        usual = (float(dots.mean()), float(dots.std())) if len(dots) else (0.0, 1.0)
        return cls(ids, full, head, basis, usual, Lookup.of(ids))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        return sum(a.nbytes for a in (self.full, self.head, self.basis, self.lookup))

    def rows_of(self, ids: Ids) -> Rows:
        """Row of each id, -1 where there is none."""
        return self.lookup.rows(ids)

    def vectors(self, rows: Rows) -> NDArray[np.float32]:
        """float32[len(rows), d]."""
        return self.full[rows].astype(np.float32) / WHOLE

    def search(
        self, query: NDArray[np.float32], limit: int, blocked: NDArray[np.bool_] | None = None, seen: Rows | None = None
    ) -> tuple[Rows, NDArray[np.float32]]:
        """Rows of the ``limit`` largest dot products with ``query`` [d], and these, falling (ties by id); fewer when no
        more are allowed. Never a row that ``blocked`` [n] marks or ``seen`` names."""
        bounds = self._shorts(query[None])[0] @ self.head
        if blocked is not None:
            np.copyto(bounds, -np.inf, where=blocked)
        if seen is not None:
            bounds[seen[seen >= 0]] = -np.inf
        return self._scored(query, limit, bounds, largest(bounds, self._first(limit)))

    def search_many(
        self,
        queries: NDArray[np.float32],
        limit: int,
        blocked: NDArray[np.bool_] | None = None,
        seen: Sequence[Rows] | None = None,
    ) -> list[tuple[Rows, NDArray[np.float32]]]:
        """``search`` for each row of ``queries`` [m, d], whose scans are one matrix product for many at a time."""
        found = []
        at_once = max(1, TABLE // (4 * max(1, len(self))))
        withheld = None if blocked is None else np.flatnonzero(blocked)
        room = np.empty(
            (min(at_once, len(queries)), len(self)), np.float32
        )  # fresh memory each time costs as much again
        for start in range(0, len(queries), at_once):
            part = queries[start : start + at_once]
            table = np.matmul(self._shorts(part), self.head, out=room[: len(part)])
            if withheld is not None and len(withheld):
                table[:, withheld] = -np.inf
            for bounds, rows in zip(
                table, () if seen is None else seen[start : start + at_once], strict=seen is not None
            ):
                bounds[rows[rows >= 0]] = -np.inf
            firsts = largest_of_each(table, self._first(limit))
            found += [self._scored(*one) for one in zip(part, [limit] * len(part), table, firsts, strict=True)]
        return found

    def _first(self, limit: int) -> int:
        return max(FEWEST, len(self) // PART, 2 * limit)

    def _shorts(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """[m, k + 1] of [m, d]: the product with a row of ``head`` is what the whole product will hardly exceed."""
        short = queries @ self.basis
        lengths = _left_out(queries, short)
        others = max(1, self.full.shape[1] - short.shape[1])
        return np.concatenate([short, lengths[:, None] * np.float32(min(1.0, SLACK / others**0.5))], axis=1)

    def _scored(
        self, query: NDArray[np.float32], limit: int, bounds: NDArray[np.float32], first: Rows
    ) -> tuple[Rows, NDArray[np.float32]]:
        """The best by their whole vectors, of ``first`` and those whose bound is not below its ``limit``-th score."""
        query = query / WHOLE
        scores = self.full[first].astype(np.float32) @ query
        if len(first) > limit:
            least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
            if bounds[first].min() > least:  # else all whose bound is as high are among the first
                more = np.flatnonzero(bounds >= least)
                if len(more) > MOST:
                    more = more[np.argpartition(bounds[more], len(more) - MOST)[len(more) - MOST :]]
                more = np.setdiff1d(more, first, assume_unique=True)
                first = np.concatenate([first, more])
                scores = np.concatenate([scores, self.full[more].astype(np.float32) @ query])
        best = np.argpartition(scores, len(scores) - limit)[len(scores) - limit :] if len(first) > limit else None
        if best is not None:  # and those that are level with the last of them, since ties go by id
            best = np.flatnonzero(scores >= scores[best].min())
            first, scores = first[best], scores[best]
        best = np.lexsort((self.ids[first], -scores))[:limit]
        return first[best], scores[best]


def largest(scores: NDArray[np.float32], k: int) -> Rows:
    """Rows of at least the ``k`` largest of scores [n] (all that are finite, if there are fewer), in no order."""
    return largest_of_each(scores[None], k)[0]


def largest_of_each(table: NDArray[np.float32], k: int) -> list[Rows]:
    """``largest`` of each row of scores [m, n].

    The k-th largest of the maxima of groups is no larger than the k-th largest of all: whatever is below it need not be
    looked at. Four times as quick as a partition of everything.
    """
    n = table.shape[1]
    n_groups = n // GROUP
    if k * 4 <= n_groups:  # a group lies across, for the cache's sake
        peaks = table[:, : n_groups * GROUP].reshape(len(table), GROUP, n_groups).max(axis=1)
        least = np.partition(peaks, n_groups - k, axis=1)[:, n_groups - k]
    elif k < n:
        least = np.partition(table, n - k, axis=1)[:, n - k]
    else:
        least = np.full(len(table), -np.inf, np.float32)
    least = np.maximum(least, np.finfo(np.float32).min)
    return [np.flatnonzero(scores >= bound) for scores, bound in zip(table, least, strict=True)]


def _keys(ids: Ids) -> NDArray[np.uint64]:
    halves = np.frombuffer(np.ascontiguousarray(ids).tobytes(), "<u8").reshape(len(ids), 2)
    return np.asarray(halves[:, 0] * _MIXED ^ halves[:, 1])


def _left_out(vectors: NDArray[np.float32], short: NDArray[np.float32]) -> NDArray[np.float32]:
    squared = np.einsum("ij,ij->i", vectors, vectors) - np.einsum("ij,ij->i", short, short)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)), np.float32)
