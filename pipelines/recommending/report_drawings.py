"""Where marks stand in the report's drawings: intervals on one scale, training curves. The template draws them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 420, 220, 52, 34, 14, 14
_TICKS = 4


@dataclass(frozen=True, slots=True)
class Interval:
    """Places in per cent of the drawing's width; None where nothing was measured."""

    low: float
    high: float
    mean: float
    says: str


@dataclass(frozen=True, slots=True)
class Intervals:
    """One drawing a scorer on the same scale, which begins at 0 and ends at ``most``; ``bar``: where the bar stands."""

    most: float
    bar: float | None
    rows: Mapping[str, Interval | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: its points in the drawing's own units, and what they mean."""

    name: str
    points: str
    dots: tuple[tuple[float, float], ...]
    last: str


@dataclass(frozen=True, slots=True)
class Plot:
    title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    says: str
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    right: int = _WIDTH - _RIGHT
    base: int = _HEIGHT - _BOTTOM


@dataclass(frozen=True, slots=True)
class Curves:
    """The plots of one training."""

    name: str
    epochs: int
    seconds: float
    plots: tuple[Plot, ...]


def intervals(figures: Mapping[str, Mapping[str, Any]], bar: str) -> Intervals:
    """``figures``: mean, low and high by scorer; ``bar``: the scorer that all are held against."""
    highs = [one["high"] for one in figures.values() if one["high"] is not None]
    most = _rounded_up(max(highs, default=0.0)) or 1.0
    rows: dict[str, Interval | None] = {}
    for name, one in figures.items():
        if one["mean"] is None:
            rows[name] = None
            continue
        low, high, mean = (round(100 * one[key] / most, 2) for key in ("low", "high", "mean"))
        rows[name] = Interval(
            low, high, mean, f"{one['mean']:.3f}, 95 % between {one['low']:.3f} and {one['high']:.3f}"
        )
    held = rows.get(bar)
    return Intervals(most, held.mean if held else None, rows)


def curves(name: str, epochs: Sequence[Any]) -> Curves:
    """The loss, and recall and NDCG on validation where they were measured, over the epochs of one training."""
    told = [epoch_of(one) for one in epochs]
    numbers = [int(one["number"]) for one in told]
    plots = [_plot("Loss", numbers, {"loss": [one["loss"] for one in told]}, from_zero=False)]
    ranked: dict[str, list[float]] = {
        shown: [float(one[key]) for one in told]
        for key, shown in (("recall", "Recall@20"), ("ndcg", "NDCG@20"))
        if all(one.get(key) is not None for one in told)
    }
    if ranked:
        plots.append(_plot("On validation", numbers, ranked, from_zero=True))
    return Curves(name, len(told), sum(one.get("seconds") or 0.0 for one in told), tuple(plots))


def epoch_of(one: Any) -> Mapping[str, Any]:
    """training.Epoch, or what was kept of it as JSON, as a mapping."""
    if isinstance(one, Mapping):
        return one
    return {key: getattr(one, key) for key in ("number", "loss", "learning_rate", "seconds", "recall", "ndcg")}


def _plot(title: str, numbers: Sequence[int], series: Mapping[str, Sequence[float]], *, from_zero: bool) -> Plot:
    values = [v for line in series.values() for v in line if math.isfinite(v)]
    low, high = (0.0 if from_zero else min(values, default=0.0)), max(values, default=1.0)
    if high <= low:
        low, high = low - 0.5, low + 0.5
    step = _rounded_up((high - low) / _TICKS)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    first, last = numbers[0], max(numbers[-1], numbers[0] + 1)

    def x(number: float) -> float:
        return round(_LEFT + (number - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        return round(_HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _BOTTOM - _TOP), 1)

    lines = []
    for name, line in series.items():
        dots = tuple((x(n), y(v)) for n, v in zip(numbers, line, strict=True) if math.isfinite(v))
        lines.append(Line(name, " ".join(f"{a},{b}" for a, b in dots), dots, f"{line[-1]:.3f}"))
    every = max(1, math.ceil(len(numbers) / 8))
    told = "; ".join(f"{name} from {line[0]:.3f} to {line[-1]:.3f}" for name, line in series.items())
    return Plot(
        title,
        tuple(lines),
        tuple((x(n), str(n)) for n in numbers[::every]),
        tuple((y(low + i * step), f"{low + i * step:.3g}") for i in range(round((high - low) / step) + 1)),
        f"{title} over {len(numbers)} epochs: {told}",
    )


def _rounded_up(value: float) -> float:
    """The next 1, 2, 2.5, 4 or 5 times a power of ten."""
    if not value > 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 2, 2.5, 4, 5, 10) if m * power >= value * (1 - 1e-9))
