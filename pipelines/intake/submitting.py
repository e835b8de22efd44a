"""Makes a job of uploads that are ready: a folder of the inbox like anybody's, which scan.py takes.

A job is there once its row is: before, a stopped process leaves nothing; after, whoever comes next puts its folder into
place. Bytes are linked, not copied.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import json
import logging
import os
import secrets
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.orm import Session

from pipelines.errors import BadInput, Conflict, NotAllowed, Unavailable
from pipelines.identity.callers import Caller
from pipelines.intake import content, job_file, pieces, receiving
from pipelines.intake.folder import lock_incoming
from pipelines.intake.ingest import unique
from pipelines.intake.job_file import MARKER, NAME
from pipelines.media.hashing import content_hash
from pipelines.storage import jobs, submissions
from pipelines.storage import pending_uploads as table
from pipelines.storage.serving_tables import PendingUpload
from pipelines.studio import Studio

STAGED = ".submitted-"  # a job's folder in the making, beside the others of the inbox
SENT = ".sent"  # in a folder that is to be handed over: it came this way, and nobody put it there by hand
_REMEDY = "mend the request; the API's documentation shows each field"
_TITLE_BYTES = 100
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Given:
    """One upload that the job takes. ``kind``: what the sender takes it for, when they say."""

    upload: str
    kind: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for. ``wishes``: further parts of job.yaml (edit, master, score, compose, bpm, key, consents), as
    plain values. ``token``: the same one of the same sender is the same job."""

    files: tuple[Given, ...]
    title: str | None = None
    owner: str | None = None  # the sender unless said
    wishes: Mapping[str, Any] = field(default_factory=dict)
    request_id: str = ""
    token: str = ""


def submit(studio: Studio, sender: Caller, order: Order) -> str:
    """The name of the job, which lies in the inbox.

    Raises NotFound for an upload that is not the sender's, Conflict for one that is not ready or was taken, BadInput
    for what makes no job, NotAllowed for somebody else's name, Unavailable without room or while a store is away.
    """
    owner = order.owner or sender.name
    if not sender.owns(owner) and not sender.everybody:
        raise NotAllowed("owner", "is somebody else", "leave it out, or ask an operator to send the job")
    if order.token and (known := _known(studio, sender, order)) is not None:
        finish(studio)
        return known
    receiving.room(studio, 0)
    if len({given.upload for given in order.files}) < len(order.files):
        raise BadInput("this job", "names an upload twice", "name each file once")
    with contextlib.ExitStack() as staging:
        with studio.database.session() as session:
            rows = table.locked(session, [one.upload for one in order.files])
            given = [(one, _usable(rows.get(one.upload), one, sender)) for one in order.files]
            title = order.title or Path(given[0][1].name).stem
            description, names = _described(owner, title, order.wishes, given)
            name = _name(session, studio, title, sender, order.token)
            files = [(target, row) for target, (_, row) in zip(names, given, strict=True)]
            stage = _staged(studio, name, description, files, staging)
            submissions.add(session, name, owner, order.request_id)
            for _, row in given:
                row.status = "used"
        _publish(studio, stage, name, [row.id for _, row in given])
    return name


def finish(studio: Studio) -> list[str]:
    """Puts into place what stopped processes left: jobs that were taken, into the inbox; others away. The names."""
    if not studio.settings.inbox.is_dir():
        return []
    done = []
    for stage in sorted(p for p in studio.settings.inbox.iterdir() if p.name.startswith(STAGED)):
        try:
            lock = lock_incoming(stage)
        except FileNotFoundError:
            continue
        if lock is None:
            continue  # its maker lives
        try:
            name = stage.name.removeprefix(STAGED)
            with studio.database.session() as session:
                taken = submissions.get(session, name) is not None
            if taken and (stage / "job").is_dir():
                _publish(studio, stage, name, _sources(stage))
                done.append(name)
            else:
                shutil.rmtree(stage, ignore_errors=True)
        finally:
            os.close(lock)
    return done


def _usable(row: PendingUpload | None, given: Given, sender: Caller) -> PendingUpload:
    if row is None:
        raise pieces.unknown(given.upload)
    sender.reach(row.owner, f"upload {given.upload}")
    if row.status == "refused":
        raise BadInput(row.name, "was refused when it was looked at", f"send another file ({row.error})")
    if row.status == "receiving":
        raise Conflict(row.name, f"is not complete ({row.received} of {row.size} bytes)", "send the rest of it first")
    if row.status == "checking":
        raise Conflict(row.name, "is still being looked at", "ask again when its status is ready")
    if row.status == "used":
        raise Conflict(row.name, "was taken by another job", "send it again for this one")
    if given.kind not in (None, row.kind):
        raise BadInput(
            row.name, f"was uploaded as {row.kind}, not {given.kind}", "say the same kind, or upload it anew"
        )
    return row


