"""What an endpoint means when it does not answer 200: wait, leave this row, try again, or give up for good.

Messages of endpoints are shown to people, so keys and the row's own text are taken out of them first.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from pipelines import clock
from pipelines.errors import BadInput
from pipelines.scoring.provider import Lost, Quota, Refused, Throttled
from pipelines.scoring.wire import Endpoint, Heard, estimated

LONGEST_WAIT = 86_400.0  # s
LONGEST_MESSAGE = 200  # characters
QUOTED = 12  # characters: a message that shares so many in a row with a text is taken to quote it
LOOKED_AT = LONGEST_MESSAGE + QUOTED  # characters of a message; what follows is not shown
UNPAID = (408, 409, 425, 503, 529)  # says that nothing was computed

# Looked for in code and message, in small letters.
NO_KEY = ("invalid_api_key", "api_key_invalid", "api key not valid", "api key expired", "unauthenticated")
NO_MONEY = ("insufficient_quota", "billing_hard_limit", "billing_not_active", "insufficient balance", "perday")
TOO_LONG = (
    "context_length_exceeded", "context length", "context window", "context size", "maximum number of tokens",
    "token count", "too many tokens", "prompt is too long", "string_above_max_length",
)  # fmt: skip
POLICY_CODES = ("content_policy", "content_filter", "invalid_prompt", "responsibleaipolicy", "flagged_input")
POLICY = (
    *POLICY_CODES, "content policy", "content management policy", "safety system", "moderation", "flagged",
)  # fmt: skip
EVERYBODY = ("account", "organization", "organisation", "project", "api key")  # who is refused, and not a row's text
NO_MODEL = ("model_not_found", "not found", "not_found", "does not exist", "no such model", "unknown model")
BUSY = ("rate_limit", "rate limit", "too many requests", "resource_exhausted")
ESCAPE = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|[abfnrtv0])")
KEYLIKE = re.compile(r"\b(?:sk|pk|gsk|xai|key)-[\w*-]{6,}|\bAIza[\w-]{10,}|\bBearer +\S+")
DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?\Z")


class Objected(BadInput):
    """The request itself was refused, and so will be every row's: unless a row is more than text (a video, which may be
    the one that Gemini cannot read)."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error's body: ``words`` to be searched, in small letters, ``codes`` those of them that are no prose; its own
    message to be shown, and ``kinds`` (code, type, param) in its place."""

    message: str = ""
    words: str = ""
    codes: str = ""
    kinds: tuple[str, ...] = ()
    wait: float | None = None  # s; Gemini says it in the body


def trouble(body: bytes) -> Trouble:
    """Of OpenAI's and Gemini's {"error": {...}}, and of what others make of it. HTML is no message."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return Trouble()
    if isinstance(found, list) and found:  # Gemini's, when it was to stream
        found = found[0]
    if not isinstance(found, dict):
        return Trouble()
    error = found.get("error", found)
    if not isinstance(error, dict):
        error = {"message": error}
    message = error.get("message") or error.get("detail") or ""
    # pydantic's: "Extra inputs are not permitted" at ["body", "temperature"], and the input
    if isinstance(message, list):
        message = "; ".join(_placed(part) for part in message if isinstance(part, dict))
    message = message if isinstance(message, str) else ""
    kinds = tuple(str(part) for name in ("code", "type", "param") if isinstance(part := error.get(name), str | int))
    codes = [*kinds, str(error.get("status") or "")]
    if isinstance(metadata := error.get("metadata"), dict) and metadata.get("flagged_input"):
        codes.append("flagged_input")  # a gateway's own moderation of one request
    wait = None
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            codes += [str(detail.get("reason") or ""), _quotas(detail)]
            wait = duration(str(detail.get("retryDelay") or "")) or wait
    said = " ".join(codes).lower()
    return Trouble(message, f"{message.lower()} {said}", said, kinds, wait)


def _placed(part: dict[str, Any]) -> str:
    place = part.get("loc")
    where = ".".join(str(step) for step in place) if isinstance(place, list) else ""
    return f"{where}: {part.get('msg', '')}" if where else str(part.get("msg", ""))


