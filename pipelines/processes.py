"""Other processes of this machine: whether one that left something behind is still at it."""

from __future__ import annotations

import os


def lives(pid: int) -> bool:
    """Whether there is a process of this number; it may be another than the one that is meant."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
