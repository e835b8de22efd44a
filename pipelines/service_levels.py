"""What is promised of the whole, and whether it is kept: answers without failure and in time, fresh training, deletions
in time, inputs that the models know.

Counted from what the API and the models left in the database. Who looks and when is an asset's, who is told the
notifier's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import add
from typing import Any, Literal

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.models import drift, rules
from pipelines.models.drift import Drift
from pipelines.notifier import Notifier
from pipelines.storage import api_traffic, metrics, models, rollouts, withdrawals
from pipelines.storage.api_traffic import Portion
from pipelines.studio import Studio

WINDOW = timedelta(hours=1)
LEAST = 50  # requests before a share or a percentile says anything
MOST_FAILED = 0.005
TRAINED_WITHIN = timedelta(days=8)  # a week, and a day for one that had to be started again
TOLD_AGAIN_S = 6 * 3600.0
PREDICT, RECOMMEND = "POST /v1/models/{name}/predict", "GET /v1/recommendations/{user}"
P95_MS = {"predictions": 30.0, "recommendations": 50.0, "reads": 500.0}

Result = Literal["kept", "broken", "unknown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``measured``: the figures, in words."""

    name: str
    promise: str
    result: Result
    measured: str


@dataclass(frozen=True, slots=True)
class Training:
    """The last run of the weekly training, as the orchestrator knows it."""

    at: datetime
    failed: bool


def measure(studio: Studio, training: Training | None = None, now: datetime | None = None) -> list[Verdict]:
    """One verdict a promise. ``training`` None: nobody knows of runs here, only registered versions count. Raises
    Unavailable while the database is away."""
    now = now or clock.now()
    with studio.database.session() as session:
        traffic = api_traffic.totals(session, now - WINDOW, now + timedelta(minutes=1))
        return [
            _answers(traffic),
            _fast("predictions", "95 % of the answers of models", [PREDICT], traffic),
            _fast("recommendations", "95 % of the lists of recommendations", [RECOMMEND], traffic),
            _fast("reads", "95 % of all other reads", _reads(traffic), traffic),
            _trained(session, training, now),
            _deleted(session, now),
            _known_inputs(session),
        ]


def problems(verdicts: Iterable[Verdict]) -> list[str]:
    """What is broken, one sentence each."""
    return [f"{verdict.promise}: {verdict.measured}" for verdict in verdicts if verdict.result == "broken"]


def tell(verdicts: Iterable[Verdict], notifier: Notifier) -> None:
    """Each broken promise as an alarm; one that stays broken is told again every six hours."""
    for verdict in verdicts:
        if verdict.result == "broken":
            title = f"Service level broken: {verdict.promise}"
            notifier.send("alarms", title, [verdict.measured], f"service-level/{verdict.name}", TOLD_AGAIN_S)


def _answers(traffic: dict[str, Portion]) -> Verdict:
    found = [portion for route, portion in traffic.items() if " /v1/" in route]
    n, failed = sum(p.n for p in found), sum(p.failed for p in found)
    promise = "99.5 % of the requests do not fail"
    if n < LEAST:
        return Verdict("answers", promise, "unknown", f"{n} requests in 1 h, of {LEAST} that are needed to tell")
    broken = failed > MOST_FAILED * n
    return Verdict(
        "answers", promise, "broken" if broken else "kept", f"{failed} of {n} failed in 1 h ({failed / n:.2%})"
    )


def _fast(name: str, what: str, routes: Sequence[str], traffic: dict[str, Portion]) -> Verdict:
    bound = P95_MS[name]
    promise = f"{what} take up to {bound:g} ms"
    found = [traffic[route] for route in routes if route in traffic]
    n = sum(p.n for p in found)
    if n < LEAST:
        return Verdict(name, promise, "unknown", f"{n} requests in 1 h, of {LEAST} that are needed to tell")
    p95 = drift.percentile(reduce(add, (p.latency_counts for p in found)), 0.95)
    assert p95 is not None
    return Verdict(name, promise, "broken" if p95 > bound else "kept", f"{p95:.3g} ms, of {n} requests in 1 h")


def _reads(traffic: dict[str, Portion]) -> list[str]:
    """Neither streams of events, which last as long as somebody listens, nor files, which last as long as they are."""
    return [
        route
        for route in traffic
        if route.startswith("GET /v1/")
        and route != RECOMMEND
        and not route.endswith("/events")
        and not route.startswith("GET /v1/files/")
    ]


def _trained(session: Session, training: Training | None, now: datetime) -> Verdict:
    promise = "models are trained at least every 8 days"
    newest = max((row.created_at for row in models.listed(session)), default=None)
    if training is not None and training.failed:
        return Verdict("training", promise, "broken", f"the last training failed, on {training.at:%Y-%m-%d %H:%M} UTC")
    last = max((at for at in (newest, training.at if training else None) if at is not None), default=None)
    if last is None:
        return Verdict("training", promise, "unknown", "nothing was trained yet")
    age = now - last
    measured = f"the last training was {age / timedelta(days=1):.1f} days ago"
    if age <= TRAINED_WITHIN:
        return Verdict("training", promise, "kept", measured)
    # A training whose rows have not changed registers nothing: without knowing of runs there is no telling.
    return Verdict("training", promise, "unknown" if training is None else "broken", measured)


def _deleted(session: Session, now: datetime) -> Verdict:
    promise = "whoever withdraws is deleted within 24 hours"
    waiting = withdrawals.unfinished(session)
    late = sum(row.due_at < now for row in waiting)
    measured = f"{late} of {len(waiting)} that wait are past their time" if waiting else "nobody waits"
    return Verdict("deletions", promise, "broken" if late else "kept", measured)


def _known_inputs(session: Session) -> Verdict:
    promise = "what models are asked, and what they answer, is like what they learned from"
    present = [row for name in rollouts.names(session) for row in rollouts.present(session, name) if row is not None]
    if not present:
        return Verdict("drift", promise, "unknown", "no model serves")
    newest = metrics.newest_of(session, [row.model_id for row in present], "7d")
    found: list[str] = []
    for row in present:
        measured = newest.get(row.model_id)
        if measured is not None:
            found += [f"{row.name}: {one}" for one in _moved(row.name, measured.detail)]
    if found:
        return Verdict("drift", promise, "broken", "; ".join(found))
    if not newest:
        return Verdict("drift", promise, "unknown", "nothing was measured yet")
    return Verdict("drift", promise, "kept", f"none of {len(present)} versions that serve")


def _moved(name: str, detail: dict[str, Any]) -> Iterator[str]:
    seen = detail.get("drift")
    if seen:
        worst = tuple((str(feature), float(psi)) for feature, psi in seen["worst"])
        yield from rules.moved(Drift(**{**seen, "worst": worst}), rules.policy(name))
