"""Attacks on a real server: each gets its answer, nobody else notices, and nothing secret is written down."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.server
import io
import json
import re
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from pipelines import clock
from pipelines.governance.people import Role, pseudonym
from pipelines.identity.callers import SCOPES, Scope
from pipelines.identity.links import Signer
from pipelines.intake import receiving
from pipelines.settings import Settings
from pipelines.storage.database import Database
from pipelines.storage.tables import AuditLog
from serving.api import logs
from serving.api.app import create_app
from serving.api.house import House
from serving.api.protocol import Patient
from tests.identity.oidc import SigningKey, by_hand, issuer
from tests.serving.api.conftest import Running, running
from tests.serving.api.test_uploads import answers, place_of, process, sent
from tests.serving.api.work import mastered

HTML = {"Accept": "text/html"}
MANY = "1000000"  # refusals a second that are borne: where a test makes many on purpose


@dataclass
class Attacked:
    """A server whose every key is remembered, to be looked for in what it wrote."""

    on: Running
    secrets: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.on.url

    @property
    def port(self) -> int:
        return httpx.URL(self.url).port or 80

    @property
    def house(self) -> House:
        return self.on.house

    def key(self, role: Role = "editor", name: str = "ada", scopes: list[Scope] | None = None) -> str:
        self.secrets.append(made := self.on.key(role, name, scopes))
        return made

    def client(self, role: Role = "editor", name: str = "ada", scopes: list[Scope] | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key(role, name, scopes)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    @contextlib.contextmanager
    def visitor(self, role: Role = "editor", name: str = "ada") -> Iterator[tuple[httpx.Client, str]]:
        """A browser that is signed in, and its forms' token."""
        with httpx.Client(base_url=self.url, headers=HTML, timeout=60) as client:
            asked = client.post("/sign-in", data={"key": self.key(role, name)}, headers={"Origin": self.url})
            assert asked.status_code == 303
            found = re.search(r'name="csrf" content="([^"]+)"', client.get("/jobs").text)
            assert found is not None
            self.secrets += [client.cookies["orimono_session"], found[1]]
            yield client, found[1]

    def raw(self, data: bytes) -> bytes:
        """What is answered until the connection ends, or nothing comes for a while."""
        said = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=3) as line, contextlib.suppress(OSError):
            line.sendall(data)
            while part := line.recv(1 << 16):
                said += part
        return said


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, api_refusals_per_second=MANY)


@pytest.fixture
def app(settings: Settings, house: House) -> FastAPI:
    house.settings = settings
    return create_app(settings, house)


@pytest.fixture
def server(settings: Settings, house: House, app: FastAPI) -> Iterator[Attacked]:
    """Afterwards: no secret is in the log or the audit trail, and no request failed in an unforeseen way."""
    stream = io.StringIO()
    with logs.to_stderr(settings, stream), running(settings, house, app) as on:
        found = Attacked(on)
        yield found
        with house.session() as session:
            trail = "\n".join(f"{row.subject} {row.detail}" for row in session.execute(select(AuditLog)).scalars())
    written = stream.getvalue()
    assert '"event": "request"' in written or '"event":"request"' in written
    assert "defect" not in written
    for secret in found.secrets:
        assert secret not in written
        assert secret not in trail


