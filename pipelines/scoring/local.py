"""The scorer that needs no key and no network: sentence embeddings, and people's scores of some rows, if any.

It answers as any provider does, one question at a time, and embeds what is asked at the same time together, in a
thread of its own. What a category's name says is by_name.py's, what labelled rows say ridge.py's.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pipelines.scoring.provider import Question, Reply
from pipelines.scoring.rubric import Rubric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipelines.scoring.by_name import ByName
    from pipelines.scoring.ridge import Learned

MODEL = "use-multilingual-3"
MOST_LABELLED = 5_000  # rows learned from; more cost memory and bring nothing (+.005 of the area under the curve)
ENOUGH = 20  # labelled rows in a category, to learn from them
# Characters of a row that are read: its beginning and its end. The encoder has no limit of its own, but takes 13 us
# a character (35 us in Japanese), and after 1,000 the next 150 move an embedding by 0.03 at most.
HEAD, TAIL = 1_000, 1_000
BATCH, BATCH_CHARACTERS = 256, 32_000  # embedded together, at most: under a second, so that an end is soon
# What stands beside an embedding where people's scores are learned from, and its weight, chosen on dev: the emotion
# head's probabilities, and the strengths by name, which carry a few labelled rows a long way.
_EMOTIONS_WEIGH, _NAMES_WEIGH = 3.0, 10.0

Label = tuple[str, tuple[int | None, ...]]


@dataclass(slots=True)
class _Batch:
    texts: list[str] = field(default_factory=list)
    characters: int = 0
    answers: asyncio.Task[list[Reply]] | None = None


class LocalScorer:
    """A Provider. ``labelled``: texts with people's scores in the rubric's order, None where there is none.

    A category with ENOUGH of them is learned, the others are judged by their names. ``model`` says which rows it
    learned from, so that an answer is never recalled for other ones. Confidence is given when every category was
    learned: the mean over them of how likely a person would have given that very score, found on held-out rows.
    The rubric's instructions are not understood.
    """

    name = "local"
    prompt = ""
    most: int | None = BATCH

    def __init__(self, rubric: Rubric, labelled: Sequence[Label] = ()) -> None:
        self._rubric = rubric
        self._labelled, self._columns = _usable(rubric, labelled)
        self.model = f"{MODEL}+{_digest(self._labelled)}" if self._columns else MODEL
        self._prepared = False
        self._by_name: ByName | None = None
        self._learned: dict[int, Learned] = {}
        self._gathering: _Batch | None = None
        self._batches: set[asyncio.Task[list[Reply]]] = set()

    async def __aenter__(self) -> Self:
        """Loads the encoder (1.3 s) and learns, in a thread."""
        self._turn, self._gathering = asyncio.Lock(), None  # opened again in another loop, maybe
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="local-scorer")
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._prepare)
        except BaseException:
            self._thread.shutdown(wait=False, cancel_futures=True)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for the batch that is being embedded; nothing runs after it."""
        try:
            if self._batches:
                await asyncio.wait(self._batches)
        finally:
            self._thread.shutdown(wait=True, cancel_futures=True)

    async def ask(self, question: Question) -> Reply:
        text = _cut(question.text)
        batch = self._gathering
        if batch is None or len(batch.texts) >= BATCH or batch.characters + len(text) > BATCH_CHARACTERS:
            batch = self._gathering = _Batch()
        number = len(batch.texts)
        batch.texts.append(text)
        batch.characters += len(text)
        if batch.answers is None:
            batch.answers = asyncio.create_task(self._answered(batch))
            self._batches.add(batch.answers)
            batch.answers.add_done_callback(self._batches.discard)
        # Who stops waiting must not take the others' answers along.
        return (await asyncio.shield(batch.answers))[number]

    async def _answered(self, batch: _Batch) -> list[Reply]:
        # While one batch is embedded the next gathers.
        async with self._turn:
            if self._gathering is batch:
                self._gathering = None
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._answers, batch.texts)

    def _prepare(self) -> None:
        import numpy as np

        from pipelines.scoring import ridge
        from pipelines.scoring.by_name import ByName

        if self._prepared:
            return
        self._by_name = ByName.of(self._rubric.categories)
        self._prepared = not self._columns
        if self._prepared:
            return
        _, features = self._features([text for text, _ in self._labelled])
        # Categories that the same rows are labelled in are learned together.
        together: dict[tuple[int, ...], list[int]] = {}
        for column in self._columns:
            rows = tuple(i for i, (_, scores) in enumerate(self._labelled) if scores[column] is not None)
            together.setdefault(rows, []).append(column)
        for rows, columns in together.items():
            texts = [self._labelled[i][0] for i in rows]
            scores = [np.array([self._labelled[i][1][column] for i in rows], np.int64) for column in columns]
            self._learned |= zip(columns, ridge.learn(features[list(rows)], scores, texts), strict=True)
        self._prepared = True

    def _features(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Strengths by name [n, n_categories], and what is learned from [n, 512 + 28 + n_categories]: embedding, roots
        of the emotion head's probabilities (equal distances are then equal differences: Hellinger), strengths.

        With the last two, 100 labelled comments say as much as 2,000 by embeddings alone.
        """
        import numpy as np

        from pipelines.lyrics.embeddings import embed
        from pipelines.scoring.by_name import label_probabilities

        assert self._by_name is not None
        embeddings = embed([_cut(text) for text in texts])
        odds = label_probabilities(embeddings)
        strengths = self._by_name.strengths(embeddings, odds)
        features = np.hstack([embeddings, _EMOTIONS_WEIGH * np.sqrt(odds), _NAMES_WEIGH * strengths])
        return strengths, features.astype(np.float64)

    def _answers(self, texts: list[str]) -> list[Reply]:
        import numpy as np

        strengths, features = self._features(texts)
        lowest, highest = self._rubric.lowest, self._rubric.highest
        scores = np.rint(lowest + strengths * (highest - lowest)).astype(np.int64)
        confidence = np.zeros(len(texts))
        for column, learned in self._learned.items():
            scores[:, column], sure = learned.predict(features)
            confidence += sure
        complete = len(self._learned) == len(self._rubric.categories)
        return [
            self._reply(scores[i].tolist(), float(confidence[i]) / len(self._learned) if complete else None)
            for i in range(len(texts))
        ]

    def _reply(self, scores: list[int], confidence: float | None) -> Reply:
        named = dict(zip(self._rubric.categories, scores, strict=True))
        answer: dict[str, object] = {"scores": named, "reason": self._reason(named)}
        if confidence is not None:
            answer["confidence"] = round(confidence, 3)
        return Reply(json.dumps(answer, ensure_ascii=False))

    def _reason(self, named: dict[str, int]) -> str:
        top = max(named.values())
        most = [category for category, score in named.items() if score == top]
        found = f"most of all {', '.join(most[:3])}" if 1 <= len(most) < len(named) else "all alike"
        learned = len(self._learned)
        if not learned:
            return f"{found}; by likeness to the categories' names"
        return f"{found}; as people scored {len(self._labelled):,} rows ({learned} of {len(named)} categories)"


def _usable(rubric: Rubric, labelled: Sequence[Label]) -> tuple[list[Label], list[int]]:
    """Labels within the scale of rows with a text, in an order of their own, and the columns with ENOUGH of them."""
    rows = []
    for text, scores in labelled:
        inside = tuple(s if s is not None and rubric.lowest <= s <= rubric.highest else None for s in scores)
        if text.strip() and any(s is not None for s in inside):
            rows.append((hashlib.sha256(text.encode("utf-8", "replace")).digest(), text, inside))
    rows.sort(key=lambda row: (row[0], [-1 if s is None else s for s in row[2]]))
    kept: list[Label] = [(text, inside) for _, text, inside in rows[:MOST_LABELLED]]
    counts = [sum(scores[c] is not None for _, scores in kept) for c in range(len(rubric.categories))]
    return kept, [c for c, count in enumerate(counts) if count >= ENOUGH]


def _digest(labelled: list[Label]) -> str:
    return hashlib.sha256(json.dumps(labelled).encode()).hexdigest()[:16]


def _cut(text: str) -> str:
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]} {text[-TAIL:]}"
