"""Opening a person's original takes two people: one who says why, another who agrees. Each step is in the audit trail.

The link that comes of it is good for 120 s, and the agreement for one link; what is in the vault is vault.py's. That
the two are two is as sure as who says who they are. The API knows its callers by key or token, and the trail has
which. At one machine's command line anybody can name themselves as they like, so there it has the machine's user.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import BadInput, Conflict, NotAllowed, NotFound
from pipelines.governance import retention, vault
from pipelines.governance.people import Actor, needs
from pipelines.governance.people import pseudonym as pseudonym_of
from pipelines.storage import access as table
from pipelines.storage import audit, withdrawals
from pipelines.storage.tables import AccessRequest, VaultItem
from pipelines.studio import Studio

URL_SECONDS = retention.OPENED.total_seconds()
VALID = timedelta(hours=24)  # how long an approval may wait to be used


@dataclass(frozen=True, slots=True)
class Granted:
    """What was agreed to be opened, and until when the link to it is good."""

    request_id: int
    item_id: int
    object_key: str
    until: datetime

    @property
    def file_name(self) -> str:
        """For who saves it; tells nothing of whose it is."""
        return f"original-{self.item_id}{Path(self.object_key).suffix}"


def request(
    session: Session,
    actor: Actor,
    item_id: int,
    reason: str,
    now: datetime | None = None,
    *,
    seat: Mapping[str, str] | None = None,
) -> AccessRequest:
    """An editor's wish to open an item of the vault. BadInput without a reason, NotFound for an item that is gone.
    ``seat``: what the trail is to have of where the actor sits, such as the key they came with; the machine's user by
    default."""
    needs(actor, "editor")
    if not reason.strip():
        raise BadInput(f"vault item {item_id}", "is asked for without a reason", "say why the original is needed")
    item = _item(session, item_id)
    row = AccessRequest(
        vault_item_id=item.id, requested_by=actor.name.strip(), reason=reason.strip(), created_at=now or clock.now()
    )
    table.add(session, row)
    _note(session, actor, "access.request", row, {"owner": _owner(item.user_id), "kind": item.kind} | _seat(seat))
    return row


def decide(
    session: Session,
    actor: Actor,
    request_id: int,
    *,
    approve: bool,
    now: datetime | None = None,
    seat: Mapping[str, str] | None = None,
) -> AccessRequest:
    """Another person's decision, an operator's or administrator's. NotAllowed for one's own request (however the name
    is spelled), Conflict for one that is decided. ``seat``: see ``request``."""
    needs(actor, "operator")
    row = _find(session, request_id)
    if _asked(row, actor):
        raise NotAllowed(actor.name, "cannot decide on a request of their own", "ask another operator")
    if row.decided_at is not None:
        word = "approved" if row.approved else "refused"
        raise Conflict(f"access request {request_id}", f"was {word} before", "make another request")
    if approve:
        _item(session, row.vault_item_id)
    row.decided_by, row.approved, row.decided_at = actor.name.strip(), approve, now or clock.now()
    _note(session, actor, "access.approve" if approve else "access.refuse", row, _seat(seat))
    return row


def grant(
    studio: Studio,
    actor: Actor,
    request_id: int,
    now: datetime | None = None,
    *,
    seat: Mapping[str, str] | None = None,
) -> Granted:
    """Uses the request up, for the one who asked, once; whoever calls makes the link. It is in the trail before there
    is one: a link that nobody wrote down would be worse than a request that is used up.

    NotAllowed when the request is another's; Conflict when it is not approved, was used or is older than a day;
    NotFound when there is none, or the item is gone.
    """
    needs(actor, "editor")
    moment = now or clock.now()
    with studio.database.session() as session:
        row = _find(session, request_id)
        what = f"access request {request_id}"
        if not _asked(row, actor):
            raise NotAllowed(what, f"is not {actor.name}'s", "make a request of your own")
        if not row.approved or row.decided_at is None:
            state = "waits for a decision" if row.decided_at is None else "was refused"
            raise Conflict(what, state, "ask an operator" if row.decided_at is None else "make another request")
        if row.opened_at is not None:
            raise Conflict(what, f"was used at {row.opened_at:%Y-%m-%d %H:%M} UTC", "make another request")
        if lapsed(row, moment):
            raise Conflict(what, "was approved more than a day ago", "make another request")
        item = _item(session, row.vault_item_id)
        if not studio.objects.exists(item.object_key):
            raise NotFound(f"vault item {item.id}", "has lost its object", "restore it from a backup")
        row.opened_at = moment
        detail = {"owner": _owner(item.user_id), "kind": item.kind, "seconds": URL_SECONDS} | dict(seat or {})
        _note(session, actor, "access.open", row, detail)
        return Granted(row.id, item.id, item.object_key, moment + retention.OPENED)


def open(studio: Studio, actor: Actor, request_id: int, now: datetime | None = None) -> str:
    """For the command line: the URL of the original, good for 120 s. In a local store it is a ``file://`` URL of a copy
    in the home's ``opened``; nothing watches the clock for it, so it dies with the first opening or retention after its
    120 s: within an hour where the house runs. A withdrawal deletes all such copies at once. Raises as ``grant``."""
    needs(actor, "editor")
    moment = now or clock.now()
    retention.drop_opened(studio, moment)
    granted = grant(studio, actor, request_id, moment)
    if studio.objects.remote:
        return studio.objects.sign(granted.object_key, URL_SECONDS)
    return _copy(studio, granted.object_key, moment).as_uri()


def read(studio: Studio, request_id: int, person: str) -> None:
    """The link of this request is opened, by ``person`` (a pseudonym) or whom they gave it: in the trail before any
    byte goes out. NotFound when the item has gone since, by a withdrawal say: then the link is dead before its time."""
    with studio.database.session() as session:
        found = table.find(session, request_id)
        if found is None or found[0].opened_at is None or found[1].deleted_at is not None:
            raise NotFound("this original", "is gone since the link was made", "nothing is left to open")
        row, item = found[0], _item(session, found[1].id)
        detail = {"request": row.id, "owner": _owner(item.user_id), "kind": item.kind}
        audit.write(session, actor=person, action="access.read", subject=f"vault:{item.id}", detail=detail)


def lapsed(row: AccessRequest, now: datetime) -> bool:
    """Whether an approval has waited too long to be used."""
    return row.decided_at is not None and abs(now - row.decided_at) > VALID


def _copy(studio: Studio, key: str, now: datetime) -> Path:
    """Not the object itself: a link to that would be good for ever."""
    folder = retention.opened(studio) / secrets.token_urlsafe(16)
    folder.mkdir(mode=0o700, parents=True)
    place = folder / f"original{Path(key).suffix}"
    shutil.copyfile(studio.objects.local(key), place)
    os.utime(folder, (now.timestamp(), now.timestamp()))
    return place


def _seat(seat: Mapping[str, str] | None) -> dict[str, str]:
    if seat is not None:
        return dict(seat)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have
        user = f"uid {os.getuid()}"
    return {"machine_user": pseudonym_of(user)}


def _find(session: Session, request_id: int) -> AccessRequest:
    row = table.locked(session, request_id)
    if row is None:
        raise NotFound(f"access request {request_id}", "does not exist", "see `orimono access list`")
    return row


def _item(session: Session, item_id: int) -> VaultItem:
    """The item, locked. NotFound for one that is gone, or goes within a day since its owner withdrew."""
    item = vault.find(session, item_id)
    asked = withdrawals.of_person(session, pseudonym_of(item.user_id))
    if asked is not None and not asked.keep_originals and not item.legal_hold:
        raise NotFound(f"vault item {item_id}", "is being deleted: its owner withdrew", "nothing is left to open")
    return item


def _asked(row: AccessRequest, actor: Actor) -> bool:
    """A withdrawal leaves the pseudonym in place of who asked."""
    return actor.pseudonym in (row.requested_by, pseudonym_of(row.requested_by))


def _owner(user_id: str) -> str:
    """A pseudonym already where the owner withdrew and a hold keeps the item; that of a pseudonym tells nobody."""
    return pseudonym_of(user_id)


def _note(
    session: Session, actor: Actor, action: str, row: AccessRequest, detail: dict[str, Any] | None = None
) -> None:
    # The reason is in the request's row, not here: people write names into it, and the trail forgets nothing.
    what = {"request": row.id} | (detail or {})
    audit.write(session, actor=actor.pseudonym, action=action, subject=f"vault:{row.vault_item_id}", detail=what)
