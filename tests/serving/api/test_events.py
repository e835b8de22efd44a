"""Progress as server-sent events, over a real connection: what is told, to whom, who comes again, who goes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from pipelines.intake import batches
from pipelines.storage import jobs, score_chunks
from pipelines.storage.jobs import NewJob
from pipelines.storage.tables import Job
from serving.api import events
from serving.api.events import JobEvents
from serving.api.house import House
from tests.serving.api.conftest import Api, Running
from tests.serving.api.work import opinions


@dataclass(frozen=True)
class Event:
    kind: str
    id: str
    data: dict[str, object]


def read(answer: httpx.Response) -> Iterator[Event]:
    """As a browser's EventSource reads them."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif not line and "data" in fields:
            yield Event(fields.get("event", "message"), fields.get("id", ""), json.loads(fields["data"]))
            fields = {}


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def key(house: House) -> str:
    """The batch of a job ``song`` that waits for its run."""
    with house.session() as session:
        jobs.add(session, NewJob("song", "a" * 64, "ada"))
        (made,) = batches.plan_batches(session)
    return made.key


def test_a_listener_is_told_of_every_change_until_the_end(house: House, api: Api, key: str) -> None:
    client = api(name="ada")
    with client.stream("GET", "/v1/jobs/song/events") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        told = read(answer)
        first = next(told)
        assert (first.kind, first.data["status"]) == ("progress", "planned")
        with house.session() as session:
            batches.mark_requested(session, key)
        second = next(told)
        assert (second.kind, second.data["status"]) == ("progress", "running")
        assert second.id != first.id
        with house.session() as session:
            batches.mark_finished(session, key)
        third = next(told)
        assert (third.data["status"], third.data["progress"]) == ("finished", 1)
        end = next(told)
        assert (end.kind, end.data, end.id) == ("end", {"reason": "ended"}, third.id)
        assert list(told) == []
    assert third.data == client.get("/v1/jobs/song").json(), "the same as to who asks"
    until(lambda: house.one(JobEvents).listeners == 0)


def test_who_comes_again_is_told_only_what_is_new(house: House, api: Api, key: str) -> None:
    client = api(name="ada")
    with client.stream("GET", "/v1/jobs/song/events") as answer:
        seen = next(read(answer)).id
    with client.stream("GET", "/v1/jobs/song/events", headers={"Last-Event-ID": seen}) as answer:
        told = read(answer)
        with house.session() as session:
            batches.mark_requested(session, key)
            batches.mark_failed(session, key, "its run ended as FAILURE")
        first = next(told)
        assert (first.data["status"], first.data["error"]) == ("failed", "its run ended as FAILURE")
        assert next(told).kind == "end"
    with client.stream("GET", "/v1/jobs/song/events", headers={"Last-Event-ID": first.id}) as answer:
        assert [event.kind for event in read(answer)] == ["end"], "it was told all of it before"


def test_a_job_that_goes_ends_the_stream(house: House, api: Api, key: str) -> None:
    with api(name="ada").stream("GET", "/v1/jobs/song/events") as answer:
        told = read(answer)
        next(told)
        with house.session() as session:
            session.delete(session.query(Job).one())
        assert next(told).data == {"reason": "gone"}


def test_all_listeners_cost_one_question(house: House, api: Api, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = house.one(JobEvents)
    asked: list[int] = []
    states = watcher._states
    monkeypatch.setattr(watcher, "_states", lambda session, names: asked.append(len(names)) or states(session, names))
    client = api(name="ada")
    answers = [client.send(client.build_request("GET", "/v1/jobs/song/events"), stream=True) for _ in range(5)]
    try:
        readers = [read(answer) for answer in answers]
        assert {next(one).data["status"] for one in readers} == {"planned"}
        until(lambda: len(asked) >= 3)
        assert set(asked) == {1}, "one job, however many listen"
        assert sum(1 for t in threading.enumerate() if t.name == "watcher") == 1
    finally:
        for answer in answers:
            answer.close()
    until(lambda: watcher.listeners == 0)


def test_nobody_has_more_than_their_share(api: Api, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_OF_ONE", 1)
    client, other = api(name="ada"), api("operator", "olga")
    with client.stream("GET", "/v1/jobs/song/events") as answer:
        told = read(answer)  # kept: httpx ends a stream that nobody can read on
        assert next(told).kind == "progress"
        refused = client.get("/v1/jobs/song/events")
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        with other.stream("GET", "/v1/jobs/song/events") as theirs:
            assert next(read(theirs)).kind == "progress"


def test_a_server_that_goes_says_so(server: Running, api: Api, key: str) -> None:
    with api(name="ada").stream("GET", "/v1/jobs/song/events") as answer:
        told = read(answer)
        next(told)
        server.house.draining = True  # what SIGTERM does first
        # Ended in order, by whichever is first: the stream itself, or the server with all that have no end.
        assert [event.data for event in told] in ([], [{"reason": "closing"}])


def test_a_scored_sheet_is_told_chunk_by_chunk(house: House, api: Api) -> None:
    opinions(house)
    client = api(name="ada")
    (sheet,) = client.get("/v1/scoring-jobs").json()["items"]
    with client.stream("GET", f"/v1/scoring-jobs/{sheet['id']}/events") as answer:
        told = read(answer)
        first = next(told)
        assert first.data["chunks"]["planned"] == 2  # type: ignore[index]
        with house.session() as session:
            rows = score_chunks.of(session, sheet["id"])
            rows[0].status, rows[0].rows_done = "finished", 500
        second = next(told)
        assert (second.data["rows"], second.data["of"]) == (500, 700)
    missing = client.get(f"/v1/scoring-jobs/{sheet['id'] + 1}/events")
    assert missing.status_code == 404
    assert api(name="bob").get(f"/v1/scoring-jobs/{sheet['id']}/events").status_code == 404
