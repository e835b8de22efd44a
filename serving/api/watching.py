"""Watches what the API stands on: stores, models, Dagster, the disk, deletions. Each by a thread of its own, so that
one that hangs hides nothing of the others; brings an embedded server back, and hands over what was counted.

Reasons say what it means to people, and nothing of hosts, paths or names: anybody may read them.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.errors import BadInput, OrimonoError, Unavailable
from serving.api.house import House
from serving.api.traffic import Traffic

log = logging.getLogger(__name__)

HUNG_SECONDS = 15.0  # a look that takes longer counts as failed
LEAST_FREE = 0.05  # of the disk
LEAST_FREE_BYTES = 1 << 30
FLUSH_SECONDS = 10.0
DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"

Look = Callable[[House], str | None]


@dataclass(frozen=True, slots=True)
class Watch:
    """``look`` gives a reason, or None when all is well."""

    name: str
    look: Look
    every: float  # s


class Watching:
    """A part of the house. ``start`` begins; before that, nothing is known to be wrong."""

    def __init__(self, house: House, watches: tuple[Watch, ...] | None = None) -> None:
        self._house = house
        self._watches = WATCHES if watches is None else watches
        self._reasons: dict[str, str | None] = {watch.name: None for watch in self._watches}
        self._begun: dict[str, float] = {}
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        jobs: list[tuple[str, Callable[[], None]]] = [
            (watch.name, lambda watch=watch: self._watch(watch))  # type: ignore[misc]
            for watch in self._watches
        ]
        for name, job in [*jobs, ("traffic", self._hand_over)]:
            thread = threading.Thread(target=job, name=f"orimono-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def reasons(self) -> dict[str, str | None]:
        """By component, None where all is well."""
        now = time.monotonic()
        found = dict(self._reasons)
        for name, begun in list(self._begun.items()):
            if now - begun > HUNG_SECONDS:
                found[name] = f"{name}: has not answered for {now - begun:.0f} s"
        return found

    def close(self) -> None:
        """Hands over what was counted last; a look that hangs is left alone."""
        self._closing.set()
        for thread in self._threads:
            thread.join(1.0)
        try:
            if self._house.opened:
                self._house.one(Traffic).flush()
        except OrimonoError as error:
            log.warning("what was counted last is lost: %s", error)

    def _watch(self, watch: Watch) -> None:
        while True:
            self._begun[watch.name] = time.monotonic()
            try:
                reason = watch.look(self._house)
            except Unavailable:
                reason = None  # of a store, which has a watch of its own
            except Exception:
                log.exception("%s could not be looked at", watch.name)
                reason = f"{watch.name}: could not be looked at"
            del self._begun[watch.name]
            before, self._reasons[watch.name] = self._reasons[watch.name], reason
            if reason != before:
                log.log(logging.WARNING if reason else logging.INFO, "%s", reason or f"{watch.name}: is well again")
            if self._closing.wait(watch.every):
                return

    def _hand_over(self) -> None:
        while not self._closing.wait(FLUSH_SECONDS):
            try:
                if self._house.opened:
                    self._house.one(Traffic).flush()
            except Unavailable:
                log.debug("traffic is kept until the database is back")
            except Exception:
                log.exception("traffic could not be handed over")


def database(house: House) -> str | None:
    """Also opens it, and starts an embedded server that has ended."""
    try:
        house.studio.database.check()
    except (Unavailable, BadInput) as error:
        log.debug("the database: %s", error)
        if house.opened and not house.settings.database_url:
            _bring_back(house)
        if not house.opened:
            return "database: is not open yet; all but health waits for it"
        return "database: is away; models and known lists are answered from memory, all else waits"
    return None


def _bring_back(house: House) -> None:
    from pipelines.storage import embedded

    try:
        embedded.start(house.settings.home_path)
    except OrimonoError as error:
        log.debug("the embedded server does not start: %s", error)


def object_store(house: House) -> str | None:
    if not house.opened:
        return None  # the database's watch opens both
    objects = house.studio.objects
    try:
        objects.exists("health/look")
        whole = objects.remote or os.access(objects.folder, os.W_OK | os.X_OK)
    except OrimonoError as error:
        log.debug("the object store: %s", error)
        whole = False
    return None if whole else "object store: is away; new uploads, files and signed links wait"


def models(house: House) -> str | None:
    """Versions that are rolled out and cannot be used here."""
    from serving.api.predictors import Predictors

    part = house.made(Predictors)
    found = part.problems if part is not None else ()
    return f"models: {len(found)} of those rolled out cannot be loaded; others answer for them" if found else None


def dagster(house: House) -> str | None:
    import httpx  # half a second, which the start has no time for

    away = "Dagster: does not answer; jobs are taken, and wait for it"
    try:
        answer = httpx.post(
            f"{house.settings.dagster_endpoint}/graphql", json={"query": DAEMONS}, timeout=4, trust_env=False
        )
        statuses = answer.json()["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return away
    ill = sorted(str(one["daemonType"]).lower() for one in statuses if one["required"] and not one["healthy"])
    return f"Dagster: its daemon does not run ({', '.join(ill)}); jobs are taken, and wait for it" if ill else None


def disk(house: House) -> str | None:
    home = house.settings.home_path
    try:
        usage = shutil.disk_usage(home if home.exists() else home.parent)
    except OSError:
        return "disk: the home cannot be looked at"
    if usage.free >= min(LEAST_FREE_BYTES, LEAST_FREE * usage.total):
        return None
    return f"disk: only {usage.free / 1e6:.0f} MB are left; free some space"


def deletions(house: House) -> str | None:
    if not house.opened:
        return None
    from pipelines.governance import findings

    late = findings.overdue_withdrawals(house.studio)
    return f"deletions: {len(late)} are past their 24 hours; see the withdrawals page" if late else None


WATCHES = (
    Watch("database", database, 2.0),
    Watch("object store", object_store, 5.0),
    Watch("models", models, 5.0),
    Watch("Dagster", dagster, 10.0),
    Watch("disk", disk, 30.0),
    Watch("deletions", deletions, 60.0),
)
