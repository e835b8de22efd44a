"""Who gets which version of a model: 5, 25, then 100 % of the users, and back.

Each step locks the model's name, changes the rows, and is explained in the audit trail within one transaction. When a
step is due is rules.py's, who asks that is watching.py's.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import BadInput, Conflict, NotFound
from pipelines.storage import audit, rollouts
from pipelines.storage.tables import STAGES, ModelVersion, Rollout

BUCKETS = 10_000
FIRST_STAGE = STAGES[1]
NEXT_STAGE = {5: 25, 25: 100}
RESTORED = "live again after a later version was taken back"


@dataclass(frozen=True, slots=True)
class Routes:
    """Ids in ``model_registry``. ``live`` is None before the first version and when all were taken back."""

    name: str
    running: tuple[int, int] | None  # the candidate and its stage in per cent
    live: int | None
    previous: int | None = None  # live before ``live``, for when that fails


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a version, and why. ``done`` is False when nothing was changed."""

    name: str
    action: str  # begin, promote, roll_back, set_stage or hold
    model_id: int | None
    version: str
    before: int  # per cent of the users
    after: int
    reason: str
    done: bool = True

    @property
    def sentence(self) -> str:
        step = f"{self.before} % -> {self.after} %" if self.done else f"stays at {self.after} %"
        return f"{self.name} {self.version}: {step}: {self.reason}"


def bucket(name: str, user_id: str) -> int:
    """0..9999, the same for all spellings of a user's id; another one for each model, so that the same few people
    are not the first to meet every new version."""
    plain = unicodedata.normalize("NFC", user_id.strip().casefold())
    return int.from_bytes(hashlib.sha256(f"{name}\0{plain}".encode()).digest()[:8], "big") % BUCKETS


def route(routes: Routes, user_id: str) -> tuple[int, ...]:
    """Model ids in the order to try. A user who gets the candidate at 5 % gets it at 25 %, too."""
    order = [routes.live, routes.previous]
    if routes.running is not None:
        model_id, stage = routes.running
        if bucket(routes.name, user_id) < stage * BUCKETS // 100:
            order.insert(0, model_id)
    return tuple(dict.fromkeys(model_id for model_id in order if model_id is not None))


def current(session: Session, name: str) -> Routes:
    """The state as it is committed now; empty for a name that nobody began."""
    running, live = rollouts.present(session, name)
    return Routes(
        name,
        None if running is None else (running.model_id, running.stage),
        None if live is None else live.model_id,
        None if live is None else live.previous_id,
    )


def begin(
    session: Session, name: str, model_id: int, now: datetime, by: str, reason: str, stage: int | None = None
) -> Decision:
    """The version becomes the candidate at 5 % (or ``stage``), in place of one that runs; the first of its name is live
    at once, since there is nothing to protect. Where versions were live and none is any more, the rule serves those
    that the candidate does not. Nothing happens to one that runs or is live. ``by``: a person's pseudonym, or the part
    of the product that decided. NotFound for a model that is not of this name."""
    rollouts.lock(session, name)
    model = _registered(session, name, model_id)
    running, live = rollouts.present(session, name)
    for row in (running, live):
        if row is not None and row.model_id == model_id:
            return _nothing(session, row, "begin", f"is {row.status} already")
    if running is not None:
        _end(running, "superseded", now)
        replaced = rollouts.model(session, running.model_id)
        reason += f" (in place of {replaced.version} at {running.stage} %)" if replaced else ""
    session.flush()
    if stage is None:
        stage = FIRST_STAGE if rollouts.history(session, name) else 100
    rollouts.add(
        session,
        name=name,
        model_id=model_id,
        previous_id=None if live is None else live.model_id,
        stage=stage,
        status="live" if stage == 100 else "running",
        reason=reason,
        decided_by=by,
        now=now,
    )
    return _explained(session, by, Decision(name, "begin", model_id, model.version, 0, stage, reason))


def promote(session: Session, name: str, seen: Routes, now: datetime, by: str, reason: str) -> Decision:
    """The candidate of ``seen`` (from ``current``) goes one stage up; at 100 % it is live and the version before it
    superseded. Nothing happens when the state is not as it was seen: somebody was quicker. Unavailable when this
    machine's clock and the database's disagree; Conflict when nothing was running."""
    if seen.running is None:
        raise Conflict(name, "has no version that is being rolled out", "begin one, or see what is live")
    clock.agreed(session)
    rollouts.lock(session, name)
    running, live = rollouts.present(session, name)
    if running is None or not _as_seen(seen, running, live):
        return _overtaken(session, seen, "promote")
    return _move(session, running, live, NEXT_STAGE[running.stage], "promote", now, by, reason)


def roll_back(
    session: Session,
    name: str,
    seen: Routes,
    now: datetime,
    by: str,
    reason: str,
    exists: Callable[[str], bool] = lambda uri: True,
    live: bool = False,
) -> Decision:
    """Ends the candidate of ``seen``; without one, or when ``live`` is asked for, takes the live one back: the newest
    earlier one that was not itself taken back and whose bytes ``exists`` (asked with object keys) still finds is live
    then; without any, the rule answers until another is begun. Nothing happens when the state is not as it was seen.
    Needs no agreement of clocks. Conflict when there is nothing to take back."""
    if seen.live is None and (live or seen.running is None):
        raise Conflict(name, "has no version to take back", "begin one first")
    rollouts.lock(session, name)
    running, present = rollouts.present(session, name)
    bad = present if live or running is None else running
    if bad is None or not _as_seen(seen, running, present):
        return _overtaken(session, seen, "roll_back")
    _end(bad, "rolled_back", now)
    session.flush()
    if bad is present:
        reason = f"{reason}; {_restore(session, name, bad.model_id, now, by, exists)}"
    version = _version(session, bad.model_id)
    return _explained(session, by, Decision(name, "roll_back", bad.model_id, version, bad.stage, 0, reason))


