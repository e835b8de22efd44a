"""A person takes their consent back: excluded in the same moment, deleted within a day, and that nothing is left is
looked at before it is said.

Killed anywhere, the next run goes on: what to look for is in the withdrawal's row until all is gone. What lies where
outside the database is traces.py's, which rows are a person's storage/withdrawals.py's.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import BadInput, OrimonoError, Unavailable
from pipelines.governance import retention, traces
from pipelines.governance.people import Actor, needs, pseudonym
from pipelines.governance.traces import Places, Trace
from pipelines.intake import batches as intake
from pipelines.storage import audit, batches, claims, snapshots, withdrawals
from pipelines.storage.tables import Withdrawal
from pipelines.studio import Studio

DUE = timedelta(hours=24)
PRESSING = timedelta(hours=6)  # before it is due: from then on running batches are not waited for
PASSES = 3  # looks in one run; what still comes after them is left to the next run
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a withdrawal deletes, and what it leaves and why."""

    person: str  # pseudonym
    rows: dict[str, int]  # table -> rows
    objects: tuple[tuple[str, int], ...]  # key, bytes
    files: tuple[tuple[str, int], ...]  # path below the home, bytes
    snapshots: tuple[int, ...]  # training snapshots that hold rows of theirs
    shared: tuple[str, ...]  # objects that stay: another person gave the same content
    kept: tuple[str, ...]  # objects that stay: originals left with us, or under a legal hold
    held: tuple[int, ...]  # vault items under a legal hold
    batches: tuple[str, ...]  # whose records in the orchestrator name the jobs

    def summary(self) -> dict[str, Any]:
        """Counts by kind, without a name, a key or a hash."""
        objects: dict[str, dict[str, int]] = {}
        for key, size in self.objects:
            kind = "/".join(key.split("/")[: 2 if key.startswith("features/") else 1])
            before = objects.get(kind, {"n": 0, "bytes": 0})
            objects[kind] = {"n": before["n"] + 1, "bytes": before["bytes"] + size}
        files = Counter(path.split("/")[0] for path, _ in self.files)
        return {
            "rows": self.rows,
            "objects": objects,
            "files": dict(sorted(files.items())),
            "snapshots": list(self.snapshots),
            "shared": len(self.shared),
            "kept": len(self.kept),
            "held": list(self.held),
            "batches": list(self.batches),
        }

    def lines(self) -> list[str]:
        """One line a thing, for a person to read."""
        return [
            *(f"delete {n} rows of {table}" for table, n in sorted(self.rows.items())),
            *(f"delete {key} ({size} bytes)" for key, size in self.objects),
            *(f"delete {path} ({size} bytes)" for path, size in self.files),
            *(f"erase training snapshot {snapshot}" for snapshot in self.snapshots),
            *(f"leave {key}: another person gave the same content" for key in self.shared),
            *(f"leave {key}: it was left with us or is under a legal hold" for key in self.kept),
        ]


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

    BadInput when nothing of this person is here, or somebody below an operator asks for another.
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
        trace = traces.follow(session, person, until, keep, _with(before, traces.untaken(studio, session, person)))
        if row is None:
            if not trace.spellings and not trace.folders and not snapshots.holding(session, person):
                raise BadInput(owner, "gave nothing that is here", "name the person as job.yaml's owner does")
            row = Withdrawal(user_id=owner.strip(), keep_originals=keep, requested_by=by.name, due_at=now + DUE)
            session.add(row)
        row.keep_originals = keep
        row.requested_at = max(now, until)  # consents are dated by the database's clock, snapshots by ours
        row.report = {"trace": trace.to_dict()}
        withdrawals.exclude(session, trace.jobs, until)
        traces.put_aside(studio, trace.folders)
        detail = {"keep_originals": keep, "jobs": len(trace.jobs), "due_at": row.due_at.isoformat()}
        audit.write(session, actor=by.pseudonym, action="withdrawal.request", subject=f"user:{person}", detail=detail)
    log.info("user:%s withdrew: %d jobs excluded, to be deleted by %s", person, len(trace.jobs), row.due_at)
    return row


def plan(studio: Studio, withdrawal: Withdrawal) -> Plan:
    """What ``carry_out`` would delete now. Changes nothing."""
    if withdrawal.completed_at is not None:
        raise BadInput(f"withdrawal {withdrawal.id}", "is completed", "read its report")
    trace = _follow(studio, withdrawal)
    return _planned(studio, trace, traces.look(studio, trace))


