"""Routes of signed links: who has one needs no key. What a link is, and how it is made: pipelines/identity/links.py."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from pipelines.identity.links import Expired
from serving.api.callers import InHouse
from serving.api.delivery import deliver
from serving.api.problems import DOCUMENTED, Refused
from serving.views import files as views

router = APIRouter(tags=["files"])

Token = Annotated[str, Path(min_length=1, max_length=4096)]
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {"application/octet-stream": {}}},
    206: {"description": "The part of it that Range asked for", "content": {"application/octet-stream": {}}},
    304: {"description": "It is what If-None-Match says"},
    410: {**DOCUMENTED[404], "description": "The link's 120 s are over"},
    416: {**DOCUMENTED[404], "description": "The range begins behind the end"},
}


@router.get(
    "/files/{token}/{path:path}",
    operation_id="read_file",
    summary="A file by its signed link; no key is needed",
    response_class=Response,
    responses=ANSWERS,
)
def read_file(token: Token, path: str, request: Request, house: InHouse) -> Response:
    try:
        file = views.open_link(house, token, path, look=request.method == "HEAD")
    except Expired as error:
        raise Refused(410, str(error)) from error
    return deliver(request, file.opened, file.name, file.media_type, keep=file.keep)


router.add_api_route("/files/{token}/{path:path}", read_file, methods=["HEAD"], include_in_schema=False)
