"""Moves the clock of every Python process that finds this on its PYTHONPATH: to the offset in the file MOVED_CLOCK.

The file holds seconds to add to the real time; when it changes, running processes follow within a fifth of a second.
gRPC keeps the real time: its deadlines are judged by a library in C, which nobody moves.
"""

import importlib.util
import os
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

_file = os.environ.get("MOVED_CLOCK")

if _file:
    import time_machine

    # What time_machine moves is the wall clock: the monotonic one goes on, and tells the real time from here.
    _began, _start = time.time(), time.monotonic()

    class _RealTime:
        def __getattr__(self, name):
            return getattr(time, name)

        @staticmethod
        def time():
            return _began + time.monotonic() - _start

    class _Finder:
        """Gives the real time to gRPC's client and server when they are imported."""

        def find_spec(self, name, path, target=None):
            if name not in ("grpc._channel", "grpc._server"):
                return None
            sys.meta_path.remove(self)  # or it would be asked again
            try:
                spec = importlib.util.find_spec(name)
            finally:
                sys.meta_path.insert(0, self)
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                module.time = _RealTime()

            spec.loader.exec_module = exec_module
            return spec

    sys.meta_path.insert(0, _Finder())

    def _offset():
        try:
            return float(Path(_file).read_text() or 0)
        except (OSError, ValueError):
            return 0.0

    def _moved(offset):
        return datetime.fromtimestamp(_RealTime.time() + offset, UTC)

    _now = _offset()
    _coordinates = time_machine.travel(_moved(_now), tick=True).start()

    def _follow():
        known = _now
        while True:
            time.sleep(0.2)
            wanted = _offset()
            if wanted != known:
                known = wanted
                _coordinates.move_to(_moved(wanted), tick=True)

    threading.Thread(target=_follow, daemon=True, name="moved clock").start()
