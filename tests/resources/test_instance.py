"""Dagster's home as it is made: whole for whoever reads it, however many make it at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.settings import Settings
from pipelines.storage.database import Database
from resources import instance


def test_two_at_once_make_one_home(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`orimono demo` beside `orimono up`: each has written before the other puts its file in place."""
    assert database.dagster_url
    both, replace = threading.Barrier(2), Path.replace

    def late(self: Path, target: Path) -> Path:
        if target.name == "dagster.yaml":
            both.wait(30)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", late)
    settings = Settings(home=str(tmp_path))
    with ThreadPoolExecutor(2) as threads:
        made = list(threads.map(lambda _: instance.prepare(settings, database), range(2)))
    assert made[0] == made[1]
    assert [path.name for path in (tmp_path / "dagster").iterdir()] == ["dagster.yaml"]
    assert (tmp_path / "dagster" / "dagster.yaml").read_text() == instance.DAGSTER_YAML
