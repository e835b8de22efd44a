"""A person takes their consent back: excluded in the same moment, deleted within a day, and that nothing is left is
looked at before it is said.

Killed anywhere, the next run goes on: what to look for is in the withdrawal's row until all is gone. What lies where
outside the database is traces.py's, which rows are a person's storage/withdrawals.py's.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from pipelines import clock, results
from pipelines.errors import Conflict, NotFound, OrimonoError, Unavailable
from pipelines.governance import exports, retention, traces
from pipelines.governance.people import Actor, needs, pseudonym
from pipelines.governance.plans import Plan
from pipelines.governance.traces import Places, Trace
from pipelines.intake import batches as intake
from pipelines.scoring import layout
from pipelines.storage import audit, batches, claims, forgetting, score_jobs, snapshots, viewers, withdrawals
from pipelines.storage.tables import Withdrawal
from pipelines.studio import Studio

DUE = timedelta(hours=24)
PRESSING = timedelta(hours=6)  # before it is due: from then on running batches are not waited for
PASSES = 3  # looks in one run; what still comes after them is left to the next run
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one withdrawal in this run."""

    withdrawal_id: int
    person: str  # pseudonym
    done: bool
    overdue: bool
    waiting: str | None  # why it is not done
    batches: tuple[str, ...]  # whose records in the orchestrator are to be wiped
    summary: dict[str, Any]


def request(
    studio: Studio, owner: str, by: Actor, *, keep_originals: bool = False, now: datetime | None = None
) -> Withdrawal:
    """Excludes everything of ``owner``'s from this moment, to be deleted by ``carry_out`` within a day. Asked for
    again, it is the same withdrawal, which then also covers what came since, and the originals unless both kept them.

    NotFound when nothing of this person is here, NotAllowed when somebody below an operator asks for another.
    """
    now = now or clock.now()
    person = pseudonym(owner)
    if by.pseudonym != person:
        needs(by, "operator")
    with studio.database.session() as session:
        withdrawals.lock_person(session, person)
        until = clock.of_database(session)
        row = withdrawals.of_person(session, person)
        keep = keep_originals and (row is None or row.keep_originals)
        before = row.report.get("trace", {}) if row is not None else {}
        known = traces.untaken(studio, session, person) | traces.watching(session, owner)
        trace = replace(traces.follow(session, person, until, keep, _with(before, known)), exports=None)
        if row is None:
            nothing = not (trace.spellings or trace.folders or trace.viewers)
            if nothing and not any(snapshots.holding(session, one) for one in trace.persons):
                remedy = "name the person as job.yaml's owner does, or as decisions do"
                raise NotFound(owner, "gave nothing that is here", remedy)
            row = Withdrawal(user_id=owner.strip(), keep_originals=keep, requested_by=by.name, due_at=now + DUE)
            session.add(row)
        row.keep_originals = keep
        row.requested_at = max(now, until)  # consents are dated by the database's clock, snapshots by ours
        row.report = {"trace": trace.to_dict()}
        withdrawals.exclude(session, trace.jobs, until)
        viewers.withdraw(session, trace.viewers, until)
        forgetting.hide(session, trace.viewers)
        traces.put_aside(studio, trace.folders)
        detail = {"keep_originals": keep, "jobs": len(trace.jobs), "due_at": row.due_at.isoformat()}
        detail |= {"viewers": len(trace.viewers)} if trace.viewers else {}
        audit.write(session, actor=by.pseudonym, action="withdrawal.request", subject=f"user:{person}", detail=detail)
    log.info("user:%s withdrew: %d jobs excluded, to be deleted by %s", person, len(trace.jobs), row.due_at)
    _tell_backups(studio)
    return row


def plan(studio: Studio, withdrawal: Withdrawal) -> Plan:
    """What ``carry_out`` would delete now. Changes nothing."""
    if withdrawal.completed_at is not None:
        raise Conflict(f"withdrawal {withdrawal.id}", "is completed", "read its report")
    trace = _searched(studio, _follow(studio, withdrawal))
    return _planned(studio, trace, traces.look(studio, trace))


def foresee(studio: Studio, owner: str, *, keep_originals: bool = False) -> Plan:
    """What a withdrawal of this person would delete if they asked for it now. Changes nothing."""
    with studio.database.session() as session:
        until = clock.of_database(session)
        person = pseudonym(owner)
        known = traces.untaken(studio, session, person) | traces.watching(session, owner)
        trace = traces.follow(session, person, until, keep_originals, known)
    trace = _searched(studio, replace(trace, asked=False))
    return _planned(studio, trace, traces.look(studio, trace))


