"""`orimono key` as a person or a program types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.identity import keys
from pipelines.identity.callers import scopes_of
from pipelines.storage.database import Database
from serving import cli


@pytest.fixture(autouse=True)
def home(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORIMONO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORIMONO_DATABASE_URL", database.url.render_as_string(hide_password=False))


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(["key", *arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_new_list_revoke(capsys: pytest.CaptureFixture[str], database: Database) -> None:
    made = run(capsys, "new", "--owner", "Ada", "--scope", "jobs:read,infer", "--label", "laptop")
    ever = run(capsys, "new", "--owner", "Bo", "--role", "operator", "--days", "0")
    with database.session() as session:
        ada, bo = keys.verify(session, made["key"]), keys.verify(session, ever["key"])
    assert ada is not None and (ada.caller.name, ada.caller.scopes) == ("Ada", {"jobs:read", "infer"})
    assert ada.expires_at is not None and ada.expires_at.isoformat() == made["expires_at"]
    assert bo is not None and (bo.caller.scopes, bo.expires_at) == (scopes_of("operator"), None)
    listed = run(capsys, "list")
    assert [row["owner"] for row in listed["keys"]] == ["Bo", "Ada"]
    assert made["key"] not in json.dumps(listed)
    assert [row["label"] for row in run(capsys, "list", "--owner", " ADA")["keys"]] == ["laptop"]
    assert run(capsys, "revoke", made["id"])["status"] == "revoked"
    with database.session() as session:
        assert keys.verify(session, made["key"]) is None
    assert run(capsys, "list", "--owner", "Ada")["keys"][0]["status"] == "revoked"


def test_for_a_person_to_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["key", "list"]) == 0
    assert capsys.readouterr().out == "There is no key.\n"
    assert cli.main(["key", "new", "--owner", "Ada"]) == 0
    key, said = capsys.readouterr().out.splitlines()
    assert keys.FORM.match(key) and said.startswith("Shown this once")
    assert cli.main(["key", "list"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(key[4:12]) and "Ada" in shown and key not in shown


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["new", "--scope", "jobs:delete"], "is no scope"),
        (["new", "--role", "viewer", "--scope", "audit"], "more than the role"),
        (["new", "--owner", " "], "empty"),
        (["new", "Ada"], "--owner"),
        (["revoke"], "which"),
        (["revoke", "deadbeef"], "does not exist"),
    ],
)
def test_what_cannot_be_done(capsys: pytest.CaptureFixture[str], arguments: list[str], word: str) -> None:
    found = run(capsys, *arguments, code=2)
    assert found["error"]["kind"] == "bad_input" and word in found["error"]["message"]


@pytest.mark.parametrize("days", ["-1", "3661", "soon"])
def test_days_that_are_none(capsys: pytest.CaptureFixture[str], days: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["key", "new", "--days", days])
    assert "number of days" in capsys.readouterr().err
