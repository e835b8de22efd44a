"""Takes one job folder of the inbox: judges it, puts its files into the object store, and says what to write down.

Many are taken side by side, so nothing is written here but objects; rows are recording.py's, the inbox scan.py's.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.errors import BadInput, Unavailable
from pipelines.intake import content, job_file
from pipelines.intake import folder as folders
from pipelines.intake.folder import Entry, Folder
from pipelines.intake.job_file import NAME, ComposeWish, JobFile, JobItem, MasterWish, ScoreWish
from pipelines.media.hashing import content_hash
from pipelines.settings import Settings
from pipelines.storage.jobs import NewJob
from pipelines.storage.objects import Objects
from pipelines.storage.uploads import NewUpload

Memory = dict[str, dict[str, str]]  # file -> its stamp, kind, hash and key when it was last read
REFRESH = f"copy it again, or empty {job_file.MARKER} if you changed it yourself"


class NotYet(Exception):
    """The folder is to be looked at again by the next scan; ``memory``: what was read of it until now, to be kept."""

    def __init__(self, reason: str, memory: Memory | None = None) -> None:
        super().__init__(reason)
        self.memory = memory


@dataclass(frozen=True, slots=True)
class Taken:
    """One content of a folder. ``job`` is None where the description cannot be read."""

    new: NewJob
    fingerprint: str
    files: tuple[NewUpload, ...] = ()
    memory: Memory = field(default_factory=dict)
    job: JobFile | None = None


@dataclass(frozen=True, slots=True)
class Taking:
    """One look at one folder. ``before``: what is remembered of its files."""

    path: Path
    objects: Objects
    settings: Settings
    deadline: float  # of time.monotonic
    before: Mapping[str, Mapping[str, str]]
    full: bool = False  # the store takes no more

    def take(self, seen: Folder) -> Taken:
        """What is to be written down of the folder that looks like ``seen``. NotYet for one that is not complete or
        changes, Unavailable when the store is full or away."""
        if reason := folders.waiting_for(seen, time.time(), self.settings.number("settle_seconds")):
            raise NotYet(reason)
        if self.full:
            raise NotYet("the object store is full; free some space or raise ORIMONO_STORAGE_BUDGET_GB")
        name = self.path.name
        manifest = folders.read_manifest(seen) or {}
        raw = b""
        job: JobFile | None = None
        files: list[NewUpload] = []
        memory: Memory = {}
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
            raise NotYet("was changed while it was read")
        # What a person would call the same job has the same hash: layout and comments of job.yaml do not count.
        said = job.model_dump_json(exclude=_unsaid(job)) if job else hashlib.sha256(raw).hexdigest()
        parts = [[f.name, f.kind, list(f.tags), f.content_hash, f.error] for f in files]
        mark = _hash([said, parts, error])
        new = NewJob(name, mark, error=error)
        if job:
            edit, master = (part.model_dump(mode="json", exclude_none=True) for part in (job.edit, job.master))
            score, compose = (part.model_dump(mode="json", exclude_defaults=True) for part in (job.score, job.compose))
            new = NewJob(name, mark, job.owner, job.bpm, job.key, edit, master, score, compose, error)
        return Taken(new, seen.fingerprint, tuple(files), memory, job)

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
        self, seen: Folder, job: JobFile, manifest: Mapping[str, Mapping[str, object]], memory: Memory
    ) -> list[NewUpload]:
        """Every listed file, stored or refused. Fills ``memory``; raises NotYet with it when time is up."""
        found = []
        for item in job.files:
            if time.monotonic() > self.deadline:
                kept = {name: dict(facts) for name, facts in self.before.items()} | memory
                raise NotYet("is still being read", kept if memory else None)
            entry = seen.find(item.file)
            known = self.before.get(item.file, {})
            if entry is not None and known.get("stamp") == entry.stamp and known.get("kind") == item.kind:
                memory[item.file] = dict(known)
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
                raise NotYet("was changed while it was read") from None
            raise


def refused(name: str, error: BadInput) -> Taken:
    """A folder that cannot even be looked into, as a refused job."""
    mark = refusal(error)
    return Taken(NewJob(name, mark, error=str(error)), mark)


def refusal(error: BadInput) -> str:
    """How a folder that was refused so looks."""
    return _hash([str(error)])


def _unsaid(job: JobFile) -> set[str]:
    """Parts that do not tell one content from another: files have hashes of their own, and a part that came to
    job.yaml later must not make another job of a folder that says nothing of it."""
    later = {"master": MasterWish(), "score": ScoreWish(), "compose": ComposeWish()}
    return {"files"} | {part for part, silent in later.items() if getattr(job, part) == silent}


def _sound(item: JobItem, entry: Entry, digest: str, key: str) -> NewUpload:
    return NewUpload(item.file, item.kind, digest, entry.size, item.tags, object_key=key)


def _hash(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()
