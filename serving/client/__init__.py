"""A typed client of the API: ``with Orimono(url, key) as studio: studio.create_master(...)``.

One method for every operation of the OpenAPI document, of the same name; a test holds the two together.
"""

from __future__ import annotations

from types import TracebackType

from serving.client.calls import every as every
from serving.client.errors import ApiError as ApiError
from serving.client.errors import Busy as Busy
from serving.client.errors import Conflicting as Conflicting
from serving.client.errors import Forbidden as Forbidden
from serving.client.errors import Invalid as Invalid
from serving.client.errors import Missing as Missing
from serving.client.errors import Unauthorized as Unauthorized
from serving.client.errors import Unreachable as Unreachable
from serving.client.models import Asking
from serving.client.people import Governing
from serving.client.transport import Transport
from serving.client.work import Work


class Orimono(Work, Asking, Governing):
    """One caller, with a key or an OIDC token. Use it as a context, or ``close`` it. Threads may share one.

    Each method raises ApiError (with the API's own sentence) for what is refused, and Unreachable without an answer;
    what is busy (429, 503) is asked again when the API says so, ``attempts`` times in all.
    """

    def __init__(self, url: str, key: str, *, timeout: float = 30.0, attempts: int = 5) -> None:
        super().__init__(Transport(url, key, timeout=timeout, attempts=attempts))

    def __enter__(self) -> Orimono:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.transport.close()
