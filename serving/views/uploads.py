"""Uploads as a caller may see them: their own, an operator everybody's; and a whole file taken at once, for a form.

Pieces are received by serving/api/routes/uploads.py; what an upload may be is pipelines/intake/receiving.py's.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import BinaryIO, cast

from pipelines.identity.callers import Caller
from pipelines.intake import pieces, receiving
from pipelines.intake.job_file import Kind
from pipelines.storage import pending_uploads
from pipelines.storage.serving_tables import PendingUpload
from serving.api.checking import Checking
from serving.api.house import House
from serving.views import paging
from serving.wire.base import Page
from serving.wire.uploads import Upload, UploadStatus

BLOCK = 1 << 20  # bytes
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def list_uploads(
    house: House,
    caller: Caller,
    *,
    limit: int = 50,
    cursor: str | None = None,
    status: UploadStatus | None = None,
) -> Page[Upload]:
    """The caller's own, newest first."""
    before = paging.decode(cursor)
    with house.session() as session:
        rows = pending_uploads.listed(
            session,
            pending_uploads.spellings(session, caller.name),
            limit=limit + 1,
            before=None if before is None else _moment(before),
            status=status,
        )
    more = paging.encode((rows[limit - 1].created_at - _EPOCH) // _MICROSECOND) if len(rows) > limit else None
    return Page(items=tuple(told(row) for row in rows[:limit]), next=more)


def get_upload(house: House, caller: Caller, upload_id: str) -> Upload:
    """NotFound for another person's, too. One that is waiting to be looked at is looked at soon."""
    row = found(house, caller, upload_id)
    if row.status == "checking":
        house.one(Checking).look(upload_id)
    return told(row)


def found(house: House, caller: Caller, upload_id: str) -> PendingUpload:
    """The row, when it is the caller's to see; NotFound otherwise."""
    with house.session() as session:
        row = pending_uploads.get(session, upload_id)
    if row is None:
        raise pieces.unknown(upload_id)
    caller.reach(row.owner, f"upload {upload_id}")
    return row


def take_file(house: House, caller: Caller, file: BinaryIO, *, name: str, kind: str, size: int) -> Upload:
    """A whole file of ``size`` bytes, as a form brings it: received and looked at when this returns, so the status is
    ready or refused. BadInput for a name, kind or size that cannot be, Unavailable when there is no room."""
    row = receiving.announce(house.studio, caller.name, name=name, kind=kind, size=size)
    with pieces.Piece(house.studio, row.id, 0) as piece:
        while data := file.read(BLOCK):
            piece.write(data)
    return told(house.one(Checking).look(row.id).result())


def drop_upload(house: House, caller: Caller, upload_id: str) -> None:
    """It and its bytes go. Conflict once a job took it."""
    found(house, caller, upload_id)
    receiving.drop(house.studio, upload_id)


def told(row: PendingUpload) -> Upload:
    judged = row.status in ("ready", "used")  # before, it is what the sender says
    return Upload(
        id=row.id,
        name=row.name,
        kind=cast(Kind, row.kind),
        size=row.size,
        received=row.received,
        status=cast(UploadStatus, row.status),
        error=row.error,
        sha256=row.content_hash if judged else None,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def _moment(microseconds: int) -> datetime:
    try:
        return _EPOCH + microseconds * _MICROSECOND
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
