"""New jobs over a real server: what they are answered with, and that sending one again is safe."""

from __future__ import annotations

import io
import json
import os
import threading
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from pipelines import clock
from pipelines.governance.people import pseudonym
from pipelines.intake import submitting
from pipelines.intake.job_file import NAME, JobFile, parse
from pipelines.storage import idempotent_answers
from pipelines.storage.serving_tables import IdempotentAnswer
from serving.api import idempotency, logs
from tests.intake.conftest import media as media
from tests.serving.api.conftest import Api, Running
from tests.serving.api.test_uploads import announced, sent


@pytest.fixture
def song(media: Path) -> bytes:
    return (media / "song.wav").read_bytes()


def ready(client: httpx.Client, media: Path, name: str, kind: str) -> str:
    upload = sent(client, (media / name).read_bytes(), name, kind)
    assert upload["status"] == "ready", upload
    return str(upload["id"])


def taken(server: Running, answer: httpx.Response) -> JobFile:
    """The job file that came of it."""
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["Location"].endswith(job["name"]) and job["status"] == "waiting"
    return parse((server.house.settings.inbox / job["name"] / NAME).read_bytes(), "job")


def test_every_short_form_makes_its_job(api: Api, server: Running, media: Path, tmp_path: Path) -> None:
    client = api()
    music, clip = ready(client, media, "song.wav", "music"), ready(client, media, "clip.mp4", "clip")
    wish = {"title": "Spring", "music": music, "clips": [clip], "fps": "30", "consents": {"quality": True}}
    edit = taken(server, client.post("/v1/edits", json=wish))
    assert (edit.owner, edit.edit.fps, edit.consents.quality) == ("ada", "30", True)
    assert [item.kind for item in edit.files] == ["music", "clip"]

    stems = {kind: ready(client, media, "song.wav", kind) for kind in ("inst", "vocal")}
    assert {item.kind for item in taken(server, client.post("/v1/alignments", json=stems)).files} == {"inst", "vocal"}
    mix = ready(client, media, "song.wav", "mix")
    assert client.post("/v1/masters", json={"mix": mix, "inst": mix}).status_code == 422
    assert client.post("/v1/masters", json={}).status_code == 422
    assert client.post("/v1/masters", json={"mix": mix, "preset": "loudest"}).status_code == 422
    assert taken(server, client.post("/v1/masters", json={"mix": mix})).files[0].kind == "mix"

    sheet = tmp_path / "texts.csv"
    sheet.write_text("utterance\nhello\n")
    scoring = {"sheet": ready(client, tmp_path, "texts.csv", "sheet"), "categories": ["joy"], "scale": [1, 5]}
    assert client.post("/v1/scoring-jobs", json={**scoring, "categories": []}).status_code == 422
    score = taken(server, client.post("/v1/scoring-jobs", json=scoring)).score
    assert (score.categories, score.scale) == (("joy",), (1, 5))

    tune = Path(__file__).parents[3] / "sample" / "tunes"
    melody = ready(client, tune, "sakura.mid", "melody")
    wish = {"melody": melody, "styles": ["pop"], "candidates": 2, "seed": 7}
    compose = taken(server, client.post("/v1/arrangements", json=wish)).compose
    assert (compose.styles, compose.candidates, compose.seed) == (("pop",), 2, 7)


def test_the_line_of_a_request_names_the_job_that_came_of_it(api: Api, server: Running, media: Path) -> None:
    client, stream = api(), io.StringIO()
    mix = ready(client, media, "song.wav", "mix")
    with logs.to_stderr(server.house.settings, stream):
        job = client.post("/v1/masters", json={"mix": mix}).json()
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    (line,) = [one for one in told if one.get("route") == "POST /v1/masters"]
    assert (line["job"], line["request_id"]) == (job["name"], job["request_id"])


def test_any_job_and_for_somebody_else(api: Api, server: Running, media: Path) -> None:
    ada, operator = api(), api("operator", "ops")
    mix = ready(ada, media, "song.wav", "mix")
    wish = {"title": "T", "owner": "bob", "files": [{"upload": mix, "tags": ["strings"]}], "bpm": 90}
    assert ada.post("/v1/jobs", json=wish).status_code == 403
    assert api(name="bob").post("/v1/jobs", json={**wish, "owner": None}).status_code == 404
    job = taken(server, operator.post("/v1/jobs", json=wish))
    assert (job.owner, job.bpm, job.files[0].tags) == ("bob", 90, ("strings",))
    assert ada.post("/v1/jobs", json={"files": [{"upload": mix}]}).status_code == 409


@pytest.mark.parametrize(
    "wish",
    [
        {"files": []},
        {"files": [{"upload": "http://169.254.169.254/latest/meta-data"}]},
        {"files": [{"upload": "../../etc/passwd"}]},
        {"files": [{"upload": "x" * 22, "kind": "program"}]},
        {"files": [{"upload": "x" * 22}], "title": ""},
        {"files": [{"upload": "x" * 22}], "unheard": 1},
        {"files": [{"upload": "x" * 22}], "edit": {"fps": "fast"}},
        {"files": [{"upload": "x" * 22}] * 501},
        [],
        None,
    ],
)
def test_wishes_that_cannot_be(api: Api, wish: object) -> None:
    assert api().post("/v1/jobs", json=wish).status_code == 422


def test_titles_lead_nowhere(api: Api, server: Running, media: Path) -> None:
    client, inbox = api(), server.house.settings.inbox
    for title in ("../../x", "/etc/cron.d/x", "{{7*7}}${7*7}", "a\0b", "..", "'; drop table jobs; --"):
        wish = {"title": title, "files": [{"upload": ready(client, media, "song.wav", "mix")}]}
        name = client.post("/v1/jobs", json=wish).json()["name"]
        assert (inbox / name).parent == inbox and (inbox / name / NAME).is_file()


