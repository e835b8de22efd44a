"""Dagster's instance in each way to run it: loaded by Dagster's own classes from the files that are handed out, and the
same in all that has nothing to do with where runs are placed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster_k8s.job import construct_dagster_k8s_job
from kubernetes.config import incluster_config

from assets import run_history
from pipelines.storage.database import Database
from resources import instance
from tests.deploy.compose import PROJECT

DEPLOY = PROJECT / "deploy"
FILES = ["dagster.yaml", "dagster.docker.yaml", "dagster.celery.yaml", "dagster.kubernetes.yaml"]
LAUNCHERS = {
    "dagster.yaml": "WatchedRunLauncher",
    "dagster.docker.yaml": "DockerRunLauncher",
    "dagster.celery.yaml": "CeleryRunLauncher",
    "dagster.kubernetes.yaml": "K8sRunLauncher",
}
PLACED = {"run_launcher", "compute_logs", "local_artifact_storage"}  # what the ways differ in


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((DEPLOY / name).read_text(), Loader=_NoTwins)
    return found


class _NoTwins(yaml.SafeLoader):
    """A key that stands twice in a file is an error, not the last one's."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.value != "<<"]
        assert len(keys) == len(set(keys)), keys
        return super().construct_mapping(node, deep)


@pytest.fixture
def loaded(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[dg.DagsterInstance]:
    """The instance of the file that the test names, on a real server; its folders are the test's own."""
    text = (DEPLOY / request.param).read_text().replace("/var/lib/orimono/home", str(tmp_path / "home"))
    (tmp_path / "dagster.yaml").write_text(text)
    monkeypatch.setenv(instance.URL_VARIABLE, database.dagster_url)
    monkeypatch.setenv("DAGSTER_NAMESPACE", "studio")
    monkeypatch.setenv("DAGSTER_CELERY_BROKER_URL", "redis://broker:6379/0")
    monkeypatch.setenv("DAGSTER_CELERY_BACKEND_URL", "redis://broker:6379/1")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")  # as in a cluster, whose client only asks when used
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    for name in ("SERVICE_TOKEN_FILENAME", "SERVICE_CERT_FILENAME"):  # what a cluster mounts into each pod
        (tmp_path / name).write_text("x")
        monkeypatch.setattr(incluster_config, name, str(tmp_path / name))
    with dg.DagsterInstance.from_config(str(tmp_path)) as found:
        yield found


@pytest.mark.parametrize("loaded", FILES, indirect=True)
def test_the_real_classes_take_the_file(loaded: dg.DagsterInstance, request: pytest.FixtureRequest) -> None:
    assert type(loaded.run_launcher).__name__ == LAUNCHERS[request.node.callspec.params["loaded"]]
    assert loaded.run_monitoring_enabled
    assert loaded.run_retries_enabled
    assert loaded.get_concurrency_config().run_queue_config.max_concurrent_runs == 4
    assert not loaded.telemetry_enabled
    assert loaded.get_runs() == []


@pytest.mark.parametrize("name", FILES)
def test_what_is_not_about_places_is_the_same_in_all(name: str) -> None:
    ours = yaml.safe_load(instance.DAGSTER_YAML)
    found = read(name)
    assert {k: v for k, v in found.items() if k not in PLACED} == {k: v for k, v in ours.items() if k not in PLACED}
    if name == "dagster.yaml":
        assert found["run_launcher"] == ours["run_launcher"]
    else:
        assert found["compute_logs"]["class"] == "NoOpComputeLogManager"


@pytest.mark.parametrize("loaded", ["dagster.yaml"], indirect=True)
def test_what_runs_printed_lies_where_it_is_let_go_of(loaded: dg.DagsterInstance) -> None:
    """With its run, which Dagster does not know any more; on one machine its own default is the same folder."""
    log_key = loaded.compute_log_manager.build_log_key_for_run(_run().run_id, "mastering")
    with loaded.compute_log_manager.open_log_stream(log_key, ComputeIOType.STDOUT) as log:
        assert log is not None
        log.write("said")
    assert loaded.compute_log_manager.get_log_data(log_key).stdout == b"said"
    assert run_history._drop_logs(loaded, datetime.now(UTC) + timedelta(days=1)) == 1
    assert not loaded.compute_log_manager.get_log_data(log_key).stdout
    assert loaded.compute_log_manager._base_dir == loaded.storage_directory()  # type: ignore[attr-defined]


@pytest.mark.parametrize("loaded", ["dagster.kubernetes.yaml"], indirect=True)
def test_a_run_is_a_pod_that_may_do_little(loaded: dg.DagsterInstance) -> None:
    """The Job that Dagster would send to the cluster."""
    launcher: Any = loaded.run_launcher
    context = launcher.get_container_context_for_run(_run())
    config = context.get_k8s_job_config(job_image=None, run_launcher=launcher)
    job = construct_dagster_k8s_job(
        config, ["dagster", "api", "execute_run", "{}"], "dagster-run", user_defined_k8s_config=context.run_k8s_config
    )
    pod = job.spec.template.spec
    (container,) = pod.containers
    assert container.image == "orimono:0.1.0"
    assert container.command is None  # so that the image's entry point is what runs
    assert [source.secret_ref.name for source in container.env_from if source.secret_ref] == ["house-secrets"]
    assert [source.config_map_ref.name for source in container.env_from if source.config_map_ref] == ["house-settings"]
    assert container.security_context.run_as_non_root is True
    assert container.security_context.allow_privilege_escalation is False
    assert container.security_context.capabilities.drop == ["ALL"]
    assert pod.enable_service_links is False
    assert "scratch" in {mount.name for mount in container.volume_mounts}
    assert context.namespace == "studio"


@pytest.mark.parametrize("loaded", ["dagster.docker.yaml"], indirect=True)
def test_a_run_is_a_container_that_gets_no_secret_by_environment(loaded: dg.DagsterInstance) -> None:
    launcher: Any = loaded.run_launcher
    context = launcher.get_container_context(_run())
    assert context.env_vars == []  # the code location names them: test_compose_runs.py
    assert context.networks == ["orimono_inside", "orimono_house"]
    assert context.container_kwargs["read_only"] is True
    assert "/etc/orimono/secrets:/run/secrets:ro" in context.container_kwargs["volumes"]


@pytest.mark.parametrize("loaded", ["dagster.celery.yaml"], indirect=True)
def test_runs_go_to_the_queue_that_workers_listen_on(
    loaded: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher: Any = loaded.run_launcher
    assert launcher.celery.conf.broker_url == "redis://broker:6379/0"
    assert launcher.default_queue == "dagster"
    monkeypatch.syspath_prepend(str(DEPLOY / "celery"))
    from dagster_celery.make_app import make_app

    worker = make_app()
    assert worker.conf.broker_url == launcher.celery.conf.broker_url
    assert worker.conf.result_backend == launcher.celery.conf.result_backend
    assert [queue.name for queue in worker.conf.task_queues] == ["dagster"]
    assert "--queues dagster" in (DEPLOY / "dagster.celery.yaml").read_text()


def _run() -> dg.DagsterRun:
    return dg.DagsterRun(job_name="batch", run_id="6f0a1c1e-0000-4000-8000-000000000000")
