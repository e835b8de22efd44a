"""The audit trail over HTTP: searched by what a person knows, verified, and never more than what was asked for."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from pipelines.governance.people import pseudonym
from pipelines.storage import audit
from tests.serving.api.conftest import Api, Running

INJECTIONS = [
    "' or '1'='1",
    "'; drop table audit_logs; --",
    'vault:1" or 1=1',
    "%",
    "_ault:1",
    "vault:%",
    "\\",
    "{{7*7}}",
    "$1",
    "vault:1' union select * from api_keys --",
    "*' or 1=1 --*",
    "%*",
    "_*",
]


@pytest.fixture
def trail(server: Running) -> None:
    """Rows of three kinds of subject."""
    with server.house.session() as session:
        for n in range(3):
            audit.write(session, actor=pseudonym("Ada"), action="access.open", subject=f"vault:{n}", detail={"n": n})
        audit.write(session, actor="rules", action="rollout.promote", subject="model:master_reg")
        audit.write(session, actor=pseudonym("Olga"), action="withdrawal.request", subject=f"user:{pseudonym('Ada')}")


@pytest.mark.usefixtures("trail")
def test_searched_by_what_a_person_knows(api: Api) -> None:
    olga = api("operator", "olga")

    def found(**filters: object) -> list[tuple[str, str]]:
        answer = olga.get("/v1/audit", params=filters)
        assert answer.status_code == 200, answer.text
        rows = [row for row in answer.json()["items"] if not row["action"].startswith("key.")]
        assert [row["seq"] for row in rows] == sorted((row["seq"] for row in rows), reverse=True)
        return [(row["action"], row["subject"]) for row in rows]

    promoted, asked = ("rollout.promote", "model:master_reg"), ("withdrawal.request", f"user:{pseudonym('ada')}")
    opened = [("access.open", f"vault:{n}") for n in (2, 1, 0)]
    assert found() == [asked, promoted, *opened]
    assert found(actor=" ADA") == found(actor=pseudonym("ada")) == opened
    assert found(actor="rules") == found(subject="model:master_reg") == found(action="rollout.*") == [promoted]
    assert found(subject="user:ada") == found(subject=f"user:{pseudonym('ada')}") == [asked]
    assert found(subject="vault:*") == found(action="access.open") == opened
    assert found(subject="vault:*", actor="rules") == []
    assert found(subject="vault:1", action="access.*", actor="Ada") == [("access.open", "vault:1")]
    moments = [row["at"] for row in olga.get("/v1/audit").json()["items"]]
    assert found(until=min(moments)) == [] and len(found(since=min(moments))) == 5


@pytest.mark.usefixtures("trail")
@pytest.mark.parametrize("said", INJECTIONS)
def test_a_filter_is_a_value_and_nothing_else(server: Running, api: Api, said: str) -> None:
    olga = api("operator", "olga")
    with server.house.session() as session:
        before = session.execute(text("select count(*) from audit_logs")).scalar_one()
    for name in ("subject", "actor", "action"):
        answer = olga.get("/v1/audit", params={name: said})
        assert answer.status_code == 200 and answer.json()["items"] == [], (name, answer.text)
    for name in ("since", "until", "cursor", "limit"):
        assert olga.get("/v1/audit", params={name: said}).status_code == 422
    with server.house.session() as session:
        assert session.execute(text("select count(*) from audit_logs")).scalar_one() == before


@pytest.mark.parametrize("query", ["since=2026-11-21T10:00:00", "limit=0", "limit=201", f"actor={'x' * 201}"])
def test_what_is_not_understood_is_refused(api: Api, query: str) -> None:
    assert api("operator", "olga").get(f"/v1/audit?{query}").status_code == 422


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_moments_at_the_end_of_time_are_moments(api: Api, moment: str) -> None:
    olga = api("operator", "olga")
    for name in ("since", "until"):
        assert olga.get("/v1/audit", params={name: moment}).status_code == 200


@pytest.mark.usefixtures("trail")
def test_pages_follow_one_another_while_rows_come(server: Running, api: Api) -> None:
    olga = api("operator", "olga")
    query = {"subject": "vault:*", "limit": 2}
    first = olga.get("/v1/audit", params=query).json()
    with server.house.session() as session:
        audit.write(session, actor="rules", action="access.open", subject="vault:9")
    second = olga.get("/v1/audit", params=query | {"cursor": first["next"]}).json()
    assert [row["subject"] for row in (*first["items"], *second["items"])] == ["vault:2", "vault:1", "vault:0"]
    assert second["next"] is None


@pytest.mark.usefixtures("trail")
def test_verified_and_a_changed_row_is_found(server: Running, api: Api) -> None:
    olga = api("operator", "olga")
    whole = olga.get("/v1/audit/verification").json()
    assert whole["ok"] and whole["rows"] == int(whole["head"].partition(":")[0]) and whole["broken_at"] is None
    assert olga.get("/v1/audit/verification", params={"expected": whole["head"]}).json()["ok"]
    later = f"{whole['rows'] + 9}:{'0' * 64}"
    cut = olga.get("/v1/audit/verification", params={"expected": later}).json()
    assert not cut["ok"] and "its end was cut off" in cut["reason"]
    for rubbish in ("x", "1:2", "9" * 100, "-1:", "1e3:"):
        assert olga.get("/v1/audit/verification", params={"expected": rubbish}).status_code in (200, 422)
    with server.house.session() as session:
        session.execute(text("set local session_replication_role = replica"))
        session.execute(text("update audit_logs set actor = 'somebody' where subject = 'vault:1'"))
    broken = olga.get("/v1/audit/verification").json()
    assert not broken["ok"] and "its content is not what was written" in broken["sentence"]
    row = next(row for row in olga.get("/v1/audit", params={"subject": "vault:1"}).json()["items"])
    assert broken["broken_at"] == row["seq"]


def test_what_was_done_through_the_api_stands_in_it(api: Api) -> None:
    olga = api("operator", "Olga")
    olga.put("/v1/flags/enable_align", json={"enabled": False, "reason": "stems come aligned"})
    (row,) = olga.get("/v1/audit", params={"subject": "flag:*"}).json()["items"]
    assert (row["actor"], row["action"], row["subject"]) == (pseudonym("olga"), "flag.switch", "flag:enable_align")
    assert row["detail"]["enabled"] is False and len(row["hash"]) == 64
