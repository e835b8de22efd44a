"""Whether an answer is one: every category scored by a whole number on the scale. Who asks again is pipeline.py.

Its words go back to the model when it is asked again, and into logs: they name categories, never what was answered.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Answer

MAX_CONTENT = 200_000  # characters; 256 categories need 60,000
MAX_REASON = 2_000  # characters
TRIES, SEARCHED = 50, 1 << 16  # beginnings of objects, and characters, that an answer is looked for in amid other words
THOUGHT = "</think>"  # ends what is not the answer yet
NAMED = 5  # categories, in a message
FENCED = re.compile(r"\A```[\w-]*[ \t]*\r?\n(.*?)(?:\n[ \t]*)?```\Z", re.DOTALL)
DECODER = json.JSONDecoder()
BREAKS = re.compile(r"[\t-\r\x85\u2028\u2029]+")
UNWANTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Invalid(Exception):
    """No answer in the form asked for; ``reason`` reads after "not valid: "."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def parse(content: str, rubric: Rubric, *, cut: bool = False) -> Answer:
    """The answer that ``content`` is or holds: a JSON object, perhaps in a code fence or amid other words. ``cut``: it
    ended at the model's limit of tokens.

    Scores are in the rubric's order. ``reason`` and ``confidence`` may be missing, other keys are passed over. The
    reason comes without line breaks, control characters and halves of characters, cut at MAX_REASON. Raises Invalid.
    """
    try:
        found = _object(content)
    except Invalid:
        if cut:
            raise Invalid("it ended half way, at the limit of tokens; think and say less") from None
        raise
    scores = found.get("scores")
    if not isinstance(scores, dict):
        raise Invalid("it has no object named scores" if scores is None else "scores is not an object")
    lowest, highest = rubric.lowest, rubric.highest
    values = []
    for name in rubric.categories:
        value = scores.get(name)
        if value.__class__ is not int or not lowest <= value <= highest:
            value = _repaired(scores, rubric, name)
        values.append(value)
    reason = found.get("reason")
    if reason is None:
        reason = ""
    elif not isinstance(reason, str):
        raise Invalid("reason is not text")
    confidence = found.get("confidence")
    if confidence is not None:
        if confidence.__class__ not in (int, float) or not 0 <= confidence <= 1:  # NaN is not, either
            raise Invalid("confidence is not a number from 0 to 1")
        confidence = float(confidence)
    if UNWANTED.search(reason):
        reason = UNWANTED.sub("", BREAKS.sub(" ", reason))
    return Answer(tuple(values), confidence, reason.strip()[:MAX_REASON])


def _object(content: str) -> dict[str, Any]:
    if len(content) > MAX_CONTENT:
        raise Invalid(f"it is longer than {MAX_CONTENT:,} characters")
    content = content.strip()
    if content.startswith("```"):
        fenced = FENCED.match(content)
        content = fenced[1] if fenced else content
    try:
        found = json.loads(content)
    except json.JSONDecodeError as error:
        if not content:
            raise Invalid("it is empty") from None
        held = _held(content)
        if held is None:
            raise Invalid(f"it is not JSON from character {error.pos + 1} on") from None
        found = held
    except ValueError:  # a number of more digits than Python reads
        raise Invalid("it holds a number out of any scale") from None
    except RecursionError:
        raise Invalid("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise Invalid("it is not a JSON object")
    return found


def _held(content: str) -> dict[str, Any] | None:
    """The object with scores that stands amid other words. Two that differ are no answer: one may be the text's."""
    content = content.rpartition(THOUGHT)[2][:SEARCHED]
    held: dict[str, Any] | None = None
    found: dict[str, Any]
    at, left = content.find("{"), SEARCHED  # characters that may be read in vain: the event loop waits meanwhile
    for _ in range(TRIES):
        if at < 0 or left < 0:
            break
        end = at + 1
        try:
            found, end = DECODER.raw_decode(content, at)
        except json.JSONDecodeError as error:
            found, left = {}, left - (error.pos - at)
        except (ValueError, RecursionError):
            break  # no answer goes so far
        if isinstance(found.get("scores"), dict):
            if held is not None and held["scores"] != found["scores"]:
                raise Invalid("it holds more than one answer")
            held = held or found
        at = content.find("{", end)
    return held


def _repaired(scores: dict[str, Any], rubric: Rubric, name: str) -> int:
    """The score of ``name`` when it is a whole number written as 4.0; else Invalid, naming all that is wrong alike."""
    value = scores.get(name)
    if isinstance(value, float) and value.is_integer() and rubric.lowest <= value <= rubric.highest:
        return int(value)
    missing = [other for other in rubric.categories if other not in scores]
    if missing:
        raise Invalid(f"scores lacks {_named(missing)}")
    wrong = [other for other in rubric.categories if not _scores(scores[other], rubric)]
    raise Invalid(f"not a whole number from {rubric.lowest} to {rubric.highest}: {_named(wrong)}")


def _scores(value: Any, rubric: Rubric) -> bool:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0
    return whole and rubric.lowest <= value <= rubric.highest


def _named(names: list[str]) -> str:
    named = ", ".join(json.dumps(name, ensure_ascii=False) for name in names[:NAMED])
    return f"{named} and {len(names) - NAMED} more" if len(names) > NAMED else named
