"""How long each kind of object is kept, and that it goes when its time is up.

What a person takes back goes at once and elsewhere: withdrawal.py. Features that were computed stay.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from pipelines import clock, results
from pipelines.errors import BadInput
from pipelines.governance import budget
from pipelines.intake import folder as folders
from pipelines.intake import receiving, submitting
from pipelines.media.hashing import content_hash
from pipelines.storage import arrangements, audit, claims, score_cache, score_jobs, served, storage_use, withdrawals
from pipelines.storage import vault as table
from pipelines.storage.tables import UPLOAD_KINDS
from pipelines.studio import Studio

PERIODS: Mapping[str, timedelta | None] = {  # None: until its owner withdraws
    "inst": timedelta(days=7),
    "vocal": timedelta(days=7),
    "master": timedelta(days=15),
    "preview": timedelta(days=30),
    "scored": timedelta(days=30),  # and what is known of sheets that were scored at the command line
    "arrangement": None,
    "music": None,
    "clip": None,
    "lyrics": None,
    "mix": None,
    "melody": None,
    "sheet": None,
    "videos": None,
    "decisions": None,  # but for what a viewer's withdrawal takes with it
    "tags": None,
}
UNCHOSEN = timedelta(days=30)  # arrangements of the command line, where none of a wish was chosen
OPENED = timedelta(seconds=120)  # how long a copy that was handed out is to be read
MIXDOWNS = "features/mixdown"  # no features, but the stems in another form
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Expired:
    """One item whose time is up. ``object_goes``: nobody else has a claim on its object."""

    item_id: int
    kind: str
    job_id: int | None
    object_key: str
    content_hash: str
    size: int  # bytes
    due: datetime
    object_goes: bool


@dataclass(frozen=True, slots=True)
class Report:
    expired: tuple[Expired, ...]
    held: tuple[int, ...]  # items whose time is up, but for a legal hold
    dry_run: bool
    sheets: tuple[int, ...] = ()  # score jobs of the command line, with all their rows
    arrangements: tuple[int, ...] = ()  # of the command line, not chosen

    @property
    def freed(self) -> int:
        """Bytes."""
        return sum(item.size for item in self.expired if item.object_goes)

    def lines(self, *, keys: bool = True) -> list[str]:
        """One line a thing, for a person to read; without ``keys`` for records that outlive the person's withdrawal:
        an object's key is the hash of its content."""
        verb = "would delete" if self.dry_run else "deleted"
        shared = "; its content is another's, too, and stays"
        return [
            *(
                f"{verb} {e.kind} of job {e.job_id}: {f'{e.object_key} ' if keys else ''}"
                f"({e.size} bytes, due {e.due:%Y-%m-%d %H:%M})"
                f"{'' if e.object_goes else shared}"
                for e in self.expired
            ),
            *(f"{verb} score job {sheet} of the command line" for sheet in self.sheets),
            *(f"{verb} arrangement {made} of the command line" for made in self.arrangements),
            *(f"left vault item {item}: it is under a legal hold" for item in self.held),
        ]


def expire(studio: Studio, now: datetime | None = None, *, dry_run: bool = False) -> Report:
    """Deletes what has expired at ``now``: the object unless others need it, its copies in the inbox and the results;
    an upload's row stays as "expired". Cached masters and previews that nobody's item names, since who had asked for
    them withdrew and another has the same content, go at the same age. Killed anywhere, the next run goes on.

    Unavailable, with nothing deleted, while this machine's clock and the database's do not agree.
    """
    with studio.database.session() as session:
        agreed = clock.agreed(session)
        moment = now or agreed
        due = [(row.id, row.legal_hold) for row in table.expired(session, moment)]
    held = tuple(item for item, hold in due if hold)
    ids = [item for item, hold in due if not hold]
    if dry_run:
        with studio.database.session() as session, session.begin_nested() as trial:
            found = [_expire(session, item, moment) for item in ids]
            sheets = _expire_sheets(session, moment)
            composed, _ = _expire_arrangements(session, moment)
            trial.rollback()
        return Report(tuple(e for e in found if e is not None), held, dry_run, sheets, composed)
    done = []
    for item_id in ids:
        with studio.database.session() as session:
            if (expired := _expire(session, item_id, moment)) is not None:
                # Before the commit: a row without its object is found again, an object without a row is not.
                _delete(studio, session, expired)
                done.append(expired)
    _drop_mixdowns(studio)
    _drop_unnamed(studio, moment)
    drop_opened(studio, moment)
    with studio.database.session() as session:
        claims.read_again(session, [e.object_key for e in done if e.object_goes])
        sheets = _expire_sheets(session, moment)
        score_cache.drop_stale(session, timedelta(hours=studio.settings.number("score_cache_hours")))
    with studio.database.session() as session:
        composed, keys = _expire_arrangements(session, moment)
        for key in keys:  # before the commit, as above
            studio.objects.delete(key)
            (studio.objects.folder / key).unlink(missing_ok=True)
    _expire_served(studio, moment)
    report = Report(tuple(done), held, dry_run, sheets, composed)
    if done:
        log.info("retention: %d items expired, %d bytes freed", len(done), report.freed)
    return report