def test_a_viewer_sends_no_job(api: Api) -> None:
    assert api("viewer").post("/v1/jobs", json={"files": [{"upload": "x" * 22}]}).status_code == 403


# ---- sending again


def test_the_same_request_is_answered_the_same(api: Api, server: Running, media: Path) -> None:
    client = api()
    wish = {"files": [{"upload": ready(client, media, "song.wav", "mix")}]}
    once = {"Idempotency-Key": "k-1"}
    first = client.post("/v1/jobs", json=wish, headers=once)
    again = client.post("/v1/jobs", json=wish, headers=once)
    assert first.status_code == again.status_code == 202
    assert (again.json(), again.headers["Location"]) == (first.json(), first.headers["Location"])
    assert again.headers["Idempotency-Replayed"] == "true" and "Idempotency-Replayed" not in first.headers
    other = client.post("/v1/jobs", json={**wish, "title": "another"}, headers=once)
    assert other.status_code == 422 and "another request" in other.json()["detail"]
    assert client.post("/v1/jobs", json=wish).status_code == 409  # without the key it is a new request
    bob = api(name="bob")  # whose key of the same name is another
    assert bob.post("/v1/jobs", json=wish, headers=once).status_code == 404


def test_a_failure_is_not_kept(api: Api, media: Path, song: bytes) -> None:
    client = api()
    upload = announced(client, len(song), "mix.wav", "mix").headers["Location"].rsplit("/", 1)[1]
    wish, once = {"files": [{"upload": upload}]}, {"Idempotency-Key": "k"}
    assert client.post("/v1/jobs", json=wish, headers=once).status_code == 409
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    assert client.patch(f"/v1/uploads/{upload}", headers=headers, content=song).status_code == 204
    assert client.post("/v1/jobs", json=wish, headers=once).status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 201, "a b"])
def test_keys_that_are_none(api: Api, key: str) -> None:
    answer = api().post("/v1/jobs", json={"files": [{"upload": "x" * 22}]}, headers={"Idempotency-Key": key})
    assert answer.status_code == 422


def test_one_at_a_time(api: Api, server: Running, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = api()
    wish, once = {"files": [{"upload": ready(client, media, "song.wav", "mix")}]}, {"Idempotency-Key": "k"}
    begun, go, submit = threading.Event(), threading.Event(), submitting.submit

    def slow(*arguments: object) -> str:
        begun.set()
        assert go.wait(60)
        return submit(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(submitting, "submit", slow)
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(client.post("/v1/jobs", json=wish, headers=once)))
    thread.start()
    assert begun.wait(60)
    second = api().post("/v1/jobs", json=wish, headers=once)
    assert (second.status_code, second.headers["Retry-After"]) == (409, "1")
    go.set()
    thread.join(60)
    assert answers[0].status_code == 202
    assert api().post("/v1/jobs", json=wish, headers=once).json() == answers[0].json()


def test_an_answer_that_was_lost_makes_no_second_job(
    api: Api, server: Running, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the process is killed after the job was made, and before its answer was written down."""
    client = api()
    wish, once = {"files": [{"upload": ready(client, media, "song.wav", "mix")}]}, {"Idempotency-Key": "k"}
    monkeypatch.setattr(idempotent_answers, "answer", lambda *_: None)
    first = client.post("/v1/jobs", json=wish, headers=once)
    monkeypatch.undo()
    with server.house.session() as session:
        row = session.execute(select(IdempotentAnswer)).scalar_one()
        assert row.status is None
        row.headers = {**row.headers, "mark": "another", "pid": 2**22 + 1}  # a process that is no more
    again = client.post("/v1/jobs", json=wish, headers=once)
    assert again.status_code == 202 and again.json()["name"] == first.json()["name"]
    jobs = [path for path in server.house.settings.inbox.iterdir() if not path.name.startswith(".")]
    assert len(jobs) == 1


@pytest.mark.parametrize(
    ("worker", "minutes", "lives"),
    [
        ({"host": "elsewhere", "pid": 1, "mark": "x"}, 0, True),
        ({"host": "elsewhere", "pid": 1, "mark": "x"}, 2, False),
        ({"pid": os.getppid(), "mark": "x"}, 2, True),
        ({"pid": os.getppid(), "mark": "x"}, 20, False),
        ({"pid": 2**22 + 1, "mark": "x"}, 0, False),
        ({}, 0, False),
    ],
)
def test_who_works_on_a_request(
    api: Api, server: Running, worker: dict[str, object], minutes: int, lives: bool
) -> None:
    who, wish = pseudonym("ada"), b'{"files":[{"upload":"xxxxxxxxxxxxxxxxxxxxxx"}]}'
    client, once = api(), {"Idempotency-Key": "k", "Content-Type": "application/json"}
    digests: list[str] = []
    begin = idempotent_answers.begin

    def seen(session: object, caller: str, key: str, digest: str, by: object) -> object:
        digests.append(digest)
        return begin(session, caller, key, digest, by)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(idempotent_answers, "begin", seen)
        assert client.post("/v1/jobs", content=wish, headers=once).status_code == 404
    with server.house.session() as session:
        assert begin(session, who, "k", digests[0], {**idempotency._WORKER, **worker}) is None
        row = session.get_one(IdempotentAnswer, (who, "k"))
        row.created_at = clock.now() - timedelta(minutes=minutes)
    assert client.post("/v1/jobs", content=wish, headers=once).status_code == (409 if lives else 404)
