"""Consents as a caller sees and changes them. What a change means is pipelines/governance/consent.py's."""

from __future__ import annotations

import logging

from pipelines import clock
from pipelines.errors import NotFound, OrimonoError
from pipelines.governance import consent, withdrawal
from pipelines.governance.people import pseudonym
from pipelines.identity.callers import Caller
from pipelines.storage import consents as table
from pipelines.storage.tables import Consent as Row
from pipelines.storage.tables import Job
from serving.api.house import House
from serving.views.paging import decode, encode
from serving.wire.base import Page
from serving.wire.consents import Consent, ConsentWish, ViewerConsent, ViewerConsentWish

log = logging.getLogger(__name__)


def listed(
    house: House, caller: Caller, owner: str | None = None, *, limit: int = 50, cursor: str | None = None
) -> Page[Consent]:
    """What ``owner`` (None: the caller) allowed, the newest first. NotFound for somebody else's."""
    owner = owner or caller.name
    caller.reach(owner, f"what {owner} allows")
    with house.session() as session:
        rows = table.page(session, pseudonym(owner), before=decode(cursor), limit=limit + 1)
        items = tuple(_told(row, job) for row, job in rows[:limit])
        return Page(items=items, next=encode(rows[limit - 1][0].id) if len(rows) > limit else None)


def find(house: House, caller: Caller, job: str) -> Consent:
    """Of the newest content of that job's folder which the caller may see."""
    with house.session() as session:
        row, found = _within_reach(caller, table.of_name(session, job), job)[0]
        return _told(row, found)


def give(house: House, caller: Caller, job: str, wish: ConsentWish) -> Consent:
    """Sets both consents of a job: of everything that its owner gave in that folder. The newest content's, as it is
    now. NotFound for a job that is not the caller's to see or has no owner, Conflict after a withdrawal."""
    with house.session() as session:
        rows = _within_reach(caller, table.of_name(session, job), job)
        living = [row for row, _ in rows if row.withdrawn_at is None] or [rows[0][0]]
        taken_back = any(row.training for row in living) and not wish.training
        for row in sorted(living, key=lambda row: row.id):
            consent.give(session, caller.actor, row.job_id, quality=wish.quality, training=wish.training)
        given = _told(*rows[0])
    if taken_back:
        _unlearn(house)
    return given


def viewer(house: House, caller: Caller, owner: str | None = None) -> ViewerConsent:
    owner = owner or caller.name
    caller.reach(owner, f"what {owner} allows")
    with house.session() as session:
        rows = consent.show_viewer(session, owner)
    if not rows:
        return ViewerConsent(known=False)
    one = next((row for row in rows if row.training is not None), rows[0])
    return ViewerConsent(known=True, training=one.training, granted_at=one.granted_at, withdrawn_at=one.withdrawn_at)


def give_viewer(house: House, caller: Caller, wish: ViewerConsentWish) -> ViewerConsent:
    """NotFound for somebody who decided nothing, Conflict after a withdrawal."""
    owner = wish.owner or caller.name
    caller.reach(owner, f"what {owner} allows")
    with house.session() as session:
        consent.give_viewer(session, caller.actor, owner, training=wish.training)
    if not wish.training:
        _unlearn(house)
    return viewer(house, caller, owner)


def _within_reach(caller: Caller, rows: list[tuple[Row, Job]], job: str) -> list[tuple[Row, Job]]:
    """Newest first, of one owner: a folder may have been somebody else's before."""
    seen = [(row, found) for row, found in rows if caller.everybody or caller.owns(row.owner)]
    if not seen:
        raise NotFound(f"job {job}", "does not exist or names no owner", "list your consents for those that there are")
    person = pseudonym(seen[0][0].owner)
    return [(row, found) for row, found in seen if pseudonym(row.owner) == person]


def _unlearn(house: House) -> None:
    """What was learned goes at once. Where that cannot be now it goes with the hourly run: nothing of it is used."""
    try:
        withdrawal.erase_learned(house.studio, clock.now())
    except OrimonoError as error:
        log.warning("what was learned is left to the hourly run: %s", error)


def _told(row: Row, job: Job) -> Consent:
    return Consent(
        job=job.name,
        revision=job.revision,
        quality=row.quality,
        training=row.training,
        granted_at=row.granted_at,
        withdrawn_at=row.withdrawn_at,
    )
