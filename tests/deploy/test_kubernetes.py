"""Manifests and Helm values, as far as they can be held without a cluster: each object by the models of Kubernetes'
own client, the instance that the chart would write by Dagster's classes, names by what Kubernetes makes of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from dagster_k8s.models import k8s_model_from_dict
from kubernetes import client

from pipelines import settings
from resources import instance
from tests.deploy.compose import PROJECT, document

HOUSE = list(yaml.safe_load_all((PROJECT / "deploy" / "kubernetes" / "house.yaml").read_text()))
VALUES: dict[str, Any] = yaml.safe_load((PROJECT / "deploy" / "helm" / "values.yaml").read_text())
KINDS = {"ConfigMap": "V1ConfigMap", "Job": "V1Job", "Deployment": "V1Deployment", "Service": "V1Service"}
# Of the chart's values at 1.13: the parts that are given here, and for each what may stand in it.
_POD = {"image", "env", "envConfigMaps", "envSecrets", "podSecurityContext", "securityContext", "resources", "volumes"}
CHART = {
    "global": {"postgresqlSecretName", "dagsterHome", "serviceAccountName", "celeryConfigSecretName"},
    "generatePostgresqlPasswordSecret": None,
    "postgresql": {"enabled", "postgresqlHost", "postgresqlUsername", "postgresqlDatabase", "service", "image"},
    "dagster-user-deployments": {"enabled", "enableSubchart", "imagePullSecrets", "deployments"},
    "dagsterWebserver": {*_POD, "replicaCount", "service", "volumeMounts"},
    "dagsterDaemon": {
        *(*_POD, "enabled", "runCoordinator", "runMonitoring", "runRetries", "sensors", "schedules", "volumeMounts"),
    },
    "runLauncher": {"type", "config"},
    "computeLogManager": {"type", "config"},
    "telemetry": {"enabled"},
    "migrate": {"enabled"},
    "rabbitmq": {"enabled"},
    "redis": {"enabled", "internal"},
    "flower": {"enabled"},
    "pythonLogs": {"pythonLogLevel", "managedPythonLoggers", "dagsterHandlerConfig"},
    "retention": {"enabled", "sensor", "schedule", "autoMaterialize"},
    "additionalInstanceConfig": None,
}
DEPLOYMENT = {*_POD, "name", "dagsterApiGrpcArgs", "port", "includeConfigInLaunchedRuns", "volumeMounts"}


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [found for found in HOUSE if found["kind"] == kind]


@pytest.mark.parametrize("found", HOUSE, ids=lambda found: f"{found['kind']} {found['metadata']['name']}")
def test_kubernetes_own_models_take_it(found: dict[str, Any]) -> None:
    """They refuse a field that does not exist, and leave out none."""
    model = getattr(client, KINDS[found["kind"]])
    snake = _snake(found, model)
    made = k8s_model_from_dict(model, snake)
    assert client.ApiClient().sanitize_for_serialization(made) == found


def _snake(value: Any, model: Any) -> Any:
    """Field names as the Python client has them; keys of maps (labels, data) stay."""
    if not isinstance(value, dict) or not hasattr(model, "attribute_map"):
        return value
    names = {wire: name for name, wire in model.attribute_map.items()}
    made = {}
    for key, item in value.items():
        assert key in names, f"{model.__name__} has no {key}"
        kind = model.openapi_types[names[key]]
        inner = getattr(client, kind.removeprefix("list[").removesuffix("]"), None)
        made[names[key]] = [_snake(one, inner) for one in item] if isinstance(item, list) else _snake(item, inner)
    return made


def test_settings_are_settings_and_secrets_are_elsewhere() -> None:
    (given,) = of_kind("ConfigMap")
    loaded = settings.load(given["data"])
    assert loaded.database_url and loaded.objects_url.startswith("s3://")
    for name in given["data"]:
        field = settings.Settings.__dataclass_fields__[name.removeprefix("ORIMONO_").lower()]
        assert not field.metadata["secret"] or name == "ORIMONO_DATABASE_URL"
    assert "@" in loaded.database_url and ":" not in loaded.database_url.split("@")[0].removeprefix("postgresql://")


def test_no_variable_of_kubernetes_looks_like_a_setting() -> None:
    """A service NAME makes NAME_PORT and others in each pod of its namespace."""
    names = [found["metadata"]["name"] for found in of_kind("Service")]
    names += [deployment["name"] for deployment in VALUES["dagster-user-deployments"]["deployments"]]
    assert not [name for name in names if name.upper().replace("-", "_").startswith("ORIMONO")]


def pods() -> list[dict[str, Any]]:
    return [found["spec"]["template"]["spec"] for found in (*of_kind("Job"), *of_kind("Deployment"))]


def test_pods_are_confined() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False and pod["enableServiceLinks"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]
            assert "command" not in container  # the image's entry point runs them
    for part in ("dagsterWebserver", "dagsterDaemon"):
        assert VALUES[part]["podSecurityContext"]["runAsNonRoot"] is True
        assert VALUES[part]["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_page_makes_what_the_files_name() -> None:
    page = (PROJECT / "docs/how-to/kubernetes.md").read_text()
    house, (job,) = (PROJECT / "deploy/kubernetes/house.yaml").read_text(), of_kind("Job")
    named = {source["secretRef"]["name"] for pod in pods() for c in pod["containers"] for source in c["envFrom"][1:]}
    named |= {source["name"] for source in VALUES["dagster-user-deployments"]["deployments"][0]["envSecrets"]}
    for secret in (*named, VALUES["global"]["postgresqlSecretName"]):
        assert f"create secret generic {secret} --from-file=" in page, secret
    for text in (page, house):
        assert f"--for=condition=complete --timeout=10m job/{job['metadata']['name']}\n" in text
        assert text.index("kubectl -n studio wait") < text.index("helm upgrade")
    values = (PROJECT / "deploy/helm/values.yaml").read_text()
    replaced = re.findall(r"sed -i 's#([^#]+)#[^#]+#' deploy/(\S+)", page)
    assert [where for _, where in replaced] == ["kubernetes/house.yaml", "helm/values.yaml"]
    assert house.count(replaced[0][0]) == len(pods()) and values.count(replaced[1][0]) == 1


def test_containers_do_what_those_of_the_compose_file_do() -> None:
    services = document()["services"]
    (job,), (api,) = of_kind("Job"), of_kind("Deployment")
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == services["migrations"]["command"]
    (container,) = api["spec"]["template"]["spec"]["containers"]
    assert container["args"] == services["api"]["command"]
    assert container["readinessProbe"]["httpGet"]["path"] in services["api"]["healthcheck"]["test"][-1]
    assert container["image"] == services["api"]["image"]
    (code,) = VALUES["dagster-user-deployments"]["deployments"]
    assert code["dagsterApiGrpcArgs"] == services["code"]["command"][-4:]
    assert f"{code['image']['repository']}:{code['image']['tag']}" == services["code"]["image"]


def test_the_chart_knows_each_value() -> None:
    assert set(VALUES) <= set(CHART)
    for name, known in CHART.items():
        assert known is None or set(VALUES[name]) <= known, name
    (code,) = VALUES["dagster-user-deployments"]["deployments"]
    assert set(code) <= DEPLOYMENT
    assert set(VALUES["runLauncher"]["config"]) == {"k8sRunLauncher"}
    for part in (code, VALUES["dagsterWebserver"], VALUES["dagsterDaemon"]):
        for key, model in (
            ("podSecurityContext", client.V1PodSecurityContext),
            ("securityContext", client.V1SecurityContext),
            ("resources", client.V1ResourceRequirements),
        ):
            k8s_model_from_dict(model, _snake(part[key], model))
    for volume in code["volumes"]:
        k8s_model_from_dict(client.V1Volume, _snake(volume, client.V1Volume))


def test_the_charts_instance_is_ours() -> None:
    """What the chart cannot say stands in additionalInstanceConfig, whose keys it must not write a second time."""
    ours = yaml.safe_load(instance.DAGSTER_YAML)
    more = VALUES["additionalInstanceConfig"]
    assert {name: ours[name] for name in more} == more
    daemon = VALUES["dagsterDaemon"]
    assert not daemon["runMonitoring"]["enabled"] and not daemon["runRetries"]["enabled"]
    assert not daemon["runCoordinator"]["enabled"]
    assert VALUES["pythonLogs"]["managedPythonLoggers"] == ours["python_logs"]["managed_python_loggers"]
    purged, wanted = VALUES["retention"]["sensor"]["purgeAfterDays"], ours["retention"]["sensor"]["purge_after_days"]
    assert {name: purged[name] for name in wanted} == wanted
    assert VALUES["telemetry"] == ours["telemetry"]
