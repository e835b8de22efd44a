"""Files that come in pieces: announced, received, looked at, dropped. Their bytes lie in the home until a job takes
them (submitting.py); each piece is pieces.py's, how pieces travel is the API's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import unicodedata

from pydantic import ValidationError

from pipelines import clock
from pipelines.errors import BadInput, Conflict, TooMany, Unavailable
from pipelines.governance import budget
from pipelines.intake import confined, content
from pipelines.intake.job_file import JobItem
from pipelines.intake.pieces import (
    FOLDER,
    BeingReceived,
    TooLong,
    alone,
    existing,
    folder,
    length,
    patience,
    room_on_disk,
    sync,
)
from pipelines.storage import pending_uploads as table
from pipelines.storage.serving_tables import PendingUpload
from pipelines.studio import Studio

MOST_RECEIVING = 20  # of one person at a time
MOST_UNUSED = 1000  # of one person, there or on their way
MOST_BYTES = 256 << 30  # of one person, announced and not taken by a job
MOST_FILE = max(content.limit(kind) for kind in ("clip", "sheet", "videos"))  # bytes
SPARE = 1 << 30  # bytes of the disk that uploads leave free
NAME_BYTES = 200  # of a file's name in UTF-8: file systems take 255
log = logging.getLogger(__name__)


def announce(
    studio: Studio, owner: str, *, name: str, kind: str, size: int, sha256: str | None = None
) -> PendingUpload:
    """A new upload of nothing yet.

    Raises BadInput for a name or kind that cannot be or nothing to send, TooLong for more than the kind may have,
    TooMany when this person has too much on its way, Unavailable when there is no room.
    """
    name = checked_name(name, kind)
    try:
        content.check_size(name, kind, size)
    except BadInput as error:
        raise (TooLong if size else BadInput)(error.what, error.reason, error.remedy) from error
    if sha256 is not None and not (len(sha256) == 64 and set(sha256) <= set("0123456789abcdef")):
        raise BadInput("sha256", "is not 64 hexadecimal digits in small letters", "write it so, or leave it out")
    room(studio, size)
    upload_id = secrets.token_urlsafe(16)
    with studio.database.session() as session:
        load = table.load(session, owner)
        if load.receiving >= MOST_RECEIVING:
            raise TooMany("your uploads", f"{load.receiving} are unfinished, finish or delete one", 30)
        if load.unused >= MOST_UNUSED or load.size + size > MOST_BYTES:
            size_gb = load.size / (1 << 30)
            raise TooMany(
                "your uploads", f"{load.unused} with {size_gb:.0f} GB wait for a job, send or delete them", 60
            )
        row = table.add(
            session,
            PendingUpload(
                id=upload_id,
                owner=owner,
                name=name,
                kind=kind,
                size=size,
                content_hash=sha256,
                expires_at=clock.now() + patience(studio.settings),
            ),
        )
        with room_on_disk():
            place = folder(studio.settings, upload_id)
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            place.mkdir(mode=0o700)
            os.close(os.open(place / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            for path in (place, place.parent):
                sync(path)
    return row


def checked_name(name: str, kind: str) -> str:
    """The name as it will be kept (NFC). BadInput for one that is no plain file name, and for an unknown kind."""
    name = unicodedata.normalize("NFC", name)
    try:
        JobItem(file=name, kind=kind)  # type: ignore[arg-type]  # judged by this
    except ValidationError as error:
        wrong = error.errors()[0]
        message = wrong["msg"].removeprefix("Value error, ")
        if wrong["loc"] == ("kind",):
            raise BadInput("kind", f"{kind[:40]!r} is not known", f"choose one: {message}") from error
        raise BadInput("filename", message, "give the file's own name, without folders") from error
    turned = any(unicodedata.category(c) == "Cf" and unicodedata.bidirectional(c) != "BN" for c in name)
    if "/" in name or turned or len(name.encode()) > NAME_BYTES or name != name.strip():
        reason = f"is not one plain name of at most {NAME_BYTES} bytes"
        raise BadInput("filename", reason, "give the file's own name, without folders or marks of direction")
    return name


def room(studio: Studio, size: int) -> None:
    """Unavailable when the object store takes no more jobs, or the disk has no room for ``size`` more bytes."""
    with studio.database.session() as session:
        if budget.level(session) >= budget.NO_NEW_JOB:
            raise Unavailable("the object store", "is full, and takes no new file until there is space again", 600)
    home = studio.settings.home_path
    home.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(home).free < size + SPARE:
        raise Unavailable("the disk", f"has no room for {size / 1e6:,.0f} MB more", 600)


def check(studio: Studio, upload_id: str) -> PendingUpload:
    """Looks at an upload that is all there, and writes down what it is worth. One that is not there, not complete, or
    was looked at, stays as it is. Raises NotFound, BeingReceived while somebody else looks, and Unavailable."""
    with alone(studio.settings, upload_id) as place:
        with studio.database.session() as session:
            row = existing(session, upload_id)
        if row.status != "checking":
            return row
        path, digest, refusal = place / row.name, None, None
        try:
            if length(path) != row.size:
                raise BadInput(row.name, "is not there any more", "send it again")
            digest = confined.look(path, row.kind, studio.settings)
            if row.content_hash not in (None, digest):
                raise BadInput(row.name, "is not what its sha256 says: it was damaged on its way", "send it again")
        except BadInput as error:
            refusal = str(error)
        with studio.database.session() as session:
            row = existing(session, upload_id)
            row.status = "refused" if refusal else "ready"
            row.error, row.content_hash = refusal, digest if refusal is None else None
        if refusal:
            path.unlink(missing_ok=True)
    log.info("upload %s: %s", upload_id, row.status)
    return row


def drop(studio: Studio, upload_id: str) -> None:
    """It goes, and its bytes. NotFound; Conflict once a job took it; BeingReceived while it is worked on."""
    with alone(studio.settings, upload_id) as place:
        with studio.database.session() as session:
            if existing(session, upload_id).status == "used":
                raise Conflict("this upload", "was taken by a job", "withdraw the job instead")
            table.remove(session, [upload_id])
        shutil.rmtree(place, ignore_errors=True)


def drop_expired(studio: Studio) -> int:
    """Uploads whose time is up, and folders that no upload knows, go. Returns how many uploads."""
    with studio.database.session() as session:
        ids = table.expired(session, clock.agreed(session))
    gone = sum(_dropped(studio, upload_id) for upload_id in ids)
    root = studio.settings.home_path / FOLDER
    names = [entry.name for entry in os.scandir(root)] if root.is_dir() else []
    with studio.database.session() as session:
        known = table.known(session, names)
    for name in set(names) - known:
        with contextlib.suppress(FileNotFoundError):
            if clock.now().timestamp() - (root / name).stat().st_mtime > 3600:  # else it may be in the making
                shutil.rmtree(root / name, ignore_errors=True)
    return gone


def _dropped(studio: Studio, upload_id: str) -> bool:
    try:
        with alone(studio.settings, upload_id) as place:
            with studio.database.session() as session:
                row = table.get(session, upload_id)
                if row is None or row.expires_at >= clock.now():
                    return False
                table.remove(session, [upload_id])
            shutil.rmtree(place, ignore_errors=True)
    except BeingReceived:
        return False  # more of it came at the last moment
    return True
