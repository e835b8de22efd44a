"""Rows that people scored already: what a model can learn from, of any kind of sheet."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pipelines.scoring.rubric import Rubric
from pipelines.scoring.sheet import Sheet, Span

MOST = 20_000  # rows; more teach little and cost memory
_WHOLE = re.compile(r"[+-]?\d{1,4}(?:\.0{1,9})?")


def labelled(
    sheet: Sheet, rubric: Rubric, *, spans: Iterable[Span] | None = None, most: int = MOST
) -> list[tuple[str, tuple[int | None, ...]]]:
    """(text, score a category) of the rows with a text and a score in at least one category, in order, one pass.

    A score is a whole number within the rubric's scale; whatever else stands in a cell is None, and rows that we
    scored are left out. ``spans``: of the sheet, where they are known already.
    """
    found: list[tuple[str, tuple[int | None, ...]]] = []
    for span in sheet.spans() if spans is None else spans:
        for row in sheet.rows(span):
            scores = tuple(score_in(cell, rubric) for cell in row.given)
            if row.text and not row.ours and any(score is not None for score in scores):
                found.append((row.text, scores))
                if len(found) >= most:
                    return found
    return found


def score_in(cell: str | None, rubric: Rubric) -> int | None:
    """The score that stands in a cell; None for whatever else does."""
    if cell is None or not _WHOLE.fullmatch(cell):
        return None
    score = int(float(cell))
    return score if rubric.lowest <= score <= rubric.highest else None
