"""Who may call what of governance: every route, every role, a key without the scope, and no key."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pipelines.governance.people import ROLES, Role
from pipelines.identity.callers import scopes_of
from tests.serving.api.conftest import Api, Running

CONSENT = {"quality": True, "training": False}
# What is asked for does not exist, so that whoever may call is answered otherwise than 401 and 403.
ROUTES: list[tuple[str, str, Any, str, Role]] = [
    ("GET", "/v1/consents", None, "consents", "viewer"),
    ("GET", "/v1/consents/nothing", None, "consents", "viewer"),
    ("PUT", "/v1/consents/nothing", CONSENT, "consents", "viewer"),
    ("GET", "/v1/consents/viewer", None, "consents", "viewer"),
    ("PUT", "/v1/consents/viewer", {"training": True}, "consents", "viewer"),
    ("POST", "/v1/withdrawals", {}, "consents", "viewer"),
    ("GET", "/v1/withdrawals", None, "consents", "viewer"),
    ("GET", "/v1/withdrawals/9", None, "consents", "viewer"),
    ("GET", "/v1/withdrawals/preview", None, "consents", "viewer"),
    ("GET", "/v1/originals", None, "originals", "editor"),
    ("GET", "/v1/originals/9", None, "originals", "editor"),
    ("PUT", "/v1/originals/9/hold", {"reason": "a dispute"}, "originals", "administrator"),
    ("DELETE", "/v1/originals/9/hold", None, "originals", "administrator"),
    ("POST", "/v1/access-requests", {"item": 9, "reason": "it clicks"}, "originals", "editor"),
    ("GET", "/v1/access-requests", None, "originals", "editor"),
    ("GET", "/v1/access-requests/9", None, "originals", "editor"),
    ("POST", "/v1/access-requests/9/decision", {"approve": True}, "approve", "operator"),
    ("POST", "/v1/access-requests/9/open", None, "originals", "editor"),
    ("GET", "/v1/audit", None, "audit", "operator"),
    ("GET", "/v1/audit/verification", None, "audit", "operator"),
    ("GET", "/v1/models", None, "operate", "operator"),
    ("GET", "/v1/models/nothing", None, "operate", "operator"),
    ("GET", "/v1/models/nothing/history", None, "operate", "operator"),
    ("GET", "/v1/models/nothing/rollout", None, "operate", "operator"),
    ("POST", "/v1/models/nothing/rollout", {"action": "promote", "reason": "it behaves"}, "operate", "operator"),
    ("GET", "/v1/rollouts", None, "operate", "operator"),
    ("GET", "/v1/flags", None, "operate", "operator"),
    ("GET", "/v1/flags/enable_align", None, "operate", "operator"),
    ("PUT", "/v1/flags/enable_align", {"enabled": True, "reason": "as before"}, "operate", "operator"),
    ("GET", "/v1/status", None, "operate", "operator"),
]


@pytest.mark.parametrize(("method", "path", "body", "scope", "least"), ROUTES, ids=[f"{r[0]} {r[1]}" for r in ROUTES])
def test_who_may(server: Running, api: Api, method: str, path: str, body: Any, scope: str, least: Role) -> None:
    def ask(client: httpx.Client) -> httpx.Response:
        return client.request(method, path, json=body)

    for headers in ({}, {"Authorization": f"Bearer orm_00000000_{'a' * 43}"}, {"Authorization": "Basic YTpi"}):
        with httpx.Client(base_url=server.url, headers=headers) as nobody:
            answer = ask(nobody)
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Bearer"), answer.text
    for role in ROLES:
        answer = ask(api(role, f"{role}-ann"))
        may = ROLES.index(role) >= ROLES.index(least)
        assert answer.status_code < 500, answer.text
        assert (answer.status_code not in (401, 403)) == may, (role, answer.text)
        if not may:
            assert answer.headers["content-type"] == "application/problem+json"
    narrow = ask(api("administrator", "narrow-ann", sorted(scopes_of("administrator") - {scope})))
    assert narrow.status_code == 403 and f"lacks the scope {scope}" in narrow.json()["detail"]


def test_every_route_of_these_is_asked_about(api: Api) -> None:
    document = api("viewer").get("/openapi.json").json()
    tags = {"consents", "withdrawals", "originals", "audit", "models", "flags", "status"}
    known = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        if path.startswith("/v1/") and not path.endswith("/predict")  # asking one is inference's
        for method, one in item.items()
        if tags & set(one.get("tags", ()))
    }
    asked = {(method, _template(path)) for method, path, *_ in ROUTES}
    assert {(method, _template(path)) for method, path in known} == asked


def _template(path: str) -> str:
    """With a star in place of what differs from call to call."""
    fixed = ("", "v1", "consents", "viewer", "withdrawals", "preview", "originals", "hold", "access-requests")
    fixed += (
        "decision",
        "open",
        "audit",
        "verification",
        "models",
        "history",
        "rollout",
        "rollouts",
        "flags",
        "status",
    )
    return "/".join(part if part in fixed else "*" for part in path.split("/"))
