"""A studio with a past, for pages that show one: versions of three models with weeks of traffic and of decisions, jobs
with consents and originals, withdrawals under way, overdue and done, wishes to open an original, holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import select, update

from pipelines import clock
from pipelines.governance import access, vault, withdrawal
from pipelines.governance.people import Actor
from pipelines.models import rollout, watching
from pipelines.storage import flags
from pipelines.storage.tables import VaultItem, Withdrawal
from pipelines.studio import Studio
from tests.governance import house as governed
from tests.models import built, registered

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WARM = ("acoustic", "punchy", "warm")
OLGA, ADAM, ADA = Actor("Olga", "operator"), Actor("Adam", "administrator"), Actor("Ada", "editor")


def preset_metrics(f1: float) -> dict[str, Any]:
    simple = {"f1_macro": {"all": 0.18}, "accuracy": {"all": 0.36}, "log_loss": {"all": 1.09}}
    return {
        "f1_macro": {"all": f1},
        "accuracy": {"all": f1 + 0.05},
        "log_loss": {"all": 1.05 - f1 / 2},
        "baseline": {"majority": simple},
    }


def master_metrics(better: float) -> dict[str, Any]:
    targets = {"threshold_db": (2.1, "dB"), "gain_db": (0.8, "dB"), "ratio": (0.31, "")}
    return {
        "targets": {
            name: {
                "unit": unit,
                "r2": {"all": 0.55 + better},
                "mae": {"all": mae * (1 - better)},
                "baseline": {"mean": {"mae": {"all": mae * 1.4}}},
            }
            for name, (mae, unit) in targets.items()
        }
    }


def two_tower_metrics(ndcg: float) -> dict[str, Any]:
    return {
        "headline": {"measure": "NDCG@20", "value": ndcg},
        "compared": {
            "NDCG@20": {"model": ndcg, "baseline": 0.052},
            "recall@20": {"model": ndcg * 1.9, "baseline": 0.101},
        },
    }


@dataclass(frozen=True, slots=True)
class Version:
    """How one version of a life came and behaved. ``born``: days ago."""

    born: float
    metrics: dict[str, Any]
    ms: float = 4.0
    errors: float = 0.002
    shift: float = 0.0
    fate: str = "live"  # live, rolled_back, or running


def live_through(studio: Studio, name: str, versions: list[Version], days: int, every: timedelta = 12 * HOUR) -> None:
    """Registers and rolls out, counts traffic and measures it, as the weeks would have gone."""
    now = clock.now().replace(second=0, microsecond=0)
    database, rng = studio.database, np.random.default_rng(len(name))
    coming = sorted(versions, key=lambda one: -one.born)
    serving: list[tuple[int, Version, datetime]] = []
    moment = now - timedelta(days=days)
    while moment <= now:
        while coming and now - coming[0].born * DAY <= moment:
            one = coming.pop(0)
            serving.append((_begin(studio, name, one, moment, bool(serving)), one, moment))
        _decide(studio, name, serving, moment)
        routes = _routes(studio, name)
        for model_id, one, born in serving:
            if model_id not in routes:
                continue
            n = int((40 + 30 * np.sin(moment.hour / 4)) * (0.25 if len(routes) > 1 and routes[0] == model_id else 1))
            failed = int(rng.binomial(n, one.errors))
            grown = one.shift * min(1.0, (moment - born) / (10 * DAY))
            registered.traffic(
                database,
                model_id,
                moment - 10 * registered.MINUTE,
                max(n, 12),
                errors=failed,
                ms=one.ms * float(rng.uniform(0.8, 1.6)),
                shift=grown,
                seed=int(rng.integers(1 << 30)),
                last_error="onnxruntime said: out of memory" if failed else None,
            )
        watching.measure(studio, moment)
        moment += every


def _begin(studio: Studio, name: str, one: Version, moment: datetime, later: bool) -> int:
    row = built.registered(
        studio,
        built.linear(classes=WARM if name == "preset_cls" else (), bias=one.born),
        name=name,
        metrics=one.metrics,
        reference=registered.REFERENCE,
        now=moment,
    )
    with studio.database.session() as session:
        reason = "trained on Sunday; better than what is live" if later else "the first of its name"
        rollout.begin(session, name, row.id, moment, "rules", reason)
    return row.id


def _decide(studio: Studio, name: str, serving: list[tuple[int, Version, datetime]], moment: datetime) -> None:
    with studio.database.session() as session:
        seen = rollout.current(session, name)
        if seen.running is None:
            return
        model_id, stage = seen.running
        one, born = next((v, born) for i, v, born in serving if i == model_id)
        age = moment - born
        if one.fate == "rolled_back" and age >= 3 * DAY:
            why = "3.4 % of 412 calls failed, at least 2.1 % by Wilson's interval: more than the 2.0 % allowed"
            rollout.roll_back(session, name, seen, moment, "rules", why)
        elif stage == 5 and age >= DAY:
            why = "behaved for a day: 96 calls, none failed"
            rollout.promote(session, name, seen, moment, "rules", why)
        elif stage == 25 and age >= 4 * DAY and one.fate == "live":
            why = "two days at 25 % without a complaint"
            rollout.promote(session, name, seen, moment, OLGA.pseudonym, why)


def _routes(studio: Studio, name: str) -> tuple[int, ...]:
    with studio.database.session() as session:
        seen = rollout.current(session, name)
    return tuple(i for i in (seen.running[0] if seen.running else None, seen.live) if i is not None)


def with_models(studio: Studio, days: int = 28, every: timedelta = 12 * HOUR) -> None:
    presets = [
        Version(27.9, preset_metrics(0.71), ms=3.0),
        Version(20.5, preset_metrics(0.69), ms=3.2, errors=0.034, fate="rolled_back"),
        Version(13.5, preset_metrics(0.76), ms=3.5, shift=0.25),
        Version(2.5, preset_metrics(0.79), ms=3.1, fate="running"),
    ]
    masters = [Version(27.9, master_metrics(0.1), ms=6.0), Version(9.5, master_metrics(0.18), ms=5.0, shift=0.6)]
    towers = [Version(27.9, two_tower_metrics(0.081), ms=9.0), Version(6.5, two_tower_metrics(0.094), ms=11.0)]
    for name, versions in (("preset_cls", presets), ("master_reg", masters), ("two_tower", towers)):
        live_through(studio, name, versions, days, every)


def a_short_life(studio: Studio) -> None:
    """Two versions of one model: one live, one at 25 %, three days of traffic. For tests that act."""
    versions = [
        Version(2.9, preset_metrics(0.71)),
        Version(2.4, preset_metrics(0.78), fate="running"),
    ]
    live_through(studio, "preset_cls", versions, 3, 6 * HOUR)


def with_people(studio: Studio) -> dict[str, governed.Given]:
    """Ada has two jobs, Ben one, Mia one; Ben's mix is held, Kim withdrew long ago and waits still, Lea just now."""
    given = {
        name: governed.give(
            studio, name, owner, {f"{kind}-{name}.wav": f"{kind} of {name} ".encode() * 4000 for kind in kinds}
        )
        for name, owner, kinds in (
            ("spring-creek", "Ada", ("inst", "vocal")),
            ("harbour-lights", "Ada", ("mix",)),
            ("old-tram", "Ben", ("mix",)),
            ("paper-birds", "Mia", ("mix",)),
            ("night-train", "Kim", ("mix",)),
            ("lantern-song", "Lea", ("inst", "vocal")),
        )
    }
    with studio.database.session() as session:
        held = governed.item_of(studio, given["old-tram"], "mix")
        vault.hold(session, held.id, ADAM, "a claim about the sample in bar 12, until the court has spoken")
        flags.switch(session, "enable_align", False, by=OLGA.pseudonym, note="stems of the choir drift; seen today")
    return given


