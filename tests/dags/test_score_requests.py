"""Chunks are asked for when nobody works on them: whoever started a run that lives, it is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from sqlalchemy import select

from assets.partitions import SHEET_TAG
from dags.score_requests import FIRST, LAST, PARTITION, chunk_requests
from pipelines.scoring import chunks
from pipelines.scoring.chunks import Chunk
from pipelines.scoring.recording import held
from pipelines.storage import jobs
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewJob
from pipelines.storage.scoring_tables import ScoreChunk
from tests.scoring.test_chunks import until_let_go
from tests.scoring.test_recording import sheet

NOW = datetime.now(UTC)
LATER = NOW + timedelta(minutes=2)
STARTED, FAILED = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def planned(database: Database) -> tuple[int, list[Chunk]]:
    """Three chunks of an inbox job's sheet; sheets before and after it are the command line's."""
    sheet(database)
    with database.session() as session:
        job_id, _ = jobs.add(session, NewJob("folder", "hash", "Mina"))
    found = sheet(database, job_id=job_id)
    sheet(database)
    return found


def ask(database: Database, instance: dg.DagsterInstance, now: datetime = NOW) -> list[list[str]]:
    with database.session() as session:
        return [ids for _, ids in chunk_requests(instance, session, now, 5)]


def statuses(database: Database) -> list[str]:
    with database.session() as session:
        query = select(ScoreChunk.status).where(ScoreChunk.score_job_id == 2).order_by(ScoreChunk.number)
        return list(session.execute(query).scalars())


def names(found: list[Chunk]) -> list[str]:
    return [chunk.chunk_id for chunk in found]


def test_chunks_are_asked_for_once_and_again_when_their_run_is_gone(
    database: Database, instance: dg.DagsterInstance, planned: tuple[int, list[Chunk]]
) -> None:
    score_job, theirs = planned
    assert ask(database, instance) == [names(theirs)]
    assert ask(database, instance) == [] == ask(database, instance, NOW + timedelta(seconds=30))
    tags = {SHEET_TAG: str(score_job), FIRST: theirs[0].chunk_id, LAST: theirs[1].chunk_id}
    run = create_run_for_test(instance, job_name="scoring_chunks", status=STARTED, tags=tags)
    assert ask(database, instance, LATER) == []
    assert statuses(database) == ["requested", "requested", "failed"]
    instance.report_run_failed(run)
    assert ask(database, instance, LATER) == []
    assert statuses(database) == ["failed"] * 3
    assert ask(database, instance, LATER + timedelta(minutes=1)) == [[name] for name in names(theirs)]


@pytest.mark.parametrize(
    ("tags", "alive"),
    [
        ({PARTITION: "2-0002"}, {2}),
        ({FIRST: "2-0001", LAST: "2-0002"}, {1, 2}),
        ({FIRST: "1-0003", LAST: "2-0001"}, {1}),
        ({FIRST: "2-0002", LAST: "3-0001"}, {2, 3}),
        ({FIRST: "1-0001", LAST: "3-0001"}, {1, 2, 3}),
        ({PARTITION: "22-0002"}, set()),
        ({PARTITION: "of another asset"}, set()),
    ],
)
def test_a_run_by_hand_that_lives_is_left_alone(
    database: Database,
    instance: dg.DagsterInstance,
    planned: tuple[int, list[Chunk]],
    tags: dict[str, str],
    alive: set[int],
) -> None:
    run = create_run_for_test(instance, job_name="__ASSET_JOB", status=STARTED, tags=tags)
    with database.session() as session:
        chunks.request(session, names(planned[1]), NOW)
    assert ask(database, instance, LATER) == []
    assert {n for n, status in enumerate(statuses(database), 1) if status == "requested"} == alive
    later = LATER + timedelta(minutes=1)
    assert {int(ids[0][-1]) for ids in ask(database, instance, later)} == {1, 2, 3} - alive
    instance.report_run_failed(run)
    assert ask(database, instance, later) == []
    assert {n for n, status in enumerate(statuses(database), 1) if status == "failed"} == alive


def test_what_somebody_holds_is_neither_lost_nor_asked_for(
    database: Database, instance: dg.DagsterInstance, planned: tuple[int, list[Chunk]]
) -> None:
    score_job, theirs = planned
    with held(database, score_job, theirs[:1]):
        assert ask(database, instance) == [names(theirs[1:])]
    until_let_go(database)
    assert ask(database, instance) == [names(theirs[:1])]
    with held(database, score_job, theirs[:1]), held(database, score_job, theirs[2:]):
        assert ask(database, instance, LATER) == []
        assert statuses(database) == ["requested", "failed", "requested"]
    until_let_go(database)
    with held(database, score_job):
        assert ask(database, instance, LATER + timedelta(hours=1)) == []
        assert statuses(database) == ["requested", "failed", "requested"]