def set_stage(
    session: Session,
    name: str,
    stage: int,
    now: datetime,
    by: str,
    reason: str,
    model_id: int | None = None,
    exists: Callable[[str], bool] = lambda uri: True,
) -> Decision:
    """By hand: the candidate, or the version ``model_id`` in its place, to 5, 25 or 100 %, in either direction; 0 ends
    it. Asked for again it changes nothing. BadInput for another stage, Conflict for no candidate, or for the live
    version (which only ``roll_back`` moves); Unavailable as for ``promote`` when it goes up."""
    if stage not in STAGES:
        raise BadInput(f"stage {stage}", "is none", f"choose from {', '.join(map(str, STAGES))}")
    rollouts.lock(session, name)
    running, live = rollouts.present(session, name)
    if model_id is not None and live is not None and live.model_id == model_id:
        if stage == 100:
            return _nothing(session, live, "set_stage", "is live already")
        raise Conflict(f"{name} {_version(session, model_id)}", "is live", "roll it back instead")
    if model_id is not None and (running is None or running.model_id != model_id):
        if stage == 0:
            raise Conflict(
                f"{name} {_version(session, model_id)}", "is not being rolled out", "there is nothing to end"
            )
        started = begin(session, name, model_id, now, by, reason, stage if live is None else None)
        if started.after in (stage, 100):
            return started
        running, live = rollouts.present(session, name)
    if running is None:
        raise Conflict(name, "has no version that is being rolled out", "name a version to begin with")
    if running.stage == stage:
        return _nothing(session, running, "set_stage", "is there already")
    if stage == 0:
        return roll_back(session, name, current(session, name), now, by, reason, exists)
    if stage > running.stage:
        clock.agreed(session)
    return _move(session, running, live, stage, "set_stage", now, by, reason)


def _move(
    session: Session,
    running: Rollout,
    live: Rollout | None,
    stage: int,
    action: str,
    now: datetime,
    by: str,
    reason: str,
) -> Decision:
    before = running.stage
    if stage == 100:
        running.previous_id = None if live is None else live.model_id
        if live is not None:
            _end(live, "superseded", now)
            session.flush()  # two live versions are refused, even for a moment
        running.status = "live"
    running.stage, running.stage_since, running.reason, running.decided_by = stage, now, reason, by
    version = _version(session, running.model_id)
    return _explained(session, by, Decision(running.name, action, running.model_id, version, before, stage, reason))


def _restore(session: Session, name: str, bad_id: int, now: datetime, by: str, exists: Callable[[str], bool]) -> str:
    """Makes the newest usable earlier version live; the sentence about it."""
    usable = (model for model in _earlier(session, name, bad_id) if exists(model.uri))
    model = next(usable, None)
    if model is None:
        return "no earlier version is left, the rule answers"
    before = next(usable, None)
    rollouts.add(
        session,
        name=name,
        model_id=model.id,
        previous_id=None if before is None else before.id,
        stage=100,
        status="live",
        reason=RESTORED,
        decided_by=by,
        now=now,
    )
    return f"{model.version} is live again"


def _earlier(session: Session, name: str, bad_id: int) -> Iterator[ModelVersion]:
    """Versions that were live once, newest first, without those whose last rollout ended in taking them back."""
    met = {bad_id}
    for row in rollouts.history(session, name):
        if row.model_id in met or (row.status == "superseded" and row.stage < 100):
            continue
        met.add(row.model_id)
        if row.status == "superseded" and (model := rollouts.model(session, row.model_id)) is not None:
            yield model


def _as_seen(seen: Routes, running: Rollout | None, live: Rollout | None) -> bool:
    return seen.running == (None if running is None else (running.model_id, running.stage)) and seen.live == (
        None if live is None else live.model_id
    )


def _registered(session: Session, name: str, model_id: int) -> ModelVersion:
    model = rollouts.model(session, model_id)
    if model is None or model.name != name:
        raise NotFound(f"model {model_id}", f"is no version of {name}", "see the registry for its versions")
    return model


def _version(session: Session, model_id: int) -> str:
    model = rollouts.model(session, model_id)
    return f"model {model_id}" if model is None else model.version


def _end(row: Rollout, status: str, now: datetime) -> None:
    row.status, row.ended_at = status, now


def _nothing(session: Session, row: Rollout, action: str, why: str) -> Decision:
    version = _version(session, row.model_id)
    return Decision(row.name, action, row.model_id, version, row.stage, row.stage, why, done=False)


def _overtaken(session: Session, seen: Routes, action: str) -> Decision:
    model_id, stage = seen.running or (seen.live, 100)
    version = "" if model_id is None else _version(session, model_id)
    reason = "somebody else was quicker, nothing was changed"
    return Decision(seen.name, action, model_id, version, stage, stage, reason, done=False)


def _explained(session: Session, by: str, decision: Decision) -> Decision:
    detail = {
        "model_id": decision.model_id,
        "version": decision.version,
        "before": decision.before,
        "after": decision.after,
        "reason": decision.reason,
    }
    audit.write(session, actor=by, action=f"rollout.{decision.action}", subject=f"model:{decision.name}", detail=detail)
    return decision
