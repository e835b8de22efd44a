"""What rows are scored by: categories, a scale, a person's own instructions. How a model is asked is prompts.py's."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipelines.errors import BadInput
from pipelines.texts import sayable

MAX_CATEGORIES = 256
MAX_NAME = 200  # characters of a category's name
MAX_INSTRUCTIONS = 8_000  # characters
LOWEST, HIGHEST = 1, 5
REMEDY = "name each category once, in one line, such as --categories joy,anger"


@dataclass(frozen=True)
class Rubric:
    """Categories in the order of their columns, each scored from ``lowest`` to ``highest``. Made by ``of``."""

    categories: tuple[str, ...]
    lowest: int = LOWEST
    highest: int = HIGHEST
    instructions: str = ""  # a person's own words, put before ours

    @classmethod
    def of(
        cls, categories: Sequence[str], *, scale: tuple[int, int] = (LOWEST, HIGHEST), instructions: str = ""
    ) -> Rubric:
        """Raises BadInput for no, too many, repeated, empty or unprintable names, or a scale of nothing."""
        names = tuple(name.strip() for name in categories)
        if not names or not all(names):
            raise BadInput("categories", "lack a name", REMEDY)
        if len(names) > MAX_CATEGORIES:
            reason = f"are {len(names)}, more than the {MAX_CATEGORIES} that one question may hold"
            raise BadInput("categories", reason, "score in several runs; each adds its columns")
        for number, name in enumerate(names):
            if not sayable(name):
                raise BadInput(f"category {name!r}", "is not one line of text", REMEDY)
            if len(name) > MAX_NAME:
                raise BadInput(f"category {name[:40]!r}...", f"is longer than {MAX_NAME} characters", "shorten it")
            if name.casefold() in (other.casefold() for other in names[:number]):
                raise BadInput(f"category {name!r}", "is named twice", REMEDY)
        if not 0 <= scale[0] < scale[1] <= 100:
            raise BadInput("scale", f"is {scale[0]} to {scale[1]}", "give two numbers from 0 to 100, the lower first")
        if len(instructions) > MAX_INSTRUCTIONS:
            raise BadInput("instructions", f"are longer than {MAX_INSTRUCTIONS:,} characters", "shorten them")
        return cls(names, scale[0], scale[1], instructions.replace("\0", "").strip())

    @classmethod
    def parse(cls, text: str, *, scale: tuple[int, int] = (LOWEST, HIGHEST), instructions: str = "") -> Rubric:
        """From ``a,b`` as on the command line; a name that holds a comma stands in double quotes."""
        rows = list(csv.reader([text], skipinitialspace=True)) if "\n" not in text and "\r" not in text else [[text]]
        return cls.of(rows[0] if rows else [], scale=scale, instructions=instructions)

    @property
    def middle(self) -> int:
        """What a row gets, with a flag, when the model never answered in the form asked for."""
        return (self.lowest + self.highest) // 2

    def schema(self) -> dict[str, Any]:
        """JSON schema of an answer."""
        score = {"type": "integer", "minimum": self.lowest, "maximum": self.highest}
        scores = {
            "type": "object",
            "properties": dict.fromkeys(self.categories, score),
            "required": list(self.categories),
            "additionalProperties": False,
        }
        parts: dict[str, Any] = {
            "scores": scores,
            "reason": {"type": "string"},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        }
        return {"type": "object", "properties": parts, "required": list(parts), "additionalProperties": False}

    def to_dict(self) -> dict[str, Any]:
        """JSON-like; ``Rubric.from_dict`` reads it back."""
        scale = [self.lowest, self.highest]
        return {"categories": list(self.categories), "scale": scale, "instructions": self.instructions}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Rubric:
        lowest, highest = plain["scale"]
        return cls(tuple(plain["categories"]), lowest, highest, plain["instructions"])

    def key(self, text: str, provider: str, model: str, prompt: str) -> bytes:
        """sha256 of all that an answer depends on: the text, this rubric, who is asked and with which system prompt.

        32 bytes; equal keys are asked once.
        """
        digest = self._prefix(provider, model, prompt).copy()
        digest.update(text.encode("utf-8", "replace"))
        found: bytes = digest.digest()
        return found

    def _prefix(self, provider: str, model: str, prompt: str) -> Any:
        found = self._prefixes.get((provider, model, prompt))
        if found is None:
            parts = json.dumps([self.to_dict(), provider, model, prompt], ensure_ascii=False, sort_keys=True)
            found = self._prefixes[provider, model, prompt] = hashlib.sha256(parts.encode() + b"\0")
        return found

    @cached_property
    def _prefixes(self) -> dict[tuple[str, str, str], Any]:
        return {}
