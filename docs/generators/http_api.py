"""The HTTP API, from the OpenAPI document that the server itself gives."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from typing import Any

from docs.generators import markdown as md
from pipelines.settings import Settings
from serving.api.app import create_app
from serving.api.house import House

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")


def page() -> str:
    document = _document()
    by_tag: dict[str, list[str]] = defaultdict(list)
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                tag = (
                    operations[method].get("tags") or [path.split("/")[2] if path.startswith("/v1/") else "the server"]
                )[0]
                by_tag[tag].append(_operation(method, path, operations[method]))
    count = sum(map(len, by_tag.values()))
    about = (
        f"{count} operations. A server that runs has the same at `/docs`, to try out, and `/openapi.json`, for tools. "
        "What they have in common, and who may do what, is told in [The API](../how-to/api.md)."
    )
    return md.page(
        "HTTP API",
        about,
        document["info"]["description"].strip(),
        *(part for tag in sorted(by_tag) for part in (f"## {tag}", *by_tag[tag])),
    )


def _document() -> dict[str, Any]:
    """The house is never opened: making the document needs no database."""
    with tempfile.TemporaryDirectory() as home:
        house = House(Settings(home=home))
        try:
            return create_app(house.settings, house).openapi()
        finally:
            house.close()


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    summary = operation.get("summary", "")
    about = md.cell(operation.get("description", ""))
    lines = [f"### {summary} {{ #{operation.get('operationId', method + path)} }}", f"`{method.upper()} {path}`"]
    lines += [about] if about != summary else []
    rows = [
        (
            md.code(one["name"]),
            one["in"] + (", needed" if one.get("required") else ""),
            md.cell(one.get("description", "")),
        )
        for one in operation.get("parameters", ())
    ]
    if body := operation.get("requestBody"):
        kinds = ", ".join(f"{_named(content.get('schema', {}))} ({kind})" for kind, content in body["content"].items())
        rows.append(("the body", "", md.cell(kinds)))
    if rows:
        lines.append(md.table(("takes", "where", "meaning"), rows))
    answers = [
        f"{status} {_named(next(iter(answer.get('content', {}).values()), {}).get('schema', {}))}".strip()
        for status, answer in operation["responses"].items()
        if status.startswith(("1", "2", "3"))
    ]
    return "\n\n".join([*lines, f"*answers {'; '.join(answers)}*"])


def _named(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    return str(schema.get("title", ""))
