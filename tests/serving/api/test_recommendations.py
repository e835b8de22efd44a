"""Lists and decisions over a real server: whose they are, by which path, and what a database that goes costs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines import clock
from pipelines.recommending.people import viewer_id
from pipelines.settings import Settings
from pipelines.storage import embedded
from pipelines.studio import Studio
from serving.api.house import House
from serving.api.predictors import Recommender
from tests.recommending import built
from tests.serving.api.conftest import Api, running

N = 60  # videos; number i is of cluster i % 12 and genre i % 5
MINE = [0, 12, 24]  # of one cluster


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.02)


def filled(house: House) -> str:
    """A catalogue, a version with embeddings, and a viewer "ann" with a taste; the version."""
    built.catalogue(house.studio, N)
    built.decided(house.studio, "ann", MINE)
    released = built.released(house.studio, built.two_tower(N), viewers=["ann"])
    house.one(Recommender).get().refresh()
    return released.row.version


def listed(client: httpx.Client, user: str = "ann", **wish: Any) -> dict[str, Any]:
    answer = client.get(f"/v1/recommendations/{user}", params=wish)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def numbers(found: dict[str, Any]) -> list[int]:
    return [int(item["external_id"]) for item in found["items"]]


def test_the_list_is_the_recommenders(api: Api, house: House) -> None:
    version = filled(house)
    found = listed(api("viewer", "ann"), limit=7)
    asked = house.one(Recommender).get().recommend("ann", 7)
    assert numbers(found) == [int(item.external_id) for item in asked.items]
    assert [item["score"] for item in found["items"]] == pytest.approx([item.score for item in asked.items], rel=1e-4)
    assert (found["path"], found["version"], found["reasons"]) == ("tower", version, [])
    assert found["items"][0]["reason"] and found["items"][0]["title"].startswith("Title ")
    assert not set(numbers(found)) & set(MINE)


def test_wishes_are_kept(api: Api, house: House) -> None:
    filled(house)
    client = api("viewer", "ann")
    found = listed(client, genre=["comedy", "drama"], without_genre="drama", limit=5)
    assert found["items"] and {i % 5 for i in numbers(found)} == {0}
    explored = [numbers(listed(client, exploration=1, diversity=0.5, seed=3)) for _ in range(2)]
    assert explored[0] == explored[1] != numbers(listed(client))


@pytest.mark.parametrize(
    "wish", [{"limit": 0}, {"limit": 1001}, {"diversity": 2}, {"exploration": "nan"}, {"seed": -1}, {"genre": ""}]
)
def test_wishes_that_cannot_be_had_are_refused(wish: dict[str, Any], api: Api) -> None:
    answer = api("viewer", "ann").get("/v1/recommendations/ann", params=wish)
    assert answer.status_code == 422
    assert next(iter(wish)) in answer.json()["detail"]


def test_a_list_is_its_viewers_and_an_operators(api: Api, house: House) -> None:
    filled(house)
    for path in ("ann", "ANN", str(viewer_id("ann"))):  # however they spell themselves
        assert api("viewer", "ann").get(f"/v1/recommendations/{path}").status_code == 200
    foreign = api("editor", "bob").get("/v1/recommendations/ann")
    nobody = api("editor", "bob").get("/v1/recommendations/nobody")
    assert foreign.status_code == nobody.status_code == 404
    assert foreign.json()["detail"] == nobody.json()["detail"].replace("nobody", "ann")
    assert api("editor", "bob").post("/v1/recommendations/ann/decisions", json=decision(1)).status_code == 404
    assert listed(api("operator", "eve"))["path"] == "tower"
    assert api("viewer", "ann", scopes=["jobs:read"]).get("/v1/recommendations/ann").status_code == 403


def decision(video: int | str, word: str = "like", **more: Any) -> dict[str, Any]:
    return {"video": str(video), "decision": word, **more}


def test_a_decision_changes_the_next_list(api: Api, house: House) -> None:
    filled(house)
    client = api("viewer", "ann")
    first = numbers(listed(client))[0]
    answer = client.post("/v1/recommendations/ann/decisions", json=decision(first, rating=4.5))
    assert answer.status_code == 201
    assert answer.json() | {"at": None} == {"video": str(first), "decision": "like", "rating": 4.5, "at": None}
    assert first not in numbers(listed(client))


def test_decisions_that_are_none(api: Api, house: House) -> None:
    filled(house)
    client, path = api("viewer", "ann"), "/v1/recommendations/ann/decisions"
    assert client.post(path, json=decision("no such")).status_code == 404
    later = clock.now().replace(year=clock.now().year + 1).isoformat()
    for wrong in (decision(1, "love"), decision(1, at="2020-01-01T00:00:00"), decision(1, at=later), {"video": "1"}):
        assert client.post(path, json=wrong).status_code == 422, wrong


def test_the_path_says_how_a_list_was_made(api: Api, house: House) -> None:
    assert listed(api("viewer", "new"), user="new")["items"] == []  # an empty catalogue
    filled(house)
    found = listed(api("viewer", "new"), user="new")
    assert (found["path"], found["reasons"]) == ("popular", ["nothing is known of this viewer"])
    assert len(found["items"]) == 20


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Settings]:
    """Settings over an embedded server of this test's own."""
    home = tmp_path / "own"
    url = embedded.start(home, durable=False).replace("/postgres?", "/orimono?")
    try:
        yield Settings(home=str(home), database_url=url)
    finally:
        embedded.stop(home, force=True)


def test_while_the_database_restarts_there_are_lists_and_decisions_are_told_to_come_back(own: Settings) -> None:
    home = Path(own.home)
    Studio.open(own).database.close()
    house = House(own)
    with running(own, house) as server, server.client("viewer", "ann") as client:
        filled(house)
        seen = set(MINE)
        assert listed(client)["path"] == "tower"
        stop = threading.Event()
        answers: list[httpx.Response] = []

        def load() -> None:
            while not stop.is_set():
                answers.append(client.get("/v1/recommendations/ann"))

        thread = threading.Thread(target=load)
        thread.start()
        try:
            embedded.stop(home, force=True)
            until(lambda: bool(answers) and answers[-1].json()["path"] == "remembered")
            refused = client.post("/v1/recommendations/ann/decisions", json=decision(1))
            assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
            embedded.start(home, durable=False)
            until(lambda: answers[-1].json()["path"] == "tower")
        finally:
            stop.set()
            thread.join()
        assert {answer.status_code for answer in answers} == {200}
        assert all(len(answer.json()["items"]) == 20 for answer in answers if answer.json()["path"] == "tower")
        assert not any(seen & set(numbers(answer.json())) for answer in answers)
        assert client.post("/v1/recommendations/ann/decisions", json=decision(1)).status_code == 201
    house.close()