def erase_learned(studio: Studio, now: datetime) -> None:
    """What was learned from those who have taken training back since: snapshots with what was trained of them, and
    composers' styles. Where nothing is left to erase, nothing is done. A backup put back learns it from beside it."""
    from pipelines.composing import personal
    from pipelines.models import snapshots as training

    _tell_backups(studio)
    training.erase_taken_back(studio, now)
    personal.erase_taken_back(studio)


def carry_out(studio: Studio, now: datetime | None = None) -> list[Report]:
    """Deletes for every unfinished withdrawal, the oldest first. Empty when there is none, or another process is at it.

    A batch that runs may still write of a job it began with, so the last look waits for it, but not beyond six hours
    before the withdrawal is due.
    """
    now = now or clock.now()
    erase_learned(studio, now)  # where whoever took it back was cut off before
    reports = []
    with studio.database.session() as guard:  # its lock lasts as long as this process, or its connection, lives
        if not withdrawals.lock(guard):
            return []
        for row in withdrawals.unfinished(guard):
            try:
                reports.append(_carry_out(studio, row, now))
            except OrimonoError as error:  # the next one may be possible; this one is tried again by the next run
                log.error("withdrawal of user:%s is not done: %s", pseudonym(row.user_id), error)
                person = pseudonym(row.user_id)
                reports.append(Report(row.id, person, False, now > row.due_at, str(error), (), {}))
    return reports


def _tell_backups(studio: Studio) -> None:
    from pipelines.upkeep import ledger

    ledger.tell(studio)


def _carry_out(studio: Studio, row: Withdrawal, now: datetime) -> Report:
    trace = _searched(studio, _follow(studio, row))
    left: str | None = None
    for _ in range(PASSES):
        places = traces.look(studio, trace)
        summary = _note(studio, row, trace, places)
        with studio.database.session() as session:
            busy = [f"batch {batch.key}" for batch in batches.by_status(session, "requested")]
            scored = score_jobs.held(session)
            busy += [f"score job {sheet}" for sheet in trace.sheets if score_jobs.narrow(sheet) in scored]
        calm = not busy or now >= row.due_at - PRESSING
        trace = _delete(studio, row, trace, places, now, calm=calm)
        left = _left(studio, trace, calm=calm)
        if left is None and not calm:
            left = f"everything known is deleted; the last look waits for {', '.join(busy)}"
            break
        if left is None:
            _complete(studio, row, trace, summary, now)
            break
    overdue = left is not None and now > row.due_at
    if left is not None:
        log.log(logging.ERROR if overdue else logging.INFO, "withdrawal of user:%s: %s", trace.person, left)
    return Report(row.id, trace.person, left is None, overdue, left, trace.batches, summary)


def _follow(studio: Studio, row: Withdrawal) -> Trace:
    before = row.report.get("trace", {})
    until = datetime.fromisoformat(before["until"]) if before else row.requested_at
    with studio.database.session() as session:
        return traces.follow(session, pseudonym(row.user_id), until, row.keep_originals, before)


def _searched(studio: Studio, trace: Trace) -> Trace:
    """The trace with others' files that name the viewer; they are read once, before the tables forget."""
    return trace if trace.exports is not None else replace(trace, exports=exports.naming(studio, trace))


def _with(before: dict[str, Any], found: dict[str, list[str]]) -> dict[str, Any]:
    return before | {name: sorted({*before.get(name, ()), *values}) for name, values in found.items()}


def _note(studio: Studio, row: Withdrawal, trace: Trace, places: Places) -> dict[str, Any]:
    """Writes down what to look for, and at the first look what there was, before any of it goes."""
    planned = _planned(studio, trace, places)
    with studio.database.session() as session:
        mine = _mine(session, row)
        summary: dict[str, Any] = mine.report.get("summary") or planned.summary()
        mine.report = {"trace": trace.to_dict(), "summary": summary}
        withdrawals.exclude(session, trace.jobs, trace.until)  # those whose intake was under way
        viewers.withdraw(session, trace.viewers, trace.until)  # whom an import brought meanwhile
    return summary


