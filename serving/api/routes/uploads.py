"""Routes of uploads: tus 1.0.0 for the bytes, JSON for what is known of each. New jobs take them: submissions.py."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from pipelines.identity.callers import Caller
from pipelines.intake import pieces, receiving
from pipelines.intake.pieces import Checksum
from pipelines.storage.serving_tables import PendingUpload
from serving.api import tus
from serving.api.callers import InHouse, calls
from serving.api.checking import Checking
from serving.api.house import House
from serving.api.paging import Cursor, Limit, linked
from serving.api.problems import DOCUMENTED, Refused
from serving.views import uploads as view
from serving.wire.base import Page
from serving.wire.uploads import Upload, UploadStatus

router = APIRouter(tags=["uploads"], route_class=tus.Tus)
LOOKED_AT = 20.0  # s that the last piece waits for what it completes to be judged
Sender = Annotated[Caller, calls("jobs:write")]
Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{22}$")]
Version = Annotated[str, Header(alias="Tus-Resumable", description="1.0.0", json_schema_extra={"enum": [tus.VERSION]})]
_EXPIRES = {"description": "when it is dropped", "schema": {"type": "string"}}
_OFFSET = {"description": "bytes that are safely here", "schema": {"type": "integer"}}
_BODY: dict[str, Any] = {"content": {tus.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    sentences = {
        408: "nothing came for 30 s",
        412: "another version of tus",
        413: "longer than announced",
        415: f"not {tus.MEDIA_TYPE}",
        423: "somebody else is at it",
        460: "not what its checksum says",
    }
    return {status: {**DOCUMENTED[422], "description": sentences[status]} for status in statuses}


@router.options("/uploads", include_in_schema=False)
@router.options("/uploads/{upload_id}", include_in_schema=False)
def offer_tus() -> Response:
    return Response(status_code=204, headers=tus.OFFERED)


@router.post(
    "/uploads",
    operation_id="create_upload",
    summary="Announce a file (tus)",
    status_code=201,
    response_class=Response,
    responses={
        201: {
            "description": "announced; with a body, received as far as Upload-Offset says",
            "headers": {
                "Location": {"description": "where its pieces go", "schema": {"type": "string"}},
                "Upload-Offset": _OFFSET,
                "Upload-Expires": _EXPIRES,
            },
        },
        **_problems(408, 412, 413, 415, 460),
    },
    openapi_extra={"requestBody": {**_BODY, "required": False}},
)
async def create_upload(
    request: Request,
    caller: Sender,
    house: InHouse,
    length: Annotated[int, Header(alias="Upload-Length", ge=0, description="bytes")],
    said: Annotated[
        str,
        Header(
            alias="Upload-Metadata",
            max_length=4000,
            description="`filename BASE64,kind BASE64`, and `sha256` of the whole file when it is known",
        ),
    ],
    version: Version = tus.VERSION,
    checksum: Annotated[str | None, Header(alias="Upload-Checksum", max_length=200)] = None,
) -> Response:
    """Pieces follow by PATCH at the place that Location names; the first one may come as this request's body."""
    given = tus.metadata(said)
    asked = {"name": given.get("filename", ""), "kind": given.get("kind", ""), "size": length}
    begins = request.headers.get("Content-Type") == tus.MEDIA_TYPE
    sum_of_piece = tus.checksum(checksum) if begins else None
    row = await run_in_threadpool(
        lambda: receiving.announce(house.studio, caller.name, **asked, sha256=given.get("sha256"))
    )
    if begins:
        row = await _received(house, request, row.id, 0, sum_of_piece)
    headers = {"Location": f"/v1/uploads/{row.id}", **tus.facts(row)}
    return Response(status_code=201, headers=headers)


@router.head(
    "/uploads/{upload_id}",
    operation_id="get_upload_offset",
    summary="How far an upload is (tus)",
    response_class=Response,
    responses={
        200: {"description": "how far it is", "headers": {"Upload-Offset": _OFFSET, "Upload-Expires": _EXPIRES}},
        **_problems(412),
    },
)
def get_upload_offset(upload_id: Id, caller: Sender, house: InHouse, version: Version = tus.VERSION) -> Response:
    row = view.found(house, caller, upload_id)
    headers = {"Upload-Length": str(row.size), "Upload-Metadata": tus.written(row), "Cache-Control": "no-store"}
    return Response(headers={**headers, **tus.facts(row)})


@router.patch(
    "/uploads/{upload_id}",
    operation_id="send_upload_piece",
    summary="Send a piece (tus)",
    status_code=204,
    response_class=Response,
    responses={
        204: {"description": "received", "headers": {"Upload-Offset": _OFFSET, "Upload-Expires": _EXPIRES}},
        **_problems(408, 412, 413, 415, 423, 460),
    },
    openapi_extra={"requestBody": {**_BODY, "required": True}},
)
async def send_upload_piece(
    upload_id: Id,
    request: Request,
    caller: Sender,
    house: InHouse,
    offset: Annotated[int, Header(alias="Upload-Offset", ge=0, description="bytes before this piece")],
    version: Version = tus.VERSION,
    checksum: Annotated[
        str | None,
        Header(alias="Upload-Checksum", max_length=200, description="`sha256 BASE64`, or sha1; of the piece"),
    ] = None,
) -> Response:
    """The last one answers when the file has been judged, or after 20 s: its status says which."""
    if request.headers.get("Content-Type") != tus.MEDIA_TYPE:
        raise Refused(415, f"this piece: is not {tus.MEDIA_TYPE}; send it as that")
    sum_of_piece = tus.checksum(checksum)
    known = await run_in_threadpool(view.found, house, caller, upload_id)
    if not caller.owns(known.owner):
        raise pieces.unknown(upload_id)
    row = await _received(house, request, upload_id, offset, sum_of_piece)
    return Response(status_code=204, headers=tus.facts(row))


@router.delete(
    "/uploads/{upload_id}",
    operation_id="delete_upload",
    summary="Drop an upload (tus)",
    status_code=204,
    response_class=Response,
    responses=_problems(412, 423),
)
def delete_upload(upload_id: Id, caller: Sender, house: InHouse, version: Version = tus.VERSION) -> Response:
    view.drop_upload(house, caller, upload_id)
    return Response(status_code=204)


@router.get("/uploads", operation_id="list_uploads", summary="Your uploads")
def list_uploads(
    request: Request,
    response: Response,
    caller: Sender,
    house: InHouse,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: Annotated[UploadStatus | None, Query()] = None,
) -> Page[Upload]:
    page = view.list_uploads(house, caller, limit=limit, cursor=cursor, status=status)
    linked(response, request, page)
    return page


@router.get("/uploads/{upload_id}", operation_id="get_upload", summary="An upload, and what it was judged to be")
def get_upload(upload_id: Id, caller: Sender, house: InHouse) -> Upload:
    return view.get_upload(house, caller, upload_id)


async def _received(
    house: House, request: Request, upload_id: str, offset: int, checksum: Checksum | None
) -> PendingUpload:
    row = await tus.receive(house, request, upload_id, offset, checksum)
    if row.status == "checking":
        judged = asyncio.wrap_future((await run_in_threadpool(house.one, Checking)).look(upload_id))
        judged.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait([judged], timeout=LOOKED_AT)
    return row
