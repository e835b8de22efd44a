"""Consents: what an owner allows for each job, and what a viewer allows of their decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StrictBool

from serving.wire.base import Answered, Asked, Name


class ConsentWish(Asked):
    """Both are said at each change: what is left out could be meant either way."""

    quality: Annotated[StrictBool, Field(description="the studio may listen to judge its own work")]
    training: Annotated[StrictBool, Field(description="models may learn from it")]


class Consent(Answered):
    """What the owner of a job allows at this moment."""

    job: str
    revision: Annotated[int, Field(description="which content of the job's folder: 1, 2, ...")]
    quality: bool
    training: bool
    granted_at: datetime
    withdrawn_at: datetime | None


class ViewerConsentWish(Asked):
    training: Annotated[StrictBool, Field(description="models may learn from what this viewer decided")]
    owner: Annotated[Name | None, Field(description="for whom; yourself when left out")] = None


class ViewerConsent(Answered):
    """``known`` is false for somebody who decided nothing yet; ``training`` null where they said nothing, so that the
    word of the owner of each job of decisions counts."""

    known: bool
    training: bool | None = None
    granted_at: datetime | None = None
    withdrawn_at: datetime | None = None
