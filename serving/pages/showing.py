"""What came of a job, sorted for the eye: steps by name, files by system, each with the way to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.views import results
from serving.wire.jobs import Job, JobStep
from serving.wire.results import Result

SYSTEMS = {
    "editing": "Edits",
    "mastering": "Master",
    "composing": "Arrangements",
    "scoring": "Sheet",
    "recommending": "Catalogue",
    None: "More files",
}
PAGES = {"editing": "/edits", "mastering": "/masters", "composing": "/arrangements", "scoring": "/scoring"}
INVITATIONS = {
    "editing": "Watch and compare",
    "mastering": "Hear and compare",
    "composing": "See, hear and choose",
    "scoring": "Chunk by chunk",
}
HEARD = ("master", "preview", "sound")
Number = Annotated[int, Path(gt=0, lt=2**63)]  # of a row


@dataclass(frozen=True, slots=True)
class Step:
    """One step for all files of a job."""

    name: str
    failed: tuple[JobStep, ...]
    done: int
    seconds: float

    @property
    def words(self) -> str:
        return self.name.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Shelf:
    """The files of one system, those to see and hear before those to take away. ``page``: where all of them are shown,
    with ``invitation`` as the words of the link."""

    name: str
    page: str | None
    invitation: str
    videos: tuple[Result, ...]
    sounds: tuple[Result, ...]
    pictures: tuple[Result, ...]
    files: tuple[Result, ...]


def address(job: str, path: str) -> str:
    """Where a page finds a result: an address that lasts as long as the session."""
    return f"/jobs/{quote(job)}/files/{quote(path)}"


def steps(job: Job) -> list[Step]:
    """In the order in which they were done."""
    by_name: dict[str, list[JobStep]] = {}
    for one in job.steps:
        by_name.setdefault(one.name, []).append(one)
    return [
        Step(
            name,
            tuple(one for one in found if one.status == "failed"),
            sum(one.status == "ok" for one in found),
            sum(one.seconds for one in found),
        )
        for name, found in by_name.items()
    ]


def shelves(found: Iterable[Result], job: str) -> list[Shelf]:
    by_system: dict[str | None, list[Result]] = {}
    for one in found:
        by_system.setdefault(one.system, []).append(one)
    return [
        Shelf(
            SYSTEMS[system],
            f"{PAGES[system]}?job={quote(job)}" if system in PAGES else None,
            INVITATIONS.get(system or "", ""),
            tuple(one for one in files if one.kind == "video"),
            tuple(one for one in files if one.kind in HEARD),
            tuple(one for one in files if one.kind == "picture" and one.media_type.startswith("image/")),
            tuple(one for one in files if one.kind not in ("video", "peaks", *HEARD)),
        )
        for system, files in sorted(by_system.items(), key=lambda pair: list(SYSTEMS).index(pair[0]))
    ]


def of_job(house: House, caller: Caller, job: Job) -> dict[str, Any]:
    """What the job's page is drawn from."""
    files = results.list_results(house, caller, job.name).items
    return {
        "job": job,
        "steps": steps(job),
        "shelves": shelves(files, job.name),
        "address_of": lambda path: address(job.name, path),
        "may_write": "jobs:write" in caller.scopes,
    }
