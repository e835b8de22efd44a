"""gc, backup and restore as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.storage import embedded
from pipelines.studio import Studio
from serving.cli import main
from tests.governance.house import give


def orimono(studio: Studio, *arguments: str) -> tuple[int, dict[str, Any], str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ORIMONO_")}
    environment |= {"ORIMONO_HOME": studio.settings.home, "ORIMONO_DATABASE_URL": studio.settings.database_url}
    command = [sys.executable, "-m", "serving.cli", *arguments, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.timeout(600)
def test_a_house_on_a_server_of_its_own_moves_into_a_home(studio: Studio, tmp_path: Path) -> None:
    ada = give(studio, "autumn", "Ada", {"music-a.ogg": b"a song"})
    folder, home = str(tmp_path / "backups"), tmp_path / "new"

    code, done, _ = orimono(studio, "gc", "--dry-run")
    assert (code, done["dry_run"], done["deleted"], done["waiting"]) == (0, True, [], 1)
    code, done, _ = orimono(studio, "gc")
    assert (code, done["deleted"], done["waiting"]) == (0, [], 1)  # the former plan, noted

    code, made, said = orimono(studio, "backup", folder)
    assert (code, made["missing"], made["damaged"]) == (0, [], [])
    assert "password" not in said
    code, checked, _ = orimono(studio, "backup", folder, "--check")
    assert (code, checked["whole"]) == (0, True)
    _, listed, _ = orimono(studio, "backup", folder, "--list")
    assert [b["name"] for b in listed["backups"]] == [made["backup"]]

    code, refused, _ = orimono(studio, "restore", folder, "--into", str(home))
    assert code == 2
    assert "is in use, and is not restored over" in refused["error"]["message"]
    elsewhere = subprocess.run(
        [sys.executable, "-m", "serving.cli", "restore", folder, "--into", str(home)],
        env={k: v for k, v in os.environ.items() if not k.startswith("ORIMONO_")},
        capture_output=True,
        text=True,
        timeout=240,
    )
    try:
        assert elsewhere.returncode == 0, elsewhere.stderr
        assert f"{made['backup']} is restored and verified in {home}" in elsewhere.stdout
        assert (home / "objects" / ada.keys["music-a.ogg"]).read_bytes() == b"a song"
    finally:
        embedded.stop(home, force=True)


def test_what_cannot_be_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORIMONO_HOME", str(tmp_path / "home"))
    for arguments, said in (
        (["backup"], "was given no folder; name one, or set ORIMONO_BACKUP_FOLDER"),
        (["backup", str(tmp_path / "none"), "--check"], "holds no finished backup; make one"),
        (["restore", str(tmp_path / "none")], "holds no finished backup; give the folder"),
    ):
        assert main(arguments) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "home").exists()
