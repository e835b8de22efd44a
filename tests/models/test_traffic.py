"""Counting what versions do: exact calls, an even sample of rows, and sums that survive everything in between."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from pipelines.errors import Unavailable
from pipelines.models import drift
from pipelines.models.traffic import MOST_PENDING, ROWS, Counter, Pending
from pipelines.settings import Settings
from pipelines.storage import traffic
from pipelines.storage.database import Database
from pipelines.storage.tables import ModelTraffic, ModelVersion
from pipelines.storage.traffic import Traffic
from tests.models.built import counted, reference
from tests.models.registered import register

NOW = datetime(2026, 11, 22, 4, 3, 27, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def portion(n: int = 1, **changed: Any) -> Traffic:
    values = {
        "n": n, "errors": 0, "retries": 0, "latency_ms": 0.5 * n, "latency_counts": np.array([0, n]),
        "input_counts": np.array([n, 0, n, 0]), "output_counts": np.array([n]),
    }  # fmt: skip
    return Traffic(**(values | changed))


def same(a: Traffic, b: Traffic) -> bool:
    arrays = ("latency_counts", "input_counts", "output_counts")
    return (a.n, a.errors, a.retries, a.last_error) == (b.n, b.errors, b.retries, b.last_error) and all(
        getattr(a, c).tolist() == getattr(b, c).tolist() for c in arrays
    )


# -- in memory


def test_calls_failures_and_latencies_are_counted() -> None:
    counter = Counter(2, 1, {})
    x, y = np.zeros((1, 2), np.float32), np.zeros((1, 1), np.float32)
    for ms in (0.001, 0.3, 0.3, 20_000):
        counter.answered(x, y, ms)
    counter.failed("fails", 3000.0)
    counter.passed_on("is away")
    taken = counter.take()
    assert taken is not None and counter.take() is None
    assert (taken.n, taken.errors, taken.retries, taken.last_error) == (6, 1, 1, "is away")
    assert taken.latency_ms == pytest.approx(23_000.601)
    assert len(taken.latency_counts) == drift.LATENCY_BINS and taken.latency_counts.sum() == 5
    assert taken.latency_counts[0] == taken.latency_counts[-1] == 1
    assert drift.percentile(taken.latency_counts, 0.5) == pytest.approx(0.3, rel=0.15)
    assert taken.input_counts.size == taken.output_counts.size == 0  # it has no reference


@given(st.lists(st.integers(1, 900), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_rows_are_sampled_evenly_and_calls_exactly(batches: list[int]) -> None:
    """Row i holds the number i: the sample must be every 2^j-th of them, as many as there is room for."""
    total = sum(batches)
    edges = (np.arange(1, total + 1) - 0.5)[None].tolist()  # a bin for each number
    counter = Counter(1, 1, {"input_edges": edges, "output_edges": edges})
    start = 0
    for n in batches:
        x = np.arange(start, start + n, dtype=np.float32)[:, None]
        counter.answered(x, x, 1.0)
        start += n
    taken = counter.take()
    assert taken is not None and taken.n == len(batches)
    kept = np.flatnonzero(taken.input_counts)
    every = 1
    while -(-total // every) > ROWS:
        every *= 2
    assert kept.tolist() == list(range(0, total, every))
    assert taken.output_counts.tolist() == taken.input_counts.tolist() and taken.input_counts.max() == 1


def test_counts_fall_where_the_reference_has_its_bins() -> None:
    known = reference(3, 2)
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 1, (200, 3)).astype(np.float32), rng.normal(0, 1, (200, 2)).astype(np.float32)
    counter = Counter(3, 2, known)
    for i in range(200):
        counter.answered(x[i : i + 1], y[i : i + 1], 1.0)
    taken = counter.take()
    assert taken is not None
    found = drift.summarise(known, taken.input_counts, taken.output_counts)
    assert found.n == found.output_n == 200
    assert found.input_psi is not None and found.input_psi < 0.2
    counter.failed("fails", 1.0)
    alone = counter.take()  # a portion without answers has the same layout
    assert alone is not None and len(alone.input_counts) == 30 and len(alone.output_counts) == 40


@pytest.mark.parametrize("broken", [{"input_edges": [[1, 2], [3]]}, {"input_edges": [[0.5]] * 9}, {"input_edges": "x"}])
def test_a_reference_that_does_not_fit_costs_the_histogram_only(broken: dict[str, Any]) -> None:
    counter = Counter(2, 1, broken)
    counter.answered(np.zeros((1, 2), np.float32), np.zeros((1, 1), np.float32), 1.0)
    taken = counter.take()
    assert taken is not None and taken.n == 1 and taken.input_counts.size == 0


# -- in the database


def test_portions_of_all_processes_add_up(database: Database) -> None:
    one, two = register(database, "v20261101"), register(database, "v20261102")
    minute = NOW.replace(second=0)
    with database.session() as session:
        traffic.add(session, [(two, minute, portion(5)), (one, minute, portion(1, last_error="first"))])
        traffic.add(
            session, [(one, minute, portion(2, errors=1)), (one, minute + MINUTE, portion(4, last_error="second"))]
        )
    assert same(counted(database, one), portion(7, errors=1, last_error="second"))
    assert counted(database, one).latency_ms == 3.5
    assert same(counted(database, two), portion(5))
    assert same(counted(database, one, minute, minute + MINUTE), portion(3, errors=1, last_error="first"))
    assert counted(database, one, minute + 2 * MINUTE, NOW + DAY).n == 0


def test_counts_of_other_lengths_add_up_as_well(database: Database) -> None:
    """An older program may count without a reference, or in fewer buckets."""
    model = register(database, "v20261101")
    nothing, minute = np.zeros(0, np.int64), NOW.replace(second=0)
    bare = portion(3, input_counts=nothing, output_counts=nothing, latency_counts=nothing)
    with database.session() as session:
        traffic.add(session, [(model, minute, bare)])
        traffic.add(session, [(model, minute, bare)])
        traffic.add(session, [(model, minute, portion(2))])
    found = counted(database, model)
    assert (found.n, found.input_counts.tolist(), found.latency_counts.tolist()) == (8, [2, 0, 2, 0], [0, 2])


def test_a_version_that_was_deleted_holds_nothing_back(database: Database) -> None:
    gone, here = register(database, "v20261101"), register(database, "v20261102")
    with database.session() as session:
        session.execute(delete(ModelVersion).where(ModelVersion.id == gone))
    counters = {i: Counter(1, 1, {}) for i in (gone, here)}
    for counter in counters.values():
        counter.failed("fails", 1.0)
    Pending().flush(database, counters, NOW)
    assert (counted(database, gone).n, counted(database, here).n) == (0, 1)


def test_many_processes_flush_at_once(database: Database) -> None:
    models = [register(database, f"v202611{i:02}") for i in range(1, 5)]
    failed: list[Exception] = []

    def work(order: int) -> None:
        pending = Pending()
        counters = {i: Counter(1, 1, {}) for i in models[::order]}
        try:
            for _ in range(10):
                for counter in counters.values():
                    counter.failed("fails", 1.0)
                pending.flush(database, counters, NOW)
        except Exception as error:  # noqa: BLE001 - asserted below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(order,)) for order in (1, -1, 1, -1)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not failed
    assert [counted(database, i).n for i in models] == [40] * 4


def test_what_cannot_be_handed_over_is_kept_with_its_minute(database: Database) -> None:
    model = register(database, "v20261101")
    away = Database(Settings(database_url="postgresql://nobody@127.0.0.1:9/x"))
    pending, counter = Pending(), Counter(1, 1, {})
    for i in range(3):
        counter.failed(f"fails {i}", 1.0)
        with pytest.raises(Unavailable):
            pending.flush(away, {model: counter}, NOW + i * MINUTE)
    pending.flush(database, {model: counter}, NOW + HOUR)
    with database.session() as session:
        minutes = session.execute(select(ModelTraffic.minute, ModelTraffic.n).order_by(ModelTraffic.minute)).all()
    assert [tuple(row) for row in minutes] == [(NOW.replace(second=0) + i * MINUTE, 1) for i in range(3)]


def test_a_long_absence_costs_minutes_and_no_call(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    model = register(database, "v20261101")
    pending, counter = Pending(), Counter(1, 1, {})
    with monkeypatch.context() as patched:

        def away(*_: object) -> None:
            raise Unavailable("database", "is away", 5)

        patched.setattr(traffic, "add", away)
        for i in range(MOST_PENDING + 50):
            counter.failed("fails", 1.0)
            with pytest.raises(Unavailable):
                pending.flush(database, {model: counter}, NOW + i * MINUTE)
    pending.flush(database, {model: counter}, NOW + DAY)
    with database.session() as session:
        assert session.execute(select(func.count()).select_from(ModelTraffic)).scalar_one() == MOST_PENDING
    assert counted(database, model).n == MOST_PENDING + 50


def test_of_a_wide_model_the_columns_of_its_reference_are_counted() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (700, 6)).astype(np.float32), rng.normal(0, 1, (700, 40)).astype(np.float32)
    known = drift.reference(x, y, input_columns=[4, 1], output_columns=[39, 0, 7])
    counter = Counter(6, 40, known)
    for start in range(0, 700, 7):
        counter.answered(x[start : start + 7], y[start : start + 7], 1.0)
    taken = counter.take()
    assert taken is not None
    kept = slice(None, None, 2)  # 700 rows, room for 512
    input_edges, output_edges = drift.edges(known)
    assert taken.input_counts.tolist() == drift.count(input_edges, x[kept][:, [4, 1]]).tolist()
    assert taken.output_counts.tolist() == drift.count(output_edges, y[kept][:, [39, 0, 7]]).tolist()
    assert drift.summarise(known, taken.input_counts, taken.output_counts).moved == 0


def test_columns_that_do_not_fit_their_edges_are_not_counted() -> None:
    edges = [[0.5], [0.5]]
    for columns in ([0], [0, 9], "x"):
        counter = Counter(3, 3, {"input_edges": edges, "input_columns": columns})
        counter.answered(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32), 1.0)
        taken = counter.take()
        assert taken is not None and taken.n == 1 and taken.input_counts.size == 0
