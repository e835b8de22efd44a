"""Questions about withdrawals: which rows are a person's, which contents others hold too, and what is left of a person.

What lies outside the database, and in which order all of it goes, is governance/withdrawal.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    delete,
    func,
    or_,
    select,
    text,
    union,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from pipelines.governance.people import pseudonym
from pipelines.storage import arrangements, forgetting, score_jobs, served
from pipelines.storage.claims import HASHES, KEYS, among, of_jobs, texts
from pipelines.storage.composing_tables import Arrangement, ComposerStyle, InstrumentChoice
from pipelines.storage.tables import (
    AccessRequest,
    BatchRow,
    Consent,
    EditRow,
    FeatureRow,
    InboxFolder,
    ItemResult,
    Job,
    Label,
    Rollout,
    Upload,
    VaultItem,
    Withdrawal,
)

LOCK = 5_283_114_905
NAMES: tuple[InstrumentedAttribute[Any], ...] = (
    Job.owner,
    Upload.owner,
    Consent.owner,
    FeatureRow.user_id,
    Label.user_id,
    VaultItem.user_id,
    Arrangement.owner,
    ComposerStyle.owner,
    InstrumentChoice.owner,
    *served.NAMES,
)
# Where a person stands as somebody who did something for others: those rows stay, without the name.
SIGNATURES: tuple[InstrumentedAttribute[Any], ...] = (
    Label.author,
    AccessRequest.requested_by,
    AccessRequest.decided_by,
    Rollout.decided_by,
    Withdrawal.requested_by,
)


@dataclass(frozen=True, slots=True)
class Rows:
    """What the database knows of a person at a moment, but for what they gave after their withdrawal."""

    jobs: tuple[int, ...]
    names: tuple[str, ...]  # of the jobs: folders of the inbox and of the results
    batches: tuple[str, ...]  # keys
    hashes: tuple[str, ...]  # of contents and of what was computed from them
    keys: tuple[str, ...]  # of objects
    held: tuple[int, ...]  # vault items under a legal hold
    folders: tuple[str, ...]  # of the inbox, that nobody has taken as a job yet
    edited: bool  # there is a song, a clip or an edit among them
    viewers: tuple[str, ...] = ()  # ids of theirs as somebody who decides
    sheets: tuple[int, ...] = ()  # ids of score jobs
    arrangements: tuple[int, ...] = ()  # ids, those of the command line with them
    persons: tuple[str, ...] = ()  # pseudonyms of theirs, under which answers of the API are kept


def lock(session: Session) -> bool:
    """Whether this transaction is the one that deletes; there is one at a time."""
    return bool(session.execute(text("select pg_try_advisory_xact_lock(:lock)"), {"lock": LOCK}).scalar())


def lock_person(session: Session, person: str) -> None:
    """One request at a time for a person, until the end of the transaction."""
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:person, 2))"), {"person": person})


def unfinished(session: Session) -> Sequence[Withdrawal]:
    """Oldest first."""
    query = select(Withdrawal).where(Withdrawal.completed_at.is_(None)).order_by(Withdrawal.id)
    return session.execute(query).scalars().all()


def of_person(session: Session, person: str) -> Withdrawal | None:
    """The unfinished withdrawal of this pseudonym."""
    return next((row for row in unfinished(session) if pseudonym(row.user_id) == person), None)


def page(
    session: Session,
    *,
    person: str | None = None,
    open_only: bool = False,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[Withdrawal]:
    """Newest first, numbers below ``before``. ``person``: a pseudonym, whose they are."""
    query = select(Withdrawal)
    if person is not None:  # the name while it is under way, the pseudonym afterwards
        mine = [row.id for row in unfinished(session) if pseudonym(row.user_id) == person]
        done = and_(Withdrawal.user_id == person, Withdrawal.completed_at.is_not(None))
        query = query.where(or_(done, Withdrawal.id.in_(mine)))
    if open_only:
        query = query.where(Withdrawal.completed_at.is_(None))
    if before is not None:
        query = query.where(Withdrawal.id < before)
    return session.execute(query.order_by(Withdrawal.id.desc()).limit(limit)).scalars().all()


def get(session: Session, withdrawal_id: int) -> Withdrawal | None:
    return session.get(Withdrawal, withdrawal_id)


def listed(session: Session) -> Sequence[Withdrawal]:
    """All, newest first."""
    return session.execute(select(Withdrawal).order_by(Withdrawal.id.desc())).scalars().all()


def completed_since(session: Session, moment: datetime) -> list[str]:
    """Pseudonyms of those whose withdrawal was completed since then: to be named in the next model's provenance."""
    query = select(Withdrawal.user_id).where(Withdrawal.completed_at >= moment).order_by(Withdrawal.id)
    return list(dict.fromkeys(session.execute(query).scalars()))


