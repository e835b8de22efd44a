"""Consents, job by job: what an owner allows, changed and shown. Quality and training are apart, and off unless given.

What was learned before training was taken back is models/snapshots.py's to erase; taking everything back, with the
data, is withdrawal.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import Conflict, NotFound
from pipelines.governance.people import Actor, needs, pseudonym
from pipelines.storage import audit, consents, viewers, withdrawals
from pipelines.storage.tables import Consent, Job


@dataclass(frozen=True, slots=True)
class Given:
    """What the owner of a job allows at this moment."""

    job_id: int
    job: str
    quality: bool
    training: bool
    granted_at: datetime
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True)
class GivenByViewer:
    """What a viewer allows at this moment. ``training``: None where they said nothing, so that the word of the owner of
    each job of decisions counts."""

    user_id: str
    training: bool | None
    granted_at: datetime | None
    withdrawn_at: datetime | None


def give(session: Session, actor: Actor, job_id: int, *, quality: bool, training: bool) -> None:
    """Sets both consents of a job; the owner's or, on their behalf, an operator's to do. What is taken back counts from
    this moment (what was learned goes with withdrawal.erase_learned, to be called once this is committed, or with the
    hourly run), what is given is dated by it. NotFound for a job that has none, Conflict after a withdrawal."""
    row = consents.of_job(session, job_id)
    if row is None:
        raise NotFound(f"job {job_id}", "does not exist or names no owner", "see `orimono consents` for the jobs")
    if actor.pseudonym != pseudonym(row.owner):
        needs(actor, "operator")
    if row.withdrawn_at is not None:
        remedy = "the owner may give the same files anew, in a folder of another name"
        raise Conflict(f"job {job_id}", "was withdrawn by its owner", remedy)
    _set(session, actor, row, quality=quality, training=training)


def give_viewer(session: Session, actor: Actor, name: str, *, training: bool, now: datetime | None = None) -> None:
    """Sets whether models may learn from what a viewer decided; theirs or, for them, an operator's to do. It goes
    before what the owner of a job of decisions allowed. What is taken back counts from this moment, as for ``give``.
    NotFound for somebody who decided nothing, Conflict after a withdrawal."""
    if actor.pseudonym != pseudonym(name):
        needs(actor, "operator")
    rows = viewers.of_name(session, name)
    if not rows:
        raise NotFound(name, "decided nothing that is here", "name the viewer as the decisions do")
    for row in rows:
        viewers.consent(
            session, row.user_id, training=training, actor=actor.pseudonym, now=now or clock.of_database(session)
        )


def show_viewer(session: Session, name: str) -> list[GivenByViewer]:
    """What this person allows as a viewer; empty for somebody who decided nothing."""
    rows = viewers.of_name(session, name)
    return [
        GivenByViewer(str(r.user_id), None if r.granted_at is None else r.training, r.granted_at, r.withdrawn_at)
        for r in rows
    ]


def follow_folder(session: Session, name: str, owner: str, *, quality: bool, training: bool) -> bool:
    """What the job.yaml of an inbox folder says now holds for everything that its owner gave in that folder before,
    too: only the newest revision is there to be changed. Whether training was taken back anywhere."""
    actor = Actor(owner, "viewer")
    rows = [row for row in consents.of_folder(session, name) if pseudonym(row.owner) == actor.pseudonym]
    taken_back = any(row.training for row in rows) and not training
    for row in rows:
        _set(session, actor, row, quality=quality, training=training)
    return taken_back


def _set(session: Session, actor: Actor, row: Consent, *, quality: bool, training: bool) -> None:
    before = {"quality": row.quality, "training": row.training}
    after = {"quality": quality, "training": training}
    if before == after:
        return
    if (quality and not row.quality) or (training and not row.training):
        row.granted_at = clock.of_database(session)
    row.quality, row.training = quality, training
    detail = {"before": before, "after": after, "owner": pseudonym(row.owner)}
    audit.write(session, actor=actor.pseudonym, action="consent.set", subject=f"job:{row.job_id}", detail=detail)


def show(session: Session, owner: str) -> list[Given]:
    """Everything that this person allowed, however the name is spelled, oldest first."""
    rows = consents.of_owners(session, withdrawals.spellings(session, pseudonym(owner)))
    return [_given(session, row) for row in rows]


def _given(session: Session, row: Consent) -> Given:
    name = session.get_one(Job, row.job_id).name
    return Given(row.job_id, name, row.quality, row.training, row.granted_at, row.withdrawn_at)
