"""Forms are only taken from our own pages: the browser says where a request comes from, and the form carries the
session's token. The cookie's SameSite=Strict is a third lock, in visits.py."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from fastapi import Request

from pipelines.errors import NotAllowed

FIELD = "csrf"


def check_origin(request: Request) -> None:
    """Nothing when the request was made by a page of this site; NotAllowed otherwise.

    Browsers send Origin with every POST; where a proxy takes it away, Referer says the same."""
    said = request.headers.get("origin") or request.headers.get("referer") or ""
    ours = {request.headers.get("host", ""), urlsplit(request.app.state.house.settings.api_address).netloc}
    try:
        theirs = urlsplit(said).netloc
    except ValueError:
        theirs = ""
    if not theirs or theirs not in ours:
        raise NotAllowed("this form", "was not sent from a page of Orimono", "open the page here and send it again")


def check_token(expected: str, given: object) -> None:
    """Nothing when the form carries the session's token; NotAllowed otherwise."""
    if not expected or not isinstance(given, str) or not hmac.compare_digest(expected.encode(), given.encode()):
        raise NotAllowed("this form", "is not of your present session", "load the page again and send it once more")
