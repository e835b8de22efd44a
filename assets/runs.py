"""What the orchestrator knows of runs that matter to the whole: which kind one is, and how the last training ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from pipelines.service_levels import Training

SCHEDULE_TAG = "dagster/schedule_name"
CADENCE_TAG = "orimono/cadence"  # of the runs of a cadence's job, whichever scheduler or person started it
TRAINING = "weekly_retraining"  # the cadence and its job
JOBS = (TRAINING, "partial_fit", "recommending", "composing")
_ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)


def kind_of(run: dg.DagsterRun) -> str | None:
    """The cadence or job whose failure somebody must know of. None for the others: batches and sheets tell their own
    people, and are asked for again."""
    cadence = run.tags.get(CADENCE_TAG) or run.tags.get(SCHEDULE_TAG)
    return cadence or (run.job_name if run.job_name in JOBS else None)


def last_training(instance: dg.DagsterInstance) -> Training | None:
    """The run that ended last, by schedule or by hand; one that will be tried again does not count."""
    from pipelines.service_levels import Training

    found: list[Training] = []
    for wanted in (
        dg.RunsFilter(tags={SCHEDULE_TAG: TRAINING}, statuses=list(_ENDED)),
        dg.RunsFilter(job_name=TRAINING, statuses=list(_ENDED)),
    ):
        for record in instance.get_run_records(wanted, limit=1):
            ended = datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
            if record.dagster_run.tags.get("dagster/will_retry") != "true":
                found.append(Training(ended, record.dagster_run.status is dg.DagsterRunStatus.FAILURE))
    return max(found, key=lambda training: training.at, default=None)
