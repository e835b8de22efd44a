"""What time it is: the one clock, so that a test can move it, and the one place that doubts it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipelines.errors import Unavailable

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MOST_APART = 300.0  # s


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def of_database(session: Session) -> datetime:
    """The present moment by the database's clock, which dates rows that say no time themselves."""
    from sqlalchemy import func, select

    found: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return found


def agreed(session: Session) -> datetime:
    """The present moment, for what cannot be undone: Unavailable when this machine's clock and the database's are
    more than five minutes apart, since then one of them has jumped."""
    ours = now()
    apart = (ours - of_database(session)).total_seconds()
    if abs(apart) > MOST_APART:
        reason = f"is {apart:+.0f} s from the database's, and nothing is deleted or promoted until they agree"
        raise Unavailable("this machine's clock", reason, 60)
    return ours
