"""Failures as problem+json (RFC 9457): the product's errors in their own words, the framework's in that style."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from pipelines.errors import BadInput, Conflict, NotAllowed, NotFound, OrimonoError, TooMany, Unavailable
from serving.wire.base import Fault, Problem

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
# The first that fits: subclasses before what they are made of.
STATUS: Mapping[type[OrimonoError], int] = {
    NotFound: 404,
    NotAllowed: 403,
    Conflict: 409,
    BadInput: 422,
    TooMany: 429,
    Unavailable: 503,
}
_PHRASES = {460: "Checksum Mismatch"}  # of tus: HTTP itself knows none
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {
        "model": Problem,
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status in (400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503)
}


class Refused(OrimonoError):
    """A failure that only HTTP has: a status of its own, and headers."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.headers = dict(headers or {})
        super().__init__(sentence)


def status_of(error: OrimonoError) -> int:
    if isinstance(error, Refused):
        return error.status
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)


def answer(
    status: int,
    detail: str,
    request_id: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    retry_after: float | None = None,
    errors: tuple[Fault, ...] = (),
) -> Response:
    """A problem as a response; ``retry_after`` (s) is also a header, in whole seconds."""
    problem = Problem(
        title=_PHRASES.get(status) or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        request_id=request_id,
        retry_after=retry_after,
        errors=errors,
    )
    more = dict(headers or {})
    if retry_after is not None:
        more["Retry-After"] = str(max(1, math.ceil(retry_after)))
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, status, more | {"Cache-Control": "no-store"}, MEDIA_TYPE)


def of_error(error: OrimonoError, request_id: str = "") -> Response:
    retry_after = error.retry_after if isinstance(error, Unavailable) else None
    headers = error.headers if isinstance(error, Refused) else None
    return answer(status_of(error), str(error), request_id, headers=headers, retry_after=retry_after)


def install(app: FastAPI) -> None:
    """Every failure of a route becomes a problem."""
    app.add_exception_handler(OrimonoError, _expected)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _defect)


def request_id(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


async def _expected(request: Request, error: Exception) -> Response:
    assert isinstance(error, OrimonoError)
    return of_error(error, request_id(request))


async def invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = tuple(Fault(place=_place(e["loc"]), message=_message(e)) for e in error.errors())
    first = faults[0]
    detail = f"{first.place or 'the request'}: {first.message}; see errors for all that is to be mended"
    status = 400 if any(e["type"] == "json_invalid" for e in error.errors()) else 422
    return answer(status, detail, request_id(request), errors=faults[:20])


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentences = {
        404: f"{request.url.path}: does not exist; see the API's documentation at /docs",
        405: f"{request.url.path}: does not take {request.method}; see the API's documentation at /docs",
    }
    detail = sentences.get(error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed(request))
    return answer(error.status_code, detail, request_id(request), headers=headers)


def _allowed(request: Request) -> list[str]:
    """The methods of every route of this path; the router itself names those of the first alone."""
    found: set[str] = set()
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes):
            found.add(method)
    return sorted(found)


async def _defect(request: Request, error: Exception) -> Response:
    log.error("defect in %s %s", request.method, request.url.path, exc_info=error)
    detail = f"Orimono itself failed ({type(error).__name__}); its log has more under this request id"
    return answer(500, detail, request_id(request))


def _place(place: tuple[Any, ...]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text[:200]


def _message(error: Mapping[str, Any]) -> str:
    """pydantic's word for it, without the value: it may be a secret, or very long."""
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{text[:1].lower()}{text[1:]}"[:300]
