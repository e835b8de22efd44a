"""The house as a whole: how fast the code location loads, how long the demo takes on a home of its own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Figure, write
from pipelines.storage import embedded

PROJECT = Path(__file__).resolve().parents[1]
LOAD = "import definitions; definitions.build_defs().resolve_job_def('editing')"


def run() -> dict[str, Figure]:
    loads = [_seconds([sys.executable, "-c", LOAD]) for _ in range(6)][1:]  # the first one warms the disk's cache
    bare = [_seconds([sys.executable, "-c", "import dagster"]) for _ in range(5)]
    with tempfile.TemporaryDirectory() as home:
        orimono = str(Path(sys.executable).with_name("orimono"))
        first = _seconds([orimono, "demo", "--json"], home)
        again = _seconds([orimono, "demo", "--json"], home)
        embedded.stop(Path(home), force=True)  # it lingers for the next command
    return {
        "code_location_seconds": Figure(statistics.median(loads), "s", at_most=2.5, note="a fresh Python, wall clock"),
        "code_location_over_import_dagster": Figure(statistics.median(loads) / statistics.median(bare), "x"),
        "demo_seconds": Figure(first, "s", at_most=180, note="two jobs, three patterns each, 42 s at 1280x720"),
        "demo_again_over_first": Figure(again / first, "x", note="everything is stored"),
    }


def _seconds(command: list[str], home: str | None = None) -> float:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORIMONO_", "DAGSTER_"))}
    if home:
        environment["ORIMONO_HOME"] = home
    start = time.monotonic()
    subprocess.run(command, check=True, cwd=PROJECT, env=environment, capture_output=True)
    return time.monotonic() - start


if __name__ == "__main__":
    write("house", run())
