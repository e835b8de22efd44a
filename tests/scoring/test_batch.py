"""Sheets of a batch, chunk by chunk: what becomes of the chunks when a run of them ends before they do, and what is
written when they have ended."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import delete, select, update

from dags.score_requests import FIRST, LAST, PARTITION
from definitions import build_defs
from pipelines.errors import BadInput, Unavailable
from pipelines.intake import batches, scan
from pipelines.scoring import batch, chunks, findings, jobs, recording, state
from pipelines.scoring.batch import Fate
from pipelines.scoring.rubric import Rubric
from pipelines.storage.scoring_tables import ScoreChunk, ScoreJob, ScoreRow
from pipelines.studio import Studio
from tests.governance.conftest import studio as studio
from tests.scoring import sheets_server
from tests.scoring.llm_server import LLM, Behaviour, serve
from tests.scoring.sheets_book import Book, Page
from tests.scoring.test_chunks import until_let_go

ROWS = 700  # two chunks


@pytest.fixture(scope="module")
def llm() -> Iterator[LLM]:
    with serve(Behaviour()) as found:
        yield found


@pytest.fixture
def asked(studio: Studio, llm: LLM) -> Studio:
    return replace(
        studio,
        settings=replace(
            studio.settings,
            workers="1",
            openai_base_url=llm.url,
            openai_api_key="sk-test",
            score_provider="openai",
            score_model="m",
        ),
    )


def taken(studio: Studio, *names: str) -> str:
    """A job with these sheets, cut into chunks; its batch."""
    folder = studio.settings.inbox / "opinions"
    folder.mkdir(parents=True)
    for name in names:
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["utterance"], *([f"{name} {n}"] for n in range(ROWS))])
    listed = ", ".join(f"{{file: {name}, kind: sheet}}" for name in names)
    said = f"owner: tester@example.com\nfiles: [{listed}]\nscore: {{categories: [joy, anger]}}\n"
    (folder / "job.yaml").write_text(said)
    (folder / "_COMPLETE").touch()
    time.sleep(studio.settings.number("settle_seconds") * 2)
    scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)
    with studio.database.session() as session:
        (made,) = batches.plan_batches(session)
    results = batch.register(studio, made.key)
    assert [result.error for result in results] == [None] * len(names)
    return made.key


def rows(studio: Studio) -> list[tuple[str, str | None, int]]:
    with studio.database.session() as session:
        found = session.execute(select(ScoreChunk).order_by(ScoreChunk.id)).scalars()
        return [(one.status, one.last_error, one.retry_count) for one in found]


def due(studio: Studio) -> list[str]:
    with studio.database.session() as session:
        return [one.chunk_id for one in chunks.due(session, chunks.clock.now())]


def request(studio: Studio) -> list[str]:
    keys = due(studio)
    with studio.database.session() as session:
        chunks.request(session, keys, chunks.clock.now())
    return keys


def error(studio: Studio) -> str | None:
    with studio.database.session() as session:
        return session.execute(select(ScoreJob.error)).scalar_one()


def test_a_sheet_that_cannot_be_opened_any_more_says_so_and_is_not_asked_for_again(asked: Studio) -> None:
    taken(asked, "a.csv")
    with asked.database.session() as session:
        place = session.execute(select(ScoreJob.place)).scalar_one()
    keys = request(asked)
    local = Path(asked.objects.local(place))
    data = local.read_bytes()
    local.chmod(0o644)
    local.write_bytes(b"another header\nx\n")
    with pytest.raises(BadInput) as raised:
        batch.run(asked, keys)
    assert error(asked) == str(raised.value) and "utterance" in str(raised.value)
    assert rows(asked) == [("planned", None, 0)] * 2 and due(asked) == []
    local.write_bytes(data)
    with asked.database.session() as session:
        assert batch.score_jobs.ended(session) != []
        session.execute(update(ScoreJob).values(error=None))
    assert set(batch.run(asked, request(asked)).finished) == set(keys)


def test_what_is_away_is_left_to_the_same_run_until_its_last_try(asked: Studio) -> None:
    taken(asked, "a.csv")
    keys = request(asked)
    away = _raising(Unavailable("the provider", "is away", 7))
    for last, expected in ((False, ("requested", None, 0)), (True, ("failed", "the provider: is away", 1))):
        with pytest.MonkeyPatch.context() as patched, pytest.raises(Unavailable):
            patched.setattr(jobs, "provider_of", away)
            batch.run(asked, keys, Fate(last=last))
        for status, sentence, retries in rows(asked):
            assert (status, (sentence or "").partition(";")[0] or None, retries) == expected
    assert due(asked) == [] and error(asked) is None


def test_chunks_that_another_run_holds_are_its_own(asked: Studio) -> None:
    taken(asked, "a.csv")
    keys = request(asked)
    with asked.database.session() as session:
        first, second = (chunk for theirs in chunks.by_keys(session, keys).values() for chunk in theirs)
        score_job_id = session.execute(select(ScoreJob.id)).scalar_one()
    with recording.held(asked.database, score_job_id, [first]), pytest.raises(Unavailable, match="another run works"):
        batch.run(asked, keys)
    (mine, _, _), (_, told, retries) = rows(asked)
    assert mine == "requested" and told is not None and "another run works" in told and retries == 1
    until_let_go(asked.database)
    with recording.held(asked.database, score_job_id), asked.database.session() as session:
        assert batch.score_jobs.held_chunks(session, [first.id, second.id]) == {first.id, second.id}


@pytest.mark.parametrize("canceled", [True, False])
def test_only_a_person_ends_a_sheet(asked: Studio, canceled: bool) -> None:
    taken(asked, "a.csv")
    keys = request(asked)
    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(jobs, "provider_of", _raising(KeyboardInterrupt()))
        batch.run(asked, keys, Fate(canceled=lambda: canceled))
    assert rows(asked) == [("planned", None, 0)] * 2
    assert (error(asked) or "").startswith("its run was ended by a person") == canceled
    assert due(asked) == ([] if canceled else keys)


def test_what_was_written_is_left_to_its_reader(asked: Studio) -> None:
    key = taken(asked, "a.csv", "b.csv")
    mine = [name for name in request(asked) if name.startswith("1-")]
    batch.run(asked, mine)
    (first,) = batch.publish(asked, key)
    assert first.error is None and first.produced is not None and not first.produced.stored
    place = Path(str(first.produced.summary["place"]))
    place.write_text("a person's own")
    with asked.database.session() as session:
        others = [chunk.chunk_id for chunk in chunks.of(session, 2)]
    assert set(batch.run(asked, others).finished) == set(others)
    second, again = batch.publish(asked, key)
    assert (second.item.name, again.item.name) == ("opinions/b.csv", "opinions/a.csv")
    assert second.produced is not None and again.produced is not None
    assert (second.produced.stored, again.produced.stored) == (False, True)
    assert place.read_text() == "a person's own"
    assert again.produced.summary == {k: v for k, v in first.produced.summary.items() if k in again.produced.summary}
    assert again.produced.summary["rows"] == ROWS and again.produced.summary["place"] == str(place)
    assert [r.produced.stored for r in batch.publish(asked, key) if r.produced] == [True, True]


def test_a_person_hastens_a_sheet_that_could_not_be_written(asked: Studio) -> None:
    key = taken(asked, "a.csv")
    batch.run(asked, request(asked))
    with asked.database.session() as session:
        before = chunks.unwritten(session)
        assert chunks.unwritten(session) == before == {key: "1:2"}
        assert state.retry(session) == 0
        assert chunks.unwritten(session) == {key: "1:3"}
    batch.publish(asked, key)
    with asked.database.session() as session:
        assert chunks.unwritten(session) == {} and state.retry(session) == 0
        assert "asked" not in session.get_one(ScoreJob, 1).written


def test_the_rows_of_a_run_are_counted_and_no_others(asked: Studio) -> None:
    taken(asked, "a.csv")
    keys = request(asked)
    batch.run(asked, keys)
    with asked.database.session() as session:
        session.execute(delete(ScoreRow).where(ScoreRow.row.in_([3, 600])))
    assert findings.unrecorded(asked, keys[:1]) == [f"chunk {keys[0]}: 499 of 500 rows are recorded; that is a defect"]
    assert len(findings.unrecorded(asked, keys)) == 2 and findings.unrecorded(asked, ()) == []
    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as patched:
        patched.setattr(batch, "run", lambda *_: batch.Ran({}, {}, {}))  # which would ask for the rows again
        instance.add_dynamic_partitions("score_chunks", keys)
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        job = build_defs(resources={"studio": asked}).resolve_job_def("scoring_chunks")
        for tags, problems in (({FIRST: keys[0], LAST: keys[1]}, 2), ({PARTITION: keys[1]}, 1)):
            done = job.execute_in_process(
                instance=instance, partition_key=tags.pop(PARTITION, None), tags=tags, run_config=quiet
            )
            (told,) = done.get_asset_check_evaluations()
            assert (told.passed, told.metadata["problems"].value) == (problems == 0, problems)


def test_a_run_writes_its_own_rows_into_a_google_sheet(asked: Studio, tmp_path: Path) -> None:
    page = Page(0, "s", [["utterance"], *([f"row {n}"] for n in range(ROWS))])
    with sheets_server.serve(Book("book", "b", [page]), reads=600, writes=600) as google:
        settings = replace(
            asked.settings,
            google_sheets_url=google.url,
            google_credentials=str(google.credentials(tmp_path / "key.json")),
        )
        studio = replace(asked, settings=settings)
        key = asked.objects.put_bytes(json.dumps({"url": google.address("book", 0)}).encode(), ".gsheet")
        wish = jobs.Wish(str(asked.objects.local(key)), Rubric.of(["joy"]), jobs.Asking.of(studio))
        with jobs.opened_sheet(studio, wish) as sheet:
            score_job_id = jobs.begin(studio, jobs.described(wish, sheet, place=key), sheet)
        with studio.database.session() as session:
            first, second = (chunk.chunk_id for chunk in chunks.of(session, score_job_id))
        batch.run(studio, [second])
        assert [cell != "" for cell in page.column("joy")] == [False] * 500 + [True] * 200
        batch.run(studio, [first])
        assert all(page.column("joy"))


def _raising(error: BaseException) -> Callable[..., object]:
    def raise_it(*_: object) -> object:
        raise error

    return raise_it


@pytest.mark.parametrize("canceled", [True, False])
def test_dagster_says_whether_a_person_ended_a_run(asked: Studio, canceled: bool) -> None:
    taken(asked, "a.csv")
    keys = request(asked)
    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as patched:
        instance.add_dynamic_partitions("score_chunks", keys)

        def interrupted(*_: object) -> object:
            (run,) = instance.get_runs()
            if canceled:
                instance.report_run_canceling(run)
            raise KeyboardInterrupt

        patched.setattr(jobs, "provider_of", interrupted)
        job = build_defs(resources={"studio": asked}).resolve_job_def("scoring_chunks")
        assert not job.execute_in_process(instance=instance, partition_key=keys[0], raise_on_error=False).success
    assert (error(asked) is not None) == canceled and rows(asked)[0] == ("planned", None, 0)


def test_after_the_steps_own_tries_the_chunk_waits_longer(asked: Studio) -> None:
    taken(asked, "a.csv")
    keys = request(asked)
    tries = []
    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as patched:
        instance.add_dynamic_partitions("score_chunks", keys)

        def away(*_: object) -> object:
            tries.append(rows(asked)[0])
            raise Unavailable("the provider", "is away", 0)

        patched.setattr(jobs, "provider_of", away)
        job = build_defs(resources={"studio": asked}).resolve_job_def("scoring_chunks")
        assert not job.execute_in_process(instance=instance, partition_key=keys[0], raise_on_error=False).success
    assert tries == [("requested", None, 0)] * 4
    assert rows(asked)[0] == ("failed", "the provider: is away; try again in 0 s", 1)
