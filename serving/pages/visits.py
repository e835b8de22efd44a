"""Who visits a page: ``Annotated[Visit, visits("jobs:read")]`` for a GET, ``acts("operate")`` for a POST, whose form
is checked and read. Sessions themselves are pipelines/identity/sessions.py's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from fastapi import Depends, Request

from pipelines.errors import BadInput
from pipelines.identity import sessions
from pipelines.identity.callers import Caller, Scope
from serving.api.callers import Callers, InHouse, recognised
from serving.pages import csrf


class SignInFirst(Exception):
    """Nobody is signed in: off to the sign-in page, and back."""


@dataclass(frozen=True, slots=True)
class Visit:
    """``form``: the fields of a POST, each as it was given last."""

    caller: Caller
    csrf: str = field(repr=False)
    form: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[tuple[str, str], ...] = ()  # all of them, in order, where a name comes several times

    def asked(self, name: str, default: str | None = None) -> str:
        """The form's field, without spaces around it; BadInput for one that is needed and missing."""
        found = self.form.get(name, "").strip() or default
        if found is None:
            raise BadInput(name.replace("_", " "), "is empty", "fill it in")
        return found


async def perhaps(request: Request, house: InHouse) -> Visit | None:
    """The person who is signed in, if there is one."""
    cookie = request.cookies.get(sessions.COOKIE, "")
    found = await house.one(Callers).signed_in(cookie) if cookie else None
    if found is None:
        return None
    request.state.visit = visit = Visit(found.caller, found.csrf)
    recognised(request, found.caller)
    return visit


async def visitor(visit: Annotated[Visit | None, Depends(perhaps)]) -> Visit:
    """The person who is signed in; SignInFirst for nobody."""
    if visit is None:
        raise SignInFirst
    return visit


async def _form(request: Request, visit: Annotated[Visit, Depends(visitor)]) -> Visit:
    csrf.check_origin(request)
    form = await request.form(max_files=0, max_fields=300)
    fields = tuple((name, value) for name, value in form.multi_items() if isinstance(value, str))
    known = dict(fields)
    csrf.check_token(visit.csrf, known.pop(csrf.FIELD, None))
    return replace(visit, form=known, fields=fields)


def visits(scope: Scope | None = None) -> Any:
    """Somebody with this scope, who looks; without one, anybody signed in."""

    async def looking(visit: Annotated[Visit, Depends(visitor)]) -> Visit:
        if scope is not None:
            visit.caller.needs(scope)
        return visit

    return Depends(looking)


def acts(scope: Scope | None = None) -> Any:
    """Somebody with this scope, who sent a form of ours; without one, anybody signed in."""

    async def acting(visit: Annotated[Visit, Depends(_form)]) -> Visit:
        if scope is not None:
            visit.caller.needs(scope)
        return visit

    return Depends(acting)
