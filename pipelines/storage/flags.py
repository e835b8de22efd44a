"""Questions about the switches that an operator turns while the product runs."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.errors import BadInput
from pipelines.storage import audit
from pipelines.storage.tables import FeatureFlag

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
    """Turns it, with a line in the audit trail; BadInput for a name that is no flag."""
    values = {"enabled": enabled, "note": note}
    statement = insert(FeatureFlag).values(name=_known(name), **values)
    session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values | {"updated_at": func.now()}))
    audit.write(session, actor=by, action="flag.switch", subject=f"flag:{name}", detail=values)


def listed(session: Session) -> list[tuple[str, bool, str]]:
    """Each flag with its state and what it switches."""
    states = {row.name: row.enabled for row in session.execute(select(FeatureFlag)).scalars()}
    return [(name, states.get(name, True), meaning) for name, meaning in FLAGS.items()]


def _known(name: str) -> str:
    if name not in FLAGS:
        raise BadInput(name, "is not a flag", f"choose from {', '.join(FLAGS)}")
    return name
