"""A copy of a house that another can be made of: both databases as of one moment each, then objects and files.

The product's database comes first: what it names is immutable, so it is still there afterwards unless it was deleted
on purpose. A folder keeps several backups and each content once. Putting one back is restoring.py's.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sqlalchemy.orm import Session

from pipelines import clock, results
from pipelines.errors import BadInput, Unavailable
from pipelines.governance import audit
from pipelines.intake import pieces
from pipelines.media.hashing import content_hash
from pipelines.storage import audit as trail
from pipelines.storage import dumps, references, storage_use, upkeep_locks
from pipelines.storage.engines import engine_of
from pipelines.studio import Studio
from pipelines.upkeep import ledger, manifests, pool
from pipelines.upkeep.manifests import Dump, Entry, Manifest

# Of the home; what else is there is made again: the server's files, copies, segments, logs, the key that signs links.
PLACES = ("inbox", "results", "data_docs", pieces.FOLDER)
PRODUCT, DAGSTER = "orimono", "dagster"
OBJECTS = "objects"
AT_ONCE = 8  # objects copied side by side: a remote store answers late
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """``damaged``: objects whose bytes are not those of their name. ``copied`` and ``freed`` in bytes."""

    name: str
    files: int
    size: int
    copied: int
    missing: tuple[str, ...]
    damaged: tuple[str, ...]
    removed: tuple[str, ...]  # older backups
    freed: int


def make(studio: Studio, folder: Path, *, keep: int = 7, now: datetime | None = None) -> Made:
    """Adds a backup to the folder and removes all but the newest ``keep``. Cut off anywhere, there is the last one.

    Unavailable when another backup is written there, a store is away or a disk full; BadInput for a folder inside the
    house itself.
    """
    folder = folder.expanduser().resolve()
    if folder.is_relative_to(studio.settings.home_path):
        raise BadInput(folder, "lies in the house that it is to outlive", "give a folder elsewhere, on another disk")
    with writing(folder), upkeep_locks.no_garbage_collection(studio.database):
        moment = now or clock.now()
        name = f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        if name in manifests.names(folder):
            name = f"{moment.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"
        part = folder / f".{name}.partial"
        part.mkdir(mode=0o700)
        try:
            made = _write(studio, folder, part, name, moment)
            ledger.note(studio, folder)
            os.sync()
            part.rename(folder / name)
        finally:
            pool.remove(part)
        removed, freed = _thin(folder, keep)
    log.info("backup %s: %d files, %d new bytes", name, made.files, made.copied)
    with studio.database.session() as session:
        detail = {"name": name, "files": made.files, "size": made.size, "removed": list(removed)}
        trail.write(session, actor="system", action="backup.make", subject="house", detail=detail)
    return Made(name, made.files, made.size, made.copied, made.missing, made.damaged, removed, freed)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """One process at a time writes into a folder of backups; what a killed one left goes."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "backup.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BadInput(folder, f"cannot be written to ({error.strerror})", "choose another folder") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in folder.glob(".*.partial"):
            pool.remove(left)
        yield
    except BlockingIOError as error:
        raise Unavailable(folder, "another backup is being written there", 60) from error
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Written:
    files: int
    size: int
    copied: int
    missing: tuple[str, ...]
    damaged: tuple[str, ...]


def _write(studio: Studio, folder: Path, part: Path, name: str, moment: datetime) -> _Written:
    database = studio.database
    with database.worded(), dumps.moment(database.engine) as now:
        with Session(now.connection) as session:
            head = str(audit.head(session))
        dumps.dump(database.url, now.snapshot, part / "orimono.dump")
        databases = {PRODUCT: _dumped(part / "orimono.dump", now)}
    url = database.url.set(database=f"{database.url.database}_dagster")
    assert database.dagster_url  # makes it where Dagster has never been started
    engine = engine_of(url)
    try:
        with database.worded(), dumps.moment(engine) as now:
            dumps.dump(url, now.snapshot, part / "dagster.dump")
            databases[DAGSTER] = _dumped(part / "dagster.dump", now)
    finally:
        engine.dispose()
    with database.session() as session:
        promised = references.promised(session)
    copied = _Copied(folder, _before(folder))
    entries = sorted(_entries(studio, copied), key=lambda e: (e.place, e.key))
    manifests.write_entries(part / manifests.ENTRIES, entries)
    here = {e.key for e in entries if e.place == OBJECTS}
    missing = tuple(sorted(promised - here)[:100])
    size = sum(e.size for e in entries)
    hashed = content_hash(part / manifests.ENTRIES)
    Manifest(
        name, moment, _version("orimono"), _version("dagster"), databases, hashed, len(entries), size, head, missing
    ).write(part)
    return _Written(len(entries), size, copied.bytes, missing, tuple(sorted(copied.damaged)))


