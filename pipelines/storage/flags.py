"""Questions about the switches that an operator turns while the product runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.errors import NotFound
from pipelines.storage import audit
from pipelines.storage.tables import FeatureFlag


@dataclass(frozen=True, slots=True)
class State:
    """A flag as it is now; ``changed_at`` None: nobody has set it."""

    name: str
    enabled: bool
    switches: str
    note: str
    changed_at: datetime | None


# Name -> what it switches. A flag that nobody has set is on.
FLAGS = {
    "enable_cpu_ml": "models suggest presets, settings and confidences; off: the rules do",
    "enable_hq_master": "masters are rendered; off: mastering jobs are analysed and labelled only",
    "enable_align": "stems are aligned; off: they are taken to start together",
}


def enabled(session: Session, name: str) -> bool:
    found = session.execute(select(FeatureFlag.enabled).where(FeatureFlag.name == _known(name))).scalar_one_or_none()
    return True if found is None else found


def switch(session: Session, name: str, enabled: bool, *, by: str, note: str = "") -> None:
    """Turns it, with a line in the audit trail; NotFound for a name that is no flag."""
    lock(session, _known(name))
    values = {"enabled": enabled, "note": note}
    statement = insert(FeatureFlag).values(name=name, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values | {"updated_at": func.now()}))
    audit.write(session, actor=by, action="flag.switch", subject=f"flag:{name}", detail=values)


def lock(session: Session, name: str) -> None:
    """Nobody else who asks for it turns this flag until the transaction ends."""
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:name, 6))"), {"name": f"flag:{name}"})


def states(session: Session) -> list[State]:
    """All flags as they are committed now, whatever this session has read before."""
    query = select(FeatureFlag).execution_options(populate_existing=True)
    rows = {row.name: row for row in session.execute(query).scalars()}
    found = []
    for name, meaning in FLAGS.items():
        row = rows.get(name)
        given = (True, "", None) if row is None else (row.enabled, row.note, row.updated_at)
        found.append(State(name, given[0], meaning, given[1], given[2]))
    return found


def listed(session: Session) -> list[tuple[str, bool, str]]:
    """Each flag with its state and what it switches."""
    states = {row.name: row.enabled for row in session.execute(select(FeatureFlag)).scalars()}
    return [(name, states.get(name, True), meaning) for name, meaning in FLAGS.items()]


def _known(name: str) -> str:
    if name not in FLAGS:
        raise NotFound(name, "is not a flag", f"choose from {', '.join(FLAGS)}")
    return name
