"""How requests travel: the key, another try when the API asks for it, failures as exceptions. What can be asked is
work.py's, models.py's and people.py's."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from serving.client.errors import Unreachable, of_problem
from serving.wire.base import Problem

T = TypeVar("T")
LONGEST_WAIT = 60.0  # s: an API that asks for more is not waited for
_AGAIN = (429, 503)
_SAFE = ("GET", "HEAD", "PUT", "DELETE")  # asking twice does what asking once does


class Transport:
    """``attempts``: tries of one request in all. A POST carries an Idempotency-Key, the same in every try."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = 30.0,
        attempts: int = 5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._attempts = attempts
        self._sleep = sleep
        self._key = key
        self.http = httpx.Client(base_url=self.url, headers=self.headers, timeout=timeout, follow_redirects=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}", "User-Agent": "orimono-client/1"}

    def close(self) -> None:
        self.http.close()

    def ask(
        self,
        method: str,
        path: str,
        answer: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        body: BaseModel | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> Any:
        """The answer as ``answer`` says (a pydantic model, or any type that pydantic knows); None for none wanted.

        ApiError for a refusal, Unreachable when there was no answer.
        """
        response = self.send(method, path, params=params, body=body, content=content, headers=headers, once=once)
        if answer is None:
            return None
        if answer is bytes:
            return response.content
        return TypeAdapter(answer).validate_json(response.content)

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: BaseModel | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> httpx.Response:
        """The response, 2xx or 304. ``once``: not sent again where it may have been carried out, for what no
        Idempotency-Key guards."""
        more = dict(headers or {})
        if body is not None:
            content = body.model_dump_json(exclude_unset=True).encode()
            more.setdefault("Content-Type", "application/json")
        if method == "POST":
            more.setdefault("Idempotency-Key", uuid.uuid4().hex)
        query = {name: value for name, value in (params or {}).items() if value is not None}
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                response = self.http.request(method, path, params=query, content=content, headers=more)
            except httpx.TransportError as error:
                # A PATCH has an effect that its repetition has not: who sends one asks first how far it came.
                if last or once or method not in (*_SAFE, "POST"):
                    raise Unreachable(f"{self.url}: did not answer ({type(error).__name__})") from error
                self._sleep(_backoff(attempt))
                continue
            if response.status_code < 400:
                return response
            problem = problem_of(response)
            wait = problem.retry_after if problem.retry_after is not None else _backoff(attempt)
            if response.status_code in _AGAIN and not last and wait <= LONGEST_WAIT:
                self._sleep(wait)
                continue
            raise of_problem(problem)
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        """A response that goes on; not asked for again. Only of this API: the key goes with it."""
        if "://" in path and not path.startswith(f"{self.url}/"):
            raise ValueError("the address is another server's")
        patience = httpx.Timeout(30.0, read=60.0)  # heartbeats come more often
        try:
            with self.http.stream("GET", path, headers=dict(headers or {}), timeout=patience) as response:
                if response.status_code >= 400:
                    response.read()
                    raise of_problem(problem_of(response))
                yield response
        except httpx.TransportError as error:
            raise Unreachable(f"{self.url}: broke off ({type(error).__name__})") from error


def problem_of(response: httpx.Response) -> Problem:
    """The problem of an answer; made up from the status where something between answered in its own way."""
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return Problem(
            title=response.reason_phrase or "Failed",
            status=response.status_code,
            detail=f"{response.request.url.path}: answered {response.status_code} {response.reason_phrase}",
            retry_after=_seconds(response.headers.get("Retry-After")),
        )


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdigit() else None


def _backoff(attempt: int) -> float:
    return min(8.0, 0.25 * 2.0**attempt)
