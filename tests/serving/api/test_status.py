"""The status over HTTP: what waits, what failed and why, how full the store is, what waits for a person."""

from __future__ import annotations

from pipelines.governance import access, budget, vault
from pipelines.governance.people import Actor
from pipelines.intake import batches
from pipelines.storage import items, jobs
from pipelines.storage.jobs import NewJob
from tests.governance.house import ADMINISTRATOR, give, item_of
from tests.serving.api.conftest import Api, Running

SONG = {"mix-a.wav": b"a song" * 50}


def test_an_empty_house(server: Running, api: Api) -> None:
    status = api("operator", "olga").get("/v1/status").json()
    counts = status["counts"]
    assert counts.pop("jobs") == counts.pop("batches") == {} and set(counts.values()) == {0}
    assert status["storage"] == {
        "at": None,
        "used": 0,
        "budget": 50_000_000_000,
        "level": 0,
        "consequence": budget.CONSEQUENCES[0],
        "kinds": {},
    }
    assert [status[key] for key in ("open_batches", "failed_batches", "failed_steps", "sheets")] == [[], [], [], []]
    root = server.house.settings.dagster_address
    assert (
        all(url.startswith(root) for url in status["links"].values()) and "model_rollouts" in status["links"]["models"]
    )


def test_what_waits_and_what_failed(server: Running, api: Api) -> None:
    studio = server.house.studio
    hers = give(studio, "hers", "ada", SONG, cached=False, settle=False)
    mix = item_of(studio, hers, "mix").id
    with server.house.session() as session:
        his, _ = jobs.add(
            session, NewJob("his", "f" * 64, "bob", error="song.wav: has no audio stream; give a file with sound")
        )
        jobs.save_folder(session, "his", "1", {}, his)
        batches.plan_batches(session)
        items.record(
            session,
            job_id=hers.job_id,
            kind="music_features",
            content_hash="a" * 64,
            code_version="1",
            params_hash="",
            error="mix-a.wav: is too short; give at least a second",
        )
        access.request(session, Actor("Emi", "editor"), mix, "it clicks")
        vault.hold(session, mix, ADMINISTRATOR, "a dispute")
    (studio.settings.inbox / "his").mkdir()
    budget.measure(studio)
    status = api("operator", "olga").get("/v1/status").json()
    assert status["counts"]["jobs"] == {"bad": 1, "ready": 1}
    assert (status["counts"]["waiting_access_requests"], status["counts"]["legal_holds"]) == (1, 1)
    assert status["counts"]["batches"] == {"planned": 1} and status["counts"]["refused_jobs"] == 1
    (batch,) = status["open_batches"]
    assert batch["status"] == "planned" and batch["key"] in batch["url"]
    assert status["refused_jobs"] == [{"job": "his", "error": "song.wav: has no audio stream; give a file with sound"}]
    assert status["failed_steps"] == [
        {"job": "hers", "step": "music_features", "error": "mix-a.wav: is too short; give at least a second"}
    ]
    assert status["storage"]["used"] == len(SONG["mix-a.wav"]) == status["storage"]["kinds"]["media"]
