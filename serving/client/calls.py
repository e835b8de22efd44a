"""What every part of the client stands on: a transport, and paths whose parts are quoted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from serving.client.transport import Transport
from serving.wire.base import Page

T = TypeVar("T")


class Calls:
    """``transport`` does the asking."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def _get(self, path: str, answer: type[T], **query: Any) -> T:
        found: T = self.transport.ask("GET", path, answer, params=query)
        return found

    def _send(
        self,
        method: str,
        path: str,
        answer: type[T],
        body: BaseModel | None = None,
        *,
        etag: str | None = None,
        once: bool = False,
    ) -> T:
        headers = {} if etag is None else {"If-Match": f'"{etag}"'}
        made: T = self.transport.ask(method, path, answer, body=body, headers=headers, once=once)
        return made


def path(template: str, *parts: object) -> str:
    """``template`` with each ``{}`` replaced by a part of a path, whatever it holds."""
    return template.format(*(quote(str(part), safe="") for part in parts))


def every(listing: Callable[..., Page[T]], *arguments: Any, **filters: Any) -> Iterator[T]:
    """All items of a list, page by page: ``every(client.list_jobs, status="failed")``."""
    cursor: str | None = None
    while True:
        page = listing(*arguments, **filters, cursor=cursor)
        yield from page.items
        if page.next is None:
            return
        cursor = page.next
