"""Moves the clock of every Python process that finds this on its PYTHONPATH: to the offset in the file MOVED_CLOCK.

The file holds seconds to add to the real time; when it changes, running processes follow within a fifth of a second.
"""

import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

_file = os.environ.get("MOVED_CLOCK")

if _file:
    import time_machine

    # What time_machine moves is the wall clock: the monotonic one goes on, and tells the real time from here.
    _began, _start = time.time(), time.monotonic()

    def _offset() -> float:
        try:
            return float(Path(_file).read_text() or 0)
        except (OSError, ValueError):
            return 0.0

    def _moved(offset: float) -> datetime:
        return datetime.fromtimestamp(_began + time.monotonic() - _start + offset, UTC)

    _now = _offset()
    _traveller = time_machine.travel(_moved(_now), tick=True)
    _coordinates = _traveller.start()

    def _follow() -> None:
        known = _now
        while True:
            time.sleep(0.2)
            wanted = _offset()
            if wanted != known:
                known = wanted
                _coordinates.move_to(_moved(wanted), tick=True)

    threading.Thread(target=_follow, daemon=True, name="moved clock").start()
