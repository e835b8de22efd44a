"""Google's Gemini by generateContent: one request a question, nothing tried again.

Its answers follow a schema of its own dialect. What it may also be shown (a video that was uploaded) comes as parts
from video.py.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from pipelines.scoring.prompts import Prompts
from pipelines.scoring.provider import Lost, Question, Refused, Reply, Usage
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.statuses import failure, quota, trouble
from pipelines.scoring.wire import Endpoint, Heard, Wire, estimated

log = logging.getLogger(__name__)

MODEL = "gemini-3.5-flash-lite"
FORMS = ("responseSchema", "JSON", "none")  # of an answer, from the strictest on
FORM_WORDS = ("schema", "json mode", "mime", "too many states")
WITHHELD = frozenset(("SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "LANGUAGE", "IMAGE_SAFETY"))

quoted = json.JSONEncoder(ensure_ascii=False).encode


class Gemini:
    """A Provider. ``prompts`` may be others' (about videos instead of texts)."""

    name = "gemini"

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
        self.endpoint, self.model, self.most = endpoint, model, most
        self.prompts = prompts or Prompts(rubric)
        self.prompt = self.prompts.system
        self._rubric = rubric
        base, name = endpoint.base.removesuffix("/v1beta"), model.removeprefix("models/")
        headers = {"x-goog-api-key": endpoint.key} if endpoint.key else {}
        self._wire = Wire(f"{base}/v1beta/models/{quote(name, safe='')}:generateContent", headers, timeout)
        system = quoted({"parts": [{"text": self.prompt}]})
        head = f'{{"systemInstruction":{system},"contents":[{{"role":"user","parts":'
        self._head = head.encode("utf-8", "replace")
        self._form = 0
        self._tail = self._made_tail()

    async def __aenter__(self) -> Self:
        await self._wire.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._wire.__aexit__(kind, error, trace)

    async def ask(self, question: Question) -> Reply:
        message = quoted(self.prompts.message(question))
        return await self._asked(f'[{{"text":{message}}}]', question.text)

    async def ask_of(self, uri: str, kind: str, question: Question) -> Reply:
        """About a file that was uploaded, of the media type ``kind``."""
        shown = {"fileData": {"mimeType": kind, "fileUri": uri}}
        return await self._asked(quoted([shown, {"text": self.prompts.message(question)}]), question.text)

    async def _asked(self, parts: str, text: str) -> Reply:
        """``parts``: of the user's message, as JSON; ``text`` is kept out of errors."""
        message = parts.encode("utf-8", "replace")
        while True:
            tail = self._tail
            body = self._head + message + tail
            heard = await self._wire.post(body)
            if heard.status == 200:
                return read(heard, len(body))
            if not self._relaxed(heard, tail):
                raise failure(heard, self.endpoint, self.model, text=text, sent=len(body))

    def _made_tail(self) -> bytes:
        wanted: dict[str, Any] = {"temperature": 0}
        if FORMS[self._form] != "none":
            wanted["responseMimeType"] = "application/json"
        if FORMS[self._form] == "responseSchema":
            wanted["responseSchema"] = dialect(self._rubric.schema())
        return f'}}],"generationConfig":{quoted(wanted)}}}'.encode("utf-8", "replace")

    def _relaxed(self, heard: Heard, tail: bytes) -> bool:
        """Whether the request was refused for its form of answer, and another form is asked for from now on."""
        if heard.status != 400:
            return False
        if tail is not self._tail:  # another request's refusal has changed it already
            return True
        words = trouble(heard.body).words
        if self._form == len(FORMS) - 1 or not any(word in words for word in FORM_WORDS):
            return False
        self._form += 1
        log.warning("%s takes no %s for this; asking for %s", self.model, FORMS[self._form - 1], FORMS[self._form])
        self._tail = self._made_tail()
        return True


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


def read(heard: Heard, sent: int) -> Reply:
    """The content of a 200. Raises Refused when a filter withheld it, Lost when it is cut."""
    try:
        found = json.loads(heard.body)
        candidates = found.get("candidates")
        blocked = (found.get("promptFeedback") or {}).get("blockReason")
        usage = _usage(found.get("usageMetadata"), sent, len(heard.body))
        if blocked and not candidates:
            raise Refused("the provider's content policy", usage)
        candidate = candidates[0]
        if candidate.get("finishReason") in WITHHELD:
            raise Refused("the provider's content policy", usage)
        parts = (candidate.get("content") or {}).get("parts") or ()
        content = "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise Lost("an answer cut short", estimated(sent, len(heard.body))) from None
    return Reply(content, usage, quota(heard.headers))


def _usage(found: Any, sent: int, received: int) -> Usage:
    """Thoughts are paid for as what is written."""
    if isinstance(found, dict):
        read, written = found.get("promptTokenCount", 0), found.get("candidatesTokenCount", 0)
        thought = found.get("thoughtsTokenCount", 0)
        if isinstance(read, int) and isinstance(written, int) and isinstance(thought, int) and read > 0:
            return Usage(read, max(0, written) + max(0, thought))
    return estimated(sent, received)
