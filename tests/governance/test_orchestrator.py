"""The orchestrator's own records: after a real batch, checks and looks at what has expired, nothing in Dagster's
database or home names who withdrew."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import create_engine, text, update

from dags.sensors import inbox
from definitions import build_defs
from pipelines import clock
from pipelines.governance import withdrawal
from pipelines.governance.people import Actor
from pipelines.intake import batches
from pipelines.storage import storage_use
from pipelines.storage.tables import VaultItem
from pipelines.studio import Studio
from resources import instance as dagster_home
from tests.governance.test_everything_real import MEDIA, OWNER

NAMES = {"Aoi Hanamura", "aoi@example.org", "aoi-song", "mix by Aoi", "beach by Aoi"}
BATCH = ["uploads", "alignments", "mastering_features", "masters", "previews"]


@pytest.fixture
def home(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in dagster_home.prepare(studio.settings, studio.database).items():
        monkeypatch.setenv(name, value)
    return Path(os.environ["DAGSTER_HOME"])


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as found:
        yield found


def recorded(studio: Studio, home: Path) -> Iterator[tuple[str, str]]:
    """(where, text) of all that Dagster keeps: every column of every table, every file with its name."""
    engine = create_engine(studio.database.dagster_url)
    with engine.connect() as connection:
        tables = connection.execute(text("select tablename from pg_tables where schemaname = 'public'")).scalars().all()
        assert {"event_logs", "asset_keys", "asset_check_executions", "job_ticks"} <= set(tables)
        for table in tables:
            for row in connection.execute(text(f'select t::text from "{table}" t')).scalars():
                yield table, row
    engine.dispose()
    for folder, _, names in os.walk(home):
        for name in names:
            path = Path(folder) / name
            yield f"file {path.relative_to(home)}", f"{path} {path.read_bytes().decode(errors='replace')}"


def telling(studio: Studio, home: Path, words: set[str]) -> set[str]:
    return {where for where, held in recorded(studio, home) if any(word in held for word in words)}


def materialize(
    studio: Studio, instance: dg.DagsterInstance, names: list[str], key: str | None = None, **tags: str
) -> None:
    definitions = build_defs(resources={"studio": studio})
    done = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, partition_key=key, asset_selection=[dg.AssetKey(n) for n in names], tags=tags
    )
    assert done.success


def put(studio: Studio, name: str, sources: dict[str, str | None]) -> None:
    """A job of mixes; one without a source is listed, but not there."""
    folder = studio.settings.inbox / name
    folder.mkdir(parents=True)
    for file, source in sources.items():
        if source is not None:
            shutil.copy(MEDIA / source, folder / file)
    listed = "".join(f"  - {{file: {file}, kind: mix}}\n" for file in sources)
    said = f"owner: {OWNER}\nconsents: {{quality: true, training: true}}\nmaster: {{preset: streaming}}\n"
    (folder / "job.yaml").write_text(f"{said}files:\n{listed}")
    (folder / "_COMPLETE").touch()


def test_dagsters_own_records_name_nobody_who_withdrew(
    studio: Studio, instance: dg.DagsterInstance, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    studio = replace(studio, settings=replace(studio.settings, workers="1"))
    put(studio, "aoi-song", {"mix by Aoi.m4a": "fishin_inst.m4a", "beach by Aoi.wav": None})
    put(studio, "aoi-song refused", {"beach by Aoi.wav": None})
    time.sleep(studio.settings.number("settle_seconds") * 2)
    ticked = inbox(dg.build_sensor_context(instance, resources={"studio": studio}))
    assert isinstance(ticked, dg.SensorResult) and ticked.run_requests is not None
    told = capfd.readouterr()
    assert "refused: 1 jobs, 1 files" in told.err
    assert not [name for name in NAMES if name in told.err + told.out], "a tick's log is kept"
    (asked,) = ticked.run_requests
    key = str(asked.partition_key)
    instance.add_dynamic_partitions("batches", [key])
    materialize(studio, instance, BATCH, key)
    with studio.database.session() as session:
        batches.mark_finished(session, key)
    hashes = {h for item in storage_use.stored(studio.objects) for h in item.hashes}
    # A master whose time is up, deleted by the hourly run; a morning's look; a look by hand.
    with studio.database.session() as session:
        session.execute(update(VaultItem).where(VaultItem.kind == "master").values(expires_at=clock.now()))
    materialize(studio, instance, ["retention"], **{"dagster/schedule_name": "hourly_retention"})
    assert telling(studio, home, hashes) <= {"event_logs", "asset_keys", "asset_check_executions"}
    materialize(studio, instance, ["batch_health"], **{"dagster/schedule_name": "daily_health"})
    materialize(studio, instance, ["retention", "batch_health"])
    words = NAMES | hashes
    assert telling(studio, home, words) >= {"event_logs", "asset_keys", "asset_check_executions"}, (
        "or this shows nothing"
    )

    withdrawal.request(studio, OWNER, Actor(OWNER, "viewer"))
    materialize(studio, instance, ["withdrawals"])
    assert telling(studio, home, words) == set()
    # Dagster goes on with what is left, and a second look finds nothing more.
    assert [run.asset_selection for run in instance.get_runs()] == [{dg.AssetKey("withdrawals")}]
    assert not [
        r
        for r in instance.get_asset_records()
        if r.asset_entry.last_materialization is not None and "masters" in str(r.asset_entry.asset_key)
    ]
    materialize(studio, instance, ["withdrawals", "retention"])
    assert telling(studio, home, words) == set()
