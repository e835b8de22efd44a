"""Originals, holds and the wishes to open one, as a caller sees and changes them. The rules are pipelines/governance's
vault.py and access.py."""

from __future__ import annotations

from pipelines import clock
from pipelines.errors import NotFound
from pipelines.governance import access as rules
from pipelines.governance import vault
from pipelines.governance.people import pseudonym
from pipelines.identity.callers import Caller
from pipelines.storage import access as access_table
from pipelines.storage import vault as vault_table
from pipelines.storage.tables import AccessRequest, VaultItem
from serving.api.house import House
from serving.views.links import Links
from serving.views.paging import decode, encode
from serving.views.persons import shown
from serving.wire.base import Page
from serving.wire.originals import Access, AccessDecision, AccessStatus, AccessWish, HoldWish, OpenedOriginal, Original


def listed(
    house: House,
    caller: Caller,
    owner: str | None = None,
    *,
    held: bool = False,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Original]:
    """Those of ``owner``; None: the caller's own, or with ``held`` everybody's that are under a hold (operators)."""
    if owner is not None:
        caller.reach(owner, f"what is kept of {owner}")
    person: str | None = pseudonym(owner or caller.name)
    if owner is None and held and caller.everybody:
        person = None
    with house.session() as session:
        rows = vault_table.page(session, person=person, held=held, before=decode(cursor), limit=limit + 1)
        items = tuple(_original(caller, item, job) for item, job in rows[:limit])
        return Page(items=items, next=encode(rows[limit - 1][0].id) if len(rows) > limit else None)


def find(house: House, caller: Caller, item_id: int) -> Original:
    """NotFound for one that is gone or not the caller's to see."""
    with house.session() as session:
        rows = vault_table.page(session, item_id=item_id, limit=1)
        if not rows:
            raise NotFound(f"vault item {item_id}", "does not exist", "list yours for those that do")
        caller.reach(rows[0][0].user_id, f"vault item {item_id}")
        return _original(caller, *rows[0])


def hold(house: House, caller: Caller, item_id: int, wish: HoldWish) -> Original:
    """An administrator's; NotAllowed for others."""
    with house.session() as session:
        vault.hold(session, item_id, caller.actor, wish.reason)
    return find(house, caller, item_id)


def release(house: House, caller: Caller, item_id: int) -> Original:
    """An administrator's; Conflict where there is no hold."""
    with house.session() as session:
        vault.release(session, item_id, caller.actor)
    return find(house, caller, item_id)


def ask(house: House, caller: Caller, wish: AccessWish) -> Access:
    with house.session() as session:
        row = rules.request(session, caller.actor, wish.item, wish.reason, seat=_seat(caller))
        request_id = row.id
    return access(house, caller, request_id)


def accesses(
    house: House, caller: Caller, *, waiting: bool = False, limit: int = 50, cursor: str | None = None
) -> Page[Access]:
    """The caller's own wishes; everybody's for who may decide (operators). ``waiting``: those without a decision."""
    person = None if caller.everybody else caller.actor.pseudonym
    with house.session() as session:
        rows = access_table.page(session, person=person, waiting=waiting, before=decode(cursor), limit=limit + 1)
        items = tuple(_access(caller, row, item) for row, item in rows[:limit])
        return Page(items=items, next=encode(rows[limit - 1][0].id) if len(rows) > limit else None)


def access(house: House, caller: Caller, request_id: int) -> Access:
    """NotFound for one that is not the caller's to see."""
    with house.session() as session:
        found = access_table.find(session, request_id)
        if found is None or not (caller.everybody or _own(caller, found[0])):
            raise NotFound(f"access request {request_id}", "does not exist", "list yours for those that do")
        return _access(caller, *found)


def decide(house: House, caller: Caller, request_id: int, wish: AccessDecision) -> Access:
    """NotAllowed for one's own, Conflict for one that is decided."""
    with house.session() as session:
        rules.decide(session, caller.actor, request_id, approve=wish.approve, seat=_seat(caller))
    return access(house, caller, request_id)


def open(house: House, caller: Caller, request_id: int) -> OpenedOriginal:
    """A link, once. Conflict while it is not approved, when it was used, and a day after it was approved."""
    access(house, caller, request_id)  # nobody learns of a wish that is not theirs to see
    links = house.one(Links)
    now = clock.now()
    granted = rules.grant(house.studio, caller.actor, request_id, now, seat=_seat(caller))
    seconds = int(rules.URL_SECONDS)
    path = links.signer.link_object(
        granted.object_key,
        purpose=f"original:{request_id}",
        who=caller.actor.pseudonym,
        name=granted.file_name,
        seconds=seconds,
        now=now,
    )
    return OpenedOriginal(url=path, seconds=seconds, expires_at=granted.until)


def _original(caller: Caller, item: VaultItem, job: str | None) -> Original:
    return Original(
        id=item.id,
        kind=item.kind,
        job=job,
        owner=shown(item.user_id),
        size=item.size,
        created_at=item.created_at,
        expires_at=item.expires_at,
        legal_hold=item.legal_hold,
        hold_reason=item.hold_reason if caller.everybody else None,
    )


def _access(caller: Caller, row: AccessRequest, item: VaultItem) -> Access:
    own = _own(caller, row)
    status = _status(row, item)
    return Access(
        id=row.id,
        item=item.id,
        kind=item.kind,
        status=status,
        reason=row.reason,
        requested_by=shown(row.requested_by),
        requested_at=row.created_at,
        decided_by=None if row.decided_by is None else shown(row.decided_by),
        decided_at=row.decided_at,
        opened_at=row.opened_at,
        own=own,
        may_decide=status == "waiting" and not own and caller.everybody and "approve" in caller.scopes,
        may_open=status == "approved" and own and "originals" in caller.scopes,
    )


def _status(row: AccessRequest, item: VaultItem) -> AccessStatus:
    if row.opened_at is not None:
        return "opened"
    if row.decided_at is not None and not row.approved:
        return "refused"
    if item.deleted_at is not None:
        return "gone"
    if row.decided_at is None:
        return "waiting"
    return "lapsed" if rules.lapsed(row, clock.now()) else "approved"


def _own(caller: Caller, row: AccessRequest) -> bool:
    return shown(row.requested_by) == caller.actor.pseudonym


def _seat(caller: Caller) -> dict[str, str]:
    return {"caller": caller.label}
