"""Chunks: what is due when, what a sheet is by its chunks, that only the failed ones run again; what is told of it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text, update

from pipelines.errors import BadInput
from pipelines.scoring import chunks, state
from pipelines.scoring.recording import Recorder, held
from pipelines.scoring.scored import Tally
from pipelines.scoring.sheet import Span
from pipelines.settings import Settings
from pipelines.storage import jobs, score_jobs
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewJob
from pipelines.storage.scoring_tables import CHUNK_STATUSES, ScoreChunk, ScoreJob
from pipelines.storage.tables import Job
from tests.scoring.test_recording import RUBRIC, chunk_row, row, sheet

NOW = datetime.now(UTC)


@pytest.fixture
def inbox_job(database: Database) -> int:
    with database.session() as session:
        return jobs.add(session, NewJob("folder", "hash", "Mina"))[0]


def statuses(database: Database, score_job: int) -> list[str]:
    with database.session() as session:
        found = session.query(ScoreChunk).filter_by(score_job_id=score_job).order_by(ScoreChunk.number)
        return [one.status for one in found]


def until_let_go(database: Database) -> None:
    """A lock ends with its connection's server process, some moments after the connection."""
    while True:
        with database.session() as session:
            if not score_jobs.held(session):
                return
        time.sleep(0.01)


def test_a_plan_is_read_back_as_it_was_made(database: Database) -> None:
    score_job, planned = sheet(database, rows=1_001, size=500)
    assert [c.chunk_id for c in planned] == [f"{score_job}-{n:04d}" for n in (1, 2, 3)]
    assert [c.span for c in planned] == [Span(0, 500, 0), Span(500, 1_000, 5_000), Span(1_000, 1_001, 10_000)]
    with database.session() as session:
        assert chunks.of(session, score_job) == chunks.left(session, score_job) == planned
        assert chunks.by_keys(session, [planned[2].chunk_id, planned[0].chunk_id, "9-0001"]) == {
            score_job: [planned[0], planned[2]]
        }
        assert chunks.plan(session, score_jobs.add(session, _empty()), []) == []
        assert chunks.due(session, NOW) == [], "a sheet of the command line runs there"


def _empty() -> score_jobs.NewScoreJob:
    return score_jobs.NewScoreJob("empty.csv", "csv", "/tmp/e", "e", RUBRIC.to_dict(), {}, 0)


def test_three_chunks_of_which_one_fails_and_only_that_one_runs_again(database: Database, inbox_job: int) -> None:
    score_job, planned = sheet(database, job_id=inbox_job)
    keys = [c.chunk_id for c in planned]

    def told() -> tuple[str, int]:
        with database.session() as session:
            found = chunks.state(session, score_job)
            return found.status, found.rows

    assert told() == ("planned", 0)
    with database.session() as session:
        due = chunks.due(session, NOW)
        assert [(d.chunk_id, d.number, d.score_job_id, d.job_id, d.attempts) for d in due] == [
            (key, n, score_job, inbox_job, 0) for n, key in enumerate(keys, 1)
        ]
        chunks.request(session, keys, NOW)
        assert chunks.due(session, NOW) == []
        assert [d.attempts for d in chunks.under_way(session, NOW + timedelta(seconds=1))] == [1, 1, 1]
    assert told() == ("running", 0)
    with Recorder(database, score_job, Settings()) as recorder:
        for chunk in planned:
            recorder.begin(chunk)
            recorder.record(chunk, [row(chunk.span.first)], {}, Tally(rows=1, requests=2, cost=0.5), 1)
        recorder.end(planned[0], None)
        assert told() == ("running", 3)
        recorder.end(planned[1], "row 3 was not answered")
        recorder.end(planned[2], None)
        assert statuses(database, score_job) == ["finished", "failed", "finished"]
        assert told() == ("partly failed", 3)
        with database.session() as session:
            assert chunks.due(session, NOW) == [], "it waits"
            # From now on, not from NOW: the run that failed looked at the clock.
            (again,) = chunks.due(session, datetime.now(UTC) + timedelta(minutes=1))
            assert (again.chunk_id, again.attempts) == (keys[1], 1)
            chunks.request(session, [again.chunk_id], NOW)
        assert told() == ("running", 3)
        assert recorder.begin(planned[1]) == {2}
        recorder.record(planned[1], [row(3)], {}, Tally(rows=1), 1)
        recorder.end(planned[1], None)
    assert told() == ("finished", 4)
    with database.session() as session:
        assert chunks.state(session, score_job).tally == Tally(rows=4, requests=6, cost=1.5)
    assert [chunk_row(database, c).attempts for c in planned] == [1, 2, 1]


def test_a_chunk_whose_run_is_gone_runs_again_until_it_is_given_up(database: Database, inbox_job: int) -> None:
    score_job, (first, second, _) = sheet(database, job_id=inbox_job)
    for _ in range(3):
        with database.session() as session:
            chunks.request(session, [first.chunk_id], NOW)
            chunks.lose(session, [first.chunk_id, second.chunk_id], NOW, retries=2)
    assert statuses(database, score_job) == ["given_up", "planned", "planned"]
    assert chunk_row(database, first).last_error == chunks.GONE
    with database.session() as session:
        session.execute(update(ScoreJob).values(finished_at=NOW))
        assert state.retry(session) == 1
        assert session.get_one(ScoreJob, score_job, populate_existing=True).finished_at is None
    assert statuses(database, score_job) == ["planned"] * 3
    assert chunk_row(database, first).retry_count == 0


