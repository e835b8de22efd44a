"""Files that somebody gave and that say what others decided: those that name a viewer who withdraws are let go.

What they said of everybody else is in the tables by then and stays. The rest of a withdrawal is withdrawal.py's.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from pipelines.errors import BadInput
from pipelines.governance import retention
from pipelines.governance.traces import Trace
from pipelines.storage import forgetting
from pipelines.storage.tables import Upload, VaultItem
from pipelines.studio import Studio

log = logging.getLogger(__name__)


def naming(studio: Studio, trace: Trace) -> tuple[str, ...]:
    """Hashes of the files that name a viewer of the trace. Every file of decisions or tags is read for it."""
    from pipelines.recommending import importing

    if not trace.viewers:
        return ()
    people = {UUID(viewer) for viewer in trace.viewers}
    with studio.database.session() as session:
        uploads = forgetting.exports(session, trace.jobs, trace.until)
    found: set[str] = set()
    for upload in uploads:
        if upload.content_hash not in found and upload.object_key is not None:
            try:
                if importing.names_any(studio.objects.local(upload.object_key), upload.kind, people):
                    found.add(upload.content_hash)
            except BadInput as error:  # nothing was taken of it
                log.warning("upload %d was not searched for a viewer: %s", upload.id, error)
    return tuple(sorted(found))


def items(studio: Studio, trace: Trace) -> list[VaultItem]:
    """What is still there of these files."""
    with studio.database.session() as session:
        return list(forgetting.kept(session, trace.exports or (), trace.jobs))


def drop(studio: Studio, trace: Trace, now: datetime) -> None:
    """Counts the tags of their jobs anew, without the viewer's, and deletes the files. Safe to begin again."""
    _drop(studio, items(studio, trace), now)


def let_go(
    studio: Studio, job_id: int, uploads: Collection[Upload], now: datetime
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Deletes files of this job that name somebody who withdrew before they came, and whose rows of others are taken:
    names of (those that are gone, those that a legal hold keeps). Whoever gave the same bytes loses them, too."""
    with studio.database.session() as session:
        found = list(forgetting.kept(session, {upload.content_hash for upload in uploads}, ()))
    _drop(studio, found, now, counted=job_id)
    with studio.database.session() as session:
        left = forgetting.there(session, [upload.id for upload in uploads])
    names = sorted(uploads, key=lambda upload: upload.id)
    return tuple(u.name for u in names if u.id not in left), tuple(u.name for u in names if u.id in left)


def _drop(studio: Studio, found: Collection[VaultItem], now: datetime, counted: int | None = None) -> None:
    from pipelines.recommending import importing

    for job_id in _jobs(found):
        if job_id != counted:
            importing.count_tags_anew(studio, job_id, now)
    retention.expire_at_once(studio, [item.id for item in found], now)


def _jobs(found: Collection[VaultItem]) -> list[int]:
    return sorted({item.job_id for item in found if item.kind == "tags" and item.job_id is not None})
