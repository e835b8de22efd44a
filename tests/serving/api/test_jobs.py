"""Jobs over HTTP: how far they are, whose they are, page by page, and what failed run again."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from pipelines import job_state
from pipelines.governance.people import Actor
from pipelines.identity.callers import Caller, scopes_of
from pipelines.intake import batches
from pipelines.storage import items, jobs, submissions
from pipelines.storage.jobs import NewJob
from pipelines.storage.tables import Job
from serving.api.house import House
from serving.views import jobs as views
from serving.views import paging
from tests.serving.api.conftest import Api
from tests.serving.api.work import TUNE, finished, mastered, planned, put, requested, scanned


def caller(name: str = "ada", role: str = "editor") -> Caller:
    return Caller(Actor(name, role), scopes_of(role), f"test:{name}")  # type: ignore[arg-type]


def test_a_job_is_told_from_the_inbox_to_its_master(house: House, api: Api) -> None:
    client = api(name="ada")
    put(house, "tune", "ada", {"melody-tune.mid": TUNE}, "compose: {styles: [chorale]}\n")
    assert client.get("/v1/jobs/tune").status_code == 404, "nobody has looked into the inbox yet"
    scanned(house)
    told = client.get("/v1/jobs/tune").json()
    assert (told["status"], told["systems"], told["progress"]) == ("planned", ["composing"], 0)
    assert [(u["name"], u["kind"], u["status"]) for u in told["uploads"]] == [("melody-tune.mid", "melody", "ok")]
    key = planned(house)
    requested(house, key)
    told = client.get("/v1/jobs/tune").json()
    assert (told["status"], told["batch"]) == ("running", key)
    assert told["batch_url"].endswith(f"/assets/uploads?view=partitions&partition={key}")
    assert told["run"] is None, "no Dagster runs here, and nobody waits for it"

    mastered(house)
    told = client.get("/v1/jobs/dance").json()
    assert (told["status"], told["progress"], told["error"]) == ("finished", 1, None)
    steps = [step["name"] for step in told["steps"]]
    assert steps == ["mastering_features", "masters", "previews", "waveforms", "mastering_labels"]
    assert all(step["upload"] == "mix-dance.wav" and step["seconds"] >= 0 for step in told["steps"])
    assert told["url"] == f"{house.settings.api_address}/jobs/dance"


def test_progress_grows_with_what_is_done_and_what_failed_is_named(house: House) -> None:
    put(house, "tune", "ada", {"melody-tune.mid": TUNE, "mix-a.wav": b"RIFF"}, "")
    scanned(house)
    key = planned(house)
    requested(house, key)
    with house.session() as session:
        state = job_state.get(session, "tune")
        assert [f.status for f in state.files] == ["ok", "bad"], "a refused file is told, and the job goes on"
        assert state.progress == 0
        row = jobs.get(session, state.job_id or 0)
        seen = []
        for number, error in enumerate((None, "tune.mid: has no notes; play some")):
            items.record(
                session,
                job_id=row.id,
                upload_id=row.uploads[0].id,
                kind="accompaniments",
                content_hash=row.uploads[0].content_hash,
                code_version="1",
                params_hash=str(number),
                error=error,
            )
            seen.append(job_state.get(session, "tune").progress)
        assert seen == [0.5, 0.99], "it has not ended before its batch has"
    finished(house, key)
    job = views.get_job(house, caller(), "tune")
    assert (job.status, job.error) == ("failed", "tune.mid: has no notes; play some")


def test_an_edit_without_a_broken_clip_is_an_edit(house: House) -> None:
    with house.session() as session:
        job_id, _ = jobs.add(session, NewJob("song", "a" * 64, "ada"))
        (made,) = batches.plan_batches(session)
        batches.mark_requested(session, made.key)
        batches.mark_finished(session, made.key)
        for kind, error in (("video_features", "clip.mp4: is cut off; copy it again"), ("edit_quality", None)):
            items.record(session, job_id=job_id, kind=kind, content_hash="b", code_version="1", error=error)
        assert job_state.get(session, "song").status == "finished"
        items.record(session, job_id=job_id, kind="edit_quality", content_hash="c", code_version="1", error="no")
        assert job_state.get(session, "song").status == "failed"


def test_another_persons_job_is_none(house: House, api: Api) -> None:
    mastered(house, "dance", "Ada")
    mine, theirs, operator = api(name="ADA "), api(name="bob"), api("operator", "olga")
    assert mine.get("/v1/jobs/dance").json()["owner"] == "Ada", "one person, however they are spelled"
    assert operator.get("/v1/jobs/dance").status_code == 200
    for path in ("", "/results", "/events"):
        hidden, missing = theirs.get(f"/v1/jobs/dance{path}"), theirs.get(f"/v1/jobs/nothing{path}")
        assert (hidden.status_code, missing.status_code) == (404, 404)
        assert hidden.json()["detail"].replace("dance", "nothing") == missing.json()["detail"]
    for path in ("masters", "alignments"):
        assert theirs.get(f"/v1/{path}/dance").status_code == 404
        assert mine.get(f"/v1/{path}/dance").status_code == 200
    assert theirs.post("/v1/jobs/dance/retry").status_code == 404
    assert theirs.get("/v1/jobs").json()["items"] == []
    assert theirs.get("/v1/jobs", params={"owner": "ada"}).json()["items"] == []
    assert [job["name"] for job in operator.get("/v1/jobs", params={"owner": "ada"}).json()["items"]] == ["dance"]
    assert [job["name"] for job in operator.get("/v1/jobs", params={"owner": "bob"}).json()["items"]] == []


def test_reading_needs_the_scope_to_read(house: House, api: Api) -> None:
    assert api(scopes=["recommend"]).get("/v1/jobs").status_code == 403
    assert api(scopes=["jobs:read"]).post("/v1/jobs/dance/retry").status_code == 403


def test_every_job_is_on_one_page(house: House, api: Api) -> None:
    with house.session() as session:
        for number in range(7):
            jobs.add(session, NewJob(f"job-{number}", f"{number:064}", "ada"))
        jobs.add(session, NewJob("bobs", "f" * 64, "bob"))
        submissions.add(session, "sent-1", "ada", "request-1")
        # Two rows of a transaction have one moment; so may jobs of two that were as fast.
        session.execute(update(Job).values(created_at=datetime(2025, 1, 1, tzinfo=UTC)))
    client = api(name="ada")
    seen: list[str] = []
    answer = client.get("/v1/jobs", params={"limit": 3})
    pages = 0
    while True:
        pages += 1
        seen += [job["name"] for job in answer.json()["items"]]
        if answer.json()["next"] is None:
            assert "link" not in answer.headers
            break
        following = answer.links["next"]["url"]
        assert f"cursor={answer.json()['next']}" in following and "limit=3" in following
        answer = client.get(following)
    assert (seen, pages) == (["sent-1", *(f"job-{n}" for n in reversed(range(7)))], 3)
    waiting = client.get("/v1/jobs/sent-1").json()
    assert (waiting["status"], waiting["request_id"]) == ("waiting", "request-1")
    only = client.get("/v1/jobs", params={"status": "waiting", "limit": 1}).json()
    assert [job["name"] for job in only["items"]] == ["sent-1"]
    every = client.get("/v1/jobs", params={"status": "planned", "limit": 2}).json()
    assert len(every["items"]) == 2 and every["next"]


@pytest.mark.parametrize("cursor", ["x", "MTI", "=", base64.urlsafe_b64encode(b"-1:a").decode(), "a" * 300])
def test_a_cursor_is_one_that_was_given(api: Api, cursor: str) -> None:
    answer = api().get("/v1/jobs", params={"cursor": cursor})
    assert answer.status_code == 422
    assert "cursor" in answer.json()["detail"]


def test_cursors_come_back_as_they_were() -> None:
    assert paging.decode_pair(paging.encode_pair(12, "a:b ö")) == (12, "a:b ö")
    assert paging.decode(paging.encode(2**63 - 1)) == 2**63 - 1


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1e3"])
def test_a_page_has_bounds(api: Api, limit: str) -> None:
    assert api().get("/v1/jobs", params={"limit": limit}).status_code == 422


@pytest.mark.parametrize("name", ["..%2f..%2fetc", "a'; drop table jobs --", "{{7*7}}", "x" * 3000, "ﷺ", "%ff"])
def test_a_name_is_only_a_name(house: House, api: Api, name: str) -> None:
    mastered(house)
    answer = api().get(f"/v1/jobs/{name}")
    assert answer.status_code in (404, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert api().get("/v1/jobs/dance").status_code == 200


def test_what_failed_runs_again(house: House, api: Api) -> None:
    client = api(name="ada")
    with house.session() as session:
        jobs.add(session, NewJob("song", "a" * 64, "ada"))
        (made,) = batches.plan_batches(session)
        batches.mark_requested(session, made.key)
    refused = client.post("/v1/jobs/song/retry")
    assert refused.status_code == 409, "it runs"
    assert "running" in refused.json()["detail"]
    with house.session() as session:
        batches.mark_failed(session, made.key, "its run ended as FAILURE; see its log in the Dagster UI")
    assert client.get("/v1/jobs/song").json()["error"].startswith("its run ended")
    answer = client.post("/v1/jobs/song/retry")
    assert (answer.status_code, answer.headers["location"]) == (202, "/v1/jobs/song")
    assert answer.json()["status"] == "planned"
    with house.session() as session:
        batches.mark_requested(session, made.key)
        batches.mark_finished(session, made.key)
    nothing = client.post("/v1/jobs/song/retry")
    assert nothing.status_code == 409
    assert "nothing that failed" in nothing.json()["detail"]


def test_a_refused_job_is_judged_anew(house: House, api: Api) -> None:
    client = api(name="ada")
    put(house, "words", "ada", {"mix-a.wav": b"no sound"})
    scanned(house)
    told = client.get("/v1/jobs/words").json()
    assert told["status"] == "refused"
    assert "mix-a.wav" in str(told)
    assert client.post("/v1/jobs/words/retry").status_code == 202
    with house.session() as session:
        assert jobs.fingerprints(session, ["words"]) == {"words": None}
