from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

from pipelines.errors import BadInput
from pipelines.intake import batches
from pipelines.intake.batches import Batch, plan_batches
from pipelines.storage import jobs
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewJob

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def add_jobs(database: Database, *names: str, error: str | None = None) -> list[int]:
    with database.session() as session:
        return [jobs.add(session, NewJob(name, "c", owner="yamada", error=error))[0] for name in names]


def plan(database: Database, size: int = 2, now: datetime = NOW) -> list[Batch]:
    with database.session() as session:
        return plan_batches(session, now, size)


def test_jobs_are_grouped_in_the_order_they_came(database: Database) -> None:
    ids = add_jobs(database, "a", "b", "c")
    add_jobs(database, "broken", error="broken: has no usable song")
    assert [(b.key, b.job_ids) for b in plan(database)] == [
        ("20261121-0001", (ids[0], ids[1])),
        ("20261121-0002", (ids[2],)),
    ]
    assert plan(database) == []
    more = add_jobs(database, "d")
    assert [(b.key, b.job_ids) for b in plan(database)] == [("20261121-0003", (more[0],))]
    add_jobs(database, "e")
    assert [b.key for b in plan(database, now=NOW + timedelta(days=1))] == ["20261122-0001"]


def test_days_are_counted_in_utc_and_numbers_go_past_four_digits(database: Database) -> None:
    tokyo = timezone(timedelta(hours=9))
    add_jobs(database, "a")
    assert plan(database, now=datetime(2026, 11, 22, 5, 0, tzinfo=tokyo))[0].key == "20261121-0001"
    with database.session() as session:
        from pipelines.storage import batches as table

        table.add(session, "20261121-9999", [], NOW)
    add_jobs(database, "b", "c")
    assert [b.key for b in plan(database, size=1)] == ["20261121-10000", "20261121-10001"]


def test_many_planners_never_put_a_job_into_two_batches(database: Database) -> None:
    ids = add_jobs(database, *(f"job{n}" for n in range(40)))
    barrier = threading.Barrier(6)
    made: list[Batch] = []

    def work() -> None:
        barrier.wait()
        for _ in range(3):
            made.extend(plan(database, size=3))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(i for batch in made for i in batch.job_ids) == ids
    assert len({batch.key for batch in made}) == len(made)


def test_a_failed_batch_waits_for_a_person(database: Database) -> None:
    add_jobs(database, "a")
    (batch,) = plan(database)
    with database.session() as session:
        batches.mark_requested(session, batch.key, now=NOW)
        batches.mark_failed(session, batch.key, "the worker was lost")
    with database.session() as session:
        (failed,) = batches.listed(session, "failed")
        assert failed.error == "the worker was lost"
        batches.ask_again(session, batch.key)
        (again,) = batches.listed(session, "planned")
    assert (again.attempts, again.error) == (1, None)


def test_an_unknown_batch_is_said_to_be_so(database: Database) -> None:
    with pytest.raises(BadInput, match="batch 20200101-0001: is not known"), database.session() as session:
        batches.mark_finished(session, "20200101-0001")


def test_old_partitions_go_and_rows_stay(database: Database) -> None:
    add_jobs(database, "a", "b", "c")
    keys = [batch.key for batch in plan(database, size=1)]
    with database.session() as session:
        batches.mark_finished(session, keys[0])
        batches.mark_failed(session, keys[1], "lost")
    day = timedelta(days=1)
    with database.session() as session:
        assert batches.prune(session, NOW + 89 * day) == []
        assert batches.prune(session, NOW + 91 * day) == keys[:2]  # the third is still to be run
        assert batches.prune(session, NOW + 92 * day) == keys[:2]  # named for a week
        assert batches.prune(session, NOW + 99 * day) == []
        assert len(jobs.of_batch(session, keys[0])) == 1


def test_an_old_batch_that_is_asked_for_again_keeps_its_partition(database: Database) -> None:
    add_jobs(database, "a")
    (batch,) = plan(database)
    later = NOW + timedelta(days=91)
    with database.session() as session:
        batches.mark_failed(session, batch.key, "lost")
        assert batches.prune(session, later) == [batch.key]
        batches.ask_again(session, batch.key)
        assert batches.prune(session, later) == []
