"""Service levels: what is promised of the whole, and whether it is kept."""

from __future__ import annotations

from typing import Literal

from serving.wire.base import Answered


class ServiceLevel(Answered):
    name: str
    promise: str
    measured: str
    verdict: Literal["kept", "broken", "unknown"]


class ServiceLevels(Answered):
    items: tuple[ServiceLevel, ...]
