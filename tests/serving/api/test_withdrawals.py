"""Withdrawals over HTTP: foreseen, asked for, watched, carried out, and nothing found afterwards."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import update

from pipelines import clock
from pipelines.governance import withdrawal
from pipelines.governance.people import pseudonym
from pipelines.storage import audit
from pipelines.storage.tables import Withdrawal
from tests.governance.house import give, mentions, snapshot
from tests.serving.api.conftest import Api, Running

HERS = {"mix-aria.wav": b"a song of hers" * 50, "music-tune.wav": b"a tune" * 50}
HIS = {"mix-his.wav": b"a song of his" * 50}


def test_asked_for_and_carried_out_and_nothing_is_found(server: Running, api: Api) -> None:
    studio = server.house.studio
    hers, his = give(studio, "aria", "Adalinde", HERS), give(studio, "bourree", "Bertram", HIS)
    snapshot(studio, hers)
    ada, olga = api("editor", "adalinde"), api("operator", "Olga")
    foreseen = ada.get("/v1/withdrawals/preview").json()
    assert foreseen["person"] == pseudonym("adalinde")
    assert foreseen["would_go"]["objects"]["media"]["n"] >= 2 and foreseen["would_go"]["snapshots"] == 1
    assert foreseen["would_go"]["rows"]["uploads"] == 2
    assert ada.get("/v1/withdrawals").json()["items"] == [], "looking changes nothing"
    made = ada.post("/v1/withdrawals", json={})
    asked = made.json()
    assert (made.status_code, made.headers["location"]) == (202, f"/v1/withdrawals/{asked['id']}")
    assert (asked["status"], asked["own"], asked["report"], asked["completed_at"]) == ("deleting", True, None, None)
    assert asked["page"] == f"{studio.settings.api_address}/withdrawals"
    assert ada.post("/v1/withdrawals", json={}).json()["id"] == asked["id"], "asked for again it is the same"
    assert ada.get("/v1/consents/aria").json()["withdrawn_at"] is not None, "excluded in the same moment"
    assert ada.get(f"/v1/withdrawals/{asked['id']}").json()["due_at"] == asked["due_at"]
    (report,) = withdrawal.carry_out(studio)
    assert report.done, report.waiting
    words = hers.words | {hashlib.sha256(data).hexdigest() for data in HERS.values()} | {"Adalinde", "adalinde"}
    assert mentions(studio, words - {"training"}) == []
    assert {where for where, _ in mentions(studio, {"Bertram"})}, "others lose nothing"
    assert his.words
    done = olga.get(f"/v1/withdrawals/{asked['id']}").json()
    assert (done["status"], done["person"], done["own"]) == ("completed", pseudonym("adalinde"), False)
    assert done["report"] == foreseen["would_go"] | {"rows": done["report"]["rows"], "files": done["report"]["files"]}
    assert done["report"]["rows"]["uploads"] == 2
    with server.house.session() as session:
        rows = audit.of_subject(session, f"user:{pseudonym('adalinde')}")
    assert [(row.actor, row.action) for row in rows if row.action.startswith("withdrawal.")] == [
        (pseudonym("adalinde"), "withdrawal.request"),
        (pseudonym("adalinde"), "withdrawal.request"),
        ("system", "withdrawal.complete"),
    ]


def test_each_sees_their_own_and_operators_all(server: Running, api: Api) -> None:
    studio = server.house.studio
    give(studio, "aria", "Ada", HERS, cached=False)
    give(studio, "bourree", "Bob", HIS, cached=False)
    ada, bob, olga = api("viewer", "ada"), api("editor", "bob"), api("operator", "olga")
    his = olga.post("/v1/withdrawals", json={"owner": " BOB ", "keep_originals": True}).json()
    assert (his["own"], his["keep_originals"], his["person"]) == (False, True, pseudonym("bob"))
    hers = ada.post("/v1/withdrawals", json={"owner": "ADA"}).json()
    assert [one["id"] for one in ada.get("/v1/withdrawals").json()["items"]] == [hers["id"]]
    assert [one["id"] for one in bob.get("/v1/withdrawals").json()["items"]] == [his["id"]]
    assert [one["id"] for one in olga.get("/v1/withdrawals").json()["items"]] == [hers["id"], his["id"]]
    assert bob.get(f"/v1/withdrawals/{hers['id']}").status_code == 404
    assert bob.get("/v1/withdrawals/preview", params={"owner": "ada"}).status_code == 404
    refused = bob.post("/v1/withdrawals", json={"owner": "ada"})
    assert refused.status_code == 403 and "needs an operator" in refused.json()["detail"]
    withdrawal.carry_out(studio)
    assert [one["status"] for one in olga.get("/v1/withdrawals").json()["items"]] == ["completed", "completed"]
    assert olga.get("/v1/withdrawals", params={"unfinished": True}).json()["items"] == []
    first = olga.get("/v1/withdrawals", params={"limit": 1}).json()
    second = olga.get("/v1/withdrawals", params={"limit": 1, "cursor": first["next"]}).json()
    assert [first["items"][0]["id"], second["items"][0]["id"]] == [hers["id"], his["id"]] and second["next"] is None


def test_who_gave_nothing_is_told_so(api: Api) -> None:
    answer = api("operator", "olga").post("/v1/withdrawals", json={"owner": "nobody"})
    assert answer.status_code == 404 and "gave nothing that is here" in answer.json()["detail"]


def test_overdue_is_said(server: Running, api: Api) -> None:
    give(server.house.studio, "aria", "Ada", HERS, cached=False)
    ada = api("viewer", "ada")
    ada.post("/v1/withdrawals", json={})
    with server.house.session() as session:
        session.execute(update(Withdrawal).values(due_at=clock.now() - timedelta(seconds=1)))
    assert ada.get("/v1/withdrawals").json()["items"][0]["status"] == "overdue"
    counts = api("operator", "olga").get("/v1/status").json()["counts"]
    assert (counts["open_withdrawals"], counts["overdue_withdrawals"]) == (1, 1)


@pytest.mark.parametrize("body", [{"owner": ""}, {"owner": " "}, {"owner": "a\x00b"}, {"keep": True}, {"owner": 7}, []])
def test_what_is_not_understood_is_refused(api: Api, body: object) -> None:
    assert api("operator", "olga").post("/v1/withdrawals", json=body).status_code == 422
