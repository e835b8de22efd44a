"""Who may not, may not: each form and page of models, people and keys, asked by the wrong person, without the session's
token, and from another site."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from pipelines.governance.people import Role
from pipelines.storage.tables import Base
from tests.governance import house as governed
from tests.serving.api.conftest import Running
from tests.serving.pages import lived_in

# Page -> the lowest role that may see it.
PAGES: dict[str, Role] = {
    "/models": "operator",
    "/models/preset_cls": "operator",
    "/rollout": "operator",
    "/rollout/preset_cls": "operator",
    "/flags": "operator",
    "/consents": "viewer",
    "/withdrawals": "viewer",
    "/originals": "editor",
    "/approvals": "editor",
    "/audit": "operator",
    "/audit/verification": "operator",
    "/keys": "viewer",
}
# Form -> the fields that would do it, and the role just below the one that may (None: everybody may, for themselves).
DEEDS: dict[str, tuple[dict[str, str], Role | None]] = {
    "/rollout/preset_cls/review": ({"action": "promote", "reason": "x"}, "editor"),
    "/rollout/preset_cls": ({"action": "roll_back", "reason": "x", "etag": "*"}, "editor"),
    "/flags/enable_align": ({"to": "off", "reason": "x", "etag": "*"}, "editor"),
    "/consents/jobs/old-tram": ({"owner": "Ben"}, "editor"),
    "/consents/viewer": ({"to": "refuse", "owner": "Ben"}, "editor"),
    "/withdrawals": ({"owner": "Ben", "sure": "on"}, "editor"),
    "/originals/1/ask": ({"reason": "x"}, "viewer"),
    "/originals/1/hold": ({"reason": "x"}, "operator"),
    "/originals/1/release": ({}, "operator"),
    "/approvals/1": ({"decision": "approve"}, "editor"),
    "/approvals/1/open": ({}, "viewer"),
    "/keys": ({"label": "x", "owner": "Ben"}, "operator"),
    "/keys/{prefix}/revoke": ({}, "operator"),
}
ROLES: tuple[Role, ...] = ("viewer", "editor", "operator", "administrator")
SITE = {"Accept": "text/html"}


@pytest.fixture
def studio(server: Running) -> Running:
    lived_in.a_short_life(server.house.studio)
    governed.give(server.house.studio, "old-tram", "Ben", {"mix-b.wav": b"mix " * 99})
    with server.house.session() as session:
        lived_in.access.request(session, lived_in.Actor("Ben", "editor"), 1, "to hear it")
    return server


def everything(server: Running) -> dict[str, int]:
    """Rows by table, without those that signing in makes, and what could be changed in place."""
    from sqlalchemy import text

    with server.house.session() as session:
        return {
            table.name: hash(tuple(sorted(session.execute(text(f'select t::text from "{table.name}" t')).scalars())))
            for table in Base.metadata.sorted_tables
            if table.name not in ("api_keys", "browser_sessions", "audit_logs", "api_traffic")
        }


class Person:
    """Signed in, without a browser: what a form would send can be changed at will."""

    def __init__(self, server: Running, role: Role, name: str) -> None:
        self.http = httpx.Client(base_url=server.url, headers=SITE, timeout=30)
        key = server.key(role, name)
        answer = self.http.post("/sign-in", data={"key": key}, headers={"Origin": server.url})
        assert answer.status_code == 303, answer.text
        found = re.search(r'name="csrf" value="([^"]+)"', self.http.get("/keys").text)
        assert found is not None
        self.origin, self.token = server.url, found[1]

    def post(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        return self.http.post(path, data=fields, headers={"Origin": self.origin, **headers})


@pytest.fixture
def person(studio: Running) -> Iterator[object]:
    made: list[Person] = []

    def make(role: Role, name: str = "Eve") -> Person:
        made.append(Person(studio, role, name))
        return made[-1]

    yield make
    for one in made:
        one.http.close()


@pytest.mark.parametrize("role", ROLES)
def test_pages_are_for_those_whose_role_has_them(studio: Running, person, role: Role) -> None:  # type: ignore[no-untyped-def]
    somebody = person(role)
    for path, lowest in PAGES.items():
        answer = somebody.http.get(path)
        may = ROLES.index(role) >= ROLES.index(lowest)
        assert answer.status_code == (200 if may else 403), path
        if not may:
            assert "lacks the scope" in answer.text


def test_nobody_who_is_not_signed_in_sees_or_does_anything(studio: Running) -> None:
    before = everything(studio)
    with httpx.Client(base_url=studio.url, headers=SITE, timeout=30) as http:
        for path in PAGES:
            answer = http.get(path)
            assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/sign-in")
        for path, (fields, _) in DEEDS.items():
            answer = http.post(path, data=fields, headers={"Origin": studio.url})
            assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/sign-in"), path
    assert everything(studio) == before


def _path(studio: Running, path: str) -> str:
    return path.replace("{prefix}", studio.key("editor", "Ben").split("_")[1]) if "{" in path else path


def test_forms_without_the_sessions_token_do_nothing(studio: Running, person) -> None:  # type: ignore[no-untyped-def]
    adam, other = person("administrator", "Adam"), person("administrator", "Eve")
    before = everything(studio)
    for path, (fields, _) in DEEDS.items():
        for token in ({}, {"csrf": ""}, {"csrf": "x" * 43}, {"csrf": other.token}):
            answer = adam.post(_path(studio, path), fields | token)
            assert answer.status_code == 403, path
            assert "is not of your present session" in answer.text
    assert everything(studio) == before


def test_forms_of_another_site_do_nothing_even_with_the_token(studio: Running, person) -> None:  # type: ignore[no-untyped-def]
    adam = person("administrator", "Adam")
    before = everything(studio)
    for path, (fields, _) in DEEDS.items():
        for origin in ("https://evil.example", "null", f"{studio.url}.evil.example", "http://127.0.0.1:1"):
            answer = adam.post(_path(studio, path), fields | {"csrf": adam.token}, Origin=origin)
            assert answer.status_code == 403, (path, origin)
            assert "was not sent from a page of Orimono" in answer.text
    assert everything(studio) == before


def test_the_wrong_role_does_nothing(studio: Running, person) -> None:  # type: ignore[no-untyped-def]
    before = everything(studio)
    people = {role: person(role) for role in ROLES}
    for path, (fields, role) in DEEDS.items():
        if role is None:
            continue
        somebody = people[role]
        answer = somebody.post(_path(studio, path), fields | {"csrf": somebody.token})
        assert answer.status_code in (403, 404), (path, role, answer.text)
    assert everything(studio) == before


def test_the_right_ones_do_it(studio: Running, person) -> None:  # type: ignore[no-untyped-def]
    """So that the refusals above are of the person, not of the form."""
    adam = person("administrator", "Adam")
    for path, (fields, _) in DEEDS.items():
        if path in ("/approvals/1/open", "/originals/1/release", "/consents/viewer", "/withdrawals"):
            continue  # Ben's alone to open; of what is not held; of who decided nothing; and last
        answer = adam.post(_path(studio, path), fields | {"csrf": adam.token})
        tone = answer.headers.get("location", "")
        assert answer.status_code in (200, 303), (path, answer.text)
        assert answer.status_code == 200 or "/sign-in" not in tone
    answer = adam.post("/withdrawals", {"owner": "Ben", "sure": "on", "csrf": adam.token})
    assert answer.status_code == 303
    said = adam.http.get("/withdrawals").text
    assert "Excluded from everything now" in said


@pytest.mark.parametrize(
    "path",
    [
        "/models/{{7*7}}", "/rollout/%3Cscript%3E", "/originals/1%20or%201=1", "/originals/99999999999999999999",
        "/withdrawals/-1", "/keys/%27%3B--/revoke", "/models/preset_cls?window=x", "/audit?cursor=%01",
        "/audit?since=9999-12-31&until=9999-12-31", "/audit/verification?expected=%3Cb%3E",
        "/originals?owner=%ED%A0%80",
    ],
)  # fmt: skip
def test_addresses_that_nobody_meant_are_refused_in_words(studio: Running, person, path: str) -> None:  # type: ignore[no-untyped-def]
    answer = person("administrator", "Adam").http.get(path)
    assert answer.status_code in (200, 404, 422), answer.text
    assert "<script>" not in answer.text.split("</head>")[1] and ">49<" not in answer.text
    assert "text/html" in answer.headers["content-type"]


def test_forms_that_no_page_sends_are_refused_in_words(studio: Running, person) -> None:  # type: ignore[no-untyped-def]
    adam = person("administrator", "Adam")
    for path, fields in (
        ("/rollout/preset_cls", {"action": "stage", "stage": "17", "reason": "x", "etag": "*"}),
        ("/rollout/preset_cls", {"action": "stage", "stage": "x", "reason": "x", "etag": "*"}),
        (
            "/rollout/preset_cls",
            {"action": "stage", "stage": "5", "version": "'; drop", "reason": "x", "etag": "*"},
        ),
        ("/rollout/preset_cls", {"action": "explode", "reason": "x", "etag": "*"}),
        ("/rollout/preset_cls", {"action": "promote", "reason": "x" * 1001, "etag": "*"}),
        ("/rollout/preset_cls", {"action": "promote", "reason": "x\x00y", "etag": "*"}),
        ("/flags/enable_align", {"to": "maybe", "reason": "x", "etag": "*"}),
        ("/flags/enable_align", {"to": "off", "reason": "x\x00y", "etag": "*"}),
        ("/approvals/1", {"decision": "perhaps"}),
        ("/keys", {"label": "x", "days": "0"}),
        ("/keys", {"label": "x", "days": "-3"}),
        ("/keys", {"label": "x", "scope": "everything"}),
        ("/keys", {"label": "x", "role": "god"}),
        ("/keys", {"label": "x" * 500}),
        ("/originals/1/hold", {"reason": "\x00"}),
    ):
        answer = adam.post(path, fields | {"csrf": adam.token})
        assert answer.status_code in (303, 404, 422), (path, fields, answer.text)
        if answer.status_code == 303:
            page = adam.http.get(answer.headers["location"]).text
            assert 'role="alert"' in page, (path, fields)
