"""How the language model on loopback behaves: its answers, which anybody can compute, its limits and its faults.

No network here (llm_server.py's); every decision is made by ``Mind``, in the server's own thread.
"""

from __future__ import annotations

import json
import math
import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Literal
from zlib import crc32

from tests.scoring.llm_bodies import HTML, Verdict, envelope, error, wrong_key

SCALE = re.compile(r"from (\d+) to (\d+)")


@dataclass(slots=True)
class Behaviour:
    """Switches; any of them may be set while the server runs. Shares are of accepted requests, 0 to 1."""

    latency: float = 0.0  # s, of an answer
    jitter: float = 0.0  # s, added at random up to this
    refusal_latency: float = 0.0  # s, of a 429
    slots: int | None = None  # requests in flight, at most
    rate: float | None = None  # requests/s, a token bucket
    burst: float = 1.0  # tokens the bucket holds, at most
    retry_after: Literal["seconds", "ms", "none"] = "seconds"  # in what a 429 says how long to wait
    windows: Sequence[Sequence[float]] = ()  # (from, to) in s since the first request: nothing but 429
    storm: bool = False  # nothing but 429 while set
    quota_headers: bool = False  # x-ratelimit-*, as OpenAI sends them
    unavailable: float = 0.0  # 503 with an HTML body
    cut: float = 0.0  # a 200 whose JSON ends half way
    broken: float = 0.0  # a 200 whose connection ends half way
    dropped: float = 0.0  # the connection ends without an answer
    slow: float = 0.0  # a 200 whose body comes in ten parts over ``slow_seconds``
    slow_seconds: float = 1.0
    huge: bool = False  # bodies of 8 MB
    key: str = ""  # 401 for any other; empty: any
    models: Sequence[str] = ()  # 404 for any other; empty: any
    no_quota: bool = False  # 429 insufficient_quota
    formats: Sequence[str] = ("json_schema", "json_object")  # of response_format; 400 for any other
    objection: str = ""  # the body of a 400, for so many requests
    objections: int = 0
    refuse: str = ""  # texts holding it: 400 for the content policy (Gemini: blockReason)
    filter: str = ""  # texts holding it: 200 with finish_reason content_filter (Gemini: SAFETY)
    max_chars: int | None = None  # longer texts: 400 context_length_exceeded
    fail: str = ""  # texts holding it: always 503
    invalid: dict[str, int] = field(default_factory=dict)  # texts holding it: so many invalid answers first; -1: always
    invalid_content: str = '{"scores": {}, "reason": "none"}'
    fences: bool = False  # the JSON in a Markdown code fence
    usage: bool = True
    seed: int = 0


@dataclass(slots=True)
class Seen:
    """Counts of requests by what became of them, and of texts."""

    total: int = 0
    answered: int = 0  # 200 with a valid answer, whole or slow
    throttled: int = 0
    unavailable: int = 0
    cut: int = 0
    broken: int = 0
    dropped: int = 0
    slow: int = 0  # among the answered
    invalid: int = 0
    refused: int = 0  # by content policy, filter or length
    denied: int = 0  # 400, 401, 404, no quota
    in_flight: int = 0
    most_in_flight: int = 0


def expected(text: str, categories: Sequence[str], scale: tuple[int, int] = (1, 5)) -> dict[str, int]:
    """What the server answers to anybody who asks about ``text``."""
    low, width = scale[0], scale[1] - scale[0] + 1
    digest = blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return {name: low + crc32(digest + name.encode()) % width for name in categories}


def expected_reason(text: str) -> str:
    return "seen " + blake2b(text.encode("utf-8", "replace"), digest_size=4).hexdigest()


def expected_confidence(text: str) -> float:
    return crc32(text.encode("utf-8", "replace")) % 101 / 100


def read_message(content: str) -> tuple[str, list[str], tuple[int, int]]:
    """Row's text, categories and scale of a user message as prompts.py writes it; else the message as it is."""
    found = re.match(r"<text ([0-9a-f]+)>\n", content)
    close = f"\n</text {found[1]}>\n" if found else ""
    at = content.rfind(close) if found else -1
    if found is None or at < 0:
        return content, [], (1, 5)
    return content[found.end() : at], *_categories(content[at + len(close) :].partition("\n\n")[0])


