"""docker-compose.yml and Dockerfile as files: what they name exists, is pinned, and is confined."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.settings import Settings
from tests.deploy.compose import COMPOSE, DOCKERFILE, PROJECT, document, stages

SETTINGS = {f"ORIMONO_{f.name.upper()}": f for f in fields(Settings)}
SERVICES: dict[str, Any] = document()["services"]
OTHERS = {"postgres", "minio"}  # images of other people
OURS = sorted(name for name, service in SERVICES.items() if service.get("build", {}).get("target") == "orimono")
AIRFLOW = sorted(name for name, service in SERVICES.items() if service.get("profiles") == ["airflow"])


def test_every_service_is_known_to_these_tests() -> None:
    assert {*OTHERS, *OURS, *AIRFLOW} == set(SERVICES)
    assert OURS == ["api", "code", "daemon", "migrations", "webserver"]
    assert AIRFLOW == ["airflow-api", "airflow-dag-processor", "airflow-migrations", "airflow-scheduler"]


@pytest.mark.parametrize("file", [COMPOSE, PROJECT / "deploy" / "docker-compose.docker.yml"], ids=lambda f: f.name)
def test_the_compose_schema_takes_it(file: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", OURS)
def test_each_variable_is_a_setting_and_no_secret_stands_there(service: str) -> None:
    for name, value in SERVICES[service]["environment"].items():
        setting = SETTINGS.get(name.removesuffix("_FILE") if name not in SETTINGS else name)
        assert setting is not None, name
        if setting.metadata["secret"] and name != "ORIMONO_DATABASE_URL":
            assert name.endswith("_FILE") and str(value).startswith("/run/secrets/"), name
        if str(value).startswith("/run/secrets/"):
            assert value.removeprefix("/run/secrets/") in SERVICES[service]["secrets"]
    assert re.fullmatch(
        r"postgresql://orimono@postgres:5432/orimono", SERVICES[service]["environment"]["ORIMONO_DATABASE_URL"]
    )


def test_what_the_env_file_cannot_say_is_told() -> None:
    """What stands below `environment` goes before orimono.env, and these are taken from .env or the shell."""
    own = set(re.findall(r"^    (ORIMONO_\w+): \$\{", COMPOSE.read_text(), re.MULTILINE))
    page = (PROJECT / "docs/how-to/containers.md").read_text()
    (said,) = re.findall(r"have no effect there.*?`\.env`", page, re.DOTALL)
    assert set(re.findall(r"ORIMONO_\w+", said)) == own and len(own) == 4


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_each_container_may_do_no_more_than_it_must(service: str) -> None:
    found = SERVICES[service]
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in found and "network_mode" not in found and "user" not in found
    if service not in OTHERS:
        assert found["read_only"] is True
        assert stages()[found["build"]["target"]].user == "10001:10001"
    for port in found.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)
    for secret in found.get("secrets", []):
        assert secret in document()["secrets"]
    assert document()["networks"]["inside"] == {"internal": True}
    assert set(found["networks"]) <= {"inside", "house"}
    if service in OTHERS:
        assert found["networks"] == ["inside"]
    assert found.get("healthcheck") or found["restart"].startswith("on-failure")  # all but one-shots are asked


def test_images_are_pinned_by_version() -> None:
    for name in OTHERS:
        assert re.search(r":(\d+\.\d+\.\d+-pg\d+|RELEASE\.\d{4}-\d\d-\d\dT[\d-]+Z)$", SERVICES[name]["image"])
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert {SERVICES[name]["image"] for name in OURS} == {f"orimono:{version}"}
    assert {SERVICES[name]["image"] for name in AIRFLOW} == {f"orimono-airflow:{version}"}
    froms = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    names = [name for _, name in froms]
    for image, _ in froms:
        assert image in names or re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", image)
    assert re.search(r"uv==\d+\.\d+\.\d+$", DOCKERFILE.read_text(), re.MULTILINE)
    assert "--frozen" in DOCKERFILE.read_text()


def test_what_is_copied_exists_and_reaches_the_builder() -> None:
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"  # all is left out but what is named
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    for name, stage in stages().items():
        for source, target in stage.copies:
            assert (PROJECT / source).exists(), source
            assert source.split("/")[0] in let_in, source
            assert target.startswith(("/", "./"))
        for source, _ in stage.taken:
            assert source.split(":")[0] in stages(), name
    assert "deploy/secrets" in ignored
    assert "deploy/secrets/" in (PROJECT / ".gitignore").read_text().splitlines()


def test_what_the_product_imports_is_in_the_image() -> None:
    rooms = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(rooms["only-include"]) <= {source for source, _ in stages()["orimono"].copies}


def test_the_image_installs_what_the_lock_file_has() -> None:
    """The builder's own command, which tells here what it would do."""
    (command,) = re.findall(r"^RUN uv (sync .*--extra .*)$", DOCKERFILE.read_text(), re.MULTILINE)
    words = [str(Path(sys.executable).with_name("uv")), *command.split(), "--dry-run", "--offline"]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_volumes_are_named_or_lie_in_the_project(service: str) -> None:
    for volume in SERVICES[service].get("volumes", []):
        source = volume.split(":")[0]
        assert (PROJECT / source).exists() if source.startswith(".") else source in document()["volumes"], volume


def test_programs_of_the_image_can_be_run() -> None:
    for program in (PROJECT / "deploy" / "bin").iterdir():
        assert program.stat().st_mode & stat.S_IXOTH, program
        index = subprocess.run(
            ["git", "ls-files", "--stage", str(program)], cwd=PROJECT, capture_output=True, text=True, timeout=30
        )
        assert not index.stdout or index.stdout.startswith("100755"), index.stdout


def test_secrets_are_made_once_and_for_us_alone(tmp_path: Path) -> None:
    def make() -> dict[str, str]:
        subprocess.run(["sh", str(PROJECT / "deploy/secrets.sh"), str(tmp_path / "s")], check=True, timeout=30)
        return {path.name: path.read_text() for path in (tmp_path / "s").iterdir()}

    made = make()
    assert set(made) == set(document()["secrets"])
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
    assert len(set(made.values())) == len(made)
    assert all(len(word) >= 44 for word in made.values())
    (tmp_path / "s" / "api_secret").unlink()
    again = make()
    assert again.pop("api_secret") != made.pop("api_secret")
    assert again == made


def test_the_docker_variant_only_adds_to_services_that_exist() -> None:
    found = yaml.safe_load((PROJECT / "deploy" / "docker-compose.docker.yml").read_text())["services"]
    assert set(found) <= set(SERVICES)
    assert not any("docker.sock" in volume for volume in found["code"]["volumes"])
    for service in found.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source.startswith("/") or (PROJECT / source).exists()
