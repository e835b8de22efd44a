"""Videos scored through a real Files API on loopback that fails at every step: nothing is ever left lying there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from sqlalchemy import update

from pipelines import clock
from pipelines.errors import BadInput, OrimonoError, Unavailable
from pipelines.scoring import gemini_files, providers, statuses, validation, video
from pipelines.scoring.provider import Lost, Provider, Question, Refused, Reply, Throttled
from pipelines.scoring.rubric import Rubric
from pipelines.settings import Settings
from pipelines.storage import score_files
from pipelines.storage.database import Database
from pipelines.storage.scoring_tables import ScoreFile
from tests.scoring.files_server import STEPS, GeminiServer, VideoHost, serving, text_of
from tests.scoring.llm_behaviour import expected

MEDIA = Path(__file__).resolve().parents[2] / "sample" / "media"
FILMS = [MEDIA / name for name in ("big_buck_bunny_5s.mp4", "big_buck_bunny_0_30.webm", "car-detection.mp4")]
KEY = "a-key-of-ours"
RUBRIC = Rubric.of(["calm", "funny"])
forked = multiprocessing.get_context("forkserver")


@pytest.fixture
def host() -> VideoHost:
    return VideoHost()


@pytest.fixture
def gemini() -> GeminiServer:
    return GeminiServer(KEY)


@pytest.fixture
def house(
    settings: Settings, database: Database, host: VideoHost, gemini: GeminiServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings that lead to both servers; nothing waits longer than it must."""
    monkeypatch.setattr(gemini_files, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(gemini_files, "FIRST_POLL", 0.001)
    monkeypatch.setattr(gemini_files, "PIECE", 1 << 18)
    with serving(host, gemini):
        for number, film in enumerate(FILMS):
            host.put(f"/{number}.mp4", film)
        yield replace(
            settings,
            gemini_api_key=KEY,
            gemini_base_url=gemini.url,
            video_hosts=host.host,
            database_url=database.url.render_as_string(hide_password=False),
        )


def opened(house: Settings, database: Database) -> Provider:
    return video.opened(house, RUBRIC, database)


async def asked(house: Settings, database: Database, *links: str) -> list[Reply | BaseException]:
    async with opened(house, database) as scorer:
        return await asyncio.gather(*(scorer.ask(Question(link)) for link in links), return_exceptions=True)


def ask(house: Settings, database: Database, *links: str) -> list[Reply | BaseException]:
    return asyncio.run(asked(house, database, *links))


def answer(film: Path) -> tuple[int, ...]:
    return tuple(expected(text_of(film.read_bytes()), RUBRIC.categories).values())


def scores(reply: Reply | BaseException) -> tuple[int, ...]:
    if isinstance(reply, BaseException):
        raise reply
    return validation.parse(reply.content, RUBRIC).scores


def rows(database: Database) -> list[str]:
    with database.session() as session:
        return [file.name for file in session.query(ScoreFile)]


def temporary(house: Settings) -> list[str]:
    """What lies in the home's folder for temporary files, beside its lock."""
    folder = house.home_path / "scoring" / "tmp"
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != "lock"]


def nothing_left(house: Settings, database: Database, gemini: GeminiServer) -> None:
    assert gemini.held == {}
    assert rows(database) == []
    assert temporary(house) == []


def test_videos_are_scored_and_taken_back(
    house: Settings, database: Database, host: VideoHost, gemini: GeminiServer
) -> None:
    bodies: list[str] = []
    gemini.before["generate"] = lambda _: bodies.extend(json.dumps(body) for body in gemini.mind.bodies)
    found = ask(house, database, *(f"{host.url}/{number}.mp4" for number in range(3)))
    assert [scores(reply) for reply in found] == [answer(film) for film in FILMS]
    assert all(isinstance(reply, Reply) and reply.usage.tokens_in > 0 for reply in found)
    assert len(gemini.deleted) == 3
    assert max(gemini.pieces) <= 1 << 18  # never a whole video in memory
    assert not any(host.url in body for body in bodies)  # the link itself is nobody's business
    nothing_left(house, database, gemini)


def test_the_prompt_differs_from_that_for_texts(house: Settings, database: Database) -> None:
    scorer, text = opened(house, database), providers.opened(house, RUBRIC, "gemini")
    assert (scorer.name, scorer.model) == (text.name, text.model)
    assert "video" in scorer.prompt
    assert scorer.prompt != text.prompt


