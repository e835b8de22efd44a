"""What every message shares: strict requests, frozen answers, pages of a list, problems."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

T = TypeVar("T")

TEXT = r"^[^\x00]*$"  # PostgreSQL keeps every character but this one
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=TEXT)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000, pattern=TEXT)]


def _written_out(value: object) -> object:
    """pydantic takes a bare number for seconds since 1970; nobody who sends a date means that."""
    if not isinstance(value, datetime) and not re.match(r"\d{4}-\d", str(value)):
        raise ValueError("must be a date and time, such as 2026-11-21T18:30:00+09:00")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]


class Asked(BaseModel):
    """A request's body: what is not known is refused, so that a typing error is not silent."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answered(BaseModel):
    """An answer: fields may be added in later versions of the product, none taken away."""

    model_config = ConfigDict(frozen=True)


class Page(Answered, Generic[T]):
    """A part of a list, newest first. ``next``: the cursor of the following part; null at the end."""

    items: tuple[T, ...]
    next: str | None = None


class Fault(Answered):
    """One thing that is wrong in a request: where, and what."""

    place: str
    message: str


class Problem(Answered):
    """RFC 9457. ``detail`` is the sentence that the command line says: the thing, the reason and the remedy."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str = ""
    retry_after: Annotated[float | None, Field(description="seconds")] = None
    errors: tuple[Fault, ...] = ()
