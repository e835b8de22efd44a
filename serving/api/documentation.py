"""The API's documentation at /docs: Swagger UI from an installed package, so that it works without the internet."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi import Path as PathParameter
from starlette.responses import FileResponse, HTMLResponse

router = APIRouter(include_in_schema=False)

# Swagger UI sets style attributes and draws its icons as data; nothing comes from elsewhere.
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Orimono API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<script src="/docs/swagger-ui-bundle.js" defer></script>
<script src="/docs/docs.js" defer></script>
</head>
<body>
<p><a href="/">Pages</a> · <a href="/openapi.json">OpenAPI document</a></p>
<noscript><p>This view needs JavaScript; the OpenAPI document says the same.</p></noscript>
<main id="docs"></main>
</body>
</html>
"""
_OWN = Path(__file__).parent / "static"
File = Literal["swagger-ui.css", "swagger-ui-bundle.js", "docs.js"]


@cache
def _packaged() -> Path:
    """The package's folder; it is not imported."""
    found = importlib.util.find_spec("fastapi_offline")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "static"


@router.get("/docs")
async def documentation() -> HTMLResponse:
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})


@router.get("/docs/{file}")
async def part(file: Annotated[File, PathParameter()]) -> FileResponse:
    folder = _OWN if file == "docs.js" else _packaged()
    return FileResponse(folder / file, headers={"Cache-Control": "public, max-age=3600"})
