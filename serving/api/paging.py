"""Pages of lists over HTTP: how many, from where on, and a Link header to the next. Cursors are views/paging.py's."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from serving.wire.base import Page

Limit = Annotated[int, Query(ge=1, le=200, description="how many at most")]
Cursor = Annotated[str | None, Query(max_length=400, description="the page before's next")]


def linked(response: Response, request: Request, page: Page[Any]) -> None:
    """Puts ``Link: <...>; rel="next"`` (RFC 8288) into the answer, unless this page is the last."""
    if page.next is not None:
        address = request.url.include_query_params(cursor=page.next)
        response.headers["Link"] = f'<{address.path}?{address.query}>; rel="next"'
