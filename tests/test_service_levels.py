"""Service levels: each promise kept, broken and not to be told; alarms once; the runs that matter."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import numpy as np
import pytest
from dagster._core.test_utils import create_run_for_test

from assets.runs import kind_of, last_training
from dags.sensors import failed_runs
from pipelines import clock, service_levels
from pipelines.models.drift import LATENCY_BINS, LATENCY_EDGES_MS
from pipelines.notifier import Notifier
from pipelines.service_levels import PREDICT, RECOMMEND, Training, Verdict
from pipelines.settings import Settings
from pipelines.storage import api_traffic
from pipelines.storage.api_traffic import Portion
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.storage.tables import ModelMetrics, ModelVersion, Rollout, Withdrawal
from pipelines.storage.upkeep_tables import Notice
from pipelines.studio import Studio


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    return Studio(settings, database, objects, Cache(objects))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def portion(n: int, ms: float, failed: int = 0) -> Portion:
    counts = np.zeros(LATENCY_BINS, np.int64)
    counts[int(np.searchsorted(LATENCY_EDGES_MS, ms, "right"))] = n
    return Portion(n, failed, 0, n * ms, counts)


def add(database: Database, route: str, found: Portion, ago: timedelta = timedelta(minutes=10)) -> None:
    with database.session() as session:
        api_traffic.add(session, [(route, (clock.now() - ago).replace(second=0, microsecond=0), found)])


def verdict(studio: Studio, name: str, training: Training | None = None) -> Verdict:
    return next(v for v in service_levels.measure(studio, training) if v.name == name)


def test_nothing_is_told_of_what_nobody_asked(studio: Studio) -> None:
    found = {v.name: v.result for v in service_levels.measure(studio)}
    assert found.pop("deletions") == "kept"
    assert set(found.values()) == {"unknown"}
    assert service_levels.problems(service_levels.measure(studio)) == []


def test_failures_of_the_last_hour_count(studio: Studio, database: Database) -> None:
    add(database, "GET /v1/jobs", portion(1000, 5, failed=5))
    add(database, "GET /v1/jobs", portion(1000, 5, failed=900), ago=timedelta(minutes=75))
    add(database, "GET /health", portion(1000, 5, failed=1000))
    assert verdict(studio, "answers").result == "kept"
    add(database, "GET /v1/jobs/{name}", portion(100, 5, failed=1))
    found = verdict(studio, "answers")
    assert (found.result, found.measured) == ("broken", "6 of 1100 failed in 1 h (0.55%)")


def test_slow_answers_are_told_by_what_is_asked(studio: Studio, database: Database) -> None:
    for route, ms in ((PREDICT, 20.0), (RECOMMEND, 40.0), ("GET /v1/jobs", 100.0)):
        add(database, route, portion(100, ms))
    kept = {name: verdict(studio, name).result for name in ("predictions", "recommendations", "reads")}
    assert set(kept.values()) == {"kept"}
    for route, ms in ((PREDICT, 60.0), (RECOMMEND, 90.0), ("GET /v1/models", 900.0)):
        add(database, route, portion(10, ms))
    slow = {name: verdict(studio, name).result for name in ("predictions", "recommendations", "reads")}
    assert set(slow.values()) == {"broken"}


def test_listening_and_fetching_files_is_not_slow(studio: Studio, database: Database) -> None:
    add(database, "GET /v1/jobs", portion(60, 100.0))
    for route in ("GET /v1/jobs/{name}/events", "GET /v1/files/{token}/{path:path}"):
        add(database, route, portion(500, 9000.0))
    assert verdict(studio, "reads").result == "kept"


@pytest.mark.parametrize(
    ("ago", "failed", "result"), [(1, False, "kept"), (9, False, "broken"), (1, True, "broken"), (9, True, "broken")]
)
def test_training_is_weekly_and_does_not_fail(studio: Studio, ago: int, failed: bool, result: str) -> None:
    training = Training(clock.now() - timedelta(days=ago), failed)
    assert verdict(studio, "training", training).result == result


def test_a_new_version_is_a_training_but_an_old_one_tells_nothing(studio: Studio, database: Database) -> None:
    with database.session() as session:
        session.add(version("preset_cls", clock.now() - timedelta(days=20)))
    assert verdict(studio, "training").result == "unknown", "rows that did not change register nothing"
    with database.session() as session:
        session.add(version("align_conf", clock.now() - timedelta(days=2)))
    assert verdict(studio, "training").result == "kept"


def test_a_late_deletion_breaks_the_promise(studio: Studio, database: Database) -> None:
    now = clock.now()
    with database.session() as session:
        row = Withdrawal(
            user_id="ada", keep_originals=False, requested_by="ada", requested_at=now, due_at=now + timedelta(hours=1)
        )
        session.add(row)
        assert verdict(studio, "deletions").result == "kept"
        row.due_at = now - timedelta(hours=1)
    found = verdict(studio, "deletions")
    assert (found.result, found.measured) == ("broken", "1 of 1 that wait are past their time")
    assert "ada" not in str(service_levels.problems([found]))


def test_drift_of_a_version_that_serves(studio: Studio, database: Database) -> None:
    with database.session() as session:
        row = version("preset_cls", clock.now())
        session.add(row)
        session.flush()
        session.add(Rollout(model_id=row.id, name="preset_cls", stage=100, status="live", reason="", decided_by="x"))
        session.add(measured(row.id, 0.1))
    assert verdict(studio, "drift").result == "kept"
    with database.session() as session:
        session.add(measured(row.id, 0.9))
    found = verdict(studio, "drift")
    assert found.result == "broken"
    assert "preset_cls: inputs have moved: PSI up to 0.90" in found.measured


def version(name: str, at: datetime) -> ModelVersion:
    return ModelVersion(
        name=name,
        version=f"v{at:%Y%m%d}",
        framework="sklearn",
        uri=f"models/{name}",
        input_dim=1,
        output_dim=1,
        metrics={},
        sha256="0" * 64,
        feature_version="1",
        code_version="1",
        created_by="training",
        created_at=at,
    )


def measured(model_id: int, psi: float) -> ModelMetrics:
    drift = {"n": 500, "input_psi": psi, "input_psi_mean": psi, "moved": 0.0, "worst": [["tempo", psi]]}
    drift |= {"output_n": 500, "output_psi": 0.0, "output_ks": 0.0}
    return ModelMetrics(model_id=model_id, window="7d", n=500, detail={"drift": drift}, created_at=clock.now())


def test_a_broken_promise_is_told_once(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    broken = Verdict("answers", "99.5 % of the requests do not fail", "broken", "6 of 1100 failed")
    for _ in range(3):
        service_levels.tell([broken, Verdict("reads", "fast", "kept", "")], Notifier(studio.settings, studio.database))
    told = [record.message for record in caplog.records if "Service level" in record.message]
    assert told == ["Service level broken: 99.5 % of the requests do not fail: 6 of 1100 failed"]


def test_the_asset_tells_and_its_check_warns(studio: Studio, database: Database, instance: dg.DagsterInstance) -> None:
    from assets.health import service_levels as asset
    from assets.model_checks import operation_checks

    add(database, "GET /v1/jobs", portion(100, 5, failed=50))
    done = dg.materialize([asset, *operation_checks()], resources={"studio": studio}, instance=instance)
    assert done.success
    metadata = done.asset_materializations_for_node("service_levels")[0].metadata
    assert metadata["broken"].value == 1
    (check,) = done.get_asset_check_evaluations()
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    with database.session() as session:
        assert session.query(Notice).count() == 1


def run(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, job: str = "weekly_retraining", **tags: str
) -> dg.DagsterRun:
    return create_run_for_test(instance, job_name=job, status=status, tags=tags)


def test_the_last_training_is_the_one_that_ended_last(instance: dg.DagsterInstance) -> None:
    assert last_training(instance) is None
    run(instance, dg.DagsterRunStatus.SUCCESS)
    found = last_training(instance)
    assert found is not None
    assert not found.failed
    run(instance, dg.DagsterRunStatus.FAILURE, "__ASSET_JOB", **{"dagster/schedule_name": "weekly_retraining"})
    found = last_training(instance)
    assert found is not None
    assert found.failed
    assert found.at.tzinfo is UTC


def failed(instance: dg.DagsterInstance, studio: Studio, found: dg.DagsterRun) -> None:
    event = dg.DagsterEvent(
        event_type_value="PIPELINE_FAILURE", job_name=found.job_name, message="it failed", event_specific_data=None
    )
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=found,
        resources={"studio": studio},
    )
    failed_runs(context.for_run_failure())


def test_a_run_that_failed_is_told_once_with_its_page(
    studio: Studio, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    schedule = {"dagster/schedule_name": "hourly_retention"}
    status = dg.DagsterRunStatus.FAILURE
    first = run(instance, status, "__ASSET_JOB", **schedule)
    failed(instance, studio, first)
    failed(instance, studio, run(instance, status, "__ASSET_JOB", **schedule))
    failed(instance, studio, run(instance, status, "scoring_chunks"))
    failed(instance, studio, run(instance, status, "recommending", **{"dagster/will_retry": "true"}))
    failed(instance, studio, run(instance, status, "weekly_retraining"))
    told = [record.message for record in caplog.records if record.name == "pipelines.notifier"]
    assert told == [
        f"A run failed: hourly_retention: http://127.0.0.1:3000/runs/{first.run_id}",
        told[1],
    ]
    assert told[1].startswith("A run failed: weekly_retraining: ")


def test_batches_and_sheets_tell_their_own_people(instance: dg.DagsterInstance) -> None:
    assert kind_of(run(instance, dg.DagsterRunStatus.FAILURE, "batch")) is None