@lru_cache(64)
def _categories(listing: str) -> tuple[list[str], tuple[int, int]]:
    head, *lines = listing.split("\n")
    scale = SCALE.search(head)
    return [line[2:] for line in lines if line.startswith("- ")], (int(scale[1]), int(scale[2])) if scale else (1, 5)


class Mind:
    """Decides; one a server. ``now`` is time.monotonic."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour, self.seen = behaviour, Seen()
        self.asked: Counter[str] = Counter()  # texts whose valid answer was computed, as who pays would count them
        self.tries: Counter[str] = Counter()  # texts of all accepted requests
        self.models: Counter[str] = Counter()  # as they were asked for
        self.bodies: list[dict[str, Any]] = []  # the last few requests
        self._start: float | None = None
        self._tokens, self._filled = 0.0, 0.0
        self._random = random.Random(behaviour.seed)

    def restart(self) -> None:
        """Counts from nothing; windows begin with the next request."""
        self.seen, self.asked, self.tries = Seen(in_flight=self.seen.in_flight), Counter(), Counter()
        self._start, self.bodies, self.models = None, [], Counter()

    def judge(self, path: str, headers: dict[str, str], body: bytes) -> Verdict:
        now, b, seen = time.monotonic(), self.behaviour, self.seen
        gemini = path.endswith(":generateContent")
        if self._start is None:
            self._start, self._filled, self._tokens = now, now, b.burst
        seen.total += 1
        given = headers.get("x-goog-api-key", "") if gemini else headers.get("authorization", "")[len("Bearer ") :]
        if b.key and given != b.key:
            seen.denied += 1
            return wrong_key(gemini, given)
        if b.no_quota:
            seen.denied += 1
            return error(gemini, 429, "insufficient_quota", "You exceeded your current quota, check your plan.")
        wait = self._wait(now)
        if wait is not None:
            seen.throttled += 1
            return self._throttle(gemini, wait)
        seen.in_flight += 1
        seen.most_in_flight = max(seen.most_in_flight, seen.in_flight)
        verdict = self._answer(gemini, path, json.loads(body))
        verdict.holds = True
        if b.quota_headers:
            verdict.headers += self._quota()
        verdict.delay = b.latency + (self._random.random() * b.jitter if b.jitter else 0.0)
        return verdict

    def _wait(self, now: float) -> float | None:
        """Seconds until it is worth to try again when it is throttled, else None."""
        b, since = self.behaviour, now - (self._start or now)
        if b.storm:
            return 1.0
        for first, last in b.windows:
            if first <= since < last:
                return last - since
        if b.slots is not None and self.seen.in_flight >= b.slots:
            return max(b.latency, 0.001)
        if b.rate is not None:
            self._tokens = min(b.burst, self._tokens + (now - self._filled) * b.rate)
            self._filled = now
            if self._tokens < 1.0:
                return (1.0 - self._tokens) / b.rate
            self._tokens -= 1.0
        return None

    def _throttle(self, gemini: bool, wait: float) -> Verdict:
        how, headers, details = self.behaviour.retry_after, b"", []
        if how == "seconds" and gemini:
            kind = "type.googleapis.com/google.rpc.RetryInfo"
            details = [{"@type": kind, "retryDelay": f"{math.ceil(wait)}s"}]
        elif how == "seconds":
            headers = b"Retry-After: %d\r\n" % math.ceil(wait)
        elif how == "ms":
            headers = b"retry-after-ms: %d\r\n" % math.ceil(wait * 1000)
        if self.behaviour.quota_headers:
            headers += self._quota()
        found = error(gemini, 429, "rate_limit_exceeded", "Rate limit reached for requests.", details)
        found.headers, found.delay = headers, self.behaviour.refusal_latency
        return found

    def _quota(self) -> bytes:
        rate, burst = self.behaviour.rate or 1000.0, self.behaviour.burst
        reset = max(0, round((burst - self._tokens) / rate * 1000))
        lines = (
            f"x-ratelimit-limit-requests: {rate * 60:.0f}\r\nx-ratelimit-remaining-requests: {int(self._tokens)}\r\n"
        )
        return f"{lines}x-ratelimit-reset-requests: {reset}ms\r\n".encode()

    def _answer(self, gemini: bool, path: str, request: dict[str, Any]) -> Verdict:
        b, seen = self.behaviour, self.seen
        self.bodies = [*self.bodies[-9:], request]
        if gemini:
            model = path.rsplit("/", 1)[1].partition(":")[0]
            message = "".join(part.get("text", "") for part in request["contents"][-1]["parts"])
        else:
            model, message = request["model"], request["messages"][-1]["content"]
        text, categories, scale = read_message(message)
        self.models[model] += 1
        if b.models and model not in b.models:
            seen.denied += 1
            return error(
                gemini, 404, "model_not_found", f"The model `{model}` does not exist or you lack access to it."
            )
        form = request.get("response_format", {}).get("type")
        if form not in (None, "text", *b.formats):
            seen.denied += 1
            return error(gemini, 400, "invalid_value", f"Invalid parameter: 'response_format' of type '{form}'.")
        if b.objections > 0:
            b.objections -= 1
            seen.denied += 1
            return Verdict(400, b.objection.encode())
        self.tries[text] += 1
        if b.max_chars is not None and len(text) > b.max_chars:
            seen.refused += 1
            return error(gemini, 400, "context_length_exceeded", "This model's maximum context length is exceeded.")
        if b.refuse and b.refuse in text:
            seen.refused += 1
            if gemini:
                return Verdict(200, json.dumps({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}).encode())
            return error(gemini, 400, "content_policy_violation", "Your request was rejected by our safety system.")
        fault = self._fault(text)
        if fault == "unavailable":
            seen.unavailable += 1
            return Verdict(503, HTML, b"Content-Type: text/html\r\n")
        if b.filter and b.filter in text:
            seen.refused += 1
            return Verdict(200, envelope(gemini, model, "", message, b.usage, filtered=True))
        content = self._content(text, categories, scale)
        body = envelope(gemini, model, content or b.invalid_content, message, b.usage)
        if b.huge:
            body += b" " * 8_000_000
        verdict = Verdict(200, body)
        if fault == "cut":
            verdict.body = body[: len(body) // 2]
        elif fault in ("broken", "dropped"):
            verdict.ending = fault  # type: ignore[assignment]
        elif fault == "slow":
            verdict.spread = b.slow_seconds
            seen.slow += 1
        if fault in ("cut", "broken", "dropped"):
            setattr(seen, fault, getattr(seen, fault) + 1)
        elif content is None:
            seen.invalid += 1
        else:
            seen.answered += 1
            self.asked[text] += 1
        return verdict

    def _fault(self, text: str) -> str:
        """Of this try of this text, so that every run with one seed meets the same faults."""
        b = self.behaviour
        if b.fail and b.fail in text:
            return "unavailable"
        shares = (("unavailable", b.unavailable), ("cut", b.cut), ("broken", b.broken), ("dropped", b.dropped))
        if not any(share for _, share in shares) and not b.slow:
            return ""
        roll = random.Random(f"{b.seed} {self.tries[text]} {text}").random()
        for name, share in (*shares, ("slow", b.slow)):
            if roll < share:
                return name
            roll -= share
        return ""

    def _content(self, text: str, categories: list[str], scale: tuple[int, int]) -> str | None:
        """None: an invalid answer."""
        for word, times in self.behaviour.invalid.items():
            if word in text and (times < 0 or self.tries[text] <= times):
                return None
        answer = {
            "scores": expected(text, categories, scale),
            "reason": expected_reason(text),
            "confidence": expected_confidence(text),
        }
        content = json.dumps(answer, ensure_ascii=False)
        return f"```json\n{content}\n```" if self.behaviour.fences else content
