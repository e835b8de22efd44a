"""Questions about jobs that came by the API: whose each is before the intake has seen it. Making one is
intake/submitting.py's."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipelines.governance.people import pseudonym
from pipelines.storage import withdrawals
from pipelines.storage.claims import among
from pipelines.storage.serving_tables import Submission


def add(session: Session, name: str, owner: str, request_id: str) -> Submission:
    row = Submission(job_name=name, owner=owner, request_id=request_id)
    session.add(row)
    session.flush()
    return row


def get(session: Session, name: str) -> Submission | None:
    return session.get(Submission, name)


def known(session: Session, names: Collection[str]) -> set[str]:
    """Those of these that came by the API."""
    query = select(Submission.job_name).where(among(Submission.job_name, names))
    return set(session.execute(query).scalars())


def wanted(session: Session, names: Collection[str]) -> set[str]:
    """Those of these that came by the API and whose owner has not withdrawn since: their row goes when that is carried
    out, and what waits on another machine's disk may be looked at before."""
    rows = session.execute(select(Submission).where(among(Submission.job_name, names))).scalars().all()
    asked = {pseudonym(row.user_id): row.requested_at for row in withdrawals.unfinished(session)} if rows else {}
    return {row.job_name for row in rows if (at := asked.get(pseudonym(row.owner))) is None or row.created_at > at}


def spellings(session: Session, owner: str) -> list[str]:
    """The ways in which this person's name is written on submissions."""
    names = session.execute(select(Submission.owner).distinct()).scalars()
    return [name for name in names if pseudonym(name) == pseudonym(owner)]


def ending(session: Session, owner: str, suffix: str) -> list[str]:
    """Names of this person's jobs that end so."""
    query = select(Submission.job_name).where(
        Submission.job_name.endswith(f"-{suffix}", autoescape=True),
        among(Submission.owner, spellings(session, owner)),
    )
    return list(session.execute(query.order_by(Submission.created_at)).scalars())
