"""A file on its way to a job: what is known of it. Its bytes come by tus 1.0.0: serving/api/routes/uploads.py."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipelines.intake.job_file import Kind
from serving.wire.base import Answered

UploadId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}$")]
UploadStatus = Literal["receiving", "checking", "ready", "refused", "used"]


class Upload(Answered):
    """receiving: PATCH more from ``received`` on; checking: all is here and is being looked at; ready: a job may take
    it; refused: it is not what it was said to be, see ``error``; used: a job took it."""

    id: UploadId
    name: str
    kind: Kind
    size: Annotated[int, Field(description="bytes, as announced")]
    received: Annotated[int, Field(description="bytes that are safely here")]
    status: UploadStatus
    error: str | None = None
    sha256: Annotated[str | None, Field(description="of the content, once it was looked at")] = None
    created_at: datetime
    expires_at: Annotated[datetime, Field(description="when it is dropped unless more of it comes or a job takes it")]

    @property
    def ended(self) -> bool:
        """Whether it will change no more by itself."""
        return self.status in ("ready", "refused", "used")
