"""Files that came of a job, with signed links. What lies in a results folder is pipelines/results.py's."""

from __future__ import annotations

from sqlalchemy.orm import Session

from pipelines import results
from pipelines.errors import NotFound
from pipelines.identity.callers import Caller
from pipelines.identity.links import SECONDS
from pipelines.results import Found
from serving.api.house import House
from serving.views import jobs
from serving.views.links import Links
from serving.wire.results import Result, Results


def list_results(house: House, caller: Caller, name: str) -> Results:
    """NotFound for a job that is not theirs; no items while nothing is published."""
    with house.session() as session:
        may_read(session, caller, name)
    return Results(job=name, items=files_of(house, caller, name), expires_in=SECONDS)


def get_result(house: House, caller: Caller, name: str, path: str) -> Result:
    """One file. NotFound for a job that is not theirs, and for what is none of its results."""
    with house.session() as session:
        may_read(session, caller, name)
    found = one_of(house, caller, name, path)
    if found is None:
        raise NotFound(path[:200], f"is none of the results of {name}", "list them for those that there are")
    return found


def may_read(session: Session, caller: Caller, name: str) -> None:
    """NotFound unless the job is theirs, and so is what its results folder holds: while the inbox folder's present
    content is refused, the results are those of the content before, which may have been another person's."""
    from pipelines.storage import jobs as table

    jobs.state_of(session, caller, name)
    presented = table.presented(session, name)
    if presented is not None:
        caller.reach(table.get(session, presented).owner, f"job {name}")


def files_of(house: House, caller: Caller, name: str) -> tuple[Result, ...]:
    """Of a job that the caller may read."""
    found = results.listed_of(house.settings, house.objects, name)
    return tuple(told(house, caller, name, one) for one in found)


def told(house: House, caller: Caller, job: str, found: Found) -> Result:
    # A report shows the files beside it.
    signer, whole = house.one(Links).signer, found.kind == "report"
    url = signer.link_file(job, found.path, who=caller.actor.pseudonym, whole=whole)
    return Result(
        path=found.path,
        system=found.system,
        kind=found.kind,
        media_type=found.media_type,
        size=found.size,
        url=url,
    )


def one_of(house: House, caller: Caller, job: str, path: str) -> Result | None:
    """This file of a job that the caller may read; None when it is not there."""
    try:
        with results.opened_of(house.settings, house.objects, job, path) as file:
            size = file.seek(0, 2)
    except NotFound:
        return None
    return told(house, caller, job, results.described(path, size))
