"""Objects that nothing refers to: found by a look at the whole store and all tables, deleted when a later look finds
them so for longer than ORIMONO_OBJECT_GRACE_DAYS.

Whoever puts an object names it in a table soon after, or asks the cache for it again; the grace is for that. What a
person takes back does not wait for this (governance/withdrawal.py), nor what has expired (retention.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipelines import clock
from pipelines.storage import audit, claims, references, storage_use, unreferenced, upkeep_locks
from pipelines.storage.references import References
from pipelines.storage.storage_use import Stored
from pipelines.studio import Studio

UNNAMED, SUPERSEDED = "unnamed", "superseded"
AT_ONCE = 500  # deletions between two looks at the clock
FRESH_SECONDS = 20.0  # how old an answer of the tables may be when something is deleted by it
CUT_OFF = timedelta(days=1)  # after which a put that has not ended never will
# Names that hold no hash (pointers, states that are replaced in place) and all other folders are never touched.
FAMILIES = references.FAMILIES
Found = tuple[Stored, str]  # and why
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Collected:
    """``waiting``: found unreferenced, but not for long enough. Sizes in bytes."""

    looked_at: int
    deleted: tuple[str, ...]
    freed: int
    waiting: int
    waiting_size: int
    by_reason: dict[str, int]
    parts: int  # remains of puts that were cut off
    missing: tuple[str, ...]  # keys that are promised (see references.py) and that the store does not have
    dry_run: bool

    def lines(self) -> list[str]:
        verb = "would delete" if self.dry_run else "deleted"
        return [
            *(f"{verb} {key}" for key in self.deleted),
            f"{self.looked_at} objects looked at, {len(self.deleted)} {verb} ({self.freed / 1e6:.1f} MB), "
            f"{self.waiting} wait for their grace to end ({self.waiting_size / 1e6:.1f} MB)",
            *([f"{self.parts} remains of interrupted writes"] if self.parts else []),
            *(f"missing: {key}" for key in self.missing[:10]),
        ]


def collect(studio: Studio, now: datetime | None = None, *, dry_run: bool = False) -> Collected:
    """Notes what nothing refers to and deletes what was noted long enough ago. Killed anywhere, the next call goes on.

    Unavailable, with nothing deleted, when a backup or another collection is under way, a store is away, or this
    machine's clock and the database's do not agree.
    """
    grace = timedelta(days=studio.settings.number("object_grace_days"))
    with upkeep_locks.collecting_garbage(studio.database):
        with studio.database.session() as session:
            agreed = clock.agreed(session)
        moment = now or agreed
        items = list(storage_use.stored(studio.objects))  # before the tables are asked: what comes later is not in it
        whole = [item for item in items if not item.copy]
        with studio.database.session() as session:
            named, promised = references.read(session), references.promised(session)
        found = unreferenced_among(whole, named)
        with studio.database.session() as session:
            trial = session.begin_nested() if dry_run else None
            unreferenced.note(session, {key: (item.size, why) for key, (item, why) in found.items()}, moment)
            ripe = unreferenced.ripe(session, moment - grace)
            if trial is not None:
                trial.rollback()
        doomed = [found[key] for key in ripe if moment - found[key][0].modified > grace]
        parts = [item for item in items if _cut_off(item, moment)]
        if not dry_run:
            doomed = _delete(studio, doomed)
            storage_use.remove(studio.objects, parts)
    here = {item.key for item in whole}
    return Collected(
        looked_at=len(whole),
        deleted=tuple(item.key for item, _ in doomed),
        freed=_size(doomed),
        waiting=len(found) - len(doomed),
        waiting_size=_size(found.values()) - _size(doomed),
        by_reason={why: sum(w == why for _, w in found.values()) for why in (UNNAMED, SUPERSEDED)},
        parts=len(parts),
        missing=tuple(sorted(promised - here)),
        dry_run=dry_run,
    )


def unreferenced_among(items: Iterable[Stored], named: References) -> dict[str, Found]:
    """By key what nothing refers to, and why. A key that a table names is referred to, and so is what was computed of
    a content that a table names, unless another version of the code has made the same again since."""
    judged = [item for item in items if item.hashes and item.key.split("/", 1)[0] in FAMILIES]
    superseded = _superseded(judged)
    found: dict[str, Found] = {}
    for item in judged:
        if item.key in named.keys:
            continue
        if item.key in superseded:
            found[item.key] = (item, SUPERSEDED)
        elif not _contents(item) & named.hashes:
            found[item.key] = (item, UNNAMED)
    return found


def _superseded(items: Iterable[Stored]) -> set[str]:
    """Of the same kind, content, parameters and ending, all versions but the one that was made last."""
    versions: dict[tuple[str, str], list[Stored]] = {}
    for item in items:
        parts = item.key.split("/")
        if parts[0] == "features" and len(parts) == 4:
            versions.setdefault((parts[1], parts[3]), []).append(item)
    return {
        item.key
        for same in versions.values()
        if len(same) > 1
        for item in sorted(same, key=lambda i: (i.modified, i.key))[:-1]
    }


def _delete(studio: Studio, doomed: Sequence[Found]) -> list[Found]:
    """Piece by piece, by tables that were asked a moment ago. What was deleted all the same while somebody began to
    refer to it is read again from the inbox."""
    gone: list[Found] = []
    asked = -FRESH_SECONDS
    named = References(frozenset(), frozenset())
    for first in range(0, len(doomed), AT_ONCE):
        if time.monotonic() - asked >= FRESH_SECONDS:
            with studio.database.session() as session:
                named = references.read(session)
            asked = time.monotonic()
        piece = [(item, why) for item, why in doomed[first : first + AT_ONCE] if not _needed(item, why, named)]
        storage_use.remove(studio.objects, [item for item, _ in piece])
        with studio.database.session() as session:
            keys = [item.key for item, _ in piece]
            unreferenced.forget(session, keys)
            claims.read_again(session, keys)
        gone += piece
    if gone:
        with studio.database.session() as session:
            detail = {"objects": len(gone), "size": _size(gone)}
            audit.write(session, actor="system", action="garbage.collect", subject="store", detail=detail)
        log.info("garbage: %d objects deleted, %d bytes", len(gone), _size(gone))
    return gone


def _needed(item: Stored, why: str, named: References) -> bool:
    """Whether it has come to be referred to since it was found; what is superseded stays so."""
    return item.key in named.keys or (why == UNNAMED and bool(_contents(item) & named.hashes))


def _contents(item: Stored) -> set[str]:
    """Of what was computed, the contents that it was computed of; of others nothing: only their own key names them."""
    return set() if item.key.startswith(("media/", "styles/")) else item.hashes


def _size(found: Iterable[Found]) -> int:
    return sum(item.size for item, _ in found)


def _cut_off(item: Stored, now: datetime) -> bool:
    """A put, or the fetching of a copy, that was killed; a whole copy of what S3 holds is none."""
    name = item.key.rpartition("/")[2]
    part = item.copy and ("#" in name or name.startswith("."))
    return part and now - item.modified > CUT_OFF
