"""What of a person lies outside the database: objects and their copies, folders of the inbox and the results, uploads
in pieces, encoded segments, Data Docs. Finding and removing only; in which order, and when that is done, is
withdrawal.py's.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from pipelines import clock, result_folders, results, work_folders
from pipelines.errors import BadInput
from pipelines.governance.people import pseudonym
from pipelines.intake import folder as folders
from pipelines.intake import job_file, pieces
from pipelines.media.hashing import content_hash
from pipelines.storage import claims, composer_styles, jobs, served, storage_use, viewers, withdrawals
from pipelines.storage.storage_use import HASH, Stored
from pipelines.storage.tables import InboxFolder
from pipelines.studio import Studio

JUST_BEGUN = timedelta(minutes=1)  # the lock of a folder that is being made comes after it
MAX_PLAN = 8 << 20  # bytes: no cut list is larger


@dataclass(frozen=True, slots=True)
class Trace:
    """What to look for. It is kept in the withdrawal's row until all is gone, since the rows that tell go before."""

    person: str  # pseudonym
    until: datetime  # on the database's clock: what came later was given anew
    keep: bool  # originals stay
    spellings: tuple[str, ...] = ()
    jobs: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    held: tuple[int, ...] = ()
    folders: tuple[str, ...] = ()  # of the inbox, not taken when they withdrew
    edited: bool = False  # there was a song or a clip, of which segments may be encoded
    viewers: tuple[str, ...] = ()  # ids of theirs as somebody who decides
    sheets: tuple[int, ...] = ()  # ids of score jobs
    arrangements: tuple[int, ...] = ()  # ids
    uploads: tuple[str, ...] = ()  # ids of those that came in pieces
    aliases: tuple[str, ...] = ()  # pseudonyms of those, where an id was given in place of the name
    exports: tuple[str, ...] | None = None  # hashes of others' files that name the viewer; None: not searched yet
    cleared: tuple[str, ...] = ()  # places that are others' again, and not to be cleared twice
    asked: bool = True  # False: only foreseen

    def to_dict(self) -> dict[str, Any]:
        parts = ("spellings", "jobs", "names", "batches", "hashes", "keys", "held", "folders", "cleared")
        told = {"until": self.until.isoformat(), "edited": self.edited}
        told |= {n: list(getattr(self, n)) for n in (*parts, "viewers", "sheets", "arrangements", "uploads", "aliases")}
        return told if self.exports is None else told | {"exports": list(self.exports)}

    @property
    def rows(self) -> withdrawals.Rows:
        return withdrawals.Rows(
            *(self.jobs, self.names, self.batches, self.hashes, self.keys, self.held, self.folders, self.edited),
            viewers=self.viewers,
            sheets=self.sheets,
            arrangements=self.arrangements,
            persons=self.persons,
        )

    @property
    def persons(self) -> tuple[str, ...]:
        """All pseudonyms under which rows of theirs were learned from."""
        return tuple(dict.fromkeys((self.person, *self.aliases)))


@dataclass(frozen=True, slots=True)
class Places:
    """What is to go outside the database, and what stays although it is the person's."""

    objects: tuple[Stored, ...]
    orphans: tuple[Stored, ...]  # what was computed of nobody's content any more: it may have been theirs
    folders: tuple[Path, ...]  # files, too
    shared: tuple[str, ...]  # keys that another person's job names as well
    kept: tuple[str, ...]  # keys of originals left with us, or under a legal hold

    def files(self) -> Iterator[Path]:
        for place in self.folders:
            yield from (p for p in place.rglob("*") if not p.is_dir()) if place.is_dir() else (place,)


