"""Originals over HTTP: two people open one, over a real server; holds; what a link is worth and when it dies."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text, update

from pipelines import clock
from pipelines.governance import withdrawal
from pipelines.governance.people import Actor, pseudonym
from pipelines.settings import Settings
from pipelines.storage import audit
from pipelines.storage.tables import AccessRequest
from serving.api.house import House
from tests.governance.house import give, item_of, mentions
from tests.serving.api.conftest import Api, Running

MIX = b"RIFF a song of hers" * 40
SONG = {"mix-a.wav": MIX}


@pytest.fixture(params=["local", "s3"])
def settings(
    request: pytest.FixtureRequest, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """One after the other: a folder, and a real S3 API."""
    if request.param == "local":
        return settings
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    endpoint = request.getfixturevalue("s3_endpoint")
    return replace(settings, objects_url=f"s3://studio/{tmp_path.name}", s3_endpoint=endpoint)


only_local = pytest.mark.parametrize("settings", ["local"], indirect=True)


@pytest.fixture
def item(server: Running) -> int:
    studio = server.house.studio
    return item_of(studio, give(studio, "hers", "Ada", SONG, cached=False), "mix").id


def approved(api: Api, item: int) -> tuple[httpx.Client, int]:
    """Emi, with a wish that Olga agreed to."""
    emi = api("editor", "Emi")
    wish = emi.post("/v1/access-requests", json={"item": item, "reason": "the mix clicks at 0:31"}).json()["id"]
    assert (
        api("operator", "Olga").post(f"/v1/access-requests/{wish}/decision", json={"approve": True}).status_code == 200
    )
    return emi, wish


def test_four_eyes(server: Running, api: Api, item: int) -> None:
    emi, olga, bob = api("editor", "Emi"), api("operator", "Olga"), api("editor", "Bob")
    made = emi.post("/v1/access-requests", json={"item": item, "reason": "the mix clicks at 0:31"})
    wish = made.json()
    assert (made.status_code, made.headers["location"]) == (201, f"/v1/access-requests/{wish['id']}")
    assert (wish["status"], wish["own"], wish["may_decide"], wish["may_open"]) == ("waiting", True, False, False)
    path = f"/v1/access-requests/{wish['id']}"
    early = emi.post(f"{path}/open")
    assert early.status_code == 409 and "waits for a decision; ask an operator" in early.json()["detail"]
    # Bob does not even learn that there is such a wish.
    for answer in (bob.get(path), bob.post(f"{path}/open")):
        assert answer.status_code == 404 and "does not exist" in answer.json()["detail"]
    assert emi.post(f"{path}/decision", json={"approve": True}).status_code == 403
    (waiting,) = olga.get("/v1/access-requests", params={"waiting": True}).json()["items"]
    assert waiting["may_decide"] and waiting["requested_by"] == pseudonym("emi")
    decided = olga.post(f"{path}/decision", json={"approve": True}).json()
    assert (decided["status"], decided["decided_by"]) == ("approved", pseudonym("olga"))
    assert olga.post(f"{path}/decision", json={"approve": False}).status_code == 409
    assert olga.post(f"{path}/open").status_code == 403, "who agreed does not open"
    assert emi.get(path).json()["may_open"] is True
    opened = emi.post(f"{path}/open")
    link = opened.json()
    assert opened.status_code == 200 and link["seconds"] == 120 and "no-store" in opened.headers["cache-control"]
    with httpx.Client(base_url=server.url) as anybody:
        first, part = anybody.get(link["url"]), anybody.get(link["url"], headers={"Range": "bytes=0-3"})
        assert (first.content, part.status_code, part.content) == (MIX, 206, b"RIFF")
        assert "attachment" in first.headers["content-disposition"]
        assert f"original-{item}.wav" in first.headers["content-disposition"]
        assert anybody.get(link["url"].replace("original-", "0riginal-")).status_code in (403, 404)
        forged = link["url"].replace("/v1/files/", "/v1/files/A", 1)
        assert anybody.get(forged).status_code in (401, 403, 404, 410)
    again = emi.post(f"{path}/open")
    assert again.status_code == 409 and "was used at" in again.json()["detail"]
    with server.house.session() as session:
        rows = audit.of_subject(session, f"vault:{item}")
        trail = session.execute(text("select string_agg(a::text, ' ') from audit_logs a")).scalar_one()
    steps = ["request", "approve", "open", "read", "read"]
    assert [row.action for row in rows] == [f"access.{step}" for step in steps]
    assert [row.actor for row in rows] == [pseudonym(name) for name in ("emi", "olga", "emi", "emi", "emi")]
    assert all(row.detail["owner"] == pseudonym("ada") for row in rows if row.action != "access.approve")
    assert {row.detail["caller"].partition(":")[0] for row in rows[:3]} == {"key"}
    assert not [word for word in ("Emi", "Olga", "Ada", "clicks", "/v1/files/") if word in trail]


@only_local
def test_one_person_has_two_eyes_whatever_they_are_called(api: Api, item: int) -> None:
    wish = api("operator", "Olga").post("/v1/access-requests", json={"item": item, "reason": "it clicks"}).json()["id"]
    for name in ("Olga", " olga ", "OLGA"):
        own = api("administrator", name)
        assert own.get(f"/v1/access-requests/{wish}").json()["may_decide"] is False
        refused = own.post(f"/v1/access-requests/{wish}/decision", json={"approve": True})
        assert refused.status_code == 403 and "cannot decide on a request of their own" in refused.json()["detail"]


def test_a_link_dies(server: Running, api: Api, item: int, monkeypatch: pytest.MonkeyPatch) -> None:
    emi, wish = approved(api, item)
    link = emi.post(f"/v1/access-requests/{wish}/open").json()
    now = datetime.fromisoformat(link["expires_at"])
    with httpx.Client(base_url=server.url) as anybody:
        monkeypatch.setattr(clock, "now", lambda: now - timedelta(seconds=2))
        assert anybody.get(link["url"]).content == MIX
        monkeypatch.setattr(clock, "now", lambda: now + timedelta(seconds=1))
        replay = anybody.get(link["url"])
    assert replay.status_code == 410 and replay.headers["content-type"] == "application/problem+json"
    assert MIX not in replay.content
    with server.house.session() as session:
        assert [row.action for row in audit.of_subject(session, f"vault:{item}")].count("access.read") == 1


def test_a_link_is_dead_in_the_moment_of_a_withdrawal(server: Running, api: Api, item: int) -> None:
    emi, wish = approved(api, item)
    link = emi.post(f"/v1/access-requests/{wish}/open").json()["url"]
    withdrawal.request(server.house.studio, "ada", Actor("Ada", "viewer"))
    with httpx.Client(base_url=server.url) as anybody:
        assert anybody.get(link).status_code == 404
    assert emi.post("/v1/access-requests", json={"item": item, "reason": "still clicks"}).status_code == 404
    (report,) = withdrawal.carry_out(server.house.studio)
    assert report.done
    with httpx.Client(base_url=server.url) as anybody:
        assert anybody.get(link).status_code == 404


@only_local
def test_a_wish_sent_twice_is_one_and_a_link_is_kept_nowhere(server: Running, api: Api, item: int) -> None:
    emi = api("editor", "Emi")
    again = {"Idempotency-Key": "the-clicking-mix"}
    made = [
        emi.post("/v1/access-requests", json={"item": item, "reason": "it clicks"}, headers=again).json()["id"]
        for _ in range(2)
    ]
    assert made[0] == made[1]
    path = f"/v1/access-requests/{made[0]}"
    assert api("operator", "Olga").post(f"{path}/decision", json={"approve": True}).status_code == 200
    link = emi.post(f"{path}/open", headers=again).json()["url"]
    assert emi.post(f"{path}/open", headers=again).status_code == 409
    assert mentions(server.house.studio, {link.split("/")[3]}) == []


@only_local
def test_an_approval_lapses_after_a_day(server: Running, api: Api, item: int) -> None:
    emi, wish = approved(api, item)
    with server.house.session() as session:
        session.execute(update(AccessRequest).values(decided_at=AccessRequest.decided_at - timedelta(hours=25)))
    assert emi.get(f"/v1/access-requests/{wish}").json()["status"] == "lapsed"
    late = emi.post(f"/v1/access-requests/{wish}/open")
    assert late.status_code == 409 and "more than a day ago" in late.json()["detail"]


@only_local
def test_a_refused_one_stays_refused(api: Api, item: int) -> None:
    emi, olga = api("editor", "Emi"), api("operator", "Olga")
    wish = emi.post("/v1/access-requests", json={"item": item, "reason": "it clicks"}).json()["id"]
    assert olga.post(f"/v1/access-requests/{wish}/decision", json={"approve": False}).json()["status"] == "refused"
    assert emi.post(f"/v1/access-requests/{wish}/open").status_code == 409
    assert olga.get("/v1/access-requests", params={"waiting": True}).json()["items"] == []


@only_local
def test_what_is_kept_and_a_hold(server: Running, api: Api, item: int) -> None:
    ada, bob, olga, adam = (
        api("editor", "ada"),
        api("editor", "bob"),
        api("operator", "olga"),
        api("administrator", "adam"),
    )
    (mine,) = ada.get("/v1/originals").json()["items"]
    assert (mine["id"], mine["kind"], mine["job"], mine["size"]) == (item, "mix", "hers", len(MIX))
    assert mine["owner"] == pseudonym("ada") and mine["legal_hold"] is False
    assert bob.get("/v1/originals").json()["items"] == []
    assert bob.get("/v1/originals", params={"owner": "ada"}).status_code == 404
    assert bob.get(f"/v1/originals/{item}").status_code == 404
    path, why = f"/v1/originals/{item}/hold", {"reason": "a dispute with Bob"}
    assert adam.delete(path).status_code == 409
    assert olga.put(path, json=why).status_code == 403
    assert adam.put(path, json={"reason": "   "}).status_code == 422
    assert adam.put(path, json=why).json()["hold_reason"] == why["reason"]
    (held,) = ada.get("/v1/originals", params={"held": True}).json()["items"]
    assert held["legal_hold"] is True and held["hold_reason"] is None, "why is not the owner's to read"
    assert [one["id"] for one in olga.get("/v1/originals", params={"held": True}).json()["items"]] == [item]
    assert bob.get("/v1/originals", params={"held": True}).json()["items"] == []
    withdrawal.request(server.house.studio, "ada", Actor("Ada", "viewer"))
    withdrawal.carry_out(server.house.studio)
    (kept,) = olga.get("/v1/originals", params={"owner": "ada"}).json()["items"]
    assert (kept["id"], kept["owner"]) == (item, pseudonym("ada")), "a hold outlives a withdrawal"
    assert adam.delete(path).json()["legal_hold"] is False
    with server.house.session() as session:
        steps = [(row.actor, row.action) for row in audit.of_subject(session, f"vault:{item}")]
    assert steps == [(pseudonym("adam"), "vault.hold"), (pseudonym("adam"), "vault.release")]


@only_local
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/originals/0", None),
        ("GET", f"/v1/originals/{2**63}", None),
        ("GET", "/v1/originals/1;drop table vault_items", None),
        ("POST", "/v1/access-requests", {"item": 2**70, "reason": "x"}),
        ("POST", "/v1/access-requests", {"item": 1, "reason": "a\x00b"}),
        ("POST", "/v1/access-requests", {"item": 1, "reason": "x" * 1001}),
        ("POST", "/v1/access-requests", {"item": 1, "reason": "x", "approve": True}),
        ("POST", "/v1/access-requests/1/decision", {"approve": "perhaps"}),
    ],
)
def test_what_is_not_understood_is_refused(api: Api, method: str, path: str, body: object) -> None:
    assert api("administrator", "adam").request(method, path, json=body).status_code == 422


def test_a_store_that_is_away_uses_nothing_up(
    house: House, api: Api, item: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.errors import Unavailable
    from pipelines.storage.objects import Objects

    emi, wish = approved(api, item)

    def away(*_: object) -> bool:
        raise Unavailable("the object store", "could not be reached", 10)

    with monkeypatch.context() as patched:
        patched.setattr(Objects, "exists", away)
        answer = emi.post(f"/v1/access-requests/{wish}/open")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert emi.post(f"/v1/access-requests/{wish}/open").status_code == 200
