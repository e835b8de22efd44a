"""Opening a person's original takes two people: one who says why, another who agrees. Each step is in the audit trail.

The link that comes of it is good for 120 s and once; what is in the vault is vault.py's. That the two are two is only
as sure as who says who they are: at one machine's command line anybody can name themselves as they like, so the trail
also holds the machine's user of both steps. An interface that knows its callers is where it is enforced.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import BadInput
from pipelines.governance import retention, vault
from pipelines.governance.people import Actor, needs
from pipelines.governance.people import pseudonym as pseudonym_of
from pipelines.storage import access as table
from pipelines.storage import audit
from pipelines.storage.tables import AccessRequest
from pipelines.studio import Studio

URL_SECONDS = retention.OPENED.total_seconds()
VALID = timedelta(hours=24)  # how long an approval may wait to be used


def request(session: Session, actor: Actor, item_id: int, reason: str, now: datetime | None = None) -> AccessRequest:
    """An editor's wish to open an item of the vault. BadInput without a reason, or for an item that is gone."""
    needs(actor, "editor")
    if not reason.strip():
        raise BadInput(f"vault item {item_id}", "is asked for without a reason", "say why the original is needed")
    item = vault.find(session, item_id)
    row = AccessRequest(
        vault_item_id=item.id, requested_by=actor.name.strip(), reason=reason.strip(), created_at=now or clock.now()
    )
    table.add(session, row)
    _note(session, actor, "access.request", row, {"owner": _owner(item.user_id), "kind": item.kind} | _machine())
    return row


def decide(
    session: Session, actor: Actor, request_id: int, *, approve: bool, now: datetime | None = None
) -> AccessRequest:
    """Another person's decision, an operator's or administrator's. BadInput for one's own request (however the name is
    spelled) and for one that is decided."""
    needs(actor, "operator")
    row = _find(session, request_id)
    if pseudonym_of(row.requested_by) == actor.pseudonym:
        raise BadInput(actor.name, "cannot decide on a request of their own", "ask another operator")
    if row.decided_at is not None:
        word = "approved" if row.approved else "refused"
        raise BadInput(f"access request {request_id}", f"was {word} before", "make another request")
    if approve:
        vault.find(session, row.vault_item_id)
    row.decided_by, row.approved, row.decided_at = actor.name.strip(), approve, now or clock.now()
    _note(session, actor, "access.approve" if approve else "access.refuse", row, _machine())
    return row


def open(studio: Studio, actor: Actor, request_id: int, now: datetime | None = None) -> str:
    """The URL of the original, good for 120 s, for the one who asked, once. In a local store it is a ``file://`` URL of
    a copy in the home's ``opened``; nothing watches the clock for it, so it dies with the first opening or retention
    after its 120 s: within an hour where the house runs. A withdrawal deletes all such copies at once.

    BadInput when the request is not approved, was used, is another's or older than a day.
    """
    needs(actor, "editor")
    moment = now or clock.now()
    retention.drop_opened(studio, moment)
    with studio.database.session() as session:
        row = _find(session, request_id)
        what = f"access request {request_id}"
        if pseudonym_of(row.requested_by) != actor.pseudonym:
            raise BadInput(what, f"is not {actor.name}'s", "make a request of your own")
        if not row.approved or row.decided_at is None:
            state = "waits for a decision" if row.decided_at is None else "was refused"
            raise BadInput(what, state, "ask an operator" if row.decided_at is None else "make another request")
        if row.opened_at is not None:
            raise BadInput(what, f"was used at {row.opened_at:%Y-%m-%d %H:%M} UTC", "make another request")
        if abs(moment - row.decided_at) > VALID:
            raise BadInput(what, "was approved more than a day ago", "make another request")
        item = vault.find(session, row.vault_item_id)
        if not studio.objects.exists(item.object_key):
            raise BadInput(f"vault item {item.id}", "has lost its object", "restore it from a backup")
        row.opened_at = moment
        detail = {"owner": _owner(item.user_id), "kind": item.kind, "seconds": URL_SECONDS}
        _note(session, actor, "access.open", row, detail)
        key = item.object_key
    # Signed when the trail has it: a link that nobody wrote down would be worse than a request that is used up.
    if studio.objects.remote:
        return studio.objects.sign(key, URL_SECONDS)
    return _copy(studio, key, moment).as_uri()


def _copy(studio: Studio, key: str, now: datetime) -> Path:
    """Not the object itself: a link to that would be good for ever."""
    folder = retention.opened(studio) / secrets.token_urlsafe(16)
    folder.mkdir(mode=0o700, parents=True)
    place = folder / f"original{Path(key).suffix}"
    shutil.copyfile(studio.objects.local(key), place)
    os.utime(folder, (now.timestamp(), now.timestamp()))
    return place


def _machine() -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have
        user = f"uid {os.getuid()}"
    return {"machine_user": pseudonym_of(user)}


def _find(session: Session, request_id: int) -> AccessRequest:
    row = table.locked(session, request_id)
    if row is None:
        raise BadInput(f"access request {request_id}", "does not exist", "see `orimono access list`")
    return row


def _owner(user_id: str) -> str:
    """A pseudonym already where the owner withdrew and a hold keeps the item; that of a pseudonym tells nobody."""
    return pseudonym_of(user_id)


def _note(
    session: Session, actor: Actor, action: str, row: AccessRequest, detail: dict[str, Any] | None = None
) -> None:
    # The reason is in the request's row, not here: people write names into it, and the trail forgets nothing.
    what = {"request": row.id} | (detail or {})
    audit.write(session, actor=actor.pseudonym, action=action, subject=f"vault:{row.vault_item_id}", detail=what)