def expire_at_once(studio: Studio, items: Sequence[int], now: datetime) -> None:
    """As if the time of these items of the vault were up; those under a legal hold stay."""
    for item_id in items:
        with studio.database.session() as session:
            item = table.locked(session, item_id)
            if item is None or item.legal_hold or item.deleted_at is not None:
                continue
            item.expires_at = now
            if (expired := _expire(session, item_id, now)) is not None:
                _delete(studio, session, expired)


def _expire(session: Session, item_id: int, now: datetime) -> Expired | None:
    """The item's rows as they will be."""
    item = table.locked(session, item_id)
    if item is None or item.legal_hold or item.deleted_at is not None or item.expires_at is None:
        return None  # held, deleted or prolonged since the look
    if item.expires_at > now:
        return None
    goes = not table.others_need(session, item)
    found = Expired(
        item.id, item.kind, item.job_id, item.object_key, item.content_hash, item.size, item.expires_at, goes
    )
    if item.job_id is not None and item.kind in UPLOAD_KINDS:
        table.expire_upload(session, item)
    if item.job_id is None and withdrawals.completed(session, [item.user_id]):
        session.delete(item)  # its owner withdrew, and only a hold kept it
    else:
        item.deleted_at, item.deleted_reason = now, "expired"
    session.flush()
    return found


def _expire_sheets(session: Session, now: datetime) -> tuple[int, ...]:
    """What was scored at the command line belongs to nobody who could withdraw it: it goes by itself."""
    period = PERIODS["scored"]
    assert period is not None
    gone = score_jobs.expire(session, now - period)
    if gone:
        audit.write(session, actor="system", action="retention.expire", subject="sheets", detail={"score_jobs": gone})
    return tuple(gone)


def _expire_arrangements(session: Session, now: datetime) -> tuple[tuple[int, ...], set[str]]:
    """Ids of what nobody chose at the command line, and keys of their objects that nothing else names."""
    gone, keys = arrangements.expire(session, now - UNCHOSEN)
    if gone:
        detail = {"arrangements": gone}
        audit.write(session, actor="system", action="retention.expire", subject="arrangements", detail=detail)
    return tuple(gone), arrangements.unneeded(session, keys)


def _expire_served(studio: Studio, now: datetime) -> None:
    """What serving keeps for a while: uploads that nobody finished, sessions, answers, keys that work no more. Jobs
    that a stopped process had taken go into the inbox."""
    submitting.finish(studio)
    gone = {"pending_uploads": receiving.drop_expired(studio)}
    with studio.database.session() as session:
        gone |= served.expire(session, now)
    if any(gone.values()):
        log.info("retention: %s", ", ".join(f"{n} rows of {table}" for table, n in gone.items() if n))


def _delete(studio: Studio, session: Session, item: Expired) -> None:
    if item.job_id is not None:
        _drop_copies(studio, session, item, item.job_id)
    if item.object_goes:
        studio.objects.delete(item.object_key)
        (studio.objects.folder / item.object_key).unlink(missing_ok=True)  # a copy whose object went before
    subject = f"job:{item.job_id}" if item.job_id is not None else f"vault:{item.item_id}"
    detail = {"item": item.item_id, "kind": item.kind, "due": item.due.isoformat(), "object_deleted": item.object_goes}
    audit.write(session, actor="system", action="retention.expire", subject=subject, detail=detail)


