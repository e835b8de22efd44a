"""Judges scorers on a split: every item ranked, seen ones removed, every figure over the same viewers.

It fits nothing and decides nothing: gates.py says what stands against a promotion, report.py draws it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.recommending import metrics
from pipelines.recommending.metrics import Estimate
from pipelines.recommending.popularity import Scorer, counts
from pipelines.recommending.splits import Split

SIMPLE = ("popularity", "recent_popularity", "item_knn", "ease", "ials", "decayed_ridge")
_ELEMENTS = 16_000_000  # scores in memory at once: 64 MB, and a few times that while they are ordered
_NEGATIVES = 100  # sampled beside a viewer's targets for AUC-PR


@dataclass(frozen=True, slots=True)
class Judged:
    """What one scorer did. Estimates are over viewers; ``recall`` and ``ndcg`` over those with a history."""

    recall: Estimate
    ndcg: Estimate
    cold_users: tuple[Estimate, Estimate]  # recall, NDCG of viewers without any history
    cold_items: Estimate  # recall of the targets nobody had chosen before, over viewers with such a target
    coverage: float  # share of the catalogue that is in somebody's list
    novelty: float  # bits: mean self-information of what is shown
    auc_pr: float  # of sampled items; reported because it was promised, and never a gate
    seconds: float  # to score and rank everybody


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All scorers on one split. ``differences[a][b]``: recall and NDCG of a minus those of b, viewer by viewer."""

    split: str
    k: int
    at: int | None
    n_items: int
    n_learned: int  # events
    n_warm: int
    n_cold: int
    n_targets: int
    judged: Mapping[str, Judged]
    differences: Mapping[str, Mapping[str, tuple[Estimate, Estimate]]]
    best_simple: str | None
    lists: Mapping[str, NDArray[np.int32]]  # [m, k] by scorer, in the order of the split's viewers; not in to_json

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; what could not be measured is null."""
        scorers = {
            name: {
                "recall": _json(one.recall),
                "ndcg": _json(one.ndcg),
                "cold_users": {"recall": _json(one.cold_users[0]), "ndcg": _json(one.cold_users[1])},
                "cold_items": {"recall": _json(one.cold_items)},
                "coverage": _number(one.coverage),
                "novelty_bits": _number(one.novelty),
                "auc_pr_sampled": _number(one.auc_pr),
                "seconds": _number(one.seconds),
                "simple": name in SIMPLE,
            }
            for name, one in self.judged.items()
        }
        differences = {
            name: {other: {"recall": _json(r), "ndcg": _json(n)} for other, (r, n) in others.items()}
            for name, others in self.differences.items()
        }
        return {
            "split": self.split,
            "k": self.k,
            "at": self.at,
            "n_items": self.n_items,
            "n_learned": self.n_learned,
            "n_warm_users": self.n_warm,
            "n_cold_users": self.n_cold,
            "n_targets": self.n_targets,
            "best_simple": self.best_simple,
            "scorers": scorers,
            "differences": differences,
        }


def evaluate(
    split: Split,
    scorers: Mapping[str, Scorer],
    *,
    k: int = 20,
    seed: int = 0,
    simple: Collection[str] = SIMPLE,
    most_users: int | None = None,
) -> Evaluation:
    """Judges each scorer on the whole catalogue; viewers come in blocks, so that memory does not grow with them.

    ``simple`` names the bars; every other scorer is a candidate and is compared with all others in pairs.
    ``most_users``: judges by so many, drawn from ``seed`` (items are never drawn). Raises BadInput when a scorer gives
    NaN, infinity or another shape, or is not given at all.
    """
    if not scorers:
        raise BadInput("evaluation", "there is no scorer to judge", "give at least one")
    if most_users is not None and len(split) > most_users:
        drawn = np.random.default_rng(seed).choice(len(split), most_users, replace=False)
        split = split.rows(np.isin(np.arange(len(split)), drawn))
    taken = {name: _taken(split, name, scorer, k, seed) for name, scorer in scorers.items()}
    warm = ~split.cold
    judged = {name: _judged(split, one, seed) for name, one in taken.items()}
    differences = {
        name: {
            other: _pair(metrics.estimates((one.figures - taken[other].figures)[warm], seed=seed))
            for other in taken
            if other != name
        }
        for name, one in taken.items()
        if name not in simple
    }
    bars = [name for name in judged if name in simple]
    return Evaluation(
        split=split.name,
        k=k,
        at=split.at,
        n_items=split.train.n_items,
        n_learned=len(split.train),
        n_warm=int(warm.sum()),
        n_cold=int((~warm).sum()),
        n_targets=len(split.target_items),
        judged=judged,
        differences=differences,
        best_simple=max(bars, key=lambda name: judged[name].ndcg.mean) if bars and warm.any() else None,
        lists={name: one.lists for name, one in taken.items()},
    )


def warm_means(split: Split, scorer: Scorer, *, k: int = 20, seed: int = 0) -> tuple[float, float]:
    """(recall, NDCG) at k over viewers with a history, and nothing else: what settings are chosen by."""
    warm = split.rows(~split.cold)
    if not len(warm):
        return 0.0, 0.0
    figures = np.concatenate(
        [_figures(part, metrics.top(s, k, part.users, seed)) for part, s in _blocks(warm, "", scorer)]
    )
    return float(figures[:, 0].mean()), float(figures[:, 1].mean())


@dataclass(frozen=True, slots=True)
class _Taken:
    figures: NDArray[np.float64]  # [m, 2] recall, NDCG
    cold_items: NDArray[np.float64]  # [m] recall of targets without any event; NaN where there is none
    lists: NDArray[np.int32]  # [m, k]
    auc_pr: float
    seconds: float


def _taken(split: Split, name: str, scorer: Scorer, k: int, seed: int) -> _Taken:
    figures, lists, cold_items, precisions = [], [], [], []
    fresh = counts(split.train) == 0
    seconds = 0.0
    start = time.perf_counter()
    for part, scores in _blocks(split, name, scorer):
        best = metrics.top(scores, k, part.users, seed)
        seconds += time.perf_counter() - start
        lists.append(best)
        figures.append(_figures(part, best))
        cold_items.append(_cold_items(part, best, fresh))
        precisions.append(_precisions(part, scores, seed))
        start = time.perf_counter()
    precision = np.concatenate(precisions)[~split.cold]
    return _Taken(
        np.concatenate(figures),
        np.concatenate(cold_items),
        np.concatenate(lists),
        float(precision.mean()) if len(precision) else float("nan"),
        seconds,
    )


def _blocks(split: Split, name: str, scorer: Scorer) -> Iterator[tuple[Split, metrics.Scores]]:
    """A slice of the viewers at a time, with their scores; what each has seen is at -inf."""
    n_items = split.train.n_items
    offsets = split.train.offsets
    size = max(1, min(1024, _ELEMENTS // max(n_items, 1)))
    rows = np.arange(len(split))
    for start in range(0, len(split), size):
        part = split.rows((rows >= start) & (rows < start + size))
        scores = _checked(name, np.array(scorer(part.users), np.float32), (len(part), n_items))
        lengths = np.diff(offsets)[part.users]
        ends = np.cumsum(lengths)
        events = np.arange(ends[-1]) + np.repeat(offsets[part.users] - (ends - lengths), lengths)
        scores[np.repeat(np.arange(len(part)), lengths), split.train.items[events]] = -np.inf
        yield part, scores


def _checked(name: str, scores: metrics.Scores, shape: tuple[int, int]) -> metrics.Scores:
    if scores.shape != shape:
        reason = f"gave scores of shape {scores.shape}, not {shape} (viewers, items)"
        raise BadInput(f"scorer {name!r}", reason, "give one score for every item of the catalogue")
    if not scores.max(initial=0) < np.inf:  # one pass: NaN is the maximum wherever it is
        bad = np.isnan(scores) | np.isposinf(scores)
        row, item = (int(x) for x in np.argwhere(bad)[0])
        what = "NaN" if np.isnan(scores[row, item]) else "infinite"
        reason = f"{int(bad.sum()):,} of {scores.size:,} scores are NaN or infinite, first item {item} ({what})"
        raise BadInput(f"scorer {name!r}", reason, "look for missing features or a training that diverged")
    return scores


def _figures(part: Split, best: NDArray[np.int32]) -> NDArray[np.float64]:
    hit = metrics.hits(best, part.target_offsets, part.target_items)
    n = np.diff(part.target_offsets)
    return np.column_stack([metrics.recall(hit, n), metrics.ndcg(hit, n)])


def _cold_items(part: Split, best: NDArray[np.int32], fresh: NDArray[np.bool_]) -> NDArray[np.float64]:
    rows = np.repeat(np.arange(len(part)), np.diff(part.target_offsets))
    cold = fresh[part.target_items]
    n = np.bincount(rows[cold], minlength=len(part))
    offsets = np.concatenate([[0], np.cumsum(n)]).astype(np.int64)
    found = metrics.hits(best, offsets, part.target_items[cold]).sum(axis=1)
    return np.where(n > 0, found / np.maximum(n, 1), np.nan)


def _precisions(part: Split, scores: metrics.Scores, seed: int) -> NDArray[np.float64]:
    """float64[n]: average precision of each viewer's targets among `_NEGATIVES` items drawn from the unseen."""
    out = np.empty(len(part))
    for j, user in enumerate(part.users):
        targets = part.targets(j)
        rng = np.random.default_rng((seed, int(user)))
        drawn = np.setdiff1d(rng.integers(0, scores.shape[1], _NEGATIVES), targets)
        drawn = drawn[~np.isneginf(scores[j, drawn])]
        positive = np.arange(len(targets) + len(drawn)) < len(targets)
        out[j] = metrics.average_precision(scores[j, np.concatenate([targets, drawn])], positive, seed + int(user))
    return out


