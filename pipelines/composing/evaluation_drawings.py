"""Where marks stand in the harmoniser's report: curves, a dot a piece, piano rolls over Bach's. The template draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.evaluation import NAME, Evaluation
from pipelines.composing.metrics import VOICES

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _EDGE = 420, 230, 48, 34, 14
_SIDE = 380  # of the square of dots
_ROLL, _FRAME, _SEMITONE = 128, 7, 5  # sixteenths in a row of a roll; units a sixteenth and a semitone


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    points: str
    last: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves over epochs in the drawing's own units; ticks are (place, label)."""

    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    says: str
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    right: int = _WIDTH - _EDGE
    base: int = _HEIGHT - _BOTTOM


@dataclass(frozen=True, slots=True)
class Scatter:
    """A dot a piece: (x, y, whether its tune is its own, what it says). Above the diagonal the model is better."""

    dots: tuple[tuple[float, float, bool, str], ...]
    ticks: tuple[tuple[float, str], ...]  # distance from the origin, in both directions
    other: str
    better: int
    side: int = _SIDE
    left: int = _LEFT


@dataclass(frozen=True, slots=True)
class Bar:
    """A held pitch of a voice: right where Bach has it, too."""

    x: float
    y: float
    width: float
    voice: str
    right: bool


@dataclass(frozen=True, slots=True)
class Row:
    """Some bars of music: ``made`` filled by voice, ``bach`` (only where it differs) as outlines; ``beats``: x."""

    width: float
    height: float
    made: tuple[Bar, ...]
    bach: tuple[Bar, ...]
    beats: tuple[float, ...]
    semitone: float = _SEMITONE


@dataclass(frozen=True, slots=True)
class Roll:
    which: str  # best or worst
    number: int
    share: float
    apart: bool
    rows: tuple[Row, ...]


def curves(epochs: Sequence[Mapping[str, Any]]) -> Plot | None:
    """The loss on hidden notes of the training pieces and, where it was asked, on the validation pieces; the mean of
    the members at each epoch. None without epochs."""
    if not epochs:
        return None
    numbers = sorted({int(epoch["number"]) for epoch in epochs})
    series: dict[str, list[tuple[int, float]]] = {}
    for key, name in (("train", "training pieces"), ("valid", "validation pieces")):
        for number in numbers:
            values = [e[key] for e in epochs if e["number"] == number and e[key] is not None]
            if values:
                series.setdefault(name, []).append((number, float(np.mean(values))))
    every = [value for line in series.values() for _, value in line] or [0.0, 1.0]
    step = _step((max(every) - min(every)) / 4 or 0.1)
    low, high = math.floor(min(every) / step) * step, math.ceil(max(every) / step + 1e-9) * step
    last = max(numbers[-1], numbers[0] + 1)

    def x(number: float) -> float:
        return round(_LEFT + (number - numbers[0]) / (last - numbers[0]) * (_WIDTH - _LEFT - _EDGE), 1)

    def y(value: float) -> float:
        return round(_HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _BOTTOM - _EDGE), 1)

    lines = [
        Line(name, " ".join(f"{x(n)},{y(v)}" for n, v in line), f"{line[-1][1]:.3f}") for name, line in series.items()
    ]
    ticks = [low + i * step for i in range(round((high - low) / step) + 1)]
    told = "; ".join(f"{name} from {line[0][1]:.3f} to {line[-1][1]:.3f}" for name, line in series.items())
    return Plot(
        tuple(lines),
        tuple((x(n), str(n)) for n in numbers[:: max(1, len(numbers) // 7)]),
        tuple((y(value), f"{value:g}" if step >= 0.1 else f"{value:.2f}") for value in ticks),
        f"Nats a note by epoch: {told}",
    )


def scatter(judged: Mapping[str, Any], candidate: str = NAME) -> Scatter | None:
    """The candidate's share of right sixteenths of each piece over the best simple reference's; None without one."""
    other = judged["best_simple"]
    if other is None or candidate not in judged["by_piece"]:
        return None
    ours, theirs = judged["by_piece"][candidate], judged["by_piece"][other]
    most = max(0.2, math.ceil(10 * max([*ours, *theirs])) / 10)

    def at(value: float) -> float:
        return float(round(value / most * (_SIDE - _LEFT - _EDGE), 1))

    dots = [
        (_LEFT + at(x), _SIDE - _LEFT - at(y), bool(apart), f"Piece {number}: {y:.3f}, {x:.3f} by the other")
        for number, apart, y, x in zip(judged["numbers"], judged["apart"], ours, theirs, strict=True)
    ]
    ticks = tuple((at(value / 10), f".{value}" if value < 10 else "1") for value in range(0, round(10 * most) + 1, 2))
    better = sum(y > x for y, x in zip(ours, theirs, strict=True))
    return Scatter(tuple(dots), ticks, other, better)


def best_and_worst(evaluation: Evaluation, candidate: str = NAME) -> list[Roll]:
    """The pieces with the largest and the smallest share of right sixteenths, as the candidate made them."""
    if candidate not in evaluation.made or not evaluation.pieces:
        return []
    shares = evaluation.judged[candidate].by_piece("frames")
    found = []
    for which, at in (("best", int(np.nanargmax(shares))), ("worst", int(np.nanargmin(shares)))):
        piece, made = evaluation.pieces[at], evaluation.made[candidate][at]
        rows = _rows(piece.frames, made)
        found.append(Roll(which, piece.number, float(shares[at]), bool(evaluation.apart[at]), rows))
    return found


def _rows(truth: NDArray[np.int64], made: NDArray[np.int64]) -> tuple[Row, ...]:
    both = np.concatenate([truth, made])
    high, low = int(both.max()) + 1, int(both[both >= 0].min()) - 1
    rows = []
    for start in range(0, len(made), _ROLL):
        ours, his = made[start : start + _ROLL], truth[start : start + _ROLL]
        right = ours == his
        bars = [bar for voice in (3, 2, 1, 0) for bar in _bars(ours[:, voice], right[:, voice], voice, high)]
        missed = np.where(right, -1, his)
        outlines = [bar for voice in (1, 2, 3) for bar in _bars(missed[:, voice], right[:, voice], voice, high)]
        beats = tuple(float(frame * _FRAME) for frame in range(0, len(ours) + 1, 4))
        height = (high - low + 1) * _SEMITONE
        rows.append(Row(_ROLL * _FRAME, height, tuple(bars), tuple(outlines), beats))
    return tuple(rows)


def _bars(pitches: NDArray[np.int64], right: NDArray[np.bool_], voice: int, high: int) -> list[Bar]:
    cuts = np.flatnonzero((np.diff(pitches) != 0) | (np.diff(right.astype(np.int8)) != 0)) + 1
    found = []
    for part in np.split(np.arange(len(pitches)), cuts):
        pitch = int(pitches[part[0]])
        if pitch >= 0:
            place = (float(part[0] * _FRAME), float((high - pitch) * _SEMITONE), float(len(part) * _FRAME - 1))
            found.append(Bar(*place, VOICES[voice], bool(right[part[0]])))
    return found


def _step(least: float) -> float:
    """1, 2 or 5 times a power of ten, not below."""
    size = math.pow(10.0, math.floor(math.log10(least)))
    return next(size * factor for factor in (1.0, 2.0, 5.0, 10.0) if size * factor >= least - 1e-12)
