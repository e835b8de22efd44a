"""A real Ray cluster on loopback: a head without processors, and nodes with one each and a temporary folder of their
own, whose processes can be killed at any moment."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipelines.settings import PROJECT

_START = 90.0  # s: two cores that others use need a minute for what takes ten seconds
_TRIES = 3  # a node was seen to wait for ever on a busy machine; another start of it does not
_AGENT_PORTS = ("metrics_agent", "dashboard_agent_listen", "runtime_env_agent", "metrics_export")
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_raylet_start_wait_time_s": str(int(_START)),
    "GRPC_ENABLE_FORK_SUPPORT": "0",
    # A machine that is gone is noticed in seconds; of one that is only slow, more is put up with.
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "15000",
    "RAY_health_check_failure_threshold": "10",
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class NotUpError(AssertionError):
    """A node did not start in time; what it and Ray wrote."""


@dataclass(frozen=True, slots=True)
class Node:
    process: subprocess.Popen[bytes]
    home: Path  # its TMPDIR

    def tree(self) -> list[psutil.Process]:
        """What it runs, its raylet first: that one starts workers anew."""
        with contextlib.suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.process.pid).children(recursive=True)
            return sorted(found, key=lambda one: _name(one) != "raylet")
        return []

    def workers(self) -> list[psutil.Process]:
        """Processes that compute, or wait for work."""
        return [one for one in self.tree() if any("default_worker" in part for part in _line(one))]

    def kill(self) -> None:
        """As if its power had failed."""
        for one in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.kill()
        self.process.wait()


class RayCluster:
    """``address`` is what ORIMONO_COMPUTE takes."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.port = _free_port()
        self.nodes: list[Node] = []
        client = f"--ray-client-server-port={_free_port()}"
        head = ("--head", f"--port={self.port}", client, "--include-dashboard=false", "--no-monitor", "--num-cpus=0")
        self.head = self._start("head", "127.0.0.1", *head, f"--temp-dir={folder / 'ray'}")

    @property
    def address(self) -> str:
        return f"ray://127.0.0.1:{self.port}"

    def add(self) -> Node:
        """One more machine with one processor, at an address of its own: this process belongs to the head's."""
        number = len(self.nodes)
        place = f"127.0.0.{number + 2}"
        self.nodes.append(self._start(f"node{number}", place, f"--address=127.0.0.1:{self.port}", "--num-cpus=1"))
        return self.nodes[-1]

    def stop(self) -> None:
        for node in [*self.nodes, self.head]:
            node.kill()

    def _start(self, name: str, place: str, *options: str) -> Node:
        for number in range(1, _TRIES):
            try:
                return self._start_once(f"{name}-{number}", place, *options)
            except NotUpError as error:
                print(error, file=sys.stderr)  # noqa: T201 - pytest shows it if the others fail as well
        return self._start_once(f"{name}-{_TRIES}", place, *options)

    def _start_once(self, name: str, place: str, *options: str) -> Node:
        home = self.folder / name
        home.mkdir()
        ports = {kind: _free_port() for kind in _AGENT_PORTS}
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *options),
            *(f"--node-ip-address={place}", "--disable-usage-stats", f"--object-store-memory={100 << 20}"),
            f"--dashboard-agent-grpc-port={ports['metrics_agent']}",
            f"--dashboard-agent-listen-port={ports['dashboard_agent_listen']}",
            f"--runtime-env-agent-port={ports['runtime_env_agent']}",
            f"--metrics-export-port={ports['metrics_export']}",
            "--include-log-monitor=false",
        ]
        environment = {**os.environ, **_QUIET, **self.environment, "TMPDIR": str(home), "PYTHONPATH": str(PROJECT)}
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=log, stderr=log)
        node = Node(process, home)
        try:
            self._wait(node, ports)
        except BaseException:
            node.kill()
            raise
        return node

    def _wait(self, node: Node, ports: Mapping[str, int]) -> None:
        """A raylet gives its agents 15 s to write down their ports, which they need longer for on a busy machine. The
        ports are given, so they are written here."""
        deadline = time.monotonic() + _START
        while b"Ray runtime started" not in (said := (node.home / "log").read_bytes()):
            if node.process.poll() is not None or time.monotonic() > deadline:
                raise NotUpError(said.decode(errors="replace")[-3000:] + self._last_words())
            for one in node.tree()[:1]:
                given = dict(part.partition("=")[::2] for part in _line(one))
                if _name(one) == "raylet" and "--session_dir" in given:
                    for kind, port in ports.items():
                        file = Path(given["--session_dir"]) / f"{kind}_port_{given['--node_id']}"
                        if not file.exists():
                            file.write_text(str(port))
            time.sleep(0.2)

    def _last_words(self) -> str:
        """Of the raylet that was started last."""
        logs = sorted(self.folder.glob("ray/session_2*/logs/raylet*"), key=lambda log: log.stat().st_mtime)
        return "".join(f"\n{log.name}: {log.read_text(errors='replace')[-2000:]}" for log in logs[-2:])


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.name()
    return ""


def _line(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


@contextlib.contextmanager
def cluster(folder: Path, nodes: int = 2, **environment: str) -> Iterator[RayCluster]:
    """Running, with so many nodes. ``folder`` is short: sockets lie below it."""
    folder.mkdir(parents=True)
    made = RayCluster(folder, environment)
    try:
        for _ in range(nodes):
            made.add()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