def _delete(studio: Studio, row: Withdrawal, trace: Trace, places: Places, now: datetime, *, calm: bool) -> Trace:
    from pipelines.models import snapshots as training

    for person in trace.persons:
        training.erase(studio, person, "withdrawn", now)
    exports.drop(studio, trace, now)
    published = traces.published(studio, trace, places)
    with studio.database.session() as session:
        for name, job_id in traces.claimants(session, trace).items():
            if name in published:
                intake.bring_back(session, job_id)  # their results lay beside the person's: publish them again
                trace = replace(trace, cleared=(*trace.cleared, f"{results.PLACE}/{name}"))
    if calm and trace.edited and "segments" not in trace.cleared:
        places = replace(places, folders=(*places.folders, *traces.segments(studio)))
        trace = replace(trace, cleared=(*trace.cleared, "segments"))
    traces.clear(studio, places, orphans=calm)
    shutil.rmtree(retention.opened(studio), ignore_errors=True)  # copies handed out, everybody's: they live for 120 s
    with studio.database.session() as session:
        for identity in score_jobs.identities(session, trace.sheets, "google"):
            layout.forget(layout.folder(studio.settings.home_path), identity)
        claims.read_again(session, [item.key for item in places.objects if item.key.startswith("media/")])
        mine = _mine(session, row)
        forgetting.hide(session, trace.viewers)
        withdrawals.erase(session, trace.rows, trace.spellings, trace.until, now, keep=trace.keep)
        mine.report = mine.report | {"trace": trace.to_dict()}
    return trace


def _left(studio: Studio, trace: Trace, *, calm: bool) -> str | None:
    """What a fresh look still finds; None when all is gone."""
    places = traces.look(studio, trace)
    with studio.database.session() as session:
        found = traces.follow(session, trace.person, trace.until, trace.keep, trace.to_dict())
        rows = withdrawals.counts(session, found.rows, found.spellings, found.until, keep=found.keep)
        sets = sum(len(snapshots.holding(session, person)) for person in trace.persons)
        videos = forgetting.left(session, trace.jobs)
    objects = len(places.objects) + (len(places.orphans) if calm else 0) + len(exports.items(studio, trace))
    left = {
        "rows": sum(rows.values()) + videos,
        "objects": objects,
        "folders": len(places.folders),
        "training snapshots": sets,
    }
    if not any(left.values()):
        return None
    return f"{', '.join(f'{n} {what}' for what, n in left.items() if n)} appeared while it was deleted"


def _complete(studio: Studio, row: Withdrawal, trace: Trace, summary: dict[str, Any], now: datetime) -> None:
    """From here on only the pseudonym and counts are left of it."""
    with studio.database.session() as session:
        mine = _mine(session, row)
        mine.completed_at, mine.user_id, mine.report = now, trace.person, summary
        if trace.aliases:
            mine.report = summary | {"aliases": list(trace.aliases)}
        late = now > mine.due_at
        audit.write(
            session,
            actor="system",
            action="withdrawal.complete",
            subject=f"user:{trace.person}",
            detail=summary | {"late": late, "withdrawal": mine.id},
        )
    log.info("withdrawal of user:%s is done%s", trace.person, ", late" if late else "")


def _mine(session: Session, row: Withdrawal) -> Withdrawal:
    """The row as it is now, locked; Unavailable when it was asked for again since this run read it."""
    withdrawals.lock_person(session, pseudonym(row.user_id))
    mine = session.get_one(Withdrawal, row.id, with_for_update=True)
    if (mine.requested_at, mine.keep_originals) != (row.requested_at, row.keep_originals):
        raise Unavailable(f"withdrawal {row.id}", "was asked for again while it was carried out", 1)
    return mine


def _planned(studio: Studio, trace: Trace, places: Places) -> Plan:
    home = studio.settings.home_path
    with studio.database.session() as session:
        rows = withdrawals.counts(session, trace.rows, trace.spellings, trace.until, keep=trace.keep)
        sets = tuple(sorted({row.id for person in trace.persons for row in snapshots.holding(session, person)}))
    named = {(item.object_key, item.size) for item in exports.items(studio, trace)}
    doomed = sorted(named | {(item.key, item.size) for item in places.objects})
    files = sorted((path.relative_to(home).as_posix(), path.lstat().st_size) for path in places.files())
    return Plan(
        trace.person,
        rows,
        tuple(doomed),
        tuple(files),
        sets,
        places.shared,
        places.kept,
        trace.held,
        trace.batches,
        trace.sheets,
    )
