"""Moves two clocks in every Python process that finds this on its PYTHONPATH: that of Dagster's scheduler, and the
product's own (but not with MOVED_CLOCK_OF=scheduler: what deletes wants the database's time). The file named by
MOVED_CLOCK holds seconds to add to the real time, and may change at any moment.

Everything else keeps the real time: a process whose every clock is moved cannot talk gRPC.
"""

import importlib.util
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

_file = os.environ.get("MOVED_CLOCK")


def _timestamp():
    try:
        return time.time() + float(Path(_file).read_text() or 0)
    except (OSError, ValueError):
        return time.time()


def _datetime(tz=UTC):
    return datetime.fromtimestamp(_timestamp(), UTC)


_MOVED = {
    "dagster._scheduler.scheduler": {"get_current_timestamp": _timestamp, "get_current_datetime": _datetime},
    "pipelines.clock": {"now": _datetime},
}
if os.environ.get("MOVED_CLOCK_OF") == "scheduler":
    del _MOVED["pipelines.clock"]


class _Finder:
    """Exchanges the clocks of these modules when they are imported."""

    def find_spec(self, name, path, target=None):
        if name not in _MOVED:
            return None
        sys.meta_path.remove(self)  # or it would be asked again
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            vars(module).update({clock: moved for clock, moved in _MOVED[name].items() if hasattr(module, clock)})

        spec.loader.exec_module = exec_module
        return spec


if _file:
    sys.meta_path.insert(0, _Finder())
