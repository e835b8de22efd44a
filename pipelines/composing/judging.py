"""The candidate harmoniser beside the simpler ones and the live version, and the report of it; judged once, read again.

Figures are evaluation.py's, who stands beside it references.py's, what follows gates.py's.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
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
from pipelines.models import rollout, snapshots
from pipelines.storage import models as registry_table
from pipelines.storage.tables import ModelVersion, TrainingSnapshot
from pipelines.studio import Studio

SPLITS: tuple[Split, ...] = ("valid", "test")
log = logging.getLogger(__name__)
PICTURES = ("comparison", "curves")


@dataclass(frozen=True, slots=True)
class Judgement:
    """``evaluations``: Evaluation.to_json() by split, and under "orderless_nll" nats a note by split; ``problems``: why
    it must not be released; ``live``: the version it was held against; ``report_key``: of the page."""

    evaluations: dict[str, Any]
    orderless_nll: dict[str, float]
    problems: tuple[str, ...]
    live: str | None
    report_key: str
    pictures: dict[str, bytes]

    def figures(self) -> dict[str, float | int | str]:
        """One stable key a figure, and a table of all harmonisers a split and set of pieces."""
        found: dict[str, float | int | str] = {}
        for split, judged in self.evaluations.items():
            for pieces in evaluation.SETS:
                if pieces not in judged["scorers"][NAME]:
                    continue
                prefix = split if pieces == "all" else f"{split}_{pieces}"
                own = judged["scorers"][NAME][pieces]
                found |= {f"{prefix}_{name}": figure[0] for name, figure in own.items() if figure[0] is not None}
                found[f"{prefix}_pieces"] = judged["n"][pieces]
                found[prefix] = evaluation.table(judged, pieces)
        return found | {f"{split}_orderless_nll": nats for split, nats in self.orderless_nll.items()}

    def metrics(self) -> dict[str, Any]:
        """What the registry keeps of it: read by the next judgement, by `orimono models` and in the trail."""
        valid = self.evaluations[gates.SPLIT]
        own, best = valid["scorers"][NAME]["all"], valid["scorers"][valid["best_simple"]]["all"]
        compared = {
            name.replace("_", " "): {"model": own[name][0], "baseline": best[name][0]} for name in evaluation.COMPARED
        }
        headline = {"measure": "frames", "value": own["frames"][0]}
        return {
            "evaluations": self.evaluations,
            "orderless_nll": self.orderless_nll,
            "compared": compared,
            "headline": headline,
        }


def judge(studio: Studio) -> Judgement:
    """Of the present candidate; from what was stored where it was judged before, against the same live version."""
    snapshot = candidate_models.chosen(studio)
    live = live_version(studio, snapshot)
    found = stored(studio, snapshot)
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
    evaluations = {split: one.to_json() for split, one in judged.items()}
    nats = {split: round(harmonizer.orderless_nll(model, chorales.split(split)), 4) for split in SPLITS}
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
    page = evaluation_report.html(evaluations, curves=curves, problems=problems, facts=facts, rolls=rolls)
    pictures = {"comparison": evaluation_pictures.comparison(evaluations), "curves": evaluation_pictures.curves(curves)}
    for name, png in pictures.items():
        snapshots.put(studio, snapshot, _key(studio, snapshot, f".{name}.png"), png)
    snapshots.put(studio, snapshot, _key(studio, snapshot, ".html"), page.encode())
    kept = {
        "evaluations": evaluations,
        "orderless_nll": nats,
        "problems": problems,
        "live": None if live is None else live.version,
    }
    # Last: it says that all is there.
    snapshots.put(studio, snapshot, _key(studio, snapshot, ".json"), json.dumps(kept).encode())
    made = stored(studio, snapshot)
    assert made is not None
    return made


def stored(studio: Studio, snapshot: TrainingSnapshot) -> Judgement | None:
    text = studio.objects.get_named(_key(studio, snapshot, ".json"))
    if text is None:
        return None
    facts = json.loads(text)
    pictures = {n: studio.objects.get_named(_key(studio, snapshot, f".{n}.png")) or b"" for n in PICTURES}
    return Judgement(
        facts["evaluations"],
        facts["orderless_nll"],
        tuple(facts["problems"]),
        facts["live"],
        _key(studio, snapshot, ".html"),
        {name: png for name, png in pictures.items() if png},
    )


def judged(studio: Studio) -> Judgement:
    """As ``judge``, but BadInput when that is still to be done, or was done against a version that is not live now."""
    snapshot = candidate_models.chosen(studio)
    found = stored(studio, snapshot)
    if found is None:
        raise BadInput(f"model {NAME}", "has not been judged", "materialize harmonizer_report")
    live = live_version(studio, snapshot)
    if live is not None and found.live != live.version:
        reason = f"was held against {found.live or 'no version'}, and {live.version} is live by now"
        raise BadInput(f"model {NAME}", reason, "materialize harmonizer_report again")
    return found


def live_version(studio: Studio, snapshot: TrainingSnapshot) -> ModelVersion | None:
    """What serves everybody, or did before this very candidate: the same chorales, learned by the same code."""
    with studio.database.session() as session:
        routes = rollout.current(session, NAME)
        live = None if routes.live is None else registry_table.get(session, routes.live)
        mine = candidate_models.code_version()
        if live is None or live.snapshot_id != snapshot.id or live.code_version != mine:
            return live
        return None if routes.previous is None else registry_table.get(session, routes.previous)


def _key(studio: Studio, snapshot: TrainingSnapshot, suffix: str) -> str:
    return candidate_models.key(studio, snapshot, "judged", suffix)