def _dumped(file: Path, moment: dumps.Moment) -> Dump:
    file.chmod(0o600)
    dumps.contents(file)
    return Dump(file.name, content_hash(file), file.stat().st_size, moment.revision, moment.tables)


def _before(folder: Path) -> dict[tuple[str, str], Entry]:
    """What the newest backup has, so that only what changed is read."""
    known = manifests.names(folder)
    if not known:
        return {}
    try:
        return {(e.place, e.key): e for e in manifests.read_entries(folder / known[-1] / manifests.ENTRIES)}
    except BadInput as error:
        log.warning("%s; all is read again", error)
        return {}


class _Copied:
    """Counts what was copied. Its calls come from several threads; what they add up is one statement each."""

    def __init__(self, folder: Path, before: dict[tuple[str, str], Entry]) -> None:
        self.folder, self.before = folder, before
        self.bytes = 0
        self.damaged: list[str] = []

    def entry(
        self, place: str, key: str, size: int, modified_ns: int, read: Callable[[], Iterator[bytes]]
    ) -> Entry | None:
        """None for what went while it was being read."""
        known = self.before.get((place, key))
        same = known is not None and (known.size, known.modified_ns) == (size, modified_ns)
        if known is not None and same and pool.has(self.folder, known.sha256, size):
            return known
        try:
            taken = pool.take(self.folder, read())
        except FileNotFoundError:
            return None
        self.bytes += taken.size if taken.new else 0
        hashes = storage_use.HASH.findall(key.rpartition("/")[2])
        if place == OBJECTS and key.startswith("media/") and taken.sha256 not in hashes:
            self.damaged.append(key)
        return Entry(place, key, taken.size, modified_ns, taken.sha256)


def _entries(studio: Studio, copied: _Copied) -> Iterator[Entry]:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for made in threads.map(lambda ask: ask(), _asked(studio, copied)):
            if made is not None:
                yield made


def _asked(studio: Studio, copied: _Copied) -> Iterable[Callable[[], Entry | None]]:
    for item in storage_use.stored(studio.objects):
        if item.copy:
            continue
        modified = int(item.modified.timestamp() * 1_000_000) * 1000
        read = partial(storage_use.read, studio.objects, item.key)
        yield partial(copied.entry, OBJECTS, item.key, item.size, modified, read)
    home = studio.settings.home_path
    # A house that was moved to a bucket has its results there; those in its home are of before, and nobody's.
    for place in [place for place in PLACES if place != results.PLACE or not studio.objects.remote]:
        for parent, _, files in os.walk(home / place):
            for file in files:
                path = Path(parent) / file
                if (facts := _readable(path, studio)) is not None:
                    key = path.relative_to(home / place).as_posix()
                    yield partial(copied.entry, place, key, facts.st_size, facts.st_mtime_ns, partial(_read, path))


def _readable(path: Path, studio: Studio) -> os.stat_result | None:
    """None for what is no file, and for links to anywhere but the store."""
    with contextlib.suppress(FileNotFoundError):
        if path.is_symlink() and not path.resolve().is_relative_to(studio.objects.folder.resolve()):
            return None
        return path.stat() if path.is_file() else None
    return None


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from pool.blocks(file)


def _thin(folder: Path, keep: int) -> tuple[tuple[str, ...], int]:
    known = manifests.names(folder)
    removed = known[: -max(keep, 1)]
    for name in removed:
        pool.remove(folder / name)
    wanted: set[str] = set()
    for name in manifests.names(folder):
        wanted.update(e.sha256 for e in manifests.read_entries(folder / name / manifests.ENTRIES))
    return tuple(removed), pool.sweep(folder, wanted)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
