"""How far sheets are, how fast, at what cost, what failed and why: for `orimono status` and `orimono retry`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pipelines import clock
from pipelines.scoring import chunks
from pipelines.scoring.chunks import Failed, State, Status
from pipelines.scoring.scored import Tally

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pipelines.storage.scoring_tables import ScoreJob

WINDOW = timedelta(minutes=1)  # that the rate is taken over
SHOWN = 3  # failed chunks in a line


@dataclass(frozen=True, slots=True)
class ScoringState:
    """A sheet in which something is left to do, or was given up."""

    id: int  # of the score job
    name: str
    job: str | None  # the inbox folder's name; None: of the command line
    status: Status | Literal["stopped"]  # stopped: at the command line, before its end
    alive: bool  # a run works on it at this moment
    rows: int  # done
    of: int
    rate: float  # rows/s of the last minute
    eta: float | None  # s; None where nothing moves
    chunks: dict[str, int]  # by status
    failed: tuple[Failed, ...]
    error: str | None  # what ended it
    tally: Tally
    seconds: float  # of runs so far

    @property
    def given_up(self) -> bool:
        """Whether a chunk of an inbox job, or all that is left of it, will not be tried again by itself."""
        return self.job is not None and (self.error is not None or self.chunks.get("given_up", 0) > 0)

    def to_dict(self) -> dict[str, Any]:
        """JSON-like."""
        told = asdict(self) | {"hit_rate": self.tally.hit_rate, "throttled": self.tally.throttled}
        for one in told["failed"]:
            one["not_before"] = one["not_before"] and one["not_before"].isoformat()
        return told | {"cost": self.tally.cost, "failed": list(told["failed"])}

    def line(self) -> str:
        """One line for a person."""
        share = f"{self.rows:,} of {self.of:,} rows" + (f" ({100 * self.rows / self.of:.0f} %)" if self.of else "")
        where = f"sheet {self.name}" + (f" of job {self.job}" if self.job else f" (score job {self.id})")
        return "; ".join((f"{where}: {share}, {self._word()}", *self._costs(), *self._failures()))

    def _word(self) -> str:
        if self.error is not None:
            return f"ended: {self.error}"
        if self.alive:
            left = f", {_duration(self.eta)} left" if self.eta is not None else ""
            return f"running at {self.rate:.3g} rows/s{left}"
        if self.status in ("failed", "partly failed"):
            return self.status
        if self.status == "finished":
            return "all scored, not written yet"
        if self.status == "stopped":
            return "stopped; `orimono score --resume` with the same arguments goes on"
        return "waits for its run"

    def _costs(self) -> list[str]:
        tally, found = self.tally, []
        if tally.requests:
            found.append(f"{tally.requests:,} requests, {tally.throttled:,} of them answered 429")
        if tally.cache_hits:
            found.append(f"{100 * tally.hit_rate:.0f} % from the cache")
        if tally.cost:
            found.append(f"{tally.cost:.4f} USD")
        return found

    def _failures(self) -> list[str]:
        found = [self._failure(one) for one in self.failed[:SHOWN]]
        more = len(self.failed) - SHOWN
        return [*found, f"and {more} more chunks failed"] if more > 0 else found

    def _failure(self, one: Failed) -> str:
        again = "" if one.not_before is None or self.job is None else f", next try {one.not_before:%H:%M:%S} UTC"
        if one.not_before is None:
            again = f", given up after {one.retries} retries"
        return f"chunk {one.chunk_id} failed ({one.error}){again}"


def open_jobs(session: Session) -> list[ScoringState]:
    """Every sheet that is not done with, oldest first."""
    from pipelines.storage import score_jobs

    held = score_jobs.held(session)
    return [_state(session, row, score_jobs.narrow(row.id) in held) for row in score_jobs.opened(session)]


def of(session: Session, score_job_id: int) -> ScoringState:
    """One sheet, done with or not. BadInput when there is none."""
    from pipelines.storage import score_jobs

    row = score_jobs.get(session, score_job_id)
    return _state(session, row, score_jobs.narrow(row.id) in score_jobs.held(session))


def retry(session: Session) -> int:
    """Has failed and given-up chunks of inbox jobs run again, and sheets that ended for good go on; how many chunks.
    Sheets that could not be written are written at once.

    A sheet of the command line goes on when it is scored again."""
    from pipelines.storage import score_jobs

    ended = score_jobs.ended(session)
    waiting = sum(len(chunks.of(session, row, "planned")) for row in ended)
    score_jobs.reopen(session, ended)
    score_jobs.ask_to_write(session, [sheet for _, sheet, _ in score_jobs.unwritten(session)])
    return waiting + chunks.ask_again(session)


def _state(session: Session, row: ScoreJob, alive: bool) -> ScoringState:
    from pipelines.storage import score_jobs

    found = chunks.state(session, row.id)
    rate = _rate(session, row.id) if alive else 0.0
    return ScoringState(
        id=row.id,
        name=row.name,
        job=score_jobs.inbox_name(session, row),
        status=_status(row, found, alive),
        alive=alive,
        rows=found.rows,
        of=row.rows,
        rate=rate,
        eta=(row.rows - found.rows) / rate if rate > 0 else None,
        chunks=dict(found.counts),
        failed=found.failed,
        error=row.error,
        tally=found.tally,
        seconds=found.seconds,
    )


def _status(row: ScoreJob, found: State, alive: bool) -> Status | Literal["stopped"]:
    if row.error is not None:
        return "partly failed" if found.rows else "failed"
    if not found.counts and row.finished_at is not None:  # a sheet without a row
        return "finished"
    stopped = row.job_id is None and not alive and found.status in ("planned", "running")
    return "stopped" if stopped else found.status


def _rate(session: Session, score_job_id: int) -> float:
    from pipelines.storage import score_rows

    now: datetime = clock.of_database(session)  # which dates the rows
    count, first = score_rows.pace(session, score_job_id, now - WINDOW)
    return count / max((now - first).total_seconds(), 1.0) if first is not None else 0.0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