def _quotas(detail: dict[str, Any]) -> str:
    violations = detail.get("violations")
    named = violations if isinstance(violations, list) else []
    return " ".join(str(one.get("quotaId") or "") for one in named if isinstance(one, dict))


def failure(heard: Heard, endpoint: Endpoint, model: str, *, text: str = "", sent: int = 0) -> Exception:
    """What to raise for an answer that is not 200. ``text``: the row's; ``sent``: bytes of the request."""
    return _judged(heard.status, heard.headers, trouble(heard.body), endpoint, model, text, sent)


def unanswered(heard: Heard, endpoint: Endpoint, model: str, *, text: str = "", sent: int = 0) -> Exception:
    """What to raise for a 200 whose body is no answer. Some gateways put the error of whom they asked into it, with
    its status as the code, with a word for it, or with neither."""
    usage = estimated(sent, len(heard.body))
    try:
        body = json.loads(heard.body)
    except (ValueError, RecursionError):
        return Lost("an answer cut short", usage)
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    if not error:
        return Lost("an answer that is none", usage)
    found = trouble(heard.body)
    status = _status(error, found)
    if status is None:
        said = shown(found, endpoint.key, text)
        return Lost(f"answered with an error{': ' + said if said else ''}", usage)
    return _judged(status, heard.headers, found, endpoint, model, text, sent)


def _status(error: object, found: Trouble) -> int | None:
    """That an error would have had."""
    code = str(error.get("code")) if isinstance(error, dict) else ""
    if code.isascii() and code.isdigit() and len(code) == 3 and 400 <= int(code) < 600:
        return int(code)
    words = found.words
    if any(word in words for word in NO_KEY):
        return 401
    if any(word in words for word in NO_MONEY):
        return 402
    if any(word in words for word in (*TOO_LONG, *POLICY)) and not any(word in words for word in EVERYBODY):
        return 400
    if "model" in words and any(word in words for word in NO_MODEL):
        return 404
    return 429 if any(word in words for word in BUSY) else None


def _judged(
    status: int, headers: Mapping[str, str], found: Trouble, endpoint: Endpoint, model: str, text: str, sent: int
) -> Exception:
    words = found.words
    # Of 403 only what a code says of the text: in prose, it is mostly the account that has been "flagged".
    told = found.codes if status == 403 else words

    def at() -> str:  # not made for each 429 of a storm
        said = shown(found, endpoint.key, text)
        return f"by {endpoint.host} ({status}{': ' + said if said else ''})"

    if any(word in words for word in NO_KEY):
        return _bad_key(endpoint, at())
    if status == 402 or any(word in words for word in NO_MONEY):
        reason = f"was refused for want of quota or credit {at()}"
        return BadInput(f"model {model}", reason, "add credit or wait for the quota, then resume")
    if status in (400, 403, 413, 422) and any(word in told for word in TOO_LONG):
        return Refused("longer than the model's context")
    if status in (400, 403, 422) and _is_policy(status, found):
        return Refused("the provider's content policy")
    if status in (401, 403):
        return _bad_key(endpoint, at())
    if status == 413 or (status == 429 and "request too large" in words):  # for a minute's tokens: it always will be
        return Refused("larger than the provider takes")
    wait = retry_after(headers)
    wait = found.wait if wait is None else wait
    if status == 429:
        return Throttled(wait, quota(headers))
    if status in UNPAID or status >= 500:
        usage = None if status in UNPAID else estimated(sent)
        return Lost(f"answered {status}", usage, wait)
    if status == 404 and "model" in words:
        return BadInput(f"model {model}", f"was refused {at()}", "name one that your key may use, with --model")
    if 300 <= status < 400 or status in (404, 405, 410):
        reason = f"leads to {endpoint.host}, which has no such page ({status})"
        return BadInput(endpoint.base_setting, reason, f"correct the address (many end in /v1), or the model {model}")
    return Objected(f"model {model}", f"refused the request {at()}", "correct the model, or choose another")


def _is_policy(status: int, found: Trouble) -> bool:
    """Whether a row's text was refused for what it says. Prose counts where it is not about everybody."""
    if any(word in found.codes for word in POLICY_CODES):
        return True
    prose = status != 403 and not any(word in found.words for word in EVERYBODY)
    return prose and any(word in found.words for word in POLICY)


