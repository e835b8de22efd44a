"""Who is let in, over a real server: by key, by a real issuer's token, by the pages' cookie; and while the database or
the issuer is away."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from pipelines.identity import issuer as issuers
from pipelines.identity import keys, known, sessions
from pipelines.settings import Settings
from pipelines.storage import embedded
from pipelines.storage.database import Database
from serving.api import callers
from serving.api.callers import Callers
from serving.api.house import House
from tests.identity.oidc import Oidc, SigningKey, by_hand, issuer
from tests.serving.api.conftest import Api, Running, running


@pytest.fixture(scope="module")
def signing() -> SigningKey:
    return SigningKey.make("first")


@pytest.fixture
def oidc(signing: SigningKey) -> Iterator[Oidc]:
    with issuer(signing) as found:
        yield found


@pytest.fixture
def open_server(settings: Settings, database: Database, oidc: Oidc) -> Iterator[Running]:
    """Takes tokens of the issuer, too."""
    settings = replace(settings, oidc_issuer=oidc.url)
    with running(settings, House(settings)) as found:
        yield found


def me(server: Running, authorization: str | None = None, **more: str) -> httpx.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    return httpx.get(f"{server.url}/v1/me", headers=headers | more, timeout=30)


def test_without_a_key(server: Running) -> None:
    answer = me(server)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["detail"] == "this request: names no caller; send Authorization: Bearer KEY"


def test_what_is_no_key(server: Running) -> None:
    key = server.key()
    last = "A" if key[-1] != "A" else "B"
    for authorization in (
        *("Bearer", f"Basic {key}", key, f"Bearer {key} {key}", f"Bearer {key[:-1]}{last}"),
        *(f"Bearer orm_00000000_{'A' * 43}", "Bearer a.b.c", f"Bearer {'a' * 20_000}", "Bearer ' or 1=1 --"),
        f"Bearer {by_hand({'alg': 'none'}, {'sub': 'ada', 'orimono_role': 'administrator'})}",
    ):
        answer = me(server, authorization)
        assert answer.status_code in (401, 431), authorization[:40]
        assert key not in answer.text
    assert me(server, f"bearer {key}").status_code == 200, "the scheme's case makes no difference (RFC 9110, 11.1)"


def test_a_key_without_the_scope(api: Api) -> None:
    answer = api("editor", "ada", scopes=["infer"]).get("/v1/jobs")
    assert answer.status_code == 403
    assert answer.json()["detail"].startswith("this key: lacks the scope jobs:read")


def test_a_key_in_an_address_is_none(server: Running) -> None:
    key = server.key()
    for name in ("key", "token", "access_token", "api_key"):
        assert httpx.get(f"{server.url}/v1/me", params={name: key}).status_code == 401


def test_a_token_of_the_issuer(open_server: Running, oidc: Oidc) -> None:
    found = me(open_server, f"Bearer {oidc.token(orimono_role='operator')}").json()
    assert (found["name"], found["role"]) == ("ada", "operator")
    assert found["label"] == f"token:{found['pseudonym']}"
    assert me(open_server, f"Bearer {open_server.key()}").status_code == 200, "keys are taken beside them"


def test_forged_tokens(open_server: Running, oidc: Oidc, signing: SigningKey) -> None:
    now = int(time.time())
    forged = {
        "none algorithm": by_hand({"alg": "none", "kid": "first"}, oidc.claims()),
        "public key as a secret": by_hand({"alg": "HS256", "kid": "first"}, oidc.claims(), signing.pem),
        "expired": oidc.token(exp=now - 3600),
        "not yet": oidc.token(nbf=now + 3600),
        "foreign issuer": oidc.token(iss="https://elsewhere.example"),
        "another audience": oidc.token(aud="another"),
        "another's key": oidc.token(SigningKey.make("first")),
        "a key there is not": oidc.token(SigningKey.make("second")),
        "own key in the header": oidc.token(SigningKey.make("third"), {"jwk": signing.jwk}),
        "no role": oidc.token(orimono_role=None),
        "huge": oidc.token(padding="a" * 9000),
    }
    for name, token in forged.items():
        answer = me(open_server, f"Bearer {token}")
        assert answer.status_code == 401, name
        assert answer.json()["detail"].startswith("this key or token: is none"), "and no word of why"
        assert token not in answer.text
    assert me(open_server, f"Bearer {oidc.token()}").status_code == 200


def test_keys_of_the_issuer_rotate(
    open_server: Running, oidc: Oidc, monkeypatch: pytest.MonkeyPatch, signing: SigningKey
) -> None:
    monkeypatch.setattr(issuers, "AGAIN", 0.0)
    monkeypatch.setattr(known, "FRESH", 0.0)
    old = oidc.token()
    assert me(open_server, f"Bearer {old}").status_code == 200
    oidc.rotate("ES256")
    assert me(open_server, f"Bearer {oidc.token()}").status_code == 200
    assert me(open_server, f"Bearer {old}").status_code == 401
    oidc.keys[:] = [signing]


def test_the_issuer_is_away(open_server: Running, oidc: Oidc) -> None:
    before = oidc.token()
    oidc.away = True
    refused = me(open_server, f"Bearer {before}")
    assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1
    assert me(open_server, f"Bearer {open_server.key()}").status_code == 200, "keys need no issuer"


def test_tokens_go_on_while_the_issuer_is_away(
    open_server: Running, oidc: Oidc, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert me(open_server, f"Bearer {oidc.token()}").status_code == 200
    oidc.away = True
    monkeypatch.setattr(issuers, "FRESH", 0.0)
    assert me(open_server, f"Bearer {oidc.token(sub='bo')}").json()["name"] == "bo"


def test_a_token_is_none_where_no_issuer_is_set(server: Running, oidc: Oidc) -> None:
    assert me(server, f"Bearer {oidc.token()}").status_code == 401
    assert oidc.asked == []


def test_the_pages_cookie_reads_and_with_the_forms_token_writes(server: Running) -> None:
    with server.house.session() as session:
        made = keys.make(session, "ada", "editor")
        found = keys.verify(session, made.key)
        assert found is not None
        begun = sessions.begin(session, found.caller)
    with httpx.Client(base_url=server.url, cookies={sessions.COOKIE: begun.cookie}) as page:
        assert page.get("/v1/me").json()["name"] == "ada"
        for csrf in ({}, {sessions.CSRF_HEADER: "x"}, {sessions.CSRF_HEADER: begun.cookie}):
            refused = page.post("/v1/keys", json={}, headers=csrf)
            assert refused.status_code == 403 and sessions.CSRF_HEADER in refused.json()["detail"]
        assert page.post("/v1/keys", json={}, headers={sessions.CSRF_HEADER: begun.csrf}).status_code == 201
        wrong = page.get("/v1/me", headers={"Authorization": f"Bearer orm_00000000_{'A' * 43}"})
        assert wrong.status_code == 401, "who names a key comes with that key"
        assert page.delete(f"/v1/keys/{made.prefix}", headers={sessions.CSRF_HEADER: begun.csrf}).status_code == 200
        assert page.get("/v1/me").status_code == 401, "the session ends with its key"


def test_a_revocation_elsewhere_is_seen(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "FRESH", 0.05)
    monkeypatch.setattr(known, "SOON", 0.01)
    key = server.key()
    assert me(server, f"Bearer {key}").status_code == 200
    with server.house.session() as session:  # as another process would
        row = keys.api_keys.by_prefix(session, key[4:12])
        assert row is not None
        keys.revoke(session, row, keys.Actor("ada", "editor"))
    until = time.monotonic() + 30
    while me(server, f"Bearer {key}").status_code == 200 and time.monotonic() < until:
        time.sleep(0.02)
    assert me(server, f"Bearer {key}").status_code == 401


def test_a_known_caller_costs_no_question(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with house.session() as session:
        key = keys.make(session, "ada", "editor").key
    asked = []
    real = keys.verify
    monkeypatch.setattr(keys, "verify", lambda *arguments: asked.append(1) or real(*arguments))

    async def often() -> set[str]:
        found = house.one(Callers)
        first = await asyncio.gather(*(found.of(key) for _ in range(50)))
        return {caller.name for caller in [*first, *[await found.of(key) for _ in range(1000)]]}

    assert asyncio.run(often()) == {"ada"}
    assert len(asked) == 1, "fifty at once ask once, the others not at all"


@dataclass(frozen=True)
class Stoppable:
    """A database server that nobody but the test starts and stops."""

    home: Path

    def start(self) -> str:
        return embedded.start(self.home, durable=False)

    def stop(self) -> None:
        embedded.stop(self.home, force=True)


@pytest.fixture
def stoppable() -> Iterator[Stoppable]:
    found = Stoppable(Path(tempfile.mkdtemp(prefix="orimono-away-")))
    try:
        yield found
    finally:
        found.stop()
        shutil.rmtree(found.home, ignore_errors=True)


def test_while_the_database_is_away(stoppable: Stoppable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "FRESH", 0.1)
    monkeypatch.setattr(known, "SOON", 0.05)
    monkeypatch.setattr(known, "AGAIN", 0.2)
    url = stoppable.start().replace("/postgres?", "/orimono?")
    house = House(Settings(home=str(tmp_path / "home"), database_url=url))
    assert house.studio  # open before the server's own threads ask for it
    with running(house.settings, house) as server:
        key, other = server.key("editor", "ada"), server.key("editor", "bo")
        assert me(server, f"Bearer {key}").status_code == 200
        stoppable.stop()
        time.sleep(0.2)
        for _ in range(20):
            assert me(server, f"Bearer {key}").status_code == 200, "who was known goes on"
        refused = me(server, f"Bearer {other}")
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) >= 1
        assert refused.json()["status"] == 503
        assert me(server, "Bearer nonsense").status_code == 401, "what is none by its form needs no database"
        stoppable.start()
        until = time.monotonic() + 60
        while me(server, f"Bearer {other}").status_code == 503 and time.monotonic() < until:
            time.sleep(0.1)
        assert me(server, f"Bearer {other}").status_code == 200, "and it recovers by itself"


def test_a_database_that_hangs_keeps_nobody_waiting(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "FRESH", 0.0)
    monkeypatch.setattr(callers, "PATIENCE", 0.05)
    with house.session() as session:
        key, other = (keys.make(session, name, "editor").key for name in ("ada", "bo"))
    goes_on = threading.Event()
    real = keys.verify

    def hanging(*arguments: object) -> keys.Found | None:
        assert goes_on.wait(60)
        return real(*arguments)  # type: ignore[arg-type]

    async def ask() -> None:
        found = house.one(Callers)
        await found.of(key)
        monkeypatch.setattr(keys, "verify", hanging)
        for _ in range(50):
            assert (await found.of(key)).name == "ada"
        with pytest.raises(callers.Unavailable):
            await found.of(other)
        goes_on.set()
        monkeypatch.setattr(known, "AGAIN", 0.0)
        assert (await found.of(other)).name == "bo"

    asyncio.run(ask())
