"""How full the object store is, and what follows at 80, 90 and 95 % of ORIMONO_STORAGE_BUDGET_GB.

80: it is told. 90: previews and pictures that can be made again go, oldest first, and no new ones are made. 95: the
intake takes no new job. Whoever makes previews or takes jobs asks ``level``.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.storage import audit, claims, storage_use
from pipelines.storage import vault as vault_table
from pipelines.storage.storage_use import Stored
from pipelines.storage.tables import StorageUse, VaultItem
from pipelines.studio import Studio

Level = Literal[0, 80, 90, 95]
LEVELS: tuple[Level, ...] = (95, 90, 80)
NO_PREVIEWS: Level = 90  # and no pictures: from this level on, what can be made again is deleted, not made
NO_NEW_JOB: Level = 95
FRESH = timedelta(days=1)  # an older measurement says nothing
# Large and quickly made again. Numbers (.safetensors, .json) are small, and the sound they came of may be gone.
REMAKABLE = frozenset({".png", ".mp4", ".m4a", ".mp3", ".ogg", ".opus", ".flac", ".wav", ".webm"})
CONSEQUENCES: dict[Level, str] = {
    0: "all is taken and made",
    80: "still all is taken and made; free some space or raise ORIMONO_STORAGE_BUDGET_GB",
    90: "previews and pictures that can be made again are deleted, the oldest first, and no new ones are made",
    95: "no new job is taken until there is space again, and previews and pictures that can be made again are deleted",
}
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Usage:
    """The store at a moment; ``kinds`` in bytes: media, features/music, ..."""

    used: int  # bytes
    budget: int  # bytes
    level: Level
    kinds: dict[str, int]

    def __str__(self) -> str:
        share = 100 * self.used / self.budget
        size = f"{self.used / 1e9:.1f} of {self.budget / 1e9:g} GB ({share:.0f} %)"
        return f"object store: {size}: {CONSEQUENCES[self.level]}"


def measure(studio: Studio, now: datetime | None = None) -> Usage:
    """Adds up the store and writes the figures down; a new level is in the audit trail. Deletes nothing."""
    kinds: Counter[str] = Counter()
    for item in storage_use.stored(studio.objects):
        if not item.copy:
            kinds["/".join(item.key.split("/")[: 2 if item.key.startswith("features/") else 1])] += item.size
    used = sum(kinds.values())
    budget = int(studio.settings.number("storage_budget_gb") * 1e9)
    usage = Usage(used, budget, level_of(used, budget), dict(sorted(kinds.items())))
    with studio.database.session() as session:
        last = storage_use.newest(session)
        row = StorageUse(used=used, budget=budget, level=usage.level, detail=usage.kinds, at=now or clock.now())
        storage_use.add(session, row)
        if usage.level != (last.level if last is not None else 0):
            detail = {"level": usage.level, "before": last.level if last is not None else 0, "used": used}
            audit.write(session, actor="system", action="budget.level", subject="store", detail=detail)
    log.log(logging.WARNING if usage.level else logging.INFO, "%s", usage)
    return usage


def level_of(used: int, budget: int) -> Level:
    return next((level for level in LEVELS if used * 100 >= budget * level), 0)


def level(session: Session, now: datetime | None = None) -> Level:
    """The level last measured, 0 when that is more than a day ago (or, by a clock that jumped, to come)."""
    row = storage_use.newest(session)
    if row is None or abs((now or clock.now()) - row.at) > FRESH:
        return 0
    return next((known for known in LEVELS if known == row.level), 0)


def relieve(studio: Studio, usage: Usage, now: datetime | None = None) -> int:
    """At 90 % and more: deletes previews whose masters are there, then what the cache can make again, oldest first,
    until the store is below 90 %. Returns the bytes freed."""
    freed, now = 0, now or clock.now()
    if usage.level < NO_PREVIEWS:
        return freed
    for preview, cached in _candidates(studio):
        if level_of(usage.used - freed, usage.budget) < NO_PREVIEWS:
            break
        with studio.database.session() as session:
            if preview is not None:
                item = vault_table.locked(session, preview.id)
                if item is None or item.deleted_at is not None or item.legal_hold:
                    continue
                if not vault_table.others_need(session, item):
                    studio.objects.delete(item.object_key)
                    freed += item.size
                item.deleted_at, item.deleted_reason = now, "budget"
            elif cached is not None and not vault_table.needed(session, [cached.key]):
                studio.objects.delete(cached.key)
                freed += cached.size
    if freed:
        with studio.database.session() as session:
            detail = {"freed": freed, "level": usage.level}
            audit.write(session, actor="system", action="budget.relieve", subject="store", detail=detail)
        log.warning("object store: %.2f GB of previews and pictures deleted", freed / 1e9)
    return freed


def _candidates(studio: Studio) -> Iterator[tuple[VaultItem | None, Stored | None]]:
    with studio.database.session() as session:
        previews = vault_table.previews_of_masters(session)
    yield from ((item, None) for item in previews)
    cached = [item for item in storage_use.stored(studio.objects, "features") if not item.copy and _remakable(item)]
    with studio.database.session() as session:
        hashes = {h for item in cached for h in item.hashes}
        expired = claims.without_bytes(session, hashes)
    yield from ((None, i) for i in sorted(cached, key=lambda i: i.modified) if i.hashes and not i.hashes & expired)


def _remakable(item: Stored) -> bool:
    return any(item.key.endswith(ending) for ending in REMAKABLE)