def pseudonyms(session: Session) -> list[str]:
    """One for each withdrawal, whether asked for or completed."""
    query = select(Withdrawal.user_id, Withdrawal.completed_at).order_by(Withdrawal.id)
    return [user if done is not None else pseudonym(user) for user, done in session.execute(query)]


def completed(session: Session, persons: Collection[str]) -> set[str]:
    """Those of these pseudonyms that have a completed withdrawal."""
    query = select(Withdrawal.user_id).where(Withdrawal.completed_at.is_not(None), among(Withdrawal.user_id, persons))
    return set(session.execute(query).scalars())


def spellings(session: Session, person: str) -> list[str]:
    """All ways in which this pseudonym's name is written in the tables."""
    names = union(*(select(column).where(column.is_not(None)).distinct() for column in (*NAMES, *SIGNATURES)))
    return sorted({name for name in session.execute(names).scalars() if name.strip() and pseudonym(name) == person})


def rows(session: Session, names: Collection[str], until: datetime, folders: Collection[str] = ()) -> Rows:
    """What is known of the person with these spellings; what came after ``until`` (the database's clock) is not in
    it, as it was given anew. A refused folder of theirs that named nobody is theirs, too. ``folders``: theirs in the
    inbox, not taken yet."""
    jobs = list(session.execute(select(Job.id, Job.name).where(among(Job.owner, names), Job.created_at <= until)))
    slugs = {name for _, name in jobs}
    others = select(Job.name).where(among(Job.name, slugs), Job.owner.is_not(None), ~among(Job.owner, names))
    nobodys = slugs - set(session.execute(others).scalars())
    nameless = select(Job.id).where(Job.owner.is_(None), among(Job.name, nobodys), Job.created_at <= until)
    ids = sorted({job for job, _ in jobs} | set(session.execute(nameless).scalars()))
    mine = _mine(VaultItem, names, ids, until)
    composed = arrangements.of_person(session, names, ids, until)
    files = select(InboxFolder.files).where(_remembered(ids, folders))
    noted = [facts for found in session.execute(files).scalars() for facts in found.values()]
    hashes = texts(
        session,
        [*(select(c).where(of_jobs(c.class_.job_id, ids)) for c in HASHES), select(VaultItem.content_hash).where(mine)],
    )
    keys = texts(
        session,
        [*(select(c).where(of_jobs(c.class_.job_id, ids)) for c in KEYS), select(VaultItem.object_key).where(mine)],
    )
    hashes |= {row.content_hash for row in composed}
    keys |= {row.object_key for row in composed if row.object_key is not None}
    batches = select(BatchRow.key).join(Job).where(of_jobs(Job.id, ids)).distinct()
    shown = select(Upload.id).where(of_jobs(Upload.job_id, ids), Upload.kind.in_(("music", "clip")))
    edited = union(shown, select(EditRow.id).where(of_jobs(EditRow.job_id, ids))).limit(1)
    return Rows(
        jobs=tuple(ids),
        names=tuple(sorted(slugs)),
        batches=tuple(sorted(session.execute(batches).scalars())),
        hashes=tuple(sorted(hashes | {str(facts["hash"]) for facts in noted if "hash" in facts} - {""})),
        keys=tuple(sorted(keys | {str(facts["key"]) for facts in noted if "key" in facts})),
        folders=tuple(sorted(folders)),
        edited=session.execute(edited).first() is not None,
        held=tuple(sorted(session.execute(select(VaultItem.id).where(mine, VaultItem.legal_hold)).scalars())),
        sheets=tuple(score_jobs.of_persons(session, ids, hashes)),
        arrangements=tuple(row.id for row in composed),
    )


def memory(session: Session, names: Collection[str]) -> dict[str, InboxFolder]:
    """Inbox folders of these names, as they were when last read."""
    query = select(InboxFolder).where(among(InboxFolder.name, names))
    return {row.name: row for row in session.execute(query).scalars()}


def exclude(session: Session, jobs: Collection[int], now: datetime) -> None:
    """From now on nothing is computed or learned from these jobs."""
    given = update(Consent).where(of_jobs(Consent.job_id, jobs), Consent.withdrawn_at.is_(None))
    session.execute(given.values(withdrawn_at=now))
    reason = Job.name + ": its owner took the consent back; put it into the inbox under another name to give it anew"
    refused = update(Job).where(of_jobs(Job.id, jobs), Job.status == "ready")
    session.execute(refused.values(status="bad", error=reason, batch_id=None))


