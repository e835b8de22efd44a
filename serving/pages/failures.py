"""Failures as pages, for people: the same sentences as the API's problems, with the menu around them. What asked for
JSON, and every path of the API, gets the problem itself."""

from __future__ import annotations

import contextlib
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from pipelines.errors import OrimonoError
from pipelines.identity import sessions
from serving.pages import rendering
from serving.pages.visits import SignInFirst, perhaps
from serving.wire.base import Problem

MACHINES = ("/v1", "/health", "/metrics", "/openapi.json", "/docs", "/static")
TITLES = {
    400: "That was not understood",
    403: "Not yours to do",
    404: "There is nothing here",
    405: "That does not work here",
    409: "It has changed meanwhile",
    410: "This link has expired",
    413: "Too large",
    422: "Something is missing or wrong",
    429: "Too much at once",
    500: "Orimono failed",
    503: "Not available just now",
}


def install(app: FastAPI) -> None:
    """After problems.install: each of its answers becomes a page where a person asked."""
    for kind in (OrimonoError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _handler(app.exception_handlers[kind]))
    app.add_exception_handler(SignInFirst, _sign_in)


def _handler(of_problem):  # type: ignore[no-untyped-def]
    async def handle(request: Request, error: Exception) -> Response:
        answer: Response = await of_problem(request, error)
        if not for_a_person(request):
            return answer
        if getattr(request.state, "visit", None) is None:
            with contextlib.suppress(OrimonoError):  # who it is cannot be known now: a page without the menu
                await perhaps(request, request.app.state.house)
        return as_page(request, answer)

    return handle


def for_a_person(request: Request) -> bool:
    path = request.url.path
    machine = any(path == start or path.startswith(f"{start}/") for start in MACHINES)
    return not machine and "text/html" in request.headers.get("accept", "")


def as_page(request: Request, answer: Response) -> Response:
    """A problem's answer as a page, its headers kept."""
    problem = Problem.model_validate_json(bytes(answer.body))
    title = TITLES.get(problem.status, problem.title)
    detail = problem.detail.removesuffix("; see the API's documentation at /docs")
    page = rendering.render(request, "failure.html", status=problem.status, title=title, detail=detail, problem=problem)
    for name in ("retry-after", "www-authenticate", "allow"):
        if name in answer.headers:
            page.headers[name] = answer.headers[name]
    return page


async def _sign_in(request: Request, error: Exception) -> Response:
    where = request.url.path if request.method == "GET" else "/"
    if request.method == "GET" and request.url.query:
        where += f"?{request.url.query}"
    answer = RedirectResponse("/sign-in" + (f"?then={quote(where)}" if where != "/" else ""), 303, rendering.HEADERS)
    if sessions.COOKIE in request.cookies:
        answer.delete_cookie(sessions.COOKIE)
    return answer
