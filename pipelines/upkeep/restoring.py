"""Makes a house of a backup: whole or not at all, never over one that lives, and verified before it is there.

Everything is prepared beside the house's place and put there by renaming. Who is cut off before leaves nothing that
counts; who is cut off between the renamings goes on with the same command.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine

from pipelines import results
from pipelines.errors import BadInput, Unavailable
from pipelines.governance import audit
from pipelines.settings import Settings
from pipelines.storage import audit as trail
from pipelines.storage import bucket, dumps, embedded, keeper, migrations_known, storage_use
from pipelines.storage.database import Database
from pipelines.storage.engines import engine_of
from pipelines.storage.objects import Objects
from pipelines.studio import Studio
from pipelines.upkeep import backup, ledger, manifests, pool
from pipelines.upkeep.manifests import Entry, Manifest

READY = "restored.json"  # in the prepared house: all is verified, and only the renaming is left
_RESTORING = "_restoring"  # of a server's databases, until they are whole
PATIENCE = 90.0  # s, for the end of a server
CHILDREN_SECONDS = 30.0  # for the end of what a killed process began
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Restored:
    """``withdrawn``: pseudonyms of persons who withdrew since the backup, whose things are excluded again.
    ``migrated``: the revision that the backup was of, where it was an older one."""

    home: Path
    name: str
    files: int
    size: int  # bytes
    rows: int
    migrated: str | None
    missing: int
    withdrawn: tuple[str, ...]


def restore(settings: Settings, folder: Path, name: str | None = None, into: Path | None = None) -> Restored:
    """Puts the newest backup of the folder, or the one of that name, into ``into`` (ORIMONO_HOME by default).

    BadInput when the place or the database is taken, or the backup is damaged or of a newer version; Unavailable when
    a disk is full or a store away. The place is then as it was before.
    """
    folder = folder.expanduser().resolve()
    home = (into or settings.home_path).expanduser().resolve()
    manifest = _chosen(folder, name)
    staging = home.parent / f".{home.name}.restoring"
    with _alone(home):
        _must_be_vacant(home)
        ready = _ready(staging)
        if ready is None or ready["name"] != manifest.name:
            _must_be_free(settings)
            _clear(settings, staging)
            ready = _prepare(settings, folder, manifest, staging)
        _put_in_place(settings, staging, home)
    return Restored(home=home, **ready | {"withdrawn": tuple(ready["withdrawn"])})


def _chosen(folder: Path, name: str | None) -> Manifest:
    known = manifests.names(folder)
    if not known:
        raise BadInput(folder, "holds no finished backup", "give the folder that `orimono backup` wrote to")
    if name is not None and name not in known:
        raise BadInput(name, f"is no backup in {folder}", f"choose from {', '.join(known[-5:])}")
    manifest = manifests.read(folder / (name or known[-1]))
    revision = manifest.databases[backup.PRODUCT].revision
    if revision is not None and revision not in migrations_known.revisions():
        raise BadInput(folder / manifest.name, "was made by a newer version of Orimono", "install that version")
    manifests.check(folder, manifest)
    return manifest


def _must_be_vacant(home: Path) -> None:
    """Folders alone are no house: a container's entry point has made some before it restores."""
    if home.exists() and (not home.is_dir() or any(p.is_symlink() or not p.is_dir() for p in home.rglob("*"))):
        remedy = "move it away, or name another place (--into)"
        raise BadInput(home, "is not empty, and nothing is restored over a house", remedy)


def _must_be_free(settings: Settings) -> None:
    """Of a server of one's own: neither database may hold anything."""
    if not settings.database_url:
        return
    with _maintenance(settings) as (maintenance, urls):
        for url in urls:
            _must_be_empty(maintenance, url)


def _must_be_empty(maintenance: Engine, url: URL) -> None:
    engine = engine_of(url)
    try:
        if not dumps.is_empty(maintenance, url, engine):
            remedy = "name another database in ORIMONO_DATABASE_URL, or drop this one yourself"
            raise BadInput(f"the database {url.database}", "is in use, and is not restored over", remedy)
    finally:
        engine.dispose()


