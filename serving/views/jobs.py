"""Jobs as a caller may see them: their own, an operator everybody's. What rows mean is pipelines/job_state.py's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from pipelines import job_state
from pipelines.errors import Conflict
from pipelines.governance.people import pseudonym
from pipelines.identity.callers import Caller
from pipelines.intake import arrivals
from pipelines.job_state import JobState
from pipelines.settings import Settings
from serving.api import logs
from serving.api.house import House
from serving.dagster_ui import DagsterUi, Pages
from serving.views import paging
from serving.wire.base import Page
from serving.wire.jobs import Job, JobRun, JobStatus, JobStep, JobUpload

_ROUNDS = 10  # pages of the table that a page of one status is looked for in
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def list_jobs(
    house: House,
    caller: Caller,
    *,
    limit: int = 50,
    cursor: str | None = None,
    owner: str | None = None,
    status: JobStatus | None = None,
) -> Page[Job]:
    """Newest first, without their runs. ``owner``: of this person only. With a ``status`` a page may hold fewer than
    ``limit`` though there are more."""
    last = paging.decode_pair(cursor)
    before = (_EPOCH + timedelta(microseconds=last[0]), last[1]) if last is not None else None
    found: list[JobState] = []
    more = True
    with house.session() as session:
        owners = owners_within(session, caller, owner)
        for _ in range(_ROUNDS):
            states = job_state.newest(session, owners, before, limit + 1)
            more = len(states) > limit
            for state in states[:limit]:
                before = (state.since, state.name)
                if status is None or state.status == status:
                    found.append(state)
                if len(found) == limit:
                    more = more or state is not states[min(len(states), limit) - 1]
                    break
            if len(found) == limit or not more:
                break
    following = paging.encode_pair((before[0] - _EPOCH) // timedelta(microseconds=1), before[1]) if before else None
    return Page(items=tuple(told(house.settings, state) for state in found), next=following if more else None)


def get_job(house: House, caller: Caller, name: str) -> Job:
    """With its run, when Dagster answers. NotFound for another person's, too."""
    with house.session() as session:
        state = state_of(session, caller, name)
    return told(house.settings, state, run_of(house, state))


def retry_job(house: House, caller: Caller, name: str) -> Job:
    """Has what failed in it run again. Conflict while it runs, or when nothing failed."""
    with house.session() as session:
        state = state_of(session, caller, name)
        if state.status == "refused" and state.request_id is not None and house.objects.remote:
            raise Conflict(f"job {name}", "was refused, and its files are not kept", "send it anew")
        job_state.retry(session, name)
    with house.session() as session:
        return told(house.settings, state_of(session, caller, name))


def state_of(session: Session, caller: Caller, name: str) -> JobState:
    """NotFound for a job that there is not, or that is not theirs: one sentence for both."""
    state = job_state.get(session, name)
    caller.reach(state.owner, f"job {name}")
    return state


def owners_within(session: Session, caller: Caller, owner: str | None = None) -> list[str] | None:
    """Spellings of those whose jobs the caller may see; None: everybody's. ``owner``: of this one only, and nobody's
    where that is beyond their reach."""
    from pipelines.storage import job_listing

    if owner is None:
        return None if caller.everybody else job_listing.spellings(session, caller.actor.pseudonym)
    if not caller.everybody and not caller.owns(owner):
        return []
    return job_listing.spellings(session, pseudonym(owner))


def run_of(house: House, state: JobState) -> JobRun | None:
    """The newest run of its batch; None before the first, and while Dagster does not answer."""
    if state.batch is None or not state.attempts:
        return None
    ui = house.one(DagsterUi)
    run = ui.newest_run(state.batch)
    if run is None:
        return None
    logs.note(job=state.name, run=run.id)
    return JobRun(id=run.id, status=run.status, url=ui.pages.run(run.id))


def told(settings: Settings, state: JobState, run: JobRun | None = None) -> Job:
    return Job(
        name=state.name,
        owner=state.owner,
        status=state.status,
        error=state.error,
        created_at=state.since,
        systems=state.systems,
        uploads=tuple(
            JobUpload(name=f.name, kind=f.kind, size=f.size, status=f.status, error=f.error) for f in state.files
        ),
        steps=tuple(
            JobStep(
                name=s.name,
                status="failed" if s.error else "ok",
                upload=s.upload,
                error=s.error,
                seconds=round(s.seconds, 3),
            )
            for s in state.steps
        ),
        progress=state.progress,
        batch=state.batch,
        batch_url=Pages(settings).batch(state.batch) if state.batch is not None else None,
        run=run,
        request_id=state.request_id,
        url=arrivals.page_of(settings, state.name),
    )


def check_job(house: House, caller: Caller, name: str) -> None:
    """Nothing for a job that is the caller's to see, NotFound otherwise."""
    with house.session() as session:
        state_of(session, caller, name)
