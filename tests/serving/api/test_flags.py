"""Flags over HTTP: shown, turned, and not turned by who looked too early."""

from __future__ import annotations

import threading

import pytest

from pipelines.governance.people import pseudonym
from pipelines.storage import audit, flags
from tests.serving.api.conftest import Api, Running

WHY = {"reason": "the chain clips"}


def test_a_flag_that_nobody_has_set_is_on(api: Api) -> None:
    olga = api("operator", "olga")
    items = olga.get("/v1/flags").json()["items"]
    assert [one["name"] for one in items] == list(flags.FLAGS)
    assert all(one["enabled"] and one["changed_at"] is None and one["reason"] == "" for one in items)
    assert olga.get("/v1/flags/enable_align").json() in items


def test_turned_with_a_reason_and_followed_at_once(server: Running, api: Api) -> None:
    olga = api("operator", "Olga")
    off = olga.put("/v1/flags/enable_hq_master", json={"enabled": False} | WHY)
    assert off.status_code == 200 and off.json()["enabled"] is False and off.json()["reason"] == WHY["reason"]
    with server.house.session() as session:
        assert flags.enabled(session, "enable_hq_master") is False
        assert flags.enabled(session, "enable_align") is True
        (row,) = audit.of_subject(session, "flag:enable_hq_master")
    assert (row.actor, row.action) == (pseudonym("olga"), "flag.switch")
    assert olga.put("/v1/flags/enable_hq_master", json={"enabled": True} | WHY).json()["enabled"] is True


def test_not_turned_by_who_looked_too_early(server: Running, api: Api) -> None:
    olga, otto = api("operator", "olga"), api("operator", "otto")
    path = "/v1/flags/enable_cpu_ml"
    seen = olga.get(path).headers["etag"]
    assert seen == f'"{otto.get(path).json()["etag"]}"'
    first = otto.put(path, json={"enabled": False} | WHY, headers={"If-Match": seen})
    assert first.status_code == 200 and first.headers["etag"] != seen
    late = olga.put(path, json={"enabled": False} | WHY, headers={"If-Match": seen})
    assert late.status_code == 412 and late.headers["content-type"] == "application/problem+json"
    assert olga.put(path, json={"enabled": True} | WHY, headers={"If-Match": '"x", "y"'}).status_code == 412
    for tag in (first.headers["etag"], "*"):
        assert olga.put(path, json={"enabled": True} | WHY, headers={"If-Match": tag}).status_code == 200
    with server.house.session() as session:
        assert len(audit.of_subject(session, "flag:enable_cpu_ml")) == 3, "what was refused is not in the trail"


def test_of_many_who_saw_the_same_one_turns_it(api: Api) -> None:
    path = "/v1/flags/enable_align"
    clients = [api("operator", f"olga-{n}") for n in range(6)]
    seen = {"If-Match": clients[0].get(path).headers["etag"]}
    codes: list[int] = []

    def turn(n: int) -> None:
        codes.append(clients[n].put(path, json={"enabled": False} | WHY, headers=seen).status_code)

    threads = [threading.Thread(target=turn, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(codes) == [200] + [412] * 5


@pytest.mark.parametrize(
    "body",
    [
        {"enabled": True},
        WHY,
        {"enabled": "perhaps"} | WHY,
        {"enabled": True, "reason": "x" * 1001},
        {"enabled": True, "reason": "\x00"},
    ],
)
def test_what_is_not_understood_is_refused(api: Api, body: dict[str, object]) -> None:
    assert api("operator", "olga").put("/v1/flags/enable_align", json=body).status_code == 422


def test_what_is_no_flag(api: Api) -> None:
    olga = api("operator", "olga")
    unknown = olga.put("/v1/flags/enable_all", json={"enabled": True} | WHY)
    assert unknown.status_code == 404 and "choose from enable_cpu_ml" in unknown.json()["detail"]
    assert olga.get("/v1/flags/enable_align' or 1=1").status_code == 422
