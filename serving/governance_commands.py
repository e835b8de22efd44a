"""Commands of governance: withdrawal, retention, holds, access, the audit trail. Arguments are cli.py's."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from pipelines import clock
from pipelines.errors import BadInput
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.studio import Studio

Answer = tuple[dict[str, Any], str]


def consents(arguments: Namespace, settings: Settings) -> Answer:
    """What a person allows, job by job and as a viewer; what --quality or --training names is set, for all of it or
    the job of --job."""
    from dataclasses import asdict

    from pipelines.governance import consent, withdrawal
    from pipelines.studio import Studio
    from serving.people import operator

    studio = Studio.open(settings)
    with studio.database.session() as session:
        given = [g for g in consent.show(session, arguments.owner) if arguments.job in (None, g.job)]
        if arguments.job is not None and not given:
            raise BadInput(arguments.job, f"is no job of {arguments.owner}'s", "see the list without --job")
        if arguments.quality or arguments.training:
            for g in given:
                if g.withdrawn_at is None:
                    quality = arguments.quality == "yes" if arguments.quality else g.quality
                    training = arguments.training == "yes" if arguments.training else g.training
                    consent.give(session, operator(), g.job_id, quality=quality, training=training)
            given = consent.show(session, arguments.owner)
        watched = [] if arguments.job is not None else consent.show_viewer(session, arguments.owner)
        if arguments.training and any(viewer.withdrawn_at is None for viewer in watched):
            consent.give_viewer(session, operator(), arguments.owner, training=arguments.training == "yes")
            watched = consent.show_viewer(session, arguments.owner)
    if arguments.training == "no":
        withdrawal.erase_learned(studio, clock.now())
    rows = [
        asdict(g)
        | {
            "granted_at": g.granted_at.isoformat(),
            "withdrawn_at": g.withdrawn_at.isoformat() if g.withdrawn_at else None,
        }
        for g in given
    ]
    lines = [
        f"{g.job:24} quality {'yes' if g.quality else 'no ':3}  training {'yes' if g.training else 'no ':3}"
        + (f"  withdrawn {g.withdrawn_at:%Y-%m-%d}" if g.withdrawn_at else "")
        for g in given
    ]
    said = {None: "as its giver allows", True: "yes", False: "no"}
    lines += [f"{'decisions as a viewer':24} training {said[viewer.training]}" for viewer in watched]
    result = {"consents": rows, "viewer": [{"id": v.user_id, "training": v.training} for v in watched]}
    return result, "\n".join(lines) or "This person gave nothing."


def withdraw(arguments: Namespace, settings: Settings) -> Answer:
    """Excludes a person at once; the hourly run, or --now, deletes."""
    from pipelines.governance import withdrawal
    from pipelines.studio import Studio
    from serving.people import operator

    studio = Studio.open(settings)
    keep = arguments.keep_originals
    if arguments.dry_run:
        plan = withdrawal.foresee(studio, arguments.owner, keep_originals=keep)
        return {"person": plan.person, "plan": plan.summary()}, "\n".join(plan.lines()) or "Nothing would go."
    row = withdrawal.request(studio, arguments.owner, operator(), keep_originals=keep)
    result: dict[str, Any] = {"withdrawal": row.id, "due_at": row.due_at.isoformat(), "completed": False}
    text = f"excluded from now on; deleted by {row.due_at:%Y-%m-%d %H:%M} UTC"
    if arguments.now:
        for report in withdrawal.carry_out(studio):
            if report.withdrawal_id == row.id:
                result |= {"completed": report.done, "waiting": report.waiting, "deleted": report.summary}
                text = report.waiting or "all deleted, and looked for again"
                if report.summary.get("held"):
                    text += f"; under a legal hold and kept: {len(report.summary['held'])} items"
        if result["completed"]:
            result["runs_wiped"] = _wipe(studio)
            text += f"; {result['runs_wiped']} runs of Dagster's with their logs and pictures deleted"
    return result, text


def _wipe(studio: Studio) -> int:
    """As the hourly run does. Nothing where Dagster has not been started in this home."""
    import os

    from pipelines.governance import records
    from resources import instance

    if not (studio.settings.home_path / "dagster").is_dir():
        return 0
    os.environ.update(instance.prepare(studio.settings, studio.database))
    import dagster as dg

    from assets.wiping import wipe

    with dg.DagsterInstance.get() as found:
        return wipe(found, records.named_batches(studio), records.last_completed(studio))


def retention(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.governance import retention as rules
    from pipelines.studio import Studio

    report = rules.expire(Studio.open(settings), dry_run=arguments.dry_run)
    result = {
        "dry_run": report.dry_run,
        "expired": len(report.expired),
        "freed": report.freed,
        "held": len(report.held),
    }
    return result | {"lines": report.lines()}, "\n".join(report.lines()) or "Nothing has expired."


def vault(arguments: Namespace, settings: Settings) -> Answer:
    """What is kept of a person, how long, and legal holds."""
    from pipelines.governance import vault as rules
    from pipelines.studio import Studio
    from serving.people import operator

    studio = Studio.open(settings)
    with studio.database.session() as session:
        if arguments.hold is not None:
            rules.hold(session, arguments.hold, operator(), arguments.reason or "")
        if arguments.release is not None:
            rules.release(session, arguments.release, operator())
        if arguments.owner is None:
            if arguments.hold is None and arguments.release is None:
                raise BadInput("vault", "was not told whose", "give the owner's name")
            return {"hold": arguments.hold, "release": arguments.release}, "done"
        rows = [
            {
                "item": item.id,
                "kind": item.kind,
                "job": item.job_id,
                "bytes": item.size,
                "expires_at": item.expires_at.isoformat() if item.expires_at else None,
                "legal_hold": item.legal_hold,
                "deleted_at": item.deleted_at.isoformat() if item.deleted_at else None,
            }
            for item in rules.items(session, arguments.owner)
        ]
    lines = [
        f"{r['item']:5}  {r['kind']:8} {r['bytes'] / 1e6:8.1f} MB  "
        + (f"deleted {r['deleted_at'][:16]}" if r["deleted_at"] else f"until {(r['expires_at'] or 'withdrawn')[:16]}")
        + ("  legal hold" if r["legal_hold"] else "")
        for r in rows
    ]
    return {"items": rows}, "\n".join(lines) or "Nothing of this person is in the vault."


def access(arguments: Namespace, settings: Settings) -> Answer:
    """Opening an original takes two people: one asks, another one decides."""
    from pipelines.governance import access as rules
    from pipelines.storage import access as table
    from pipelines.studio import Studio
    from serving.people import operator

    studio, actor = Studio.open(settings), operator(arguments.as_)
    if arguments.step == "list":
        with studio.database.session() as session:
            rows = [
                {"request": row.id, "item": item.id, "kind": item.kind, "by": row.requested_by, "reason": row.reason}
                for row, item in table.undecided(session)
            ]
        lines = [f"{r['request']:5}  item {r['item']} ({r['kind']})  {r['by']}: {r['reason']}" for r in rows]
        return {"requests": rows}, "\n".join(lines) or "No request waits for a decision."
    if arguments.id is None:
        raise BadInput(f"access {arguments.step}", "was not told which", "give the number that list or request shows")
    if arguments.step == "open":
        url = rules.open(studio, actor, arguments.id)
        return {"request": arguments.id, "url": url, "seconds": rules.URL_SECONDS}, url
    with studio.database.session() as session:
        if arguments.step == "request":
            row = rules.request(session, actor, arguments.id, arguments.reason or "")
            return {
                "request": row.id
            }, f"request {row.id}: another person approves it with `orimono access approve {row.id}`"
        row = rules.decide(session, actor, arguments.id, approve=arguments.step == "approve")
    word = "approved" if row.approved else "refused"
    return {"request": row.id, "approved": row.approved}, f"request {row.id} is {word}"


def audit(arguments: Namespace, settings: Settings) -> Answer:
    """verify: recomputes the chain; show: the newest rows, of one subject if given."""
    from pipelines.governance import audit as rules
    from pipelines.storage import audit as table
    from pipelines.studio import Studio

    with Studio.open(settings).database.session() as session:
        if arguments.step == "verify":
            verdict = rules.verify(session, rules.Head.parse(arguments.head) if arguments.head else None)
            result = {
                "ok": verdict.ok,
                "rows": verdict.n,
                "head": str(verdict.head),
                "broken_at": verdict.broken_seq,
                "reason": verdict.reason,
            }
            return result | {"exit_code": 0 if verdict.ok else 1}, str(verdict)
        if arguments.subject is not None:
            rows = list(reversed(table.of_subject(session, arguments.subject)))[: arguments.limit]
        else:
            rows = list(table.newest(session, arguments.limit))
    shown = [
        {
            "seq": r.seq,
            "at": r.at.isoformat(),
            "actor": r.actor,
            "action": r.action,
            "subject": r.subject,
            "detail": r.detail,
        }
        for r in rows
    ]
    lines = [
        f"{r['seq']:5}  {r['at'][:19]}  {r['actor']:16} {r['action']:22} {r['subject']:22} "
        f"{r['detail'].get('sentence') or r['detail'].get('reason') or ''}"
        for r in shown
    ]
    return {"rows": shown}, "\n".join(lines) or "Nothing is written there."
