"""The ledger: what is recorded is there for the next run, whoever is killed when; the cache; two runs at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update

from pipelines.errors import BadInput, Unavailable
from pipelines.scoring import chunks, recording
from pipelines.scoring.chunks import Chunk
from pipelines.scoring.recording import Recorder, held
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import FLAGS, Answer, Flag, Scored, Tally
from pipelines.scoring.sheet import Span
from pipelines.settings import Settings
from pipelines.storage import jobs, score_cache, score_jobs, score_rows
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewJob
from pipelines.storage.score_jobs import NewScoreJob
from pipelines.storage.scoring_tables import ScoreCacheEntry, ScoreChunk
from pipelines.storage.tables import Job

RUBRIC = Rubric.of(["joy", "anger"])


def sheet(
    database: Database, rows: int = 6, size: int = 2, *, job_id: int | None = None, name: str = "sheet.csv"
) -> tuple[int, list[Chunk]]:
    """A score job and its chunks."""
    spans = [Span(first, min(first + size, rows), first * 10) for first in range(0, rows, size)]
    new = NewScoreJob(name, "csv", f"/tmp/{name}", f"hash of {name}", RUBRIC.to_dict(), {"provider": "local"}, rows)
    with database.session() as session:
        score_job = score_jobs.add(session, dataclasses.replace(new, job_id=job_id))
        return score_job, chunks.plan(session, score_job, spans)


def key(word: object) -> bytes:
    return RUBRIC.key(str(word), "p", "m", "")


def row(number: int, *scores: int, reason: str = "since", confidence: float | None = 0.5, flag: Flag = "") -> Scored:
    return Scored(number, key(number), Answer(scores or (1, 5), confidence, reason), flag)


def read(database: Database, score_job: int) -> list[Scored]:
    with database.session() as session:
        return list(score_rows.answers(session, score_job))


def chunk_row(database: Database, chunk: Chunk) -> ScoreChunk:
    with database.session() as session:
        return session.get_one(ScoreChunk, chunk.id)


@pytest.fixture
def recorder(database: Database) -> Iterator[Recorder]:
    score_job, _ = sheet(database)
    with Recorder(database, score_job, Settings()) as found:
        yield found


def chunks_of(recorder: Recorder) -> list[Chunk]:
    with recorder.database.session() as session:
        return chunks.of(session, recorder.score_job_id)


def test_what_is_recorded_is_read_in_order_and_skipped_by_the_next_run(recorder: Recorder) -> None:
    first, second, _ = chunks_of(recorder)
    assert recorder.begin(first) == recorder.begin(second) == frozenset()
    given = Scored(1, key(1), None, "given")
    recorder.record(second, [row(3), row(2, 4, 4, reason="a \0 b \ud800 é 🎉")], {}, Tally(rows=2, cost=0.25), 1.5)
    recorder.record(first, [given], {}, Tally(rows=1), 0.5)
    found = read(recorder.database, recorder.score_job_id)
    assert found == [given, row(2, 4, 4, reason="a  b ? é 🎉"), row(3)]
    recorder.end(second, None)
    with Recorder(recorder.database, recorder.score_job_id, Settings()) as after:  # the first was killed
        assert after.begin(first) == {1}
        after.record(first, [row(0)], {}, Tally(rows=1, requests=3), 0.25)
        after.end(first, None)
    ended = chunk_row(recorder.database, first)
    assert (ended.status, ended.rows_done, ended.seconds) == ("finished", 2, 0.75)
    assert Tally(**ended.tally) == Tally(rows=2, requests=3)
    assert chunk_row(recorder.database, second).rows_done == 2


def test_an_answer_is_given_again_until_it_is_old_or_others_were_used_since(recorder: Recorder) -> None:
    first, second, third = chunks_of(recorder)
    for chunk in (first, second, third):
        recorder.begin(chunk)
    kept = {key(n): Answer((n, 2), 0.25, f"reason {n}") for n in range(4)}
    recorder.record(first, [row(0), row(1)], kept, Tally(), 0)
    assert recorder.recall([key(n) for n in range(9)]) == kept
    recorder.record(second, [row(2)], {key(1): Answer((5, 5))}, Tally(), 0)  # asked twice: the later counts
    assert recorder.recall([key(1)]) == {key(1): Answer((5, 5))}
    recorder.clean()
    with recorder.database.session() as session:
        session.execute(update(ScoreCacheEntry).values(used_at=text("now() - interval '1 hour'")))
        aged = update(ScoreCacheEntry).where(ScoreCacheEntry.key == key(0))
        session.execute(aged.values(created_at=text("now() - interval '25 hours'")))
    assert set(recorder.recall([key(0), key(2)])) == {key(2)}
    small = dataclasses.replace(Settings(), score_cache_entries="2")
    with Recorder(recorder.database, recorder.score_job_id, small) as other:
        other.recall([key(3)])
        recorder.clean()
        other.clean()
    with recorder.database.session() as session:
        entries = {e.key: e.hits for e in session.execute(select(ScoreCacheEntry)).scalars()}
        assert len(entries) == 2 == score_cache.count(session)[0]
    assert entries == {key(2): 2, key(3): 2}


def test_two_runs_do_not_work_on_the_same_rows(database: Database) -> None:
    mine, (a, b, c) = sheet(database)
    other, _ = sheet(database, name="other.csv")
    with held(database, mine), held(database, other):
        with pytest.raises(Unavailable, match=f"score job {mine}: another run works on it"), held(database, mine):
            pass
        with pytest.raises(Unavailable), held(database, mine, [a]):
            pass
        with database.session() as session:
            assert score_jobs.held(session) == {mine, other}
    with held(database, mine, [a, b]), held(database, mine, [c]):
        for part in ([], [b, c], [b]):
            with pytest.raises(Unavailable), held(database, mine, part):
                pass
    with database.session() as session:
        assert score_jobs.held(session) == set()
    with held(database, mine):
        pass


def test_a_failed_chunk_waits_ever_longer_and_is_given_up(recorder: Recorder) -> None:
    chunk, *_ = chunks_of(recorder)
    waits = []
    for _ in range(6):
        recorder.begin(chunk)
        recorder.end(chunk, "row 2 was not answered")
        found = chunk_row(recorder.database, chunk)
        with recorder.database.session() as session:
            now = session.execute(text("select clock_timestamp()")).scalar_one()
        waits.append(found.not_before and round((found.not_before - now) / timedelta(seconds=1)))
    assert waits == [2, 4, 8, 16, 32, None]
    assert (found.status, found.retry_count, found.last_error) == ("given_up", 5, "row 2 was not answered")
    assert [chunks.backoff(n) for n in (1, 5, 6, 5_000)] == [2, 32, 60, 60]
    recorder.begin(chunk)  # a person runs it once more
    recorder.leave(chunk)
    assert chunk_row(recorder.database, chunk).status == "planned"


def test_a_sheet_that_was_taken_back_is_not_worked_on(database: Database) -> None:
    with database.session() as session:
        job_id, _ = jobs.add(session, NewJob("folder", "hash", "Mina"))
    score_job, (first, second, _) = sheet(database, job_id=job_id)
    with Recorder(database, score_job, Settings()) as recorder:
        recorder.begin(first)
        with database.session() as session:
            session.execute(update(Job).values(status="bad", error="taken back"))
        with pytest.raises(BadInput, match="took the consent back"):
            recorder.begin(second)
        with pytest.raises(BadInput, match="took the consent back"):
            recorder.record(first, [row(0)], {}, Tally(), 0)
        with database.session() as session:
            session.execute(text("delete from jobs"))
        with pytest.raises(BadInput, match="took the consent back"):
            recorder.record(first, [row(1)], {key(1): Answer((1, 1))}, Tally(), 0)
        with pytest.raises(BadInput):
            recorder.end(first, None)
        recorder.leave(first)
        with database.session() as session:
            assert score_cache.count(session)[0] == 0 or key(1) not in recorder.recall([key(1)])


def test_sheets_with_the_same_texts_do_not_wait_for_each_other_in_a_circle(database: Database) -> None:
    words = list(range(200))

    def run(number: int) -> int:
        score_job, (chunk,) = sheet(database, rows=200, size=200, name=f"{number}.csv")
        with Recorder(database, score_job, Settings()) as recorder:
            recorder.begin(chunk)
            order = words if number % 2 else words[::-1]
            for _ in range(10):
                fresh = {key(n): Answer((1, 2), None, f"of {number}") for n in order}
                recorder.record(chunk, [row(n) for n in order], fresh, Tally(), 0)
                recorder.recall([key(n) for n in order])
                recorder.clean()
            recorder.end(chunk, None)
        return len(read(database, score_job))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4))) == [200] * 4


def test_a_database_that_goes_away_stops_the_run_and_nothing_counts_twice(recorder: Recorder) -> None:
    chunk, *_ = chunks_of(recorder)
    recorder.begin(chunk)
    recorder.record(chunk, [row(0)], {}, Tally(rows=1), 1)
    end = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
    with recorder.database.session() as session:
        session.execute(text(f"{end} and datname = current_database()"))
    with pytest.raises(Unavailable, match="database at"):
        recorder.record(chunk, [row(1)], {}, Tally(rows=1), 1)
    recorder.record(chunk, [row(1)], {}, Tally(rows=1), 1)
    recorder.end(chunk, None)
    assert read(recorder.database, recorder.score_job_id) == [row(0), row(1)]
    assert chunk_row(recorder.database, chunk).tally["rows"] == 2


def test_a_record_that_takes_too_long_is_ended_and_the_next_one_works(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "PATIENCE", 0.2)
    chunk, *_ = chunks_of(recorder)
    recorder.begin(chunk)
    with recorder.database.session() as session:
        session.execute(text("lock table score_rows in access exclusive mode"))
        with pytest.raises(Unavailable, match="statement timeout"):
            recorder.record(chunk, [row(0)], {}, Tally(rows=1), 1)
    recorder.record(chunk, [row(0)], {}, Tally(rows=1), 1)
    assert read(recorder.database, recorder.score_job_id) == [row(0)]
    recorder.close()
    for _ in range(8):  # nobody else got the connection with the limit
        with recorder.database.connection() as connection:
            assert connection.execute(text("show statement_timeout")).scalar_one() == "0"


def test_once_a_call_is_given_up_no_other_hangs(recorder: Recorder) -> None:
    chunk, *_ = chunks_of(recorder)
    recorder.begin(chunk)
    end = "select pg_terminate_backend(pid) from pg_stat_activity where query like '%score_rows%' and state = 'active'"
    with recorder.database.session() as session, ThreadPoolExecutor(1) as pool:
        session.execute(text("lock table score_rows in access exclusive mode"))
        late = pool.submit(recorder.record, chunk, [row(0)], {}, Tally(), 0)
        while not session.execute(text("select count(*) from pg_locks where not granted")).scalar_one():
            pass
        recorder.abandon()
        recorder.close()
        for call in (lambda: recorder.begin(chunk), lambda: recorder.recall([key(1)]), recorder.clean):
            with pytest.raises(Unavailable, match="has not answered"):
                call()
        session.execute(text(f"{end} and pid <> pg_backend_pid()"))
        with pytest.raises(Unavailable):
            late.result()
    recorder.database.dispose()  # who opens it anew may try again
    with recorder.database.session() as session:
        assert session.execute(text("select 1")).scalar_one() == 1


@given(
    lots=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), max_size=8),
    flags=st.lists(st.sampled_from(FLAGS), min_size=10, max_size=10),
    killed=st.sets(st.integers(0, 7)),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_killed_anywhere_the_rows_are_those_of_an_undisturbed_run(
    database: Database, lots: Sequence[Sequence[int]], flags: Sequence[Flag], killed: set[int]
) -> None:
    score_job, (chunk,) = sheet(database, rows=10, size=10)
    rows = [
        Scored(n, key(n), None if flag in ("given", "empty") else Answer((n % 5 + 1, 1), None, f"{n}"), flag)
        for n, flag in enumerate(flags)
    ]
    recorder = Recorder(database, score_job, Settings())
    done = set(recorder.begin(chunk))
    for number, lot in enumerate(lots):
        recorder.record(chunk, [rows[n] for n in dict.fromkeys(lot)], {}, Tally(rows=len(set(lot) - done)), 1)
        done |= set(lot)
        if number in killed:
            recorder.close()
            recorder = Recorder(database, score_job, Settings())
            assert recorder.begin(chunk) == done
    recorder.close()
    assert read(database, score_job) == [rows[n] for n in sorted(done)]
    found = chunk_row(database, chunk)
    assert (found.rows_done, found.tally.get("rows", 0)) == (len(done), len(done))
