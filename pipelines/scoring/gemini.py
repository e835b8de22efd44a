"""Google's Gemini by generateContent: one request a question, nothing tried again.

Its answers follow a schema of its own dialect. What it may also be shown (a video that was uploaded) comes as parts
from video.py.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pipelines.scoring.posted import Posted, quoted, usage
from pipelines.scoring.prompts import Prompts
from pipelines.scoring.provider import Question, Refused, Reply
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.statuses import quota, unanswered
from pipelines.scoring.wire import Endpoint, Heard

log = logging.getLogger(__name__)

MODEL = "gemini-3.5-flash-lite"
FORMS = ("responseSchema", "JSON", "none")  # of an answer, from the strictest on
FORM_WORDS = ("schema", "json mode", "mime", "too many states")
WITHHELD = frozenset(("SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "LANGUAGE", "IMAGE_SAFETY"))
TOKENS = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")


class Gemini(Posted):
    """A Provider. ``prompts`` may be others' (about videos instead of texts)."""

    def __init__(
        self,
        endpoint: Endpoint,
        rubric: Rubric,
        model: str = MODEL,
        *,
        timeout: float = 60.0,
        most: int | None = None,
        prompts: Prompts | None = None,
    ) -> None:
        self._rubric, self._form = rubric, 0
        prompts = prompts or Prompts(rubric)
        base, name = endpoint.base.removesuffix("/v1beta"), model.removeprefix("models/")
        system = quoted({"parts": [{"text": prompts.system}]})
        super().__init__(
            "gemini",
            endpoint,
            model,
            prompts,
            url=f"{base}/v1beta/models/{quote(name, safe='')}:generateContent",
            headers={"x-goog-api-key": endpoint.key},
            head=f'{{"systemInstruction":{system},"contents":[{{"role":"user","parts":',
            timeout=timeout,
            most=most,
        )

    async def ask(self, question: Question) -> Reply:
        message = quoted(self.prompts.message(question))
        return await self._asked(f'[{{"text":{message}}}]', question.text)

    async def ask_of(self, uri: str, kind: str, question: Question) -> Reply:
        """About a file that was uploaded, of the media type ``kind``."""
        shown = {"fileData": {"mimeType": kind, "fileUri": uri}}
        return await self._asked(quoted([shown, {"text": self.prompts.message(question)}]), question.text)

    def _made_tail(self) -> bytes:
        wanted: dict[str, Any] = {"temperature": 0}
        if FORMS[self._form] != "none":
            wanted["responseMimeType"] = "application/json"
        if FORMS[self._form] == "responseSchema":
            wanted["responseSchema"] = dialect(self._rubric.schema())
        return f'}}],"generationConfig":{quoted(wanted)}}}'.encode("utf-8", "replace")

    def _relax(self, words: str) -> bool:
        if self._form == len(FORMS) - 1 or not any(word in words for word in FORM_WORDS):
            return False
        self._form += 1
        log.warning("%s takes no %s for this; asking for %s", self.model, FORMS[self._form - 1], FORMS[self._form])
        return True

    def _read(self, heard: Heard, text: str, sent: int) -> Reply:
        try:
            found = json.loads(heard.body)
            candidates = found.get("candidates")
            blocked = (found.get("promptFeedback") or {}).get("blockReason")
            used = usage(found.get("usageMetadata"), TOKENS, sent, len(heard.body))
            if blocked and not candidates:
                raise Refused("the provider's content policy", used)
            candidate = candidates[0]
            end = candidate.get("finishReason")
            if end.__class__ is str and end in WITHHELD:
                raise Refused("the provider's content policy", used)
            parts = (candidate.get("content") or {}).get("parts") or ()
            content = "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            raise unanswered(heard, self.endpoint, self.model, text=text, sent=sent) from None
        return Reply(content, used, quota(heard.headers), cut=end == "MAX_TOKENS")


def dialect(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON schema as Gemini's Schema: types in capitals, the order of properties said, nothing that it refuses."""
    found: dict[str, Any] = {"type": schema["type"].upper()}
    if "properties" in schema:
        found["properties"] = {name: dialect(part) for name, part in schema["properties"].items()}
        found["required"] = list(schema["required"])
        found["propertyOrdering"] = list(schema["properties"])
    for name in ("minimum", "maximum"):
        if name in schema:
            found[name] = schema[name]
    return found