def _prepare(settings: Settings, folder: Path, manifest: Manifest, staging: Path) -> dict[str, Any]:
    staging.mkdir(parents=True, mode=0o700)
    prepared = replace(settings, home=str(staging), backup_folder="")  # a house made to be looked at notes nothing
    if settings.database_url:
        url = _product_url(settings)
        staged = url.set(database=f"{url.database}{_RESTORING}")
        prepared = replace(prepared, database_url=staged.render_as_string(hide_password=False))
    database = Database(prepared)
    try:
        rows = sum(_fill(database, which, folder, manifest) for which in manifest.databases)
        before = manifest.databases[backup.PRODUCT].revision
        database.migrate()
        _verify_trail(database, manifest)
        bucket.make_when_missing(prepared)
        _put_back(prepared, folder, manifest, staging)
        studio = Studio.open(prepared)
        withdrawn = ledger.apply(studio, folder, manifest.made_at)
        with database.session() as session:
            detail = {"name": manifest.name, "made_at": manifest.made_at.isoformat(), "withdrawn": len(withdrawn)}
            trail.write(session, actor="system", action="backup.restore", subject="house", detail=detail)
        studio.database.dispose()
        ready: dict[str, Any] = {
            "name": manifest.name,
            "files": manifest.files,
            "size": manifest.size,
            "rows": rows,
            "migrated": before if before != migrations_known.newest() else None,
            "missing": len(manifest.missing),
            "withdrawn": withdrawn,
        }
    finally:
        database.dispose()
        embedded.release(staging)
    if not settings.database_url and not embedded.stop(staging):
        raise Unavailable(staging, "its database is still in use", 10)
    os.sync()
    (staging / READY).write_text(json.dumps(ready))
    return ready


def _fill(database: Database, which: str, folder: Path, manifest: Manifest) -> int:
    """Restores one database and counts its rows; BadInput when they are not those that were dumped."""
    dump = manifest.databases[which]
    url = database.url if which == backup.PRODUCT else database.url.set(database=f"{database.url.database}_dagster")
    engine = database.engine if which == backup.PRODUCT else None  # makes the database
    if engine is None:
        assert database.dagster_url
        engine = engine_of(url)
    try:
        dumps.restore(url, folder / manifest.name / dump.file)
        with database.worded(), engine.connect() as connection:
            found = dumps.counted(connection)
    finally:
        if which != backup.PRODUCT:
            engine.dispose()
    if found != dump.tables:
        wrong = sorted({t for t in {*found, *dump.tables} if found.get(t) != dump.tables.get(t)})
        remedy = "use another backup"
        raise BadInput(folder / manifest.name, f"gives other rows than it was made of ({', '.join(wrong)})", remedy)
    return sum(found.values())


def _verify_trail(database: Database, manifest: Manifest) -> None:
    with database.session() as session:
        verdict = audit.verify(session, audit.Head.parse(manifest.audit_head))
    if not verdict.ok:
        raise BadInput(manifest.name, str(verdict), "use another backup")


def _put_back(prepared: Settings, folder: Path, manifest: Manifest, staging: Path) -> None:
    objects = Objects.open(prepared)
    sizes = {item.key: item.size for item in storage_use.stored(objects) if not item.copy} if objects.remote else {}
    originals: dict[str, Path] = {}  # by hash; all are met before the results that were made of them
    for entry in _placed(manifests.read_entries(folder / manifest.name / manifests.ENTRIES), objects):
        place = (objects.folder if entry.place == backup.OBJECTS else staging / entry.place) / entry.key
        if not place.resolve().is_relative_to(staging.resolve()):
            raise BadInput(folder, f"names a file outside of the house ({entry.key!r})", "use another backup")
        if entry.place == backup.OBJECTS and objects.remote:
            if sizes.get(entry.key) != entry.size or entry.key.startswith(f"{results.PLACE}/"):  # no content's name
                objects.put_named(entry.key, pool.verified(folder, entry))
        elif entry.place == results.PLACE and results.is_original(entry.key.partition("/")[2]):
            if (original := originals.get(entry.sha256)) is not None:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(os.path.relpath(original, place.parent))  # the house moves to its place as a whole
        else:
            pool.put_back(folder, entry, place)
            if entry.place == backup.OBJECTS:
                originals[entry.sha256] = place