@pytest.mark.parametrize(
    ("step", "fault", "failure"),
    [
        ("start", 503, Lost),
        ("start", "drop", Lost),
        ("start", 429, Throttled),
        ("start", 400, Lost),
        ("start", 403, BadInput),
        ("upload", 503, Lost),
        ("upload", "drop", Lost),
        ("upload", 400, Lost),
        ("query", 503, None),
        ("poll", 503, Lost),
        ("poll", "drop", Lost),
        ("poll", 404, Lost),
        ("generate", 503, Lost),
        ("generate", "drop", Lost),
        ("generate", 429, Throttled),
        ("generate", 400, Lost),
        ("generate", 403, BadInput),
    ],
)
def test_whatever_fails_nothing_is_left(
    step: str, fault: int | str, failure: type[Exception] | None, house: Settings, database: Database,
    host: VideoHost, gemini: GeminiServer,
) -> None:  # fmt: skip
    gemini.always[step] = fault
    (found,) = ask(house, database, f"{host.url}/0.mp4")
    if failure is None:
        assert scores(found) == answer(FILMS[0])
    else:
        assert isinstance(found, failure), repr(found)
        assert host.url not in str(found)
        assert KEY not in str(found)
    nothing_left(house, database, gemini)


@pytest.mark.parametrize("fault", [503, "drop", "late", 429])
@pytest.mark.parametrize("step", STEPS)
def test_one_fault_is_got_over(
    step: str, fault: int | str, house: Settings, database: Database, host: VideoHost, gemini: GeminiServer
) -> None:
    gemini.faults[step] = [fault]
    if step == "query":
        gemini.faults["upload"] = [503]
    (found,) = ask(house, database, f"{host.url}/0.mp4")
    if step == "generate":  # which the pipeline tries again
        assert isinstance(found, Lost | Throttled)
    else:
        assert scores(found) == answer(FILMS[0])
        assert host.asked["/0.mp4"] == 1
    nothing_left(house, database, gemini)


@pytest.mark.parametrize(
    ("path", "failure"), [("/none.mp4", Refused), ("/page.mp4", Refused), ("/busy.mp4", Lost), ("/cut.mp4", Lost)]
)
def test_a_video_that_cannot_be_had_reaches_nobody(
    path: str, failure: type[Exception], house: Settings, database: Database, host: VideoHost, gemini: GeminiServer
) -> None:
    host.put("/page.mp4", b"<html>")
    host.put("/busy.mp4", b"", status=503)
    host.put("/cut.mp4", FILMS[0], claims=9_000_000)
    (found,) = ask(house, database, host.url + path)
    assert isinstance(found, failure)
    assert gemini.seen.total() == 0
    nothing_left(house, database, gemini)


def test_a_video_that_gemini_cannot_read_or_will_not_look_at_is_refused(
    house: Settings, database: Database, host: VideoHost, gemini: GeminiServer
) -> None:
    gemini.unreadable = True
    assert isinstance(ask(house, database, f"{host.url}/0.mp4")[0], Refused)
    gemini.unreadable = False
    gemini.mind.behaviour.refuse = "video:"
    assert isinstance(ask(house, database, f"{host.url}/0.mp4")[0], Refused)
    nothing_left(house, database, gemini)


@pytest.mark.parametrize("step", ["start", "upload", "generate"])
def test_a_request_refused_is_one_videos_fault_or_everybodys(
    step: str, house: Settings, database: Database, host: VideoHost, gemini: GeminiServer
) -> None:
    async def rows_of(scorer: Provider, number: int, times: int) -> list[type[BaseException]]:
        asked = [await asyncio.gather(scorer.ask(Question(f"{host.url}/{number}.mp4")), return_exceptions=True)
                 for _ in range(times)]  # fmt: skip
        return [type(found) for (found,) in asked]

    async def run() -> None:
        gemini.always[step] = 400
        async with opened(house, database) as scorer:
            assert await rows_of(scorer, 0, 4) == [Lost, Lost, Lost, statuses.Objected]
        async with opened(house, database) as scorer:
            gemini.always.clear()
            assert await rows_of(scorer, 0, 1) == [Reply]
            gemini.always[step] = 400
            assert await rows_of(scorer, 1, 5) == [Refused] * 5

    asyncio.run(run())
    nothing_left(house, database, gemini)


