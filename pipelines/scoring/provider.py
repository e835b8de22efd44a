"""Who can be asked: the protocol of a provider, and the ways in which it may not answer.

Throttled, Refused and Lost concern one try or one row and never leave the pipeline. The house's BadInput means that
nobody will ever be answered (a wrong key, a model that does not exist) and ends the run at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Question:
    """A row's text and, when a former answer was invalid, what was wrong with it."""

    text: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    tokens_in: int = 0
    tokens_out: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Quota:
    """What a provider's headers say of its own limits; None where they are silent."""

    requests: float | None = None  # a minute
    remaining: int | None = None  # requests
    reset: float | None = None  # s until ``remaining`` is full again


@dataclass(frozen=True, slots=True)
class Reply:
    """The text of an answer, not looked at yet."""

    content: str
    usage: Usage = field(default_factory=Usage)
    quota: Quota | None = None
    cut: bool = False  # at the model's limit of tokens; validation.py is told, to say so when it is invalid


class Throttled(Exception):
    """429 and its like: everybody is to wait ``retry_after`` seconds (None: it did not say)."""

    def __init__(self, retry_after: float | None = None, quota: Quota | None = None) -> None:
        self.retry_after, self.quota = retry_after, quota
        super().__init__(f"throttled, retry after {retry_after} s")


class Refused(Exception):
    """This row will never be answered, others will: a content policy, a text beyond the model's context.

    ``usage``: an answer that a filter took back was paid for all the same.
    """

    def __init__(self, reason: str = "", usage: Usage | None = None) -> None:
        self.reason, self.usage = reason, usage or Usage()
        super().__init__(reason)


class Lost(Exception):
    """A try that may have been paid for and brought nothing: cut, dropped, timed out, a 5xx. Another may work."""

    def __init__(self, reason: str, usage: Usage | None = None, retry_after: float | None = None) -> None:
        self.reason, self.usage, self.retry_after = reason, usage or Usage(), retry_after
        super().__init__(reason)


class Provider(Protocol):
    """Opened and closed inside the event loop that asks. ``ask`` raises Throttled, Refused, Lost or BadInput."""

    name: str  # "openai", "gemini", "local"; of another address than the provider's own, "openai@host:port/path"
    model: str
    prompt: str  # the system prompt, for cache keys
    most: int | None  # requests in flight at once, where the provider or the operator sets a limit

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def ask(self, question: Question) -> Reply: ...
