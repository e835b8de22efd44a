"""Models asked over a real server: answers, refusals, versions exchanged under load, one that hangs, a database that
goes and comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.mastering.training_set import FEATURE_VERSION
from pipelines.models import rollout
from pipelines.settings import Settings
from pipelines.storage import embedded
from pipelines.studio import Studio
from serving.api.house import House
from serving.api.predictors import Predictors
from tests.models import built
from tests.models.built import NAME, START, D, K, rows
from tests.serving.api.conftest import Api, Running, running

PATH = f"/v1/models/{NAME}/predict"


def begun(house: House, data: bytes, **more: Any) -> str:
    """The version of this model, live or a candidate, and known to the server from now on."""
    row = built.begun(house.studio, data, feature_version=FEATURE_VERSION, **more)
    if row.name == NAME:
        house.one(Predictors).get(NAME).refresh()
    return row.version


def ask(client: httpx.Client, features: Any = None, **more: Any) -> httpx.Response:
    given = rows(1)[0].tolist() if features is None else features
    return client.post(PATH, json={"features": given, **more})


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.02)


def test_a_row_and_many_are_answered(api: Api, house: House) -> None:
    version = begun(house, built.linear(2.0))
    client = api()
    one = rows(1)[0]
    answer = ask(client, one.tolist())
    assert answer.status_code == 200
    found = answer.json()
    assert found["outputs"] == [[pytest.approx(float(one.mean()) + 2, rel=1e-5)] * K]
    assert (found["model"], found["version"], found["fell_back"], found["reasons"]) == (NAME, version, False, [])
    many = rows(7)
    found = ask(client, many.tolist()).json()
    assert [row[0] for row in found["outputs"]] == pytest.approx((many.mean(axis=1) + 2).tolist(), rel=1e-5)


def test_a_classifier_names_its_classes(api: Api, house: House) -> None:
    house.one(Predictors).get("preset_cls")
    row = built.begun(
        house.studio, built.linear(classes=("a", "b", "c")), name="preset_cls", feature_version=FEATURE_VERSION
    )
    house.one(Predictors).get("preset_cls").refresh()
    found = api().post("/v1/models/preset_cls/predict", json={"features": [0.5] * D}).json()
    assert (found["classes"], found["version"]) == (["a", "b", "c"], row.version)


def test_the_user_decides_who_answers(api: Api, house: House) -> None:
    first, second = begun(house, built.linear(0.0)), begun(house, built.linear(1.0))
    client = api(name=built.user_of(0))
    assert ask(client).json()["version"] == first
    assert ask(client, user=built.user_of(5)).json()["version"] == second


REFUSED: dict[str, tuple[Any, int, str]] = {
    "too narrow": ({"features": [1.0] * (D - 1)}, 422, f"have the shape [{D - 1}]"),
    "of two widths": ({"features": [[1.0] * D, [1.0]]}, 422, "are no table of numbers"),
    "no number": ({"features": ["a"] * D}, 422, "body.features"),
    "none": ({"features": []}, 422, "body.features"),
    "beyond float32": ({"features": [1e300] * D}, 422, "hold NaN or infinity"),
    "more than asked": ({"features": [1.0] * D, "mood": 1}, 422, "body.mood"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unfit_rows_are_refused_and_count_against_no_version(case: str, api: Api, house: House) -> None:
    begun(house, built.linear())
    body, status, words = REFUSED[case]
    answer = api().post(PATH, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("text", ['{"features": [NaN]}', '{"features": [1, ', "", "[]"])
def test_what_is_no_wish_is_refused(text: str, api: Api, house: House) -> None:
    answer = api().post(PATH, content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert "body" in answer.json()["detail"]


def test_only_json_is_read(api: Api) -> None:
    assert api().post(PATH, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415


def test_unknown_models_and_those_with_another_way(api: Api) -> None:
    client = api()
    answer = client.post("/v1/models/dreams/predict", json={"features": [1.0]})
    assert (answer.status_code, "does not exist" in answer.json()["detail"]) == (404, True)
    answer = client.post("/v1/models/two_tower/predict", json={"features": [1.0]})
    assert (answer.status_code, "/v1/recommendations" in answer.json()["detail"]) == (404, True)


def test_without_a_version_one_is_told_to_come_back(api: Api) -> None:
    answer = ask(api())
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "no version is rolled out" in answer.json()["detail"]


def test_who_may_not(api: Api, server: Running) -> None:
    answer = ask(api("viewer"))
    assert (answer.status_code, "infer" in answer.json()["detail"]) == (403, True)
    assert ask(api("editor", scopes=["jobs:read"])).status_code == 403
    for headers in ({}, {"Authorization": "Bearer orm_00000000_" + "a" * 43}, {"Authorization": "Basic YTpi"}):
        answer = httpx.post(server.url + PATH, json={"features": [1.0]}, headers=headers)
        assert (answer.status_code, "www-authenticate" in answer.headers) == (401, True)


def test_versions_are_exchanged_under_load_and_no_request_notices(api: Api, house: House) -> None:
    versions = [begun(house, built.linear(0.0))]
    stop = threading.Event()

    def load(number: int) -> list[httpx.Response]:
        client = api()
        found: list[httpx.Response] = []
        while not stop.is_set():
            found.append(ask(client, user=f"user-{number}-{len(found)}"))
        return found

    with ThreadPoolExecutor(4) as threads:
        loads = [threads.submit(load, number) for number in range(4)]
        for number in range(1, 4):
            versions.append(begun(house, built.linear(float(number))))
            with house.session() as session:
                rollout.set_stage(session, NAME, 25, START, "test", "a test")
                rollout.promote(session, NAME, rollout.current(session, NAME), START, "test", "a test")
            house.one(Predictors).get(NAME).refresh()
        until(lambda: ask(api()).json()["version"] == versions[-1] or _promoted(house))
        stop.set()
        answers = [answer for future in loads for answer in future.result()]
    assert {answer.status_code for answer in answers} == {200}
    told = {answer.json()["version"] for answer in answers}
    assert told <= set(versions) and len(told) > 1
    mean = float(rows(1)[0].mean())
    for answer in answers:  # each by the model that it names
        found = answer.json()
        assert found["outputs"][0][0] == pytest.approx(mean + versions.index(found["version"]), rel=1e-4)
        assert not found["fell_back"]


def _promoted(house: House) -> bool:
    with house.session() as session:
        rollout.promote(session, NAME, rollout.current(session, NAME), START, "test", "a test")
    house.one(Predictors).get(NAME).refresh()
    return False


def test_a_model_that_hangs_holds_up_nobody_else(api: Api, house: House) -> None:
    begun(house, built.slow_below_zero())
    hangs = [-1.0, *[1.0] * (D - 1)]
    with ThreadPoolExecutor(2) as threads:
        slow = [threads.submit(ask, api(), hangs) for _ in range(2)]
        client = api()
        answered = 0
        while not all(one.done() for one in slow):
            assert ask(client).status_code in (200, 503)
            assert client.get("/health/live").status_code == 200
            answered += 1
        assert answered
        for one in slow:
            answer = one.result()
            assert answer.status_code == 503
            assert "took more than 3 s" in answer.json()["detail"]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Settings, Path]]:
    """Settings over an embedded server of this test's own, and its home."""
    home = tmp_path / "own"
    url = embedded.start(home, durable=False).replace("/postgres?", "/orimono?")
    try:
        yield Settings(home=str(home), database_url=url), home
    finally:
        embedded.stop(home, force=True)


