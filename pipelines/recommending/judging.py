"""The candidate held against the simple scorers and the live version, on what it did not learn from; the report of it.

Figures are evaluation.py's, the bars baselines.py's, what follows gates.py's. Judged once, it is read again.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.models import judgements
from pipelines.models.judgements import Judgement, KeyOf, Summary
from pipelines.recommending import baselines, candidates, evaluation, gates, prior, report, report_pictures, versions
from pipelines.recommending.dataset import NAME, Dataset
from pipelines.recommending.popularity import Scorer
from pipelines.recommending.splits import Split
from pipelines.recommending.two_tower import TwoTower
from pipelines.storage.tables import ModelVersion, TrainingSnapshot
from pipelines.studio import Studio

SPLITS = ("leave_last_out", "global_time")
log = logging.getLogger(__name__)


def judge(studio: Studio) -> Judgement:
    """Of the present candidate; from what was stored where it was judged before, against the same live version."""
    snapshot = candidates.chosen(studio)
    live = live_version(studio, snapshot)
    found = judgements.stored(studio, _key(studio, snapshot))
    if found is not None and found.live == (None if live is None else live.version):
        return found
    data = candidates.load(studio, snapshot)
    evaluations: dict[str, Any] = {}
    curves: dict[str, Any] = {}
    bars: dict[str, str] = {}
    examples: list[report.Example] = []
    for name in SPLITS:
        try:
            split = candidates.split_of(data, name)
        except BadInput as error:
            log.warning("not judged by %s: %s", name, error)
            continue
        part = candidates.trained(studio, name)
        fitted = baselines.weekly(split)
        bars[name] = "; ".join(f"{bar}: {_settings(settings)}" for bar, settings in fitted.settings.items() if settings)
        scorers = {**fitted.scorers, NAME: scorer(part.model, split, data)}
        if live is not None and _knew_nothing(live, split):
            scorers[gates.LIVE] = scorer(versions.towers(studio, live), split, data)
        judged = evaluation.evaluate(split, scorers)
        evaluations[name], curves[name] = judged.to_json(), part.facts["curves"]
        if name == SPLITS[0]:
            examples = report.examples(split, judged, data.items)
    before = None if live is None else live.metrics.get("evaluations")
    problems = tuple(gates.problems(evaluations, before))
    facts = {
        "held against": None if live is None else live.version,
        "learned from": snapshot.provenance,
        "doubts": gates.doubts(evaluations),
        "bars": bars,
    }
    return judgements.keep(
        studio,
        snapshot,
        _key(studio, snapshot),
        evaluations=evaluations,
        problems=problems,
        live=live,
        page=report.html(evaluations, curves=curves, problems=problems, examples=examples, facts=facts),
        pictures={"comparison": report_pictures.comparison(evaluations)},
    )


def judged(studio: Studio) -> Judgement:
    """As ``judge``, but BadInput when that is still to be done, or was done against a version that is not live now."""
    snapshot = candidates.chosen(studio)
    found = judgements.stored(studio, _key(studio, snapshot))
    if found is None:
        raise BadInput(f"model {NAME}", "has not been judged", "materialize recommendation_report")
    live = live_version(studio, snapshot)
    if live is not None and live.snapshot_id != snapshot.id and found.live != live.version:
        reason = f"was held against {found.live or 'no version'}, and {live.version} is live by now"
        raise BadInput(f"model {NAME}", reason, "materialize recommendation_report again")
    return found


def live_version(studio: Studio, snapshot: TrainingSnapshot) -> ModelVersion | None:
    """What serves everybody, or did before this very candidate."""
    return judgements.live_before(studio, NAME, lambda live: live.snapshot_id == snapshot.id)


def figures(found: Judgement) -> Summary:
    """One stable key a figure, and a table of all scorers a split."""
    told: Summary = {}
    for split, judged in found.evaluations.items():
        own = judged["scorers"][NAME]
        known = {"recall_at_20": own["recall"]["mean"], "ndcg_at_20": own["ndcg"]["mean"]}
        known |= {"coverage": own["coverage"], "novelty_bits": own["novelty_bits"]}
        told |= {f"{split}_{name}": value for name, value in known.items() if value is not None}
        told |= {f"{split}_viewers": judged["n_warm_users"], f"{split}_cold_viewers": judged["n_cold_users"]}
        told[split] = _table(judged)
    return told


def metrics(found: Judgement) -> dict[str, Any]:
    """What the registry keeps of it: read by the next judgement, by `orimono models` and in the trail."""
    last = found.evaluations["leave_last_out"]
    own, best = last["scorers"][NAME], last["scorers"].get(last["best_simple"])
    compared = {
        f"{name}@{last['k']}": {"model": own[key]["mean"], "baseline": best[key]["mean"] if best else None}
        for key, name in (("recall", "Recall"), ("ndcg", "NDCG"))
    }
    headline = {"measure": f"NDCG@{last['k']}", "value": own["ndcg"]["mean"]}
    return {"evaluations": found.evaluations, "compared": compared, "headline": headline}


def scorer(model: TwoTower, split: Split, data: Dataset) -> Scorer:
    """The model over the whole catalogue as it was at the split: one dot product a viewer and item. On a split by time
    it is told when it is asked, as in service; by last choice everybody goes on at once."""
    train = split.train
    wanted = train.take(train.wanted)
    counts = np.bincount(wanted.items, minlength=train.n_items)
    recent = prior.prior_of(wanted.items, wanted.times, train.n_items, bins=1, days=model.recipe.prior_days).now
    table = model.item_vectors(model.item_inputs(candidates.judged_items(data), counts, prior.in_steps(recent)))
    lengths = np.bincount(split.train.users, minlength=split.train.n_users).astype(np.int32)

    def score(users: NDArray[np.int32]) -> NDArray[np.float32]:
        inputs = model.user_inputs(split.train, users, lengths[users], asked=split.at)
        return np.asarray(model.user_vectors(inputs) @ table.T, np.float32)

    return score


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items())


def _knew_nothing(live: ModelVersion, split: Split) -> bool:
    """Whether all that the version learned from was over when the held-out days began."""
    newest = live.provenance.get("newest_event")
    return split.at is not None and newest is not None and newest < split.at


def _key(studio: Studio, snapshot: TrainingSnapshot) -> KeyOf:
    return functools.partial(candidates.key, studio, snapshot, "judged")


def _table(judged: Mapping[str, Any]) -> str:
    """Markdown: every scorer, the best first."""
    k = judged["k"]
    lines = [f"| scorer | Recall@{k} | NDCG@{k} | 95 % | coverage |", "|---|---|---|---|---|"]
    ranked = sorted(judged["scorers"].items(), key=lambda named: -(named[1]["ndcg"]["mean"] or 0.0))
    for name, one in ranked:
        ndcg = one["ndcg"]
        between = "" if ndcg["low"] is None else f"{ndcg['low']:.3f} to {ndcg['high']:.3f}"
        cells = [_shown(one["recall"]["mean"]), _shown(ndcg["mean"]), between, _shown(one["coverage"])]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
