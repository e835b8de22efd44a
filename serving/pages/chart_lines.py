"""What a chart's series is drawn from: points in time, stretches without a gap, shapes of marks, as path data.

The chart around them is charts.py's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MOST_POINTS = 260  # of a series: as many as there are columns to draw them in, twice over
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "bar")


@dataclass(frozen=True, slots=True)
class Point:
    """``value``: None where nothing was measured: the line has a gap there."""

    at: datetime
    value: float | None


def by_time(points: Iterable[Point]) -> Iterator[Point]:
    """By time, one a moment; NaN and infinities are as little a value as None."""
    for at, value in sorted({point.at.astimezone(UTC): point.value for point in points}.items()):
        yield Point(at, value if value is not None and math.isfinite(value) else None)


def runs(points: Sequence[Point], gap: timedelta | None) -> list[list[Point]]:
    """Stretches without a gap."""
    found: list[list[Point]] = []
    before: Point | None = None
    for point in points:
        if point.value is not None:
            if before is None or before.value is None or (gap is not None and point.at - before.at > gap):
                found.append([])
            found[-1].append(point)
        before = point
    return found


def thinned(run: list[Point]) -> list[Point]:
    """Few enough to draw: of each stretch its lowest and its highest point, so that no peak is lost."""
    if len(run) <= MOST_POINTS:
        return run
    size = math.ceil(2 * len(run) / MOST_POINTS)
    kept: list[Point] = []
    for start in range(0, len(run), size):
        part = run[start : start + size]
        ends = {id(p): p for p in (min(part, key=_value), max(part, key=_value))}
        kept += sorted(ends.values(), key=lambda p: p.at)
    return list({p.at: p for p in (run[0], *kept, run[-1])}.values())


def _value(point: Point) -> float:
    return point.value if point.value is not None else math.nan


def shape(kind: str, x: float, y: float, r: float = 4.0) -> str:
    """A closed path about (x, y); all shapes weigh about the same on the page."""
    n = coord
    if kind == "circle":
        return f"M{n(x - r)} {n(y)}a{n(r)} {n(r)} 0 1 0 {n(2 * r)} 0a{n(r)} {n(r)} 0 1 0 {n(-2 * r)} 0Z"
    if kind == "square":
        return f"M{n(x - r)} {n(y - r)}h{n(2 * r)}v{n(2 * r)}h{n(-2 * r)}Z"
    if kind == "triangle":
        return f"M{n(x)} {n(y - 1.3 * r)}L{n(x + 1.25 * r)} {n(y + r)}L{n(x - 1.25 * r)} {n(y + r)}Z"
    if kind == "diamond":
        return f"M{n(x)} {n(y - 1.4 * r)}L{n(x + 1.4 * r)} {n(y)}L{n(x)} {n(y + 1.4 * r)}L{n(x - 1.4 * r)} {n(y)}Z"
    if kind == "cross":
        a, b = 0.45 * r, 1.3 * r
        arms = f"h{n(2 * a)}v{n(b - a)}h{n(b - a)}v{n(2 * a)}h{n(a - b)}v{n(b - a)}h{n(-2 * a)}v{n(a - b)}h{n(a - b)}"
        return f"M{n(x - a)} {n(y - b)}{arms}v{n(-2 * a)}h{n(b - a)}Z"
    return f"M{n(x - 1.5 * r)} {n(y - 0.5 * r)}h{n(3 * r)}v{n(r)}h{n(-3 * r)}Z"


def coord(value: float) -> str:
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"
