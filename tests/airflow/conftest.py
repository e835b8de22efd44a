"""Dagster's webserver without its daemon: what is started stays in the queue."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.settings import PROJECT
from tests.dags.house import House, free_ports

DAGSTER_YAML = """\
telemetry: {enabled: false}
run_coordinator: {module: dagster.core.run_coordinator, class: QueuedRunCoordinator}
"""


@pytest.fixture(scope="module")
def webserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Of a house in which Dagster owns the cadences; ``home`` is Dagster's own."""
    (port,) = free_ports(1)
    home = tmp_path_factory.mktemp("webserver")
    (home / "dagster.yaml").write_text(DAGSTER_YAML)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ORIMONO_", "DAGSTER_"))}
    homes = {"ORIMONO_HOME": str(home), "DAGSTER_HOME": str(home)}
    program = str(Path(sys.executable).with_name("dagster-webserver"))
    command = [program, "-m", "definitions", "-d", str(PROJECT), "-h", "127.0.0.1", "-p", str(port)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=kept | homes, stdout=log, stderr=log, cwd=PROJECT)
    found = House(home, port, 0, {})
    with process:
        try:
            end = time.monotonic() + 300
            while True:
                try:
                    found.ask("{version}")
                    break
                except OSError:
                    assert process.poll() is None and time.monotonic() < end, (home / "log").read_text()
                    time.sleep(0.5)
            yield found
        finally:
            process.terminate()
            process.wait(60)