def operations(server: Attacked) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation of the document: method, path, what is said of it."""
    document = httpx.get(f"{server.url}/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            if method in ("get", "post", "put", "patch", "delete", "head"):
                yield method.upper(), path, said


def filled(path: str, value: str = "1") -> str:
    return re.sub(r"\{[^}]+\}", value, path)


# ---- who gets in


OPEN = {"read_file", "get_health", "get_live", "get_ready"}  # a link is a right in itself; health is everybody's
EVERYBODYS = {"get_me", "list_keys", "create_key", "get_key", "revoke_key"}  # whoever has a key may look after it


def test_no_operation_is_open_and_each_has_one_scope(server: Attacked) -> None:
    """An administrator's keys, each with one scope alone: nothing but the scope decides."""
    clients = {scope: server.client("administrator", "ada", [scope]) for scope in SCOPES}
    asked = [one for one in operations(server) if one[1].startswith("/v1/") and one[2]["operationId"] not in OPEN]
    assert len(asked) > 50
    for method, path, said in asked:
        place, headers = filled(path), {"Tus-Resumable": "1.0.0"}
        nobody = httpx.request(method, server.url + place, headers=headers)
        assert nobody.status_code == 401, (method, path)
        if "/events" in path:
            headers["Accept"] = "text/event-stream"
        let_in = {
            scope
            for scope, client in clients.items()
            if client.request(method, place, headers=headers).status_code != 403
        }
        assert len(let_in) == (len(SCOPES) if said["operationId"] in EVERYBODYS else 1), (method, path, let_in)
    for client in clients.values():
        client.close()


def test_another_persons_things_are_as_if_there_were_none(server: Attacked) -> None:
    mastered(server.house)
    places = ("jobs/{}", "jobs/{}/events", "jobs/{}/results", "masters/{}", "alignments/{}", "edits/{}/dynamic")
    with server.client(name="ada") as ada, server.client(name="bob") as bob, server.client("viewer", "eve") as eve:
        assert ada.get("/v1/jobs/dance").status_code == 200
        upload = place_of(ada, 1000).rpartition("/")[2]
        for other in (bob, eve):
            for place in (*places, "consents/{}"):
                theirs, none = (other.get(f"/v1/{place.format(name)}") for name in ("dance", "nothing"))
                assert theirs.status_code == none.status_code == 404, place
                same = none.json()["detail"].replace("nothing", "dance")
                assert theirs.json()["detail"] == same, "and nobody learns that there is one"
            for listed in ("jobs", "edits", "arrangements", "scoring-jobs", "access-requests", "withdrawals"):
                if (answer := other.get(f"/v1/{listed}?owner=ada&job=dance")).status_code != 403:
                    assert answer.json()["items"] == [], listed
            for asked in ("consents", "consents/viewer", "originals", "withdrawals/preview", "keys"):
                assert other.get(f"/v1/{asked}?owner=ada").status_code in (403, 404), asked
            assert other.post("/v1/jobs/dance/retry").status_code in (403, 404)
            assert other.put("/v1/consents/dance", json={"quality": True, "training": True}).status_code == 404
            assert other.post("/v1/withdrawals", json={"owner": "ada"}).status_code == 403
            assert other.post("/v1/recommendations/ada/decisions", json={"video": "x", "decision": "like"}).is_error
        for method in ("GET", "HEAD", "PATCH", "DELETE"):
            headers = {
                "Tus-Resumable": "1.0.0",
                "Upload-Offset": "0",
                "Content-Type": "application/offset+octet-stream",
            }
            assert bob.request(method, f"/v1/uploads/{upload}", headers=headers).status_code == 404
        assert bob.post("/v1/masters", json={"mix": upload}).status_code == 404
        wish = {"title": "x", "owner": "ada", "files": [{"upload": upload}]}
        assert bob.post("/v1/jobs", json=wish).status_code in (403, 404)
        assert ada.get("/v1/jobs/dance").status_code == 200