def test_an_answer_outlives_a_deletion_that_fails(
    house: Settings, database: Database, host: VideoHost, gemini: GeminiServer
) -> None:
    gemini.always["delete"] = 503
    assert scores(ask(house, database, f"{host.url}/0.mp4")[0]) == answer(FILMS[0])
    assert rows(database) == list(gemini.held)
    assert len(gemini.held) == 1
    gemini.always.clear()
    assert video.sweep(house, database) == 1
    nothing_left(house, database, gemini)


def test_a_wrong_key_is_one_sentence_that_hides_it(
    house: Settings, database: Database, host: VideoHost, gemini: GeminiServer
) -> None:
    wrong = replace(house, gemini_api_key="a-secret-that-is-wrong")
    (found,) = ask(wrong, database, f"{host.url}/0.mp4")
    assert isinstance(found, BadInput)
    assert "ORIMONO_GEMINI_API_KEY" in str(found)
    assert "a-secret" not in str(found)
    assert temporary(house) == []


def test_a_row_asked_about_again_is_not_sent_again(
    house: Settings, database: Database, host: VideoHost, gemini: GeminiServer
) -> None:
    link = f"{host.url}/0.mp4"

    async def again() -> None:
        async with opened(house, database) as scorer:
            gemini.mind.behaviour.invalid = {"video:": 1}
            with pytest.raises(validation.Invalid):
                scores(await scorer.ask(Question(link)))
            gemini.always["generate"] = 429
            with pytest.raises(Throttled):
                await scorer.ask(Question(link, "scores lacks calm"))
            gemini.always.clear()
            assert len(gemini.held) == 1
            assert scores(await scorer.ask(Question(link, "scores lacks calm"))) == answer(FILMS[0])
            assert gemini.held == {}  # not only at the end

    asyncio.run(again())
    assert (host.asked["/0.mp4"], gemini.seen["start"]) == (1, 1)
    nothing_left(house, database, gemini)


def test_no_more_are_kept_than_are_asked_about_at_once(
    house: Settings, database: Database, host: VideoHost, gemini: GeminiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "MOST", 2)
    gemini.always["generate"] = 429

    async def many() -> None:
        async with opened(house, database) as scorer:
            for number in range(4):
                host.put(f"/same{number}", FILMS[0])
                with pytest.raises(Throttled):
                    await scorer.ask(Question(f"{host.url}/same{number}"))
            assert len(gemini.held) == len(rows(database)) == 2
            monkeypatch.setattr(video, "LINGER", 0.0)
            with pytest.raises(Throttled):
                await scorer.ask(Question(f"{host.url}/same0"))
            assert gemini.held == {}

    asyncio.run(many())
    nothing_left(house, database, gemini)


def test_only_a_few_are_transferred_at_once(
    house: Settings, database: Database, host: VideoHost, gemini: GeminiServer
) -> None:
    links = [host.put(f"/slow{number}", FILMS[0], pause=0.005) for number in range(12)]
    assert {scores(reply) for reply in ask(house, database, *links)} == {answer(FILMS[0])}
    assert 1 < host.most_serving <= video.TRANSFERS
    nothing_left(house, database, gemini)


