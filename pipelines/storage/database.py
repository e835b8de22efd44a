"""The system of record: where it is, its engine and sessions, its migrations, and the second database for Dagster.

Its tables are in tables.py, what is asked of them in one module a noun, the embedded server's life in embedded.py.
"""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import Session

from pipelines.errors import BadInput, Unavailable
from pipelines.settings import Settings
from pipelines.storage import embedded
from pipelines.storage.engines import engine_of
from pipelines.storage.tables import REVISION

logger = logging.getLogger(__name__)

MIGRATION_LOCK = 5_283_114_902  # any fixed number: who holds it migrates, the others wait
_DISK_FULL = "53100"
_MISSING_DATABASE = "3D000"
_TRANSIENT_CLASSES = ("08", "40", "53", "57")  # SQLSTATE: connection, deadlock, no resources, operator


class Database:
    """Made anew from its settings in another process (it pickles), connected only when first used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._given_up = False

    def __reduce__(self) -> tuple[type[Database], tuple[Settings]]:
        return (Database, (self.settings,))

    @cached_property
    def url(self) -> URL:
        """The product's own database, for SQLAlchemy (psycopg 3); starts the embedded server when it is the one."""
        if not self.settings.database_url:
            return make_url(embedded.start(self.settings.home_path)).set(database="orimono")
        try:
            url = make_url(self.settings.database_url)
        except ArgumentError as error:
            remedy = "write it as postgresql://user:password@host:5432/orimono"
            raise BadInput("ORIMONO_DATABASE_URL", "is not a database URL", remedy) from error
        if url.get_backend_name() not in ("postgresql", "postgres"):
            raise BadInput("ORIMONO_DATABASE_URL", f"names {url.get_backend_name()}", "only PostgreSQL will do")
        password = url.password or self.settings.database_password or None
        return url.set(drivername="postgresql+psycopg", database=url.database or "orimono", password=password)

    @cached_property
    def engine(self) -> Engine:
        """Makes the database on the server when it is missing; raises Unavailable when there is no server."""
        self._create_when_missing(self.url)
        engine = engine_of(self.url)
        weakref.finalize(self, engine.dispose)  # no connection outlives its Database
        return engine

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back by an exception. Rows stay readable afterwards."""
        self._check_given_up()
        with self.worded(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """For who only reads, and often: a session where each statement is a transaction, on connections that are never
        anything else, which saves the round trips that begin and end one."""
        self._check_given_up()
        with self.worded(), Session(self._reader, expire_on_commit=False) as session:
            yield session

    @cached_property
    def _reader(self) -> Engine:
        assert self.engine is not None  # it makes the database where there is none
        engine = engine_of(self.url, isolation_level="AUTOCOMMIT")
        weakref.finalize(self, engine.dispose)
        return engine

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection where each statement is a transaction; a third of what a session costs."""
        self._check_given_up()
        with self.worded(), self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection

    def check(self) -> None:
        """Nothing when it answers; raises Unavailable otherwise."""
        with self.session() as session:
            session.execute(text("select 1"))

    def own_connection(self, timeout: float) -> Connection:
        """For who keeps it: out of the pool, each statement a transaction, and ended by the server (Unavailable where
        it is ``worded``) after so many seconds. To be closed."""
        self._check_given_up()
        connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            connection.detach()  # nobody else is to get it with that limit
            connection.execute(text(f"set statement_timeout = {timeout * 1000:.0f}"))
        except BaseException:
            connection.close()
            raise
        return connection

    def give_up(self) -> None:
        """It hangs: whoever asks from now on gets Unavailable at once, until ``dispose``. Does not block."""
        self._given_up = True

    def _check_given_up(self) -> None:
        if self._given_up:
            raise Unavailable("the database", "has not answered, and is not waited for any more", 60)

    def migrate(self) -> None:
        """Brings the tables to this version's state. Safe from any number of processes at once."""
        with self.worded(), self.engine.connect() as connection:
            if _revision(connection) == REVISION:
                return
            connection.rollback()
            connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
            connection.commit()
            try:
                if (found := _revision(connection)) != REVISION:
                    connection.rollback()
                    _upgrade(connection)
                    connection.commit()
                    logger.info("database migrated from %s to %s", found or "nothing", REVISION)
            finally:
                connection.rollback()
                connection.execute(text("select pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
                connection.commit()

    @cached_property
    def dagster_url(self) -> str:
        """A database of its own on the same server, for Dagster's instance; made when it is missing.

        Under psycopg 2, since Dagster's SQL fails under psycopg 3. Holds the password: not to be logged.
        """
        self._create_when_missing(self.url.set(database=f"{self.url.database}_dagster"))
        return self.dagster_address

    @property
    def dagster_address(self) -> str:
        """``dagster_url`` for who does not ask the server whether the database is there."""
        url = self.url.set(database=f"{self.url.database}_dagster")
        return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)

    def dispose(self) -> None:
        """Closes every connection; the next use opens new ones."""
        if "engine" in self.__dict__:
            self.engine.dispose()
            del self.__dict__["engine"]
        if "_reader" in self.__dict__:
            self._reader.dispose()
            del self.__dict__["_reader"]
        self._given_up = False

    def close(self) -> None:
        """At the end of a command or service: no connection left, and no part in the embedded server, which stops at
        once when nobody else uses it (without this call, some seconds after this process)."""
        hangs = self._given_up
        self.dispose()
        if not self.settings.database_url and "url" in self.__dict__:
            del self.__dict__["url"]
            if not hangs:  # to ask whether it lives would take seconds: its keeper sees to it
                embedded.stop(self.settings.home_path)

    def _create_when_missing(self, url: URL) -> None:
        with self.worded():
            probe = engine_of(url)
            try:
                with probe.connect():
                    return
            except OperationalError as error:
                if not _missing(error, url):
                    raise
            finally:
                probe.dispose()
            maintenance = engine_of(url.set(database="postgres"))
            try:
                with maintenance.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    _create(connection, str(url.database))
            finally:
                maintenance.dispose()

    @contextlib.contextmanager
    def worded(self) -> Iterator[None]:
        """A server that is away, or a full disk, in one sentence without user or password."""
        try:
            yield
        except DBAPIError as error:
            where = f"{self.url.host}:{self.url.port or 5432}" if self.url.host else "the embedded server"
            code = _code(error)
            if code == _DISK_FULL:
                raise Unavailable(f"database at {where}", "its disk is full, free some space", 60) from error
            gone = isinstance(error, OperationalError) and code == ""
            if gone or error.connection_invalidated or code.startswith(_TRANSIENT_CLASSES):
                raise Unavailable(f"database at {where}", _reason(error, self.url)) from error
            if code.startswith("28"):
                remedy = "check user and password in ORIMONO_DATABASE_URL"
                raise BadInput(f"database at {where}", "refuses this user", remedy) from error
            raise


def _code(error: DBAPIError) -> str:
    """SQLSTATE, empty when the server did not come to speak."""
    return getattr(error.orig, "sqlstate", None) or ""


def _missing(error: OperationalError, url: URL) -> bool:
    return _code(error) == _MISSING_DATABASE or f'database "{url.database}" does not exist' in str(error.orig)


def _reason(error: DBAPIError, url: URL) -> str:
    """The driver's last line, which may repeat the password of a mistyped URL."""
    # What goes on in indented lines, and PostgreSQL's own DETAIL and HINT, explain the line above them.
    lines = [line for line in str(error.orig).strip().splitlines() if line.strip() and not line[0].isspace()]
    lines = [line for line in lines if not line.startswith(("DETAIL:", "HINT:"))]
    reason = lines[-1] if lines else "is not reachable"
    for secret in (url.password, url.username):
        if secret:
            reason = reason.replace(str(secret), "***")
    return reason


def _create(connection: Connection, name: str) -> None:
    """By one process at a time: two that copy the template at once get in each other's way."""
    quoted = connection.dialect.identifier_preparer.quote(name)
    connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
    try:
        known = connection.execute(text("select 1 from pg_database where datname = :name"), {"name": name}).first()
        if known is None:
            # From template1 it has what an administrator put there for all: the extension `vector`, which the user may
            # have no right to create. Where that one is of another encoding, only the bare template will do.
            encoding = text("select pg_encoding_to_char(encoding) from pg_database where datname = 'template1'")
            template = "template1" if connection.execute(encoding).scalar() == "UTF8" else "template0"
            connection.execute(text(f"create database {quoted} encoding 'UTF8' template {template}"))
    except DBAPIError as error:
        if _code(error) == "42501":
            remedy = f"create the databases {name!r} and '{name}_dagster' or let the user create databases"
            raise BadInput("ORIMONO_DATABASE_URL", f"its user may not create {name!r}", remedy) from error
        raise
    finally:
        connection.execute(text("select pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("select version_num from alembic_version")).scalar()
    return found


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.util import CommandError

    try:
        command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        reason = "was written by a newer version of Orimono"
        raise BadInput("the database", reason, "install that version or give another database") from error
    except DBAPIError as error:
        if 'extension "vector"' in str(error.orig):
            remedy = "install pgvector there and let an administrator run `create extension vector`"
            raise BadInput("ORIMONO_DATABASE_URL", "its server has no pgvector", remedy) from error
        raise


def alembic_config(connection: Connection):  # type: ignore[no-untyped-def]  # Alembic is imported late
    """Alembic's configuration for the packaged migrations over this connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
