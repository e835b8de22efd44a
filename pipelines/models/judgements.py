"""What was found of a candidate before its release: judged once, kept beside its snapshot, read again; and its way from
there into the registry. What is measured, and what stands against a release, each system says itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.models import artefacts, registry, rollout, snapshots
from pipelines.models import candidates as life_cycle
from pipelines.storage import models as registry_table
from pipelines.storage import rollouts
from pipelines.storage.tables import ModelVersion, TrainingSnapshot
from pipelines.studio import Studio

Summary = dict[str, float | int | str]
KeyOf = Callable[[str], str]  # a suffix -> where it lies, by the snapshot's hash, so that it goes with it
BY = "training"


@dataclass(frozen=True, slots=True)
class Made:
    """What a step of the life cycle tells a person."""

    summary: Summary
    pictures: dict[str, bytes]
    report: str | None = None  # path of the page to open


@dataclass(frozen=True, slots=True)
class Judgement:
    """``evaluations``: what was measured, by split; ``problems``: why it must not be released; ``live``: the version it
    was held against; ``report_key``: of the page."""

    evaluations: dict[str, Any]
    problems: tuple[str, ...]
    live: str | None
    report_key: str
    pictures: dict[str, bytes]


def keep(
    studio: Studio,
    snapshot: TrainingSnapshot,
    key: KeyOf,
    *,
    evaluations: Mapping[str, Any],
    problems: tuple[str, ...],
    live: ModelVersion | None,
    page: str,
    pictures: Mapping[str, bytes],
) -> Judgement:
    for name, png in pictures.items():
        snapshots.put(studio, snapshot, key(f".{name}.png"), png)
    snapshots.put(studio, snapshot, key(".html"), page.encode())
    facts = {
        "evaluations": evaluations,
        "problems": problems,
        "live": None if live is None else live.version,
        "pictures": list(pictures),
    }
    text = json.dumps(facts).encode()
    snapshots.put(studio, snapshot, key(".json"), text)  # last: it says that all is there
    return _judgement(text, key, pictures)


def stored(studio: Studio, key: KeyOf) -> Judgement | None:
    text = studio.objects.get_named(key(".json"))
    if text is None:
        return None
    pictures = {name: studio.objects.get_named(key(f".{name}.png")) for name in json.loads(text)["pictures"]}
    return _judgement(text, key, {name: png for name, png in pictures.items() if png})


def _judgement(text: bytes, key: KeyOf, pictures: Mapping[str, bytes]) -> Judgement:
    facts = json.loads(text)
    return Judgement(facts["evaluations"], tuple(facts["problems"]), facts["live"], key(".html"), dict(pictures))


def live_before(studio: Studio, name: str, own: Callable[[ModelVersion], bool]) -> ModelVersion | None:
    """What serves everybody, or did before this very candidate, which is its ``own`` version."""
    with studio.database.session() as session:
        routes = rollout.current(session, name)
        live = None if routes.live is None else registry_table.get(session, routes.live)
        if live is None or not own(live):
            return live
        return None if routes.previous is None else registry_table.get(session, routes.previous)


def told(studio: Studio, found: Judgement, figures: Summary) -> Made:
    """For a person: the verdict, what it was held against, the figures, and where the page lies."""
    verdict = "\n".join(f"- {problem}" for problem in found.problems) or "nothing stands against a rollout"
    page = studio.objects.local_named(found.report_key)
    summary: Summary = {"verdict": verdict, "held_against": found.live or "no live version", **figures}
    return Made(summary, found.pictures, None if page is None else str(page))


def register(
    studio: Studio,
    snapshot: TrainingSnapshot,
    *,
    name: str,
    onnx: bytes,
    bundle: tuple[bytes, str],
    metrics: Mapping[str, Any],
    reference: Callable[[], Mapping[str, Any]],
    feature_version: str,
    code_version: str,
    licences: Sequence[str],
    awaits: str,
) -> Summary:
    """The candidate, a network of Keras', as a version, which nobody gets yet; the same candidate is the same version.

    ``onnx``: what the registry tries and keeps; ``bundle``: all that serves, and its suffix; ``reference``: see
    registry.register, asked only for a new version; ``awaits``: what comes before anybody gets it. BadInput, and
    nothing changed, when somebody withdrew since its snapshot.
    """
    with studio.database.session() as session:
        gone = life_cycle.withdrawn_since_last_version(session, name)
        known = life_cycle.released(session, name, hashlib.sha256(onnx).hexdigest())
    if known is not None:
        row, why = known
        decision = why.sentence if why is not None else "the same model serves already: nothing to release"
        return {"version": row.version, "decision": decision}
    key, sha256 = artefacts.store(studio.objects, *bundle)
    row = registry.register(
        studio,
        name=name,
        trained_onnx=onnx,
        framework="keras",
        metrics={**metrics, "n": snapshot.n_rows},
        reference=reference(),
        feature_version=feature_version,
        code_version=code_version,
        snapshot_id=snapshot.id,
        licences=licences,
        provenance=life_cycle.origin(snapshot, gone) | {"bundle": {"key": key, "sha256": sha256}},
        now=clock.now(),
        created_by=BY,
    )
    decision = f"{row.version} is registered; nobody gets it before {awaits}"
    return {"version": row.version, "sha256": row.sha256, "decision": decision, "scores": life_cycle.told(row.metrics)}


def begin(
    studio: Studio,
    name: str,
    learned_from: Callable[[ModelVersion], str],
    refuse: Callable[[Session, ModelVersion], None] = lambda session, row: None,
) -> Summary:
    """Begins the rollout of the newest version; nothing when it was begun before. ``refuse`` raises where it may not
    begin yet."""
    with studio.database.session() as session:
        row = registry_table.latest(session, name)
        if row is None:
            return {"decision": f"no version of {name} is registered yet"}
        begun = [r for r in rollouts.history(session, name) if r.model_id == row.id]
        if begun:
            return {"version": row.version, "decision": f"was begun before and is {begun[0].status}"}
        refuse(session, row)
        reason = f"trained from {learned_from(row)}, {life_cycle.told(row.metrics)}"
        decision = rollout.begin(session, name, row.id, clock.now(), BY, reason)
    return {"version": row.version, "stage": decision.after, "decision": decision.sentence}
