"""Who has a claim on a content or an object: contents are shared, so what one person leaves another may still have.

What goes when a person withdraws is withdrawals.py's, what goes when its time is up vault.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Select, Text, and_, any_, literal, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from pipelines.governance.people import pseudonym
from pipelines.storage.composing_tables import Arrangement
from pipelines.storage.tables import (
    Consent,
    EditRow,
    FeatureRow,
    InboxFolder,
    ItemResult,
    Label,
    TrainingSnapshot,
    Upload,
    VaultItem,
    Withdrawal,
)

# Columns of what hangs on a job.
HASHES: tuple[InstrumentedAttribute[Any], ...] = (
    Upload.content_hash,
    ItemResult.content_hash,
    FeatureRow.content_hash,
    Label.content_hash,
)
KEYS: tuple[InstrumentedAttribute[Any], ...] = (
    Upload.object_key,
    EditRow.plan_key,
    EditRow.render_key,
    ItemResult.object_key,
)

_AT_ONCE = 20_000


def claimed(session: Session, hashes: Collection[str], jobs: Collection[int]) -> set[str]:
    """Those of these contents that belong to a job not among ``jobs`` whose owner has not withdrawn, or are a training
    snapshot: what was trained from one goes with it."""
    asked = [select(c).where(among(c, piece), _living(c, jobs)) for piece in _pieces(hashes) for c in HASHES]
    learned = select(TrainingSnapshot.sha256).where(TrainingSnapshot.erased_at.is_(None))
    return texts(session, [*asked, *(learned.where(among(TrainingSnapshot.sha256, p)) for p in _pieces(hashes))])


def claimed_keys(
    session: Session, keys: Collection[str], jobs: Collection[int], arrangements: Collection[int] = ()
) -> set[str]:
    """Those of these objects that a living job not among ``jobs`` names, or an arrangement not among ``arrangements``
    (ids) that somebody made at the command line."""
    found: set[str] = set()
    kept = and_(VaultItem.deleted_at.is_(None), _living(VaultItem.job_id, jobs))
    for piece in _pieces(keys):
        asked = [select(c).where(among(c, piece), _living(c, jobs)) for c in KEYS]
        composed = or_(Arrangement.job_id.is_(None), _living(Arrangement.object_key, jobs))
        composed = and_(among(Arrangement.object_key, piece), composed, ~of_jobs(Arrangement.id, arrangements))
        asked.append(select(Arrangement.object_key).where(composed))
        found |= texts(session, [*asked, select(VaultItem.object_key).where(among(VaultItem.object_key, piece), kept)])
    return found


def held_keys(session: Session, keys: Collection[str]) -> set[str]:
    """Those of these objects that a legal hold keeps, whoever's it is."""
    held = and_(VaultItem.legal_hold, VaultItem.deleted_at.is_(None))
    asked = [select(VaultItem.object_key).where(among(VaultItem.object_key, p), held) for p in _pieces(keys)]
    return texts(session, asked)


def kept_originals(session: Session, keys: Collection[str]) -> set[str]:
    """Those of these objects that are originals of persons who withdrew and left their originals with us."""
    query = select(Upload.object_key, Upload.owner).join(Consent, Consent.job_id == Upload.job_id)
    query = query.where(Consent.withdrawn_at.is_not(None))
    found = [row for p in _pieces(keys) for row in session.execute(query.where(among(Upload.object_key, p)))]
    newest: dict[str, bool] = {}
    for row in session.execute(select(Withdrawal).order_by(Withdrawal.id)).scalars():
        newest[row.user_id if row.completed_at else pseudonym(row.user_id)] = row.keep_originals
    return {key for key, owner in found if key is not None and newest.get(pseudonym(owner), False)}


def _living(column: InstrumentedAttribute[Any], jobs: Collection[int]) -> ColumnElement[bool]:
    """Whether the column's row belongs to a job that goes on, and is no file that was refused."""
    job_id = column.class_.job_id
    withdrawn = select(Consent.id).where(Consent.job_id == job_id, Consent.withdrawn_at.is_not(None))
    living = and_(job_id.is_not(None), ~of_jobs(job_id, jobs), ~withdrawn.exists())
    return and_(living, Upload.status != "bad") if column.class_ is Upload else living


def _pieces(values: Collection[str]) -> Iterator[list[str]]:
    """So many as one question bears: a whole store's keys would be a parameter of megabytes."""
    ordered = list(values)
    for first in range(0, len(ordered), _AT_ONCE):
        yield ordered[first : first + _AT_ONCE]


def of_jobs(column: Any, jobs: Collection[int]) -> ColumnElement[bool]:
    found: ColumnElement[bool] = column == any_(literal(list(jobs), ARRAY(BigInteger())))
    return found


def among(column: Any, values: Collection[str]) -> ColumnElement[bool]:
    found: ColumnElement[bool] = column == any_(literal(list(values), ARRAY(Text())))
    return found


def texts(session: Session, queries: Iterable[Select[Any]]) -> set[str]:
    return {value for query in queries for value in session.execute(query.distinct()).scalars() if value}


def read_again(session: Session, keys: Collection[str]) -> int:
    """Lets the next scan read the inbox folders of uploads whose objects went while they were taken in: between the
    look at the store and the row, a deletion does not see them. Returns how many folders."""
    taken = select(Upload.job_id).where(among(Upload.object_key, keys), _living(Upload.object_key, ()))
    statement = update(InboxFolder).where(InboxFolder.job_id.in_(taken)).values(fingerprint=None, files={})
    return len(session.execute(statement.returning(InboxFolder.name)).all())


def without_bytes(session: Session, hashes: Collection[str]) -> set[str]:
    """Those of these contents (uploads', or computed in a job) that cannot be computed again: an upload they come of
    has expired."""
    own = select(Upload.content_hash).where(among(Upload.content_hash, hashes), Upload.status == "expired")
    gone = select(Upload.id).where(Upload.job_id == ItemResult.job_id, Upload.status == "expired")
    computed = select(ItemResult.content_hash).where(among(ItemResult.content_hash, hashes), gone.exists())
    return texts(session, [own, computed])