def foresee(studio: Studio, owner: str, *, keep_originals: bool = False) -> Plan:
    """What a withdrawal of this person would delete if they asked for it now. Changes nothing."""
    with studio.database.session() as session:
        until = clock.of_database(session)
        person = pseudonym(owner)
        trace = traces.follow(session, person, until, keep_originals, traces.untaken(studio, session, person))
    trace = replace(trace, asked=False)
    return _planned(studio, trace, traces.look(studio, trace))


def carry_out(studio: Studio, now: datetime | None = None) -> list[Report]:
    """Deletes for every unfinished withdrawal, the oldest first. Empty when there is none, or another process is at it.

    A batch that runs may still write of a job it began with, so the last look waits for it, but not beyond six hours
    before the withdrawal is due.
    """
    from pipelines.models import snapshots as training

    now = now or clock.now()
    training.erase_taken_back(studio, now)  # where whoever took it back was cut off before
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


def _carry_out(studio: Studio, row: Withdrawal, now: datetime) -> Report:
    trace = _follow(studio, row)
    left: str | None = None
    for _ in range(PASSES):
        places = traces.look(studio, trace)
        summary = _note(studio, row, trace, places)
        with studio.database.session() as session:
            busy = [batch.key for batch in batches.by_status(session, "requested")]
        calm = not busy or now >= row.due_at - PRESSING
        trace = _delete(studio, row, trace, places, now, calm=calm)
        left = _left(studio, trace, calm=calm)
        if left is None and not calm:
            left = f"everything known is deleted; the last look waits for batch {', '.join(busy)}"
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
    return summary


def _delete(studio: Studio, row: Withdrawal, trace: Trace, places: Places, now: datetime, *, calm: bool) -> Trace:
    from pipelines.models import snapshots as training

    training.erase(studio, trace.person, "withdrawn", now)
    with studio.database.session() as session:
        for name, job_id in traces.claimants(session, trace).items():
            if studio.settings.home_path / "results" / name in places.folders:
                intake.bring_back(session, job_id)  # their results lay beside the person's: publish them again
                trace = replace(trace, cleared=(*trace.cleared, f"results/{name}"))
    if calm and trace.edited and "segments" not in trace.cleared:
        places = replace(places, folders=(*places.folders, *traces.segments(studio)))
        trace = replace(trace, cleared=(*trace.cleared, "segments"))
    traces.clear(studio, places, orphans=calm)
    shutil.rmtree(retention.opened(studio), ignore_errors=True)  # copies handed out, everybody's: they live for 120 s
    with studio.database.session() as session:
        claims.read_again(session, [item.key for item in places.objects if item.key.startswith("media/")])
        mine = _mine(session, row)
        withdrawals.erase(session, trace.rows, trace.spellings, trace.until, now, keep=trace.keep)
        mine.report = mine.report | {"trace": trace.to_dict()}
    return trace


def _left(studio: Studio, trace: Trace, *, calm: bool) -> str | None:
    """What a fresh look still finds; None when all is gone."""
    places = traces.look(studio, trace)
    with studio.database.session() as session:
        found = traces.follow(session, trace.person, trace.until, trace.keep, trace.to_dict())
        rows = withdrawals.counts(session, found.rows, found.spellings, found.until, keep=found.keep)
        sets = len(snapshots.holding(session, trace.person))
    objects = len(places.objects) + (len(places.orphans) if calm else 0)
    left = {"rows": sum(rows.values()), "objects": objects, "folders": len(places.folders), "training snapshots": sets}
    if not any(left.values()):
        return None
    return f"{', '.join(f'{n} {what}' for what, n in left.items() if n)} appeared while it was deleted"


def _complete(studio: Studio, row: Withdrawal, trace: Trace, summary: dict[str, Any], now: datetime) -> None:
    """From here on only the pseudonym and counts are left of it."""
    with studio.database.session() as session:
        mine = _mine(session, row)
        mine.completed_at, mine.user_id, mine.report = now, trace.person, summary
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
        sets = tuple(row.id for row in snapshots.holding(session, trace.person))
    doomed = sorted((item.key, item.size) for item in places.objects)
    files = sorted((path.relative_to(home).as_posix(), path.lstat().st_size) for path in places.files())
    return Plan(
        trace.person, rows, tuple(doomed), tuple(files), sets, places.shared, places.kept, trace.held, trace.batches
    )
