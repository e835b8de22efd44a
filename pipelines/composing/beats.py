"""How metres fall into bars and beats: simple, compound and odd ones, changes of metre, incomplete first bars.

What is inside a beat is grid.py's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.piece import Metre, Note, Piece

FASTEST_QUARTERS = 140  # a minute; beyond it alla breve is counted in halves


@dataclass(frozen=True, slots=True, eq=False)
class Beats:
    ticks: NDArray[np.int64]  # [n + 1], rising
    level: NDArray[np.int8]  # [n]: 3 a bar's first, 2 its middle, 1 other
    bar: NDArray[np.int64]  # [n], from 1
    ternary: NDArray[np.bool_]  # [n]: divided in three by the metre


@dataclass(frozen=True, slots=True)
class Pattern:
    """A bar's beats, each as many of the metre's units long as ``sizes`` says."""

    sizes: tuple[Fraction, ...]
    levels: tuple[int, ...]


def beats_of(piece: Piece, notes: Sequence[Note]) -> Beats:
    """The beats from tick 0 to the one in which ``notes`` end (or the piece, without notes)."""
    end = max((note.end for note in notes), default=piece.length)
    starts, levels, bars, ternary = [], [], [], []
    position = Fraction(0)
    bar = 0
    for number, metre in enumerate(piece.metres):
        until = piece.metres[number + 1].tick if number + 1 < len(piece.metres) else None
        stop = min(end, until) if until is not None else end
        unit = Fraction(piece.ticks_per_quarter * 4, metre.denominator)
        pattern = _chosen(patterns(metre, piece, notes), metre, unit, until, notes)
        position = Fraction(metre.tick)
        short = number == 0 and _is_pickup(piece)
        levels_of = _pickup_levels(piece, notes) if short else pattern.levels
        while position < stop:
            bar += 1
            for size, level in zip(pattern.sizes, levels_of, strict=False):
                if position >= stop:
                    break
                starts.append(round(position))
                levels.append(level)
                bars.append(bar)
                ternary.append(size == 3)
                position += size * unit
        if until is not None:
            position = Fraction(until)
        if position >= end:
            break
    ticks = np.array([*starts, round(position)], dtype=np.int64)
    real = np.diff(ticks) > 0 if starts else np.zeros(0, np.bool_)
    return Beats(
        np.append(ticks[:-1][real], ticks[-1:]),
        np.array(levels, dtype=np.int8)[real],
        np.array(bars, dtype=np.int64)[real],
        np.array(ternary, dtype=np.bool_)[real],
    )


def patterns(metre: Metre, piece: Piece, notes: Sequence[Note]) -> list[Pattern]:
    """The ways to count a bar of this metre, the usual one first; the melody chooses among several."""
    count = metre.numerator
    if metre.denominator <= 2:
        halves = count * 2 // metre.denominator
        half = Fraction(metre.denominator, 2)  # in units of the metre
        if _counted_in_halves(metre, piece, notes):
            return [Pattern((half,) * halves, _levels(halves))]
        return [Pattern((half / 2,) * (halves * 2), _levels(halves * 2) if halves % 3 else _levels_of([2] * halves))]
    if metre.denominator == 4:
        sums = {5: [[3, 2], [2, 3]], 7: [[2, 2, 3], [3, 2, 2], [2, 3, 2]]}.get(count)
        levels = [_levels_of(groups) for groups in sums] if sums else [_levels(count)]
        return [Pattern((Fraction(1),) * count, each) for each in levels]
    if count % 3 == 0:
        beats = count // 3
        return [Pattern((Fraction(3),) * beats, (3, 2) if beats == 2 else _levels(beats))]
    if count == 8:
        return [_grouped([2, 2, 2, 2]), *(_grouped(groups) for groups in ([3, 3, 2], [3, 2, 3], [2, 3, 3]))]
    if count % 2 == 0:
        return [_grouped([2] * (count // 2))]
    if count == 1:
        return [_grouped([1])]
    pairs = (count - 3) // 2
    places = [*range(pairs, -1, -1)] if count != 5 else [0, 1]
    return [_grouped([2] * place + [3] + [2] * (pairs - place)) for place in places]


def _grouped(sizes: list[int]) -> Pattern:
    return Pattern(tuple(map(Fraction, sizes)), _levels(len(sizes)))


def _levels(beats: int) -> tuple[int, ...]:
    if beats == 6:
        return _levels_of([3, 3])
    if beats % 2 == 0 and beats > 2:
        return _levels_of([2] * (beats // 2))
    return (3, *(1,) * (beats - 1))


def _levels_of(groups: list[int]) -> tuple[int, ...]:
    return (3, *[level for group in groups for level in (2, *(1,) * (group - 1))][1:])


def _counted_in_halves(metre: Metre, piece: Piece, notes: Sequence[Note]) -> bool:
    tempo = [tempo for tempo in piece.tempos if tempo.tick <= metre.tick][-1]
    if 60e6 / tempo.quarter_us > FASTEST_QUARTERS:
        return True
    starts = np.array([note.start for note in notes])
    return len(starts) > 1 and float(np.median(np.diff(starts))) >= 2 * piece.ticks_per_quarter


def _chosen(ways: list[Pattern], metre: Metre, unit: Fraction, until: int | None, notes: Sequence[Note]) -> Pattern:
    """The way whose strong beats the melody's onsets fall on most, by their length."""
    if len(ways) == 1:
        return ways[0]
    bar = float(sum(ways[0].sizes) * unit)
    inside = [note for note in notes if note.start >= metre.tick and (until is None or note.start < until)]
    places = np.array([(note.start - metre.tick) % bar for note in inside]) / float(unit)
    lengths = np.array([note.duration for note in inside], dtype=np.float64)

    def agreement(way: Pattern) -> float:
        at = np.cumsum([0.0, *map(float, way.sizes[:-1])])
        strong = at[np.array(way.levels) > 1] if len(set(way.sizes)) == 1 else at
        near = np.abs(places[:, None] - strong).min(axis=1) < 0.2 if len(places) else np.zeros(0, np.bool_)
        return float(np.sqrt(lengths)[near].sum() / len(strong) ** 0.5)

    return max(ways, key=agreement)  # the first of equals


def _is_pickup(piece: Piece) -> bool:
    """Whether the first metre fills one bar shorter than those after it: how some programs write a pick-up."""
    if len(piece.metres) < 2 or piece.metres[0].tick:
        return False
    first, second = (metre.bar_ticks(piece.ticks_per_quarter) for metre in piece.metres[:2])
    return piece.metres[1].tick <= first < second


def _pickup_levels(piece: Piece, notes: Sequence[Note]) -> tuple[int, ...]:
    return (1,) * piece.metres[0].numerator


def bars_of(bar: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """First beat and end beat of each bar, of a grid's ``bar``."""
    edges = np.flatnonzero(np.diff(bar)) + 1
    yield from zip([0, *edges.tolist()], [*edges.tolist(), len(bar)], strict=True)
