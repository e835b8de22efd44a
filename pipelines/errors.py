"""The one hierarchy of failures: what will never work (bad input) and what may work later (unavailable).

Everything else is a bug and is left to rise. The command line, the HTTP API and Dagster word these the same
way: the message of the exception, unchanged.
"""

from __future__ import annotations


class OrimonoError(Exception):
    """A failure that the product expects and can put into one sentence."""


class BadInput(OrimonoError):
    """Permanent: the same input will fail again. Exit code 2; never retried.

    The message names the thing, the reason and the remedy:
    ``song.ogg: has no audio stream; give a file with sound (wav, flac, ogg, mp3, m4a)``.
    """

    def __init__(self, what: object, reason: str, remedy: str) -> None:
        self.what = str(what)
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"{self.what}: {reason}; {remedy}")

    def __reduce__(self) -> tuple[type[BadInput], tuple[str, str, str]]:
        # Worker processes send their errors home by pickle, which would otherwise call __init__ with the message.
        return (type(self), (self.what, self.reason, self.remedy))


class NotFound(BadInput):
    """What was asked for does not exist, or is not the asker's to know of."""


class NotAllowed(BadInput):
    """Known, but not this person's to do."""


class Conflict(BadInput):
    """Would work in another state than the thing is in now."""


class Unavailable(OrimonoError):
    """Transient: the same call may succeed after ``retry_after`` seconds."""

    def __init__(self, what: object, reason: str, retry_after: float = 5.0) -> None:
        self.what = str(what)
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(f"{self.what}: {reason}; try again in {retry_after:g} s")

    def __reduce__(self) -> tuple[type[Unavailable], tuple[str, str, float]]:
        return (type(self), (self.what, self.reason, self.retry_after))


class TooMany(Unavailable):
    """More than this caller may ask for at a time."""