def test_tokens_that_are_none_open_no_door(settings: Settings, house: House) -> None:
    signing, stream = SigningKey.make("first"), io.StringIO()
    with issuer(signing) as oidc, logs.to_stderr(settings, stream):
        settings = house.settings = replace(settings, oidc_issuer=oidc.url)
        past = int(time.time()) - 3600
        forged = [
            by_hand({"alg": "none", "kid": "first"}, oidc.claims()),
            by_hand({"alg": "HS256", "kid": "first"}, oidc.claims(), signing.pem),
            oidc.token(exp=past),
            oidc.token(iss="https://elsewhere.example"),
            oidc.token(aud="another"),
            oidc.token(SigningKey.make("first")),
            *(oidc.token(SigningKey.make(kid)) for kid in ("a", "../../etc/passwd", "' OR 1=1--")),
        ]
        with running(settings, house) as server:
            for token in forged:
                headers = {"Authorization": f"Bearer {token}"}
                for method, path in (("GET", "/v1/jobs"), ("POST", "/v1/models/x/predict"), ("GET", "/v1/audit")):
                    assert httpx.request(method, server.url + path, headers=headers).status_code == 401
                form = {"key": token}
                asked = httpx.post(f"{server.url}/sign-in", data=form, headers={"Origin": server.url})
                assert asked.status_code == 401 and "set-cookie" not in asked.headers
            good = {"Authorization": f"Bearer {oidc.token()}"}
            assert httpx.get(f"{server.url}/v1/jobs", headers=good).status_code == 200
    written = stream.getvalue()
    assert "a token is refused" in written
    assert not any(part in written for token in forged for part in token.split(".") if len(part) > 20)


def test_a_link_is_good_for_120_s_as_it_was_made(server: Attacked, monkeypatch: pytest.MonkeyPatch) -> None:
    mastered(server.house)
    with server.client(name="ada") as ada, httpx.Client(base_url=server.url) as thief:
        began = clock.now()
        found = {one["path"]: one["url"] for one in ada.get("/v1/jobs/dance/results").json()["items"]}
        path, url = next(iter(found.items()))
        _, _, _, token, name = url.split("/", 4)
        server.secrets.append(token)
        payload, signature = token.split(".")
        said = json.loads(base64.urlsafe_b64decode(payload + "=="))
        assert thief.get(url).status_code == 200

        def again(changed: list[object]) -> str:
            return base64.urlsafe_b64encode(json.dumps(changed, separators=(",", ":")).encode()).decode().rstrip("=")

        later, everything = [*said[:5], said[5] + 3600], [said[0], said[1], None, *said[3:]]
        elsewhere, object_ = [said[0], "..", *said[2:]], ["object", "../database", *said[2:]]
        forged = [f"{again(changed)}.{signature}" for changed in (later, everything, elsewhere, object_)]
        forged += [f"{payload}.{signature[:-1]}", payload, f".{signature}", token.swapcase(), token + "=", token + "."]
        forged.append(Signer(b"x" * 32).link_file("dance", path, who=pseudonym("ada")).split("/")[3])
        for one in forged:
            assert thief.get(f"/v1/files/{one}/{name}").status_code == 403, one
        for other in found.keys() - {path}:
            assert thief.get(f"/v1/files/{token}/{other}").status_code == 403
        for method in ("POST", "PUT", "DELETE"):
            assert thief.request(method, url).status_code == 405
        monkeypatch.setattr(clock, "now", lambda: began + timedelta(seconds=118))
        assert thief.get(url).status_code == 200
        monkeypatch.setattr(clock, "now", lambda: began + timedelta(seconds=121))
        replayed = [thief.get(url).status_code for _ in range(3)]
        assert replayed == [410] * 3
        assert thief.get(url, headers={"Range": "bytes=0-1"}).status_code == 410
        assert ada.get(url).status_code == 410, "the key changes nothing"


# ---- other sites


