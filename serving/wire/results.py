"""What came of a job, as files: each with a link that is good for two minutes."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from pipelines import results
from serving.wire.base import Answered
from serving.wire.jobs import System

ResultKind: TypeAlias = results.Kind


class Result(Answered):
    """``path`` is relative to the job's results folder."""

    path: str
    system: System | None
    kind: ResultKind
    media_type: str
    size: Annotated[int, Field(description="bytes")]
    url: Annotated[str, Field(description="signed; whoever has it may read the file for 120 s")]


class Results(Answered):
    """All files of a job's results folder, by path. ``expires_in``: of the links."""

    job: str
    items: tuple[Result, ...]
    expires_in: Annotated[int, Field(description="seconds")]
