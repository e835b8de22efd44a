"""Sensors: what makes a run start by itself. The database says what is to be done; a tick only looks and asks."""

from datetime import UTC, datetime

import dagster as dg

from assets.partitions import batches as batch_partitions
from assets.partitions import chunks as chunk_partitions
from dags.jobs import batch, partial_fit, scoring_chunks, scoring_sheets
from pipelines.studio import Studio

LABELS_TAG = "orimono/labels"  # which labels a run learns on from
LOST_BY_AIRFLOW = 300.0  # s; it starts what it was told one by one, over the network
ASKED_BY_AIRFLOW = "airflow"  # the cursor that it gives; the daemon's ticks have none


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
        batches.plan_backlog(session, now, studio.settings.whole("batch_jobs"))
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
    from dags.run_requests import next_attempt
    from pipelines.mastering import learning

    due = learning.due(studio)
    if due is None:
        return dg.SensorResult(skip_reason="fewer than a hundred new labels")
    attempt = next_attempt(context.instance, LABELS_TAG, due)
    if attempt is None:
        return dg.SensorResult(skip_reason=f"a run was asked for: {due}")
    # A run key is remembered for ever, so it holds the attempt.
    request = dg.RunRequest(run_key=f"partial_fit {due} {attempt}", tags={LABELS_TAG: due})
    return dg.SensorResult(run_requests=[request])


@dg.sensor(
    jobs=[scoring_chunks, scoring_sheets],
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for runs of the chunks of sheets that were never scored, of failed ones when their wait is over, "
    "and for the scored sheets to be written when every chunk has ended. Does nothing by itself while Airflow owns the "
    "cadences: then Airflow asks it, and starts what it names.",
)
def score_chunks_due(context: dg.SensorEvaluationContext, studio: dg.ResourceParam[Studio]) -> dg.SensorResult:
    from dags.score_requests import LOST_AFTER_SECONDS, chunk_requests, sheet_requests
    from pipelines import clock
    from pipelines.scoring import chunks

    # What is asked for is written down as such, so only one of the two may ask.
    owner, asker = studio.settings.scheduler, context.cursor if context.cursor == ASKED_BY_AIRFLOW else "dagster"
    if asker != owner:
        return dg.SensorResult(skip_reason=f"{owner} owns the cadences (ORIMONO_SCHEDULER)")
    now, retries = clock.now(), studio.settings.whole("score_retries")
    lost_after = LOST_BY_AIRFLOW if owner == "airflow" else LOST_AFTER_SECONDS
    requests: list[dg.RunRequest] = []
    wanted: set[str] = set()
    with studio.database.session() as session:
        for request, partitions in chunk_requests(context.instance, session, now, retries, lost_after):
            requests.append(request)
            wanted.update(partitions)
        requests += sheet_requests(context.instance, session)
        stale = set(chunks.prune(session, now)) - wanted
    name = chunk_partitions.name
    assert name is not None
    known = set(context.instance.get_dynamic_partitions(name)) if wanted or stale else set()
    new, gone = sorted(wanted - known), sorted(stale & known)
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[
            *([chunk_partitions.build_add_request(new)] if new else []),
            *([chunk_partitions.build_delete_request(gone)] if gone else []),
        ],
        skip_reason=None if requests else "no chunk is due",
    )


@dg.run_failure_sensor(
    name="failed_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells as an alarm when a training, a deletion or any other run that a schedule started has failed for "
    "good; of each kind once in six hours.",
)
def failed_runs(context: dg.RunFailureSensorContext, studio: dg.ResourceParam[Studio]) -> None:
    from assets.runs import kind_of
    from pipelines.notifier import Notifier

    run = context.dagster_run
    kind = kind_of(run)
    if kind is None or run.tags.get("dagster/will_retry") == "true":
        return
    steps = ", ".join(sorted(event.step_key for event in context.get_step_failure_events() if event.step_key))
    lines = [f"{studio.settings.dagster_address}/runs/{run.run_id}", *([f"failed in: {steps}"] if steps else [])]
    Notifier(studio.settings, studio.database).send(
        "alarms", f"A run failed: {kind}", lines, f"run-failed/{kind}", 6 * 3600.0
    )
