"""Edits: what was cut from a job's clips, one a pattern."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from serving.wire.base import Answered
from serving.wire.results import Result


class Edit(Answered):
    """``quality``: what was measured on the rendered file; null until then. ``timelines``: by format (otio, edl, xml,
    fcpxml, json). Files are null until they are published, and when the job was replaced in the inbox."""

    job: str
    pattern: str
    quality: dict[str, Any] | None
    video: Result | None
    report: Result | None
    timelines: dict[str, Result]
    updated_at: datetime
