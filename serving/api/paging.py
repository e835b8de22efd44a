"""Parameters that many routes have: how many of a list, from where on, of which job or person; a Link header to the
next page.
Cursors are views/paging.py's."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request
from starlette.responses import Response

from serving.wire.base import TEXT, Page

Limit = Annotated[int, Query(ge=1, le=200, description="how many at most")]
Cursor = Annotated[str | None, Query(max_length=400, description="the page before's next")]


JobName = Annotated[str, Path(min_length=1, max_length=400, pattern=TEXT, description="the job's name")]
OfJob = Annotated[
    str | None, Query(min_length=1, max_length=400, pattern=TEXT, description="only those of the job of this name")
]


RowId = Annotated[int, Path(ge=1, lt=2**63)]
Owner = Annotated[
    str | None, Query(min_length=1, max_length=200, pattern=TEXT, description="whose; your own when left out")
]


def linked(response: Response, request: Request, page: Page[Any]) -> None:
    """Puts ``Link: <...>; rel="next"`` (RFC 8288) into the answer, unless this page is the last."""
    if page.next is not None:
        address = request.url.include_query_params(cursor=page.next)
        response.headers["Link"] = f'<{address.path}?{address.query}>; rel="next"'
