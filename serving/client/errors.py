"""What a call can fail with: the API's own sentence, or that it could not be reached."""

from __future__ import annotations

from serving.wire.base import Problem


class ApiError(Exception):
    """The API refused; ``problem`` is its answer, ``str`` its sentence."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail)

    @classmethod
    def said(cls, status: int, sentence: str) -> ApiError:
        """A refusal that came in an answer's body."""
        return cls(Problem(title="Refused", status=status, detail=sentence))

    @property
    def status(self) -> int:
        return self.problem.status


class Unauthorized(ApiError):
    """401: no key, or one that is not (any more)."""


class Forbidden(ApiError):
    """403: the key lacks a scope, or its owner the role."""


class Missing(ApiError):
    """404: does not exist, or is not this caller's to see. 410: existed."""


class Conflicting(ApiError):
    """409, 412: the thing is in another state than the request supposes."""


class Invalid(ApiError):
    """400, 413, 415, 416, 422: the request will never work as it is."""


class Busy(ApiError):
    """429, 503: later it may work, and waiting as long as was asked for did not help."""


class Unreachable(Exception):
    """There was no answer. What was asked may or may not have been done."""


def of_problem(problem: Problem) -> ApiError:
    kinds: dict[int, type[ApiError]] = {
        401: Unauthorized,
        403: Forbidden,
        404: Missing,
        410: Missing,
        409: Conflicting,
        412: Conflicting,
        429: Busy,
        503: Busy,
    }
    kind = kinds.get(problem.status, Invalid if 400 <= problem.status < 500 else ApiError)
    return kind(problem)
