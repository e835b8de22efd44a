"""The real Airflow in its own environment (`make airflow`), with a database of its own, and how tests talk with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.settings import PROJECT

PROGRAMS = PROJECT / ".venv-airflow" / "bin"
DAGS = PROJECT / "dags" / "airflow"


def environment(home: Path, dagster_url: str) -> dict[str, str]:
    """For every command of Airflow's."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ORIMONO_", "DAGSTER_", "AIRFLOW", "PYTHON"))}
    return kept | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "ORIMONO_DAGSTER_URL": dagster_url,
        "VIRTUAL_ENV": str(PROGRAMS.parent),
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@dataclass(frozen=True)
class Airflow:
    """A process of drive.py."""

    process: subprocess.Popen[str]
    log: Path
    hello: dict[str, Any]

    def test(self, dag: str, run: int, **knobs: Any) -> dict[str, Any]:
        """What `airflow dags test` does with the cadence's DAG; ``run``: the same is the same run of Airflow's."""
        self.begin(dag, run, **knobs)
        return self.end()

    def begin(self, dag: str, run: int, **knobs: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"dag": f"orimono_{dag}", "run": run, **knobs}) + "\n")
        self.process.stdin.flush()

    def end(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.said()[-6000:]
        found: dict[str, Any] = json.loads(line)
        return found

    def said(self) -> str:
        return self.log.read_text()


@contextlib.contextmanager
def driven(home: Path, dagster_url: str) -> Iterator[Airflow]:
    assert PROGRAMS.exists(), "Airflow's environment is missing; `make airflow` makes it"
    log = home / "drive.log"
    command = [str(PROGRAMS / "python"), str(Path(__file__).with_name("drive.py"))]
    with log.open("a") as file:
        process = subprocess.Popen(
            command,
            env=environment(home, dagster_url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            # Else an ignored SIGINT would be inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    with process:
        try:
            started = Airflow(process, log, {})
            yield Airflow(process, log, started.end())
        finally:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close() if process.stdin else None
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
