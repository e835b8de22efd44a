"""The vault: what is a person's, until when it stays, and legal holds, which only an administrator sets.

What follows when the time is up is retention.py's; opening an original takes two people (access.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import BadInput, Conflict, NotFound
from pipelines.governance.people import Actor, needs, pseudonym
from pipelines.governance.retention import PERIODS
from pipelines.storage import audit, withdrawals
from pipelines.storage import vault as table
from pipelines.storage.tables import Job, VaultItem
from pipelines.storage.uploads import NewUpload


def register_uploads(session: Session, job: Job, now: datetime | None = None) -> list[int]:
    """Every stored upload of the job as an item of the vault, counted from when it came; the ids. Again: the same."""
    return [
        keep(session, job.id, u.owner, u.kind, u.object_key, u.content_hash, u.size, now or u.created_at)
        for u in job.uploads
        if u.object_key is not None
    ]


def register_new(session: Session, uploads: Sequence[tuple[int, str, NewUpload]], now: datetime | None = None) -> None:
    """``register_uploads`` for uploads (job, owner, file) of jobs that were written in this transaction."""
    stored = [(job_id, owner, file) for job_id, owner, file in uploads if file.object_key is not None]
    if not stored:
        return
    now = now or table.present(session)
    rows = []
    for job_id, owner, file in stored:
        period = PERIODS.get(file.kind)
        row = {"job_id": job_id, "user_id": owner, "kind": file.kind, "object_key": file.object_key}
        row |= {"content_hash": file.content_hash, "size": file.size, "created_at": now}
        rows.append(row | {"expires_at": None if period is None else now + period})
    table.keep_new(session, rows)


def keep(
    session: Session,
    job_id: int,
    user_id: str,
    kind: str,
    object_key: str,
    content_hash: str,
    size: int,
    now: datetime | None = None,
) -> int:
    """Puts an object under its owner's name, for as long as its kind is kept; the item's id. ``kind``: an upload's,
    ``master`` or ``preview``. An item that is there keeps its time."""
    now = now or clock.now()
    period = PERIODS.get(kind)
    return table.keep(
        session,
        job_id=job_id,
        user_id=user_id,
        kind=kind,
        object_key=object_key,
        content_hash=content_hash,
        size=size,
        now=now,
        expires_at=None if period is None else now + period,
    )


def hold(session: Session, item_id: int, actor: Actor, reason: str) -> VaultItem:
    """Nothing deletes the item's object any more: no period, no withdrawal, no budget. NotAllowed for anybody below an
    administrator, BadInput without a reason, NotFound for an item that is gone."""
    needs(actor, "administrator")
    if not reason.strip():
        raise BadInput(f"vault item {item_id}", "is held for no reason", "say why it must stay")
    item = find(session, item_id)
    item.legal_hold, item.hold_reason = True, reason.strip()
    audit.write(session, actor=actor.pseudonym, action="vault.hold", subject=f"vault:{item_id}")
    return item


def release(session: Session, item_id: int, actor: Actor) -> VaultItem:
    """Ends the hold; what should be gone by now goes with the next hour's retention. Conflict where there is none."""
    needs(actor, "administrator")
    item = find(session, item_id)
    if not item.legal_hold:
        raise Conflict(f"vault item {item_id}", "is under no legal hold", "`orimono vault OWNER` shows which are")
    item.legal_hold, item.hold_reason = False, None
    audit.write(session, actor=actor.pseudonym, action="vault.release", subject=f"vault:{item_id}")
    return item


def items(session: Session, owner: str) -> list[VaultItem]:
    """What is in the vault of this person, however the name is spelled, oldest first."""
    person = pseudonym(owner)
    return list(table.of_owners(session, [*withdrawals.spellings(session, person), person]))


def find(session: Session, item_id: int) -> VaultItem:
    """The item, locked. NotFound for one that never was or is deleted."""
    item = table.locked(session, item_id)
    if item is None or item.deleted_at is not None:
        reason = "does not exist" if item is None else f"was deleted ({item.deleted_reason})"
        raise NotFound(f"vault item {item_id}", reason, "list the person's items for those that are there")
    return item
