"""Models behind OpenAI's chat completions, or anybody's that speaks it: one request a question, nothing tried again.

The request's last message is the user's and holds the text and the categories (prompts.py); the answer's content is
looked at by validation.py, and posted by posted.py.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from pipelines.scoring.posted import Posted, quoted, usage
from pipelines.scoring.prompts import Prompts
from pipelines.scoring.provider import Question, Refused, Reply
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.statuses import quota, unanswered
from pipelines.scoring.wire import Endpoint, Heard

log = logging.getLogger(__name__)

MODEL = "gpt-5.4-mini"
FORMS = ("json_schema", "json_object", "none")  # of an answer, from the strictest on
FORM_WORDS = ("response_format", "json_schema", "json_object", "json mode", "structured output", "schema")
TOKENS = ("prompt_tokens", "completion_tokens", "")  # thoughts are among the second


class OpenAIChat(Posted):
    """A Provider. It asks for the JSON schema of an answer, at temperature 0, and does without what the endpoint says
    it does not have."""

    def __init__(
        self, endpoint: Endpoint, rubric: Rubric, model: str = MODEL, *, timeout: float = 60.0, most: int | None = None
    ) -> None:
        self._rubric, prompts = rubric, Prompts(rubric)
        self._form, self._cold = 0, True
        system = quoted({"role": "system", "content": prompts.system})
        super().__init__(
            "openai",
            endpoint,
            model,
            prompts,
            url=f"{endpoint.base}/chat/completions",
            headers={"Authorization": f"Bearer {endpoint.key}"},
            head=f'{{"model":{quoted(model)},"messages":[{system},{{"role":"user","content":',
            timeout=timeout,
            most=most,
        )

    async def ask(self, question: Question) -> Reply:
        return await self._asked(quoted(self.prompts.message(question)), question.text)

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

    def _relax(self, words: str) -> bool:
        silent = not words.strip()  # a 400 that does not say why
        if self._form < len(FORMS) - 1 and (silent or any(word in words for word in FORM_WORDS)):
            self._form += 1
            log.warning("%s has no %s answers; asking for %s", self.model, FORMS[self._form - 1], FORMS[self._form])
        elif self._cold and (silent or "temperature" in words):
            self._cold = False
            log.warning("%s takes no temperature; its answers may differ from run to run", self.model)
        else:
            return False
        return True

    def _read(self, heard: Heard, text: str, sent: int) -> Reply:
        try:
            found = json.loads(heard.body)
            choice = found["choices"][0]
            message = choice["message"]
            content = message.get("content")
            end = choice.get("finish_reason")
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            raise unanswered(heard, self.endpoint, self.model, text=text, sent=sent) from None
        used = usage(found.get("usage"), TOKENS, sent, len(heard.body))
        if end == "content_filter" or (message.get("refusal") and not content):
            raise Refused("the provider's content policy", used)
        if content.__class__ is not str:
            parts = content if isinstance(content, list) else []
            content = "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))
            if not content and isinstance(found.get("error"), dict | str):
                raise unanswered(heard, self.endpoint, self.model, text=text, sent=sent)
        return Reply(content, used, quota(heard.headers), cut=end == "length")
