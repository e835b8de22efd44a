"""A step over a batch's items with every outcome written down. What is an item, and what a step does, is its system's.

How items are spread over processes is items.py's; how outcomes are asked for again is storage/items.py's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, TypeVar

from pipelines import items
from pipelines.items import Item, Result
from pipelines.storage import items as item_table
from pipelines.storage.items import NewOutcome
from pipelines.studio import Studio

T = TypeVar("T")
log = logging.getLogger(__name__)


def run(
    studio: Studio,
    kind: str,
    version: str,
    work: Sequence[Item[T]],
    step: items.Step[T],
    *,
    ahead: items.Ahead[T] | None = items.whole,
) -> list[Result[T]]:
    """Runs ``step`` over ``work`` and records each item's outcome as of ``kind`` (the asset's name) and ``version``.
    ``ahead``: what other machines may do of it, as items.run takes it."""
    began = time.monotonic()
    results = items.run(studio.settings, work, step, ahead=ahead)
    failed = sum(1 for r in results if r.failure)
    stored = sum(1 for r in results if r.produced and r.produced.stored)
    if results:
        counts = f"{len(results)} items, {stored} stored before, {failed} failed"
        log.info("%s: %s, %.1f s", kind, counts, time.monotonic() - began)
    with studio.database.session() as session:
        item_table.record_all(session, [_outcome(kind, version, result) for result in results])
    return results


def _outcome(kind: str, version: str, result: Result[Any]) -> NewOutcome:
    item = result.item
    key = result.produced.object_key if result.produced else None
    made_of = (item.content_hash, version, item.upload_id, item.params_hash)
    return NewOutcome(job_id(result), kind, *made_of, result.error, key, result.seconds)


def failures(studio: Studio, batch_key: str, kind: str, version: str) -> list[str]:
    """Why items of this step failed, in its present version."""
    with studio.database.session() as session:
        return [row.error or "" for row in item_table.failures(session, batch_key, kind, version)]


def job_id(result: Result[Any]) -> int:
    """A batch's items always belong to a job."""
    assert result.item.job_id is not None
    return result.item.job_id
