"""Between training and serving: a candidate is trained once from a snapshot, held against its baselines, and released.

Every step finds the one before it by what it was made from, so a run that was killed anywhere goes on from there, and
either the old version serves or the new one. How a model is learned is training.py's, the registry registry.py's.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from pipelines.errors import BadInput
from pipelines.models import registry, rollout, snapshots
from pipelines.models.rollout import Decision
from pipelines.models.training_set import Task
from pipelines.storage import models as registry_table
from pipelines.storage import rollouts, withdrawals
from pipelines.storage import snapshots as snapshot_table
from pipelines.storage.tables import ModelVersion, TrainingSnapshot
from pipelines.studio import Studio

SEED = 0
NOTICEABLE = 0.05  # of the headline figure: a candidate that much below the live version is worth a look
BY = "training"


@dataclass(frozen=True, slots=True)
class Candidate:
    task: Task
    snapshot: TrainingSnapshot
    code_version: str
    onnx: bytes
    estimator: str
    metrics: dict[str, Any]
    reference: dict[str, Any]
    importance: dict[str, float]  # largest first
    pictures: dict[str, bytes]  # name -> PNG

    @property
    def headline(self) -> float:
        return headline(self.metrics)


@dataclass(frozen=True, slots=True)
class Released:
    row: ModelVersion
    decision: Decision | None  # None: the same bytes serve already
    withdrawn: tuple[str, ...]  # see withdrawn_since_last_version


def choose_snapshot(studio: Studio, snapshot: TrainingSnapshot) -> None:
    """The next candidate learns from this one: the newest by intent, which need not be the newest row."""
    studio.objects.put_named(_pointer(snapshot.task), str(snapshot.id).encode())


def chosen_snapshot(studio: Studio, task: str, remedy: str = "materialize its training set") -> TrainingSnapshot:
    """The one to learn from. BadInput when there is none, or its bytes were erased."""
    found = studio.objects.get_named(_pointer(task))
    row = None
    if found is not None:
        with studio.database.session() as session:
            row = snapshot_table.get(session, int(found))
    if row is None or row.erased_at is not None:
        reason = "has not been assembled yet" if row is None else "was erased: one of its persons withdrew"
        raise BadInput(f"training set of {task}", reason, remedy)
    return row


def train(studio: Studio, task: Task) -> tuple[Candidate, bool]:
    """The candidate of the chosen snapshot with the present code, and whether it was stored before.

    Raises BadInput as training does.
    """
    snapshot = chosen_snapshot(studio, task.name)
    found = _stored(studio, task, snapshot)
    if found is not None:
        return found, True
    from pipelines.models import learning_pictures, training

    code = registry.code_version()
    data = snapshots.load(studio, snapshot)
    trained = training.train(data, task, seed=SEED, code_version=code)
    pictures = {"learning_curve": learning_pictures.learning_curve(trained)}
    if data.labels is None:
        pictures["residuals"] = learning_pictures.residuals(trained, data)
    else:
        pictures["confusion"] = learning_pictures.confusion(trained, data)
    facts = {
        "estimator": trained.estimator,
        "metrics": trained.metrics,
        "reference": trained.reference,
        "importance": trained.importance,
        "pictures": sorted(pictures),
    }
    for name, png in pictures.items():
        studio.objects.put_named(_key(studio, task, snapshot, f".{name}.png"), png)
    studio.objects.put_named(_key(studio, task, snapshot, ".onnx"), trained.onnx)
    # Last, since whoever finds the facts takes the rest to be there.
    studio.objects.put_named(_key(studio, task, snapshot, ".json"), json.dumps(facts, ensure_ascii=False).encode())
    made = _stored(studio, task, snapshot)
    assert made is not None
    return made, False


def trained(studio: Studio, task: Task) -> Candidate:
    """As ``train``, but BadInput when it has not been trained."""
    found = _stored(studio, task, chosen_snapshot(studio, task.name))
    if found is None:
        raise BadInput(f"model {task.name}", "has not been trained from its training set", "train it first")
    return found


def problems(studio: Studio, task: Task) -> list[str]:
    """Why the candidate must not be released; empty when it may be."""
    candidate = trained(studio, task)
    found = []
    for name, (model, baseline, better) in against_baselines(candidate.metrics).items():
        if baseline is not None and (model is None or not better(model, baseline)):
            found.append(f"{task.name}: {name} is {_figure(model)}, no better than the baseline's {baseline:.3f}")
    if not candidate.metrics["parity"] <= 1e-4:
        found.append(f"{task.name}: the ONNX file and the trained model differ by {candidate.metrics['parity']:.2g}")
    return found


def doubts(studio: Studio, task: Task) -> list[str]:
    """What a person should look at before the candidate reaches everybody."""
    candidate = trained(studio, task)
    with studio.database.session() as session:
        live = rollout.current(session, task.name).live
        row = None if live is None else registry_table.get(session, live)
    if row is None:
        return []
    before, now = headline(row.metrics), candidate.headline
    if now >= before - NOTICEABLE:
        return []
    return [f"{task.name}: {now:.3f}, where the live {row.version} had {before:.3f} on the rows of its time"]


def release(studio: Studio, task: Task, now: datetime, licences: Sequence[str], by: str = BY) -> Released:
    """Registers the candidate and begins its rollout; nothing when the same bytes serve, are being rolled out, or were
    taken back before.

    BadInput, and nothing changed, when the candidate has ``problems`` or somebody withdrew since its snapshot.
    """
    if wrong := problems(studio, task):
        raise BadInput(f"model {task.name}", wrong[0].partition(": ")[2], "add or correct labels and train again")
    candidate = trained(studio, task)
    digest = hashlib.sha256(candidate.onnx).hexdigest()
    with studio.database.session() as session:
        gone = withdrawn_since_last_version(session, task.name)
        known = released(session, task.name, digest)
    if known is not None:
        return Released(*known, gone)
    importance = dict(list(candidate.importance.items())[:20])
    provenance = {**origin(candidate.snapshot, gone), "importance": importance}
    row = registry.register(
        studio,
        name=task.name,
        trained_onnx=candidate.onnx,
        framework=candidate.estimator,
        metrics=candidate.metrics,
        reference=candidate.reference,
        feature_version=candidate.snapshot.feature_version,
        code_version=candidate.code_version,
        snapshot_id=candidate.snapshot.id,
        licences=licences,
        provenance=provenance,
        now=now,
        created_by=by,
    )
    with studio.database.session() as session:
        reason = f"trained from {candidate.snapshot.n_rows} rows, {told(candidate.metrics)}"
        decision = rollout.begin(session, task.name, row.id, now, by, reason)
    return Released(row, decision, tuple(row.provenance["withdrawn_since_last_version"]))


def released(session: Session, name: str, sha256: str) -> tuple[ModelVersion, Decision | None] | None:
    """The version with these bytes that serves or is being rolled out, or, with the reason, that was taken back."""
    running, live = rollouts.present(session, name)
    present = registry_table.of_ids(session, [r.model_id for r in (running, live) if r is not None])
    same = next((row for row in present.values() if row.sha256 == sha256), None)
    return (same, None) if same is not None else taken_back(session, name, sha256)


def origin(snapshot: TrainingSnapshot, withdrawn: Sequence[str]) -> dict[str, Any]:
    """What every version's provenance says, however it was learned."""
    return {
        **snapshot.provenance,
        "snapshot_sha256": snapshot.sha256,
        "withdrawn_since_last_version": list(withdrawn),
    }


