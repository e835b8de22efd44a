"""A house whose batches end with their features: the real sensor, daemon, queue and checks over the intake and the
analysis. What would follow (edits, renders) would only make the work larger beside what is measured.

As a module it is the code location; `opened` starts the daemon over it, as `orimono up` does over the whole.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from pipelines.studio import Studio

PROJECT = Path(__file__).resolve().parents[1]
ENDING_SECONDS = 60.0


@dg.definitions
def definitions() -> dg.Definitions:
    from dags import jobs, sensors
    from definitions import build_defs

    batch = dg.define_asset_job("batch", selection=dg.AssetSelection.groups("intake", "analysis"), tags=jobs.HEAVY)
    return build_defs(jobs=[batch], schedules=[], sensors=[sensors.inbox.with_attributes(jobs=[batch])])


@contextlib.contextmanager
def instance(studio: "Studio") -> Iterator[dg.DagsterInstance]:
    """Dagster's instance of a home, in this process."""
    from resources import instance as dagster_home

    environment = dagster_home.prepare(studio.settings, studio.database)
    os.environ.update(environment)
    try:
        with dg.DagsterInstance.get() as found:
            yield found
    finally:
        for name in environment:
            del os.environ[name]


@contextlib.contextmanager
def opened(home: Path, program: str, *arguments: str, module: str = __name__) -> Iterator[subprocess.Popen[bytes]]:
    """``program`` (dagster-daemon, dagster-webserver) over that module as the code location; ended at the end."""
    from pipelines.settings import Settings
    from pipelines.studio import Studio
    from resources import instance as dagster_home

    settings = Settings(home=str(home))
    studio = Studio.open(settings)
    workspace = home / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - python_module: {{module_name: {module}, working_directory: {PROJECT}, "
        "location_name: orimono}\n"
    )
    environment: dict[str, Any] = {k: v for k, v in os.environ.items() if not k.startswith(("ORIMONO_", "DAGSTER_"))}
    environment |= {"ORIMONO_HOME": str(home), "ORIMONO_SETTLE_SECONDS": "0.5"}
    environment |= dagster_home.prepare(settings, studio.database)
    command = [str(Path(sys.executable).with_name(program)), *arguments, "-w", str(workspace)]
    log = home / f"{program}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENDING_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        studio.database.close()
