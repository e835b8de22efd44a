"""Follows a job or a sheet by server-sent events, and takes up where the connection broke off."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from pydantic import BaseModel

from serving.client.errors import Busy, Unreachable
from serving.client.transport import LONGEST_WAIT, Transport

M = TypeVar("M", bound=BaseModel)


def watch(
    transport: Transport,
    path: str,
    kind: type[M],
    *,
    attempts: int = 10,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[M]:
    """Every new state, the last one when it has ended. ``attempts``: how often in a row a connection may fail without
    a word before Unreachable (or Busy) rises."""
    from httpx_sse import EventSource

    last, failed = "", 0
    while True:
        wait = min(8.0, 0.25 * 2.0**failed)
        try:
            with transport.stream(path, {"Last-Event-ID": last} if last else None) as response:
                for event in EventSource(response).iter_sse():
                    failed, last = 0, event.id or last
                    if event.event == "progress":
                        yield kind.model_validate_json(event.data)
                    if event.event == "end" and json.loads(event.data)["reason"] in ("ended", "gone"):
                        return  # else the server goes, or wants to be asked anew
        except Unreachable:
            if failed >= attempts:
                raise
        except Busy as busy:
            if failed >= attempts:
                raise
            wait = min(LONGEST_WAIT, busy.problem.retry_after or wait)
        failed += 1  # also when it was ended in an orderly way: the API may be starting anew
        if failed > attempts:
            raise Unreachable(f"{transport.url}: ended the stream {failed} times without a word")
        sleep(wait)
