"""Questions about jobs, their consents and the inbox folders they came from. Their files are in uploads.py, how they
are grouped in batches.py."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ARRAY, Text, any_, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.storage.tables import BatchRow, Consent, InboxFolder, Job


@dataclass(frozen=True, slots=True)
class NewJob:
    """One content of an inbox folder, sound or bad (``error`` says why)."""

    name: str
    content_hash: str
    owner: str | None = None
    bpm: float | None = None
    key: str | None = None
    edit: dict[str, Any] | None = None
    master: dict[str, Any] | None = None
    score: dict[str, Any] | None = None
    compose: dict[str, Any] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class NewConsent:
    job_id: int
    owner: str
    quality: bool
    training: bool


@dataclass(frozen=True, slots=True)
class SeenFolder:
    """How an inbox folder looked, and the job that is its content."""

    name: str
    fingerprint: str
    files: dict[str, Any]
    job_id: int


def lock_names(session: Session, names: Collection[str]) -> set[str]:
    """Until the end of the transaction nobody else adds a job of these names; those that have jobs already."""
    wanted = literal(sorted(names), ARRAY(Text()))
    # In their order, so that two who lock some of the same names wait for each other one way only.
    locks = text("select pg_advisory_xact_lock(hashtextextended(name, 1)) from unnest(cast(:names as text[])) name")
    session.execute(locks, {"names": sorted(names)})
    return set(session.execute(select(Job.name).where(Job.name == any_(wanted)).distinct()).scalars())


def add_first(session: Session, new: Sequence[NewJob]) -> Sequence[int]:
    """Ids, in the same order, of jobs whose names have none yet and are locked."""
    if not new:
        return []
    rows = [{**_values(one), "revision": 1} for one in new]
    statement = insert(Job).returning(Job.id, sort_by_parameter_order=True)
    return session.execute(statement, rows).scalars().all()


def add(session: Session, new: NewJob) -> tuple[int, bool]:
    """The job's id and whether it is new: the same content of the same folder is one job, however often it is seen."""
    # One at a time per name, so that revisions are counted without a gap or a clash.
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:name, 1))"), {"name": new.name})
    known = select(Job.id).where(Job.name == new.name, Job.content_hash == new.content_hash)
    if (found := session.execute(known).scalar()) is not None:
        return found, False
    last = session.execute(select(func.max(Job.revision)).where(Job.name == new.name)).scalar() or 0
    job = Job(**_values(new), revision=last + 1)
    session.add(job)
    session.flush()
    return job.id, True


def _values(new: NewJob) -> dict[str, Any]:
    return {
        "name": new.name,
        "content_hash": new.content_hash,
        "status": "bad" if new.error else "ready",
        "error": new.error,
        "owner": new.owner,
        "bpm": new.bpm,
        "key": new.key,
        "edit": new.edit or {},
        "master": new.master or {},
        "score": new.score or {},
        "compose": new.compose or {},
    }


def get(session: Session, job_id: int) -> Job:
    return session.get_one(Job, job_id)


def give_consent(session: Session, job_id: int, owner: str, *, quality: bool, training: bool) -> None:
    session.add(Consent(job_id=job_id, owner=owner, quality=quality, training=training))
    session.flush()


def give_consents(session: Session, given: Sequence[NewConsent]) -> None:
    """Of jobs that have none yet."""
    if given:
        session.execute(insert(Consent), [asdict(one) for one in given])


def latest(session: Session, name: str) -> Job | None:
    """The job that is the present content of the inbox folder of this name."""
    return session.execute(select(Job).join(InboxFolder).where(InboxFolder.name == name)).scalar_one_or_none()


def presented(session: Session, name: str) -> int | None:
    """Id of the job that the results folder of this name is for: the inbox folder's present content, or the newest
    sound one while that is bad."""
    present = latest(session, name)
    if present is not None and present.status == "ready":
        return present.id
    return session.execute(select(func.max(Job.id)).where(Job.name == name, Job.status == "ready")).scalar()


def of_batch(session: Session, key: str) -> Sequence[Job]:
    """The batch's jobs with their uploads, in the order in which they came."""
    return session.execute(select(Job).join(BatchRow).where(BatchRow.key == key).order_by(Job.id)).scalars().all()


def bad(session: Session) -> Sequence[Job]:
    """Jobs that were refused and are still what lies in the inbox, newest first."""
    query = select(Job).join(InboxFolder).where(Job.status == "bad").order_by(Job.id.desc())
    return session.execute(query).scalars().all()


def fingerprints(session: Session, names: Collection[str]) -> dict[str, str | None]:
    """How these inbox folders looked when they were last read."""
    wanted = InboxFolder.name == any_(literal(list(names), ARRAY(Text())))
    return dict(session.execute(select(InboxFolder.name, InboxFolder.fingerprint).where(wanted)).all())


def folder(session: Session, name: str) -> InboxFolder | None:
    """What is known of this inbox folder."""
    return session.get(InboxFolder, name)


def save_folder(
    session: Session, name: str, fingerprint: str | None, files: dict[str, Any], job_id: int | None = None
) -> None:
    """Remembers how the folder looked; a null fingerprint: it is still being read, ``files`` are the ones done."""
    values = {"fingerprint": fingerprint, "files": files, "job_id": job_id}
    changed = values if job_id is not None else {"fingerprint": fingerprint, "files": files}
    statement = insert(InboxFolder).values(name=name, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=changed | {"seen_at": func.now()}))


def save_folders(session: Session, seen: Sequence[SeenFolder]) -> None:
    """``save_folder`` for many, each with its job."""
    if not seen:
        return
    statement = insert(InboxFolder)
    changed = {name: statement.excluded[name] for name in ("fingerprint", "files", "job_id")}
    statement = statement.on_conflict_do_update(index_elements=["name"], set_=changed | {"seen_at": func.now()})
    session.execute(statement, [asdict(one) for one in seen])


def look_again(session: Session, name: str | None = None) -> int:
    """Forgets how the folders of refused jobs looked, all or the one of this name, so that the next scan judges them
    anew. Returns how many."""
    refused = select(Job.id).where(Job.status == "bad", *(() if name is None else (Job.name == name,)))
    statement = update(InboxFolder).where(InboxFolder.job_id.in_(refused)).values(fingerprint=None)
    return len(session.execute(statement.returning(InboxFolder.name)).all())