def _placed(entries: Iterable[Entry], objects: Objects) -> Iterator[Entry]:
    """Results lie in a bucket or in the home, as the house that is made has it, whichever that of the backup had. What
    an edit was made of, which is in the store anyway, is shared by nobody."""
    below = f"{results.PLACE}/"
    for entry in entries:
        if entry.place == results.PLACE and objects.remote:
            job, _, path = entry.key.partition("/")
            if not results.is_original(path):
                yield replace(entry, place=backup.OBJECTS, key=results.key_of(job, path))
        elif entry.place == backup.OBJECTS and entry.key.startswith(below) and not objects.remote:
            yield replace(entry, place=results.PLACE, key=results.heard(entry.key.removeprefix(below)))
        else:
            yield entry


def _put_in_place(settings: Settings, staging: Path, home: Path) -> None:
    """The home last: as long as it is not there, the same command goes on here. What was begun at its place since all
    was prepared, perhaps days ago, stays."""
    if settings.database_url:
        with _maintenance(settings) as (maintenance, urls):
            due = [url for url in reversed(urls) if dumps.exists(maintenance, _staged(url))]
            for url in due:
                _must_be_empty(maintenance, url)
            for url in due:
                dumps.rename(maintenance, _staged(url), str(url.database))
    if home.is_dir():
        for parent, _, _ in os.walk(home, topdown=False):
            Path(parent).rmdir()
    staging.rename(home)
    (home / READY).unlink()


def _remove(folder: Path) -> None:
    """What a killed process had begun (making a server's data folder, say) may go on writing there for a moment."""
    deadline = time.monotonic() + CHILDREN_SECONDS
    while True:
        try:
            shutil.rmtree(folder)
            return
        except FileNotFoundError:
            if not folder.exists():
                return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _clear(settings: Settings, staging: Path) -> None:
    """What a restoring that was cut off has left."""
    if staging.is_dir():
        _end_server(staging)
        _remove(staging)
    if settings.database_url:
        with _maintenance(settings) as (maintenance, urls):
            for url in urls:
                dumps.drop(maintenance, _staged(url))


def _end_server(home: Path) -> None:
    """Whoever made the database there outlives who began it, and may be about to start its server."""
    folder = home / "postgres"
    deadline = time.monotonic() + PATIENCE
    while folder.is_dir():
        making = keeper.locked(folder / "start.lock", wait=True)
        if making is not None:
            os.close(making)
        embedded.stop(home, force=True)
        if (kept := keeper.locked(folder / "keeper.lock")) is not None:
            os.close(kept)
            return
        if time.monotonic() > deadline:
            raise Unavailable(home, "its database does not end", 30)
        time.sleep(0.1)


def _ready(staging: Path) -> dict[str, Any] | None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        found: dict[str, Any] = json.loads((staging / READY).read_text())
        return found
    return None


def _staged(url: URL) -> str:
    """``orimono_dagster`` is prepared as ``orimono_restoring_dagster``."""
    name = str(url.database)
    base = name.removesuffix("_dagster")
    return f"{base}{_RESTORING}{name[len(base) :]}"


def _product_url(settings: Settings) -> URL:
    return Database(settings).url


@contextlib.contextmanager
def _maintenance(settings: Settings) -> Iterator[tuple[Engine, tuple[URL, URL]]]:
    database = Database(settings)
    url = database.url
    engine = engine_of(url.set(database="postgres"))
    try:
        with database.worded():
            yield engine, (url, url.set(database=f"{url.database}_dagster"))
    finally:
        engine.dispose()


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One restoring at a time into a place."""
    home.parent.mkdir(parents=True, exist_ok=True)
    lock = home.parent / f".{home.name}.restoring.lock"
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
        lock.unlink(missing_ok=True)
    except BlockingIOError as error:
        raise Unavailable(home, "is being restored by another process", 60) from error
    finally:
        os.close(descriptor)
