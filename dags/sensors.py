"""Sensors: what makes a run start by itself. The database says what is to be done; a tick only looks and asks."""

from __future__ import annotations

import time
from collections.abc import Iterator

import dagster as dg

from assets.partitions import batches as batch_partitions
from dags.jobs import editing
from pipelines.intake import batches, scan
from pipelines.studio import Studio

# Marks the runs that the intake asked for, so that a person's own runs of a part of a batch are not taken for them.
INTAKE_TAG = "orimono/intake"
ATTEMPT_TAG = "orimono/attempt"
# A run is created, then launched; one that is still not launched after this long was lost in between.
LOST_AFTER_SECONDS = 60.0


@dg.sensor(
    job=editing,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes finished job folders from the inbox, groups them into batches and asks for a run of each batch.",
)
def inbox(context: dg.SensorEvaluationContext, studio: dg.ResourceParam[Studio]) -> dg.SensorResult:
    report = scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)
    for problem in report.problems:
        context.log.warning(problem)
    with studio.database.session() as session:
        batches.plan_batches(session, size=int(studio.settings.number("batch_jobs")))
        requests = list(_requests(context.instance, session))
        stale = batches.prune(session)
    known = set(context.instance.get_dynamic_partitions(batch_partitions.name or ""))
    wanted = {r.partition_key for r in requests if r.partition_key}
    changes = []
    if wanted - known:
        changes.append(batch_partitions.build_add_request(sorted(wanted - known)))
    if known & set(stale):
        changes.append(batch_partitions.build_delete_request(sorted(known & set(stale))))
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=changes,
        skip_reason=None if requests else f"nothing new: {report.summary()}",
    )
