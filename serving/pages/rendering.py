"""Templates become answers: the Jinja environment, what every page is told, headers that hold a page to its own files.

Who visits is visits.py's; what a template needs beyond that comes from its route.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fastapi import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from serving.pages import navigation, wording

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
STATIC = HERE / "static"
FLASH = "orimono_said"
THEME = "orimono_theme"
THEMES = ("auto", "light", "dark")
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@cache
def environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # the start has no time for it

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"],
    )
    made.filters |= wording.FILTERS
    made.globals |= {"static": static}
    return made


@cache
def static(name: str) -> str:
    """Address of an own file; its content is in the address, so that a browser may keep it for good."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def render(request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
    """A page. Every template knows ``visit`` (None before signing in), ``csrf``, ``menu``, ``path``, ``theme``,
    ``said`` (what the last step came to), ``dagster`` (the Dagster UI's address) and ``request_id``."""
    visit = getattr(request.state, "visit", None)
    said = _read_flash(request)
    theme = request.cookies.get(THEME, "auto")
    known = {
        "visit": visit,
        "csrf": visit.csrf if visit else "",
        "menu": navigation.menu(visit.caller) if visit else (),
        "path": request.url.path,
        "address": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "theme": theme if theme in THEMES else "auto",
        "said": said,
        "dagster": request.app.state.house.settings.dagster_address,
        "request_id": str(request.scope.get("state", {}).get("request_id", "")),
    }
    html = environment().get_template(template).render(**known, **context)
    answer = HTMLResponse(html, status, HEADERS)
    if said:
        answer.delete_cookie(FLASH)
    return answer


def back(request: Request, to: str, said: str = "", tone: str = "good") -> Response:
    """After a POST: off to ``to``, where ``said`` (one sentence) is shown once; ``tone`` is good, warn or bad."""
    answer = RedirectResponse(to, 303, HEADERS)
    if said:
        text = json.dumps({"text": said[:600], "tone": tone}, ensure_ascii=False).encode()
        keep_cookie(request, answer, FLASH, base64.urlsafe_b64encode(text).decode(), 60)
    return answer


def keep_cookie(request: Request, answer: Response, name: str, value: str, seconds: int) -> None:
    """A cookie that no script reads and no other site's request carries."""
    secure = request.app.state.house.settings.api_address.startswith("https:")
    answer.set_cookie(name, value, max_age=seconds, httponly=True, samesite="strict", secure=secure)


def own_path(asked: str) -> str:
    """``asked`` if it is a path of this site, else the overview's: nobody is sent elsewhere by a link."""
    try:
        parts = urlsplit(asked)
    except ValueError:  # of what looks like a host and is none
        return "/"
    fine = asked.startswith("/") and not asked.startswith(("//", "/\\")) and not parts.netloc and not parts.scheme
    return asked if fine and asked.isprintable() and "\\" not in asked else "/"


def _read_flash(request: Request) -> dict[str, str] | None:
    try:
        found = json.loads(base64.urlsafe_b64decode(request.cookies.get(FLASH, "")))
        tone = found["tone"] if found["tone"] in ("good", "warn", "bad") else "warn"
        return {"text": str(found["text"])[:600], "tone": tone}
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None
