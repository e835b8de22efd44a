"""The best by all dot products are found by looking at few."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from pipelines.recommending import searching
from pipelines.recommending.searching import Index, Lookup, largest
from pipelines.recommending.shelves import ids_of, uuids

FINITE = st.floats(-10, 10, width=32, allow_subnormal=False)


def vectors(n: int, d: int = 256, seed: int = 0) -> NDArray[np.float32]:
    """Of length 1, in 40 clusters, near each other."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(0, 1, (40, d))
    found = centres[rng.integers(0, 40, n)] + 0.8 * rng.normal(0, 1, (n, d)) * np.linspace(1, 0.1, d) + 0.8
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def some_ids(n: int) -> NDArray[np.bytes_]:
    """Some end in zeros."""
    return np.array([uuid.UUID(int=(i * 7919 + 1) << (40 * (i % 3))).bytes for i in range(n)], "S16")


def index(x: NDArray[np.float32]) -> Index:
    ids = some_ids(len(x))
    return Index.build(len(x) // 2, x.shape[1], ((ids[i : i + 700], x[i : i + 700]) for i in range(0, len(x), 700)))


def test_it_finds_what_looking_at_all_finds() -> None:
    x, queries = vectors(9000), vectors(60, seed=3)
    built = index(x)
    rng = np.random.default_rng(1)
    blocked = rng.random(len(x)) < 0.3
    shares = []
    lists = []
    for query in queries:
        scores = x @ query
        near = np.argsort(-scores)[:1000]
        seen = np.append(rng.permutation(near)[:500], -1)  # -1: a video that the set lacks
        rows, found = built.search(query, 20, blocked, seen)
        lists.append((seen, rows))
        assert len(rows) == 20 and not blocked[rows].any() and not set(rows) & set(seen)
        assert (np.diff(found) <= 0).all()
        np.testing.assert_allclose(found, scores[rows], atol=2e-4)
        scores[blocked] = scores[seen[:-1]] = -np.inf
        shares.append(len(set(np.argsort(-scores)[:20]) & set(rows)) / 20)
    assert np.mean(shares) >= 0.99
    many = built.search_many(queries, 20, blocked, [seen for seen, _ in lists])
    assert [rows.tolist() for rows, _ in many] == [rows.tolist() for _, rows in lists]


def test_fewer_than_wanted_and_none() -> None:
    x = vectors(50)
    built = index(x)
    rows, scores = built.search(x[0], 20, np.arange(50) >= 7)
    assert sorted(rows.tolist()) == list(range(7)) and rows[0] == 0 and len(scores) == 7
    assert len(built.search(x[0], 20, np.ones(50, np.bool_))[0]) == 0
    assert len(Index.build(0, 8, []).search(np.ones(8, np.float32), 5)[0]) == 0


def test_ties_go_by_id() -> None:
    x = np.repeat(vectors(3), 30, axis=0)
    built = index(x)
    rows, _ = built.search(x[0], 30)
    assert sorted(rows.tolist()) == list(range(30))
    assert built.ids[rows].tolist() == sorted(built.ids[rows].tolist())


@given(arrays.arrays(np.float32, st.integers(0, 3000), elements=FINITE), st.integers(1, 60), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_the_largest_are_all_among_the_largest(scores: NDArray[np.float32], k: int, lost: int) -> None:
    scores[:lost] = -np.inf
    rows = largest(scores, k)
    finite = np.sort(scores[scores > -np.inf])[::-1]
    assert len(set(rows.tolist())) == len(rows) >= min(k, len(finite))
    assert np.array_equal(np.sort(scores[rows])[::-1][:k], finite[: min(k, len(finite))])


@given(st.lists(st.uuids(), unique=True, max_size=60), st.lists(st.uuids(), max_size=10))
@settings(deadline=None)
def test_ids_are_found_whatever_their_bytes(known: list[uuid.UUID], others: list[uuid.UUID]) -> None:
    known = [*dict.fromkeys([*known, uuid.UUID(int=0), uuid.UUID(int=1 << 64), uuid.UUID(int=1)])]
    ids = np.array([one.bytes for one in known], "S16")
    wanted = [*others, *known]
    rows = Lookup.of(ids).rows(np.array([one.bytes for one in wanted], "S16"))
    assert rows.tolist() == [known.index(one) if one in known else -1 for one in wanted]
    assert uuids(ids) == [str(one) for one in known]
    assert np.array_equal(ids_of(uuids(ids)), ids)


def test_ids_made_to_meet_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_MIXED", np.uint64(0))  # keys are the second halves alone
    ids = np.array([uuid.UUID(int=(i << 64) | (i % 3)).bytes for i in range(12)], "S16")
    unknown = np.array([uuid.UUID(int=(99 << 64) | 1).bytes], "S16")
    lookup = Lookup.of(ids)
    assert lookup.longest == 4 and lookup.nbytes > 0
    assert lookup.rows(np.append(ids[::-1], unknown)).tolist() == [*range(11, -1, -1), -1]
