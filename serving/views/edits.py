"""Edits as a caller may see them."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.errors import NotFound
from pipelines.identity.callers import Caller
from pipelines.storage import edits as table
from pipelines.storage.tables import EditRow
from serving.api.house import House
from serving.views import jobs, paging, results
from serving.wire.base import Page
from serving.wire.edits import Edit
from serving.wire.results import Result

FORMATS = ("otio", "edl", "xml", "fcpxml", "json")


def list_edits(
    house: House, caller: Caller, *, limit: int = 50, cursor: str | None = None, job: str | None = None
) -> Page[Edit]:
    """Newest first; ``job``: of this one only."""
    with house.session() as session:
        owners = jobs.owners_within(session, caller)
        rows = table.listed(session, owners, before=paging.decode(cursor), limit=limit + 1, job=job)
    files: dict[str, Mapping[str, Result]] = {}
    for name, _ in rows[:limit]:
        if name not in files:
            files[name] = _files(house, caller, name)
    items = tuple(_told(name, row, files[name]) for name, row in rows[:limit])
    return Page(items=items, next=paging.encode(rows[limit - 1][1].id) if len(rows) > limit else None)


def get_edit(house: House, caller: Caller, job: str, pattern: str) -> Edit:
    with house.session() as session:
        jobs.state_of(session, caller, job)
        rows = table.listed(session, None, limit=200, job=job)
    for name, row in rows:
        if row.pattern == pattern:
            return _told(name, row, _files(house, caller, name))
    raise NotFound(f"job {job}", f"has no edit {pattern[:100]!r}", "list its edits for those that there are")


def _files(house: House, caller: Caller, job: str) -> Mapping[str, Result]:
    """By path; none while the results are another's."""
    with house.session() as session:
        try:
            results.may_read(session, caller, job)
        except NotFound:
            return {}
    return {one.path: one for one in results.files_of(house, caller, job)}


def _told(job: str, row: EditRow, files: Mapping[str, Result]) -> Edit:
    made = row.render_key is not None
    timelines = {form: files.get(f"{row.pattern}.{form}") for form in FORMATS}
    return Edit(
        job=job,
        pattern=row.pattern,
        quality=row.quality,
        video=files.get(f"{row.pattern}.mp4") if made else None,
        report=files.get("report.html") if made else None,
        timelines={form: file for form, file in timelines.items() if file is not None},
        updated_at=row.updated_at,
    )
