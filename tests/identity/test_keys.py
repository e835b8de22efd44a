"""Keys: what is kept of one, who may make which, and when it stops to work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from pipelines.errors import BadInput, NotAllowed
from pipelines.governance.people import Actor, pseudonym
from pipelines.identity import keys
from pipelines.identity.callers import scopes_of
from pipelines.storage import api_keys, audit
from pipelines.storage.database import Database

NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)
ADA = Actor("Ada", "editor")


def test_a_key_says_who_comes_and_what_for(database: Database) -> None:
    with database.session() as session:
        made = keys.make(session, "Ada", "editor", label=" her  laptop ", scopes=["jobs:read", "infer"])
    with database.session() as session:
        found = keys.verify(session, made.key)
    assert found is not None and found.expires_at is None
    assert (found.caller.actor, found.caller.scopes) == (ADA, {"jobs:read", "infer"})
    assert (found.caller.label, found.caller.key_id) == (f"key:{made.prefix}", made.id)
    with database.session() as session:
        (row,) = api_keys.listed(session)
        assert (row.label, row.created_by) == ("her laptop", pseudonym("Ada"))
