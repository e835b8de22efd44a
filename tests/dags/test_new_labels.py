"""Labels that wait are asked for until a run has taken them in, and not twice at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from dags import run_requests
from dags.sensors import LABELS_TAG, new_labels
from pipelines import clock
from pipelines.mastering import learning

DUE = "preset_cls>12+1@3,align_conf>40-7"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setattr(learning, "due", lambda studio: DUE)
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def asked(instance: dg.DagsterInstance, later: timedelta = timedelta(0)) -> dg.RunRequest | None:
    moment = clock.now() + later
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: moment)
        context = dg.build_sensor_context(instance=instance, resources={"studio": "none is needed"})
        found = new_labels(context)
    assert isinstance(found, dg.SensorResult)
    return next(iter(found.run_requests or ()), None)


def run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, **tags: str) -> None:
    wanted = {LABELS_TAG: DUE, **{key.replace("__", "/"): value for key, value in tags.items()}}
    create_run_for_test(instance, job_name="partial_fit", status=status, tags=wanted)


def test_nothing_is_asked_for_when_nothing_waits(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "due", lambda studio: None)
    assert asked(instance) is None


def test_the_same_labels_are_asked_for_once(instance: dg.DagsterInstance) -> None:
    first = asked(instance)
    assert first is not None and first.run_key == f"partial_fit {DUE} 1" and first.tags == {LABELS_TAG: DUE}
    run(instance, dg.DagsterRunStatus.STARTED)
    assert asked(instance, 600 * MINUTE) is None


@pytest.mark.parametrize(
    "status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.SUCCESS]
)
def test_what_still_waits_after_a_run_is_asked_for_again_ever_later(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    run(instance, status)
    assert asked(instance) is None
    again = asked(instance, 1.2 * run_requests.AGAIN_AFTER)
    assert again is not None and again.run_key == f"partial_fit {DUE} 2"
    run(instance, status)
    assert asked(instance, 1.2 * run_requests.AGAIN_AFTER) is None
    assert asked(instance, 2.2 * run_requests.AGAIN_AFTER) is not None


def test_dagsters_own_retry_is_waited_for(instance: dg.DagsterInstance) -> None:
    run(instance, dg.DagsterRunStatus.FAILURE, dagster__will_retry="true")
    assert asked(instance, 600 * MINUTE) is None


def test_a_run_that_was_never_launched_is_asked_for_again(instance: dg.DagsterInstance) -> None:
    run(instance, dg.DagsterRunStatus.NOT_STARTED)
    assert asked(instance) is None
    lost = timedelta(seconds=run_requests.LOST_AFTER_SECONDS + 1)
    again = asked(instance, lost)
    assert again is not None and again.run_key == f"partial_fit {DUE} 2"
    run(instance, dg.DagsterRunStatus.FAILURE)  # such a second run has to wait longer
    assert asked(instance, lost) is None
