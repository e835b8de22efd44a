"""Withdrawals as a caller asks for them and watches them. What goes is pipelines/governance/withdrawal.py's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines import clock
from pipelines.errors import NotFound
from pipelines.governance import withdrawal
from pipelines.identity.callers import Caller
from pipelines.storage import withdrawals as table
from pipelines.storage.tables import Withdrawal as Row
from serving.api.house import House
from serving.views.paging import decode, encode
from serving.views.persons import shown
from serving.wire.base import Page
from serving.wire.withdrawals import Deleted, Stored, Withdrawal, WithdrawalPreview, WithdrawalWish


def ask(house: House, caller: Caller, wish: WithdrawalWish) -> Withdrawal:
    """Excluded from this moment, deleted within a day. Asked for again, it is the same withdrawal. NotFound when
    nothing of this person is here, NotAllowed for another's below an operator."""
    row = withdrawal.request(house.studio, wish.owner or caller.name, caller.actor, keep_originals=wish.keep_originals)
    return _told(house, caller, row)


def listed(
    house: House, caller: Caller, *, unfinished: bool = False, limit: int = 50, cursor: str | None = None
) -> Page[Withdrawal]:
    """The caller's own; everybody's for who reaches them."""
    person = None if caller.everybody else caller.actor.pseudonym
    with house.session() as session:
        rows = table.page(session, person=person, open_only=unfinished, before=decode(cursor), limit=limit + 1)
        items = tuple(_told(house, caller, row) for row in rows[:limit])
        return Page(items=items, next=encode(rows[limit - 1].id) if len(rows) > limit else None)


def find(house: House, caller: Caller, withdrawal_id: int) -> Withdrawal:
    """NotFound for one that is not the caller's to see."""
    with house.session() as session:
        row = table.get(session, withdrawal_id)
        if row is None or not (caller.everybody or _person(row) == caller.actor.pseudonym):
            raise NotFound(f"withdrawal {withdrawal_id}", "does not exist", "list yours for those that do")
        return _told(house, caller, row)


def preview(
    house: House, caller: Caller, owner: str | None = None, *, keep_originals: bool = False
) -> WithdrawalPreview:
    """What a withdrawal would delete if it was asked for now. Changes nothing."""
    owner = owner or caller.name
    caller.reach(owner, owner)
    plan = withdrawal.foresee(house.studio, owner, keep_originals=keep_originals)
    return WithdrawalPreview(person=plan.person, would_go=_deleted(plan.summary()))


def _told(house: House, caller: Caller, row: Row) -> Withdrawal:
    done = row.completed_at is not None
    late = not done and clock.now() > row.due_at
    summary = row.report if done else row.report.get("summary")
    return Withdrawal(
        id=row.id,
        person=_person(row),
        status="completed" if done else "overdue" if late else "deleting",
        keep_originals=row.keep_originals,
        requested_at=row.requested_at,
        due_at=row.due_at,
        completed_at=row.completed_at,
        own=_person(row) == caller.actor.pseudonym,
        report=None if summary is None else _deleted(summary),
        page=f"{house.settings.api_address}/withdrawals",
    )


def _person(row: Row) -> str:
    """The row has the name while it is under way, the pseudonym afterwards."""
    return row.user_id if row.completed_at is not None else shown(row.user_id)


def _deleted(summary: Mapping[str, Any]) -> Deleted:
    """Of ``Plan.summary()``."""
    return Deleted(
        rows=summary.get("rows", {}),
        objects={kind: Stored(n=one["n"], bytes=one["bytes"]) for kind, one in summary.get("objects", {}).items()},
        files=summary.get("files", {}),
        snapshots=len(summary.get("snapshots", ())),
        shared=summary.get("shared", 0),
        kept=summary.get("kept", 0),
        held=len(summary.get("held", ())),
    )
