"""What is known of a row once it is done, and what doing it cost. Who finds it out is pipeline.py's business."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Literal

from pipelines.scoring.rubric import Rubric

Flag = Literal["", "fallback", "refused", "empty", "too_long", "given"]
FLAGS: tuple[Flag, ...] = (
    "",  # the model's own answer
    "fallback",  # no valid answer after every repair: the middle of the scale
    "refused",  # the provider will not answer about this text (its policy, its context length): the middle of the scale
    "empty",  # nothing to score; never asked, left blank
    "too_long",  # never asked: the middle of the scale
    "given",  # a person had filled in every cell; never asked, left as it is
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A valid answer: one score a category, in the rubric's order."""

    scores: tuple[int, ...]
    confidence: float | None = None  # 0 to 1, as the provider says; None when it does not say
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    """Row ``row`` (0 is the first under the header) and its answer; None where nothing is to be written."""

    row: int
    key: bytes  # Rubric.key of its text
    answer: Answer | None
    flag: Flag = ""


@dataclass(slots=True)
class Tally:
    """Counts that add up over chunks and runs. Tokens and money hold failed tries, too."""

    rows: int = 0  # done in any way
    asked: int = 0  # rows that needed the model
    requests: int = 0  # sent
    throttled: int = 0  # answered 429
    failed: int = 0  # unanswered or unusable: 5xx, cut, dropped, timed out, invalid
    cache_hits: int = 0  # rows answered from the cache or by an identical row's answer
    # Rows that got the middle of the scale, by flag. What was written down before a count was kept reads as 0.
    fallbacks: int = 0
    refused: int = 0
    too_long: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_estimated: int = 0  # of the two above: of tries that were cut off before they told
    cost: float = 0.0  # USD; stays 0 where no price is known

    def add(self, other: Tally) -> None:
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))

    def count(self, flag: Flag) -> None:
        """One more row that ended with ``flag``; those without a count of their own are passed over."""
        if flag == "fallback":
            self.fallbacks += 1
        elif flag == "refused":
            self.refused += 1
        elif flag == "too_long":
            self.too_long += 1

    @property
    def hit_rate(self) -> float:
        """Share of the rows with a text to score that cost no request."""
        needed = self.asked + self.cache_hits
        return self.cache_hits / needed if needed else 0.0


class Spread:
    """How the scores of each category are spread over the scale, counted as rows pass by."""

    def __init__(self, rubric: Rubric) -> None:
        self.rubric = rubric
        self.scores: tuple[Counter[int], ...] = tuple(Counter() for _ in rubric.categories)
        self.flags: Counter[Flag] = Counter()

    def counted(self, rows: Iterable[Scored]) -> Iterator[Scored]:
        """The rows as they are. Scores that no model gave (a fallback's) are not counted, their flags are."""
        for row in rows:
            self.flags[row.flag] += 1
            if row.answer is not None and row.flag == "":
                for counter, score in zip(self.scores, row.answer.scores, strict=True):
                    counter[score] += 1
            yield row
