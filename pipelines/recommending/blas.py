"""One thread of BLAS for as long as lists are made in this process.

The products of one list are small or bound by memory: a second thread of BLAS does not make them quicker, but spins
between them, and takes its core from PostgreSQL and from the next request (29 ms of processor time for a list instead
of 7). Lists for many run on threads of their own (many.py).
"""

from __future__ import annotations

import threading
from typing import Any

_lock = threading.Lock()
_holders = 0
_limit: Any = None


def hold() -> None:
    """From now on one thread, whatever the environment says, until everybody who holds it has called ``release``."""
    global _holders, _limit
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with _lock:
        if not _holders:
            _limit = threadpool_limits(1, user_api="blas")
        _holders += 1


def release() -> None:
    """The last one to release gives back what was set before."""
    global _holders, _limit
    with _lock:
        _holders -= 1
        if not _holders:
            _limit.restore_original_limits()
            _limit = None
