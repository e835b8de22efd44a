"""What runs, what failed and why, and how to have it run again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipelines.intake import batches as intake
from pipelines.storage import batches, items, jobs
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
class BadJob:
    job: str
    error: str


@dataclass(frozen=True, slots=True)
class Report:
    open_batches: tuple[BatchState, ...]
    failed_batches: tuple[BatchState, ...]
    failed_items: tuple[Failure, ...]
    bad_jobs: tuple[BadJob, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """One sentence a finding, worst last; empty when all is done."""
        return [
            *(f"batch {b.key} is {b.status}" for b in self.open_batches),
            *(f"job {j.job} was refused: {j.error}" for j in self.bad_jobs),
            *(f"job {f.job}, {f.step}: {f.error}" for f in self.failed_items),
            *(f"batch {b.key} failed after {b.attempts} attempts: {b.error}" for b in self.failed_batches),
        ]


def report(studio: Studio) -> Report:
    with studio.database.session() as session:
        unfinished = batches.by_status(session, "planned", "requested")
        failed = batches.by_status(session, "failed")
        broken = [(jobs.get(session, row.job_id), row) for row in items.failures(session)]
        return Report(
            tuple(BatchState(b.key, b.status, b.attempts, b.error) for b in unfinished),
            tuple(BatchState(b.key, b.status, b.attempts, b.error) for b in failed),
            tuple(Failure(job.name if job else "?", row.kind, row.error or "") for job, row in broken),
            tuple(BadJob(j.name, j.error or "") for j in jobs.bad(session)),
        )


def retry(studio: Studio) -> list[str]:
    """Asks for failed batches, and batches with failed items, again; refused jobs are judged anew. Returns the keys."""
    with studio.database.session() as session:
        keys = {b.key for b in batches.by_status(session, "failed")} | set(items.failed_batches(session))
        for key in sorted(keys):
            intake.ask_again(session, key)
        jobs.look_again(session)
    return sorted(keys)
