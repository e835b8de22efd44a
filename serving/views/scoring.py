"""Scoring jobs as a caller may see them, chunk by chunk. What became of a sheet is pipelines/scoring/state.py's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from sqlalchemy.orm import Session

from pipelines.errors import BadInput, Conflict, NotFound
from pipelines.identity.callers import Caller
from pipelines.scoring import chunks as score_chunks
from pipelines.scoring import state as scoring
from pipelines.scoring.state import ScoringState
from pipelines.settings import Settings
from pipelines.storage import score_chunks as chunk_table
from pipelines.storage import score_jobs as table
from pipelines.storage.scoring_tables import ScoreJob
from serving.api.house import House
from serving.dagster_ui import Pages
from serving.views import jobs, paging, results
from serving.wire.base import Page
from serving.wire.scoring import Chunk, ChunkStatus, FailedChunk, Retried, ScoringJob


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet and whose it is."""

    state: ScoringState
    row: ScoreJob
    owner: str | None


def list_scoring_jobs(
    house: House, caller: Caller, *, limit: int = 50, cursor: str | None = None, job: str | None = None
) -> Page[ScoringJob]:
    """Newest first; ``job``: of this inbox job only. Those of the command line are an operator's to see."""
    with house.session() as session:
        owners = jobs.owners_within(session, caller)
        ids = table.listed(session, owners, before=paging.decode(cursor), limit=limit + 1, job=job)
        items = tuple(told(house.settings, sheet(session, one)) for one in ids[:limit])
    return Page(items=items, next=paging.encode(ids[limit - 1]) if len(ids) > limit else None)


def get_scoring_job(house: House, caller: Caller, scoring_job: int) -> ScoringJob:
    """With a link to the scored sheet, once there is one."""
    with house.session() as session:
        theirs = sheet_of(session, caller, scoring_job)
        found = told(house.settings, theirs)
        if found.job is None or theirs.row.out is None or theirs.row.finished_at is None:
            return found
        results.may_read(session, caller, found.job)
    return found.model_copy(update={"result": results.one_of(house, caller, found.job, Path(theirs.row.out).name)})


def list_chunks(
    house: House, caller: Caller, scoring_job: int, *, limit: int = 200, cursor: str | None = None
) -> Page[Chunk]:
    """By number, from 1."""
    pages = Pages(house.settings)
    with house.session() as session:
        sheet_of(session, caller, scoring_job)
        after = paging.decode(cursor) or 0
        rows = chunk_table.after(session, scoring_job, after, limit + 1)
        items = tuple(
            Chunk(
                id=row.chunk_id,
                number=row.number,
                first=row.row_range.lower or 0,
                last=row.row_range.upper or 0,
                status=cast(ChunkStatus, row.status),
                rows_done=row.rows_done,
                attempts=row.attempts,
                retry_count=row.retry_count,
                error=row.last_error if row.status in ("failed", "given_up") else None,
                not_before=row.not_before,
                started_at=row.started_at,
                finished_at=row.finished_at,
                seconds=row.seconds,
                url=pages.chunk(row.chunk_id),
            )
            for row in rows[:limit]
        )
    return Page(items=items, next=paging.encode(items[-1].number) if len(rows) > limit else None)


def retry_scoring_job(house: House, caller: Caller, scoring_job: int) -> Retried:
    """Failed and given-up chunks run again, and a sheet that ended for good goes on. Conflict when there is nothing to
    run again."""
    with house.session() as session:
        row = sheet_of(session, caller, scoring_job).row
        what = f"scoring job {scoring_job}"
        if row.job_id is None:
            raise Conflict(what, "was begun at the command line", "go on with it there: `orimono score --resume`")
        again = score_chunks.ask_again(session, scoring_job)
        if row.error is not None:
            table.reopen(session, [scoring_job])
            again = again or len(score_chunks.left(session, scoring_job))
        elif not again:
            raise Conflict(what, "has no chunk that failed", "wait until one did, or send the sheet anew")
    return Retried(chunks=again)


def sheet_of(session: Session, caller: Caller, scoring_job: int) -> Sheet:
    """NotFound for one that there is not, or that is not theirs: one sentence for both."""
    found = sheet(session, scoring_job)
    caller.reach(found.owner, f"scoring job {scoring_job}")
    return found


def sheet(session: Session, scoring_job: int) -> Sheet:
    """Whoever owns it."""
    try:
        row = table.get(session, scoring_job)
    except BadInput as error:
        raise NotFound(f"scoring job {scoring_job}", "does not exist", "list yours for those that do") from error
    return Sheet(scoring.of(session, scoring_job), row, table.owner_of(session, row))


def told(settings: Settings, of: Sheet) -> ScoringJob:
    state, row = of.state, of.row
    return ScoringJob(
        id=state.id,
        job=state.job,
        owner=of.owner,
        name=state.name,
        kind=row.kind,  # type: ignore[arg-type]
        status=state.status,
        alive=state.alive,
        provider=str(row.asking.get("provider") or ""),
        model=row.asking.get("model"),
        categories=tuple(row.rubric.get("categories") or ()),
        rows=state.rows,
        of=state.of,
        rate=round(state.rate, 2),
        eta=state.eta,
        chunks={status: state.chunks.get(status, 0) for status in get_args(ChunkStatus)},
        failed=tuple(
            FailedChunk(chunk=one.chunk_id, error=one.error, retries=one.retries, not_before=one.not_before)
            for one in state.failed
        ),
        error=state.error,
        cost=state.tally.cost,
        hit_rate=state.tally.hit_rate,
        requests=state.tally.requests,
        throttled=state.tally.throttled,
        created_at=row.created_at,
        finished_at=row.finished_at,
        # Where it was written is a path of this machine.
        written={name: value for name, value in row.written.items() if name in ("rows", "kept", "moved", "gone")},
        url=page_of(settings, state.id),
    )


def page_of(settings: Settings, scoring_job: int) -> str:
    return f"{settings.api_address}/scoring/{scoring_job}"


def check_scoring_job(house: House, caller: Caller, scoring_job: int) -> None:
    """Nothing for one that is the caller's to see, NotFound otherwise."""
    with house.session() as session:
        sheet_of(session, caller, scoring_job)
