"""How metres fall into bars and beats: simple, compound and odd ones, changes of metre.

Incomplete first bars are found by pickups.py; what is inside a beat is grid.py's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import pickups
from pipelines.composing.piece import Metre, Note, Piece
from pipelines.errors import BadInput

MOST_BEATS = 10_240  # nearly two hours at 90 a minute; a few bytes can say more, and every beat costs milliseconds
MOST_METRES = 4_000  # changes of metre
MOST_COUNTED = 15  # eighths in a bar whose long beat is looked for
FASTEST_QUARTERS = 140  # a minute; beyond it alla breve is counted in halves
NEAR = 0.2  # of the notes that the metre counts: a hand plays no closer


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
    """The beats from tick 0 to the one in which ``notes`` end (or the piece, without notes).

    Raises BadInput beyond MOST_BEATS beats and MOST_METRES changes of metre.
    """
    if len(piece.metres) > MOST_METRES:
        reason = f"changes its metre {len(piece.metres) - 1} times, more than {MOST_METRES}"
        raise BadInput(piece.name, reason, "export it with the metres that its bars have")
    end = max((note.end for note in notes), default=piece.length)
    counted: dict[tuple[int, int], Pattern] = {}

    def pattern_of(metre: Metre) -> Pattern:
        kind = metre.numerator, metre.denominator
        if kind not in counted:
            ways = patterns(metre, piece, notes)
            counted[kind] = ways[0] if len(ways) == 1 else _chosen(ways, metre, piece, sung())
        return counted[kind]

    @cache
    def sung() -> Sung:
        return Sung.of(piece, notes)

    rows: list[tuple[int, int, int, bool]] = []  # tick, level, bar, in thirds
    bar = 0
    position, metres = Fraction(0), piece.metres
    lead, metres = pickups.written(piece) or (0, metres)
    if not lead and len(metres) == 1:
        pattern = pattern_of(metres[0])
        lead = pickups.heard(notes, pattern.sizes, _unit(piece, metres[0]))
    if lead:
        bar = 1
        rows = _backwards(pattern_of(metres[0]), _unit(piece, metres[0]), lead)
        position = Fraction(lead)
    for number, metre in enumerate(metres):
        until = metres[number + 1].tick if number + 1 < len(metres) else end
        stop = min(end, until)
        unit, pattern = _unit(piece, metre), pattern_of(metre)
        position = max(position, Fraction(metre.tick))
        while position < stop:
            bar += 1
            for size, level in zip(pattern.sizes, pattern.levels, strict=True):
                if position >= stop:
                    break
                rows.append((round(position), level, bar, size == 3))
                position += size * unit
            if len(rows) > MOST_BEATS:
                raise BadInput(piece.name, f"has more than {MOST_BEATS} beats up to its melody's end", "cut it")
        if number + 1 < len(metres):
            position = min(position, Fraction(until))
        if position >= end:
            break
    end_tick = round(position) if rows else 0
    following = [row[0] for row in rows[1:]] + [end_tick]
    # At few ticks a quarter several beats can fall on one tick: the last of them stays.
    real = [row for row, after in zip(rows, following, strict=False) if after > row[0]]
    return Beats(
        np.array([*(row[0] for row in real), end_tick], dtype=np.int64),
        np.array([row[1] for row in real], dtype=np.int8),
        np.array([row[2] for row in real], dtype=np.int64),
        np.array([row[3] for row in real], dtype=np.bool_),
    )


def _unit(piece: Piece, metre: Metre) -> Fraction:
    """Ticks of one of the notes that a metre counts."""
    return Fraction(piece.ticks_per_quarter * 4, metre.denominator)


def _backwards(pattern: Pattern, unit: Fraction, lead: int) -> list[tuple[int, int, int, bool]]:
    """The beats of an incomplete first bar that ends after ``lead`` ticks: the last ones of a whole bar."""
    rows = []
    position = Fraction(lead)
    for size, level in zip(reversed(pattern.sizes), reversed(pattern.levels), strict=True):
        position -= size * unit
        rows.append((max(round(position), 0), level if level < 3 else 1, 1, size == 3))
        if position <= 0:
            break
    return rows[::-1]


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
    if count > MOST_COUNTED:
        places = places[:1]
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
    place = bisect_right(piece.tempos, metre.tick, key=lambda tempo: tempo.tick)
    tempo = piece.tempos[max(0, place - 1)]
    if 60e6 / tempo.quarter_us > FASTEST_QUARTERS:
        return True
    starts = np.array([note.start for note in notes])
    return len(starts) > 1 and float(np.median(np.diff(starts))) >= 2 * piece.ticks_per_quarter


@dataclass(frozen=True, slots=True, eq=False)
class Sung:
    """Of each note of the melody: ticks from the beginning of its metre, that metre as (numerator, denominator), and
    the weight of its length."""

    since: NDArray[np.int64]  # [n]
    kinds: NDArray[np.int64]  # [n, 2]
    weights: NDArray[np.float64]  # [n]

    @classmethod
    def of(cls, piece: Piece, notes: Sequence[Note]) -> Sung:
        onsets = np.array([note.start for note in notes], dtype=np.int64)
        metres = np.array([(each.tick, each.numerator, each.denominator) for each in piece.metres], dtype=np.int64)
        under = np.searchsorted(metres[:, 0], onsets, side="right") - 1
        lengths = np.array([note.duration for note in notes], dtype=np.float64)
        return cls(onsets - metres[under, 0], metres[under, 1:], np.sqrt(lengths))


def _chosen(ways: list[Pattern], metre: Metre, piece: Piece, sung: Sung) -> Pattern:
    """The way whose strong beats the melody's onsets fall on most, by their length, wherever this metre holds."""
    own = (sung.kinds == (metre.numerator, metre.denominator)).all(axis=1)
    places = sung.since[own] / float(_unit(piece, metre)) % float(sum(ways[0].sizes))
    weights = sung.weights[own]

    def agreement(way: Pattern) -> float:
        at = np.cumsum([0.0, *map(float, way.sizes[:-1])])
        strong = at[np.array(way.levels) > 1] if len(set(way.sizes)) == 1 else at
        after = np.searchsorted(strong, places)
        edges = np.concatenate([[-np.inf], strong, [np.inf]])
        near = np.minimum(places - edges[after], edges[after + 1] - places) < NEAR
        return float(weights[near].sum() / len(strong) ** 0.5)

    return max(ways, key=agreement)  # the first of equals


def bars_of(bar: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """First beat and end beat of each bar, of a grid's ``bar``."""
    edges = np.flatnonzero(np.diff(bar)) + 1
    yield from zip([0, *edges.tolist()], [*edges.tolist(), len(bar)], strict=True)
