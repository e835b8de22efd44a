"""What runs, what failed and why, and how to have it run again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.intake import batches as intake
from pipelines.intake import scan
from pipelines.scoring import state as scoring
from pipelines.scoring.state import ScoringState
from pipelines.storage import batches, items, jobs, submissions, uploads
from pipelines.storage.tables import Job
from pipelines.studio import Studio


@dataclass(frozen=True, slots=True)
class BatchState:
    key: str
    status: str
    attempts: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    job: str
    step: str
    error: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Of a whole job, or of one of its files."""

    job: str
    error: str


@dataclass(frozen=True, slots=True)
class WaitingJob:
    job: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    open_batches: tuple[BatchState, ...]
    failed_batches: tuple[BatchState, ...]
    failed_items: tuple[Failure, ...]
    bad_jobs: tuple[Refusal, ...]
    refused_files: tuple[Refusal, ...]  # whose jobs go on without them
    waiting_jobs: tuple[WaitingJob, ...]  # folders of the inbox that are not taken yet
    sheets: tuple[ScoringState, ...]  # that are not scored whole

    def to_dict(self) -> dict[str, Any]:
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "sheets"}
        told = {name: [asdict(one) for one in found] for name, found in plain.items()}
        return {**told, "sheets": [sheet.to_dict() for sheet in self.sheets]}

    def lines(self) -> list[str]:
        """One sentence a finding, worst last; empty when all is done."""
        return [
            *(f"batch {b.key} {_STATES[b.status]}" for b in self.open_batches),
            *(sheet.line() for sheet in self.sheets),
            *(f"job {j.job} is not taken in: {j.reason}" for j in self.waiting_jobs),
            *(f"job {f.job} goes on without a file: {f.error}" for f in self.refused_files),
            *(f"job {j.job} was refused: {j.error}" for j in self.bad_jobs),
            *(f"job {f.job}, {f.step}: {f.error}" for f in self.failed_items),
            *(f"batch {b.key} failed after {b.attempts} attempts: {b.error}" for b in self.failed_batches),
        ]

    def given_up(self) -> list[str]:
        """What is not tried again by itself, without a name of a file or a person: for messages, which outlive both."""
        return [
            *(f"batch {b.key} failed after {b.attempts} attempts" for b in self.failed_batches),
            *(f"the sheet of score job {s.id} is {s.status}" for s in self.sheets if s.given_up),
        ]


HANDED_OVER = timedelta(days=7)  # how long a refusal is told of what is in no inbox
_STATES = {"planned": "waits for its run", "requested": "is under way"}


def report(studio: Studio) -> Report:
    inbox = studio.settings.inbox
    with studio.database.session() as session:
        unfinished = batches.by_status(session, "planned", "requested")
        failed = batches.by_status(session, "failed")
        refused, without = jobs.bad(session), uploads.refused(session)
        there = _to_be_told(studio, session, [*refused, *(job for _, job in without)])
        return Report(
            tuple(BatchState(b.key, b.status, b.attempts, b.error) for b in unfinished),
            tuple(BatchState(b.key, b.status, b.attempts, b.error) for b in failed),
            tuple(Failure(job.name, row.kind, row.error or "") for row, job, _ in items.open_failures(session)),
            tuple(Refusal(j.name, j.error or "") for j in refused if j.name in there),
            tuple(Refusal(job.name, upload.error or "") for upload, job in without if job.name in there),
            tuple(WaitingJob(name, reason) for name, reason in scan.waiting(inbox, session)),
            tuple(scoring.open_jobs(session)),
        )


def _to_be_told(studio: Studio, session: Session, refused: Sequence[Job]) -> set[str]:
    """Names of these: a folder that its owner took out of the inbox is no trouble any more. Nobody takes out one that
    was handed over, so those are told for a week."""
    here = {job.name for job in refused if (studio.settings.inbox / job.name).is_dir()}
    if not studio.objects.remote:
        return here
    recent = {job.name for job in refused if clock.now() - job.created_at < HANDED_OVER}
    return here | submissions.known(session, recent)


@dataclass(frozen=True, slots=True)
class Retried:
    batches: tuple[str, ...]  # keys
    refused_jobs: int  # to be judged anew by the next scan
    chunks: int  # of sheets


def retry(studio: Studio) -> Retried:
    """Asks for failed batches, for ended ones with failed items, and for failed chunks of sheets again; has refused
    jobs judged anew.

    A batch that waits or runs is left alone: its own run will say what became of its items.
    """
    with studio.database.session() as session:
        under_way = {b.key for b in batches.by_status(session, "planned", "requested")}
        keys = {b.key for b in batches.by_status(session, "failed")}
        keys |= {key for _, _, key in items.open_failures(session) if key is not None} - under_way
        for key in sorted(keys):
            intake.ask_again(session, key)
        return Retried(tuple(sorted(keys)), jobs.look_again(session), scoring.retry(session))
