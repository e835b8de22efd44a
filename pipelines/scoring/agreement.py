"""How far a sheet's scores agree with people's: rows that carry both, beside what one score for all would reach.

People's scores stand in columns of their own, ``human_joy`` beside ``joy``. How a sheet is read is opening.py's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from pipelines.scoring.labelled import score_in
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.sheet import Sheet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipelines.settings import Settings

PEOPLE = "human_"  # before a category's name: the column with people's scores
RESAMPLES = 400
MOST = 200_000  # rows compared; more make the intervals no narrower than anybody could care for

Scores = Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval, from resampled rows."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, slots=True)
class CategoryAgreement:
    """``f1``: of the rows above the middle of the scale. Baselines: the best that one score for every row reaches,
    which is the commonest score for ``accuracy``, and the highest for ``f1``."""

    category: str
    rows: int
    present: int  # rows that people scored above the middle
    accuracy: Estimate  # share of rows with the very score
    baseline_accuracy: float
    f1: Estimate
    baseline_f1: float
    spearman: Estimate | None  # None where either gave every row the same score
    kappa: Estimate | None  # quadratic weighted (Cohen, 1968)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Means over the categories, and each of them."""

    rows: int  # with people's score in at least one category
    accuracy: Estimate
    baseline_accuracy: float
    macro_f1: Estimate
    baseline_macro_f1: float
    categories: tuple[CategoryAgreement, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def table(self) -> str:
        """Markdown, a line a category."""
        lines = [
            "| category | rows | people see it | accuracy | commonest score | F1 | highest score | Spearman | kappa |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for c in self.categories:
            name = c.category.replace("|", "\\|")
            lines.append(
                f"| {name} | {c.rows} | {c.present} | {c.accuracy} | {c.baseline_accuracy:.2f} | {c.f1} "
                f"| {c.baseline_f1:.2f} | {c.spearman or ''} | {c.kappa or ''} |"
            )
        lines.append(
            f"| mean | {self.rows} | | {self.accuracy} | {self.baseline_accuracy:.2f} | {self.macro_f1} "
            f"| {self.baseline_macro_f1:.2f} | | |"
        )
        return "\n".join(lines)


def with_people(rubric: Rubric) -> Rubric:
    """What a scored sheet is to be opened with, for ``of_sheet``: its categories, then the columns of people."""
    return replace(rubric, categories=(*rubric.categories, *(PEOPLE + name for name in rubric.categories)))


def of_place(place: str, rubric: Rubric, settings: Settings, column: str) -> Agreement | None:
    """Of the scored sheet at ``place``, which is only read. None where no row has both kinds of scores.

    BadInput when it is no sheet, or lacks ``column``.
    """
    from pipelines.scoring import opening

    with contextlib.closing(opening.opened(place, with_people(rubric), settings, column=column)) as sheet:
        return of_sheet(sheet, rubric)


def of_sheet(sheet: Sheet, rubric: Rubric) -> Agreement | None:
    """Of a scored sheet that was opened with ``with_people(rubric)``; None where no row has both kinds of scores."""
    n, pairs = len(rubric.categories), []
    for span in sheet.spans():
        for row in sheet.rows(span):
            scores = [score_in(cell, rubric) for cell in row.given]
            if row.text and any(score is not None for score in scores[n:]):
                pairs.append((scores[:n], scores[n:]))
        if len(pairs) >= MOST:
            break
    return measured(pairs, rubric)


def measured(pairs: Iterable[tuple[Scores, Scores]], rubric: Rubric) -> Agreement | None:
    """Of (scores, people's scores) a row, each in the rubric's order and within its scale, None where there is none.

    A category without a row that has both is left out; None when that is all of them. The same rows always give the
    same intervals.
    """
    import numpy as np

    size = rubric.highest - rubric.lowest + 1
    codes = np.array([_codes(ours, people, rubric.lowest, size) for ours, people in pairs], np.int64)
    if not len(codes):
        return None
    kept = np.asarray((codes >= 0).any(axis=0))
    names = [name for name, any_row in zip(rubric.categories, kept.tolist(), strict=True) if any_row]
    codes = codes[:, kept][(codes >= 0).any(axis=1)]
    if not names or not len(codes):
        return None
    # Rows that are scored alike are interchangeable: resampling their counts is resampling the rows.
    patterns, counts = np.unique(codes, axis=0, return_counts=True)
    middle = rubric.middle - rubric.lowest
    value = _figures(patterns, counts, size, middle)
    rng = np.random.default_rng(0)
    drawn = np.stack(
        [_figures(patterns, rng.multinomial(len(codes), counts / len(codes)), size, middle) for _ in range(RESAMPLES)]
    )
    found = tuple(
        _category(name, _table(patterns[:, c], counts, size), middle, value[c], drawn[:, c])
        for c, name in enumerate(names)
    )
    return Agreement(
        len(codes),
        _mean(value[:, 0], drawn[:, :, 0]),
        sum(c.baseline_accuracy for c in found) / len(found),
        _mean(value[:, 1], drawn[:, :, 1]),
        sum(c.baseline_f1 for c in found) / len(found),
        found,
    )


def _codes(ours: Scores, people: Scores, lowest: int, size: int) -> list[int]:
    """A number for each pair of scores, -1 where one is missing."""
    return [
        -1 if a is None or b is None else (b - lowest) * size + (a - lowest) for a, b in zip(ours, people, strict=True)
    ]


def _table(codes: NDArray[np.int64], counts: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """[size, size] of counts: people's score, then ours."""
    import numpy as np

    there = codes >= 0
    weights = counts[there].astype(np.float64)
    return np.bincount(codes[there], weights, size * size).reshape(size, size).astype(np.float64)


def _figures(patterns: NDArray[np.int64], counts: NDArray[np.int64], size: int, middle: int) -> NDArray[np.float64]:
    """[n_categories, 4]: accuracy, F1, Spearman, kappa; NaN where one is not defined."""
    import numpy as np

    return np.array([_of_table(_table(patterns[:, c], counts, size), middle) for c in range(patterns.shape[1])])


def _of_table(table: NDArray[np.float64], middle: int) -> tuple[float, float, float, float]:
    import numpy as np

    n = table.sum()
    if n == 0:
        return np.nan, np.nan, np.nan, np.nan
    people, ours = table.sum(axis=1), table.sum(axis=0)
    both = table[middle + 1 :, middle + 1 :].sum()
    named = people[middle + 1 :].sum() + ours[middle + 1 :].sum()
    at = np.arange(len(table), dtype=np.float64)
    apart = (at[:, None] - at) ** 2
    by_chance = (np.outer(people, ours) * apart).sum() / n
    # Nothing to find and nothing named is no agreement worth a 1: people's rows above the middle are what F1 is of.
    f1 = 2 * both / named if named else np.nan
    kappa = 1 - (table * apart).sum() / by_chance if by_chance else np.nan
    return float(np.trace(table) / n), float(f1), _spearman(table, people, ours), float(kappa)


def _spearman(table: NDArray[np.float64], people: NDArray[np.float64], ours: NDArray[np.float64]) -> float:
    """Pearson's correlation of the ranks, equal scores sharing the mean of theirs."""
    import numpy as np

    n = table.sum()
    x = np.cumsum(people) - people / 2 - n / 2
    y = np.cumsum(ours) - ours / 2 - n / 2
    spread = float((people * x**2).sum() * (ours * y**2).sum())
    return float((table * np.outer(x, y)).sum() / spread**0.5) if spread > 0 else float("nan")


def _category(
    name: str, table: NDArray[np.float64], middle: int, value: NDArray[np.float64], drawn: NDArray[np.float64]
) -> CategoryAgreement:
    people = table.sum(axis=1)
    n, present = float(table.sum()), float(people[middle + 1 :].sum())
    accuracy, f1, spearman, kappa = (_estimate(float(value[k]), drawn[:, k]) for k in range(4))
    nothing = Estimate(0.0, 0.0, 0.0)
    return CategoryAgreement(
        name, int(n), int(present), accuracy or nothing, float(people.max()) / n, f1 or nothing,
        2 * present / (n + present), spearman, kappa,
    )  # fmt: skip


def _estimate(value: float, drawn: NDArray[np.float64]) -> Estimate | None:
    import numpy as np

    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value):
        return None
    if not len(drawn):
        return Estimate(value, value, value)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def _mean(value: NDArray[np.float64], drawn: NDArray[np.float64]) -> Estimate:
    import numpy as np

    found = _estimate(float(np.nan_to_num(value).mean()), np.nan_to_num(drawn).mean(axis=1))
    assert found is not None
    return found