def _judged(split: Split, taken: _Taken, seed: int) -> Judged:
    warm = ~split.cold
    shown = taken.lists[taken.lists >= 0]
    viewers = np.bincount(np.unique(_pairs(split)) % split.train.n_items, minlength=split.train.n_items)
    bits = metrics.self_information(viewers, split.train.n_users)
    with_cold = ~np.isnan(taken.cold_items)
    recall, ndcg = metrics.estimates(taken.figures[warm], seed=seed)
    return Judged(
        recall=recall,
        ndcg=ndcg,
        cold_users=_pair(metrics.estimates(taken.figures[~warm], seed=seed)),
        cold_items=metrics.estimates(taken.cold_items[with_cold, None], seed=seed)[0],
        coverage=len(np.unique(shown)) / max(split.train.n_items, 1),
        novelty=float(bits[shown].mean()) if len(shown) else float("nan"),
        auc_pr=taken.auc_pr,
        seconds=taken.seconds,
    )


def _pairs(split: Split) -> NDArray[np.int64]:
    train = split.train
    return np.asarray(train.users[train.wanted].astype(np.int64) * train.n_items + train.items[train.wanted])


def _pair(found: list[Estimate]) -> tuple[Estimate, Estimate]:
    return found[0], found[1]


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _json(one: Estimate) -> dict[str, float | int | None]:
    figures = {"mean": one.mean, "se": one.se, "low": one.low, "high": one.high}
    return {**{name: _number(value) for name, value in figures.items()}, "n": one.n}