def withdrawn_since_last_version(session: Session, name: str) -> tuple[str, ...]:
    """Pseudonyms of the withdrawals that no version of this name has named yet, asked for or done: each is named once,
    whatever the clocks said, so who came back and withdrew again is named again."""
    asked = Counter(withdrawals.pseudonyms(session))
    return tuple(sorted((asked - Counter(registry_table.named_withdrawn(session, name))).elements()))


def taken_back(session: Session, name: str, sha256: str) -> tuple[ModelVersion, Decision] | None:
    """The version with these bytes, and why it is not begun again, when its last rollout ended in taking it back."""
    for row in rollouts.history(session, name):
        model = rollouts.model(session, row.model_id)
        if model is None or model.sha256 != sha256:
            continue
        if row.status != "rolled_back":
            return None
        by_hand = f"orimono rollout {name} --version {model.version} --stage 5"
        why = f"the same model was taken back before; a person may begin it again: {by_hand}"
        return model, Decision(name, "hold", model.id, model.version, 0, 0, why, done=False)
    return None


Better = Callable[[float, float], bool]


def against_baselines(metrics: dict[str, Any]) -> dict[str, tuple[float | None, float | None, Better]]:
    """Figure -> (the model's, the best baseline's, what better means), over all held-out rows."""
    found: dict[str, tuple[float | None, float | None, Better]] = {}
    for target, figures in metrics.get("targets", {}).items():
        simple = [b["mae"]["all"] for b in figures["baseline"].values() if b["mae"]["all"] is not None]
        found[f"MAE of {target}"] = (figures["mae"]["all"], min(simple, default=None), _lower)
    if "f1_macro" in metrics:
        simple_scores = metrics["baseline"]["majority"]
        for key, name in (("f1_macro", "macro-F1"), ("accuracy", "accuracy")):
            found[name] = (metrics[key]["all"], simple_scores[key]["all"], _higher)
        found["log loss"] = (metrics["log_loss"]["all"], simple_scores["log_loss"]["all"], _lower)
    for name, figures in metrics.get("compared", {}).items():  # of a model that ranks
        found[name] = (figures["model"], figures["baseline"], _higher)
    return found


