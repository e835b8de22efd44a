"""What a form's deed comes to: done, with a sentence on the page one goes back to, or the sentence why not.

Whether the form may be taken at all is visits.py's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from pipelines.errors import BadInput, NotAllowed, NotFound
from serving.api.problems import Refused
from serving.pages import rendering

T = TypeVar("T", bound=BaseModel)


def done(request: Request, to: str, deed: Callable[[], str], or_to: str | None = None) -> Response:
    """Does it and goes ``to`` its page with the sentence that ``deed`` returns. What is wrong with the form, or with
    the state of things, is said on the page ``or_to``; what is not the person's, not there or away is a page of its
    own, with its status."""
    try:
        said = deed()
    except (BadInput, Refused) as error:
        return refused(request, or_to or to, error)
    return rendering.back(request, to, said)


def refused(request: Request, to: str, error: BadInput | Refused) -> Response:
    """The sentence, said on the page ``to``; raised again when it wants a page of its own."""
    if isinstance(error, NotAllowed | NotFound) or (isinstance(error, Refused) and error.status != 412):
        raise error
    return rendering.back(request, to, str(error), "bad")


def wish(kind: type[T], **fields: Any) -> T:
    """The message that the API would get. BadInput for what it does not take, in its words."""
    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = str(first["msg"]).removeprefix("Value error, ")
        place = " ".join(str(part).replace("_", " ") for part in first["loc"]) or "this form"
        raise BadInput(place, f"{message[:1].lower()}{message[1:]}", "change it and send the form again") from None


def whole(text: str, what: str) -> int:
    """A number from a form or an address. BadInput for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadInput(what, "is no whole number", "choose it from the page")
    return int(text)


def day(text: str, what: str) -> datetime | None:
    """The moment at which a day (2026-11-21), or a day and time, begins, in UTC; None for nothing."""
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(what, "is no date", "write it as 2026-11-21") from None
    if not 1970 <= found.year <= 9000:
        raise BadInput(what, "is a date of no calendar here", "write it as 2026-11-21")
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
