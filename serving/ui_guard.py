"""Dagster's webserver behind a guard: `python -m serving.ui_guard --host 127.0.0.1 --port 3000 -w workspace.yaml`.

Dagster starts runs for whoever asks, by GET as well, whatever Host and Origin say, so any page that a person has open
in the same browser could start one. It takes every option of `dagster-webserver`; who may do what is not its business.
"""

from __future__ import annotations

import ipaddress
import json
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from pipelines.errors import BadInput
from pipelines.settings import Settings, load

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

MOST_BODY = 16 << 20  # bytes; a backfill of all partitions names each of them
_SAFE = ("GET", "HEAD", "OPTIONS")
_ONCE = (b"host", b"origin", b"content-type", b"content-length")  # of two, one of us might read the first, one the last
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9._-]{1,253}))(?::[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Guard:
    """An ASGI application in front of Dagster's. ``settings`` tell the names by which people and processes call it."""

    def __init__(self, app: App, settings: Settings) -> None:
        self._app = app
        urls = (settings.dagster_url, settings.dagster_internal_url)
        self._names = {"localhost", *(name for url in urls if (name := urlsplit(url).hostname))}
        self._origins = {origin for url in urls if (origin := _origin(url))}

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        refused = self._refused(scope)
        if refused is None:
            if scope["type"] == "http" and _asks(scope) and scope["method"] in _SAFE:
                scope = {**scope, "query_string": b""}  # the page on which people write queries, and nothing else
            return await self._app(scope, receive, send)
        status, reason = refused
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008, "reason": reason})
        body = json.dumps({"errors": [{"message": reason}]}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if status == 405:
            headers.append((b"allow", b"POST"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        return await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _refused(self, scope: Message) -> tuple[int, str] | None:
        """Status and reason, or None."""
        pairs: list[tuple[bytes, bytes]] = scope["headers"]
        counts = Counter(name for name, _ in pairs)
        for name in _ONCE:
            if counts[name] > 1:
                return 400, f"the request has {name.decode()} more than once; send one"
        headers = {name: value.decode("latin-1").strip().lower() for name, value in pairs}
        host = headers.get(b"host", "")
        if not self._ours(host):
            return 421, (
                "the request was meant for another server: its Host is not this one's; call it by its address, or set "
                "ORIMONO_DAGSTER_URL to the name that people use"
            )
        if scope["type"] == "http" and scope["method"] in _SAFE:
            return self._refused_reading(scope, headers)
        return self._refused_foreign(headers, host) or (_refused_body(headers) if scope["type"] == "http" else None)

    @staticmethod
    def _refused_reading(scope: Message, headers: dict[bytes, str]) -> tuple[int, str] | None:
        if _asks(scope) and "text/html" not in headers.get(b"accept", ""):
            return 405, "GraphQL is answered by POST alone: a link must not start a run; send it as JSON"
        return None

    def _refused_foreign(self, headers: dict[bytes, str], host: str) -> tuple[int, str] | None:
        """What a page of another site asks for. Programs send neither header, browsers do, and no page forges them."""
        origin = headers.get(b"origin")
        if origin is not None and origin not in self._origins:
            scheme, _, place = origin.partition("://")
            if scheme not in _DEFAULT_PORTS or place not in (host, host.removesuffix(_DEFAULT_PORTS[scheme])):
                return 403, "the request comes from a page of another site; open the Dagster UI itself"
        if headers.get(b"sec-fetch-site", "none") not in ("same-origin", "none"):
            return 403, "the request comes from a page of another site; open the Dagster UI itself"
        return None

    def _ours(self, host: str) -> bool:
        """An address cannot be led elsewhere by whoever owns a name, so all addresses are taken, and of names ours."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = (found["six"] or found["name"]).rstrip(".")
        return _address(name) or (found["six"] is None and name in self._names)


def _asks(scope: Message) -> bool:
    """Whether it goes to GraphQL, under whatever prefix."""
    path: str = scope["path"]
    return path.rstrip("/").endswith("/graphql")


def _refused_body(headers: dict[bytes, str]) -> tuple[int, str] | None:
    # Dagster looks for the word anywhere in the header, and a form of another site may be sent as text/plain.
    if headers.get(b"content-type", "").partition(";")[0].strip() != "application/json":
        return 415, "the request's body is not JSON; send it with Content-Type: application/json"
    length = headers.get(b"content-length", "")
    if not length.isascii() or not length.isdigit():
        return 411, "the request does not say how long it is; send Content-Length"
    if int(length) > MOST_BODY:
        return 413, f"the request is longer than {MOST_BODY >> 20} MiB; ask for less at once"
    return None


def _origin(url: str) -> str | None:
    """As browsers write it: no path, no usual port; None for an empty address."""
    parts = urlsplit(url.lower())
    return f"{parts.scheme}://{parts.netloc.removesuffix(_DEFAULT_PORTS.get(parts.scheme, ':'))}" if url else None


def _address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs until it is ended; exits with 2 and one sentence when the settings are wrong."""
    try:
        settings = load()
    except BadInput as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    from dagster_webserver import app, cli

    made = app.create_app_from_workspace_process_context
    # Dagster's command makes the application by this name. Should another release call it otherwise, nothing is served.
    assert cli.create_app_from_workspace_process_context is made
    cli.create_app_from_workspace_process_context = lambda *given, **named: Guard(made(*given, **named), settings)
    cli.cli(arguments, prog_name="serving.ui_guard", auto_envvar_prefix="DAGSTER_WEBSERVER")


if __name__ == "__main__":
    main()