def with_withdrawals(studio: Studio) -> None:
    """One under way, one overdue, one done."""
    withdrawal.request(studio, "Mia", Actor("Mia", "viewer"))
    withdrawal.carry_out(studio)
    withdrawal.request(studio, "Lea", Actor("Lea", "viewer"), keep_originals=True)
    late = withdrawal.request(studio, "Kim", OLGA)
    with studio.database.session() as session:
        moved = {"requested_at": late.requested_at - 27 * HOUR, "due_at": late.due_at - 27 * HOUR}
        session.execute(update(Withdrawal).where(Withdrawal.id == late.id).values(**moved))


def with_wishes(studio: Studio) -> None:
    """Requests in every state."""
    with studio.database.session() as session:
        items = session.execute(
            select(VaultItem).where(VaultItem.deleted_at.is_(None)).order_by(VaultItem.id)
        ).scalars()
        first, second, third, fourth = [item.id for item in items][:4]
        access.request(session, ADA, first, "The mix clips at 1:12; I want to hear the stem itself.")
        refused = access.request(session, ADA, second, "Curious.")
        approved = access.request(session, OLGA, third, "The customer asks which microphone it was.")
        access.request(session, OLGA, fourth, "Alignment says fail; is the vocal of another take?")
        session.flush()
        access.decide(session, OLGA, refused.id, approve=False)
        access.decide(session, ADAM, approved.id, approve=True)
