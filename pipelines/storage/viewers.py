"""Questions about viewers: the persons whose decisions are kept, by pseudonym only, and who may be learned from.

What they decided is decisions.py's; which id a name has recommending/people.py's; what else goes with a withdrawal
withdrawals.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Text, Uuid, and_, any_, cast, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.errors import BadInput, Conflict, NotFound
from pipelines.governance.people import pseudonym
from pipelines.recommending.people import viewer_id
from pipelines.storage import audit
from pipelines.storage.consents import trainable_jobs, withdrawn_pseudonyms
from pipelines.storage.recommending_tables import Decision, Viewer


def ensure(session: Session, user_id: UUID, person: str) -> Viewer:
    """The viewer's row, made when there is none, and held until the end of the transaction, so that a withdrawal
    waits for it. ``person``: their pseudonym; whoever is there already keeps the one they came with."""
    new = insert(Viewer).values(user_id=user_id, pseudonym=person)
    session.execute(new.on_conflict_do_nothing())
    held = select(Viewer).where(or_(Viewer.user_id == user_id, Viewer.pseudonym == person))
    held = held.with_for_update(read=True).execution_options(populate_existing=True)
    rows = {row.user_id: row for row in session.execute(held).scalars()}
    if user_id not in rows:
        raise BadInput(f"viewer {user_id}", "has the pseudonym of another viewer", "name the viewer as before")
    return rows[user_id]


def of_name(session: Session, name: str) -> Sequence[Viewer]:
    """Who goes by this name, or has this id: one row, or two where the id was once given in place of the name."""
    query = select(Viewer).where(or_(Viewer.user_id == viewer_id(name), Viewer.pseudonym == pseudonym(name)))
    return session.execute(query.order_by(Viewer.user_id)).scalars().all()


def of_pseudonyms(session: Session, persons: Collection[str]) -> Sequence[Viewer]:
    query = select(Viewer).where(Viewer.pseudonym == any_(literal(list(persons), ARRAY(Text()))))
    return session.execute(query.order_by(Viewer.user_id)).scalars().all()


def pseudonyms(session: Session, user_ids: Collection[str | UUID]) -> list[str]:
    """Those of these viewers, sorted: what a training snapshot keeps as its ``users``."""
    query = select(Viewer.pseudonym).where(among(Viewer.user_id, user_ids)).order_by(Viewer.pseudonym)
    return list(session.execute(query).scalars())


def consent(session: Session, user_id: UUID, *, training: bool, actor: str, now: datetime) -> None:
    """What the viewer themself says of training, audited under ``actor``'s pseudonym; it goes before whatever the owner
    of a job allowed. NotFound for nobody, Conflict for somebody who withdrew."""
    query = select(Viewer).where(Viewer.user_id == user_id).with_for_update()
    row = session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()
    if row is None:
        raise NotFound(f"viewer {user_id}", "is not known", "name somebody whose decisions are here")
    if row.withdrawn_at is not None:
        raise Conflict(f"viewer {user_id}", "withdrew", "wait until the withdrawal is carried out, then decide anew")
    if row.granted_at is not None and row.training == training:
        return
    before = row.training or row.granted_at is None  # then the word of a job's owner counted until now
    row.training, row.granted_at = training, now
    session.flush()
    detail = {"before": {"training": before}, "after": {"training": training}, "owner": row.pseudonym}
    audit.write(session, actor=actor, action="consent.set", subject=f"user:{row.pseudonym}", detail=detail)


def ids(session: Session, until: datetime | None = None) -> list[str]:
    """Of all who have decided anything and have not withdrawn, in order; with ``until`` without those of whom anything
    was told later."""
    decided = select(Decision.user_id).where(Decision.user_id == Viewer.user_id)
    query = select(cast(Viewer.user_id, Text)).where(Viewer.withdrawn_at.is_(None), decided.exists())
    if until is not None:
        query = query.where(~decided.where(Decision.created_at > until).exists())
    return list(session.execute(query.order_by(Viewer.user_id)).scalars())


def withdraw(session: Session, user_ids: Collection[str | UUID], now: datetime) -> int:
    """From now on nobody reads what these viewers decided, and nothing is learned from it. How many it was new for."""
    statement = update(Viewer).where(among(Viewer.user_id, user_ids), Viewer.withdrawn_at.is_(None))
    changed = statement.values(withdrawn_at=now, training=False).returning(Viewer.user_id)
    return len(session.execute(changed.execution_options(synchronize_session=False)).all())


def refusing(session: Session, user_ids: Collection[str | UUID] | None = None) -> set[str]:
    """Ids (str) of those (of all) from whom nothing may be learned whoever allows it: as the owner of jobs they allow
    no training at all, or took it back, and as a viewer they said nothing."""
    query = select(cast(Viewer.user_id, Text), Viewer.pseudonym)
    people = dict(session.execute(query if user_ids is None else query.where(among(Viewer.user_id, user_ids))).all())
    gone = withdrawn_pseudonyms(session, people.values())
    return {user for user, person in people.items() if person in gone}


def learnable() -> ColumnElement[bool]:
    """Whether a decision joined with its viewer may be learned from: never once they withdrew; what they themself said
    decides, and where they said nothing (``granted_at`` is null), whether the owner of the job that it came with
    allows training. A decision told one by one by a viewer who said nothing is not learned from."""
    owners_word = and_(Viewer.granted_at.is_(None), Decision.job_id.in_(trainable_jobs()))
    return and_(Viewer.withdrawn_at.is_(None), or_(Viewer.training, owners_word))


def among(column: object, user_ids: Collection[str | UUID]) -> ColumnElement[bool]:
    """One parameter, however many they are."""
    found: ColumnElement[bool] = column == any_(literal([UUID(str(u)) for u in user_ids], ARRAY(Uuid())))
    return found
