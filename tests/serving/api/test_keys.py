"""Keys over HTTP: one's own, and everybody's for who may manage them."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

from pipelines.identity.callers import SCOPES, scopes_of
from tests.serving.api.conftest import Api, Running

DAY = timedelta(days=1)


def at(value: str) -> datetime:
    return datetime.fromisoformat(value)


def test_who_one_is(api: Api) -> None:
    found = api("operator", "olga", scopes=["operate", "jobs:read"]).get("/v1/me").json()
    assert (found["name"], found["role"], found["everybody"]) == ("olga", "operator", True)
    assert found["scopes"] == ["jobs:read", "operate"]
    assert found["label"].startswith("key:") and len(found["pseudonym"]) == 16


def test_a_key_of_ones_own_is_made_used_and_revoked(server: Running, api: Api) -> None:
    ada = api("editor", "ada")
    answer = ada.post("/v1/keys", json={"label": "laptop", "scopes": ["jobs:read"], "days": 7})
    assert answer.status_code == 201 and answer.headers["cache-control"] == "no-store"
    made = answer.json()
    assert answer.headers["location"] == f"/v1/keys/{made['id']}"
    assert (made["owner"], made["role"], made["scopes"], made["status"]) == ("ada", "editor", ["jobs:read"], "works")
    assert at(made["expires_at"]) - at(made["created_at"]) == 7 * DAY
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {made['key']}"}) as mine:
        assert mine.get("/v1/me").json()["scopes"] == ["jobs:read"]
        listed = ada.get("/v1/keys").json()["items"]
        assert [key["label"] for key in listed] == ["laptop", ""]
        assert made["key"] not in ada.get("/v1/keys").text + ada.get(f"/v1/keys/{made['id']}").text
        assert ada.delete(f"/v1/keys/{made['id']}").json()["status"] == "revoked"
        refused = mine.get("/v1/me")
    assert refused.status_code == 401, "at once, where it was revoked"
    assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert ada.delete(f"/v1/keys/{made['id']}").json()["status"] == "revoked"


def test_what_is_left_out_is_the_callers_own(api: Api) -> None:
    made = api("editor", "ada", scopes=["infer", "jobs:read"]).post("/v1/keys", json={}).json()
    assert (made["owner"], made["role"], made["scopes"]) == ("ada", "editor", ["jobs:read", "infer"])
    assert at(made["expires_at"]) - at(made["created_at"]) == 90 * DAY


def test_others_keys_are_not_there(api: Api) -> None:
    ada, bo, olga = api("editor", "ada"), api("editor", "bo"), api("operator", "olga")
    made = ada.post("/v1/keys", json={"label": "hers"}).json()
    for other in (bo, olga):
        assert [key["owner"] for key in other.get("/v1/keys").json()["items"]] == [other.get("/v1/me").json()["name"]]
        for method, path in (("GET", made["id"]), ("DELETE", made["id"]), ("GET", "00000000")):
            answer = other.request(method, f"/v1/keys/{path}")
            assert answer.status_code == 404 and path in answer.json()["detail"]
        assert other.get("/v1/keys", params={"owner": "ada"}).status_code == 403
        assert other.post("/v1/keys", json={"owner": "ada"}).status_code == 403
    assert ada.get(f"/v1/keys/{made['id']}").json()["status"] == "works"


def test_nobody_gives_more_than_they_have(api: Api) -> None:
    ada = api("editor", "ada", scopes=["jobs:read"])
    for wish in (
        *({"role": "operator"}, {"role": "administrator"}, {"scopes": ["jobs:write"]}, {"scopes": ["keys"]}),
        *({"days": None}, {"owner": "bo"}, {"role": "operator", "scopes": ["jobs:read"]}),
    ):
        answer = ada.post("/v1/keys", json=wish)
        assert answer.status_code == 403, wish
    assert len(ada.get("/v1/keys").json()["items"]) == 1


def test_a_key_made_with_a_key_ends_with_it(server: Running, api: Api) -> None:
    short = api("editor", "ada").post("/v1/keys", json={"days": 2}).json()
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {short['key']}"}) as mine:
        longer = mine.post("/v1/keys", json={"days": 3000}).json()
    assert longer["expires_at"] == short["expires_at"]


def test_who_manages_keys_sees_and_gives_all(api: Api) -> None:
    adam, ada = api("administrator", "adam"), api("editor", "ada")
    made = adam.post("/v1/keys", json={"owner": "Bo", "role": "operator", "days": None}).json()
    assert made["expires_at"] is None and set(made["scopes"]) == scopes_of("operator")
    assert {key["owner"] for key in adam.get("/v1/keys").json()["items"]} == {"adam", "ada", "Bo"}
    assert [key["owner"] for key in adam.get("/v1/keys", params={"owner": " BO"}).json()["items"]] == ["Bo"]
    hers = ada.get("/v1/keys").json()["items"][0]["id"]
    assert adam.delete(f"/v1/keys/{hers}").json()["status"] == "revoked"
    assert ada.get("/v1/me").status_code == 401
    narrow = api("administrator", "eve", scopes=[scope for scope in SCOPES if scope != "keys"])
    assert {key["owner"] for key in narrow.get("/v1/keys").json()["items"]} == {"eve"}


def test_the_list_comes_in_pages(api: Api) -> None:
    ada = api("editor", "ada")
    made = [ada.post("/v1/keys", json={}).json()["id"] for _ in range(5)]
    seen, path = [], "/v1/keys?limit=2"
    while path:
        answer = ada.get(path)
        seen += [key["id"] for key in answer.json()["items"]]
        path = answer.links.get("next", {}).get("url", "")
        assert (answer.json()["next"] is not None) == bool(path)
    assert seen[:5] == made[::-1] and len(seen) == len(set(seen)) == 6


@pytest.mark.parametrize(
    "wish",
    [
        *({"role": "root"}, {"scopes": ["jobs:delete"]}, {"days": 0}, {"days": 1e9}, {"label": "x" * 101}),
        *({"owner": " "}, {"admin": True}, {"scopes": "jobs:read"}, [], {"label": "a\x00b"}, {"label": "a\x1b[2Jb"}),
        {"owner": "a\x00b"},
    ],
)
def test_wishes_that_cannot_be(api: Api, wish: object) -> None:
    answer = api("administrator", "adam").post("/v1/keys", json=wish)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("key", ["0", "zzzzzzzz", "DEADBEEF", "deadbeef0", "'%20or%201=1"])
def test_what_is_no_keys_name(api: Api, key: str) -> None:
    assert api().get(f"/v1/keys/{key}").status_code == 422


def test_a_hundred_are_enough(server: Running, api: Api) -> None:
    ada = api("editor", "ada")
    for _ in range(99):
        server.key("editor", "Ada")
    refused = ada.post("/v1/keys", json={})
    assert refused.status_code == 409 and "100" in refused.json()["detail"]
    ada.delete(f"/v1/keys/{ada.get('/v1/keys').json()['items'][0]['id']}")
    assert ada.post("/v1/keys", json={}).status_code == 201


def test_no_secret_in_log_or_table(server: Running, api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        ada = api("editor", "ada")
        made = ada.post("/v1/keys", json={"label": "laptop"}).json()["key"]
        with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {made}"}) as mine:
            assert mine.get("/v1/me").status_code == 200
            wrong = made[:-4] + "AAAA"
            assert mine.get("/v1/me", headers={"Authorization": f"Bearer {wrong}"}).status_code in (200, 401)
    told = "\n".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    assert made not in told and made[13:50] not in told
    with server.house.session() as session:
        names = session.execute(text("select tablename from pg_tables where schemaname = 'public'")).scalars().all()
        for name in names:
            for row in session.execute(text(f'select t::text from "{name}" t')).scalars():
                assert made[13:] not in row, name
