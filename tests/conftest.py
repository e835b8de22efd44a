"""What many tests stand on: a real PostgreSQL (one server a worker, emptied after each test), a real S3 API, settings
in a home of their own, and a local object store."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import text

from pipelines.settings import Settings
from pipelines.storage import embedded
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.storage.tables import Base

# Two cores are shared by the tests: how long an example takes says nothing. The examples are the same in every run, so
# that a change is judged by what it changed; HYPOTHESIS_PROFILE=exploring draws new ones.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.register_profile("exploring", deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
TABLES = [table.name for table in Base.metadata.sorted_tables]
FILLED = " union all ".join(f"select '{name}' where exists (select from {name})" for name in TABLES)
COUNT_AGAIN = """
    select setval(format('%I.%I', schemaname, sequencename), start_value, false) from pg_sequences
    where last_value is not null and schemaname = current_schema
"""
PARTITIONS = """
    select inhrelid::regclass::text from pg_inherits
    where inhparent in ('user_embeddings'::regclass, 'video_embeddings'::regclass)
"""


@pytest.fixture(scope="session", autouse=True)
def streams_stay_open() -> None:
    """TensorFlow's logger closes the stream it has held since its import, whenever logging is configured anew (as
    Dagster does for a run) while another stream is stderr (as under ``capfd``). That stream is pytest's capture, and
    without it no later test runs."""
    from absl.logging import PythonHandler

    PythonHandler.close = logging.StreamHandler.close


@pytest.fixture(scope="session", autouse=True)
def signals_end_processes() -> None:
    """A shell starts its background jobs with SIGINT ignored. Dagster, once it has run a job in this process, gives
    SIGTERM whatever handler SIGINT has. Our children would inherit both, and no test could end them any more."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """URL of an embedded server of this worker's own; nothing on it waits for the disk."""
    home = Path(tempfile.mkdtemp(prefix="orimono-test-"))
    try:
        yield embedded.start(home, durable=False, linger=1.0)
    finally:
        embedded.stop(home, force=True)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_database(server_url: str) -> Iterator[Database]:
    database = Database(Settings(database_url=server_url.replace("/postgres?", "/orimono?")))
    database.migrate()
    yield database
    database.dispose()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home in ``tmp_path``. Its embedded server is not started by this; ``database`` gives one that runs."""
    return Settings(home=str(tmp_path / "home"), settle_seconds="0.05")


@pytest.fixture
def database(migrated_database: Database) -> Iterator[Database]:
    """A migrated, empty database."""
    yield migrated_database
    with migrated_database.session() as session:
        session.execute(text("set local session_replication_role = replica"))  # the audit's own guard, too
        session.execute(text(f"lock table {', '.join(TABLES)} in access exclusive mode"))  # who still writes is awaited
        filled = session.execute(text(FILLED)).scalars().all()
        if filled:  # a tenth of the time that all take
            session.execute(text(f"truncate {', '.join(filled)} cascade"))
        session.execute(text(COUNT_AGAIN))
        for partition in session.execute(text(PARTITIONS)).scalars().all():
            session.execute(text(f"drop table {partition}"))


@pytest.fixture
def objects(settings: Settings) -> Objects:
    """A local object store in the home of ``settings``."""
    return Objects.open(settings)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A real S3 API on loopback with a bucket ``studio``."""
    import urllib.request

    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    request = urllib.request.Request(f"{endpoint}/studio", method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    yield endpoint
    server.stop()


@pytest.fixture
def s3_keys(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The endpoint of the real S3 API, and what it lets in with."""
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    return s3_endpoint


@pytest.fixture
def bucket(settings: Settings, s3_keys: str, tmp_path: Path) -> Settings:
    """A home whose objects lie in a bucket of its own."""
    return replace(settings, objects_url=f"s3://studio/{tmp_path.name}", s3_endpoint=s3_keys)
