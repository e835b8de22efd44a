"""No batch is lost, whatever becomes of its run: the database decides, Dagster's memory of runs only informs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from dags import run_requests as module
from dags.run_requests import ATTEMPT_TAG, REQUESTS_TAG, run_requests
from pipelines.intake import batches
from pipelines.storage import jobs, submissions
from pipelines.storage.database import Database


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def key(database: Database) -> str:
    with database.session() as session:
        jobs.add(session, jobs.NewJob("song", "a" * 64, "owner"))
        (batch,) = batches.plan_batches(session)
    return batch.key


def ask(database: Database, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    with database.session() as session:
        return list(run_requests(instance, session))


def status(database: Database) -> tuple[str, int]:
    with database.session() as session:
        (batch,) = batches.listed(session, "planned", "requested", "finished", "failed")
    return batch.status, batch.attempts


def run(
    instance: dg.DagsterInstance, key: str, attempt: int, status: dg.DagsterRunStatus, **tags: str
) -> dg.DagsterRun:
    wanted = {"dagster/partition": key, ATTEMPT_TAG: str(attempt), **{k.replace("__", "/"): v for k, v in tags.items()}}
    return create_run_for_test(instance, job_name="batch", status=status, tags=wanted)


def test_a_new_batch_is_asked_for_once(database: Database, instance: dg.DagsterInstance, key: str) -> None:
    (request,) = ask(database, instance)
    assert (request.partition_key, request.run_key) == (key, f"{key}-1")
    assert ask(database, instance) == []


def test_a_run_names_the_requests_that_its_jobs_came_with(
    database: Database, instance: dg.DagsterInstance, key: str
) -> None:
    with database.session() as session:
        submissions.add(session, "song", "owner", "request-1")
        submissions.add(session, "not-here-yet", "owner", "request-2")
    (request,) = ask(database, instance)
    assert request.tags[REQUESTS_TAG] == "request-1"


def test_a_job_from_the_inbox_came_with_no_request(database: Database, instance: dg.DagsterInstance, key: str) -> None:
    (request,) = ask(database, instance)
    assert REQUESTS_TAG not in request.tags


def test_a_request_that_became_no_run_is_asked_for_again(
    database: Database, instance: dg.DagsterInstance, key: str
) -> None:
    """The tick wrote the request down and died before Dagster heard of it."""
    with database.session() as session:
        batches.mark_requested(session, key, now=datetime.now(UTC) - timedelta(seconds=module.LOST_AFTER_SECONDS + 1))
    (request,) = ask(database, instance)
    assert request.run_key == f"{key}-2"


def test_a_run_that_was_created_and_never_launched_is_asked_for_again(
    database: Database, instance: dg.DagsterInstance, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(database, instance)
    lost = run(instance, key, 1, dg.DagsterRunStatus.NOT_STARTED)
    assert ask(database, instance) == []
    monkeypatch.setattr(module, "LOST_AFTER_SECONDS", 0.0)
    (request,) = ask(database, instance)
    assert request.run_key == f"{key}-2"
    assert instance.get_run_by_id(lost.run_id).status is dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize("going", ["STARTING", "STARTED", "CANCELING"])
def test_a_run_under_way_is_left_alone(
    database: Database, instance: dg.DagsterInstance, key: str, going: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(database, instance)
    run(instance, key, 1, dg.DagsterRunStatus[going])
    monkeypatch.setattr(module, "LOST_AFTER_SECONDS", 0.0)
    assert ask(database, instance) == []
    assert status(database) == ("requested", 1)


def test_success_finishes_the_batch(database: Database, instance: dg.DagsterInstance, key: str) -> None:
    ask(database, instance)
    run(instance, key, 1, dg.DagsterRunStatus.SUCCESS)
    assert ask(database, instance) == []
    assert status(database) == ("finished", 1)


def test_a_failure_that_dagster_retries_itself_is_waited_for(
    database: Database, instance: dg.DagsterInstance, key: str
) -> None:
    ask(database, instance)
    run(instance, key, 1, dg.DagsterRunStatus.FAILURE, dagster__will_retry="true")
    ask(database, instance)
    assert status(database) == ("requested", 1)
    run(instance, key, 1, dg.DagsterRunStatus.SUCCESS)
    ask(database, instance)
    assert status(database) == ("finished", 1)


def test_a_batch_that_failed_is_asked_for_again_after_longer_and_longer_waits(
    database: Database, instance: dg.DagsterInstance, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(database, instance)
    for attempt in range(1, module.MOST_ATTEMPTS):
        run(instance, key, attempt, dg.DagsterRunStatus.FAILURE)
        assert ask(database, instance) == []
        assert status(database) == ("failed", attempt)
        later = (module.AGAIN_AFTER * 2 ** (attempt - 1)).total_seconds()
        monkeypatch.setattr(module, "_age", lambda moment, later=later: later - 1)
        assert ask(database, instance) == []
        monkeypatch.setattr(module, "_age", lambda moment, later=later: later)
        (request,) = ask(database, instance)
        assert request.run_key == f"{key}-{attempt + 1}"
        monkeypatch.undo()
    run(instance, key, module.MOST_ATTEMPTS, dg.DagsterRunStatus.FAILURE)
    monkeypatch.setattr(module, "_age", lambda moment: float("inf"))
    assert ask(database, instance) == ask(database, instance) == []
    assert status(database) == ("failed", module.MOST_ATTEMPTS)


def test_a_batch_that_a_person_cancelled_waits_for_a_person(
    database: Database, instance: dg.DagsterInstance, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(database, instance)
    run(instance, key, 1, dg.DagsterRunStatus.CANCELED)
    assert ask(database, instance) == []
    monkeypatch.setattr(module, "_age", lambda moment: float("inf"))
    assert ask(database, instance) == []
    assert status(database) == ("failed", 1)


def test_what_a_person_cancelled_stays_so_when_dagster_forgets_the_run(
    database: Database, instance: dg.DagsterInstance, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pruned with its age, deleted in the UI, or wiped for somebody else in the batch."""
    ask(database, instance)
    cancelled = run(instance, key, 1, dg.DagsterRunStatus.CANCELED)
    assert ask(database, instance) == []
    instance.delete_run(cancelled.run_id)
    monkeypatch.setattr(module, "_age", lambda moment: float("inf"))
    assert ask(database, instance) == []
    assert status(database) == ("failed", 1)