def follow(session: Session, person: str, until: datetime, keep: bool, before: dict[str, Any]) -> Trace:
    """What the database tells now, and what was known ``before`` (a Trace's dictionary)."""
    spellings = withdrawals.spellings(session, person)
    found = withdrawals.rows(session, spellings, until, before.get("folders", ()))
    watching = tuple(str(row.user_id) for row in viewers.of_pseudonyms(session, [person]))

    def both(name: str, now: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(sorted({*before.get(name, ()), *now}))

    return Trace(
        person=person,
        until=until,
        keep=keep,
        spellings=both("spellings", tuple(spellings)),
        jobs=both("jobs", found.jobs),
        names=both("names", found.names),
        batches=both("batches", found.batches),
        hashes=both("hashes", found.hashes),
        keys=both("keys", found.keys),
        held=both("held", found.held),
        folders=both("folders", found.folders),
        edited=found.edited or before.get("edited", False),
        viewers=both("viewers", watching),
        sheets=both("sheets", found.sheets),
        arrangements=both("arrangements", found.arrangements),
        uploads=both("uploads", tuple(served.uploads(session, spellings, until))),
        aliases=both("aliases", ()),
        exports=tuple(before["exports"]) if "exports" in before else None,
        cleared=tuple(before.get("cleared", ())),
    )


def look(studio: Studio, trace: Trace) -> Places:
    """Reads every name in the store once, and the cut lists that nobody claims."""
    everything = list(storage_use.stored(studio.objects))
    listed = [item.key for item in everything]
    own = set(trace.hashes).union(*(HASH.findall(key) for key in trace.keys)) if trace.keys else set(trace.hashes)
    computed = {h for item in everything if item.key.startswith("features/") for h in item.hashes}
    with studio.database.session() as session:
        named = claims.claimed_keys(session, listed, trace.jobs, trace.arrangements)
        living = claims.claimed(session, own | computed, trace.jobs).union(*(HASH.findall(key) for key in named))
        kept = claims.held_keys(session, listed) | (claims.kept_originals(session, listed) - named)
        places = tuple(_folders(studio, session, trace))
    gone = own - living
    doomed, orphans = [], []
    styles = tuple(f"{composer_styles.FOLDER}/{person}/" for person in trace.persons)  # a killed learning's, too
    published = published_below(trace)
    for item in everything:
        if item.key.startswith(f"{results.PLACE}/"):  # by its job alone: names of files there may be anything
            if item.key.startswith(tuple(published.values())):
                doomed.append(item)
            continue
        if item.key in named or (item.key in kept and not item.copy):
            continue
        if item.key.startswith(styles) or item.hashes & gone or (item.key in trace.keys and not item.hashes & living):
            doomed.append(item)
        elif item.key.startswith("features/") and item.hashes and not item.hashes & living:
            orphans.append(item)
        elif item.key.startswith("media/") and item.key.endswith(".json") and _tells(studio, item, gone):
            doomed.append(item)
    mine = {item.key for item in everything if item.hashes & own and not item.key.startswith(f"{results.PLACE}/")}
    return Places(
        tuple(doomed),
        tuple(orphans),
        places,
        shared=tuple(sorted(mine & named)),
        kept=tuple(sorted((mine | set(trace.keys)) & kept)),
    )


def published_below(trace: Trace) -> dict[str, str]:
    """Job's name -> how the keys of its results begin in a bucket, but for those that are others' again."""
    names = [name for name in trace.names if f"{results.PLACE}/{name}" not in trace.cleared]
    return {name: f"{results.prefix_of(name)}/" for name in names}


def published(studio: Studio, trace: Trace, places: Places) -> set[str]:
    """Names of the jobs whose results are among what is to go."""
    below = published_below(trace)
    return {
        name
        for name, start in below.items()
        if results.folder_of(studio.settings, name) in places.folders
        or any(item.key.startswith(start) for item in places.objects)
    }


def clear(studio: Studio, places: Places, *, orphans: bool) -> None:
    """Removes all of it; ``orphans``: also what may be another's at this moment, when nobody is computing."""
    with folders.housekeeping(studio.settings.inbox):  # no scan begins meanwhile
        for place in places.folders:
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
    result_folders.sweep(studio.settings)  # what a killed run was about to share
    work_folders.sweep(clock.now() - JUST_BEGUN)  # or was making
    storage_use.remove(studio.objects, [*places.objects, *(places.orphans if orphans else ())])


def segments(studio: Studio) -> tuple[Path, ...]:
    """Encoded segments, everybody's: their names do not tell whose they are, and they can be encoded again."""
    folder = studio.settings.home_path / "segments"
    return (folder,) if folder.is_dir() and any(folder.iterdir()) else ()


def untaken(studio: Studio, session: Session, person: str) -> dict[str, list[str]]:
    """Folders of the inbox that name this pseudonym's person and are no job yet, as "folders", and what their files
    hash to, as "hashes": some may be in the store already."""
    folder_names, hashes = [], []
    memory = withdrawals.memory(session, [path.name for path in _visible(studio.settings.inbox)])
    for path in _visible(studio.settings.inbox):
        if _owner(path) == person and not _taken(path, memory):
            folder_names.append(path.name)
            hashes += [content_hash(file) for file in path.iterdir() if file.is_file() and not file.is_symlink()]
    return {"folders": folder_names, "hashes": hashes}


def watching(session: Session, name: str) -> dict[str, list[str]]:
    """Who decides under this name or has this id, as "viewers"; their pseudonyms where others, as "aliases"."""
    rows = viewers.of_name(session, name)
    others = [row.pseudonym for row in rows if row.pseudonym != pseudonym(name)]
    return {"viewers": [str(row.user_id) for row in rows], "aliases": others}


def put_aside(studio: Studio, names: Sequence[str]) -> None:
    """Folders that are no job yet become none, unless their owner completes them again."""
    with folders.housekeeping(studio.settings.inbox):
        for name in names:
            (studio.settings.inbox / name / job_file.MARKER).unlink(missing_ok=True)


def _folders(studio: Studio, session: Session, trace: Trace) -> Iterator[Path]:
    home = studio.settings.home_path
    yield from _inbox(studio.settings.inbox, session, trace)
    for name in trace.names:
        place = results.folder_of(studio.settings, name)
        if f"{results.PLACE}/{name}" not in trace.cleared and place.is_dir():
            yield place
    for upload in trace.uploads:
        if (place := pieces.folder(studio.settings, upload)).is_dir():
            yield place
    for key in trace.batches:
        yield from (home / "data_docs").glob(f"*/{key}")


def claimants(session: Session, trace: Trace) -> dict[str, int]:
    """Folder name -> id of the other, living job that its results are for now."""
    found = {name: jobs.presented(session, name) for name in trace.names}
    return {name: job for name, job in found.items() if job is not None and job not in trace.jobs}


def _inbox(inbox: Path, session: Session, trace: Trace) -> Iterator[Path]:
    """Folders whose content is a job of theirs, and those that were not taken when they withdrew (but what is left
    with us), unless they have completed them anew."""
    memory = withdrawals.memory(session, trace.names)
    for path in _visible(inbox):
        known = memory.get(path.name)
        if known is not None and known.job_id in trace.jobs and _taken(path, memory):
            yield path
            continue
        anew = trace.asked and (path / job_file.MARKER).exists()
        if path.name in trace.folders and not anew and not trace.keep and _owner(path) == trace.person:
            yield path


def _visible(inbox: Path) -> list[Path]:
    if not inbox.is_dir():
        return []
    return sorted(p for p in inbox.iterdir() if p.is_dir() and not p.is_symlink() and not p.name.startswith("."))


def _taken(path: Path, memory: dict[str, InboxFolder]) -> bool:
    """Whether the folder is, as it lies there, a job."""
    known = memory.get(path.name)
    try:
        return known is not None and known.job_id is not None and known.fingerprint == folders.read(path).fingerprint
    except (BadInput, FileNotFoundError):
        return False


def _owner(path: Path) -> str | None:
    """Pseudonym of the owner that the folder's job.yaml names, if it can be read."""
    file = path / job_file.NAME
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > job_file.MAX_BYTES:
            return None
        return pseudonym(job_file.parse(file.read_bytes(), path.name).owner)
    except (BadInput, OSError):
        return None


def _tells(studio: Studio, item: Stored, gone: set[str]) -> bool:
    """Whether a cut list that no row names any more is of such contents."""
    if not gone or item.size > MAX_PLAN:
        return False
    found = (studio.objects.folder / item.key).read_bytes() if item.copy else studio.objects.get_named(item.key)
    return found is not None and not gone.isdisjoint(HASH.findall(found.decode(errors="replace")))
