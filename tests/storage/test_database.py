from __future__ import annotations

import contextlib
import gc
import pickle
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, make_url, text
from sqlalchemy.exc import IntegrityError

from pipelines.errors import BadInput, Unavailable
from pipelines.settings import Settings
from pipelines.storage.database import Database, alembic_config
from pipelines.storage.tables import REVISION, Base, FeatureFlag


@pytest.fixture
def fresh(server_url: str) -> Database:
    """A database that nobody has made yet."""
    return Database(Settings(database_url=server_url.replace("/postgres?", f"/t{uuid.uuid4().hex[:10]}?")))


def test_the_migrations_make_exactly_the_tables(fresh: Database) -> None:
    fresh.migrate()
    with fresh.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert ScriptDirectory.from_config(alembic_config(connection)).get_heads() == [REVISION]
    fresh.dispose()


def test_the_constraints_of_the_migrations_are_the_tables(fresh: Database, server_url: str) -> None:
    """Alembic does not compare check constraints and partial indexes: two databases made either way do."""
    fresh.migrate()
    direct = Database(Settings(database_url=server_url.replace("/postgres?", f"/t{uuid.uuid4().hex[:10]}?")))
    with direct.engine.begin() as connection:
        connection.execute(text("create extension if not exists vector"))
    Base.metadata.create_all(direct.engine)
    query = """
        select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
        where connamespace = 'public'::regnamespace and conrelid <> coalesce(to_regclass('alembic_version'), 0)
        union select tablename, indexname, indexdef from pg_indexes
        where schemaname = 'public' and tablename <> 'alembic_version'
    """
    found = []
    for database in (fresh, direct):
        with database.engine.connect() as connection:
            found.append(set(connection.execute(text(query))))
        database.dispose()
    assert found[0] == found[1]


@pytest.mark.parametrize("way", ["session", "reading", "connection"])
def test_a_connection_given_back_after_the_end_is_closed(way: str, fresh: Database) -> None:
    """A thread that was still asking when its service closed the database."""
    with contextlib.ExitStack() as stack:
        link: Any = stack.enter_context(getattr(fresh, way)())
        pid = link.execute(text("select pg_backend_pid()")).scalar()
        late = fresh.engine
        fresh.dispose()
    with late.connect() as connection:  # and one that had the engine in its hand
        late_pid = connection.execute(text("select pg_backend_pid()")).scalar()
    gc.collect()  # pytest makes psycopg's complaint of an open connection a failure
    with fresh.session() as session:
        query = text("select count(*) from pg_stat_activity where pid = any(:pids)")
        deadline = time.monotonic() + 10
        while session.execute(query, {"pids": [pid, late_pid]}).scalar():
            assert time.monotonic() < deadline, "a connection stayed open"
            session.commit()
            time.sleep(0.05)
    fresh.dispose()


def test_down_and_up_again(fresh: Database) -> None:
    fresh.migrate()
    with fresh.engine.connect() as connection:
        command.downgrade(alembic_config(connection), "base")
        connection.commit()
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}
    fresh.migrate()
    with fresh.engine.connect() as connection:
        assert set(Base.metadata.tables) <= set(inspect(connection).get_table_names())
    fresh.dispose()


def test_many_processes_migrate_at_once(fresh: Database) -> None:
    code = (
        "import sys\nfrom pipelines.settings import Settings\nfrom pipelines.storage.database import Database\n"
        "database = Database(Settings(database_url=sys.argv[1]))\ndatabase.migrate()\nprint(database.dagster_url)"
    )
    url = fresh.settings.database_url
    workers = [
        subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    outputs = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4, outputs
    with fresh.session() as session:
        assert session.execute(text("select version_num from alembic_version")).scalars().all() == [REVISION]
    fresh.dispose()


def test_a_newer_database_is_refused(fresh: Database) -> None:
    fresh.migrate()
    with fresh.session() as session:
        session.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(BadInput, match="written by a newer version"):
        fresh.migrate()
    fresh.dispose()


def test_dagster_has_a_database_of_its_own(fresh: Database) -> None:
    url = make_url(fresh.dagster_url)
    assert url.drivername == "postgresql+psycopg2"
    assert url.database == f"{fresh.url.database}_dagster"
    engine = create_engine(fresh.dagster_url)
    with engine.connect() as connection:
        assert connection.execute(text("select current_database()")).scalar() == url.database
    engine.dispose()
    assert Database(fresh.settings).dagster_url == fresh.dagster_url
    fresh.dispose()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_way_to_write_the_url(server_url: str, scheme: str) -> None:
    database = Database(Settings(database_url=server_url.replace("postgresql+psycopg", scheme)))
    assert database.url.drivername == "postgresql+psycopg"
    with database.session() as session:
        assert session.execute(text("select 1")).scalar() == 1
    database.dispose()


@pytest.mark.parametrize("url", ["nonsense", "mysql://u:p@h/d", "sqlite:///x.db"])
def test_what_is_no_postgresql_url(url: str) -> None:
    with pytest.raises(BadInput, match="ORIMONO_DATABASE_URL"):
        _ = Database(Settings(database_url=url)).url


def test_a_server_that_is_away_is_told_without_secrets() -> None:
    database = Database(Settings(database_url="postgresql://hanako:s3cr3t@127.0.0.1:9/orimono"))
    with pytest.raises(Unavailable, match=r"database at 127\.0\.0\.1:9") as caught:
        database.migrate()
    assert "s3cr3t" not in str(caught.value)
    assert "hanako" not in str(caught.value)


def test_a_session_is_one_transaction(database: Database) -> None:
    with pytest.raises(RuntimeError), database.session() as session:
        session.add(FeatureFlag(name="enable_align", enabled=True))
        session.flush()
        raise RuntimeError
    with database.session() as session:
        assert session.get(FeatureFlag, "enable_align") is None
        session.add(FeatureFlag(name="enable_align", enabled=True))
    with database.session() as session:
        flag = session.get(FeatureFlag, "enable_align")
    assert flag is not None and flag.enabled  # readable after the session


def test_a_broken_rule_is_a_bug_and_rises(database: Database) -> None:
    with pytest.raises(IntegrityError), database.session() as session:
        session.execute(text("insert into jobs (name, revision, content_hash, status) values ('a', 1, 'x', 'odd')"))


def test_a_database_goes_to_another_process_by_its_settings(database: Database) -> None:
    again = pickle.loads(pickle.dumps(database))
    with again.session() as session:
        assert session.execute(text("select count(*) from jobs")).scalar() == 0
    again.dispose()


def test_an_audit_row_is_never_changed(database: Database) -> None:
    from sqlalchemy.exc import DBAPIError

    from pipelines.storage import audit

    with database.session() as session:
        audit.write(session, actor="operator", action="delete", subject="user:7", detail={"why": "withdrawn"})
    for change in ("update audit_logs set actor = 'x'", "delete from audit_logs", "truncate audit_logs"):
        with pytest.raises(DBAPIError, match="only ever added"), database.session() as session:
            session.execute(text(change))
    with database.session() as session:
        assert [row.action for row in audit.of_subject(session, "user:7")] == ["delete"]


def test_the_configuration_for_developers_reads_the_same_migrations() -> None:
    from alembic.config import Config

    root = Path(__file__).parents[2]
    assert ScriptDirectory.from_config(Config(str(root / "alembic.ini"))).get_heads() == [REVISION]
