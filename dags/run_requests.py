"""Which batches need a run, by what the database asks for and what Dagster knows of the runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from sqlalchemy.orm import Session

from assets.partitions import PARTITION
from pipelines import clock
from pipelines.intake import batches
from pipelines.storage import job_listing

# Which request of a batch a run answers. It also tells the intake's runs from those that a person starts.
ATTEMPT_TAG = "orimono/attempt"
# Ids of the requests that the batch's jobs came with: the API's log has them, too.
REQUESTS_TAG = "orimono/requests"
MOST_REQUESTS = 8  # a tag is to be read; the run's log has them all
# A run is created, then launched. One that does neither for this long was lost in between, with its process.
LOST_AFTER_SECONDS = 60.0
KEYS_A_QUESTION = 500
AGAIN_AFTER = timedelta(minutes=1)  # after the first run, twice as long after each further one
# Of a batch, whatever ends its run (a store that was away for minutes, three crashes): two hours in all, for nobody may
# be there to ask. Bad input never fails a run, so what fails this often is ours, or the machine's.
MOST_ATTEMPTS = 8


def run_requests(instance: dg.DagsterInstance, session: Session) -> Iterator[dg.RunRequest]:
    """A run for each batch that was never asked for, whose run was lost, or whose run failed some time ago; what has
    ended is written down."""
    failed = [b for b in batches.listed(session, "failed") if b.attempts < MOST_ATTEMPTS and _waited(b)]
    ended = _runs_of(instance, failed)
    for batch in failed:
        if not _cancelled(batch, ended.get(batch.key)):  # that was a person
            batches.ask_again(session, batch.key)
    listed = batches.listed(session, "planned", "requested")
    runs = _runs_of(instance, [batch for batch in listed if batch.status == "requested"])
    for batch in listed:
        record = runs.get(batch.key)
        if record is None:
            if batch.status == "requested" and _age(batch.requested_at) < LOST_AFTER_SECONDS:
                continue
            yield _request(session, batch)
        elif record.dagster_run.status is dg.DagsterRunStatus.SUCCESS:
            batches.mark_finished(session, batch.key)
        elif record.dagster_run.status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED):
            # Dagster itself starts a crashed run again, at most twice, and says beforehand that it will.
            if record.dagster_run.tags.get("dagster/will_retry") != "true":
                reason = f"its run {record.dagster_run.run_id} {_ended_as(record.dagster_run.status)}"
                batches.mark_failed(session, batch.key, f"{reason} see its log in the Dagster UI")
        elif _was_lost(record):
            instance.report_run_failed(record.dagster_run, "Created but never launched; asked for again.")
            yield _request(session, batch)


def next_attempt(instance: dg.DagsterInstance, tag: str, value: str) -> int | None:
    """Which run of what ``tag`` says to ask for: 1 for what was never asked for. Else None while a run is under way;
    the next number some time after it ended, for it failed or did not do what still waits; at once when it was created
    and never launched."""
    records = instance.get_run_records(dg.RunsFilter(tags={tag: value}))  # newest first
    if not records:
        return 1
    run, age = records[0].dagster_run, clock.now() - records[0].update_timestamp
    if run.status is dg.DagsterRunStatus.NOT_STARTED and age.total_seconds() >= LOST_AFTER_SECONDS:
        instance.report_run_failed(run, "Created but never launched; asked for again.")
        return len(records) + 1
    if not run.is_finished or run.tags.get("dagster/will_retry") == "true":
        return None
    return len(records) + 1 if age >= _wait(len(records)) else None


def _waited(batch: batches.Batch) -> bool:
    return _age(batch.requested_at) >= _wait(batch.attempts).total_seconds()


def _cancelled(batch: batches.Batch, record: dg.RunRecord | None) -> bool:
    """By what was written down as well: Dagster forgets a run with its age, or when somebody in it withdraws."""
    told = _ended_as(dg.DagsterRunStatus.CANCELED) in (batch.error or "")
    return told or (record is not None and record.dagster_run.status is dg.DagsterRunStatus.CANCELED)


def _ended_as(status: dg.DagsterRunStatus) -> str:
    return f"ended as {status.value};"


def _wait(runs: int) -> timedelta:
    """After so many that failed."""
    return min(AGAIN_AFTER * 2 ** (runs - 1), timedelta(days=1))


def _request(session: Session, batch: batches.Batch) -> dg.RunRequest:
    attempt = batch.attempts + 1
    batches.mark_requested(session, batch.key)
    # A run key is remembered for ever, so it holds the attempt.
    tags = {ATTEMPT_TAG: str(attempt)}
    requests = [request for _, request in job_listing.of_batch(session, batch.key) if request is not None]
    if requests:
        tags[REQUESTS_TAG] = ",".join(dict.fromkeys(requests[:MOST_REQUESTS]))
    return dg.RunRequest(run_key=f"{batch.key}-{attempt}", partition_key=batch.key, tags=tags)


def _runs_of(instance: dg.DagsterInstance, requested: Sequence[batches.Batch]) -> dict[str, dg.RunRecord]:
    """By batch, the newest run that answers its request: the one asked for, or Dagster's own retry of it. In few
    questions, however many batches wait."""
    found: dict[str, dg.RunRecord] = {}
    for attempt in sorted({batch.attempts for batch in requested}):
        keys = [batch.key for batch in requested if batch.attempts == attempt]
        for first in range(0, len(keys), KEYS_A_QUESTION):
            some = keys[first : first + KEYS_A_QUESTION]
            wanted = dg.RunsFilter(tags={PARTITION: some, ATTEMPT_TAG: str(attempt)})
            for record in instance.get_run_records(wanted):  # newest first
                found.setdefault(record.dagster_run.tags[PARTITION], record)
    return found


def _was_lost(record: dg.RunRecord) -> bool:
    not_started = record.dagster_run.status is dg.DagsterRunStatus.NOT_STARTED
    return not_started and _age(record.create_timestamp) >= LOST_AFTER_SECONDS


def _age(moment: datetime | None) -> float:
    return float("inf") if moment is None else (datetime.now(UTC) - moment).total_seconds()
