"""Arrangements as a caller may see and choose them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import cast

from sqlalchemy.orm import Session

from pipelines.errors import NotFound
from pipelines.identity.callers import Caller
from pipelines.media.files import stems
from pipelines.storage import arrangements as table
from pipelines.storage import jobs
from pipelines.storage.composing_tables import Arrangement as Row
from serving.api.house import House
from serving.views import paging, results
from serving.views.links import Links
from serving.wire.arrangements import Arrangement, ArrangementFile, Choice
from serving.wire.base import Page
from serving.wire.results import Result


@dataclass(frozen=True, slots=True)
class Beside:
    """What lies in a job's results folder: which job it is of, what each melody's files are called by, the files."""

    job_id: int
    stems: Mapping[int, str]  # upload -> name
    files: Mapping[str, Result]


_ENDINGS: Mapping[ArrangementFile, str] = {"project": ".rpp", "picture": ".png", "preview": ".m4a"}


def list_arrangements(
    house: House, caller: Caller, *, limit: int = 50, cursor: str | None = None, job: str | None = None
) -> Page[Arrangement]:
    """Newest first; ``job``: of this one only."""
    with house.session() as session:
        owners = None if caller.everybody else table.spellings(session, caller.actor.pseudonym)
        rows = table.listed(session, owners, before=paging.decode(cursor), limit=limit + 1, job=job)
        beside = {name: _beside(house, session, caller, name) for name in {name for name, _ in rows if name}}
    items = tuple(_told(house, caller, name, row, beside.get(name or "")) for name, row in rows[:limit])
    return Page(items=items, next=paging.encode(rows[limit - 1][1].id) if len(rows) > limit else None)


def get_arrangement(house: House, caller: Caller, arrangement: int) -> Arrangement:
    with house.session() as session:
        name, row = _found(session, caller, arrangement)
        beside = _beside(house, session, caller, name) if name is not None else None
    return _told(house, caller, name, row, beside)


def choose_arrangement(house: House, caller: Caller, arrangement: int) -> Choice:
    """Notes that its owner took this one and none of those beside it."""
    from pipelines.composing import recording

    with house.session() as session:
        owner = _found(session, caller, arrangement)[1].owner
    made = recording.choose(house.studio, owner, arrangement)
    return Choice(id=made.id, name=made.name, style=made.style, candidate=made.candidate, among=made.among)  # type: ignore[arg-type]


def _found(session: Session, caller: Caller, arrangement: int) -> tuple[str | None, Row]:
    """NotFound for one that there is not, or that is not theirs: one sentence for both."""
    found = table.find(session, arrangement)
    if found is None:
        raise NotFound(f"arrangement {arrangement}", "does not exist", "list yours for those that do")
    caller.reach(found[1].owner, f"arrangement {arrangement}")
    return found


def _beside(house: House, session: Session, caller: Caller, job: str) -> Beside | None:
    """None while the results are another's."""
    try:
        results.may_read(session, caller, job)
    except NotFound:
        return None
    presented = jobs.presented(session, job)
    if presented is None:
        return None
    melodies = [u for u in jobs.get(session, presented).uploads if u.kind == "melody" and u.object_key]
    names = stems([u.name for u in melodies])
    files = {one.path: one for one in results.files_of(house, caller, job) if one.system == "composing"}
    return Beside(presented, {u.id: name for u, name in zip(melodies, names, strict=True)}, files)


def _told(house: House, caller: Caller, job: str | None, row: Row, beside: Beside | None) -> Arrangement:
    return Arrangement(
        id=row.id,
        job=job,
        owner=row.owner,
        name=row.name,
        style=row.style,  # type: ignore[arg-type]
        candidate=row.candidate,
        seed=row.seed,
        rating=row.rating,
        measures=row.measures,
        made_by=row.made_by,
        created_at=row.created_at,
        chosen_at=row.chosen_at,
        files=_files(house, caller, row, beside),
    )


def _files(house: House, caller: Caller, row: Row, beside: Beside | None) -> dict[ArrangementFile, Result]:
    """The notes as they were recorded; of what lies in the results folder, what belongs to this candidate."""
    found: dict[ArrangementFile, Result] = {}
    delivered: Mapping[str, Result] = {}
    stem = PurePosixPath(row.name).stem
    if beside is not None and beside.job_id == row.job_id and row.candidate != table.FORMER:
        delivered, stem = beside.files, beside.stems.get(row.upload_id or 0, stem)
    name = f"{stem}.{row.style}" + (f"-{row.candidate}" if row.candidate > 1 else "")
    if row.object_key is not None:
        found["midi"] = delivered.get(f"{name}.mid") or _object(house, caller, row, f"{name}.mid")
    for part, ending in _ENDINGS.items():
        if (file := delivered.get(name + ending)) is not None:
            found[part] = file
    if (report := delivered.get(f"{stem}.{row.style}.html")) is not None:
        found["report"] = report
    return found


def _object(house: House, caller: Caller, row: Row, name: str) -> Result:
    key = cast(str, row.object_key)
    purpose, who = f"arrangement:{row.id}", caller.actor.pseudonym
    url = house.one(Links).signer.link_object(key, purpose=purpose, who=who, name=name)
    size = house.studio.objects.size(key) or 0
    return Result(path=name, system="composing", kind="midi", media_type="audio/midi", size=size, url=url)
