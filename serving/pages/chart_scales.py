"""Where a chart's axes have their ticks, and what stands at them. How it is drawn is charts.py's."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

Unit = Literal["number", "percent", "ms", "count"]

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
STEPS = (
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14)),
)
MONTHS = (1, 2, 3, 6, 12)
MONDAY = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday and the first of a month: ticks of weeks and hours fall on it
TEN_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from ``low`` to ``high``, of which ``ticks`` are labelled; ``decimals`` tell neighbouring ticks apart."""

    low: float
    high: float
    ticks: tuple[float, ...]
    decimals: int

    def share(self, value: float) -> float:
        """0 at the lower end, 1 at the upper one."""
        return (value - self.low) / (self.high - self.low)


def values(low: float, high: float, *, about: int = 5, from_zero: bool = False) -> Scale:
    """Ticks at 1, 2, 2.5 or 5 times a power of ten, about so many; the ends are ticks, and all of [low, high] lies
    between them. One value alone, or none that is finite, gets room around it."""
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = 0.0, 1.0
    if from_zero:
        low, high = min(0.0, low), max(0.0, high)
    # Beyond this share of the values themselves a difference is rounding, and steps could no longer be told apart.
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        room = abs(high) / 10 or 1.0
        low, high = (0.0, high + room) if from_zero and high >= 0 else (low - room, high + room)
    step = _nice((high - low) / max(1, about - 1))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    decimals = max(0, -math.floor(math.log10(step)))
    if round(step, decimals) != step:
        decimals += 1  # steps of 2.5
    ticks = tuple(round(n * step, decimals) for n in range(first, last + 1))
    return Scale(first * step, last * step, ticks, decimals)


def _nice(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(n * power for n in TEN_STEPS if n * power >= rough * (1 - 1e-9))


def moments(first: datetime, last: datetime, most: int = 6) -> tuple[datetime, ...]:
    """Round moments (UTC) in [first, last], at most ``most``: full hours, midnights, Mondays or firsts of a month."""
    first, last = first.astimezone(UTC), last.astimezone(UTC)
    for step in STEPS:
        found = _multiples(first, last, step, most)
        if len(found) <= most:
            return found
    for months in MONTHS:
        found = _months(first, last, months, most)
        if len(found) <= most:
            return found
    years = math.ceil((last.year - first.year + 1) / most)
    return _months(first, last, 12 * years, most)


def _multiples(first: datetime, last: datetime, step: timedelta, most: int) -> tuple[datetime, ...]:
    """One more than ``most`` tells that there are too many."""
    number = -((MONDAY - first) // step)
    found = []
    while (moment := MONDAY + number * step) <= last and len(found) <= most:
        if moment >= first:
            found.append(moment)
        number += 1
    return tuple(found)


def _months(first: datetime, last: datetime, months: int, most: int) -> tuple[datetime, ...]:
    number = (first.year * 12 + first.month - 1) // months * months
    found = []
    while (moment := datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)) <= last and len(found) <= most:
        if moment >= first:
            found.append(moment)
        number += months
    return tuple(found)


def moment_labels(ticks: tuple[datetime, ...]) -> tuple[str, ...]:
    """Short labels that tell the ticks apart: 14:00, and the day where it changes; 21 Nov; Nov 2026."""
    if not ticks:
        return ()
    step = min((b - a for a, b in itertools.pairwise(ticks)), default=_DAY)
    if step >= 28 * _DAY:
        return tuple(f"{tick:%b %Y}" for tick in ticks)
    if step >= _DAY:
        return tuple(f"{tick.day} {tick:%b}" for tick in ticks)
    return tuple(f"{tick.day} {tick:%b}" if tick.hour == tick.minute == 0 else f"{tick:%H:%M}" for tick in ticks)


def figure(value: float, unit: Unit, decimals: int | None = None) -> str:
    """A value with its unit: 0.713, 2.4 %, 12.5 ms, 1,204. ``decimals``: of the value itself, as a scale has them (a
    share of 0.025 with 3 is 2.5 %); three significant digits without."""
    if unit == "percent":
        value, decimals = value * 100, None if decimals is None else max(0, decimals - 2)
    if unit == "count" and decimals is None:
        decimals = 0
    if decimals is None:
        size = abs(value)
        decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
        if unit == "percent":
            decimals = min(decimals, 1 if size >= 1 else 2)
    text = f"{value:,.{decimals}f}"
    if text.startswith("-") and not any(digit in text for digit in "123456789"):
        text = text[1:]
    return text + {"percent": "\u202f%", "ms": "\u202fms", "number": "", "count": ""}[unit]
