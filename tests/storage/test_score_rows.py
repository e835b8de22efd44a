"""Rows of sheets and the cache of answers, by the statements themselves: order, memory, age, size."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import text

from pipelines import clock
from pipelines.scoring.scored import FLAGS, Answer, Scored
from pipelines.storage import score_cache, score_chunks, score_jobs, score_rows
from pipelines.storage.database import Database
from pipelines.storage.score_jobs import NewScoreJob
from pipelines.storage.scoring_tables import SCORE_FLAGS, ScoreChunk

HOUR = timedelta(hours=1)


def test_flags_are_the_same_in_the_table() -> None:
    assert FLAGS == SCORE_FLAGS


@pytest.fixture
def chunk(database: Database) -> ScoreChunk:
    new = NewScoreJob("a.csv", "csv", "/a.csv", "hash", {}, {}, 5_000)
    with database.session() as session:
        (made,) = score_chunks.add(session, score_jobs.add(session, new), [(0, 5_000, 0)])
        return made


def record(
    database: Database, chunk: ScoreChunk, rows: list[Scored], fresh: Mapping[bytes, Answer] | None = None
) -> str | None:
    with database.connection() as connection:
        return score_rows.record(
            connection, chunk.score_job_id, chunk.id, rows, fresh or {}, done=len(rows), tally={}, seconds=0.0
        )


def scored(number: int, reason: str = "why") -> Scored:
    return Scored(number, b"%032d" % number, Answer((number % 5, 7), None, reason))


def test_rows_come_back_in_order_a_few_at_a_time(database: Database, chunk: ScoreChunk) -> None:
    rows = [scored(number) for number in range(4_500)]
    assert record(database, chunk, rows[2_000:]) == "ready"
    assert record(database, chunk, rows[:2_000]) == "ready"
    with database.session() as session:
        found = score_rows.answers(session, chunk.score_job_id)
        assert [next(found) for _ in range(3)] == rows[:3]
        assert list(found) == rows[3:]
        assert score_rows.recorded(session, chunk.score_job_id, 4_498, 9_000) == {4_498, 4_499}
        now = clock.of_database(session)
        assert score_rows.pace(session, chunk.score_job_id, now - HOUR)[0] == 0, "no chunk runs, nothing is counted"
        session.execute(text("update score_chunks set status = 'running'"))
        session.execute(text("update score_rows set created_at = now() - interval '2 hours' where row < 4400"))
        count, first = score_rows.pace(session, chunk.score_job_id, now - HOUR)
        assert count == 100 and first is not None and first <= now


def test_a_row_is_recorded_again_as_it_is_by_then(database: Database, chunk: ScoreChunk) -> None:
    twice = [scored(1, "a 'quote', a \"quote\", a \\ and a \n line"), Scored(2, b"k", None, "empty")]
    for rows in ([scored(1), scored(2)], twice):
        assert record(database, chunk, rows) == "ready"
    with database.session() as session:
        assert list(score_rows.answers(session, chunk.score_job_id)) == twice


def test_nothing_is_written_of_a_sheet_that_is_gone(database: Database, chunk: ScoreChunk) -> None:
    with database.session() as session:
        session.execute(text("delete from score_jobs"))
    answer = Answer((1,), None, "")
    assert record(database, chunk, [Scored(0, b"k", answer)], {b"k": answer}) is None
    with database.session() as session:
        assert score_cache.count(session) == (0, 0)


def test_the_cache_takes_what_rows_were_answered_and_what_they_were_not(database: Database, chunk: ScoreChunk) -> None:
    answer, other = Answer((1, 2), 0.5, "one"), Answer((3, 4), None, "other")
    # Two rows of one text; one whose answer is a fallback's; an answer of a row that comes later.
    rows = [Scored(0, b"a", answer), Scored(1, b"a", answer), Scored(2, b"b", other, "fallback")]
    record(database, chunk, rows, {b"a": answer, b"c": other})
    with database.connection() as connection:
        assert score_cache.fresh(connection, [b"a", b"b", b"c"], HOUR) == {b"a": answer, b"c": other}
        assert score_cache.fresh(connection, [b"a"], timedelta(0)) == {}
        assert score_cache.fresh(connection, [], HOUR) == {}


def test_the_cache_drops_what_is_old_and_what_was_not_used_for_longest(database: Database, chunk: ScoreChunk) -> None:
    answer = Answer((1,), None, "")
    keys = [b"%d" % number for number in range(9)]
    record(database, chunk, [], dict.fromkeys(keys, answer))
    with database.session() as session:
        session.execute(text("update score_cache set used_at = now() - make_interval(mins => get_byte(key, 0))"))
        session.execute(text("update score_cache set created_at = now() - interval '2 hours' where key = '0'"))
        score_cache.used(session, {b"8": 3, b"7": 1, b"gone": 1})
        assert score_cache.count(session) == (9, 4)
    with database.session() as session:
        assert score_cache.drop_stale(session, HOUR) == 1
        assert score_cache.drop_beyond(session, 4) == 4
        assert score_cache.drop_beyond(session, 4) == 0
    with database.connection() as connection:
        assert set(score_cache.fresh(connection, keys, HOUR)) == {b"8", b"7", b"1", b"2"}
