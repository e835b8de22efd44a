"""What other installed packages bring, found by their entry points. A broken one is named, and costs only itself."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

log = logging.getLogger(__name__)


def plugged_in(group: str) -> dict[str, Any]:
    """Objects by name, in the order of their names. One that does not load is named in a warning and left out."""
    found: dict[str, Any] = {}
    for point in _points(group):
        if point.name in found:
            log.warning("%s %s: offered twice; %s is left out", group, point.name, point.value)
            continue
        try:
            found[point.name] = point.load()
        except Exception as error:  # noqa: BLE001 - foreign code; anything may come out of an import
            log.warning("%s %s (%s): does not load, %r; it is left out", group, point.name, point.value, error)
    return found


def signature(group: str) -> str:
    """Names and versions of what is plugged in, for cache keys; empty when nothing is."""
    return ",".join(f"{p.name}-{p.dist.version if p.dist else ''}" for p in _points(group))


def _points(group: str) -> tuple[EntryPoint, ...]:
    return _read(entry_points, group, tuple(sys.path))


@cache
def _read(ask: Callable[..., Iterable[EntryPoint]], group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Once a process and path: three hundred packages' files take 12 ms, and every clip's key asks."""
    return tuple(sorted(ask(group=group), key=lambda p: (p.name, p.value)))