def test_another_sites_name_that_leads_here_is_refused(server: Attacked) -> None:
    """DNS rebinding: a page of evil.example whose name leads to 127.0.0.1 is of the same origin as this server."""
    key = server.key()
    for path in ("/v1/me", "/", "/sign-in", "/health", "/metrics", "/docs", "/static/orimono.css"):
        headers = {"Host": f"evil.example:{server.port}", "Authorization": f"Bearer {key}"}
        answer = httpx.get(server.url + path, headers=headers)
        assert answer.status_code == 421, path
        assert "ORIMONO_API_URL" in answer.json()["detail"]
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    signed = httpx.post(f"{server.url}/sign-in", data={"key": key}, headers=rebound)
    assert signed.status_code == 421 and "set-cookie" not in signed.headers
    for ours in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST.", "127.0.0.1:1"):
        asked = httpx.get(f"{server.url}/v1/me", headers={"Host": ours, "Authorization": f"Bearer {key}"})
        assert asked.status_code == 200, ours
    for none in (b"", b"[", b"[::1", b"a b", b"x/v1", b"127.0.0.1@evil.example", b"\xe9", b"[1]", b"a:b:c"):
        said = server.raw(b"GET /no HTTP/1.1\r\nHost: %s\r\nAccept: text/html\r\nConnection: close\r\n\r\n" % none)
        assert said.startswith(b"HTTP/1.1 400 "), (none, said[:60])
    shake = "GET /v1/live HTTP/1.1\r\nHost: {}\r\nOrigin: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    shake += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    here = f"127.0.0.1:{server.port}"
    for host, origin in (("evil.example", "http://evil.example"), (here, "http://evil.example"), (here, "http://[")):
        assert server.raw(shake.format(host, origin).encode()).startswith(b"HTTP/1.1 403 "), (host, origin)


