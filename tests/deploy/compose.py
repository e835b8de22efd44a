"""docker-compose.yml without Docker: each container's command as a process of its own, with the image's files and
environment, on an address of its own on loopback, so that ports are those that are written there."""

from __future__ import annotations

import compileall
import contextlib
import functools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE = PROJECT / "docker-compose.yml"
DOCKERFILE = PROJECT / "Dockerfile"
NOBODY = 65534
START_SECONDS = 240.0
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?::-([^}]*))?\})")


def document(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file as compose reads it: anchors merged, variables put in."""

    def put(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return (environment or {}).get(found[1]) or found[2] or ""

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return _VARIABLE.sub(put, value)
        if isinstance(value, dict):
            return {key: walk(item) for key, item in value.items()}
        return [walk(item) for item in value] if isinstance(value, list) else value

    found: dict[str, Any] = walk(yaml.safe_load(COMPOSE.read_text()))
    return found


@dataclass(frozen=True)
class Stage:
    """What the last lines of a Dockerfile's stage make of a process."""

    copies: list[tuple[str, str]]  # from the project, to the image
    taken: list[tuple[str, str]]  # from another stage, to the image
    environment: dict[str, str]
    entrypoint: list[str]
    user: str
    folder: str


def stages() -> dict[str, Stage]:
    """By name, in order. ENV and the like are inherited from the stage that one begins from."""
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
    found: dict[str, Stage] = {}
    now = Stage([], [], {}, [], "", "/")
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            before = found.get(base, Stage([], [], {}, [], "", "/"))
            now = found[name] = Stage([], [], dict(before.environment), [], "", before.folder)
            stage = name
        elif word == "ENV":
            now.environment.update(part.split("=", 1) for part in shlex.split(rest))
        elif word == "COPY":
            parts = shlex.split(rest)
            if parts[0].startswith("--from="):
                now.taken.append((f"{parts[0].removeprefix('--from=')}:{parts[1]}", parts[2]))
            else:
                now.copies.extend((source, parts[-1]) for source in parts[:-1])
        elif word == "ENTRYPOINT":
            now = found[stage] = replace(now, entrypoint=json.loads(rest))
        elif word == "USER":
            now = found[stage] = replace(now, user=rest)
        elif word == "WORKDIR":
            now = found[stage] = replace(now, folder=rest)
    return found


@dataclass
class Stack:
    """Some of the services, running. ``folder`` holds all they share."""

    folder: Path
    compose: dict[str, Any]
    addresses: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def app(self) -> Path:
        return self.folder / "image/opt/orimono/app"

    def log(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text(errors="replace")

    def stage(self, service: str) -> Stage:
        """Of its image."""
        return stages()[self.compose["services"][service]["build"]["target"]]

    def translated(self, service: str, text: str) -> str:
        """``text`` as it must read here: the container's paths and the names of its neighbours."""
        home = self.folder / ("home" if self._shares_home(service) else f"tmpfs-{service}")
        paths = {
            "/opt/orimono/.venv": str(Path(sys.executable).parents[1]),
            "/opt/airflow/.venv": str(PROJECT / ".venv-airflow"),
            "/var/lib/airflow": str(self.folder / f"tmpfs-{service}"),
            "/opt/": f"{self.folder}/image/opt/",
            "/var/lib/orimono": str(home),
            "/run/secrets": str(self.folder / "secrets"),
            "/tmp": str(self.folder / f"tmp-{service}"),
        }
        text = re.sub("|".join(map(re.escape, paths)), lambda found: paths[found[0]], text)
        text = re.sub(r"\b(?:127\.0\.0\.1|0\.0\.0\.0)\b", self.addresses[service], text)
        names = "|".join(self.addresses)
        return re.sub(rf"(?<=[/@])({names})(?=:\d)", lambda found: self.addresses[found[1]], text)

    def _shares_home(self, service: str) -> bool:
        return "home:/var/lib/orimono" in self.compose["services"][service].get("volumes", [])

    def environment(self, service: str) -> dict[str, str]:
        image = self.stage(service).environment | self.compose["services"][service].get("environment", {})
        return {name: self.translated(service, str(value)) for name, value in image.items()}

    def run(self, service: str, command: Sequence[str], *, entry: bool = False, **more: Any) -> subprocess.Popen[Any]:
        """In the service's container; ``entry``: by its entry point, as its own command is."""
        words = [*(self.stage(service).entrypoint if entry else []), *command]
        return subprocess.Popen(
            [self.translated(service, word) for word in words],
            cwd=self.translated(service, self.stage(service).folder),
            env=self.environment(service),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **more,
            **_as_nobody(),
        )

    def image(self) -> dict[str, tuple[int, int]]:
        """Size and time of each file that no container may write to."""
        root = self.folder / "image"
        return {
            str(path.relative_to(root)): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in root.rglob("*")
            if path.is_file()
        }

    def asked(self, service: str, *command: str, seconds: float = 120) -> str:
        """What `docker compose exec` would print."""
        with self.run(service, command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            output, errors = process.communicate(timeout=seconds)
        assert process.returncode == 0, output + errors
        return str(output)

    def healthy(self, service: str) -> bool:
        """What its health check says now."""
        kind, *command = self.compose["services"][service]["healthcheck"]["test"]
        assert kind == "CMD"
        with self.run(service, command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                return process.wait(120) == 0
            finally:
                process.kill()

    def start(self, service: str) -> None:
        """When what it depends on is as it must be, in the words of its ``depends_on``."""
        described = self.compose["services"][service]
        for other, condition in described.get("depends_on", {}).items():
            if other not in self.processes:
                continue  # postgres and the object store are other people's programs
            self.wait(other, condition["condition"])
        with (self.folder / f"{service}.log").open("wb") as log:
            self.processes[service] = self.run(service, described["command"], entry=True, stdout=log, stderr=log)

    def wait(self, service: str, condition: str = "service_healthy") -> None:
        process, end = self.processes[service], time.monotonic() + START_SECONDS
        if condition == "service_completed_successfully":
            assert process.wait(START_SECONDS) == 0, self.log(service)
            return
        assert condition == "service_healthy"
        while not self.healthy(service):
            assert process.poll() is None, self.log(service)
            assert time.monotonic() < end, self.log(service)
            time.sleep(1)

    def stop(self) -> dict[str, int]:
        """Exit codes, after what `docker compose stop` does, the last started first."""
        codes = {}
        for service, process in reversed(self.processes.items()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                grace = self.compose["services"][service].get("stop_grace_period", "10s")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(3 * float(grace.removesuffix("s")))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            codes[service] = process.wait(30)
        return codes


@contextlib.contextmanager
def stack(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Nothing runs yet: files as the image has them, empty volumes, secrets made as a person makes them, an address for
    each service in a network that is this process's own. What was started is ended."""
    compose, process = document(environment), os.getpid()
    network = f"127.{1 + process % 200}.{process // 200 % 250}"
    found = Stack(folder, compose, {name: f"{network}.{10 + n}" for n, name in enumerate(compose["services"])})
    _build(found)
    subprocess.run(["sh", str(PROJECT / "deploy/secrets.sh"), str(folder / "secrets")], check=True, timeout=30)
    (folder / "secrets").chmod(0o755)  # as the container sees it, where each file is mounted
    for service in found.compose["services"]:
        for name in (f"tmpfs-{service}", f"tmp-{service}"):
            (folder / name).mkdir()
    (folder / "home").mkdir()
    if _as_nobody():
        for path in folder.iterdir():
            if path.name.startswith(("tmp", "home")):
                os.chown(path, NOBODY, NOBODY)
    try:
        yield found
    finally:
        found.stop()


def _build(found: Stack) -> None:
    for source, target in (*stages()["orimono"].copies, *stages()["airflow"].copies):
        place = found.folder / "image" / target.lstrip("/")
        if (PROJECT / source).is_dir():
            shutil.copytree(PROJECT / source, place, ignore=shutil.ignore_patterns("__pycache__", "secrets"))
        else:
            place = place / source if target.endswith("/") else place
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / source, place)
    for file in (*(found.app / "deploy").rglob("*.yaml"), found.folder / "image/opt/dagster/dagster_home/dagster.yaml"):
        # Of what it names, only the compute logs' folder differs between containers, and is the shared volume's.
        text = found.translated("code", file.read_text())
        file.write_text(re.sub(r"(?<=host: )code\b", found.addresses["code"], text))
    compileall.compile_dir(str(found.app), quiet=1, workers=1)
    _close(found.folder / "image")


def _close(folder: Path) -> None:
    """A read-only root, as far as modes go."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & 0o555 | 0o444 | (0o111 if path.is_dir() else 0))


@functools.cache
def _as_nobody() -> dict[str, Any]:
    """The image's user is not root. Nor are we here, or where that one may run this Python (not in /root)."""
    other = {"user": NOBODY, "group": NOBODY, "extra_groups": ()}
    if os.geteuid() != 0:
        return {}
    try:
        subprocess.run([sys.executable, "-c", ""], check=True, capture_output=True, timeout=60, **other)
    except (OSError, subprocess.SubprocessError):
        return {}
    return other
