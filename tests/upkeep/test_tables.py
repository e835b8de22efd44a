"""Figures of long ago put together, dead rows, leftovers of a home."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select, text

from pipelines import work_folders
from pipelines.intake import batches
from pipelines.storage import api_traffic, storage_use, vacuuming
from pipelines.storage.api_traffic import Portion
from pipelines.storage.serving_tables import ApiTraffic
from pipelines.storage.tables import BatchRow, StorageUse
from pipelines.studio import Studio
from pipelines.upkeep import leftovers, tables

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def portion(n: int) -> Portion:
    return Portion(n, n // 2, n // 3, 1.5 * n, np.array([n, 0, 2 * n], np.int64))


def test_traffic_of_long_ago_is_kept_by_the_hour(studio: Studio) -> None:
    minutes = [NOON - timedelta(days=20) + timedelta(minutes=7 * i) for i in range(40)]
    rows = [(route, at, portion(i)) for i, at in enumerate(minutes) for route in ("GET /a", "GET /b")]
    recent = [("GET /a", NOON - timedelta(minutes=i), portion(5)) for i in range(3)]
    with studio.database.session() as session:
        api_traffic.add(session, [*rows, *recent])
        before = api_traffic.totals(session, NOON - timedelta(days=30), NOON + timedelta(hours=1))
        gone = api_traffic.condense(session, NOON - timedelta(days=8))
        count = session.execute(select(func.count()).select_from(ApiTraffic)).scalar_one()
        after = api_traffic.totals(session, NOON - timedelta(days=30), NOON + timedelta(hours=1))
        assert api_traffic.condense(session, NOON - timedelta(days=8)) == 0
        hours = session.execute(select(ApiTraffic.minute).where(ApiTraffic.minute < NOON - timedelta(days=8))).scalars()
        assert {at.minute for at in hours} == {0}
    assert (gone, count) == (80 - 10, 10 + 3)  # 40 times seven minutes are five hours
    for route in before:
        assert before[route].latency_counts.tolist() == after[route].latency_counts.tolist()
        assert (before[route].n, before[route].failed, before[route].refused) == (
            after[route].n,
            after[route].failed,
            after[route].refused,
        )
        assert before[route].latency_ms == pytest.approx(after[route].latency_ms)


def test_measurements_of_long_ago_one_a_day(studio: Studio) -> None:
    with studio.database.session() as session:
        for hour in range(72):
            at = NOON - timedelta(days=100) + timedelta(hours=hour)
            storage_use.add(session, StorageUse(used=hour, budget=100, level=0, at=at))
        storage_use.add(session, StorageUse(used=99, budget=100, level=0, at=NOON))
        assert storage_use.thin(session, NOON - timedelta(days=90)) == 72 - 4
        left = session.execute(select(StorageUse.used).order_by(StorageUse.at)).scalars().all()
    assert left == [11, 35, 59, 71, 99]


def test_tables_with_dead_rows_are_vacuumed_and_parents_counted(studio: Studio) -> None:
    with studio.database.session() as session:
        session.execute(text("insert into tags (name) select 'tag-' || n from generate_series(1, 4000) n"))
    with studio.database.session() as session:
        session.execute(text("delete from tags where id % 2 = 0"))
        session.execute(text("select pg_stat_force_next_flush()"))  # of this connection, when its transaction ends
    kept = tables.keep(studio, NOON)
    assert "tags" in kept.product.vacuumed
    assert {"user_embeddings", "video_embeddings"} <= set(kept.product.analysed)
    assert "tags" not in vacuuming.run(studio.database.engine).vacuumed
    assert tables.bloated(studio) == []


def test_leftovers_of_a_home(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, now = studio.settings.home_path, datetime.now(UTC)
    temporary = tmp_path / "temporary"
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with studio.database.session() as session:
        for key, pruned in (("20260101-0001", now), ("20260101-0002", None)):
            session.add(BatchRow(key=key, status="finished", pruned_at=pruned))
    old = [
        home / "segments" / "ab" / "old.mp4",
        home / "copies" / "0123" / "media" / "old.ogg",
        home / "checkpoints" / "two_tower" / "0123-last" / "state",
        home / "data_docs" / "music" / "20260101-0001" / "index.html",
        temporary / f"{work_folders.PREFIX}old" / "made.wav",
    ]
    young = [
        home / "segments" / "ab" / "young.mp4",
        home / "segments" / "ab" / "read.mp4",
        home / "copies" / "0123" / "media" / "young.ogg",
        home / "data_docs" / "music" / "20260101-0002" / "index.html",
        home / "data_docs" / "interactions" / "index.html",
        temporary / f"{work_folders.PREFIX}young" / "made.wav",
    ]
    for path in [*old, *young]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
    for path in (*old, old[-1].parent):
        os.utime(path, (1, 1))
    eleven_hours = (now - timedelta(hours=11)).timestamp()
    os.utime(young[-1], (eleven_hours, eleven_hours))
    os.utime(young[1], (now.timestamp(), 1))  # made long ago, read today
    foreseen = leftovers.clear(studio, dry_run=True)
    assert foreseen.files == {"segments": 1, "copies": 1, "checkpoints": 1, "data_docs": 1, "work": 1}
    assert all(p.exists() for p in old)
    with studio.database.session() as session:
        session.add(BatchRow(key="20260101-0003", status="requested"))
    assert leftovers.clear(studio).files == foreseen.files | {"segments": 0}, "a batch runs"
    assert _there(old) == [old[0]]
    with studio.database.session() as session:
        batches.mark_finished(session, "20260101-0003")
    assert leftovers.clear(studio).freed == dict.fromkeys(foreseen.freed, 0) | {"segments": 4}
    assert (_there(old), _there(young)) == ([], young)
    assert not (home / "checkpoints" / "two_tower").exists()


def _there(paths: list[Path]) -> list[Path]:
    return [path for path in paths if path.exists()]
