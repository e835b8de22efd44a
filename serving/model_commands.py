"""Commands of the model life cycle. Each returns what --json prints and what a person reads; arguments are cli.py's."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipelines.errors import BadInput
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.studio import Studio

Answer = tuple[dict[str, Any], str]


def models(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.models import overview
    from pipelines.studio import Studio

    studio = Studio.open(settings)
    _known(studio, arguments.name)
    found = overview.versions(studio, arguments.name, arguments.limit)
    if not found:
        return {
            "models": []
        }, "No model is registered. `make dev` trains on Sundays; its job weekly_retraining does so now."
    lines = []
    for v in found:
        stage = f"{v.stage:3d} %" if v.stage is not None else "     "
        behaviour = ""
        if v.n:
            errors = f"{v.err_rate:.1%} errors" if v.err_rate is not None else ""
            latency = f"{v.latency_ms:.2f} ms" if v.latency_ms is not None else ""
            behaviour = f"  {v.n} calls a day, {latency}, {errors}"
        lines.append(
            f"{v.name:12} {v.version:13} {stage} {v.status:11} {v.measure} {v.headline:.3f} {v.framework}{behaviour}"
        )
    return {"models": [v.to_dict() for v in found]}, "\n".join(lines)


def rollout(arguments: Namespace, settings: Settings) -> Answer:
    """Shows who gets what; with --stage, --promote or --roll-back, changes it."""
    from pipelines import clock
    from pipelines.models import registry, rollout
    from pipelines.storage import rollouts
    from pipelines.studio import Studio
    from serving.people import operator

    studio = Studio.open(settings)
    changes = [arguments.stage is not None, arguments.promote, arguments.roll_back]
    if sum(changes) > 1:
        raise BadInput("rollout", "was given several changes at once", "give one of --stage, --promote, --roll-back")
    if any(changes) and arguments.name is None:
        raise BadInput("rollout", "was not told of which model", "give its name, such as preset_cls")
    if any(changes) and not arguments.reason:
        raise BadInput("rollout", "was not told why", "give --reason: it stands in the audit trail")
    _known(studio, arguments.name)
    if any(changes):
        by, now = operator().pseudonym, clock.now()
        with studio.database.session() as session:
            seen = rollout.current(session, arguments.name)
            if arguments.promote:
                decision = rollout.promote(session, arguments.name, seen, now, by, arguments.reason)
            elif arguments.roll_back:
                if seen.running is None and seen.live is not None and not arguments.live:
                    reason = "has nothing that is being rolled out"
                    raise BadInput(arguments.name, reason, "add --live to take the live version itself back")
                exists = studio.objects.exists
                decision = rollout.roll_back(session, arguments.name, seen, now, by, arguments.reason, exists)
            else:
                version = arguments.version
                model = registry.find(session, arguments.name, version).id if version else None
                why, exists = arguments.reason, studio.objects.exists
                decision = rollout.set_stage(session, arguments.name, arguments.stage, now, by, why, model, exists)
        return {"decision": asdict(decision), "sentence": decision.sentence}, decision.sentence
    with studio.database.session() as session:
        names = [arguments.name] if arguments.name else rollouts.names(session)
        shown = {}
        for name in names:
            history = rollouts.history(session, name)[: arguments.limit]
            shown[name] = [
                {
                    "version": getattr(rollouts.model(session, r.model_id), "version", "gone"),
                    "stage": r.stage,
                    "status": r.status,
                    "since": r.stage_since.isoformat(),
                    "reason": r.reason,
                    "by": r.decided_by,
                }
                for r in history
            ]
    lines = [
        f"{name:12} {r['version']:13} {r['stage']:3d} % {r['status']:11} since {r['since'][:16]}  {r['reason']}"
        for name, rows in shown.items()
        for r in rows
    ]
    return {"rollouts": shown}, "\n".join(lines) or "No model is rolled out."


def _known(studio: Studio, name: str | None) -> None:
    """BadInput for a name that no model has, where there are models."""
    from pipelines.storage import models as table

    with studio.database.session() as session:
        names = table.names(session)
    if name is not None and names and name not in names:
        raise BadInput(name, "is no model", f"choose from {', '.join(names)}")


def flag(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.storage import flags
    from pipelines.studio import Studio
    from serving.people import operator

    with Studio.open(settings).database.session() as session:
        if arguments.name is not None and arguments.state is None:
            raise BadInput(
                arguments.name, "was not told to be on or off", "add on or off; without a name all are shown"
            )
        if arguments.name is not None:
            by = operator().pseudonym
            flags.switch(session, arguments.name, arguments.state == "on", by=by, note=arguments.reason or "")
        found = flags.listed(session)
    rows = [{"name": name, "enabled": on, "switches": what} for name, on, what in found]
    return {"flags": rows}, "\n".join(f"{name:18} {'on ' if on else 'off'}  {what}" for name, on, what in found)
