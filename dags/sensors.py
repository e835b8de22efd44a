"""Sensors: what makes a run start by itself. The database says what is to be done; a tick only looks and asks."""

from datetime import UTC, datetime

import dagster as dg

from assets.partitions import batches as batch_partitions
from dags.jobs import batch, partial_fit
from pipelines.studio import Studio


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
    for problem in report.problems:
        context.log.warning(problem)
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
    # The key names the labels, so the same ones are asked for once, however many ticks see them waiting.
    requests = [dg.RunRequest(run_key=f"partial_fit {due}")] if due else []
    return dg.SensorResult(run_requests=requests, skip_reason=None if due else "fewer than a hundred new labels")
