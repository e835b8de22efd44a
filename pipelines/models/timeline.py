"""Figures of models over time, for charts: how each version behaved while it served, and how good each was when it was
made. What they are now is overview.py's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from pipelines.models import figures
from pipelines.models.figures import Better, Figure
from pipelines.storage import metrics as metrics_table
from pipelines.storage.tables import ModelMetrics, ModelVersion

SHOWN = 12  # versions; a chart of more is a thicket


@dataclass(frozen=True, slots=True)
class Made:
    """One version's figure, at the moment when it was registered."""

    at: datetime
    version: str
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """One measure of one target over the versions, oldest first."""

    measure: str
    target: str
    unit: str
    better: Better
    points: tuple[Made, ...]


def behaviour(
    session: Session, rows: Sequence[ModelVersion], window: str, since: datetime
) -> list[tuple[ModelVersion, list[ModelMetrics]]]:
    """The newest ``SHOWN`` of these versions that were measured since then, newest first, each with its figures of that
    window (``1d``, ``7d`` or ``30d``), oldest first."""
    known = metrics_table.history(session, [row.id for row in rows], window, since)
    return [(row, known[row.id]) for row in rows if row.id in known][:SHOWN]


def headline(rows: Sequence[ModelVersion]) -> Series:
    """By the measure that the newest of these versions (newest first) is compared by; others are left out."""
    points = [(row, figures.headline(row.metrics)) for row in reversed(rows)]
    last = points[-1][1]
    return _series(last, [(row, one) for row, one in points if one.measure == last.measure])


def quality(rows: Sequence[ModelVersion]) -> list[Series]:
    """Every measure of the newest of these versions (newest first), over all of them that have it."""
    if not rows:
        return []
    found: Mapping[int, Mapping[tuple[str, str], Figure]] = {
        row.id: {(one.measure, one.target): one for one in figures.every(row.metrics)} for row in rows
    }
    series = []
    for key, last in found[rows[0].id].items():
        series.append(_series(last, [(row, found[row.id][key]) for row in reversed(rows) if key in found[row.id]]))
    return series


def _series(last: Figure, points: Sequence[tuple[ModelVersion, Figure]]) -> Series:
    made = tuple(Made(row.created_at, row.version, one.value) for row, one in points)
    return Series(last.measure, last.target, last.unit, last.better, made)
