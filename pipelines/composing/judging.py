"""The candidate harmoniser beside the simpler ones and the live version, and the report of it; judged once, read again.

Figures are evaluation.py's, who stands beside it references.py's, what follows gates.py's.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

from pipelines.composing import (
    candidate_models,
    evaluation,
    evaluation_drawings,
    evaluation_pictures,
    evaluation_report,
    gates,
    harmonizer,
    references,
    serving,
)
from pipelines.composing.corpus import Split
from pipelines.composing.evaluation import LIVE, NAME, ONE_SHOT, Evaluation
from pipelines.errors import BadInput
from pipelines.models import judgements
from pipelines.models.judgements import Judgement, KeyOf, Summary
from pipelines.storage.tables import ModelVersion, TrainingSnapshot
from pipelines.studio import Studio

SPLITS: tuple[Split, ...] = ("valid", "test")
log = logging.getLogger(__name__)


def judge(studio: Studio) -> Judgement:
    """Of the present candidate; from what was stored where it was judged before, against the same live version."""
    snapshot = candidate_models.chosen(studio)
    live = live_version(studio, snapshot)
    found = judgements.stored(studio, _key(studio, snapshot))
    if found is not None and found.live == (None if live is None else live.version):
        return found
    candidate, chorales = candidate_models.trained(studio), candidate_models.load(studio, snapshot)
    model = candidate.harmonizer
    scorers = evaluation.simple(chorales.train)
    scorers |= {ONE_SHOT: references.one_shot(model), NAME: evaluation.of_harmonizer(model)}
    if live is not None:
        try:
            scorers[LIVE] = evaluation.of_harmonizer(serving.of_version(studio, live))
        except BadInput as error:  # its own figures, of when it was judged, stand for it
            log.warning("%s", error)
    judged: dict[str, Evaluation] = {split: evaluation.evaluate(chorales, split, scorers) for split in SPLITS}
    nats: dict[str, float] = {s: round(harmonizer.orderless_nll(model, chorales.split(s)), 4) for s in SPLITS}
    evaluations = {split: one.to_json() | {"orderless_nll": nats[split]} for split, one in judged.items()}
    problems = tuple(gates.problems(evaluations, None if live is None else live.metrics.get("evaluations")))
    facts = {
        "held against": "no live version" if live is None else live.version,
        "learned from": snapshot.provenance,
        "training": {name: value for name, value in candidate.facts.items() if name != "curves"},
        "orderless negative log-likelihood, nats a note": nats,
        "doubts": gates.doubts(evaluations),
    }
    curves = candidate.facts["curves"]
    rolls = evaluation_drawings.best_and_worst(judged[gates.SPLIT])
    return judgements.keep(
        studio,
        snapshot,
        _key(studio, snapshot),
        evaluations=evaluations,
        problems=problems,
        live=live,
        page=evaluation_report.html(evaluations, curves=curves, problems=problems, facts=facts, rolls=rolls),
        pictures={
            "comparison": evaluation_pictures.comparison(evaluations),
            "curves": evaluation_pictures.curves(curves),
        },
    )


def judged(studio: Studio) -> Judgement:
    """As ``judge``, but BadInput when that is still to be done, or was done against a version that is not live now."""
    snapshot = candidate_models.chosen(studio)
    found = judgements.stored(studio, _key(studio, snapshot))
    if found is None:
        raise BadInput(f"model {NAME}", "has not been judged", "materialize harmonizer_report")
    live = live_version(studio, snapshot)
    if live is not None and found.live != live.version:
        reason = f"was held against {found.live or 'no version'}, and {live.version} is live by now"
        raise BadInput(f"model {NAME}", reason, "materialize harmonizer_report again")
    return found


def live_version(studio: Studio, snapshot: TrainingSnapshot) -> ModelVersion | None:
    """What serves everybody, or did before this very candidate: the same chorales, learned by the same code."""
    mine = (snapshot.id, candidate_models.code_version())
    return judgements.live_before(studio, NAME, lambda live: (live.snapshot_id, live.code_version) == mine)


def figures(found: Judgement) -> Summary:
    """One stable key a figure, and a table of all harmonisers a split and set of pieces."""
    told: Summary = {}
    for split, judged in found.evaluations.items():
        for pieces in evaluation.SETS:
            if pieces not in judged["scorers"][NAME]:
                continue
            prefix = split if pieces == "all" else f"{split}_{pieces}"
            own = judged["scorers"][NAME][pieces]
            told |= {f"{prefix}_{name}": figure[0] for name, figure in own.items() if figure[0] is not None}
            told[f"{prefix}_pieces"] = judged["n"][pieces]
            told[prefix] = evaluation.table(judged, pieces)
        told[f"{split}_orderless_nll"] = judged["orderless_nll"]
    return told


def metrics(found: Judgement) -> dict[str, Any]:
    """What the registry keeps of it: read by the next judgement, by `orimono models` and in the trail."""
    valid = found.evaluations[gates.SPLIT]
    own, best = valid["scorers"][NAME]["all"], valid["scorers"][valid["best_simple"]]["all"]
    compared = {
        name.replace("_", " "): {"model": own[name][0], "baseline": best[name][0]} for name in evaluation.COMPARED
    }
    headline = {"measure": "frames", "value": own["frames"][0]}
    return {"evaluations": found.evaluations, "compared": compared, "headline": headline}


def _key(studio: Studio, snapshot: TrainingSnapshot) -> KeyOf:
    return functools.partial(candidate_models.key, studio, snapshot, "judged")
