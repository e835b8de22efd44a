"""The image's entry point: what the command's environment is, and what is said instead of starting it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from serving.container import CONTEXT


def started(home: Path, *command: str, **given: str) -> subprocess.CompletedProcess[str]:
    """With a database of others, which is not asked."""
    environment = {"PATH": os.environ["PATH"], "ORIMONO_HOME": str(home), "DAGSTER_HOME": str(home), **given}
    environment.setdefault("ORIMONO_DATABASE_URL", "postgresql://orimono@127.0.0.1:1/orimono")
    words = [sys.executable, "-m", "serving.container", *command]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)


def environment_of(home: Path, **given: str) -> dict[str, Any]:
    done = started(home, sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))", **given)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_run_in_a_container_of_its_own_is_to_have_each_setting(tmp_path: Path) -> None:
    """Those of orimono.env too, which no list here knows: else a sheet is scored by `local`, and nobody is told."""
    given = {"ORIMONO_SCORE_PROVIDER": "openai", "OPENAI_API_KEY": "sk-secret", "ORIMONO_API_URL": "https://a.example"}
    found = environment_of(tmp_path, **given, UNRELATED="x")
    told = json.loads(found[CONTEXT])
    assert set(told["docker"]["env_vars"]) == {*given, "ORIMONO_HOME", "ORIMONO_DATABASE_URL"}
    assert "sk-secret" not in found[CONTEXT], "Dagster stores it with each run"
    assert set(told) == {"docker"}, "pods have their ConfigMap, workers their own environment"


def test_what_is_told_of_the_container_already_stays(tmp_path: Path) -> None:
    assert environment_of(tmp_path, **{CONTEXT: "{}"})[CONTEXT] == "{}"


def test_wrong_settings_are_one_sentence(tmp_path: Path) -> None:
    done = started(tmp_path, "true", ORIMONO_SCHEDULER="cron")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "ORIMONO_SCHEDULER" in done.stderr
