"""Writes taken folders into the database, each whole or not at all: a job with its uploads, consents and claims.

Folders whose names are new are written many in one transaction, by a handful of statements; the others one by one, for
their earlier contents have a say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pipelines.errors import Unavailable
from pipelines.governance import consent, vault
from pipelines.intake import batches
from pipelines.intake.job_file import JobFile
from pipelines.intake.taking import Memory, Taken
from pipelines.storage import jobs, uploads
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewConsent, SeenFolder


def record(database: Database, taken: Sequence[Taken]) -> Iterator[tuple[Taken, bool, bool]]:
    """Each with whether it is a new job, and whether it took a consent to training back. Two may write at once: a
    content of a name is one job. Names are locked in their order, so nobody waits for each other in a ring."""
    try:
        with database.session() as session:
            known = jobs.lock_names(session, [one.new.name for one in taken])
            fresh = [one for one in taken if one.new.name not in known]
            _write_fresh(session, fresh)
    except Unavailable:
        raise
    except DBAPIError:  # one of them, which is not to keep the others out
        fresh = []
    yield from ((one, True, False) for one in fresh)
    written = {one.new.name for one in fresh}
    for one in taken:
        if one.new.name not in written:
            with database.session() as session:
                outcome = _write(session, one)
            yield one, *outcome


def remember(database: Database, name: str, memory: Memory) -> None:
    """What was read of a folder until time was up."""
    with database.session() as session:
        jobs.save_folder(session, name, None, memory)


def _write_fresh(session: Session, taken: Sequence[Taken]) -> None:
    ids = jobs.add_first(session, [one.new for one in taken])
    given, allowed, seen = [], [], []
    for job_id, one in zip(ids, taken, strict=True):
        if one.job is not None:
            given += [(job_id, one.job.owner, file) for file in one.files]
            allowed.append(NewConsent(job_id, one.job.owner, **_allowed(one.job)))
        seen.append(SeenFolder(one.new.name, one.fingerprint, one.memory, job_id))
    uploads.add_many(session, given)
    jobs.give_consents(session, allowed)
    vault.register_new(session, given)
    jobs.save_folders(session, seen)


def _write(session: Session, one: Taken) -> tuple[bool, bool]:
    taken_back = False
    new, job = one.new, one.job
    before = jobs.latest(session, new.name)
    job_id, fresh = jobs.add(session, new)
    if not fresh and before is not None and before.id != job_id and not new.error:
        batches.bring_back(session, job_id)
    if fresh and job is not None:
        uploads.add(session, job_id, job.owner, one.files)
        vault.register_uploads(session, jobs.get(session, job_id))
        jobs.give_consent(session, job_id, job.owner, **_allowed(job))
    # Only where the text is another: what a person set since, by another way, is not undone by a touch.
    if job is not None and not new.error and (before is None or before.id != job_id):
        taken_back = consent.follow_folder(session, new.name, job.owner, **_allowed(job))
    jobs.save_folder(session, new.name, one.fingerprint, one.memory, job_id)
    return fresh, taken_back


def _allowed(job: JobFile) -> dict[str, bool]:
    return {"quality": job.consents.quality, "training": job.consents.training}
