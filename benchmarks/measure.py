"""How the benchmarks measure: CPU time of alternating runs in one process, and peak memory of a fresh one.

Ratios are taken pair by pair within one run, so that they hold when the machine's speed drifts.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number beside its target (``at_most`` or ``at_least``; neither: reported only)."""

    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def met(self) -> bool:
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )


def cpu_seconds(call: Callable[[], object]) -> float:
    """CPU seconds of this process, all threads, for one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def cpu_ratio(ours: Callable[[], object], theirs: Callable[[], object], repeats: int = 5) -> float:
    """Median over alternating runs (after one warm-up each) of CPU(ours) / CPU(theirs)."""
    ours()
    theirs()
    return statistics.median(cpu_seconds(ours) / cpu_seconds(theirs) for _ in range(repeats))


def peak_rss_mb(code: str, *args: str) -> float:
    """Peak resident memory in MB of a fresh Python that runs ``code`` (``sys.argv[1:]`` = args).

    VmHWM, which an exec resets; ``ru_maxrss`` would keep this process's own peak.
    """
    tail = "\nprint(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])"
    command = [sys.executable, "-c", code + tail, *args]
    out = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(out.stdout.split()[-1]) / 1024


def write(name: str, figures: dict[str, Figure]) -> Path:
    """Writes ``results/<name>.json`` and returns its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    body = {
        "benchmark": name,
        "machine": {"cpu_count": len(os.sched_getaffinity(0)), "python": platform.python_version()},
        "figures": {k: {**asdict(f), "met": f.met} for k, f in figures.items()},
    }
    path.write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n")
    return path
