"""What the faults befall: a house as `orimono up` keeps it, on a small disk of its own, with an object store and a
model behind networks that can be cut. This module starts `up` again when that is killed, in the place of an init."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from pipelines.settings import Settings, load
from pipelines.storage import embedded
from pipelines.storage.keeper import postmaster
from pipelines.studio import Studio
from tests.dags.house import ORIMONO, House, free_ports
from tests.faults.proxy import Proxy
from tests.scoring.llm_server import LLM, Behaviour, serve

DISK_MEGABYTES = 3000  # a house takes no upload when less than 1 GB is free
BUCKET = "studio"
START_SECONDS = 300.0
LOST_SECONDS = 900.0


@dataclass(slots=True)
class World:
    folder: Path  # outside of the small disk: logs, material
    house: House
    s3: Proxy
    model: Proxy
    llm: LLM
    store: str  # the object store's own address, which is never cut
    on_disk: bool  # whether the home has a disk of its own
    up: subprocess.Popen[bytes] | None = None
    starts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def home(self) -> Path:
        return self.house.home

    @property
    def settings(self) -> Settings:
        """As the house has them, but for the object store: the invariants look past the network."""
        given = {k: v for k, v in self.house.environment.items() if k.startswith("ORIMONO_")}
        return load({**given, "ORIMONO_S3_ENDPOINT": self.store})

    @contextlib.contextmanager
    def studio(self) -> Iterator[Studio]:
        studio = Studio.open(self.settings)
        try:
            yield studio
        finally:
            studio.database.dispose()

    def start(self) -> None:
        with self.lock, (self.folder / "up.log").open("a") as log:
            self.starts += 1
            self.up = subprocess.Popen(
                [ORIMONO, "up", "--port", str(self.house.port), "--api-port", str(self.house.api_port)],
                env=self.house.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self) -> str:
        return (self.folder / "up.log").read_text(errors="replace")

    def key(self) -> str:
        (key,) = re.findall(r"First key +(orm_\S+)", self.log())[:1]
        return str(key)

    def await_answers(self, seconds: float = START_SECONDS) -> None:
        end = time.monotonic() + seconds
        while not self.answers():
            assert self.up is not None
            assert self.up.poll() is None, self.log()[-4000:]
            assert time.monotonic() < end, self.log()[-4000:]
            time.sleep(0.5)

    def answers(self) -> bool:
        """Both servers, and the code location is loaded."""
        try:
            with urllib.request.urlopen(f"{self.house.api}/health/ready", timeout=10) as answer:
                if answer.status != 200:
                    return False
            found = self.house.ask(
                "{workspaceOrError{... on Workspace{locationEntries{loadStatus locationOrLoadError{__typename}}}}}"
            )
            (entry,) = found["workspaceOrError"]["locationEntries"]
            return bool(entry["locationOrLoadError"]["__typename"] == "RepositoryLocation")
        except (OSError, ValueError, AssertionError, KeyError, TypeError):
            return False

    def runs_in_progress(self) -> list[str]:
        """A cadence's only when it has been under way for so long that it must be lost: the next comes in minutes."""
        query = """{runsOrError(filter: {statuses: [QUEUED, NOT_STARTED, STARTING, STARTED, CANCELING]}, limit: 50)
          {... on Runs {results {runId status jobName creationTime tags {key}}}}}"""
        found: list[dict[str, Any]] = self.house.ask(query)["runsOrError"]["results"]
        told = []
        for run in found:
            scheduled = any(tag["key"] == "dagster/schedule_name" for tag in run["tags"])
            if not scheduled or time.time() - run["creationTime"] > LOST_SECONDS:
                told.append(f"{run['jobName']} {run['status']} {run['runId']}")
        return told

    # processes

    def processes(self, *words: str) -> list[psutil.Process]:
        """Of the house, with all these words in their command line."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = process.cmdline()
                if all(any(word in part for part in line) for word in words) and self._ours(process):
                    found.append(process)
        return found

    def _ours(self, process: psutil.Process) -> bool:
        return process.environ().get("ORIMONO_HOME") == str(self.home) and process.status() != psutil.STATUS_ZOMBIE

    def code_server(self) -> list[psutil.Process]:
        return [p for p in self.processes("dagster", "grpc") if "api" in p.cmdline()]

    def run_processes(self) -> list[psutil.Process]:
        found = []
        for server in self.code_server():
            with contextlib.suppress(psutil.Error):
                found += [p for p in server.children() if "spawn_main" in " ".join(p.cmdline())]
        return found

    def workers(self) -> list[psutil.Process]:
        return [p for p in self.processes("loky") if "resource_tracker" not in " ".join(p.cmdline())]

    def database(self) -> list[psutil.Process]:
        found = postmaster(self.home / "postgres")
        with contextlib.suppress(psutil.Error):
            return [] if found is None else [psutil.Process(found[0])]
        return []

    def close(self) -> None:
        if self.up is not None and self.up.poll() is None:
            self.up.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.up.wait(90)
            if self.up.poll() is None:
                self.up.kill()
                self.up.wait()
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        embedded.stop(self.home, force=True)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[World]:
    """Started and answering."""
    with contextlib.ExitStack() as stack:
        disk = folder / "disk"
        disk.mkdir(parents=True)
        mounted = _mount(disk)
        if mounted:
            stack.callback(subprocess.run, ["umount", "-l", str(disk)], capture_output=True, check=False)
        home = disk / "home"
        home.mkdir()
        store = stack.enter_context(_object_store())
        llm = stack.enter_context(serve(Behaviour(latency=0.15)))
        s3, model = _proxy(store), _proxy(llm.url)
        stack.callback(s3.close)
        stack.callback(model.close)
        port, api_port = free_ports(2)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORIMONO_", "DAGSTER_", "AWS_"))}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else whoever starts anew compiles every library
        environment |= {
            "ORIMONO_HOME": str(home),
            "ORIMONO_SETTLE_SECONDS": "0.3",
            "ORIMONO_BATCH_JOBS": "8",
            "ORIMONO_OBJECTS_URL": f"s3://{BUCKET}/house",
            "ORIMONO_S3_ENDPOINT": f"http://127.0.0.1:{s3.port}",
            "ORIMONO_OPENAI_BASE_URL": f"http://127.0.0.1:{model.port}/v1",
            "ORIMONO_OPENAI_API_KEY": "sk-none",
            "ORIMONO_SCORE_PROVIDER": "openai",
            "ORIMONO_SCORE_MODEL": "m",
            "ORIMONO_SCORE_CONCURRENCY": "8",
            "ORIMONO_SCORE_TIMEOUT_SECONDS": "10",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_REGION": "us-east-1",
        }
        os.environ.update({k: v for k, v in environment.items() if k.startswith("AWS_")})
        world = World(folder, House(home, port, api_port, environment), s3, model, llm, store, mounted)
        stack.callback(world.close)
        world.start()
        world.await_answers()
        yield world


def _mount(folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m,mode=0755", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _proxy(url: str) -> Proxy:
    host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
    return Proxy(host, int(port))


@contextlib.contextmanager
def _object_store() -> Iterator[str]:
    """A real S3 API on loopback, in a process of its own: the harness has other things to do."""
    (port,) = free_ports(1)
    command = [str(Path(ORIMONO).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            end = time.monotonic() + 60
            while True:
                try:
                    request = urllib.request.Request(f"{url}/{BUCKET}", method="PUT")
                    with urllib.request.urlopen(request, timeout=10):
                        break
                except OSError:
                    assert process.poll() is None and time.monotonic() < end, "the object store did not start"
                    time.sleep(0.2)
            yield url
        finally:
            process.terminate()