def test_a_head_that_can_be_read_in_two_ways_is_refused(server: Attacked) -> None:
    head = b"GET /v1/me HTTP/1.1\r\nHost: localhost\r\n"
    key = server.key().encode()
    for twice in (b"Host: localhost\r\n", b"Authorization: Bearer x\r\nAuthorization: Bearer %s\r\n" % key):
        assert server.raw(head + twice + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    post = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n" % key
    hidden = b"GET /v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for smuggling in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Content-Length: +0\r\n\r\n",
        b"Content-Length : 0\r\n\r\n",
        b"X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        said = server.raw(post + smuggling + hidden)
        assert said.startswith(b"HTTP/1.1 400 ") and said.count(b"HTTP/1.1 ") == 1, smuggling


def test_other_sites_cannot_act_with_the_pages_cookie(server: Attacked) -> None:
    with server.visitor("operator", "olga") as (client, csrf):
        flag = {"enabled": False, "reason": "evil"}
        before = client.get("/v1/flags").json()
        foreign = {"Origin": "https://evil.example"}
        for headers in ({}, foreign, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x" * 43}):
            assert client.put("/v1/flags/enable_align", json=flag, headers=headers).status_code == 403
            plain = {**headers, "Content-Type": "text/plain"}  # what a form of another site can send
            assert client.post("/v1/jobs", content=json.dumps(flag), headers=plain).status_code == 403
        for headers in (foreign, {"Origin": "null"}, {"Origin": "http://["}, {"Referer": "https://evil.example/"}, {}):
            form = {"csrf": csrf, "enabled": "off", "reason": "evil"}
            assert client.post("/flags/enable_align", data=form, headers=headers).status_code == 403
        assert client.get("/v1/flags").json() == before
        assert client.get("/sign-out").status_code == 405 and client.get("/jobs").status_code == 200
        answer = client.get("/v1/flags", headers=foreign)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        asked = {**foreign, "Access-Control-Request-Method": "PUT"}
        assert client.options("/v1/flags/enable_align", headers=asked).status_code == 405
        for then in ("//evil.example", "//[", "https://evil.example", "/\\evil.example", "//evil.example\u2100"):
            assert client.get("/sign-in", params={"then": then}).headers["location"] == "/", then
        form = {"key": server.key(name="mallory")}  # to be signed in as somebody else, and not notice
        assert client.post("/sign-in", data=form, headers=foreign).status_code == 403


# ---- what is sent


WRONG = {
    "deep": b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "a long number": b'{"features":[' + b"9" * 5000 + b"]}",
    "beyond numbers": b'{"features":[1e999]}',
    "no number": b'{"features":[NaN]}',
    "half a character": b'{"title":"\\ud800","user":"\\ud800","features":[1],"reason":"\\ud800"}',
    "NUL": b'{"title":"\\u0000","user":"\\u0000","features":[1],"owner":"\\u0000","reason":"\\u0000"}',
    "no UTF-8": b'{"title":"\xff"}',
    "UTF-16": '{"features":[1]}'.encode("utf-16"),
    "nothing": b"",
    "too large": b'{"a":"' + b"a" * (1 << 20) + b'"}',
}
MELODY = b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\x0c\0\x90\x3c\x40\x60\x80\x3c\0\0\xff\x2f\0"
PLACES = ("%00", "%ff", "%ed%a0%80", "..%2f..%2fetc%2fpasswd", "-1", "9" * 30, "%0d%0aX-Evil:1", "a" * 3000, "%27--")


def test_bodies_that_are_none_fail_nothing(server: Attacked) -> None:
    with server.client("administrator", "ada") as client:
        for method, path, said in operations(server):
            if "application/json" not in said.get("requestBody", {}).get("content", {}):
                continue
            for what, body in WRONG.items():
                answer = client.request(
                    method, filled(path), content=body, headers={"Content-Type": "application/json"}
                )
                assert answer.status_code in (400, 413, 422), (method, path, what, answer.text)


def test_places_that_are_none_fail_nothing(server: Attacked) -> None:
    with server.client("administrator", "ada") as client, server.visitor("administrator", "ada") as (visitor, _):
        for method, path, said in operations(server):
            if "{" not in path and not said.get("parameters"):
                continue
            for value in PLACES:
                names = [one["name"] for one in said.get("parameters", ()) if one["in"] == "query"]
                asked = filled(path, value) + "?" + "&".join(f"{name}={value}" for name in names)
                answer = client.request(method, asked, headers={"Tus-Resumable": "1.0.0"})
                assert answer.status_code < 500 or answer.status_code == 503, (method, asked, answer.text)
                assert "x-evil" not in answer.headers
        pages = ("jobs", "edits", "masters", "arrangements", "scoring", "models", "rollout", "new", "static", "audit")
        for page in (*pages, "consents", "withdrawals", "originals", "approvals", "keys"):
            for value in PLACES:
                for asked in (f"/{page}/{value}", f"/{page}?job={value}&owner={value}&cursor={value}&actor={value}"):
                    assert visitor.get(asked).status_code < 500, asked


def test_names_are_shown_and_nothing_more(server: Attacked) -> None:
    """Of files, jobs and people: no HTML, no template, no SQL, no second line in the log."""
    hostile = "{{7*7}} ${7*7} <img src=x onerror=alert(1)>\"'; DROP TABLE jobs"
    with server.client("operator", hostile) as client, server.visitor("operator", hostile) as (visitor, _):
        upload = sent(
            client,
            b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\x0c\0\x90\x3c\x40\x60\x80\x3c\0\0\xff\x2f\0",
            "x.mid",
            "melody",
        )
        wish = {"title": hostile, "files": [{"upload": upload["id"], "tags": [hostile]}]}
        made = client.post("/v1/jobs", json=wish)
        names = [one["name"] for one in client.get("/v1/jobs").json()["items"]]
        if made.status_code == 202:
            assert made.json()["name"] in names and not set("<>{}'\"; \n") & set(made.json()["name"])
        for page in ("/", "/jobs", f"/jobs?owner={hostile}", f"/audit?actor={hostile}", "/keys", "/consents"):
            html = visitor.get(page).text
            assert "<img src=x" not in html and "49 $" not in html and "Drop" not in html, page
        told = client.get("/v1/jobs", headers={"X-Request-Id": 'a"b", "level": "x'}).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{16}", told)
        for injected in ("' OR '1'='1", "x'; DROP TABLE jobs; --", "%"):
            assert client.get("/v1/jobs", params={"owner": injected}).json()["items"] == []


def test_what_lies_behind_a_body_is_not_gathered(server: Attacked) -> None:
    """Trailers and the extensions of chunks have no end of their own."""
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    for begun, block in ((b"2\r\n{}\r\n0\r\n", b"x: %s\r\n" % (b"a" * 1000) * 100), (b"2;a=", b"a" * 100_000)):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line, pytest.raises(OSError):
            line.sendall(head + begun)
            for _ in range(1000):
                line.sendall(block)
    with server.client() as other:
        assert other.get("/v1/me").status_code == 200


def test_bombs_are_refused_by_their_content(server: Attacked, tmp_path: Path) -> None:
    import openpyxl

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clip.mp4", bytes(32 << 20))
    book, sheet = openpyxl.Workbook(), io.BytesIO()
    book.save(sheet)
    bomb = io.BytesIO()
    with zipfile.ZipFile(sheet) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        new.writestr("xl/sharedStrings.xml", b"<sst>" + b" " * (300 << 20) + b"</sst>")
    playlist = b"ffconcat version 1.0\nfile /etc/passwd\n"
    files = {
        ("clip.mp4", "clip"): packed.getvalue(),
        ("song.wav", "music"): gzip.compress(bytes(1 << 20)),
        ("clip.mov", "clip"): playlist,
        ("sheet.xlsx", "sheet"): bomb.getvalue(),
        ("link.gsheet", "sheet"): b'{"url": "http://169.254.169.254/latest/meta-data"}',
    }
    with server.client(name="mallory") as mallory, server.client(name="ada") as ada:
        for (name, kind), data in files.items():
            place = sent(mallory, data, name, kind)
            end = time.monotonic() + 60
            while place["status"] == "checking" and time.monotonic() < end:
                assert ada.get("/v1/me").status_code == 200
                place = mallory.get(f"/v1/uploads/{place['id']}").json()
            assert place["status"] == "refused", (name, place)
            assert place["error"].startswith(f"{name}: ") and str(tmp_path) not in place["error"]
    assert not [one for one in (server.house.settings.home_path / "incoming").rglob("*") if one.is_file()]


def test_no_field_of_a_job_leads_the_server_elsewhere(server: Attacked) -> None:
    """SSRF: whoever listens here hears nothing. Links in sheets are tests/scoring/test_fetching.py's."""
    heard: list[str] = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def handle(self) -> None:
            heard.append(self.client_address[0])

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        there = f"http://127.0.0.1:{listener.server_port}/x"
        with server.client("operator") as client:
            for path, wish in (
                ("jobs", {"files": [{"upload": there}]}),
                ("jobs", {"files": [{"upload": "a" * 22, "url": there}]}),
                ("scoring-jobs", {"sheet": there, "categories": ["a"]}),
                ("scoring-jobs", {"sheet": "a" * 22, "categories": ["a"], "base_url": there}),
                ("scoring-jobs", {"sheet": "a" * 22, "categories": ["a"], "provider": there}),
                ("edits", {"music": there, "clips": ["file:///etc/passwd"]}),
            ):
                assert client.post(f"/v1/{path}", json=wish).status_code == 422, (path, wish)
            for name in (there, "file:///etc/passwd", "http://[::1]/"):
                assert client.get(
                    "/v1/jobs", headers={"X-Forwarded-Host": name, "Forwarded": f"host={name}"}
                ).is_success
        listener.shutdown()
    assert heard == []


# ---- too much


def test_a_key_in_other_clothes_is_the_same_key(settings: Settings, house: House) -> None:
    """Limits are a caller's: neither another spelling of the header nor more cookies make a new one."""
    settings = house.settings = replace(settings, api_refusals_per_second="0.1")
    with running(settings, house) as on:
        server = Attacked(on)
        key = server.key("viewer", "mallory")
        spelt = [f"{'bearer' if i % 2 else 'Bearer'}{' ' * (i + 1)}{key}" for i in range(8)]
        found = [httpx.get(f"{server.url}/metrics", headers={"Authorization": one}).status_code for one in spelt]
        assert found[0] == 403 and set(found[1:]) <= {429, 401} and 429 in found
        with server.visitor("viewer", "eve") as (client, _):
            cookie = client.cookies["orimono_session"]
            client.cookies.clear()
            found = [
                client.get("/audit", headers={"Cookie": f"x{i}=1; orimono_session={cookie}"}).status_code
                for i in range(6)
            ]
            assert found[0] == 403 and set(found[1:]) == {429}
            more = {"Cookie": f"orimono_session={cookie}", "Authorization": "Bearer new"}
            assert client.get("/audit", headers=more).status_code == 429
        with server.client("operator", "olga") as other:
            assert [other.get("/metrics").status_code for _ in range(20)] == [200] * 20


def test_connections_beyond_what_there_is_room_for_are_closed(
    server: Attacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens them and says nothing takes no file from anybody else, and others come in when they have gone."""
    with contextlib.ExitStack() as stack:
        monkeypatch.setattr(Patient, "most", 8)
        lines = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 5)) for _ in range(12)]
        closed = 0
        for line in lines[8:]:
            with contextlib.suppress(ConnectionResetError):
                assert line.recv(1) == b""
            closed += 1
        assert closed == 4
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{server.url}/health/live")
    end = time.monotonic() + 30
    with server.client() as other:
        while True:
            with contextlib.suppress(httpx.TransportError):
                assert other.get("/v1/me").status_code == 200
                break
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_form_says_how_long_it_is(server: Attacked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its files are put on the disk; there is room for none that is too large."""
    with server.visitor() as (client, _):
        origin = {"Origin": server.url, "Content-Type": "multipart/form-data; boundary=x"}
        assert client.post("/upload/master", content=iter([b"--x--\r\n"]), headers=origin).status_code == 411
        cookie = f"orimono_session={client.cookies['orimono_session']}"
        head = f"POST /upload/master HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: {server.url}\r\n"
        head += f"Cookie: {cookie}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        monkeypatch.setattr(receiving, "SPARE", 1 << 60)  # of the disk: it is as good as full
        for length, status in ((1 << 40, 413), (1 << 30, 503)):
            said = server.raw(f"{head}Content-Length: {length}\r\n\r\n".encode())
            assert said.startswith(f"HTTP/1.1 {status} ".encode()), said[:80]


def test_a_flood_of_bad_requests_from_one_key_harms_nobody(settings: Settings, database: Database) -> None:
    """Three processes ask as fast as they can, with the server in one of its own; everybody else is answered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = replace(settings, api_refusals_per_second="50")
    with contextlib.closing(House(home)) as house, process(home, port):
        keys = Attacked(Running(f"http://127.0.0.1:{port}", house, None))  # type: ignore[arg-type]
        bad, seconds = keys.key("viewer", "mallory"), 2.0
        with keys.client("operator", "ada") as ada, keys.client("editor", "bob") as bob:
            end = time.monotonic() + 60
            while not answers(bob):
                assert time.monotonic() < end
                time.sleep(0.05)
            began = time.monotonic()
            script = str(Path(__file__).with_name("flood.py"))
            command = [sys.executable, script, str(port), bad, str(seconds)]
            floods = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
            others: list[int] = []
            while any(one.poll() is None for one in floods):
                others += [ada.get("/metrics").status_code, bob.get("/v1/jobs").status_code]
                others += [bob.get("/v1/me").status_code, httpx.get(f"{keys.url}/health/live").status_code]
            took = time.monotonic() - began
            flooded: Counter[str] = Counter()
            for one in floods:
                flooded.update(json.loads(one.communicate()[0]))
            assert set(others) == {200}, Counter(others)
            assert len(others) >= 20
            assert set(flooded) <= {"asked", "403", "429", "cut"}, flooded
            assert flooded["asked"] > 3000 and flooded["429"] > 100, flooded
            looked_at = 50 + 50 * took + 3 * 150  # what the bucket held and gained, and what was under way
            assert flooded["403"] <= looked_at, flooded
            end = time.monotonic() + 60
            headers = {"Authorization": f"Bearer {bad}"}
            while httpx.get(f"{keys.url}/v1/me", headers=headers).status_code == 429:
                assert time.monotonic() < end, "who has stopped is answered again"
                time.sleep(0.2)
