"""Who calls, as FastAPI's dependencies: ``Annotated[Caller, calls("jobs:read")]`` in a route's arguments."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from pipelines.identity.callers import Caller, Scope
from serving.api.house import House
from serving.api.problems import Refused

_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="an API key, or a token of the OIDC issuer")


def house_of(request: Request) -> House:
    house: House = request.app.state.house
    return house


InHouse = Annotated[House, Depends(house_of)]


async def caller_of(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> Caller:
    """401 without a key or token, or with one that is none."""
    raise Refused(401, "this request: names no caller; send Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})


def calls(scope: Scope) -> Any:
    """The caller, who has this scope; 403 otherwise."""

    async def allowed(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
        caller.needs(scope)
        return caller

    return Depends(allowed)
