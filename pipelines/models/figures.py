"""How good a version was when it was made, measure by measure, whatever kind of model it is: MAE and R2 of a regressor,
macro-F1 of a classifier, NDCG@20 of a recommender, frame accuracy of a harmonizer.

What the metrics hold is each learner's; how a version behaves while it serves is overview.py's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.models import candidates

Better = Literal["higher", "lower"]

# Of models that are compared by figures of their own, as they are called where they are read.
_CALLED = {"frames": "frame accuracy", "onsets": "onset accuracy", "beat chords": "beat chord accuracy"}


@dataclass(frozen=True, slots=True)
class Figure:
    """``target``: what it is about, empty for the whole; ``baseline``: what knows nothing, or a simple rule, reaches.
    Over held-out rows."""

    measure: str
    value: float
    target: str = ""
    baseline: float | None = None
    unit: str = ""
    better: Better = "higher"


def headline(metrics: Mapping[str, Any]) -> Figure:
    """The one figure that versions are compared by, with its baseline where one is known."""
    measure = _called(candidates.measure(dict(metrics)))
    value = candidates.headline(dict(metrics))
    same = (one for one in every(metrics) if one.measure == measure and not one.target)
    return next(same, Figure(measure, value))


def every(metrics: Mapping[str, Any]) -> tuple[Figure, ...]:
    """All that is known of a version, the whole before its parts; figures that are no numbers are left out."""
    return tuple(one for one in _every(metrics) if math.isfinite(one.value))


def _every(metrics: Mapping[str, Any]) -> Iterator[Figure]:
    for name, both in metrics.get("compared", {}).items():
        if both["model"] is not None:
            yield Figure(_called(name), float(both["model"]), baseline=both["baseline"])
    if "f1_macro" in metrics:
        simple = metrics.get("baseline", {}).get("majority", {})
        for key, name, better in _OF_CLASSES:
            if (value := metrics.get(key, {}).get("all")) is not None:
                yield Figure(name, float(value), "", simple.get(key, {}).get("all"), "", better)
    targets = metrics.get("targets", {})
    scores = [t["r2"]["all"] for t in targets.values() if t["r2"]["all"] is not None]
    if scores:
        yield Figure("R2", float(sum(scores) / len(scores)), baseline=0.0)
    for target, figures in targets.items():
        if (value := figures["mae"]["all"]) is not None:
            simple_errors = [b["mae"]["all"] for b in figures["baseline"].values() if b["mae"]["all"] is not None]
            baseline = min(simple_errors, default=None)
            yield Figure("MAE", float(value), target, baseline, str(figures.get("unit", "")), "lower")
    yield from _judged(metrics.get("judged", {}))


_OF_CLASSES: tuple[tuple[str, str, Better], ...] = (
    ("f1_macro", "macro-F1", "higher"),
    ("accuracy", "accuracy", "higher"),
    ("log_loss", "log loss", "lower"),
)


def _judged(judged: Mapping[str, Any]) -> Iterator[Figure]:
    """Of a model that learned on: held against the live version, which stands as its baseline."""
    ours, theirs = judged.get("incremental", {}), judged.get("live", {})
    for key, name, better in _OF_CLASSES:
        if ours.get(key) is not None:
            yield Figure(name, float(ours[key]), "", theirs.get(key), "", better)
    scores = [score for score in ours.get("r2", {}).values() if score is not None]
    if scores:
        yield Figure("R2", float(sum(scores) / len(scores)))
    for target, value in ours.get("mae", {}).items():
        yield Figure("MAE", float(value), target, theirs.get("mae", {}).get(target), "", "lower")


def _called(name: str) -> str:
    return _CALLED.get(name, name)
