"""Models that learn on between two weekly trainings: when a hundred new labels have come, and what becomes of it.

How a model learns on is partial_fit.py's; the registry and the rollout are those of every model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipelines.errors import BadInput
from pipelines.models import artefacts, candidates, drift, onnx_export, partial_fit, registry, rollout, snapshots
from pipelines.models.partial_fit import EVERY, Incremental
from pipelines.models.training_set import Task, TrainingSet
from pipelines.storage import labels, rollouts
from pipelines.storage import models as registry_table
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio

JUDGES = 20  # held-out rows that the live version has not seen, without which nothing is released
BY = "partial_fit"

Assemble = Callable[[Session, str], TrainingSet]
Provenance = Callable[[TrainingSet], dict[str, Any]]
Summary = dict[str, float | int | str]


def due(studio: Studio, task: Task, feature_version: str) -> str | None:
    """A name for what there is to do: a hundred new labels to learn from, or learned ones that may no longer be learned
    from. It tells up to which label was learned, so that the same is not asked for twice. None when there is nothing,
    while a version is being rolled out, and before the first weekly training: there is nothing to learn on from."""
    newest, learned = _noted(studio, task, feature_version)
    with studio.database.session() as session:
        routes = rollout.current(session, task.name)
        if routes.live is None:
            return None
        if lost := labels.lost(session, task.name, feature_version, learned):
            return f"{newest}-{min(lost)}"
        waiting = labels.newer_than(session, task.name, newest, feature_version)
    if waiting < EVERY or routes.running is not None:
        return None
    return f"{newest}+{waiting // EVERY}@{routes.live}"  # when the next one is live, it is tried again


def learn_on(
    studio: Studio, task: Task, assemble: Assemble, provenance: Provenance, now: datetime, licences: Sequence[str]
) -> Summary:
    """Takes the new labels in, judges the model beside the live version on rows that neither has seen, and releases it
    to 5 % of the users when it is better. Waits when there are fewer than a hundred, and while another version is being
    rolled out; what may no longer be learned from is forgotten at once. ``provenance``: of the set's snapshot. Raises
    BadInput as training does.
    """
    state = was = _load(studio, task)
    with studio.database.session() as session:
        routes = rollout.current(session, task.name)
        row = None if routes.live is None else registry_table.get(session, routes.live)
        if row is None:
            return {"action": "waits for the first weekly training"}
        lost = () if state is None else labels.lost(session, task.name, state.feature_version, state.row_ids.tolist())
    if lost:  # before anything else can fail
        studio.objects.delete(_key(task, ".safetensors"))
        studio.objects.delete(_key(task, ".json"))
        state = None
    with studio.database.session() as session:
        data = assemble(session, task.name)
    if state is not None and not partial_fit.fits(state, data):
        state = None
    newest = _noted(studio, task, data.feature_version)[0] if state is not None else 0
    new = int((data.row_ids > newest).sum())
    forgot = ""
    if was is not None and was.feature_version == data.feature_version and lost:
        forgot = f", and forgot all for {len(lost)} rows that may no longer be learned from"
    if routes.running is not None or new < EVERY:
        if state is not None:
            _note(studio, task, newest, state)
        reason = f"for {EVERY} new rows, there are {new}" if new < EVERY else "until no other version is rolled out"
        return {"action": f"waits {reason}{forgot}"}
    learned, action = _learn(state, data, task)
    summary: Summary = {"rows": len(learned.row_ids), "updates": learned.updates}
    if learned is not state:
        seen = _seen(studio, row)
        live = None if seen is None else artefacts.load(studio.objects, row)
        judged = partial_fit.evaluate(learned, data, task, live=live, seen=seen)
        better, told = _compare(judged)
        summary |= {"judged_on": judged["n"] if live is not None else 0, "judgement": told}
        if better:
            action += f"; {_release(studio, task, learned, data, provenance(data), judged, now, licences)}"
        # Kept last: whoever dies before this learns the same rows again from the state that is there.
        studio.objects.put_named(_key(task, ".safetensors"), partial_fit.dumps(learned))
    _note(studio, task, int(data.row_ids.max(initial=0)), learned)
    return summary | {"action": action + forgot}


def _learn(state: Incremental | None, data: TrainingSet, task: Task) -> tuple[Incremental, str]:
    if state is None:
        return partial_fit.start(data, task), f"begun with {len(data)} rows of features {data.feature_version}"
    if len(gone := partial_fit.forgotten(state, data)):
        return partial_fit.start(data, task), f"begun anew: {len(gone)} labels that it learned from were corrected"
    if unknown := partial_fit.new_classes(state, data):
        return partial_fit.start(data, task), f"begun anew with classes that it did not know: {', '.join(unknown)}"
    updated = partial_fit.update(state, data)
    new = len(updated.row_ids) - len(state.row_ids)
    return updated, f"learned {new} new rows" if new else "no new rows"


def _compare(judged: dict[str, Any]) -> tuple[bool, str]:
    """Whether the incremental model is better than the live one on the same rows, in words with the figures."""
    if judged["n"] and "live" not in judged:
        return False, "not judged: it is unknown which rows the live version learned from"
    if judged["n"] < JUDGES:
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
    provenance: Mapping[str, Any],
    judged: dict[str, Any],
    now: datetime,
    licences: Sequence[str],
) -> str:
    code = registry.code_version()
    onnx = partial_fit.to_onnx(state, code_version=code)
    with studio.database.session() as session:
        back = candidates.taken_back(session, task.name, hashlib.sha256(onnx).hexdigest())
        gone = candidates.withdrawn_since_last_version(session, task.name)
    if back is not None:
        return back[1].sentence
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
        provenance={
            **candidates.origin(snapshot, gone),
            "incremental": {"updates": state.updates, "rows": len(state.row_ids)},
        },
        now=now,
        created_by=BY,
    )
    with studio.database.session() as session:
        rollouts.lock(session, task.name)
        running, _ = rollouts.present(session, task.name)
        if running is not None and running.model_id != row.id:  # begun while this one learned
            return f"{row.version} is registered and not begun: another version is being rolled out"
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


def _noted(studio: Studio, task: Task, feature_version: str) -> tuple[int, list[int]]:
    """Up to which label all were looked at, and which of them were learned; from the beginning with other features."""
    found = studio.objects.get_named(_key(task, ".json"))
    facts = json.loads(found) if found is not None else {}
    if facts.get("feature_version") != feature_version:
        return 0, []
    return int(facts["newest"]), facts["learned"]


def _note(studio: Studio, task: Task, newest: int, state: Incremental) -> None:
    """Beside the state, as ``due`` is asked every minute and the state is large."""
    facts = {"newest": newest, "feature_version": state.feature_version, "learned": state.row_ids.tolist()}
    studio.objects.put_named(_key(task, ".json"), json.dumps(facts).encode())


def _key(task: Task, suffix: str) -> str:
    return f"incremental/{task.name}{suffix}"
