"""A house of each earlier release, with rows in every table it had, is brought up to date without losing one, and the
product works on it. A migration after the first release brings its own rows: releases/<revision>.sql."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.orm import Session

from pipelines import status
from pipelines.governance import audit, retention
from pipelines.media.hashing import content_hash
from pipelines.settings import Settings
from pipelines.storage import audit as trail
from pipelines.storage import dumps, migrations_known, references
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database, alembic_config
from pipelines.storage.objects import Objects
from pipelines.storage.tables import Base
from pipelines.studio import Studio
from pipelines.upkeep import backup, garbage, manifests, restoring
from pipelines.upkeep.manifests import Dump

RELEASES = Path(__file__).parent / "releases"
EARLIER = migrations_known.revisions()[:-1]
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
def old(request: pytest.FixtureRequest, server_url: str, tmp_path: Path) -> Iterator[Studio]:
    """A house of the release that the test names, with data."""
    revision: str = request.param
    url = server_url.replace("/postgres?", f"/release_{revision}?")
    settings = Settings(home=str(tmp_path / "home"), database_url=url)
    database = Database(settings)
    with database.engine.connect() as connection:
        for step in (r for r in migrations_known.revisions() if r <= revision):
            command.upgrade(alembic_config(connection), step)
            connection.commit()
            if (file := RELEASES / f"{step}.sql").exists():
                connection.exec_driver_sql(file.read_text())
                connection.commit()
    objects = Objects.open(settings)
    yield Studio(settings, database, objects, Cache(objects))
    database.dispose()
    with restoring._maintenance(settings) as (maintenance, urls):
        for one in urls:
            dumps.drop(maintenance, str(one.database))


def rows(database: Database) -> Rows:
    with database.session() as session:
        names = [n for n in dumps.counted(session.connection()) if n != "alembic_version"]
        return {
            n: [row[0] for row in session.execute(text(f'select to_jsonb(t) from "{n}" t order by t::text'))]
            for n in names
        }


def lost(before: Rows, after: Rows) -> list[tuple[str, dict[str, Any]]]:
    """Rows that are not there with all they had; columns and tables may have come."""
    return [
        (table, row)
        for table, found in before.items()
        for row in found
        if not any(all(now.get(key) == value for key, value in row.items()) for now in after[table])
    ]


def test_every_release_has_its_rows() -> None:
    made: set[str] = set()
    for revision in EARLIER:
        said = (RELEASES / f"{revision}.sql").read_text()
        made |= {table for table in Base.metadata.tables if f"insert into {table} " in said}
    assert made == set(Base.metadata.tables) - {"notices"}, "tables without a row in any release"


@pytest.mark.parametrize("old", EARLIER, indirect=True)
def test_upgraded_from(old: Studio) -> None:
    before = rows(old.database)
    assert all(found for table, found in before.items()), "an empty table says nothing"
    old.database.migrate()
    after = rows(old.database)
    assert lost(before, after) == []
    assert {t: len(after[t]) for t in before} == {t: len(found) for t, found in before.items()}
    with old.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": _ours})
        assert compare_metadata(context, Base.metadata) == []
    # And the product works on it.
    assert [b.key for b in status.report(old).open_batches] == ["20260101-0002"]
    with old.database.session() as session:
        trail.write(session, actor="system", action="test", subject="job:1", detail={})
        assert audit.verify(session).ok
        assert references.read(session).keys
    retention.expire(old, dry_run=True)
    found = garbage.collect(old, dry_run=True)
    assert len(found.missing) >= 4  # none of its objects is here


def _ours(name: str | None, kind: str, parents: Any) -> bool:
    return not (kind == "table" and name is not None and name.startswith(("user_embeddings_", "video_embeddings_")))


@pytest.mark.parametrize("old", ["0003"], indirect=True)
def test_a_backup_of_an_earlier_release_is_brought_up_to_date(old: Studio, tmp_path: Path) -> None:
    before = rows(old.database)
    revision = "0003"
    made = _backup_of(old, tmp_path / "backups")
    url = old.settings.database_url.replace("/release_0003?", "/put_back_0003?")
    settings = replace(old.settings, home=str(tmp_path / "new"), database_url=url)
    try:
        done = restoring.restore(settings, tmp_path / "backups", made)
        assert done.migrated == revision
        found = Database(settings)
        assert lost(before, rows(found)) == []
        found.dispose()
    finally:
        with restoring._maintenance(settings) as (maintenance, urls):
            for one in urls:
                dumps.drop(maintenance, str(one.database))


def _backup_of(old: Studio, folder: Path) -> str:
    """As that release would have made it, had it had the command: its tables were dumped as they were."""
    file = folder.parent / "orimono.dump"
    with dumps.moment(old.database.engine) as now, Session(now.connection) as session:
        dumps.dump(old.database.url, now.snapshot, file)
        dump = Dump(file.name, content_hash(file), file.stat().st_size, now.revision, now.tables)
        head = str(audit.head(session))
    old.database.migrate()
    name = backup.make(old, folder).name
    file.replace(folder / name / file.name)
    manifest = manifests.read(folder / name)
    databases = {**manifest.databases, backup.PRODUCT: dump}
    replace(manifest, databases=databases, audit_head=head).write(folder / name)
    return name
