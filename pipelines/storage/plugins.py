"""Questions about plug-ins (instruments and effects) and about which of them people gave their parts.

How plug-ins are found is composing/plugin_scan.py's, what is suggested composing/suggesting.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ARRAY, Text, any_, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.governance.people import pseudonym
from pipelines.storage.composing_tables import InstrumentChoice, Plugin
from pipelines.storage.consents import trainable_jobs, withdrawn_pseudonyms
from pipelines.storage.tables import Consent


@dataclass(frozen=True, slots=True)
class Described:
    """What a plug-in says of itself. ``identifier`` is unique in its format; ``kind``: instrument or effect."""

    format: str
    identifier: str
    name: str
    kind: str
    vendor: str = ""
    version: str = ""
    tags: tuple[str, ...] = ()
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of one file: how it looked, and why it failed then."""

    fingerprint: str
    error: str | None
    plugins: int


def record(session: Session, found: Sequence[Described], *, fingerprint: str = "") -> None:
    """Stores plug-ins as they are now, in place of what was known of them. Of files that hold the same plug-in, the one
    that was there first keeps it."""
    values = [
        {
            "format": one.format,
            "identifier": one.identifier,
            "name": one.name,
            "vendor": one.vendor,
            "version": one.version,
            "kind": one.kind,
            "tags": list(one.tags),
            "path": one.path,
            "status": "ok",
            "error": None,
            "fingerprint": fingerprint,
        }
        for one in {(one.format, one.identifier): one for one in found}.values()
    ]
    if values:
        statement = insert(Plugin).values(values)
        changed = {name: statement.excluded[name] for name in values[0]} | {"scanned_at": func.now()}
        free = or_(Plugin.path.is_not_distinct_from(statement.excluded.path), Plugin.status != "ok")
        identity = [Plugin.format, Plugin.identifier]
        session.execute(statement.on_conflict_do_update(index_elements=identity, set_=changed, where=free))


def replace(session: Session, path: str, found: Sequence[Described], *, fingerprint: str) -> None:
    """Stores what one file holds now; what it held before and holds no more is forgotten."""
    kept = [one.identifier for one in found]
    session.execute(delete(Plugin).where(Plugin.path == path, Plugin.identifier.not_in(kept)))
    record(session, found, fingerprint=fingerprint)


def failed(session: Session, one: Described, error: str, *, fingerprint: str) -> None:
    """Remembers that the file ``one.path`` could not tell what it holds. What it held before is failed from now on;
    of a file that never could, ``one`` is all that is known."""
    values = {"status": "failed", "error": error, "fingerprint": fingerprint, "scanned_at": func.now()}
    changed = update(Plugin).where(Plugin.path == one.path).values(**values).returning(Plugin.id)
    if session.execute(changed).first() is None:
        record(session, [one], fingerprint=fingerprint)
        session.execute(update(Plugin).where(Plugin.path == one.path).values(**values))


def known(session: Session) -> dict[str, Known]:
    """By path, all files that were scanned and were still there the last time."""
    columns = (Plugin.path, Plugin.fingerprint, Plugin.error, func.count())
    query = select(*columns).where(Plugin.path.is_not(None), Plugin.status != "gone")
    rows = session.execute(query.group_by(Plugin.path, Plugin.fingerprint, Plugin.error))
    return {str(path): Known(fingerprint, error, n) for path, fingerprint, error, n in rows}


def gone(session: Session, paths: Collection[str]) -> None:
    """These files are not there any more; their plug-ins stay known, since arrangements may name them."""
    wanted = literal(list(paths), ARRAY(Text()))
    session.execute(update(Plugin).where(Plugin.path == any_(wanted)).values(status="gone", scanned_at=func.now()))


def listed(
    session: Session, *, kind: str | None = None, format: str | None = None, status: str | None = None
) -> Sequence[Plugin]:
    """Plug-ins in the order of format, name and identifier."""
    query = select(Plugin).order_by(Plugin.format, Plugin.name, Plugin.identifier)
    for column, value in ((Plugin.kind, kind), (Plugin.format, format), (Plugin.status, status)):
        if value is not None:
            query = query.where(column == value)
    return session.execute(query).scalars().all()


def find(session: Session, format: str, identifier: str) -> Plugin | None:
    query = select(Plugin).where(Plugin.format == format, Plugin.identifier == identifier)
    return session.execute(query).scalar_one_or_none()


def choose(session: Session, *, owner: str, role: str, style: str, format: str, identifier: str) -> None:
    """This person gave a part of this role, in this style, this instrument."""
    row = InstrumentChoice(owner=owner, role=role, style=style, format=format, identifier=identifier)
    session.add(row)
    session.flush()


@dataclass(frozen=True, slots=True)
class Chosen:
    """How often somebody gave ``role`` in ``style`` the instrument."""

    own: bool  # the person that was asked for; otherwise all others together
    style: str
    format: str
    identifier: str
    n: int


def choices(session: Session, role: str, owner: str | None = None) -> list[Chosen]:
    """What parts of this role were given: by ``owner``, and by those others who have allowed that it is learned from
    them, taken together."""
    columns = (InstrumentChoice.owner, InstrumentChoice.style, InstrumentChoice.format, InstrumentChoice.identifier)
    query = select(*columns, func.count()).where(InstrumentChoice.role == role).group_by(*columns)
    rows = session.execute(query.order_by(*columns)).all()
    people = {row[0]: pseudonym(row[0]) for row in rows}
    self = pseudonym(owner) if owner is not None else None
    allowing = _allowing(session, set(people.values()) - {self})
    counts: dict[tuple[bool, str, str, str], int] = {}
    for who, style, format_, identifier, n in rows:
        if people[who] == self or people[who] in allowing:
            key = (people[who] == self, style, format_, identifier)
            counts[key] = counts.get(key, 0) + n
    return [Chosen(*key, n) for key, n in counts.items()]


def _allowing(session: Session, people: set[str]) -> set[str]:
    """Those of these pseudonyms who allow training for something of theirs, and have not withdrawn since."""
    if not people:
        return set()
    owners = session.execute(select(Consent.owner).where(Consent.job_id.in_(trainable_jobs())).distinct()).scalars()
    return people & {pseudonym(owner) for owner in owners} - withdrawn_pseudonyms(session, people)