def test_what_failed_is_asked_for_again_although_dagster_forgot_the_run(
    database: Database, instance: dg.DagsterInstance, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(database, instance)
    failed = run(instance, key, 1, dg.DagsterRunStatus.FAILURE)
    assert ask(database, instance) == []
    instance.delete_run(failed.run_id)
    monkeypatch.setattr(module, "_age", lambda moment: float("inf"))
    (request,) = ask(database, instance)
    assert request.run_key == f"{key}-2"


@pytest.mark.parametrize("end", ["FAILURE", "CANCELED"])
def test_a_final_failure_is_at_once_anew_when_a_person_asks_again(
    database: Database, instance: dg.DagsterInstance, key: str, end: str
) -> None:
    ask(database, instance)
    run(instance, key, 1, dg.DagsterRunStatus[end])
    assert ask(database, instance) == []
    assert status(database) == ("failed", 1)
    assert ask(database, instance) == []
    with database.session() as session:
        batches.ask_again(session, key)
    (request,) = ask(database, instance)
    assert request.run_key == f"{key}-2"


def test_each_of_many_batches_is_followed_by_its_own_run(database: Database, instance: dg.DagsterInstance) -> None:
    with database.session() as session:
        jobs.add_first(session, [jobs.NewJob(f"song{n}", "a" * 64, "owner") for n in range(7)])
        keys = [batch.key for batch in batches.plan_batches(session, size=1)]
    assert [request.partition_key for request in ask(database, instance)] == keys
    with database.session() as session:
        batches.ask_again(session, keys[1])
    assert [request.run_key for request in ask(database, instance)] == [f"{keys[1]}-2"]
    run(instance, keys[0], 1, dg.DagsterRunStatus.SUCCESS)
    run(instance, keys[1], 1, dg.DagsterRunStatus.FAILURE)  # of the request before the last
    run(instance, keys[1], 2, dg.DagsterRunStatus.SUCCESS)
    run(instance, keys[2], 1, dg.DagsterRunStatus.FAILURE)
    run(instance, keys[3], 1, dg.DagsterRunStatus.STARTED)
    ask(database, instance)
    with database.session() as session:
        found = {batch.key: batch.status for batch in batches.listed(session, "requested", "finished", "failed")}
    wanted = ["finished", "finished", "failed", *["requested"] * 4]
    assert found == dict(zip(keys, wanted, strict=True))


def test_a_persons_own_run_of_a_part_finishes_nothing(
    database: Database, instance: dg.DagsterInstance, key: str
) -> None:
    ask(database, instance)
    create_run_for_test(instance, job_name="batch", status=dg.DagsterRunStatus.SUCCESS, tags={"dagster/partition": key})
    ask(database, instance)
    assert status(database) == ("requested", 1)
