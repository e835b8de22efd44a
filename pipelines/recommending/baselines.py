"""The simple scorers that every model is held against: their names, their settings, and how these are chosen.

Their quick settings were chosen on ML-100K's validation splits; ``tuned`` chooses on one's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from pipelines.errors import BadInput
from pipelines.recommending import splits
from pipelines.recommending.evaluation import warm_means
from pipelines.recommending.factorisation import ials
from pipelines.recommending.linear_models import decayed_ridge, ease
from pipelines.recommending.neighbours import item_knn
from pipelines.recommending.popularity import Scorer, popularity, recent_popularity
from pipelines.recommending.splits import Split

Settings = Mapping[str, Any]  # keyword arguments of a baseline's function


@dataclass(frozen=True, slots=True)
class Baseline:
    """A simple scorer: how it is fitted, its settings without tuning, and those that are tried (the product of all)."""

    fit: Callable[..., Scorer]
    quick: Settings = field(default_factory=dict)
    quick_by_split: Mapping[str, Settings] = field(default_factory=dict)
    tried: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def grid(self) -> list[Settings]:
        return [dict(zip(self.tried, values, strict=True)) for values in product(*self.tried.values())]

    def settings(self, split_name: str) -> Settings:
        return {**self.quick, **self.quick_by_split.get(split_name, {})}


BASELINES: Mapping[str, Baseline] = {
    "popularity": Baseline(popularity),
    "recent_popularity": Baseline(
        recent_popularity,
        # What is asked now is best told by the last days; a list for a moment of long ago by the weeks before it.
        quick={"half_life_days": 3.0, "as_of": "now"},
        quick_by_split={"leave_last_out": {"half_life_days": 14.0, "as_of": "viewer"}},
        tried={"half_life_days": (1.0, 2.0, 3.0, 7.0, 14.0, 30.0, 90.0, 365.0, 3650.0), "as_of": ("now", "viewer")},
    ),
    "item_knn": Baseline(
        item_knn,
        quick={"neighbours": 20, "shrink": 0.0},
        quick_by_split={"global_time": {"neighbours": 100, "shrink": 50.0}},
        tried={"neighbours": (20, 50, 100, 300), "shrink": (0.0, 10.0, 50.0)},
    ),
    "ease": Baseline(
        ease, quick={"regularisation": 50.0}, tried={"regularisation": (50.0, 100.0, 200.0, 400.0, 800.0)}
    ),
    "ials": Baseline(
        ials,
        quick={"factors": 32, "unobserved": 0.3, "regularisation": 0.01},
        quick_by_split={"leave_last_out": {"factors": 64}},
        tried={"factors": (32, 64), "unobserved": (0.1, 0.3, 1.0), "regularisation": (0.003, 0.01)},
    ),
    "decayed_ridge": Baseline(
        decayed_ridge,
        quick={"tau": 10.0, "regularisation": 1000.0},
        quick_by_split={"global_time": {"regularisation": 100.0}},
        tried={"tau": (3.0, 5.0, 10.0), "regularisation": (100.0, 300.0, 1000.0)},
    ),
}


@dataclass(frozen=True, slots=True)
class Fitted:
    """The baselines of one split, ready to score; how long each took to fit, and the settings it was fitted with."""

    scorers: Mapping[str, Scorer]
    seconds: Mapping[str, float]
    settings: Mapping[str, Settings]


def weekly(split: Split) -> Fitted:
    """Every baseline with its quick settings, but recent popularity's half-life chosen on the split's validation: the
    gate rests on it, how fast a catalogue ages differs by a factor of a thousand, and it takes a second."""
    name = "recent_popularity"
    try:
        earlier = splits.validation(split)
    except BadInput:  # too little history to choose by
        return fitted(split)
    return fitted(split, {name: tuned(name, earlier)})


def fitted(split: Split, settings: Mapping[str, Settings] | None = None) -> Fitted:
    """Every baseline on ``split.train``, with ``settings`` by name where given, else the quick ones of that split."""
    scorers, seconds, used = {}, {}, {}
    for name, baseline in BASELINES.items():
        chosen = (settings or {}).get(name, baseline.settings(split.name))
        start = time.perf_counter()
        scorers[name] = baseline.fit(split.train, **chosen)
        seconds[name], used[name] = time.perf_counter() - start, chosen
    return Fitted(scorers, seconds, used)


def tuned(name: str, validation: Split, grid: Sequence[Settings] | None = None, *, k: int = 20) -> Settings:
    """The settings with the best product of recall and NDCG at k, since both are judged, on a split that lies before
    what they will be judged on (splits.validation); the quick ones when nothing hits there."""
    baseline = BASELINES[name]
    best, found = 0.0, baseline.settings(validation.name)
    for settings in baseline.grid() if grid is None else grid:
        recall, ndcg = warm_means(validation, baseline.fit(validation.train, **settings), k=k)
        if recall * ndcg > best:
            best, found = recall * ndcg, settings
    return found
