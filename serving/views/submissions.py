"""New jobs: each takes uploads that are ready, and is answered as the job that came of it.

How a job gets into the inbox is pipelines/intake/submitting.py's. ``request_id`` goes with the job into logs and runs;
``token`` makes sending safe to repeat: the same one of the same person is the same job.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from pipelines.errors import BadInput
from pipelines.identity.callers import Caller
from pipelines.intake import submitting
from pipelines.intake.job_file import ComposeWish, EditWish, MasterWish, ScoreWish
from pipelines.intake.submitting import Given, Order
from serving.api import logs
from serving.api.handing_over import HandingOver
from serving.api.house import House
from serving.views import jobs
from serving.wire.jobs import Job
from serving.wire.submissions import (
    AlignmentWanted,
    ArrangementWanted,
    EditWanted,
    JobWish,
    MasterWanted,
    ScoringWanted,
    Wanted,
)


def create_job(house: House, caller: Caller, wish: JobWish, *, request_id: str = "", token: str = "") -> Job:
    """NotFound for an upload that is not the caller's, Conflict for one that is not ready or was used, BadInput for
    files that make no job, NotAllowed for another's name without an operator's role, Unavailable without room."""
    files = [Given(file.upload, file.kind, file.tags) for file in wish.files]
    parts = {"edit": wish.edit, "master": wish.master, "score": wish.score, "compose": wish.compose}
    said: dict[str, Any] = {name: plain for name, part in parts.items() if (plain := _plain(part))}
    said |= {name: value for name, value in {"bpm": wish.bpm, "key": wish.key}.items() if value is not None}
    return _sent(house, caller, wish, files, said, request_id, token)


def create_edit(house: House, caller: Caller, wish: EditWanted, *, request_id: str = "", token: str = "") -> Job:
    files = [Given(wish.music, "music"), *(Given(clip, "clip") for clip in wish.clips)]
    if wish.lyrics is not None:
        files.append(Given(wish.lyrics, "lyrics"))
    said: dict[str, Any] = {"edit": _plain(wish, EditWish)}
    if wish.bpm is not None:
        said["bpm"] = wish.bpm
    return _sent(house, caller, wish, files, said, request_id, token)


def create_master(house: House, caller: Caller, wish: MasterWanted, *, request_id: str = "", token: str = "") -> Job:
    """BadInput unless there is either a mix or both stems."""
    stems = [Given(wish.inst, "inst")] if wish.inst else []
    stems += [Given(wish.vocal, "vocal")] if wish.vocal else []
    if (wish.mix is None) == (not stems) or len(stems) == 1:
        raise BadInput("this master", "has not either a mix or two stems", "give `mix`, or both `inst` and `vocal`")
    files = [Given(wish.mix, "mix")] if wish.mix else stems
    return _sent(house, caller, wish, files, {"master": _plain(wish, MasterWish)}, request_id, token)


def create_alignment(
    house: House, caller: Caller, wish: AlignmentWanted, *, request_id: str = "", token: str = ""
) -> Job:
    files = [Given(wish.inst, "inst"), Given(wish.vocal, "vocal")]
    return _sent(house, caller, wish, files, {}, request_id, token)


def create_arrangement(
    house: House, caller: Caller, wish: ArrangementWanted, *, request_id: str = "", token: str = ""
) -> Job:
    said = {"compose": _plain(wish, ComposeWish)}
    return _sent(house, caller, wish, [Given(wish.melody, "melody")], said, request_id, token)


def create_scoring_job(
    house: House, caller: Caller, wish: ScoringWanted, *, request_id: str = "", token: str = ""
) -> Job:
    said = {"score": _plain(wish, ScoreWish)}
    return _sent(house, caller, wish, [Given(wish.sheet, "sheet")], said, request_id, token)


def _sent(
    house: House,
    caller: Caller,
    wish: Wanted,
    files: Sequence[Given],
    said: dict[str, Any],
    request_id: str,
    token: str,
) -> Job:
    wishes = {"consents": wish.consents.model_dump(), **{name: part for name, part in said.items() if part != {}}}
    order = Order(tuple(files), wish.title, wish.owner, wishes, request_id, token)
    name = submitting.submit(house.studio, caller, order)
    house.one(HandingOver).soon()
    logs.note(job=name)
    return jobs.get_job(house, caller, name)


def _plain(wish: BaseModel, part: type[BaseModel] | None = None) -> dict[str, Any]:
    """What was said of this part of job.yaml, as plain values."""
    fields = set((part or type(wish)).model_fields)
    return wish.model_dump(mode="json", include=fields, exclude_unset=True, exclude_none=True)
