"""Consents over HTTP: a person's own, an operator's on their behalf, and what is taken back."""

from __future__ import annotations

import pytest

from pipelines.governance import withdrawal
from pipelines.governance.people import Actor, pseudonym
from pipelines.storage import audit, viewers
from pipelines.storage.consents import may_learn_from
from tests.governance.house import Given, give, snapshot
from tests.serving.api.conftest import Api, Running
from tests.serving.api.watched import watched

SONG = {"mix-a.wav": b"a song" * 50}
OFF = {"quality": True, "training": False}
ON = {"quality": True, "training": True}


@pytest.fixture
def hers(server: Running) -> Given:
    return give(server.house.studio, "hers", "Ada", SONG, cached=False)


def test_a_person_sees_and_changes_what_they_allow(server: Running, api: Api, hers: Given) -> None:
    ada = api("viewer", " ADA ")
    (shown,) = ada.get("/v1/consents").json()["items"]
    assert (shown["job"], shown["revision"], shown["training"]) == ("hers", 1, True)
    snapshot(server.house.studio, hers)
    changed = ada.put("/v1/consents/hers", json=OFF)
    assert changed.status_code == 200 and changed.json()["training"] is False
    assert ada.get("/v1/consents/hers").json() == changed.json()
    with server.house.session() as session:
        assert not may_learn_from(session, hers.job_id)
        set_, erased = [row for row in audit.newest(session, 9) if row.action in ("consent.set", "snapshot_erased")][
            ::-1
        ]
    assert (set_.actor, set_.subject) == (pseudonym("ada"), f"job:{hers.job_id}")
    assert set_.detail["after"] == OFF and "Ada" not in str(set_.detail)
    assert erased.detail["user"] == pseudonym("ada"), "what was learned goes at once"
    assert ada.put("/v1/consents/hers", json=ON).json()["training"] is True


def test_anothers_are_as_if_there_were_none(api: Api, hers: Given) -> None:
    bob, olga = api("editor", "bob"), api("operator", "olga")
    nothing = bob.get("/v1/consents/nothing")
    for answer in (bob.get("/v1/consents/hers"), bob.put("/v1/consents/hers", json=OFF)):
        assert answer.status_code == nothing.status_code == 404
        assert answer.json()["detail"].replace("hers", "nothing") == nothing.json()["detail"]
    assert bob.get("/v1/consents", params={"owner": "Ada"}).status_code == 404
    assert bob.get("/v1/consents").json() == {"items": [], "next": None}
    assert olga.get("/v1/consents", params={"owner": "ada"}).json()["items"][0]["job"] == "hers"
    assert olga.put("/v1/consents/hers", json=OFF).json()["training"] is False


def test_after_a_withdrawal_nothing_is_allowed_any_more(server: Running, api: Api, hers: Given) -> None:
    ada = api("viewer", "ada")
    withdrawal.request(server.house.studio, "ada", Actor("Ada", "viewer"))
    assert ada.get("/v1/consents/hers").json()["withdrawn_at"] is not None
    refused = ada.put("/v1/consents/hers", json=ON)
    assert refused.status_code == 409 and "was withdrawn by its owner" in refused.json()["detail"]


def test_a_folder_that_changed_hands_tells_each_only_their_own(server: Running, api: Api, hers: Given) -> None:
    from pipelines.storage import jobs
    from pipelines.storage.jobs import NewJob

    with server.house.session() as session:
        again, _ = jobs.add(session, NewJob("hers", "f" * 64, "bob"))
        jobs.give_consent(session, again, "bob", quality=True, training=True)
    ada, bob, olga = api("viewer", "ada"), api("viewer", "bob"), api("operator", "olga")
    assert (ada.get("/v1/consents/hers").json()["revision"], bob.get("/v1/consents/hers").json()["revision"]) == (1, 2)
    assert olga.put("/v1/consents/hers", json=OFF).json()["revision"] == 2
    assert ada.get("/v1/consents/hers").json()["training"] is True, "it is bob's now, and his alone was changed"
    assert bob.get("/v1/consents/hers").json()["training"] is False


def test_pages_follow_one_another(server: Running, api: Api) -> None:
    for n in range(5):
        give(server.house.studio, f"song-{n}", "ada", {f"mix-{n}.wav": bytes([n]) * 9}, cached=False, settle=False)
    ada = api("viewer", "ada")
    first = ada.get("/v1/consents", params={"limit": 2})
    second = ada.get(first.headers["link"].partition("<")[2].partition(">")[0])
    third = ada.get("/v1/consents", params={"limit": 2, "cursor": second.json()["next"]})
    names = [one["job"] for page in (first, second, third) for one in page.json()["items"]]
    assert names == [f"song-{n}" for n in (4, 3, 2, 1, 0)]
    assert third.json()["next"] is None and "link" not in third.headers
    for cursor in ("x", "", "MQ==", "-1", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "' or 1=1 --"):
        assert ada.get("/v1/consents", params={"cursor": cursor}).status_code == 422, cursor


def test_what_a_viewer_says_goes_before_all(server: Running, api: Api) -> None:
    ada, olga = api("viewer", "ada"), api("operator", "olga")
    unknown = {"known": False, "training": None, "granted_at": None, "withdrawn_at": None}
    assert ada.get("/v1/consents/viewer").json() == unknown
    assert ada.put("/v1/consents/viewer", json={"training": True}).status_code == 404
    watched(server.house.studio, "ada")
    assert ada.get("/v1/consents/viewer").json() == unknown | {"known": True}
    assert ada.put("/v1/consents/viewer", json={"training": True}).json()["training"] is True
    assert olga.put("/v1/consents/viewer", json={"training": False, "owner": "Ada"}).json()["training"] is False
    assert ada.get("/v1/consents/viewer").json()["training"] is False
    for method, more in (("GET", {"params": {"owner": "ada"}}), ("PUT", {"json": {"training": True, "owner": "ada"}})):
        assert api("editor", "bob").request(method, "/v1/consents/viewer", **more).status_code == 404
    with server.house.session() as session:
        assert [row.training for row in viewers.of_name(session, "ada")] == [False]
        actors = {row.actor for row in audit.newest(session, 9) if row.subject == f"user:{pseudonym('ada')}"}
    assert actors == {pseudonym("ada"), pseudonym("olga")}


@pytest.mark.parametrize(
    "body", [{}, {"quality": True}, {**ON, "owner": "bob"}, {"quality": "perhaps", "training": True}, [], None, "x"]
)
def test_what_is_not_understood_is_refused(api: Api, hers: Given, body: object) -> None:
    answer = api("viewer", "ada").put("/v1/consents/hers", json=body)
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"
