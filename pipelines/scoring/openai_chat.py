"""Models behind OpenAI's chat completions, or anybody's that speaks it: one request a question, nothing tried again.

The request's last message is the user's and holds the text and the categories (prompts.py); the answer's content is
looked at by validation.py.
"""

from __future__ import annotations

import json
import logging
from types import TracebackType
from typing import Any, Self

from pipelines.scoring.prompts import Prompts
from pipelines.scoring.provider import Lost, Question, Refused, Reply, Usage
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.statuses import failure, quota, trouble
from pipelines.scoring.wire import Endpoint, Heard, Wire, estimated

log = logging.getLogger(__name__)

MODEL = "gpt-5.4-mini"
FORMS = ("json_schema", "json_object", "none")  # of an answer, from the strictest on
FORM_WORDS = ("response_format", "json_schema", "json_object", "json mode", "structured output", "schema")

quoted = json.JSONEncoder(ensure_ascii=False).encode


class OpenAIChat:
    """A Provider. It asks for the JSON schema of an answer, at temperature 0, and does without what the endpoint says
    it does not have."""

    name = "openai"

    def __init__(
        self, endpoint: Endpoint, rubric: Rubric, model: str = MODEL, *, timeout: float = 60.0, most: int | None = None
    ) -> None:
        self.endpoint, self.model, self.most = endpoint, model, most
        self.prompts = Prompts(rubric)
        self.prompt = self.prompts.system
        self._rubric = rubric
        headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        self._wire = Wire(f"{endpoint.base}/chat/completions", headers, timeout)
        system = quoted({"role": "system", "content": self.prompt})
        head = f'{{"model":{quoted(model)},"messages":[{system},{{"role":"user","content":'
        self._head = head.encode("utf-8", "replace")
        self._form, self._cold = 0, True
        self._tail = self._made_tail()

    async def __aenter__(self) -> Self:
        await self._wire.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._wire.__aexit__(kind, error, trace)

    async def ask(self, question: Question) -> Reply:
        message = quoted(self.prompts.message(question)).encode("utf-8", "replace")
        while True:
            tail = self._tail
            body = self._head + message + tail
            heard = await self._wire.post(body)
            if heard.status == 200:
                return read(heard, self.endpoint, self.model, question.text, len(body))
            if not self._relaxed(heard, tail):
                raise failure(heard, self.endpoint, self.model, text=question.text, sent=len(body))

    def _made_tail(self) -> bytes:
        tail: dict[str, Any] = {}
        if FORMS[self._form] == "json_schema":
            schema = {"name": "scores", "strict": True, "schema": self._rubric.schema()}
            tail["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif FORMS[self._form] == "json_object":
            tail["response_format"] = {"type": "json_object"}
        if self._cold:
            tail["temperature"] = 0
        return f"}}]{',' if tail else ''}{quoted(tail)[1:]}".encode("utf-8", "replace")

    def _relaxed(self, heard: Heard, tail: bytes) -> bool:
        """Whether the request was refused for a parameter that can be left out from now on."""
        if heard.status not in (400, 422):
            return False
        if tail is not self._tail:  # another request's refusal has changed it already
            return True
        words = trouble(heard.body).words
        silent = not words.strip()  # a 400 that does not say why
        if self._form < len(FORMS) - 1 and (silent or any(word in words for word in FORM_WORDS)):
            self._form += 1
            log.warning("%s has no %s answers; asking for %s", self.model, FORMS[self._form - 1], FORMS[self._form])
        elif self._cold and (silent or "temperature" in words):
            self._cold = False
            log.warning("%s takes no temperature; its answers may differ from run to run", self.model)
        else:
            return False
        self._tail = self._made_tail()
        return True


def read(heard: Heard, endpoint: Endpoint, model: str, text: str, sent: int) -> Reply:
    """The content of a 200. Raises Refused when a filter withheld it, Lost when it is cut."""
    try:
        found = json.loads(heard.body)
        choice = found["choices"][0]
        message = choice["message"]
        content = message.get("content")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise _unreadable(heard, endpoint, model, text, sent) from None
    usage = _usage(found.get("usage"), sent, len(heard.body))
    if choice.get("finish_reason") == "content_filter" or (message.get("refusal") and not content):
        raise Refused("the provider's content policy", usage)
    if content.__class__ is not str:
        parts = content if isinstance(content, list) else []
        content = "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))
    return Reply(content, usage, quota(heard.headers))


def _usage(found: Any, sent: int, received: int) -> Usage:
    if isinstance(found, dict):
        read, written = found.get("prompt_tokens"), found.get("completion_tokens")
        if read.__class__ is int and written.__class__ is int:
            return Usage(max(0, read), max(0, written))
    return estimated(sent, received)


def _unreadable(heard: Heard, endpoint: Endpoint, model: str, text: str, sent: int) -> Exception:
    """Some gateways answer 200 and put the error of whom they asked into the body, its status as the code."""
    try:
        found = json.loads(heard.body)
        status = int(found["error"]["code"])
    except (ValueError, RecursionError, LookupError, TypeError):
        return Lost("an answer cut short", estimated(sent, len(heard.body)))
    if not 400 <= status < 600:
        return Lost("an answer that is none", estimated(sent, len(heard.body)))
    return failure(Heard(status, heard.headers, heard.body), endpoint, model, text=text, sent=sent)
