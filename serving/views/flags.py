"""Flags as they are shown and turned. What each switches is pipelines/storage/flags.py's."""

from __future__ import annotations

import hashlib

from sqlalchemy.orm import Session

from pipelines.errors import NotFound
from pipelines.identity.callers import Caller
from pipelines.storage import flags as table
from serving.api.house import House
from serving.views import preconditions
from serving.wire.flags import Flag, Flags, FlagWish


def listed(house: House, caller: Caller) -> Flags:
    with house.session() as session:
        return Flags(items=tuple(_told(one) for one in table.states(session)))


def find(house: House, caller: Caller, name: str) -> Flag:
    """NotFound for a name that is no flag."""
    with house.session() as session:
        return _one(session, name)


def switch(house: House, caller: Caller, name: str, wish: FlagWish, if_match: str | None = None) -> Flag:
    """``if_match``: the etag of the flag as the caller saw it, 412 when it is another now; None: whatever it is."""
    with house.session() as session:
        table.lock(session, name)
        preconditions.hold(if_match, _one(session, name).etag, f"flag {name}")
        table.switch(session, name, wish.enabled, by=caller.actor.pseudonym, note=wish.reason)
    return find(house, caller, name)


def _one(session: Session, name: str) -> Flag:
    found = next((one for one in table.states(session) if one.name == name), None)
    if found is None:
        raise NotFound(name, "is not a flag", f"choose from {', '.join(table.FLAGS)}")
    return _told(found)


def _told(one: table.State) -> Flag:
    said = f"{one.name} {one.enabled} {one.changed_at.timestamp() if one.changed_at else ''}"
    return Flag(
        name=one.name,
        enabled=one.enabled,
        switches=one.switches,
        reason=one.note,
        changed_at=one.changed_at,
        etag=hashlib.sha256(said.encode()).hexdigest()[:32],
    )
