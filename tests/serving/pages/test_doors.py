"""Doors of the pages: signing in and out, forms of other sites, scopes, links that lead away, failures as pages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from pipelines.governance.people import Role
from tests.serving.api.conftest import Running

HTML = {"Accept": "text/html"}


@pytest.fixture
def outside(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=HTML, timeout=30) as client:
        yield client


def signed_in(server: Running, client: httpx.Client, role: Role = "editor", name: str = "ada") -> str:
    """Signs the client in; the token that its forms carry."""
    sent = client.post("/sign-in", data={"key": server.key(role, name)}, headers={"Origin": server.url})
    assert sent.status_code == 303, sent.text
    return token_on(client.get("/jobs").text)


def token_on(html: str) -> str:
    found = re.search(r'name="csrf" content="([^"]+)"', html)
    assert found is not None
    return found.group(1)


def test_nobody_gets_in_without_signing_in(outside: httpx.Client) -> None:
    for path in ("/", "/jobs", "/new", "/edits", "/masters", "/arrangements", "/scoring", "/jobs/x", "/jobs/x/live"):
        answer = outside.get(path)
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/sign-in"), path
    sent = outside.post("/upload/master", data={"csrf": "x"}, headers={"Origin": str(outside.base_url)})
    assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in")


def test_the_page_that_was_asked_for_comes_after_signing_in(server: Running, outside: httpx.Client) -> None:
    asked = outside.get("/jobs?status=failed")
    assert asked.headers["location"] == "/sign-in?then=/jobs%3Fstatus%3Dfailed"
    form = {"key": f"  {server.key()}\n", "then": "/jobs?status=failed"}
    sent = outside.post("/sign-in", data=form, headers={"Origin": server.url})
    assert sent.headers["location"] == "/jobs?status=failed"
    cookie = next(value for value in sent.headers.get_list("set-cookie") if value.startswith("orimono_session="))
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie


@pytest.mark.parametrize("then", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_no_link_leads_away(server: Running, outside: httpx.Client, then: str) -> None:
    sent = outside.post("/sign-in", data={"key": server.key(), "then": then}, headers={"Origin": server.url})
    assert (sent.status_code, sent.headers["location"]) == (303, "/")


@pytest.mark.parametrize("key", ["", "x", "orm_00000000_" + "A" * 43, "a.b.c", "é" * 50, "x" * 9000])
def test_what_is_no_key_is_refused_and_not_shown_again(server: Running, outside: httpx.Client, key: str) -> None:
    sent = outside.post("/sign-in", data={"key": key}, headers={"Origin": server.url})
    assert sent.status_code == 401
    assert "none that is known" in sent.text
    assert len(key) < 2 or key not in sent.text
    assert "orimono_session" not in sent.headers.get("set-cookie", "")


def test_signing_out_ends_the_session_for_good(server: Running, outside: httpx.Client) -> None:
    csrf = signed_in(server, outside)
    stolen = outside.cookies["orimono_session"]
    out = outside.post("/sign-out", data={"csrf": csrf}, headers={"Origin": server.url})
    assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
    with httpx.Client(base_url=server.url, cookies={"orimono_session": stolen}, headers=HTML) as thief:
        assert thief.get("/jobs").headers["location"].startswith("/sign-in")


FORMS = ["/sign-out", "/theme", "/jobs/x/retry", "/arrangements/1/choose", "/scoring/1/retry", "/upload/edit", "/retry"]


@pytest.mark.parametrize("path", FORMS)
def test_forms_of_other_sites_are_refused(server: Running, outside: httpx.Client, path: str) -> None:
    csrf = signed_in(server, outside, "operator", "olga")
    elsewhere = ["https://evil.example", "null", server.url.replace("127.0.0.1", "127.0.0.1.evil.example"), ""]
    for origin in elsewhere:
        answer = outside.post(path, data={"csrf": csrf}, headers={"Origin": origin} if origin else {})
        assert answer.status_code == 403, (path, origin)
    for token in ("", "x" * 43, csrf[:-1]):
        answer = outside.post(path, data={"csrf": token}, headers={"Origin": server.url})
        assert answer.status_code == 403, (path, token)
    assert outside.get("/jobs").status_code == 200, "the session goes on"


def test_another_sessions_token_is_none(server: Running, outside: httpx.Client) -> None:
    signed_in(server, outside)
    with httpx.Client(base_url=server.url, headers=HTML) as other:
        foreign = signed_in(server, other, name="bob")
    assert outside.post("/theme", data={"csrf": foreign}, headers={"Origin": server.url}).status_code == 403


def test_a_viewer_is_shown_no_more_than_a_viewer_may(server: Running, outside: httpx.Client) -> None:
    csrf = signed_in(server, outside, "viewer", "vera")
    page = outside.get("/").text
    assert "/models" not in page and "/new" not in page and "/audit" not in page
    refused = outside.get("/new")
    assert refused.status_code == 403
    assert "lacks the scope jobs:write" in refused.text and "Not yours to do" in refused.text
    assert outside.post("/retry", data={"csrf": csrf}, headers={"Origin": server.url}).status_code == 403


def test_failures_are_pages_for_people_and_problems_for_programs(server: Running, outside: httpx.Client) -> None:
    signed_in(server, outside)
    page = outside.get("/jobs/no-such-job")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is nothing here" in page.text and "<nav" in page.text
    assert outside.get("/no/such/page").status_code == 404
    problem = outside.get("/v1/jobs/no-such-job")
    assert (problem.status_code, problem.headers["content-type"]) == (404, "application/problem+json")
    program = outside.get("/no/such/page", headers={"Accept": "application/json"})
    assert program.headers["content-type"] == "application/problem+json"
    assert outside.get("/sign-out").status_code == 405


def test_what_a_person_wrote_is_never_markup(server: Running, outside: httpx.Client) -> None:
    signed_in(server, outside, "operator", "olga")
    bad = '"><script>alert(1)</script>{{ 7919 * 7919 }}'
    pages = [
        outside.get("/jobs", params={"owner": bad, "status": bad}),
        outside.get(f"/jobs/{bad}"),
        outside.get("/edits", params={"job": bad}),
        outside.get(f"/{bad}"),
        outside.get("/sign-in", params={"then": bad}),
    ]
    for page in pages:
        assert "<script>alert" not in page.text and "62710561" not in page.text, page.url


def test_pages_are_held_to_their_own_files(server: Running, outside: httpx.Client) -> None:
    signed_in(server, outside)
    for path in ("/", "/jobs", "/new/edit", "/nothing"):
        page = outside.get(path)
        policy = page.headers["content-security-policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son[a-z]+=", page.text), path
    for name in ("../rendering.py", "..%2frendering.py", "base.html", ".css"):
        assert outside.get(f"/static/{name}").status_code == 404
