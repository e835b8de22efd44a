"""The OpenAPI document: FastAPI's, with failures as what they are and with what only prose can say."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from serving.api.problems import MEDIA_TYPE

ABOUT = """\
Every call names its caller: `Authorization: Bearer KEY`, with an API key (`orimono key new`) or a token of the OIDC
issuer that the operator has set. What a key may do is said by its scopes, how far it reaches by its role: viewers and
editors see their own, operators and administrators everybody's.

Failures are problem+json (RFC 9457); `detail` names the thing, the reason and the remedy. 429 and 503 say with
`Retry-After` when to ask again. Lists come in pages: pass `next` on as `cursor`. What takes long answers 202 with a
job, which `/v1/jobs/{name}/events` follows. POST requests that make something take an `Idempotency-Key`: the same
request under the same key is carried out once.
"""


def install(app: FastAPI) -> None:
    """``app.openapi`` gives the finished document, made once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _mended(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    summary=app.summary,
                    description=ABOUT,
                    routes=app.routes,
                    tags=app.openapi_tags,
                )
            )
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _mended(document: dict[str, Any]) -> dict[str, Any]:
    """FastAPI writes each model of a failure as JSON, and promises a body of its own for invalid requests."""
    for path in document["paths"].values():
        for operation in path.values():
            for response in operation.get("responses", {}).values():
                content = response.get("content", {})
                if MEDIA_TYPE in content:
                    content.pop("application/json", None)
    for name in ("HTTPValidationError", "ValidationError"):
        document.get("components", {}).get("schemas", {}).pop(name, None)
    return document
