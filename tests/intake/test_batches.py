from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import text

from pipelines.errors import BadInput
from pipelines.intake import batches
from pipelines.intake.batches import Batch, plan_batches
from pipelines.storage import items, jobs, uploads
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewJob
from pipelines.storage.uploads import NewUpload

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


def backlog(database: Database, least: int = 2) -> list[int]:
    """How many jobs each new batch holds."""
    with database.session() as session:
        return [len(batch.job_ids) for batch in batches.plan_backlog(session, NOW, least)]


def add_small(database: Database, count: int, size: int = 1000, first: int = 0) -> None:
    with database.session() as session:
        names = [f"small{n:05d}" for n in range(first, first + count)]
        ids = jobs.add_first(session, [NewJob(name, "c", owner="yamada") for name in names])
        uploads.add_many(
            session, [(i, "yamada", NewUpload("a.wav", "mix", f"{i}", size, object_key=f"media/{i}")) for i in ids]
        )


def age(database: Database, seconds: float) -> None:
    with database.session() as session:
        session.execute(text("update jobs set created_at = created_at - make_interval(secs => :s)"), {"s": seconds})


def test_many_small_jobs_share_a_batch_and_large_ones_do_not(database: Database) -> None:
    add_small(database, 2500)
    assert backlog(database) == [1000, 1000]  # two are under way by then: the rest gathers
    age(database, batches.HOLD_SECONDS)
    assert backlog(database) == [500]  # but not for long
    add_small(database, 6, size=batches.MOST_BYTES // 2, first=5000)
    age(database, batches.HOLD_SECONDS)
    assert backlog(database) == [2, 2, 2]
    assert backlog(database, least=3) == []


def test_a_batch_grows_no_further_than_what_the_last_ones_took(database: Database) -> None:
    add_small(database, 4)
    (first,) = plan(database, size=4)
    with database.session() as session:
        for job_id in first.job_ids:
            for kind in ("masters", "previews"):
                items.record(
                    session,
                    job_id=job_id,
                    kind=kind,
                    content_hash="h",
                    code_version="1",
                    seconds=batches.MOST_SECONDS / 10,
                )
        batches.mark_finished(session, first.key)
    add_small(database, 13, first=100)
    assert backlog(database) == [5, 5]
    age(database, batches.HOLD_SECONDS)
    assert backlog(database) == [3]


def test_what_is_alone_begins_at_once_and_what_would_only_wait_gathers(database: Database) -> None:
    for number in range(batches.AHEAD):
        add_small(database, 1, first=number)
        assert backlog(database) == [1]
    add_small(database, 1, first=10)
    assert backlog(database) == []
    add_small(database, 3, first=20)
    assert backlog(database) == []
    with database.session() as session:
        (done, _) = batches.listed(session, "planned")
        batches.mark_finished(session, done.key)
    assert backlog(database) == [4]


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
