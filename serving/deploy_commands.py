"""The command that readies stores for this version before anything else starts: a deployment's one-shot."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from argparse import Namespace
from typing import Any

from pipelines.errors import Unavailable
from pipelines.settings import PROJECT, Settings

logger = logging.getLogger(__name__)

PATIENCE = 120.0  # s for a database server that is just starting
PAUSE = 1.0
DAGSTER_SECONDS = 600.0  # its event log may be large


def migrate(arguments: Namespace, settings: Settings) -> tuple[dict[str, Any], str]:
    """Safe to run again, and beside another one."""
    from pipelines.storage import bucket
    from pipelines.storage.database import Database
    from pipelines.storage.tables import REVISION
    from resources import instance

    database = Database(settings)
    try:
        _when_it_answers(database)
        database.migrate()
        assert database.dagster_url  # its database is there from here on
        environment = {**os.environ, **instance.environment(settings, database, os.environ)}
        command = [sys.executable, "-m", "dagster", "instance", "migrate"]
        done = subprocess.run(  # noqa: S603
            command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=DAGSTER_SECONDS
        )
        if done.returncode:
            # What Dagster says holds the database's address, and with it the password.
            logger.debug("dagster instance migrate said: %s", done.stderr)
            raise Unavailable("Dagster's storage", "could not be migrated, see ORIMONO_LOG_LEVEL=DEBUG", 30)
        made = bucket.make_when_missing(settings)
    finally:
        database.close()
    text = f"tables at {REVISION}, Dagster's up to date"
    if made:
        text += f", bucket of {settings.objects_url} made"
    return {"revision": REVISION, "bucket_made": made}, text


def _when_it_answers(database: Any) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return database.check()
        except Unavailable:
            if time.monotonic() > end:
                raise
            time.sleep(PAUSE)