def test_what_is_withdrawn_or_ended_is_not_due(database: Database, inbox_job: int) -> None:
    score_job, _ = sheet(database, job_id=inbox_job)
    with database.session() as session:
        score_jobs.fail(session, score_job, "the key is wrong")
        assert chunks.due(session, NOW) == []
        assert [(one.status, one.error) for one in state.open_jobs(session)] == [("failed", "the key is wrong")]
        assert state.retry(session) == 3 and len(chunks.due(session, NOW)) == 3
        session.execute(update(Job).values(status="bad", error="withdrawn"))
        assert chunks.due(session, NOW) == [] == state.open_jobs(session)
        assert state.retry(session) == 0


@given(st.dictionaries(st.sampled_from(CHUNK_STATUSES), st.integers(1, 4), min_size=1))
def test_a_sheet_is_what_its_chunks_are(counts: dict[str, int]) -> None:
    found, open_ = chunks.status_of(counts), set(counts) & {"planned", "requested", "running"}
    failed = set(counts) & {"failed", "given_up"}
    assert (found == "finished") == (set(counts) == {"finished"})
    assert (found in ("failed", "partly failed")) == (bool(failed) and not open_)
    assert (found == "failed") == (bool(failed) and not open_ and "finished" not in counts)
    assert (found == "planned") == (set(counts) == {"planned"})


def test_partitions_are_pruned_after_ninety_days_and_named_for_a_week(database: Database) -> None:
    score_job, (first, second, third) = sheet(database)
    with database.session() as session:
        for chunk, status in ((first, "finished"), (second, "given_up"), (third, "failed")):
            session.execute(update(ScoreChunk).where(ScoreChunk.id == chunk.id).values(status=status))
        later = NOW + timedelta(days=91)
        assert chunks.prune(session, NOW + timedelta(days=89)) == []
        assert chunks.prune(session, later) == [first.chunk_id, second.chunk_id]
        assert chunks.prune(session, later + timedelta(days=6)) == [first.chunk_id, second.chunk_id]
        assert chunks.prune(session, later + timedelta(days=8)) == []
        score_jobs.fail(session, score_job, "the key is wrong")
        assert chunks.prune(session, later + timedelta(days=8)) == [third.chunk_id], "nothing more comes of it"
        assert len(chunks.of(session, score_job)) == 3


def test_a_wish_is_open_until_nothing_is_left_of_it(database: Database, inbox_job: int) -> None:
    sheet(database)
    score_job, _ = sheet(database)
    other, _ = sheet(database, job_id=inbox_job)
    with database.session() as session:
        wish = score_jobs.newest(session, session.get_one(ScoreJob, other).fingerprint)
        assert wish is not None and wish.id == score_job, "a person's own, by the command line"
        assert score_jobs.newest(session, "another") is None
        score_jobs.finish(session, score_job, {"place": "out.csv", "rows": 6})
        assert score_job in [one.id for one in score_jobs.opened(session)], "chunks are left"
        session.execute(update(ScoreChunk).values(status="finished"))
        assert score_job not in [one.id for one in score_jobs.opened(session)]
        assert [one.id for one in score_jobs.of_job(session, inbox_job)] == [other]
        assert score_jobs.get(session, score_job).written["place"] == "out.csv"
        with pytest.raises(BadInput, match="score job 99: is not known"):
            score_jobs.get(session, 99)


def test_what_is_told_of_a_sheet(database: Database, inbox_job: int) -> None:
    score_job, planned = sheet(database)
    sheet(database, job_id=inbox_job, name="other.csv")
    with Recorder(database, score_job, Settings()) as recorder, held(database, score_job):
        for chunk in planned:
            recorder.begin(chunk)
        told = Tally(rows=2, asked=1, requests=7, throttled=3, cache_hits=1, cost=0.125)
        recorder.record(planned[0], [row(0), row(1)], {}, told, 1)
        recorder.end(planned[0], None)
        with database.session() as session:
            mine, other = state.open_jobs(session)
        assert (mine.rows, mine.of, mine.alive, mine.status, mine.job) == (2, 6, True, "running", None)
        assert mine.rate > 0 and mine.eta is not None
        assert "2 of 6 rows (33 %), running at" in mine.line()
        assert mine.line().endswith("; 7 requests, 3 of them answered 429; 50 % from the cache; 0.1250 USD")
        assert other.line() == "sheet other.csv of job folder: 0 of 6 rows (0 %), waits for its run"
        recorder.end(planned[1], "row 3 was not answered")
        recorder.leave(planned[2])
    until_let_go(database)
    with database.session() as session:
        mine = state.of(session, score_job)
        assert (mine.alive, mine.eta, mine.status) == (False, None, "stopped")
        assert "stopped; `orimono score --resume` with the same arguments goes on" in mine.line()
        assert mine.line().endswith(f"chunk {score_job}-0002 failed (row 3 was not answered)")
        plain = json.loads(json.dumps(mine.to_dict()))
        assert plain["hit_rate"] == 0.5 and plain["chunks"] == {"finished": 1, "failed": 1, "planned": 1}
        assert plain["failed"][0]["error"] == "row 3 was not answered" and plain["tally"]["requests"] == 7
        session.execute(text("update score_chunks set status = 'finished'"))
        assert "all scored, not written yet" in state.of(session, score_job).line()
        score_jobs.finish(session, score_job, {})
        assert [one.name for one in state.open_jobs(session)] == ["other.csv"]
