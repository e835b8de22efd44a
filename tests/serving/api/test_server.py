"""The server as a process: how it starts, answers, and ends."""

from __future__ import annotations

import httpx

from tests.serving.api.conftest import Api, Running


def test_a_key_is_asked_for(server: Running, api: Api) -> None:
    assert httpx.get(f"{server.url}/openapi.json").status_code == 200
    answer = api("operator").get("/v1/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
