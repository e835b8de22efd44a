"""Takes complete job folders from the inbox: their files into the object store, themselves into the database.

A folder that looks as it did costs a few ``stat`` calls. Each job is one transaction, so that a scan may be killed
anywhere, or two may run at once, and no job is lost or taken twice. Batches are left to batches.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import BadInput, Unavailable
from pipelines.governance import budget, consent, vault
from pipelines.intake import batches, content, job_file
from pipelines.intake import folder as folders
from pipelines.intake.folder import Entry, Folder
from pipelines.intake.job_file import NAME, ComposeWish, JobFile, JobItem, MasterWish, ScoreWish
from pipelines.media.hashing import content_hash
from pipelines.settings import Settings
from pipelines.storage import jobs, uploads
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewJob
from pipelines.storage.objects import Objects
from pipelines.storage.uploads import NewUpload
from pipelines.studio import Studio

REFRESH = f"copy it again, or empty {job_file.MARKER} if you changed it yourself"


@dataclass(slots=True)
class ScanReport:
    """What one look at the inbox found. Sentences name the job first."""

    new: list[str] = field(default_factory=list)  # jobs recorded now, also further revisions
    bad: list[str] = field(default_factory=list)  # sentences: jobs refused now
    bad_files: list[str] = field(default_factory=list)  # sentences: files refused now, whose jobs go on
    waiting: list[str] = field(default_factory=list)  # sentences: folders left alone for now
    postponed: int = 0  # folders that the time did not suffice for
    unchanged: int = 0
    stopped: str | None = None  # why the scan was broken off: the object store is full or away

    @property
    def problems(self) -> list[str]:
        """What somebody should look at, each told by one scan only (but for ``stopped``)."""
        return [*self.bad, *self.bad_files, *([self.stopped] if self.stopped else [])]

    def summary(self) -> str:
        counts = {"new": len(self.new), "bad": len(self.bad), "waiting": len(self.waiting)}
        counts |= {"postponed": self.postponed, "unchanged": self.unchanged}
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "the inbox is empty"


class _NotYet(Exception):
    """The folder is to be looked at again by the next scan."""


def scan(inbox: Path, database: Database, objects: Objects, settings: Settings, *, seconds: float = 40.0) -> ScanReport:
    """Records every complete folder that is new or changed. Begins no file after ``seconds`` (a sensor has 60 in all);
    what was read until then is remembered. Raises Unavailable when the database is away."""
    with folders.housekeeping(inbox):
        names = sorted(entry.name for entry in os.scandir(inbox) if not entry.name.startswith("."))
    with database.session() as session:
        known = jobs.fingerprints(session, [name for name in names if _sayable(name)])
        full = budget.level(session) >= budget.NO_NEW_JOB
    report = ScanReport()
    deadline = time.monotonic() + seconds
    for index, name in enumerate(names):
        if time.monotonic() > deadline:
            report.postponed += len(names) - index
            break
        look = _Look(inbox / name, database, objects, settings, deadline, full)
        try:
            look.take(known.get(name), report)
        except _NotYet as reason:
            report.waiting.append(f"{_shown(name)}: {reason}")
        except FileNotFoundError:
            report.waiting.append(f"{_shown(name)}: went away while it was read")
        except Unavailable as error:
            if error.what.startswith("database"):
                raise
            report.stopped = str(error)
            break
    return report


def waiting(inbox: Path, session: Session) -> list[tuple[str, str]]:
    """Folders that a scan would leave alone now, each with the reason. Looks, and changes nothing."""
    if not inbox.is_dir():
        return []
    names = sorted(e.name for e in os.scandir(inbox) if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
    known = jobs.fingerprints(session, [name for name in names if _sayable(name)])
    found = []
    for name in names:
        try:
            seen = folders.read(inbox / name)
        except (BadInput, FileNotFoundError):
            continue  # recorded by the scan, or gone
        reason = None if seen.fingerprint == known.get(name) else folders.waiting_for(seen, time.time(), 0.0)
        if reason:
            found.append((_shown(name), reason))
    return found


def _sayable(name: str) -> bool:
    return job_file.sayable(name) and len(os.fsencode(name)) <= 200


def _shown(name: str) -> str:
    return name if _sayable(name) else ascii(name)


@dataclass(slots=True)
class _Look:
    """One look at one folder."""

    path: Path
    database: Database
    objects: Objects
    settings: Settings
    deadline: float
    full: bool  # the object store takes no more

    def take(self, fingerprint: str | None, report: ScanReport) -> None:
        name = self.path.name
        if not _sayable(name):
            raise _NotYet("its name cannot be shown or is too long, rename it")
        if not self.path.is_dir() and not self.path.is_symlink():
            raise _NotYet("is a file; a job is a folder")
        try:
            seen = folders.read(self.path)
        except BadInput as error:
            mark = _hash([str(error)])
            if mark == fingerprint:
                report.unchanged += 1
            else:
                self._record(NewJob(name, mark, error=str(error)), [], mark, {}, None, report)
            return
        if seen.fingerprint == fingerprint:
            report.unchanged += 1
            return
        if reason := folders.waiting_for(seen, time.time(), self.settings.number("settle_seconds")):
            raise _NotYet(reason)
        if self.full:
            raise _NotYet("the object store is full; free some space or raise ORIMONO_STORAGE_BUDGET_GB")
        self._read(seen, report)

    def _read(self, seen: Folder, report: ScanReport) -> None:
        name = self.path.name
        manifest = folders.read_manifest(seen) or {}
        raw = b""
        job: JobFile | None = None
        files: list[NewUpload] = []
        memory: dict[str, dict[str, str]] = {}
        error: str | None = None
        try:
            raw = self._description(seen)
            job = job_file.parse(raw, f"{name}/{NAME}")
            if (stray := job.outside()) is not None:
                raise BadInput(f"{name}/{NAME}", f"lists {stray.file}, outside the job's folder", "copy it beside")
            files = self._files(seen, job, manifest, memory)
            refused = [item.error for item in files if item.error]
            content.check_job(name, [item.kind for item in files if not item.error], refused)
        except BadInput as bad:
            error = str(bad)
        if folders.read(self.path).fingerprint != seen.fingerprint:
            raise _NotYet("was changed while it was read")
        # What a person would call the same job has the same hash: layout and comments of job.yaml do not count.
        said = job.model_dump_json(exclude=_unsaid(job)) if job else hashlib.sha256(raw).hexdigest()
        parts = [[f.name, f.kind, list(f.tags), f.content_hash, f.error] for f in files]
        mark = _hash([said, parts, error])
        new = NewJob(name, mark, error=error)
        if job:
            edit, master = (part.model_dump(mode="json", exclude_none=True) for part in (job.edit, job.master))
            score, compose = (part.model_dump(mode="json", exclude_defaults=True) for part in (job.score, job.compose))
            new = NewJob(name, mark, job.owner, job.bpm, job.key, edit, master, score, compose, error)
        self._record(new, files, seen.fingerprint, memory, job, report)

    def _description(self, seen: Folder) -> bytes:
        entry = seen.find(NAME)
        if entry is None:
            raise BadInput(seen.path.name, f"has no {NAME}", "add one as the README shows")
        if not entry.ordinary:
            raise BadInput(f"{seen.path.name}/{NAME}", "is no ordinary file", "write the file itself")
        descriptor = os.open(seen.path / entry.name, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(job_file.MAX_BYTES + 1)

    def _files(
        self, seen: Folder, job: JobFile, manifest: dict[str, dict[str, object]], memory: dict[str, dict[str, str]]
    ) -> list[NewUpload]:
        """Every listed file, stored or refused. Fills ``memory``; raises _NotYet, having saved it, when time is up."""
        with self.database.session() as session:
            row = jobs.folder(session, self.path.name)
            before = dict(row.files) if row else {}
        found = []
        for item in job.files:
            if time.monotonic() > self.deadline:
                with self.database.session() as session:
                    jobs.save_folder(session, self.path.name, None, before | memory)
                raise _NotYet("is still being read")
            entry = seen.find(item.file)
            known = before.get(item.file, {})
            if entry is not None and known.get("stamp") == entry.stamp and known.get("kind") == item.kind:
                memory[item.file] = known
                found.append(_sound(item, entry, known["hash"], known["key"]))
                continue
            upload = self._file(item, entry, manifest.get(item.file, {}).get("sha256"))
            if entry is not None and upload.object_key:
                facts = {"stamp": entry.stamp, "kind": item.kind, "hash": upload.content_hash}
                memory[item.file] = facts | {"key": upload.object_key}
            found.append(upload)
        return found

    def _file(self, item: JobItem, entry: Entry | None, promised: object) -> NewUpload:
        digest, size = "", 0
        try:
            if entry is None:
                raise BadInput(item.file, "is listed but not there", "copy it into the job's folder or unlist it")
            if not entry.ordinary:
                reason = "is a symbolic link" if entry.link else "is no ordinary file"
                raise BadInput(item.file, reason, "copy the file itself into the job's folder")
            path, size = self.path / entry.name, entry.size
            before = path.stat()
            digest = content_hash(path)
            if promised not in (None, digest):
                raise BadInput(
                    item.file, f"is not what {job_file.MARKER} says: it was changed, or damaged on its way", REFRESH
                )
            content.check(path, item.kind, self.settings)
            return _sound(item, entry, digest, self._store(path, digest, before, entry))
        except BadInput as error:
            sentence = str(BadInput(item.file, error.reason, error.remedy))
            return NewUpload(item.file, item.kind, digest, size, item.tags, error=sentence)

    def _store(self, path: Path, digest: str, before: os.stat_result, entry: Entry) -> str:
        try:
            return self.objects.put_hashed(path, digest, before)
        except Unavailable:
            if folders.read(self.path).entries.get(entry.name) != entry:
                raise _NotYet("was changed while it was read") from None
            raise

    def _record(
        self,
        new: NewJob,
        files: Sequence[NewUpload],
        fingerprint: str,
        memory: dict[str, dict[str, str]],
        job: JobFile | None,
        report: ScanReport,
    ) -> None:
        taken_back = False
        with self.database.session() as session:
            before = jobs.latest(session, new.name)
            job_id, fresh = jobs.add(session, new)
            if not fresh and before is not None and before.id != job_id and not new.error:
                batches.bring_back(session, job_id)
            if fresh and job is not None:
                uploads.add(session, job_id, job.owner, files)
                vault.register_uploads(session, jobs.get(session, job_id))
                jobs.give_consent(session, job_id, job.owner, **_allowed(job))
            # Only where the text is another: what a person set since, by another way, is not undone by a touch.
            if job is not None and not new.error and (before is None or before.id != job_id):
                taken_back = consent.follow_folder(session, new.name, job.owner, **_allowed(job))
            jobs.save_folder(session, new.name, fingerprint, memory, job_id)
        if not fresh:
            report.unchanged += 1
        elif new.error:
            report.bad.append(new.error if new.error.startswith(new.name) else f"{new.name}: {new.error}")
        else:
            report.new.append(new.name)
            report.bad_files += [f"{new.name}/{item.error}" for item in files if item.error]
        if taken_back:
            from pipelines.governance import withdrawal

            studio = Studio(self.settings, self.database, self.objects, Cache(self.objects))
            withdrawal.erase_learned(studio, clock.now())


def _allowed(job: JobFile) -> dict[str, bool]:
    return {"quality": job.consents.quality, "training": job.consents.training}


def _unsaid(job: JobFile) -> set[str]:
    """Parts that do not tell one content from another: files have hashes of their own, and a part that came to
    job.yaml later must not make another job of a folder that says nothing of it."""
    later = {"master": MasterWish(), "score": ScoreWish(), "compose": ComposeWish()}
    return {"files"} | {part for part, silent in later.items() if getattr(job, part) == silent}


def _sound(item: JobItem, entry: Entry, digest: str, key: str) -> NewUpload:
    return NewUpload(item.file, item.kind, digest, entry.size, item.tags, object_key=key)


def _hash(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()