@pytest.mark.parametrize("step", ["download", *STEPS])
def test_a_row_given_up_half_way_is_taken_back(
    step: str,
    house: Settings,
    database: Database,
    host: VideoHost,
    gemini: GeminiServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C and Dagster's terminate cancel what is asked."""
    if step == "delete":
        monkeypatch.setattr(video, "LEAVE", 0.3)
    link = stopping_at(step, host, gemini)

    async def stopped() -> None:
        async with opened(house, database) as scorer:
            task = asyncio.create_task(scorer.ask(Question(link)))
            await reached(step, host, gemini)
            task.cancel()
            if step == "delete":
                gemini.always.clear()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(stopped())
    if step == "delete":
        monkeypatch.undo()
        video.sweep(house, database)
    nothing_left(house, database, gemini)


def stopping_at(step: str, host: VideoHost, gemini: GeminiServer) -> str:
    if step == "download":
        return host.put("/hanging", FILMS[0], pause=0.05)
    gemini.always[step] = "hang"
    if step == "query":
        gemini.always["upload"] = 503
    return f"{host.url}/0.mp4"


async def reached(step: str, host: VideoHost, gemini: GeminiServer) -> None:
    if step == "download":
        while not host.asked["/hanging"]:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    else:
        assert await asyncio.to_thread(gemini.reached[step].wait, 60)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _ask_on(house: Settings, link: str) -> None:
    ask(house, Database(house), link)


@pytest.mark.parametrize("step", ["download", *STEPS])
def test_what_a_killed_process_left_is_swept_by_the_next(
    step: str, house: Settings, database: Database, host: VideoHost, gemini: GeminiServer
) -> None:
    link = stopping_at(step, host, gemini)
    forked.set_forkserver_preload(["tests.scoring.test_video", "pipelines.scoring.gemini"])
    child = forked.Process(target=_ask_on, args=(house, link))
    child.start()
    asyncio.run(reached(step, host, gemini))
    if step in ("upload", "query", "download"):
        until(lambda: len(temporary(house)) == 2)  # its folder and a video
    assert child.pid is not None
    assert video.sweep(house, database) == 0  # for it lives
    os.kill(child.pid, signal.SIGKILL)
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    gemini.always.clear()
    assert scores(ask(house, database, f"{host.url}/1.mp4")[0]) == answer(FILMS[1])
    assert gemini.held == {}
    assert temporary(house) == []
    if step == "start":  # it never came into being, which Gemini words as if it were another's
        assert len(rows(database)) == 1
        age(database, timedelta(hours=49))
        video.sweep(house, database)
    nothing_left(house, database, gemini)


def age(database: Database, by: timedelta) -> None:
    with database.session() as session:
        session.execute(update(ScoreFile).values(created_at=clock.now() - by))


def test_a_sheet_that_its_owner_took_back_meanwhile(
    house: Settings, database: Database, host: VideoHost, gemini: GeminiServer
) -> None:
    async def row() -> Reply:
        async with video.opened(house, RUBRIC, database, score_job_id=12345) as scorer:
            return await scorer.ask(Question(f"{host.url}/0.mp4"))

    assert scores(asyncio.run(row())) == answer(FILMS[0])
    nothing_left(house, database, gemini)


def test_another_machines_files_are_left_for_hours(
    house: Settings, database: Database, host: VideoHost, gemini: GeminiServer
) -> None:
    gemini.always["delete"] = 503
    ask(house, database, f"{host.url}/0.mp4")
    gemini.always.clear()
    with database.session() as session:
        session.execute(update(ScoreFile).values(holder="elsewhere/0123/4-5"))
    assert video.sweep(house, database) == 0
    age(database, timedelta(hours=7))
    assert video.sweep(house, database) == 1
    nothing_left(house, database, gemini)


def test_an_endpoint_that_is_away_does_not_hold_up_the_start(
    house: Settings, database: Database, host: VideoHost, gemini: GeminiServer
) -> None:
    with database.session() as session:
        score_files.add(
            session, provider="gemini", address=gemini.url, name="files/a", holder="x/y/1", score_job_id=None
        )
    age(database, timedelta(hours=7))
    gemini.always["delete"] = "drop"
    assert isinstance(ask(house, database, f"{host.url}/none.mp4")[0], Refused)
    assert rows(database) == ["files/a"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    house: Settings, database: Database, host: VideoHost, gemini: GeminiServer
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        (found,) = ask(house, database, host.put("/film", FILMS[0], chunked=True))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(found, Unavailable)
    assert "no room left" in str(found)
    nothing_left(house, database, gemini)


USUAL = [503, 429, "drop", "late", 400]
FAULTS = {step: st.lists(st.sampled_from(USUAL), max_size=6) for step in ("poll", "delete")}  # 403: no such file
FAULTS |= {step: st.lists(st.sampled_from([*USUAL, 403]), max_size=6) for step in STEPS if step not in FAULTS}


@example_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.fixed_dictionaries(FAULTS), tries=st.integers(1, 4))
def test_any_series_of_faults_leaves_nothing(
    faults: dict[str, list[int | str]], tries: int, house: Settings, database: Database, host: VideoHost,
    gemini: GeminiServer,
) -> None:  # fmt: skip
    gemini.held.clear()  # of an example that failed
    gemini.faults = {step: list(each) for step, each in faults.items()}

    async def row() -> tuple[int, ...] | None:
        async with opened(house, database) as scorer:
            for _ in range(tries):
                try:
                    return scores(await scorer.ask(Question(f"{host.url}/0.mp4")))
                except (Lost, Throttled):
                    continue
                except (Refused, OrimonoError):
                    return None
        return None

    with contextlib.suppress(BadInput):  # said by the sweep at the start
        assert asyncio.run(row()) in (answer(FILMS[0]), None)
    gemini.faults = {}
    video.sweep(house, database)
    assert gemini.held == {}
    assert temporary(house) == []
    with database.session() as session:
        session.query(ScoreFile).delete()
