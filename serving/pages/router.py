"""All pages under one router, with the files that they are drawn with."""

from __future__ import annotations

import importlib

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from pipelines.errors import NotFound
from serving.pages import rendering

PAGES = (
    *("signing_in", "overview", "jobs", "new_job", "edits", "masters", "arrangements", "scoring"),
    *("models", "rollout", "flags", "consents", "withdrawals", "originals", "approvals", "audit", "keys"),
)
MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

router = APIRouter(include_in_schema=False)
for _name in PAGES:
    router.include_router(importlib.import_module(f"serving.pages.{_name}").router)


@router.get("/static/{name}")
def static_file(name: str) -> Response:
    path = rendering.STATIC / name
    if path.parent != rendering.STATIC or path.suffix not in MEDIA or not path.is_file():
        raise NotFound(f"/static/{name}", "does not exist", "load the page again")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type=MEDIA[path.suffix], headers=headers)
