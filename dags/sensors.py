"""Sensors: what makes a run start by itself. The database says what is to be done; a tick only looks and asks."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.partitions import batches as batch_partitions
from dags.jobs import batch, partial_fit
from pipelines.studio import Studio

LABELS_TAG = "orimono/labels"  # which labels a run learns on from
AGAIN_AFTER = timedelta(minutes=5)  # after the first run, twice as long after each further one


@dg.sensor(
    job=batch,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes finished job folders from the inbox, groups them into batches and asks for a run of each batch.",
)
def inbox(context: dg.SensorEvaluationContext, studio: dg.ResourceParam[Studio]) -> dg.SensorResult:
    from dags.run_requests import run_requests
    from pipelines.intake import batches, scan

    report = scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)
    # Counts only: a tick's log outlives what a person takes back.
    if report.bad or report.bad_files:
        refused = f"{len(report.bad)} jobs, {len(report.bad_files)} files"
        context.log.warning(f"refused: {refused}; `orimono status` names them")
    if report.stopped:
        context.log.warning("the scan was broken off: the object store is full or away; see `orimono status`")
    now = datetime.now(UTC)
    with studio.database.session() as session:
        batches.plan_batches(session, now, studio.settings.whole("batch_jobs"))
    with studio.database.session() as session:
        requests = list(run_requests(context.instance, session))
        stale = batches.prune(session, now)
    name = batch_partitions.name
    assert name is not None
    known = set(context.instance.get_dynamic_partitions(name))
    new = sorted({r.partition_key for r in requests if r.partition_key} - known)
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[
            *([batch_partitions.build_add_request(new)] if new else []),
            *([batch_partitions.build_delete_request(sorted(known & set(stale)))] if known & set(stale) else []),
        ],
        skip_reason=None if requests else report.summary(),
    )


@dg.sensor(
    job=partial_fit,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for the incremental models to learn on whenever a hundred new labels have come.",
)
def new_labels(context: dg.SensorEvaluationContext, studio: dg.ResourceParam[Studio]) -> dg.SensorResult:
    from pipelines.mastering import learning

    due = learning.due(studio)
    if due is None:
        return dg.SensorResult(skip_reason="fewer than a hundred new labels")
    attempt = _next_attempt(context.instance, due)
    if attempt is None:
        return dg.SensorResult(skip_reason=f"a run was asked for: {due}")
    # A run key is remembered for ever, so it holds the attempt.
    request = dg.RunRequest(run_key=f"partial_fit {due} {attempt}", tags={LABELS_TAG: due})
    return dg.SensorResult(run_requests=[request])


def _next_attempt(instance: dg.DagsterInstance, due: str) -> int | None:
    """1 for what was never asked for. Else None while a run is under way; the next number some time after it ended,
    for it failed or did not do what still waits; at once when it was created and never launched."""
    from dags.run_requests import LOST_AFTER_SECONDS
    from pipelines import clock

    records = instance.get_run_records(dg.RunsFilter(tags={LABELS_TAG: due}))  # newest first
    if not records:
        return 1
    run, age = records[0].dagster_run, clock.now() - records[0].update_timestamp
    if run.status is dg.DagsterRunStatus.NOT_STARTED and age.total_seconds() >= LOST_AFTER_SECONDS:
        instance.report_run_failed(run, "Created but never launched; asked for again.")
        return len(records) + 1
    if not run.is_finished or run.tags.get("dagster/will_retry") == "true":
        return None
    return len(records) + 1 if age >= min(AGAIN_AFTER * 2 ** (len(records) - 1), timedelta(days=1)) else None
