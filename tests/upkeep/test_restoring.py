"""Where a backup is put: what was begun there meanwhile, what else lies there, which of two results is the house's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from pipelines import results
from pipelines.errors import BadInput, Unavailable
from pipelines.settings import Settings
from pipelines.storage import audit as trail
from pipelines.storage import dumps
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio
from pipelines.upkeep import backup, restoring
from tests.governance.house import give
from tests.upkeep.test_backup import elsewhere as elsewhere
from tests.upkeep.test_backup import lived_in, rows
from tests.upkeep.test_backup import new_home as new_home


def cut_off(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_house_begun_there_since_is_not_restored_over(
    studio: Studio, tmp_path: Path, elsewhere: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off when all was prepared; then somebody started a house on the same address."""
    lived_in(studio)
    before = rows(studio.database)
    backup.make(studio, tmp_path / "backups")
    with monkeypatch.context() as patch:
        patch.setattr(restoring, "_put_in_place", cut_off)
        with pytest.raises(KeyboardInterrupt):
            restoring.restore(elsewhere, tmp_path / "backups")
    begun = Database(elsewhere)
    try:
        begun.migrate()
        with begun.session() as session:
            trail.write(session, actor="system", action="test", subject="job:new", detail={})
        for _ in range(2):
            with pytest.raises(BadInput, match="the database put_back: is in use"):
                restoring.restore(elsewhere, tmp_path / "backups")
        assert "job:new" in json.dumps(rows(begun))
        assert not elsewhere.home_path.exists()
        begun.dispose()
        with restoring._maintenance(elsewhere) as (maintenance, _):
            dumps.drop(maintenance, "put_back")
        with begun.engine.connect(), pytest.raises(Unavailable, match="has connections of others"):
            restoring.restore(elsewhere, tmp_path / "backups")
        begun.dispose()
        restoring.restore(elsewhere, tmp_path / "backups")
        assert rows(begun) == before
    finally:
        begun.dispose()


@pytest.mark.parametrize("to", ["folder", "bucket"])
def test_a_house_moved_to_a_bucket_in_place_has_its_results_there_alone(
    any_studio: Studio, tmp_path: Path, new_home: Path, s3_keys: str, to: str
) -> None:
    """What its home still has of before is nobody's any more, and is older."""
    give(any_studio, "autumn", "Ada", {"mix-a.wav": b"a mix"})
    if any_studio.objects.remote:
        old = any_studio.settings.home_path / results.PLACE / "autumn"
        old.mkdir(parents=True)
        for name in ("master.wav", "of-before.wav"):
            (old / name).write_bytes(b"of before")
    before = contents(any_studio.settings, any_studio.objects)
    backup.make(any_studio, tmp_path / "backups")
    url = f"s3://studio/{tmp_path.name}-new" if to == "bucket" else ""
    settings = replace(any_studio.settings, home=str(new_home), database_url="", objects_url=url, s3_endpoint=s3_keys)
    restoring.restore(settings, tmp_path / "backups")
    assert contents(settings, Objects.open(settings)) == before


def contents(settings: Settings, objects: Objects) -> dict[str, bytes]:
    found = {}
    for one in results.listed_of(settings, objects, "autumn"):
        if one.path.startswith("media/"):
            continue  # in a home, links to what is in the store anyway
        with results.opened_of(settings, objects, "autumn", one.path) as file:
            found[one.path] = file.read()
    return found


def test_folders_without_a_file_are_no_house(studio: Studio, tmp_path: Path, elsewhere: Settings) -> None:
    """As the entry point of a container makes them, the one that restores too."""
    give(studio, "autumn", "Ada", {"mix-a.wav": b"a mix"})
    backup.make(studio, tmp_path / "backups")
    (elsewhere.inbox / "empty").mkdir(parents=True)
    (elsewhere.inbox / "link").symlink_to(tmp_path)
    with pytest.raises(BadInput, match="is not empty"):
        restoring.restore(elsewhere, tmp_path / "backups")
    (elsewhere.inbox / "link").unlink()
    done = restoring.restore(elsewhere, tmp_path / "backups")
    assert (done.home / "results" / "autumn").is_dir()
    assert not (done.home / "inbox" / "empty").exists()


def test_who_was_kept_out_of_a_database_is_kept_out_of_the_restored_one(
    studio: Studio, tmp_path: Path, elsewhere: Settings
) -> None:
    """Beside Airflow's user, say, on one server."""
    backup.make(studio, tmp_path / "backups")
    made = Database(elsewhere)
    assert made.dagster_url
    made.check()
    made.dispose()
    open_to_all = "select datname from pg_database where has_database_privilege('public', oid, 'connect')"
    with restoring._maintenance(elsewhere) as (maintenance, _):
        with maintenance.connect() as connection:
            connection.execute(text("revoke connect on database put_back from public"))
            connection.commit()
        restoring.restore(elsewhere, tmp_path / "backups")
        with maintenance.connect() as connection:
            found = set(connection.execute(text(open_to_all)).scalars())
    assert "put_back" not in found and "put_back_dagster" in found
