"""Which failures of a step are worth another try, said once for all assets."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import dagster as dg

from pipelines.errors import BadInput, Unavailable

P = ParamSpec("P")
R = TypeVar("R")
MAX_RETRIES = 3


def failures_told_apart(step: Callable[P, R]) -> Callable[P, R]:
    """Unavailable asks Dagster for another try after its own wait; BadInput fails at once and for good.

    A crash of the run's process is the instance's `run_retries`; nothing else in the house retries.
    """

    @functools.wraps(step)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return step(*args, **kwargs)
        except Unavailable as error:
            raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=error.retry_after) from error
        except BadInput as error:
            raise dg.Failure(str(error), allow_retries=False) from error

    return wrapped
