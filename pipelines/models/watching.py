"""The look at every model that serves: its figures over 1, 7 and 30 days, what the rules make of them, and the deed.

Bounds and sentences are rules.py's, the steps themselves rollout.py's, sums over traffic storage/metrics.py's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import BadInput, Unavailable
from pipelines.models import drift, rollout, rules
from pipelines.models.rollout import Decision, Routes
from pipelines.models.rules import Window
from pipelines.notifier import Notifier
from pipelines.storage import metrics, rollouts
from pipelines.storage.tables import AuditLog, ModelMetrics, ModelVersion, Rollout
from pipelines.storage.traffic import Traffic
from pipelines.studio import Studio

log = logging.getLogger(__name__)

BY = "rules"
DAYS = {"1d": 1, "7d": 7, "30d": 30}
MINUTES_KEPT = timedelta(hours=2)  # before they are put together by hours: no flush is so late
FIGURES_KEPT = timedelta(days=7)  # each; afterwards one a day
AHEAD = timedelta(seconds=clock.MOST_APART)  # two machines' clocks may differ by so much
COOLING = timedelta(days=1)  # after a rollback, in which the restored version is not blamed
ANNOUNCED = timedelta(minutes=55)  # looked back for decisions to tell; the notifier remembers a key for an hour


def measure(studio: Studio, now: datetime | None = None) -> list[ModelMetrics]:
    """Measures every version that runs or is live, and keeps the figures: one row a window, none twice a minute."""
    now = now or clock.now()
    found: list[ModelMetrics] = []
    for name in _names(studio):
        with studio.database.session() as session:
            rollouts.lock(session, name)
            for row in rollouts.present(session, name):
                if row is not None:
                    found += [kept for kept, _ in _measure(session, row, now).values()]
    return found


def check(studio: Studio, notifier: Notifier, now: datetime | None = None) -> list[Decision]:
    """Measures every model, does what the rules say, and tells it. The verdict on each name, done or not.

    Each name is looked at, judged and changed under its lock, in one transaction: of two checks at once the later one
    sees what the first did. Decisions are told from the audit trail, those by hand, too, and those of a check that
    was killed before it could. Without agreement of the clocks nothing goes up, everything else goes on. Unavailable
    when the database is away.
    """
    now = now or clock.now()
    found: list[Decision] = []
    for name in _names(studio):
        with studio.database.session() as session:
            decision, alarms = _check(session, name, now, lambda uri: at_hand(studio, uri))
        if decision is None:
            continue
        found.append(decision)
        for alarm in alarms:
            title = f"{name}: look at {decision.version}"
            what = alarm.split(":", 1)[0] if "moved" in alarm else _without_figures(alarm)
            notifier.send("alarms", title, [alarm], f"{name}/{decision.version}/{what}", within_s=86_400)
    announce(studio, notifier)
    return found


def announce(studio: Studio, notifier: Notifier) -> None:
    """Tells each decision of the last hour that was not told yet."""
    with studio.database.session() as session:
        rows = rollouts.decisions(session, ANNOUNCED)
    for row in rows:
        notifier.send(
            "decisions", _title(row), [str(row.detail.get("reason", "")), f"by {row.actor}"], f"audit:{row.hash}"
        )


def _check(
    session: Session, name: str, now: datetime, exists: Callable[[str], bool]
) -> tuple[Decision | None, tuple[str, ...]]:
    rollouts.lock(session, name)
    seen = rollout.current(session, name)
    present = [row for row in rollouts.present(session, name) if row is not None]
    if not present:
        return None, ()
    for row in present:
        _back_in_time(row, now)
    measured = {row.model_id: _measure(session, row, now) for row in present}
    windows = {model_id: {key: window for key, (_, window) in found.items()} for model_id, found in measured.items()}
    ages = {row.model_id: _age(row.stage_since, now) for row in present}
    verdict = rules.decide(windows, seen, ages, rules.policy(name), _restored(present, now))
    if isinstance(verdict, rules.RollBack):
        decision = rollout.roll_back(session, name, seen, now, BY, verdict.reason, exists, live=verdict.live)
        return decision, verdict.alarms
    if isinstance(verdict, rules.Promote):
        try:
            return rollout.promote(session, name, seen, now, BY, verdict.reason), verdict.alarms
        except Unavailable as jumped:
            return _held(session, seen, str(jumped)), (str(jumped), *verdict.alarms)
    return _held(session, seen, verdict.reason), verdict.alarms


def _measure(session: Session, row: Rollout, now: datetime) -> dict[str, tuple[ModelMetrics, Window]]:
    """The figures of one version by window, of its traffic since its present rollout began."""
    model = rollouts.model(session, row.model_id)
    assert model is not None  # the rollout would be gone with it
    metrics.condense(session, model.id, now - MINUTES_KEPT, now - timedelta(days=DAYS["30d"] + 1))
    metrics.thin(session, model.id, now - FIGURES_KEPT)
    begun = min(row.started_at, now).replace(second=0, microsecond=0)
    found: dict[str, tuple[ModelMetrics, Window]] = {}
    total: Traffic | None = None
    until = now + AHEAD
    for key, days in DAYS.items():  # each window adds the days before the shorter one
        since = max(now - timedelta(days=days), begun)
        part = metrics.traffic(session, model.id, since, until)
        total = part if total is None else part + total
        until = since
        window = _window(model, total)
        found[key] = (metrics.record(session, model.id, key, now, _figures(total, window)), window)
    return found


def _window(model: ModelVersion, total: Traffic) -> Window:
    seen = None
    if model.reference and len(total.input_counts) and len(total.output_counts):
        try:
            seen = drift.summarise(model.reference, total.input_counts, total.output_counts)
        except BadInput as other:  # counted by another release with another layout
            log.warning("%s %s: %s", model.name, model.version, other)
    p95 = drift.percentile(total.latency_counts, 0.95)
    return Window(total.n, total.errors, total.retries, p95, seen, total.last_error)


def _figures(total: Traffic, window: Window) -> dict[str, Any]:
    seen = window.drift
    detail: dict[str, Any] = {"errors": total.errors, "retries": total.retries, "last_error": total.last_error}
    if seen is not None:
        detail["drift"] = asdict(seen)
    tried = int(total.latency_counts.sum())  # calls passed on untried took no time
    return {
        "n": total.n,
        "latency_ms": total.latency_ms / tried if tried else None,
        "latency_p95_ms": window.p95_ms,
        "err_rate": window.err_rate,
        "retry_rate": window.retry_rate,
        "input_psi": seen.input_psi if seen else None,
        "output_psi": seen.output_psi if seen else None,
        "output_ks": seen.output_ks if seen else None,
        "detail": detail,
    }


def at_hand(studio: Studio, uri: str) -> bool:
    """A version is taken back even while the object store is away: the one before it may be in memory still."""
    try:
        return studio.objects.exists(uri)
    except Unavailable as away:
        log.warning("%s: taken to be there", away)
        return True


def _names(studio: Studio) -> list[str]:
    with studio.database.session() as session:
        return list(rollouts.names(session))


def _back_in_time(row: Rollout, now: datetime) -> None:
    """A stage that began in the future began when the clock was wrong. It is counted from now, or it would last until
    that day comes."""
    if row.stage_since > now + AHEAD:
        log.warning("%s: its stage began at %s, which is yet to come; counted from now", row.name, row.stage_since)
        row.stage_since = now
    if row.started_at > now + AHEAD:
        row.started_at = now


def _age(since: datetime, now: datetime) -> timedelta:
    return max(timedelta(0), now - since)


def _restored(present: list[Rollout], now: datetime) -> bool:
    return any(
        row.status == "live" and row.reason == rollout.RESTORED and _age(row.stage_since, now) < COOLING
        for row in present
    )


def _held(session: Session, seen: Routes, reason: str) -> Decision:
    model_id, stage = seen.running or (seen.live, 100)
    model = None if model_id is None else rollouts.model(session, model_id)
    version = "" if model is None else model.version
    return Decision(seen.name, "hold", model_id, version, stage, stage, reason, done=False)


def _without_figures(alarm: str) -> str:
    """So that the same alarm is the same from one look to the next."""
    return "".join(character for character in alarm if not character.isdigit())


def _title(row: AuditLog) -> str:
    detail: Mapping[str, Any] = row.detail
    name = row.subject.removeprefix("model:")
    words = {"begin": "begins", "promote": "goes up", "roll_back": "is taken back", "set_stage": "is set"}
    verb = words[row.action.removeprefix("rollout.")]
    return f"{name} {detail.get('version')} {verb}: {detail.get('before')} % -> {detail.get('after')} %"
