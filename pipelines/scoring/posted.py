"""What providers that are asked over HTTP have in common: a body posted, read, and asked for less when it is refused.

What a body holds is openai_chat.py's and gemini.py's. Nothing that failed is tried again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from pipelines.scoring.prompts import Prompts
from pipelines.scoring.provider import Reply, Usage
from pipelines.scoring.statuses import failure, trouble
from pipelines.scoring.wire import Endpoint, Heard, Wire, estimated

log = logging.getLogger(__name__)

quoted = json.JSONEncoder(ensure_ascii=False).encode


class Posted:
    """Most of a Provider. A body is ``head``, the question, and a tail that subclasses make, and make again when the
    endpoint says that it does not have what is in it.

    A question that meets such a refusal is posted anew without it, up to three times in all, within one ``ask``, which
    callers count as one request. After the first answer the tail stays as it is, so it does not recur.
    """

    def __init__(
        self,
        kind: str,
        endpoint: Endpoint,
        model: str,
        prompts: Prompts,
        *,
        url: str,
        headers: Mapping[str, str],
        head: str,
        timeout: float,
        most: int | None,
    ) -> None:
        self.name = endpoint.named(kind)
        self.endpoint, self.model, self.most = endpoint, model, most
        self.prompts, self.prompt = prompts, prompts.system
        self._wire = Wire(url, headers if endpoint.key else {}, timeout)
        self._head = head.encode("utf-8", "replace")
        self._tail = self._made_tail()
        self._cut = False  # an answer was, and it has been said

    async def __aenter__(self) -> Self:
        await self._wire.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._wire.__aexit__(kind, error, trace)

    async def _asked(self, question: str, text: str) -> Reply:
        """``question`` as JSON; ``text``, the row's, is kept out of errors."""
        message = question.encode("utf-8", "replace")
        while True:
            tail = self._tail
            body = self._head + message + tail
            heard = await self._wire.post(body)
            if heard.status == 200:
                reply = self._read(heard, text, len(body))
                if reply.cut and not self._cut:
                    self._cut = True
                    log.warning("%s ends answers half way, at its limit of tokens", self.model)
                return reply
            if not self._relaxed(heard, tail):
                raise failure(heard, self.endpoint, self.model, text=text, sent=len(body))

    def _relaxed(self, heard: Heard, tail: bytes) -> bool:
        """Whether the request was refused for something that is left out from now on."""
        if heard.status not in (400, 422):
            return False
        if tail is self._tail:  # else another request's refusal has changed it already
            if not self._relax(trouble(heard.body).words):
                return False
            self._tail = self._made_tail()
        return True

    def _made_tail(self) -> bytes:
        raise NotImplementedError

    def _relax(self, words: str) -> bool:
        """Whether there is something to be left out, to go by the refusal's ``words``; notes and logs that it is."""
        raise NotImplementedError

    def _read(self, heard: Heard, text: str, sent: int) -> Reply:
        """The content of a 200. Raises Refused when a filter withheld it, Lost when it is cut, and what ``failure``
        gives when it is an error's body."""
        raise NotImplementedError


def usage(found: Any, names: tuple[str, str, str], sent: int, received: int) -> Usage:
    """``found``: a provider's counts of tokens, by its ``names`` for what was read, written and thought (thoughts are
    paid for as what is written); estimated from bytes where it does not tell."""
    if isinstance(found, dict):
        read, written, thought = (found.get(name, 0) for name in names)
        if read.__class__ is int and written.__class__ is int and thought.__class__ is int and read > 0:
            return Usage(read, max(0, written) + max(0, thought))
    return estimated(sent, received)