def _described(
    owner: str, title: str, wishes: Mapping[str, Any], given: Sequence[tuple[Given, PendingUpload]]
) -> tuple[bytes, list[str]]:
    """job.yaml, and the names of the files there. It is read as anybody's is, so that the same rules hold."""
    taken = {NAME.casefold(), MARKER.casefold()}
    names = [unique(row.name, taken) for _, row in given]
    files = [
        {"file": name, "kind": row.kind, "tags": list(one.tags)} for name, (one, row) in zip(names, given, strict=True)
    ]
    said = {"owner": owner, **wishes, "files": files}
    try:
        job = job_file.parse(yaml.safe_dump(said, allow_unicode=True, sort_keys=False).encode(), "this job")
        content.check_job("this job", [row.kind for _, row in given], ())
    except BadInput as error:
        remedy = _REMEDY if error.remedy == job_file.REMEDY else error.remedy
        raise BadInput(title, error.reason, remedy) from error
    return job_file.dump(job), names


def _name(session: Session, studio: Studio, title: str, sender: Caller, token: str) -> str:
    """``song-of-spring-k3xq72ab``: short, fit for an address, and nobody's yet."""
    while True:
        name = f"{slug(title)}-{_suffix(sender, token) if token else _letters(secrets.token_bytes(5))}"
        free = submissions.get(session, name) is None and jobs.folder(session, name) is None
        if free and not (studio.settings.inbox / name).exists():
            return name
        token = f"{token}+" if token else ""


def _known(studio: Studio, sender: Caller, order: Order) -> str | None:
    """The job that came of this token before."""
    with studio.database.session() as session:
        return next(iter(submissions.ending(session, order.owner or sender.name, _suffix(sender, order.token))), None)


def _suffix(sender: Caller, token: str) -> str:
    return _letters(hashlib.sha256(f"{sender.actor.pseudonym}:{token}".encode()).digest()[:5])


def _letters(data: bytes) -> str:
    return base64.b32encode(data).decode().lower()


def slug(title: str) -> str:
    """Letters and digits of any script, the rest as single hyphens; ``job`` when there are none."""
    plain = "".join(c if c.isalnum() else "-" for c in unicodedata.normalize("NFKC", title).lower())
    short = "-".join(part for part in plain.split("-") if part).encode()[:_TITLE_BYTES].decode(errors="ignore")
    return unicodedata.normalize("NFC", short).strip("-") or "job"


def _staged(
    studio: Studio,
    name: str,
    description: bytes,
    files: Sequence[tuple[str, PendingUpload]],
    staging: contextlib.ExitStack,
) -> Path:
    """The job's folder as it will be, safe on the disk, and ours until ``staging`` ends. When that fails, ``finish``
    sees to it: whether the row is there decides, and a commit whose answer was lost may have been one."""
    stage = studio.settings.inbox / f"{STAGED}{name}"
    try:
        stage.mkdir(parents=True, mode=0o700)
        lock = lock_incoming(stage)
        assert lock is not None
        staging.callback(os.close, lock)
        job = stage / "job"
        job.mkdir()
        manifest = {}
        for target, row in files:
            source = pieces.folder(studio.settings, row.id) / row.name
            if not source.is_file() or source.stat().st_size != row.size:
                raise Conflict(row.name, "is not there any more", "send it again")
            _link(source, job / target)
            manifest[target] = {"size": row.size, "sha256": row.content_hash}
        (job / NAME).write_bytes(description)
        manifest[NAME] = {"size": len(description), "sha256": content_hash(job / NAME)}
        (job / MARKER).write_text(json.dumps({"files": manifest}, ensure_ascii=False, indent=1), encoding="utf-8")
        if studio.objects.remote:
            (job / SENT).touch()
        (stage / "uploads").write_text(json.dumps([row.id for _, row in files]))
        for path in (job / NAME, job / MARKER, stage / "uploads", job, stage, stage.parent):
            pieces.sync(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable("the disk", "is full, free some space", 60) from error
        raise
    return stage


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        shutil.copyfile(source, target, follow_symlinks=False)  # the inbox is another disk, or one without links


def _publish(studio: Studio, stage: Path, name: str, uploads: Sequence[str]) -> None:
    """From here on whatever happens, ``finish`` can go on. The links go first: they would change a file that is being
    read."""
    for upload in uploads:
        shutil.rmtree(pieces.folder(studio.settings, upload), ignore_errors=True)
    target = studio.settings.inbox / name
    if not target.exists():
        (stage / "job").rename(target)
        pieces.sync(target.parent)
    shutil.rmtree(stage, ignore_errors=True)


def _sources(stage: Path) -> list[str]:
    try:
        found = json.loads((stage / "uploads").read_text())
    except (OSError, ValueError):
        return []
    return [str(one) for one in found]
