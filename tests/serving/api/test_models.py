"""Models and rollouts over HTTP: real versions in the registry, figures over time, changes only to what was seen."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import update

from pipelines import clock
from pipelines.governance.people import pseudonym
from pipelines.models import inference, rollout, watching
from pipelines.storage import audit
from pipelines.storage import models as registry_table
from pipelines.storage.tables import Rollout
from tests.models.built import FEATURES, NAME, D, begun, linear, registered, user_of
from tests.models.registered import traffic
from tests.serving.api.conftest import Api, Running

REGRESSION = {
    "targets": {
        "threshold_db": {
            "unit": "dB",
            "mae": {"all": 1.25},
            "r2": {"all": 0.5},
            "baseline": {"mean": {"mae": {"all": 3.0}}, "median": {"mae": {"all": 2.5}}},
        },
        "ratio": {
            "unit": "",
            "mae": {"all": 0.5},
            "r2": {"all": 0.7},
            "baseline": {"mean": {"mae": {"all": None}}, "median": {"mae": {"all": 0.75}}},
        },
    }
}
CLASSES = {
    **{key: {"all": value} for key, value in (("f1_macro", 0.8), ("accuracy", 0.9), ("log_loss", 0.3))},
    "baseline": {"majority": {"f1_macro": {"all": 0.2}, "accuracy": {"all": 0.4}, "log_loss": {"all": 1.5}}},
}
RANKING = {
    "compared": {"Recall@20": {"model": 0.3, "baseline": 0.25}, "NDCG@20": {"model": 0.25, "baseline": 0.2}},
    "headline": {"measure": "NDCG@20", "value": 0.25},
}
VOICES = {
    "compared": {"frames": {"model": 0.45, "baseline": 0.4}, "beat chords": {"model": 0.5, "baseline": None}},
    "headline": {"measure": "frames", "value": 0.45},
}


@pytest.fixture
def two(server: Running) -> tuple[str, str]:
    """A live version and a candidate at 5 %."""
    studio = server.house.studio
    live = begun(studio, linear(), metrics=REGRESSION)
    better = {"targets": {"threshold_db": REGRESSION["targets"]["threshold_db"] | {"r2": {"all": 0.9}}}}
    return live.version, begun(studio, linear(0.5), metrics=better).version


def test_cards_and_versions(server: Running, api: Api, two: tuple[str, str]) -> None:
    live, running = two
    third = registered(server.house.studio, linear(0.7), metrics=REGRESSION).version
    olga = api("operator", "olga")
    (card,) = olga.get("/v1/models").json()["items"]
    assert (card["name"], card["versions"], card["newest"]["version"]) == (NAME, 3, third)
    assert (card["live"]["version"], card["live"]["stage"]) == (live, 100)
    assert (card["running"]["version"], card["running"]["stage"]) == (running, 5)
    assert card["newest"]["status"] == "registered" and card["newest"]["stage"] is None
    model = olga.get(f"/v1/models/{NAME}").json()
    assert [(one["version"], one["status"]) for one in model["all"]] == [
        (live, "live"),
        (running, "running"),
        (third, "registered"),
    ]
    head = model["live"]["headline"]
    assert (head["measure"], head["value"], head["better"]) == ("R2", pytest.approx(0.6), "higher")
    maes = [one for one in model["live"]["figures"] if one["measure"] == "MAE"]
    assert {(one["target"], one["value"], one["baseline"], one["unit"], one["better"]) for one in maes} == {
        ("threshold_db", 1.25, 2.5, "dB", "lower"),
        ("ratio", 0.5, 0.75, "", "lower"),
    }
    short = olga.get(f"/v1/models/{NAME}", params={"limit": 1}).json()
    assert {one["version"] for one in short["all"]} == {live, running, third}, "those that serve are always shown"
    unknown = olga.get("/v1/models/nothing")
    assert unknown.status_code == 404 and f"choose from {NAME}" in unknown.json()["detail"]


@pytest.mark.parametrize(
    ("metrics", "headline", "figures"),
    [
        (CLASSES, ("macro-F1", 0.8, 0.2), {"macro-F1", "accuracy", "log loss"}),
        (RANKING, ("NDCG@20", 0.25, 0.2), {"Recall@20", "NDCG@20"}),
        (VOICES, ("frame accuracy", 0.45, 0.4), {"frame accuracy", "beat chord accuracy"}),
        (
            {"judged": {"incremental": {"f1_macro": 0.7}, "live": {"f1_macro": 0.6}}},
            ("macro-F1", 0.7, 0.6),
            {"macro-F1"},
        ),
        ({}, ("R2", 0.0, None), set()),
    ],
)
def test_every_kind_of_model_is_told_by_its_own_measure(
    server: Running, api: Api, metrics: dict[str, Any], headline: tuple[Any, ...], figures: set[str]
) -> None:
    begun(server.house.studio, linear(), metrics=metrics)
    told = api("operator", "olga").get(f"/v1/models/{NAME}").json()["live"]
    assert tuple(told["headline"][key] for key in ("measure", "value", "baseline")) == headline
    assert {one["measure"] for one in told["figures"]} == figures


def test_history_for_charts(server: Running, api: Api, two: tuple[str, str]) -> None:
    studio, now = server.house.studio, clock.now().replace(second=0, microsecond=0)
    with server.house.session() as session:
        rows = {row.version: row.id for row in registry_table.listed(session, NAME)}
        session.execute(update(Rollout).values(started_at=now - timedelta(days=9)))
    for days, n in ((5, 40), (2, 60), (0, 80)):
        traffic(studio.database, rows[two[0]], now - timedelta(days=days, hours=1), n, errors=2, ms=3.0)
        watching.measure(studio, now - timedelta(days=days))
    olga = api("operator", "olga")
    history = olga.get(f"/v1/models/{NAME}/history").json()
    assert (history["window"], history["headline"]["measure"]) == ("1d", "R2")
    points = [(point["version"], point["value"]) for point in history["headline"]["points"]]
    assert points == [(two[0], pytest.approx(0.6)), (two[1], pytest.approx(0.9))], "oldest first"
    (threshold,) = [one for one in history["figures"] if one["target"] == "threshold_db"]
    assert len(threshold["points"]) == 2 and threshold["better"] == "lower"
    by_version = {one["version"]: one["points"] for one in history["versions"]}
    assert [point["n"] for point in by_version[two[0]]] == [40, 60, 80]
    last = by_version[two[0]][-1]
    assert last["err_rate"] == pytest.approx(2 / 80) and last["latency_ms"] == pytest.approx(3.0)
    assert last["latency_p95_ms"] is not None and last["input_psi"] is not None and last["output_psi"] is not None
    recent = olga.get(f"/v1/models/{NAME}/history", params={"days": 3}).json()
    assert [point["n"] for one in recent["versions"] if one["version"] == two[0] for point in one["points"]] == [60, 80]
    month = olga.get(f"/v1/models/{NAME}/history", params={"window": "30d"}).json()
    assert [p["n"] for one in month["versions"] if one["version"] == two[0] for p in one["points"]] == [40, 100, 180]
    for query in ("window=2d", "days=0", "days=367", "days=x"):
        assert olga.get(f"/v1/models/{NAME}/history?{query}").status_code == 422


def change(client: httpx.Client, etag: str | None = None, **body: object) -> httpx.Response:
    headers = {} if etag is None else {"If-Match": etag}
    return client.post(f"/v1/models/{NAME}/rollout", json={"reason": "looked at it"} | body, headers=headers)


def test_promoted_staged_and_taken_back(server: Running, api: Api, two: tuple[str, str]) -> None:
    olga = api("operator", "Olga")
    seen = olga.get(f"/v1/models/{NAME}/rollout")
    assert seen.headers["etag"] == f'"{seen.json()["etag"]}"'
    assert olga.get(f"/v1/models/{NAME}/rollout", headers={"If-None-Match": seen.headers["etag"]}).status_code == 304
    assert olga.get("/v1/rollouts").json()["items"] == [seen.json()]
    up = change(olga, seen.headers["etag"], action="promote")
    assert (up.json()["done"], up.json()["before"], up.json()["after"]) == (True, 5, 25)
    stale = change(olga, seen.headers["etag"], action="promote")
    assert stale.status_code == 412 and "look again" in stale.json()["detail"]
    staged = change(olga, up.headers["etag"], action="stage", stage=100)
    assert (staged.json()["rollout"]["live"], staged.json()["rollout"]["running"]) == (two[1], None)
    assert change(olga, action="promote").status_code == 409
    nothing = change(olga, action="roll_back")
    assert nothing.status_code == 409 and '"live": true' in nothing.json()["detail"]
    back = change(olga, '"other", ' + staged.headers["etag"], action="roll_back", live=True)
    assert (back.json()["rollout"]["live"], back.json()["version"]) == (two[0], two[1])
    again = change(olga, "*", action="stage", stage=25, version=two[1]).json()
    assert (again["rollout"]["running"], again["rollout"]["stage"]) == (two[1], 25)
    assert change(olga, action="stage", stage=25).json()["done"] is False
    assert change(olga, action="stage", stage=5, version=two[0]).status_code == 409, "that one is live"
    assert change(olga, action="stage", stage=5, version="v20010101").status_code == 404
    with server.house.session() as session:
        rows = [row for row in audit.of_subject(session, f"model:{NAME}") if row.actor == pseudonym("olga")]
        assert rollout.current(session, NAME).live is not None
    assert [row.action.partition(".")[2] for row in rows][:3] == ["promote", "set_stage", "roll_back"]
    assert {row.detail["reason"].partition(";")[0].partition(" (")[0] for row in rows} == {"looked at it"}


def test_of_two_who_saw_the_same_one_changes_it(server: Running, api: Api, two: tuple[str, str]) -> None:
    clients = [api("operator", f"olga-{n}") for n in range(6)]
    etag = clients[0].get(f"/v1/models/{NAME}/rollout").headers["etag"]
    codes: list[int] = []
    barrier = threading.Barrier(len(clients))

    def go(client: httpx.Client) -> None:
        barrier.wait()
        codes.append(change(client, etag, action="promote").status_code)

    threads = [threading.Thread(target=go, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(codes) == [200] + [412] * 5


@pytest.mark.parametrize(
    "body",
    [
        {"action": "stage"},
        {"action": "stage", "stage": 50},
        {"action": "promote", "stage": 25},
        {"action": "promote", "version": "v20261121"},
        {"action": "promote", "live": True},
        {"action": "stage", "stage": 5, "version": "v20261121'; drop table rollouts"},
        {"action": "delete"},
        {"action": "promote", "reason": " "},
        {"action": "promote", "reason": "a\x00b"},
        {},
    ],
)
def test_what_is_not_understood_is_refused(api: Api, two: tuple[str, str], body: dict[str, object]) -> None:
    assert change(api("operator", "olga"), **body).status_code == 422


def test_predictions_follow_a_change_made_over_http(server: Running, api: Api, two: tuple[str, str]) -> None:
    vector = np.zeros(D, np.float32)
    with inference.Predictor(server.house.studio, NAME, feature_version=FEATURES, refresh_s=60.0) as predictor:
        assert predictor.predict(user_of(0), vector).version == two[0]
        assert change(api("operator", "olga"), action="stage", stage=100).status_code == 200
        predictor.refresh()
        assert predictor.predict(user_of(0), vector).version == two[1]
