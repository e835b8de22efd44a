"""Mastering's part of the model life cycle, step by step as the assets ask for it: corpus, training sets, candidates,
releases, and learning on between two trainings. Each returns what a person may want to read.

How models are learned and released in general is pipelines/models'.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from pipelines import clock
from pipelines.errors import BadInput
from pipelines.mastering import corpus, tasks, training_set
from pipelines.models import candidates, incremental, snapshots
from pipelines.models.candidates import Candidate
from pipelines.models.training_set import TrainingSet
from pipelines.storage import labels
from pipelines.studio import Studio

Summary = dict[str, float | int | str]
LICENCES = ("CC BY 3.0 (sample recordings)", "public domain (sample recordings)", "consented uploads")


@dataclass(frozen=True, slots=True)
class Trained:
    summary: Summary
    pictures: dict[str, bytes]


def generate_corpus(studio: Studio) -> Summary:
    made = corpus.generate(studio, studio.settings.whole("corpus_items"))
    return {**made.summary(), "note": "generated from the sample's recordings by known changes; not people's own work"}


def missing_items(studio: Studio) -> list[str]:
    """Items of the corpus that are not there, though they were asked for."""
    made = corpus.stored(studio)
    wanted = studio.settings.whole("corpus_items")
    if made >= wanted:
        return []
    return [f"{wanted - made} of {wanted} items could not be made; the run's log names them"]


def assemble(studio: Studio) -> Summary:
    """A snapshot for each task, checked. BadInput when a set is not fit to learn from."""
    now = clock.now()
    summary: Summary = {}
    for task in tasks.TASKS.values():
        with studio.database.session() as session:
            data = training_set.assemble(session, task.name, now=now)
        training_set.check(data)
        provenance = _provenance(studio, data)
        row = snapshots.save(studio, data, provenance, now, assembled_at=now)
        candidates.choose_snapshot(studio, row)
        summary |= {
            f"{task.name}_rows": len(data),
            f"{task.name}_recordings": len(set(data.recordings.tolist())),
            f"{task.name}_people": len(set(data.users.tolist())),
            f"{task.name}_snapshot": f"{row.uri} ({row.sha256[:12]})",
        }
        summary |= {f"{task.name}_{quality}_labels": n for quality, n in provenance["labels"].items()}
    return summary


def _provenance(studio: Studio, data: TrainingSet) -> dict[str, Any]:
    """Of a snapshot, whichever training it is for: equal sets share one."""
    with studio.database.session() as session:
        counts = {c.quality: c.n for c in labels.counts(session) if c.task == data.task}
    return {**training_set.provenance(data), "labels": counts}


def problems(studio: Studio) -> list[str]:
    """Of the training sets as they are chosen now, read back from their files."""
    found: list[str] = []
    for task in tasks.TASKS.values():
        data = snapshots.load(studio, candidates.chosen_snapshot(studio, task.name))
        found += training_set.problems(data, studio.settings.home_path / "data_docs" / f"training_{task.name}")
    return found


def train(studio: Studio, task: str) -> Trained:
    candidate, stored = candidates.train(studio, tasks.get(task))
    summary: Summary = {"stored_before": int(stored), **figures(candidate)}
    if not stored and (strict := _across_pieces(studio, candidate)) is not None:
        summary["headline_across_pieces"] = strict
    return Trained(summary, candidate.pictures)


def _across_pieces(studio: Studio, candidate: Candidate) -> float | None:
    """The linear model's headline when whole pieces of music are held out, not passages: what to expect of music unlike
    the corpus's. None where the pieces are too few to be divided."""
    from pipelines.models import training

    data = training_set.by_piece(snapshots.load(studio, candidate.snapshot))
    try:
        strict = training.train(data, candidate.task, estimators=("linear",))
    except BadInput:
        return None
    return candidates.headline(strict.metrics)


def release(studio: Studio, task: str) -> Summary:
    done = candidates.release(studio, tasks.get(task), clock.now(), LICENCES)
    decision = done.decision
    return {
        "version": done.row.version,
        "framework": done.row.framework,
        "sha256": done.row.sha256,
        "stage": decision.after if decision is not None else "serves already",
        "decision": decision.sentence if decision is not None else "the same model serves already: nothing to release",
        "withdrawn_since_last_version": len(done.withdrawn),
        "scores": table(done.row.metrics),
    }


def learn_on(studio: Studio) -> Summary:
    """The incremental models over the labels that have come since they last learned."""
    now = clock.now()
    assemble = functools.partial(training_set.assemble, now=now)
    summary: Summary = {}
    for task in tasks.TASKS.values():
        provenance = functools.partial(_provenance, studio)
        for key, value in incremental.learn_on(studio, task, assemble, provenance, now, LICENCES).items():
            summary[f"{task.name}_{key}"] = value
    return summary


def due(studio: Studio) -> str | None:
    """A name for the labels that wait to be learned from, or to be forgotten; None when no task has any. See
    incremental.due."""
    waiting = {
        task.name: found
        for task in tasks.TASKS.values()
        if (found := incremental.due(studio, task, training_set.feature_version(task.name))) is not None
    }
    return ",".join(f"{name}>{found}" for name, found in waiting.items()) or None


def figures(candidate: Candidate) -> Summary:
    """One stable key a figure, so that the UI draws it over time, and a table beside the baselines."""
    metrics = candidate.metrics
    summary: Summary = {
        "headline": candidate.headline,
        "estimator": candidate.estimator,
        "choice": metrics["choice"],
        "rows": metrics["n"],
        "recordings": metrics["n_groups"],
        "parity": metrics["parity"],
        "scores": table(metrics),
        "strongest_features": ", ".join(list(candidate.importance)[:8]),
    }
    for target, found in metrics.get("targets", {}).items():
        summary |= _numbers({f"mae_{target}": found["mae"]["all"], f"r2_{target}": found["r2"]["all"]})
    for name in ("f1_macro", "accuracy", "log_loss", "brier", "ece"):
        if name in metrics:
            summary |= _numbers({name: metrics[name]["all"]})
    return summary


def table(metrics: dict[str, Any]) -> str:
    """Markdown: each figure of the held-out rows beside its best baseline."""
    lines = ["| figure | model | baseline |", "|---|---|---|"]
    for name, (model, baseline, _) in candidates.against_baselines(metrics).items():
        shown = ["unknown" if v is None else f"{v:.3f}" for v in (model, baseline)]
        lines.append(f"| {name} | {shown[0]} | {shown[1]} |")
    return "\n".join(lines)


def _numbers(values: dict[str, float | None]) -> Summary:
    return {key: value for key, value in values.items() if value is not None}
