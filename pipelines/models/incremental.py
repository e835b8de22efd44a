"""Models that learn on between two weekly trainings: when a hundred new labels have come, and what becomes of it.

How a model learns on is partial_fit.py's; the registry and the rollout are those of every model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipelines.errors import BadInput
from pipelines.models import artefacts, drift, onnx_export, partial_fit, registry, rollout, snapshots
from pipelines.models.partial_fit import EVERY, Incremental
from pipelines.models.training_set import Task, TrainingSet
from pipelines.storage import labels
from pipelines.storage import models as registry_table
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio

JUDGES = 20  # held-out rows that the live version has not seen, without which nothing is released
BY = "partial_fit"

Assemble = Callable[[Session, str], TrainingSet]
Summary = dict[str, float | int | str]


def due(studio: Studio, task: Task, feature_version: str) -> str | None:
    """A name for the labels that wait to be learned from, once there are a hundred: up to which label was learned, and
    how many hundreds have come since. None until then, and before the first weekly training: there is nothing to learn
    on from."""
    with studio.database.session() as session:
        if rollout.current(session, task.name).live is None:
            return None
        newest = _newest(studio, task)
        waiting = labels.newer_than(session, task.name, newest, feature_version)
    return f"{newest}+{waiting // EVERY}" if waiting >= EVERY else None


def learn_on(studio: Studio, task: Task, assemble: Assemble, now: datetime, licences: Sequence[str]) -> Summary:
    """Takes the new labels in, judges the model beside the live version on rows that neither has seen, and releases it
    to 5 % of the users when it is better. Waits when there are fewer than a hundred. Raises BadInput as training does.
    """
    with studio.database.session() as session:
        live = rollout.current(session, task.name).live
        row = None if live is None else registry_table.get(session, live)
        if row is None:
            return {"action": "waits for the first weekly training"}
        data = assemble(session, task.name)
    state, action = _learn(_load(studio, task), data, task)
    if state is None:
        return {"action": action}
    judged = partial_fit.evaluate(state, data, task, live=artefacts.load(studio.objects, row), seen=_seen(studio, row))
    summary: Summary = {"rows": len(state.row_ids), "updates": state.updates, "judged_on": judged["n"]}
    better, told = _compare(judged)
    if better:
        action += f"; {_release(studio, task, state, data, judged, now, licences)}"
    # Kept last: whoever dies before this learns the same rows again from the state that is there.
    studio.objects.put_named(_key(task, ".safetensors"), partial_fit.dumps(state))
    facts = {"newest": int(data.row_ids.max(initial=0))}
    studio.objects.put_named(_key(task, ".json"), json.dumps(facts).encode())
    return summary | {"action": action, "judgement": told}


def _learn(state: Incremental | None, data: TrainingSet, task: Task) -> tuple[Incremental | None, str]:
    if state is None:
        return partial_fit.start(data, task), f"begun with {len(data)} rows"
    if len(gone := partial_fit.forgotten(state, data)):
        return partial_fit.start(data, task), f"begun anew without {len(gone)} rows that may no longer be learned from"
    try:
        updated = partial_fit.update(state, data)
    except BadInput:  # other features by now
        return partial_fit.start(data, task), f"begun anew with features {data.feature_version}"
    new = len(updated.row_ids) - len(state.row_ids)
    if new == 0:
        return None, "no new rows"
    return updated, f"learned {new} new rows"


def _compare(judged: dict[str, Any]) -> tuple[bool, str]:
    """Whether the incremental model is better than the live one on the same rows, in words with the figures."""
    if judged["n"] < JUDGES or "live" not in judged:
        return False, f"not judged: {judged['n']} held-out rows are new to the live version, {JUDGES} are needed"
    ours, theirs = judged["incremental"], judged["live"]
    if "mae" in ours:
        ratio = float(np.mean([ours["mae"][t] / max(theirs["mae"][t], 1e-9) for t in ours["mae"]]))
        return ratio < 1, f"mean absolute errors are {ratio:.3f} times the live version's on {judged['n']} rows"
    figures = f"log loss {ours['log_loss']:.3f}, the live version's {theirs['log_loss']:.3f}, on {judged['n']} rows"
    return ours["log_loss"] < theirs["log_loss"], figures


def _release(
    studio: Studio,
    task: Task,
    state: Incremental,
    data: TrainingSet,
    judged: dict[str, Any],
    now: datetime,
    licences: Sequence[str],
) -> str:
    code = registry.code_version()
    onnx = partial_fit.to_onnx(state, code_version=code)
    provenance = {"incremental": {"updates": state.updates, "rows": len(state.row_ids)}}
    snapshot = snapshots.save(studio, data, provenance, now, assembled_at=now)
    row = registry.register(
        studio,
        name=task.name,
        trained_onnx=onnx,
        framework="incremental",
        metrics={"task": task.name, "judged": judged},
        reference=drift.reference(data.X, onnx_export.run(onnx, data.X), data.names),
        feature_version=data.feature_version,
        code_version=code,
        snapshot_id=snapshot.id,
        licences=licences,
        provenance=provenance,
        now=now,
        created_by=BY,
    )
    with studio.database.session() as session:
        return rollout.begin(session, task.name, row.id, now, BY, _compare(judged)[1]).sentence


def _seen(studio: Studio, live: ModelVersion) -> NDArray[np.int64] | None:
    """Ids of the rows that the live version learned from; None when they were erased or are unknown."""
    if live.snapshot_id is None:
        return None
    try:
        return snapshots.load(studio, live.snapshot_id).row_ids
    except BadInput:
        return None


def _load(studio: Studio, task: Task) -> Incremental | None:
    found = studio.objects.get_named(_key(task, ".safetensors"))
    if found is None:
        return None
    try:
        return partial_fit.loads(found)
    except BadInput:  # damaged, or of an earlier format: it begins anew
        return None


def _newest(studio: Studio, task: Task) -> int:
    found = studio.objects.get_named(_key(task, ".json"))
    return int(json.loads(found)["newest"]) if found is not None else 0


def _key(task: Task, suffix: str) -> str:
    return f"incremental/{task.name}{suffix}"