def headline(metrics: dict[str, Any]) -> float:
    """The one figure that versions are compared by: mean R2 over the targets, macro-F1, or the one that the metrics
    name themselves; 0 where it is unknown."""
    if "headline" in metrics:
        return float(metrics["headline"]["value"])
    judged = metrics.get("judged", {}).get("incremental", {})  # a model that learned on has its own figures
    if "f1_macro" in judged:
        return float(judged["f1_macro"] or 0.0)
    if "f1_macro" in metrics:
        return float(metrics["f1_macro"]["all"] or 0.0)
    scores = [t["r2"]["all"] for t in metrics.get("targets", {}).values()] or list(judged.get("r2", {}).values())
    known = [score for score in scores if score is not None]
    return float(sum(known) / len(known)) if known else 0.0


def measure(metrics: dict[str, Any]) -> str:
    """What ``headline`` is."""
    if "headline" in metrics:
        return str(metrics["headline"]["measure"])
    classes = "f1_macro" in metrics or "f1_macro" in metrics.get("judged", {}).get("incremental", {})
    return "macro-F1" if classes else "R2"


def told(metrics: dict[str, Any]) -> str:
    """The figures beside their baselines, in one line."""
    return ", ".join(
        f"{name} {_figure(model)} (baseline {_figure(baseline)})"
        for name, (model, baseline, _) in against_baselines(metrics).items()
    )


def _lower(model: float, baseline: float) -> bool:
    return model < baseline


def _higher(model: float, baseline: float) -> bool:
    return model > baseline


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _stored(studio: Studio, task: Task, snapshot: TrainingSnapshot) -> Candidate | None:
    text = studio.objects.get_named(_key(studio, task, snapshot, ".json"))
    onnx = studio.objects.get_named(_key(studio, task, snapshot, ".onnx"))
    if text is None or onnx is None:
        return None
    facts = json.loads(text)
    names = facts.pop("pictures")
    pictures = {n: studio.objects.get_named(_key(studio, task, snapshot, f".{n}.png")) or b"" for n in names}
    return Candidate(task, snapshot, registry.code_version(), onnx, **facts, pictures=pictures)


def _pointer(task: str) -> str:
    return f"training/{task}/chosen"


def _key(studio: Studio, task: Task, snapshot: TrainingSnapshot, suffix: str) -> str:
    params = {"task": asdict(task), "seed": SEED}
    return studio.cache.key("candidate", registry.code_version(), snapshot.sha256, params, suffix)
