"""Somebody who decided something, for tests of what becomes of it."""

from __future__ import annotations

from pipelines.governance.people import pseudonym
from pipelines.recommending.people import viewer_id
from pipelines.storage import viewers
from pipelines.studio import Studio


def watched(studio: Studio, name: str) -> None:
    with studio.database.session() as session:
        viewers.ensure(session, viewer_id(name), pseudonym(name))
