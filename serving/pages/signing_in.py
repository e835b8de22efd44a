"""Signing in with a key or token, signing out, and light or dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from pipelines.identity import sessions
from pipelines.identity.callers import Caller
from serving.api.callers import Callers, InHouse
from serving.api.problems import Refused
from serving.pages import csrf, rendering
from serving.pages.visits import Visit, acts, perhaps

router = APIRouter()
MOST = 8192  # characters of a key or token


@dataclass(frozen=True, slots=True)
class SigningIn:
    """``caller``: None when what was typed is no key or token."""

    then: str
    caller: Caller | None


@router.get("/sign-in")
def sign_in_page(request: Request, visit: Annotated[Visit | None, Depends(perhaps)], then: str = "/") -> Response:
    if visit is not None:
        return rendering.back(request, rendering.own_path(then))
    return rendering.render(request, "sign_in.html", then=rendering.own_path(then), error="")


async def _signing_in(request: Request, house: InHouse) -> SigningIn:
    csrf.check_origin(request)
    form = await request.form(max_files=0, max_fields=10)
    then = rendering.own_path(str(form.get("then", "/")))
    secret = "".join(str(form.get("key", "")).split())
    if not 0 < len(secret) <= MOST:
        return SigningIn(then, None)
    try:
        return SigningIn(then, await house.one(Callers).of(secret))
    except Refused:
        return SigningIn(then, None)


@router.post("/sign-in")
def sign_in(request: Request, house: InHouse, asked: Annotated[SigningIn, Depends(_signing_in)]) -> Response:
    if asked.caller is None:
        error = "This key or token is none that is known, or it has expired or was revoked."
        return rendering.render(request, "sign_in.html", status=401, then=asked.then, error=error)
    with house.session() as session:
        begun = sessions.begin(session, asked.caller)
    answer = rendering.back(request, asked.then)
    rendering.keep_cookie(request, answer, sessions.COOKIE, begun.cookie, int(sessions.LIFE.total_seconds()))
    return answer


@router.post("/sign-out")
def sign_out(request: Request, house: InHouse, visit: Annotated[Visit, acts()]) -> Response:
    with house.session() as session:
        sessions.end(session, request.cookies[sessions.COOKIE])
    house.one(Callers).forget_session(request.cookies[sessions.COOKIE])
    answer = rendering.back(request, "/sign-in", "You are signed out.")
    answer.delete_cookie(sessions.COOKIE)
    return answer


@router.post("/theme")
def theme(request: Request, visit: Annotated[Visit, acts()]) -> Response:
    wanted = visit.form.get("theme", "auto")
    answer = rendering.back(request, rendering.own_path(visit.form.get("then", "/")))
    chosen = wanted if wanted in rendering.THEMES else "auto"
    rendering.keep_cookie(request, answer, rendering.THEME, chosen, 400 * 86400)
    return answer
