"""Models and rollouts as an operator sees and changes them. Figures are pipelines/models' overview.py, figures.py and
timeline.py, steps rollout.py's."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import Conflict, NotFound
from pipelines.identity.callers import Caller
from pipelines.models import figures, overview, timeline, watching
from pipelines.models import rollout as steps
from pipelines.models.overview import Served
from pipelines.models.rollout import Decision
from pipelines.storage import models as registry_table
from pipelines.storage import rollouts as rollout_table
from pipelines.storage.tables import ModelMetrics
from serving.api.house import House
from serving.views import preconditions
from serving.wire.models import (
    Behaviour,
    Figure,
    FigureHistory,
    MadePoint,
    Model,
    ModelCard,
    ModelHistory,
    Models,
    ModelVersion,
    Rollout,
    RolloutDecision,
    Rollouts,
    RolloutStep,
    RolloutWish,
    StepStatus,
    VersionHistory,
    VersionStatus,
    Window,
)

HISTORY = 100  # versions that a history goes back, at most
SAYS = {
    "master_reg": "the settings that the master chain will find",
    "preset_cls": "the preset that suits a mix",
    "align_conf": "whether a found alignment of stems is right",
    "two_tower": "what a viewer will want to watch",
    "harmonizer": "the voices that go with a melody",
}


def listed(house: House, caller: Caller) -> Models:
    with house.session() as session:
        return Models(items=tuple(_card(house, session, name) for name in registry_table.names(session)))


def find(house: House, caller: Caller, name: str, *, limit: int = 20) -> Model:
    """With the newest ``limit`` versions and those that serve, these first. NotFound for a name that there is
    none of."""
    with house.session() as session:
        card = _card(house, session, name)
        all_of_them = tuple(_version(one) for one in overview.served(session, name, limit))
        return Model(**dict(card), all=all_of_them)


def history(house: House, caller: Caller, name: str, *, window: Window = "1d", days: int = 30) -> ModelHistory:
    """How the versions behaved in the last ``days``, looked at over ``window``, and how good each was when it was
    made."""
    with house.session() as session:
        rows = registry_table.newest(session, name, HISTORY)
        if not rows:
            raise _unknown(session, name)
        measured = timeline.behaviour(session, rows, window, clock.now() - timedelta(days=days))
        return ModelHistory(
            name=name,
            window=window,
            headline=_series(timeline.headline(rows)),
            figures=tuple(_series(one) for one in timeline.quality(rows)),
            versions=tuple(
                VersionHistory(version=row.version, points=tuple(_behaviour(one) for one in found))
                for row, found in measured
            ),
        )


def rollouts(house: House, caller: Caller) -> Rollouts:
    """Of every model, those that serve nobody with them."""
    with house.session() as session:
        return Rollouts(items=tuple(_rollout(session, name, 20) for name in registry_table.names(session)))


def rollout(house: House, caller: Caller, name: str, *, limit: int = 20) -> Rollout:
    """``limit``: steps. NotFound for a name that there is none of."""
    with house.session() as session:
        if registry_table.latest(session, name) is None:
            raise _unknown(session, name)
        return _rollout(session, name, limit)


def change(house: House, caller: Caller, name: str, wish: RolloutWish, if_match: str | None = None) -> RolloutDecision:
    """``if_match``: the etag of the rollout as the caller saw it, 412 when it is another now; None: whatever it is.
    Conflict for what the state does not allow, NotFound for a name or version that does not exist."""
    studio, now, by = house.studio, clock.now(), caller.actor.pseudonym
    with house.session() as session:
        if registry_table.latest(session, name) is None:
            raise _unknown(session, name)
        rollout_table.lock(session, name)
        preconditions.hold(if_match, rollout_table.state(session, name), f"the rollout of {name}")
        seen = steps.current(session, name)

        def exists(uri: str) -> bool:
            return watching.at_hand(studio, uri)

        if wish.action == "promote":
            decision = steps.promote(session, name, seen, now, by, wish.reason)
        elif wish.action == "roll_back":
            if seen.running is None and seen.live is not None and not wish.live:
                remedy = 'ask with "live": true to take the live version itself back'
                raise Conflict(name, "has nothing that is being rolled out", remedy)
            decision = steps.roll_back(session, name, seen, now, by, wish.reason, exists, live=wish.live)
        else:
            assert wish.stage is not None  # the wish says so itself
            model_id = _id_of(session, name, wish.version)
            decision = steps.set_stage(session, name, wish.stage, now, by, wish.reason, model_id, exists)
        session.flush()
        return _decision(decision, _rollout(session, name, 20))


def _id_of(session: Session, name: str, version: str | None) -> int | None:
    if version is None:
        return None
    row = registry_table.find(session, name, version)
    if row is None:
        known = ", ".join(one.version for one in registry_table.listed(session, name)[:10])
        raise NotFound(f"model {name} {version}", "is not registered", f"choose from {known}")
    return row.id


def _unknown(session: Session, name: str) -> NotFound:
    names = registry_table.names(session)
    return NotFound(f"model {name}", "is not registered", f"choose from {', '.join(names)}" if names else "train one")


def _card(house: House, session: Session, name: str) -> ModelCard:
    found = overview.served(session, name, 1)
    if not found:
        raise _unknown(session, name)
    by_status = {one.status: _version(one) for one in reversed(found)}
    return ModelCard(
        name=name,
        task=SAYS.get(name, ""),
        live=by_status.get("live"),
        running=by_status.get("running"),
        newest=_version(max(found, key=lambda one: one.row.id)),
        versions=registry_table.count(session, name),
        page=f"{house.settings.api_address}/models/{name}",
    )


def _version(one: Served) -> ModelVersion:
    row = one.row
    return ModelVersion(
        version=row.version,
        framework=row.framework,
        status=cast(VersionStatus, one.status),
        stage=one.stage,
        since=one.rollout.stage_since if one.rollout is not None else row.created_at,
        reason=one.rollout.reason if one.rollout is not None else "",
        created_at=row.created_at,
        headline=_figure(figures.headline(row.metrics)),
        figures=tuple(_figure(figure) for figure in figures.every(row.metrics)),
        day=None if one.day is None else _behaviour(one.day),
        input_dim=row.input_dim,
        output_dim=row.output_dim,
        feature_version=row.feature_version,
        licences=tuple(row.licences),
    )


def _figure(one: figures.Figure) -> Figure:
    return Figure(
        measure=one.measure,
        target=one.target,
        value=one.value,
        baseline=one.baseline,
        unit=one.unit,
        better=one.better,
    )


def _behaviour(row: ModelMetrics) -> Behaviour:
    return Behaviour(
        at=row.created_at,
        n=row.n,
        latency_ms=row.latency_ms,
        latency_p95_ms=row.latency_p95_ms,
        err_rate=row.err_rate,
        retry_rate=row.retry_rate,
        input_psi=row.input_psi,
        output_psi=row.output_psi,
        output_ks=row.output_ks,
    )


def _series(one: timeline.Series) -> FigureHistory:
    points = tuple(MadePoint(at=point.at, version=point.version, value=point.value) for point in one.points)
    return FigureHistory(measure=one.measure, target=one.target, unit=one.unit, better=one.better, points=points)


def _rollout(session: Session, name: str, limit: int) -> Rollout:
    rows = rollout_table.history(session, name)
    versions = {row.id: row.version for row in registry_table.of_ids(session, {r.model_id for r in rows}).values()}
    running = next((row for row in rows if row.status == "running"), None)
    live = next((row for row in rows if row.status == "live"), None)
    return Rollout(
        name=name,
        live=None if live is None else versions.get(live.model_id),
        running=None if running is None else versions.get(running.model_id),
        stage=None if running is None else running.stage,
        etag=rollout_table.state(session, name),
        steps=tuple(
            RolloutStep(
                version=versions.get(row.model_id, "gone"),
                stage=row.stage,
                status=cast(StepStatus, row.status),
                reason=row.reason,
                decided_by=row.decided_by,
                started_at=row.started_at,
                stage_since=row.stage_since,
                ended_at=row.ended_at,
            )
            for row in rows[:limit]
        ),
    )


def _decision(decision: Decision, now: Rollout) -> RolloutDecision:
    return RolloutDecision(
        done=decision.done,
        sentence=decision.sentence,
        version=decision.version,
        before=decision.before,
        after=decision.after,
        rollout=now,
    )
