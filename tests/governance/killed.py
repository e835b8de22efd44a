"""Deletions killed (SIGKILL) at a given place, in processes of their own that begin with the modules loaded."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pipelines.governance import retention, withdrawal
from pipelines.settings import Settings
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio

WORK: dict[str, Callable[[Studio, datetime], object]] = {
    "withdrawal": withdrawal.carry_out,
    "retention": retention.expire,
}
AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")


def kill_at(studio: Studio, work: str, moment: datetime, place: str) -> None:
    """Runs ``work`` and kills it at ``place``: "before|amid|after module:function", amid meaning half of its list."""
    spawner = multiprocessing.get_context("forkserver")
    spawner.set_forkserver_preload([__name__, "pipelines.models.snapshots"])
    # The test's server is reached by its URL; the embedded one would be another.
    url = studio.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    environment = {name: os.environ[name] for name in AWS if name in os.environ}
    child = spawner.Process(target=_die_at, args=(studio.settings, url, environment, work, moment, place))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL, f"{place} was not reached"


def _die_at(settings: Settings, url: str, environment: dict[str, str], work: str, moment: datetime, place: str) -> None:
    os.environ |= environment
    objects = Objects.open(settings)
    when, target = place.split()
    module, name = target.split(":")
    found = importlib.import_module(module)
    real = getattr(found, name)

    def dying(*args: Any, **keywords: Any) -> None:
        if when == "amid":
            real(args[0], list(args[1])[: len(args[1]) // 2])
        elif when == "after":
            real(*args, **keywords)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(found, name, dying)
    WORK[work](Studio(settings, Database(Settings(database_url=url)), objects, Cache(objects)), moment)