def counts(session: Session, found: Rows, names: Collection[str], until: datetime, *, keep: bool) -> dict[str, int]:
    """How many rows ``erase`` would delete, by table."""
    return {
        table.__tablename__: n
        for table, where in [
            *score_jobs.doomed(found.sheets),
            *forgetting.doomed(found.viewers, found.jobs),
            *_doomed(found, names, until, keep=keep),
        ]
        if (n := session.execute(select(func.count()).select_from(table).where(where)).scalar_one())
    }


def erase(
    session: Session, found: Rows, names: Collection[str], until: datetime, now: datetime, *, keep: bool
) -> dict[str, int]:
    """Deletes the person's rows, by table how many; ``keep``: but for their originals' rows. Held vault items stay
    under the pseudonym, to expire when the hold ends. What they signed for others stays under the pseudonym."""
    deleted: dict[str, int] = {}
    if not keep:
        _set_free(session, found, names, now)
    score_jobs.lock(session, found.sheets)
    for table, where in [*score_jobs.doomed(found.sheets), *forgetting.doomed(found.viewers, found.jobs)]:
        if n := len(session.execute(delete(table).where(where).returning(text("1"))).all()):
            deleted[table.__tablename__] = n
    forgetting.strip(session, found.jobs)
    for table, where in _doomed(found, names, until, keep=keep):
        if n := len(session.execute(delete(table).where(where).returning(text("1"))).all()):
            deleted[table.__tablename__] = n
    for column in SIGNATURES:
        for name in names:
            session.execute(update(column.class_).where(column == name).values({column.key: pseudonym(name)}))
    _unname_batches(session, found, names)
    return deleted


def _doomed(
    found: Rows, names: Collection[str], until: datetime, *, keep: bool
) -> list[tuple[Any, ColumnElement[bool]]]:
    """Tables with what goes from them; those that hang on others first."""
    jobs = found.jobs
    vault = and_(_mine(VaultItem, names, jobs, until), ~VaultItem.legal_hold)
    if keep:
        vault = and_(vault, VaultItem.kind.in_(("master", "preview", "scored", "arrangement")))
    gone: list[tuple[Any, ColumnElement[bool]]] = [
        (ItemResult, of_jobs(ItemResult.job_id, jobs)),
        (EditRow, of_jobs(EditRow.job_id, jobs)),
        (Label, _mine(Label, names, jobs, until)),
        (FeatureRow, _mine(FeatureRow, names, jobs, until)),
        (VaultItem, vault),
        (Arrangement, of_jobs(Arrangement.id, found.arrangements)),
        (ComposerStyle, arrangements.owned(ComposerStyle, names, until)),
        (InstrumentChoice, arrangements.owned(InstrumentChoice, names, until)),
        (InboxFolder, _remembered(jobs, found.folders)),
        *served.doomed(names, found.persons, until),
    ]
    if not keep:
        gone += [
            (Consent, of_jobs(Consent.job_id, jobs)),
            (Upload, of_jobs(Upload.job_id, jobs)),
            (Job, of_jobs(Job.id, jobs)),
        ]
    return gone


def _set_free(session: Session, found: Rows, names: Collection[str], now: datetime) -> None:
    """Held items lose their job and the name. Two of one object become one: it is held as long as either is."""
    query = select(VaultItem).where(VaultItem.id.in_(found.held)).order_by(VaultItem.id)
    for item in session.execute(query).scalars().all():
        twin = session.execute(
            select(VaultItem).where(
                VaultItem.job_id.is_(None),
                VaultItem.kind == item.kind,
                VaultItem.object_key == item.object_key,
                VaultItem.id != item.id,
            )
        ).scalar()
        if twin is not None:
            reasons = dict.fromkeys(r for r in (twin.hold_reason, item.hold_reason) if r)
            twin.legal_hold, twin.hold_reason = True, "; ".join(reasons)
            session.delete(item)
        else:
            item.job_id, item.user_id = None, item.user_id if item.user_id not in names else pseudonym(item.user_id)
            item.expires_at = now
        session.flush()


def _unname_batches(session: Session, found: Rows, names: Collection[str]) -> None:
    """Why a batch failed may name their jobs."""
    for key in found.batches:
        row = session.execute(select(BatchRow).where(BatchRow.key == key)).scalar()
        if row is not None and row.error and any(part in row.error for part in (*found.names, *names)):
            row.error = "it failed on a job that was withdrawn since"


def _remembered(jobs: Collection[int], folders: Collection[str]) -> ColumnElement[bool]:
    unfinished = and_(InboxFolder.job_id.is_(None), among(InboxFolder.name, folders))
    return or_(of_jobs(InboxFolder.job_id, jobs), unfinished)


def _mine(table: Any, names: Collection[str], jobs: Collection[int], until: datetime) -> ColumnElement[bool]:
    """Rows of their jobs, and those that stand under their name elsewhere."""
    return or_(of_jobs(table.job_id, jobs), and_(among(table.user_id, names), table.created_at <= until))
