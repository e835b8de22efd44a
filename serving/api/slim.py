"""Routes whose caller and body are read directly: what FastAPI does for any signature takes longer than a model.

They are declared, and documented, like every other; only how a request reaches them differs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import TypeAdapter, ValidationError

from pipelines.identity.callers import Caller, Scope
from serving.api.callers import caller_of
from serving.api.house import House
from serving.api.problems import Refused

MOST_NAME = 200
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def slim(scope: Scope, wish: type[Any]) -> type[APIRoute]:
    """The class of routes that take a ``wish`` as JSON from callers with this scope. Their functions are called by
    keyword: the path's texts as they are, ``wish``, ``caller``, ``house``; and answer with a Response."""
    adapter: TypeAdapter[Any] = TypeAdapter(wish)

    class Slim(APIRoute):
        def get_route_handler(self) -> Handler:
            answer: Callable[..., Awaitable[Response]] = self.endpoint

            async def handler(request: Request) -> Response:
                caller = await caller_of(request, _credentials(request.headers.get("authorization")))
                caller.needs(scope)
                kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind != "application/json":
                    raise Refused(415, "the body: is not said to be JSON; send Content-Type: application/json")
                try:
                    asked = adapter.validate_json(await request.body())
                except ValidationError as error:
                    raise RequestValidationError(
                        [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)]
                    ) from error
                return await answer(wish=asked, caller=caller, house=request.app.state.house, **request.path_params)

            return handler

    return Slim


def plain(scope: Scope, ask: Callable[[House, Caller, str], Awaitable[bytes]]) -> type[APIRoute]:
    """The class of a route of ``/{user}`` that is mostly asked without any parameter: ``ask`` gives the JSON then, for
    callers with this scope. Whatever else is asked goes FastAPI's way."""

    class Plain(APIRoute):
        def get_route_handler(self) -> Handler:
            usual = super().get_route_handler()

            async def handler(request: Request) -> Response:
                user: str = request.path_params["user"]
                if request.scope["query_string"] or not 1 <= len(user) <= MOST_NAME:
                    return await usual(request)
                caller = await caller_of(request, _credentials(request.headers.get("authorization")))
                caller.needs(scope)
                return Response(await ask(request.app.state.house, caller, user), media_type="application/json")

            return handler

    return Plain


def _credentials(header: str | None) -> HTTPAuthorizationCredentials | None:
    scheme, _, secret = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        return None
    return HTTPAuthorizationCredentials(scheme=scheme, credentials=secret.strip())