def _bad_key(endpoint: Endpoint, at: str) -> BadInput:
    if not endpoint.key:
        return BadInput(endpoint.key_setting, f"is not set, and a request without a key was refused {at}", "set it")
    return BadInput(endpoint.key_setting, f"was refused {at}", "set it to a key that is valid there")


def shown(found: Trouble, key: str, text: str) -> str:
    """A provider's message as people may see it: one line, cut, without the key. Where it may quote the row's text,
    its code, type and param stand for it."""
    line = _line(found.message, key)
    if line and quotes(line, text):
        line = _line(", ".join(kind for kind in found.kinds if not quotes(kind, text)), key)
    return line if len(line) <= LONGEST_MESSAGE else line[:LONGEST_MESSAGE] + "..."


def _line(message: str, key: str) -> str:
    if key:
        message = message.replace(key, "***")
    line = next((line.strip() for line in message.splitlines() if line.strip()), "")[:LOOKED_AT]
    return "".join(c for c in KEYLIKE.sub("***", line) if c.isprintable() or c == "\u3000").rstrip(".; ")


def quotes(line: str, text: str) -> bool:
    """Whether they share QUOTED characters in a row (all of a shorter text): verbatim, escaped as in JSON, or with
    case, white space and escaping left aside. Of three letters or fewer, which any message holds, it is not said."""
    if len(text) < (4 if text.isascii() else 1):
        return False
    escaped = (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    pairs = ((line, text), *((line, form) for form in escaped), (_plain(line), _plain(text)))
    return any(_shared(said, form) for said, form in pairs if form)


def _shared(line: str, text: str) -> bool:
    length = min(QUOTED, len(text))
    return any(line[start : start + length] in text for start in range(len(line) - length + 1))


def _plain(text: str) -> str:
    def unescaped(found: re.Match[str]) -> str:
        digits = found[1] or found[2]
        return chr(int(digits, 16)) if digits else " "

    text = ESCAPE.sub(unescaped, text).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return "".join(" " if c.isspace() else c for c in text.casefold() if (c.isprintable() or c.isspace()) and c != "\\")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, at most a day, from retry-after-ms (ours or Azure's) or Retry-After as a number or a date; None when
    silent or nonsense."""
    for name, unit in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
        given = headers.get(name)
        if given is None:
            continue
        try:
            wait = float(given) * unit
        except ValueError:
            wait = _until(given, headers.get("date"))
        if math.isfinite(wait) and wait >= 0:
            return min(wait, LONGEST_WAIT)
    return None


def _until(date: str, now: str | None) -> float:
    """Seconds to an HTTP date, by the clock of who sent it when it says so; NaN when it is none."""
    try:
        then = parsedate_to_datetime(date)
        here = parsedate_to_datetime(now) if now else clock.now()
    except ValueError:
        return math.nan
    return max(0.0, (_aware(then) - _aware(here)).total_seconds())


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def duration(text: str) -> float | None:
    """Seconds of "20ms", "1.5s", "6m0s", "1h2m3s", or of a plain number."""
    found = DURATION.match(text)
    if found and text:
        hours, minutes, seconds, thousandths = (float(part or 0) for part in found.groups())
        return hours * 3600 + minutes * 60 + seconds + thousandths / 1000
    try:
        plain = float(text)
    except ValueError:
        return None
    return plain if math.isfinite(plain) and plain >= 0 else None


def quota(headers: Mapping[str, str]) -> Quota | None:
    """Of x-ratelimit-limit-requests and its like; None when there are none.

    The limit is a minute's with some and a day's with others, and no header says which. The time until it is full
    again tells: where that is much longer than a minute's limit would take, ``requests`` stays None.
    """
    given = headers.get("x-ratelimit-limit-requests")
    if given is None:
        return None
    limit, left = _count(given), _count(headers.get("x-ratelimit-remaining-requests", ""))
    reset = duration(headers.get("x-ratelimit-reset-requests", ""))
    rate = float(limit) if limit else None
    if rate and left is not None and reset and reset > 2.0 * 60.0 * max(1.0, rate - left) / rate:
        rate = None
    return Quota(rate, left, reset)


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
