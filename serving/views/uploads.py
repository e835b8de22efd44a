"""Uploads as a caller may see them: their own, an operator everybody's; and a whole file taken at once, for a form.

Pieces are received by serving/api/routes/uploads.py; what an upload may be is pipelines/intake/receiving.py's.
"""

from __future__ import annotations

from typing import BinaryIO

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.base import Page
from serving.wire.uploads import Upload, UploadStatus


def list_uploads(
    house: House,
    caller: Caller,
    *,
    limit: int = 50,
    cursor: str | None = None,
    status: UploadStatus | None = None,
) -> Page[Upload]:
    """The caller's own, newest first."""
    raise NotImplementedError


def get_upload(house: House, caller: Caller, upload_id: str) -> Upload:
    """NotFound for another person's, too."""
    raise NotImplementedError


def take_file(house: House, caller: Caller, file: BinaryIO, *, name: str, kind: str, size: int) -> Upload:
    """A whole file of ``size`` bytes, as a form brings it: received and looked at when this returns, so the status is
    ready or refused. BadInput for a name, kind or size that cannot be, Unavailable when there is no room."""
    raise NotImplementedError


def drop_upload(house: House, caller: Caller, upload_id: str) -> None:
    """It and its bytes go. Conflict once a job took it."""
    raise NotImplementedError