def _drop_copies(studio: Studio, session: Session, item: Expired, job_id: int) -> None:
    """The same bytes where persons put or take them: the job's folder in the inbox, its results."""
    if item.kind in UPLOAD_KINDS:
        with folders.housekeeping(studio.settings.inbox):
            row = table.inbox_folder(session, job_id)
            path = studio.settings.inbox / row.name if row is not None else None
            if row is not None and path is not None and path.is_dir() and _fingerprint(path) == row.fingerprint:
                shutil.rmtree(path)
    name = table.name_of_job(session, job_id)
    for path in list(_same(studio, results.folder_of(studio.settings, name), item)):
        path.unlink(missing_ok=True)
    if studio.objects.remote:
        for key in list(_same_in_bucket(studio, name, item)):
            studio.objects.delete(key)


def _fingerprint(path: Path) -> str | None:
    try:
        return folders.read(path).fingerprint
    except (BadInput, FileNotFoundError):
        return None


def _same(studio: Studio, folder: Path, item: Expired) -> Iterator[Path]:
    """Links to the object and files of its bytes."""
    place = studio.objects.folder / item.object_key
    digest: str | None = None
    for path in folder.rglob("*") if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            if path.is_symlink():
                if path.readlink() == place:
                    yield path
            elif path.is_file() and path.stat().st_size == item.size:
                digest = digest or _digest(studio, item)
                if content_hash(path) == digest:
                    yield path


def _same_in_bucket(studio: Studio, job: str, item: Expired) -> Iterator[str]:
    """Keys of the job's results with the object's bytes."""
    alike = [key for key, size in studio.objects.below(results.prefix_of(job)) if size == item.size]
    digest = _digest(studio, item) if alike else ""
    for key in alike:
        found = hashlib.sha256()
        with contextlib.suppress(FileNotFoundError):
            for block in storage_use.read(studio.objects, key):
                found.update(block)
        if found.hexdigest() == digest:
            yield key


def _digest(studio: Studio, item: Expired) -> str:
    """Of the object itself: a master's item names the content that it was made of."""
    found = studio.objects.local_named(item.object_key)
    return item.content_hash if found is None else content_hash(found)


def _drop_mixdowns(studio: Studio) -> None:
    """Stems mixed as they were aligned are kept no longer than the stems."""
    mixdowns = list(storage_use.stored(studio.objects, MIXDOWNS))
    with studio.database.session() as session:
        gone = table.mixed_from_expired(session, {h for item in mixdowns for h in item.hashes})
    storage_use.remove(studio.objects, [item for item in mixdowns if item.hashes and item.hashes <= gone])


def _drop_unnamed(studio: Studio, now: datetime) -> None:
    for kind in ("master", "preview"):
        period = PERIODS[kind]
        assert period is not None
        old = [i for i in storage_use.stored(studio.objects, f"features/{kind}") if now - i.modified > period]
        old = [i for i in old if i.key.endswith(tuple(budget.REMAKABLE))]
        with studio.database.session() as session:
            named = table.needed(session, {i.key for i in old})
            if doomed := [i for i in old if i.key not in named]:
                storage_use.remove(studio.objects, doomed)
                detail = {"kind": kind, "unnamed": len(doomed)}
                audit.write(session, actor="system", action="retention.expire", subject="store", detail=detail)


def opened(studio: Studio) -> Path:
    """Where access.py puts copies of originals, each in a folder of its own, dated by its handing out."""
    return studio.settings.home_path / "opened"


def drop_opened(studio: Studio, now: datetime) -> None:
    """Deletes the copies handed out more than 120 s ago (or, by a clock that jumped, to come)."""
    for folder in opened(studio).iterdir() if opened(studio).is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            if not 0 <= now.timestamp() - folder.stat().st_mtime <= OPENED.total_seconds():
                shutil.rmtree(folder)