def test_while_the_database_restarts_models_answer_on(own: tuple[Settings, Path]) -> None:
    settings, home = own
    house = House(settings)
    Studio.open(settings).database.close()
    with running(replace(settings), house) as server, server.client() as client:
        version = begun(house, built.linear())
        assert ask(client).json()["version"] == version
        stop, answers = threading.Event(), []

        def load() -> None:
            while not stop.is_set():
                answers.append(ask(client))

        thread = threading.Thread(target=load)
        thread.start()
        try:
            embedded.stop(home, force=True)
            reached = len(answers) + 50
            until(lambda: len(answers) > reached)
            embedded.start(home, durable=False)
            reached = len(answers) + 50
            until(lambda: len(answers) > reached)
        finally:
            stop.set()
            thread.join()
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["version"] for answer in answers} == {version}
    house.close()


def test_a_server_that_starts_without_its_database_serves_once_it_is_there(own: tuple[Settings, Path]) -> None:
    settings, home = own
    studio = Studio.open(settings)
    built.begun(studio, built.linear(), feature_version=FEATURE_VERSION)
    from pipelines.identity import keys

    with studio.database.session() as session:
        key = keys.make(session, "ada", "editor").key
    studio.database.dispose()
    embedded.stop(home, force=True)
    house = House(settings)
    with (
        running(settings, house) as server,
        httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client,
    ):
        answer = ask(client)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        embedded.start(home, durable=False)
        until(lambda: ask(client).status_code == 200)
    house.close()
