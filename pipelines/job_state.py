"""How far a job is and what failed in it, from what the intake, the batch, the steps and the sheets left in the tables.

Only the tables are asked; whose a job is, and who may see it, is left to the caller.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pipelines.errors import Conflict, NotFound

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pipelines.storage.job_listing import Named, Outcome, SheetProgress
    from pipelines.storage.tables import BatchRow, Job, Upload

Status = Literal["waiting", "refused", "planned", "running", "finished", "failed"]
System = Literal["editing", "mastering", "composing", "scoring", "recommending"]

# Steps of a batch in the order of its run; what is not named here comes last.
STEPS = (
    *("music_features", "video_features", "lyrics_features"),
    *("shared_features", "edit_patterns", "edit_renders", "edit_quality"),
    *("alignments", "mastering_features", "masters", "previews", "waveforms", "mastering_labels"),
    *("accompaniments", "decisions", "score_jobs", "scored_sheets"),
)
# A clip or a text that cannot be read is left out, and the edit is made of the others.
_SPARED = ("video_features", "lyrics_features")
_DELIVERED = "edit_quality"
_PATTERNS = 3  # of an edit, unless its owner says which
_STYLES = 2
_ROWS = 6.0  # the rows of a sheet weigh as much as so many steps


@dataclass(frozen=True, slots=True)
class Step:
    """``upload``: the file's name; None for a whole job's."""

    name: str
    upload: str | None
    error: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class File:
    name: str
    kind: str
    size: int  # bytes
    status: Literal["ok", "bad", "expired"]
    error: str | None


@dataclass(frozen=True, slots=True)
class JobState:
    """``progress`` 0 to 1. ``attempts``: runs that were asked for of its batch."""

    name: str
    owner: str | None
    status: Status
    since: datetime
    job_id: int | None = None
    error: str | None = None
    request_id: str | None = None
    systems: tuple[System, ...] = ()
    files: tuple[File, ...] = ()
    steps: tuple[Step, ...] = ()
    progress: float = 0.0
    batch: str | None = None
    attempts: int = 0

    @property
    def ended(self) -> bool:
        return self.status in ("refused", "finished", "failed")


def get(session: Session, name: str) -> JobState:
    """NotFound when no job has this name."""
    found = of_names(session, [name]).get(name)
    if found is None:
        raise not_found(name)
    return found


def not_found(name: str) -> NotFound:
    return NotFound(f"job {name[:200]}", "does not exist", "list yours for those that do")


def of_names(session: Session, names: Collection[str]) -> dict[str, JobState]:
    """Those of these that there are, in few questions however many they are."""
    from pipelines.storage import job_listing

    # No job's name has such a character, and the database would not take it.
    sayable = [name for name in names if "\0" not in name]
    found = list(job_listing.of_names(session, sayable).values())
    return {state.name: state for state in _states(session, found)}


def newest(
    session: Session, owners: Collection[str] | None, before: tuple[datetime, str] | None, limit: int
) -> list[JobState]:
    """The newest first, of these owners (None: of everybody). ``before``: (since, name) of the last one seen."""
    from pipelines.storage import job_listing

    return _states(session, job_listing.newest(session, owners, before, limit))


def retry(session: Session, name: str) -> None:
    """What failed in the job runs again: its batch (which skips what is done), failed chunks of its sheets; a refused
    job is judged anew by the next scan. Conflict when it has not ended, or nothing in it failed."""
    from pipelines.intake import batches
    from pipelines.scoring import chunks
    from pipelines.storage import jobs, score_jobs

    state = get(session, name)
    if not state.ended:
        raise Conflict(f"job {name}", f"is {state.status} still", "wait until it has ended")
    if state.status == "refused":
        jobs.look_again(session, name)
        return
    if state.status == "finished" and not any(step.error for step in state.steps):
        raise Conflict(f"job {name}", "has nothing that failed", "send it anew to have it made again")
    assert state.job_id is not None
    sheets = [row.id for row in score_jobs.of_job(session, state.job_id)]
    score_jobs.reopen(session, [row.id for row in score_jobs.of_job(session, state.job_id) if row.error is not None])
    again = sum(chunks.ask_again(session, sheet) for sheet in sheets)
    batch_failed = any(step.error for step in state.steps) or not again
    if state.batch is not None and batch_failed:
        batches.ask_again(session, state.batch)


def _states(session: Session, named: Sequence[Named]) -> list[JobState]:
    from pipelines.storage import job_listing

    ids = [one.job_id for one in named if one.job_id is not None]
    rows = job_listing.jobs(session, ids)
    outcomes, sheets = job_listing.outcomes(session, ids), job_listing.sheets(session, ids)
    found = []
    for one in named:
        row = rows.get(one.job_id) if one.job_id is not None else None
        if row is None:
            state = JobState(one.name, one.owner, "waiting", one.since, request_id=one.request_id)
        else:
            state = _state(one, *row, outcomes.get(row[0].id, []), sheets.get(row[0].id, []))
        found.append(state)
    return found


def _state(
    one: Named, job: Job, batch: BatchRow | None, outcomes: Sequence[Outcome], sheets: Sequence[SheetProgress]
) -> JobState:
    names = {upload.id: upload.name for upload in job.uploads}
    steps = tuple(
        Step(o.kind, names.get(o.upload_id) if o.upload_id is not None else None, o.error, o.seconds)
        for o in sorted(outcomes, key=_place)
    )
    status, error = _status(job, batch, steps, sheets)
    done = 1.0 if status == "finished" else 0.0 if status == "refused" else min(_progress(job, outcomes, sheets), 0.99)
    return JobState(
        name=job.name,
        owner=job.owner,
        status=status,
        since=one.since,
        job_id=job.id,
        error=error,
        request_id=one.request_id,
        systems=_systems(job.uploads),
        files=tuple(File(u.name, u.kind, u.size, _file_status(u), u.error) for u in job.uploads),
        steps=steps,
        progress=round(done, 3),
        batch=batch.key if batch is not None else None,
        attempts=batch.attempts if batch is not None else 0,
    )


def _status(
    job: Job, batch: BatchRow | None, steps: Sequence[Step], sheets: Sequence[SheetProgress]
) -> tuple[Status, str | None]:
    if job.status == "bad":
        return "refused", job.error
    if batch is None or batch.status == "planned":
        return "planned", None
    if batch.status == "requested":
        return "running", None
    if batch.status == "failed":
        return "failed", batch.error
    edited = any(step.name == _DELIVERED and step.error is None for step in steps)
    for step in steps:
        if step.error is not None and not (edited and step.name in _SPARED):
            return "failed", step.error
    if any(sheet.error is None and not sheet.finished for sheet in sheets):
        return "running", None
    for sheet in sheets:
        if sheet.error is not None:
            return "failed", sheet.error
        if lost := sheet.chunks.get("given_up", 0) + sheet.chunks.get("failed", 0):
            return "failed", f"{lost} of {sum(sheet.chunks.values())} chunks of its sheet were given up"
    return "finished", None


def _systems(uploads: Sequence[Upload]) -> tuple[System, ...]:
    """Which systems have work with these files."""
    kinds = {upload.kind for upload in uploads if upload.status != "bad"}
    asked: Mapping[System, bool] = {
        "editing": "music" in kinds,
        "mastering": "mix" in kinds or {"inst", "vocal"} <= kinds,
        "composing": "melody" in kinds,
        "scoring": "sheet" in kinds,
        "recommending": bool(kinds & {"videos", "decisions", "tags"}),
    }
    return tuple(system for system, wanted in asked.items() if wanted)


def _progress(job: Job, outcomes: Sequence[Outcome], sheets: Sequence[SheetProgress]) -> float:
    """Share of the steps that are done, failed ones with them."""
    expected = _expected(job)
    done = {kind: min(sum(1 for o in outcomes if o.kind == kind), n) for kind, n in expected.items()}
    whole, so_far = float(sum(expected.values())), float(sum(done.values()))
    for _ in range(expected.get("score_jobs", 0)):
        whole += _ROWS
    so_far += sum(_ROWS * sheet.rows / sheet.of if sheet.of else _ROWS for sheet in sheets)
    return min(so_far / whole, 1.0) if whole else 0.0


def _expected(job: Job) -> dict[str, int]:
    """How many outcomes each step is going to have."""
    sound = [upload for upload in job.uploads if upload.status != "bad"]
    count = {kind: sum(1 for u in sound if u.kind == kind) for kind in {u.kind for u in sound}}
    systems = _systems(sound)
    found: dict[str, int] = {}
    if "editing" in systems:
        clips = len({u.content_hash for u in sound if u.kind == "clip"})
        found |= {"music_features": 1, "video_features": clips, "lyrics_features": min(count.get("lyrics", 0), 1)}
        found |= {"shared_features": 1, "edit_patterns": 1, "edit_quality": 1}
        found["edit_renders"] = len(job.edit.get("patterns") or ()) or _PATTERNS
    if "mastering" in systems:
        stems = 1 if {"inst", "vocal"} <= count.keys() else 0
        pieces = count.get("mix", 0) + stems
        each = ("mastering_features", "masters", "previews", "waveforms", "mastering_labels")
        found |= {"alignments": stems} | dict.fromkeys(each, pieces)
    if "composing" in systems:
        found["accompaniments"] = count["melody"] * (len(job.compose.get("styles") or ()) or _STYLES)
    if "scoring" in systems:
        found |= dict.fromkeys(("score_jobs", "scored_sheets"), count["sheet"])
    if "recommending" in systems:
        found["decisions"] = 1
    return found


def _place(outcome: Outcome) -> int:
    return STEPS.index(outcome.kind) if outcome.kind in STEPS else len(STEPS)


def _file_status(upload: Upload) -> Literal["ok", "bad", "expired"]:
    return "bad" if upload.status == "bad" else "expired" if upload.status == "expired" else "ok"
