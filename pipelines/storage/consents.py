"""Questions about consents: what an owner allowed for each job, and from whom nothing may be learned (any more).

Persons are compared by pseudonym, so that a withdrawal keeps counting after their name is gone from its row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    SQLColumnExpression,
    String,
    Text,
    and_,
    any_,
    cast,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from pipelines.governance.people import pseudonym
from pipelines.storage.recommending_tables import Viewer
from pipelines.storage.tables import AuditLog, Consent, Job, TrainingSnapshot, Withdrawal

# The audit trail is where it stands when a consent was taken back: its row only says what is allowed now.
_OWNER = AuditLog.detail["owner"].astext
_TAKEN_BACK = and_(
    AuditLog.action == "consent.set",
    AuditLog.detail["before"]["training"].astext == "true",
    AuditLog.detail["after"]["training"].astext == "false",
)


def trainable_jobs() -> Select[int]:
    """Ids of the jobs that may be learned from at this moment: the owner allowed training, has not taken it back, and
    has asked for no withdrawal since. Meant for ``job_id.in_(trainable_jobs())``."""
    withdrawn = select(Withdrawal.id).where(
        Withdrawal.requested_at >= Consent.granted_at,
        or_(  # the name while it is open, the pseudonym afterwards
            _pseudonym(Withdrawal.user_id) == _pseudonym(Consent.owner),
            Withdrawal.user_id == _pseudonym(Consent.owner),
        ),
    )
    return select(Consent.job_id).where(Consent.training, Consent.withdrawn_at.is_(None), ~withdrawn.exists())


def may_learn_from(session: Session, job_id: int) -> bool:
    """Whether models may learn from this job at this moment."""
    return session.execute(trainable_jobs().where(Consent.job_id == job_id)).first() is not None


def withdrawn_pseudonyms(session: Session, users: Collection[str], since: datetime | None = None) -> set[str]:
    """Those of these pseudonyms from whom nothing may be learned: they withdrew, or took every consent to training
    back, and have allowed nothing anew. With ``since`` also who withdrew after that moment and then came back, or took
    training back for one of their jobs: what was read before holds those rows. A pseudonym of which nothing is known
    has not withdrawn. What somebody says as a viewer, of their decisions, goes before what they say as an owner."""
    wanted = set(users)
    asked = withdrawals(session)
    known = {pseudonym(owner) for owner in session.execute(select(Consent.owner).distinct()).scalars()}
    live = select(Consent.owner, func.max(Consent.granted_at)).where(Consent.job_id.in_(trainable_jobs()))
    learned = set()
    for owner, granted in session.execute(live.group_by(Consent.owner)):
        person = pseudonym(owner)
        if person not in asked or asked[person] < granted:
            learned.add(person)
    told = [Viewer.pseudonym, Viewer.training, Viewer.granted_at, Viewer.withdrawn_at]
    viewing = session.execute(select(*told).where(Viewer.pseudonym == any_(literal(list(wanted), ARRAY(Text()))))).all()
    refusing = {row[0] for row in viewing if row[3] is not None or (row[2] is not None and not row[1])}
    # Somebody who withdrew and is a viewer now has decided anew: their former row went with the withdrawal.
    gone = (known - learned) | refusing | (set(asked) - known - {row[0] for row in viewing})
    gone -= {row[0] for row in viewing if row[1] and row[3] is None}
    if since is not None:
        gone |= {person for person, at in asked.items() if at >= since}
        gone |= set(session.execute(select(_OWNER).where(_TAKEN_BACK, AuditLog.at >= since)).scalars())
    return wanted & gone


def withdrawals(session: Session) -> dict[str, datetime]:
    """By pseudonym, when each person last withdrew, and so each viewer whose id stood in place of a name."""
    query = select(Withdrawal.user_id, Withdrawal.completed_at, Withdrawal.requested_at, Withdrawal.report)
    found: dict[str, datetime] = {}
    for user, done, at, report in session.execute(query.order_by(Withdrawal.id)):
        others = report.get("aliases", ()) or report.get("trace", {}).get("aliases", ())
        found |= dict.fromkeys((user if done else pseudonym(user), *others), at)
    return found


def of_job(session: Session, job_id: int) -> Consent | None:
    """The job's consents, locked until the end of the transaction."""
    return session.execute(select(Consent).where(Consent.job_id == job_id).with_for_update()).scalar_one_or_none()


def of_folder(session: Session, name: str) -> Sequence[Consent]:
    """Consents, not withdrawn, of every job that this inbox folder ever was, locked; oldest first."""
    query = select(Consent).join(Job).where(Job.name == name, Consent.withdrawn_at.is_(None)).order_by(Consent.id)
    return session.execute(query.with_for_update(of=Consent)).scalars().all()


def learned_before_taken_back(session: Session) -> list[tuple[int, str]]:
    """Training snapshots (id), not erased yet, with the pseudonym of somebody in them who has taken training back for
    a job since."""
    query = select(TrainingSnapshot.id, _OWNER).join(AuditLog, any_(TrainingSnapshot.users) == _OWNER)
    query = query.where(_TAKEN_BACK, AuditLog.at >= TrainingSnapshot.created_at, TrainingSnapshot.erased_at.is_(None))
    return [(row[0], row[1]) for row in session.execute(query.distinct().order_by(TrainingSnapshot.id))]


def taken_back_at(session: Session, person: str) -> datetime | None:
    """When this pseudonym last took training back, for whichever job."""
    query = select(func.max(AuditLog.at)).where(_TAKEN_BACK, person == _OWNER)
    return session.execute(query).scalar()


def newest_said(session: Session) -> Sequence[AuditLog]:
    """Of each job, and of each viewer, the last change of what is allowed."""
    query = select(AuditLog).where(AuditLog.action == "consent.set").ext(distinct_on(AuditLog.subject))
    return session.execute(query.order_by(AuditLog.subject, AuditLog.seq.desc())).scalars().all()


def of_owners(session: Session, owners: Collection[str]) -> Sequence[Consent]:
    """All consents of these owners, spelled as in the rows, oldest first."""
    return session.execute(select(Consent).where(Consent.owner.in_(owners)).order_by(Consent.id)).scalars().all()


def page(session: Session, person: str, *, before: int | None = None, limit: int = 50) -> list[tuple[Consent, Job]]:
    """Consents of this pseudonym with their jobs, newest first, numbers below ``before``."""
    owners = session.execute(select(Consent.owner).distinct()).scalars()
    query = select(Consent, Job).join(Job, Job.id == Consent.job_id)
    query = query.where(Consent.owner.in_([name for name in owners if pseudonym(name) == person]))
    if before is not None:
        query = query.where(Consent.id < before)
    return [(row, job) for row, job in session.execute(query.order_by(Consent.id.desc()).limit(limit))]


def of_name(session: Session, name: str) -> list[tuple[Consent, Job]]:
    """Consents of every job that this inbox folder ever was, the withdrawn with them, newest first."""
    query = select(Consent, Job).join(Job, Job.id == Consent.job_id).where(Job.name == name)
    return [(row, job) for row, job in session.execute(query.order_by(Job.revision.desc()))]


def _pseudonym(name: SQLColumnExpression[str]) -> ColumnElement[str]:
    """``people.pseudonym`` as the server computes it; it may know fewer capitals (ß, or beyond ASCII)."""
    plain = func.convert_to(cast("orimono:", String) + func.normalize(func.lower(func.btrim(name))), "UTF8")
    return func.left(func.encode(func.sha256(plain), "hex"), 16)
