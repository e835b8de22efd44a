"""One step over the items of a batch: spread over processes or machines, one bad item recorded, the rest going on.

Steps are plain functions that find their own results in the cache; what a step does is its trade's business, and
how results are recorded in the database is storage/items.py's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from pipelines.compute.address import cluster_of
from pipelines.errors import BadInput, OrimonoError, Unavailable
from pipelines.settings import Settings
from pipelines.storage.cache import Cache
from pipelines.storage.objects import Objects

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """A unit of work. Items with equal (content_hash, params_hash) are computed once."""

    name: str
    content_hash: str
    payload: T
    params_hash: str = ""
    job_id: int | None = None
    upload_id: int | None = None


@dataclass(frozen=True, slots=True)
class Produced:
    """What a step says of one item: numbers and words for a table, and a picture worth looking at."""

    stored: bool  # it was in the cache already
    summary: dict[str, float | int | str] = field(default_factory=dict)
    picture: bytes | None = None  # PNG
    object_key: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)  # for the step's own records, JSON-like

    def copy(self) -> Produced:
        """With a summary and a detail of its own."""
        return replace(self, summary=dict(self.summary), detail=dict(self.detail))


class Defect(Exception):
    """A failure of ours, not of the input; where it came from is in the log."""


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    item: Item[T]
    produced: Produced | None
    failure: OrimonoError | Defect | None
    seconds: float = 0.0

    @property
    def error(self) -> str | None:
        """One sentence; None when all went well."""
        return None if self.failure is None else str(self.failure)


Step = Callable[[Settings, Cache, T], Produced]
Ahead = Callable[[T], T]


def whole(payload: T) -> T:
    """Of a step that leaves nothing but what is in the cache: another machine may do all of it."""
    return payload


def run(
    settings: Settings, items: Sequence[Item[T]], step: Step[T], *, ahead: Ahead[T] | None = whole
) -> list[Result[T]]:
    """Results in the order of ``items``.

    BadInput and defects fail their own item only. Unavailable rises: the whole step is worth another try, and what
    is done is in the cache. A worker that dies (a decoder's crash, out of memory) fails the item it held.

    ``ahead``: what of a payload other machines may do. One that names a folder of this machine goes without it, and
    runs once more here, where the cache knows all that was costly; with None, the step runs here alone.
    """
    first: dict[tuple[str, str], Item[T]] = {}
    for item in items:
        first.setdefault((item.content_hash, item.params_hash), item)
    unique = list(first.values())
    far = ahead is not None and cluster_of(settings) is not None
    results = list(_far(settings, unique, step, ahead or whole) if far else _near(settings, unique, step))
    by_key = {(r.item.content_hash, r.item.params_hash): r for r in results}
    ordered = []
    for item in items:
        key = (item.content_hash, item.params_hash)
        found = by_key[key]
        if first[key] is item:
            ordered.append(Result(item, found.produced, found.failure, found.seconds))
        elif found.produced is not None:  # what worked for several is counted once
            ordered.append(Result(item, found.produced.copy(), None, 0.0))
        else:  # its sentence names the first one's file, which may be another person's
            ordered.append(next(_far(settings, [item], step, ahead or whole)) if far else _alone(settings, item, step))
    return ordered


def workers_of(settings: Settings) -> int:
    """Processes to use: ORIMONO_WORKERS, or one a core that this process may run on."""
    return settings.whole("workers") if settings.workers else len(os.sched_getaffinity(0))


def _near(settings: Settings, items: Sequence[Item[T]], step: Step[T]) -> Iterator[Result[T]]:
    workers = min(len(items), workers_of(settings))
    return _serial(settings, items, step) if workers <= 1 else _parallel(settings, items, step, workers)


def _far(settings: Settings, items: Sequence[Item[T]], step: Step[T], ahead: Ahead[T]) -> Iterator[Result[T]]:
    from pipelines.compute.spreading import Lost, spread

    sent = [replace(item, payload=ahead(item.payload)) for item in items]
    with contextlib.closing(spread(settings, _on_a_node, ((step, item) for item in sent))) as answers:
        for number, answer in answers:
            item = items[number]
            if isinstance(answer, Lost):
                yield Result(item, None, _died(item))
                continue
            if answer.trace is not None:
                log.error("defect in %s for %s on another machine\n%s", _named(step), item.name, answer.trace)
            result = Result(item, answer.produced, answer.failure, answer.seconds)
            if answer.produced is not None and sent[number].payload is not item.payload:
                result = _delivered(result, _one(settings, item, step))
            yield result


@dataclass(frozen=True, slots=True)
class _Answer:
    produced: Produced | None
    failure: OrimonoError | Defect | None
    seconds: float
    trace: str | None


def _on_a_node(settings: Settings, sent: tuple[Step[T], Item[T]]) -> _Answer:
    step, item = sent
    result = _one(settings, item, step)
    cause = result.failure.__cause__ if isinstance(result.failure, Defect) else None
    trace = "".join(traceback.format_exception(cause)) if cause is not None else None
    return _Answer(result.produced, result.failure, result.seconds, trace)


def _delivered(far: Result[T], near: Result[T]) -> Result[T]:
    """What was computed elsewhere and then put into a folder here: stored before only if it was when it was asked."""
    produced = near.produced
    if produced is not None and far.produced is not None:
        produced = replace(produced, stored=far.produced.stored)
    return Result(far.item, produced, near.failure, far.seconds + near.seconds)


def _serial(settings: Settings, items: Sequence[Item[T]], step: Step[T]) -> Iterator[Result[T]]:
    for item in items:
        yield _one(settings, item, step)


def _parallel(settings: Settings, items: Sequence[Item[T]], step: Step[T], workers: int) -> Iterator[Result[T]]:
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    # A worker that has grown is replaced by a fresh one between two items; that is no trouble.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given", category=UserWarning)
    done: set[int] = set()
    try:
        with Parallel(n_jobs=workers, backend="loky", return_as="generator_unordered", pre_dispatch=workers) as pool:
            for index, result in pool(delayed(_numbered)(i, settings, item, step) for i, item in enumerate(items)):
                done.add(index)
                yield result
    except TerminatedWorkerError:
        log.warning("a worker process died; its items run again, one process each")
        for index, item in enumerate(items):
            if index not in done:
                yield _alone(settings, item, step)


def _alone(settings: Settings, item: Item[T], step: Step[T]) -> Result[T]:
    """One item in a process of its own, so that its crash is known to be its own."""
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    start = time.monotonic()
    try:
        # Two slots: with one, joblib would run the item here and the crash would be ours.
        with Parallel(n_jobs=2, backend="loky") as pool:
            result: Result[T] = pool([delayed(_one)(settings, item, step)])[0]
            return result
    except TerminatedWorkerError:
        return Result(item, None, _died(item), time.monotonic() - start)


def _died(item: Item[T]) -> BadInput:
    return BadInput(item.name, "its analysis process died (damaged media or too little memory)", "re-encode it")


def _named(step: Step[T]) -> str:
    return str(getattr(step, "__name__", step))


def _numbered(index: int, settings: Settings, item: Item[T], step: Step[T]) -> tuple[int, Result[T]]:
    return index, _one(settings, item, step)


def _one(settings: Settings, item: Item[T], step: Step[T]) -> Result[T]:
    start = time.monotonic()
    produced: Produced | None = None
    failure: BadInput | Defect | None = None
    try:
        produced = step(settings, Cache(Objects.open(settings)), item.payload)
    except BadInput as bad:
        failure = bad
    except Unavailable:
        raise
    except Exception as bug:
        log.exception("defect in %s for %s", _named(step), item.name)
        failure = Defect(f"{item.name}: failed in Orimono itself ({type(bug).__name__}: {bug})")
        failure.__cause__ = bug
    return Result(item, produced, failure, time.monotonic() - start)
