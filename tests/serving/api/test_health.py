"""Health: alive, ready, degraded with reasons, and well again, with stores that really go away."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from pipelines import clock
from pipelines.settings import Settings
from pipelines.storage import embedded
from pipelines.storage.database import Database
from pipelines.storage.tables import Withdrawal
from serving.api import watching
from serving.api.house import House
from serving.api.watching import Watch, Watching
from tests.serving.api.conftest import Running, running


def until(found: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "did not come"
        time.sleep(0.05)


def health(url: str) -> dict[str, str | None]:
    told = httpx.get(f"{url}/health").json()
    assert (told["status"] == "ok") == (told["reasons"] == [])
    return {component["name"]: component["reason"] for component in told["components"]}


def test_alive_and_ready(server: Running) -> None:
    assert httpx.get(f"{server.url}/health/live").json() == {"status": "alive"}
    until(lambda: httpx.get(f"{server.url}/health/ready").status_code == 200)
    server.house.draining = True
    answer = httpx.get(f"{server.url}/health/ready")
    assert (answer.status_code, answer.json()) == (503, {"status": "draining"})
    assert answer.headers["retry-after"] == "1"
    assert httpx.get(f"{server.url}/health").json()["status"] == "draining"


def test_a_dagster_that_is_not_there_is_told(server: Running) -> None:
    until(lambda: health(server.url)["Dagster"])
    assert str(health(server.url)["Dagster"]).startswith("Dagster: does not answer")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Settings]:
    """A home with an embedded server of its own, not started."""
    settings = Settings(home=str(tmp_path / "own"))
    yield settings
    embedded.stop(settings.home_path, force=True)


def test_starts_while_the_database_is_away_and_finds_it_when_it_comes(own: Settings, server_url: str) -> None:
    away = replace(own, database_url="postgresql://127.0.0.1:1/orimono")
    house = House(away)
    with running(away, house) as server:
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        assert httpx.get(f"{server.url}/health/ready").json() == {"status": "starting"}
        until(lambda: health(server.url)["database"])
        key = "orm_00000000_" + "A" * 43
        answer = httpx.get(f"{server.url}/v1/flags", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) >= 1
        house.settings = replace(own, database_url=server_url.replace("/postgres?", "/orimono?"))
        until(lambda: httpx.get(f"{server.url}/health/ready").status_code == 200)
        until(lambda: health(server.url)["database"] is None)


def test_an_embedded_database_that_dies_is_brought_back(own: Settings) -> None:
    house = House(own)
    with running(own, house) as server:
        until(lambda: httpx.get(f"{server.url}/health/ready").status_code == 200)
        client = server.client("operator", "ada")
        with client:
            assert client.get("/metrics").status_code == 200
            halted = own.home_path / "postgres"
            from pipelines.storage import keeper

            found = keeper.postmaster(halted)
            assert found is not None
            subprocess.run(["kill", "-INT", str(found[0])], check=True)
            until(lambda: keeper.postmaster(halted) is None or keeper.postmaster(halted) != found)
            assert client.get("/metrics").status_code == 200, "who was known goes on"
            until(lambda: health(server.url)["database"] is None and keeper.postmaster(halted) is not None)
            with house.session():
                pass


def test_an_object_store_that_goes_away_is_told_and_its_return(server: Running, house: House) -> None:
    until(lambda: house.opened)
    objects = house.studio.objects.folder
    aside = objects.with_name("aside")
    objects.rename(aside)
    until(lambda: watching.object_store(house))
    assert str(watching.object_store(house)).startswith("object store: is away")
    aside.rename(objects)
    assert watching.object_store(house) is None


def test_a_late_deletion_is_told(house: House, database: Database) -> None:
    assert house.studio
    assert watching.deletions(house) is None
    now = clock.now()
    with database.session() as session:
        session.add(
            Withdrawal(
                user_id="ada",
                keep_originals=False,
                requested_by="ada",
                requested_at=now,
                due_at=now - timedelta(hours=1),
            )
        )
    assert str(watching.deletions(house)).startswith("deletions: 1 ")


def test_a_full_disk_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watching.disk(house) is None
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(watching, "LEAST_FREE_BYTES", usage.total)
    monkeypatch.setattr(watching, "LEAST_FREE", 1.1)
    assert str(watching.disk(house)).startswith("disk: only ")


def test_one_that_hangs_hides_nothing_of_the_others(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "HUNG_SECONDS", 0.05)

    def hangs(house: House) -> None:
        time.sleep(1.5)

    def breaks(house: House) -> None:
        raise RuntimeError("secret figures")

    looks = (Watch("a", hangs, 1), Watch("b", breaks, 1), Watch("c", lambda house: "c: is ill", 1))
    watched = Watching(house, looks)
    watched.start()
    until(lambda: all(watched.reasons().values()))
    found = watched.reasons()
    watched.close()
    assert str(found["a"]).startswith("a: has not answered for ")
    assert found["b"] == "b: could not be looked at"
    assert found["c"] == "c: is ill"
