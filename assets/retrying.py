"""Which failures of a step are worth another try, said once for all assets and checks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from pipelines.errors import BadInput, Unavailable

MAX_RETRIES = 3


@contextmanager
def failures_told_apart() -> Iterator[None]:
    """Unavailable asks Dagster for another try after its own wait; BadInput fails at once and for good.

    A crash of the run's process is the instance's `run_retries`; nothing else in the house retries.
    """
    try:
        yield
    except Unavailable as error:
        raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=error.retry_after) from error
    except BadInput as error:
        raise dg.Failure(str(error), allow_retries=False) from error
