"""Questions about the registry: which versions of which models there are. A row is never changed once it is there.

What makes a version fit to be registered is models/registry.py's, who is served by which rollout.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session, defer

from pipelines.storage.tables import ModelVersion


def lock(session: Session, name: str) -> None:
    """Lets one transaction at a time register versions of this name, until it ends."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"model_registry:{name}", 0))))


def add(session: Session, row: ModelVersion) -> ModelVersion:
    """The row, with its id."""
    session.add(row)
    session.flush()
    return row


def get(session: Session, model_id: int) -> ModelVersion | None:
    return session.get(ModelVersion, model_id)


def of_ids(session: Session, ids: Collection[int]) -> dict[int, ModelVersion]:
    """By id; an id that is not there is left out."""
    rows = session.execute(select(ModelVersion).where(ModelVersion.id.in_(ids))).scalars()
    return {row.id: row for row in rows}


def find(session: Session, name: str, version: str) -> ModelVersion | None:
    query = select(ModelVersion).where(ModelVersion.name == name, ModelVersion.version == version)
    return session.execute(query).scalar_one_or_none()


def latest(session: Session, name: str) -> ModelVersion | None:
    """The one registered last, whether or not it serves anybody."""
    query = select(ModelVersion).where(ModelVersion.name == name).order_by(ModelVersion.id.desc()).limit(1)
    return session.execute(query).scalar_one_or_none()


def listed(session: Session, name: str | None = None) -> Sequence[ModelVersion]:
    """The versions of a name, or of all names, newest first."""
    query = select(ModelVersion).order_by(ModelVersion.id.desc())
    if name is not None:
        query = query.where(ModelVersion.name == name)
    return session.execute(query).scalars().all()


def newest(session: Session, name: str, limit: int, also: Collection[int] = ()) -> Sequence[ModelVersion]:
    """The newest ``limit`` versions of a name and those with the ids ``also``, newest first. What drift is measured
    against stays in the database until it is asked for: it is large."""
    ids = select(ModelVersion.id).where(ModelVersion.name == name).order_by(ModelVersion.id.desc()).limit(limit)
    query = select(ModelVersion).where(ModelVersion.name == name)
    query = query.where(or_(ModelVersion.id.in_(ids), ModelVersion.id.in_(also)))
    query = query.options(defer(ModelVersion.reference), defer(ModelVersion.provenance))
    return session.execute(query.order_by(ModelVersion.id.desc())).scalars().all()


def count(session: Session, name: str) -> int:
    return int(session.execute(select(func.count()).where(ModelVersion.name == name)).scalar_one())


def names(session: Session) -> list[str]:
    """Of all models, in alphabetical order."""
    return list(session.execute(select(ModelVersion.name).distinct().order_by(ModelVersion.name)).scalars())


def of_day(session: Session, name: str, day: str) -> Sequence[ModelVersion]:
    """The versions of a name whose version begins with ``day`` (``v20261121``), oldest first."""
    query = select(ModelVersion).where(ModelVersion.name == name, ModelVersion.version.startswith(day, autoescape=True))
    return session.execute(query.order_by(ModelVersion.id)).scalars().all()


def named_withdrawn(session: Session, name: str) -> list[str]:
    """Pseudonyms that the versions of a name have named in their provenance as withdrawn, once each time."""
    named = ModelVersion.provenance["withdrawn_since_last_version"]
    query = select(named).where(ModelVersion.name == name, named.is_not(None))
    return [person for persons in session.execute(query).scalars() for person in persons or ()]


def uses(session: Session, uri: str) -> bool:
    """Whether any version's bytes are this object."""
    found: Any = session.execute(select(exists().where(ModelVersion.uri == uri))).scalar_one()
    return bool(found)
