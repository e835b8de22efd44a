"""VACUUM and ANALYZE where they are due: tables of which much was deleted or changed, and parents of partitions, whose
statistics the server never makes by itself."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import Engine, text

logger = logging.getLogger(__name__)

LEAST_DEAD = 1000  # rows
DEAD_SHARE = 0.05
LOCK_WAIT = "5s"  # who works on a table goes first; tomorrow is another night

_DUE = """
    select s.relid::regclass::text from pg_stat_user_tables s
    where s.n_dead_tup >= :least and s.n_dead_tup >= :share * (s.n_live_tup + s.n_dead_tup)
    order by s.n_dead_tup desc"""
_CHANGED = """
    select s.relid::regclass::text from pg_stat_user_tables s
    where s.n_mod_since_analyze >= :least and s.n_mod_since_analyze >= :share * s.n_live_tup
      and s.n_dead_tup < :least"""
_PARENTS = (
    "select c.oid::regclass::text from pg_class c where c.relkind = 'p' and c.relnamespace = 'public'::regnamespace"
)


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """Names of tables; bytes of the whole database before and after."""

    vacuumed: tuple[str, ...]
    analysed: tuple[str, ...]
    before: int
    after: int


def run(engine: Engine) -> Vacuumed:
    """Makes the room of deleted rows usable again and the planner's statistics true. A table that is locked for longer
    than five seconds is left to the next time."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        size = text("select pg_database_size(current_database())")
        bounds = {"least": LEAST_DEAD, "share": DEAD_SHARE}
        before = int(connection.execute(size).scalar_one())
        due = connection.execute(text(_DUE), bounds).scalars().all()
        counted = [*connection.execute(text(_CHANGED), bounds).scalars(), *connection.execute(text(_PARENTS)).scalars()]
        connection.execute(text(f"set lock_timeout = '{LOCK_WAIT}'"))
        try:
            for name in due:
                connection.execute(text(f"vacuum (analyze, skip_locked) {name}"))
            for name in counted:
                connection.execute(text(f"analyze (skip_locked) {name}"))
        finally:
            connection.execute(text("reset lock_timeout"))
        after = int(connection.execute(size).scalar_one())
    logger.info("vacuumed %d tables, analysed %d, %d to %d bytes", len(due), len(counted), before, after)
    return Vacuumed(tuple(due), tuple(counted), before, after)


def dead_share(engine: Engine) -> dict[str, float]:
    """By table the share of rows that are dead, where there are many."""
    query = """
        select s.relid::regclass::text, s.n_dead_tup / (s.n_live_tup + s.n_dead_tup)::float
        from pg_stat_user_tables s where s.n_dead_tup >= :least"""
    with engine.connect() as connection:
        return {name: float(share) for name, share in connection.execute(text(query), {"least": 10 * LEAST_DEAD})}
