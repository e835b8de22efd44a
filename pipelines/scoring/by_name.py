"""How much of a category a text has, judged by the category's name alone, when nobody has labelled enough rows.

A name that means an emotion is read by the emotion head of the lyrics, which learnt from people's labels of other
texts; any other name by the cosine of name and text. How strengths become scores is left to local.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.lyrics.embeddings import embed
from pipelines.lyrics.emotion import EMOTIONS, load_head, membership

# A name this close to an emotion's means it, in any of the encoder's languages: of names tried by hand, happiness,
# rage, Freude, tristesse and the Japanese words lie from 0.73 up, toxicity, humour and politeness from 0.67 down.
SAME_NAME = 0.70
# What counts as half strong: a share of the head's probability (chosen on GoEmotions' dev split: macro-F1 0.54 of four
# emotions, 0.48 with 0.30), and standard deviations above the name's cosine with unconcerned sentences (chosen on
# Japanese captions, where 0.8 to 2.5 above them find most of the animals, food, vehicles and sports named).
HALF_PROBABILITY = 0.15
HALF_SIGMAS = 1.6

# Names of many things. Their mean is what any name has in common with any text, and is taken off a category's.
_ANYTHING = (
    *("joy", "anger", "sadness", "fear", "love", "food", "sports", "animals", "weather", "work", "money", "travel"),
    *("music", "family", "health", "politics", "science", "school", "technology", "vehicles", "house", "nature"),
    *("art", "question", "request", "news", "time", "number", "person", "place"),
)
# Sentences about nothing in particular, written for this, in the two languages that people here score.
_UNCONCERNED = (
    "The meeting starts at nine.",
    "It rained all day yesterday.",
    "She put the keys on the table.",
    "We took the train to the coast.",
    "Thanks, I will have a look.",
    "What time does the shop open?",
    "He is reading a book about history.",
    "The price went up again.",
    "I have no idea what you mean.",
    "Please send me the report.",
    "They painted the fence last summer.",
    "My phone needs a new battery.",
    "This road leads to the station.",
    "The soup was a little cold.",
    "I think that is a good plan.",
    "Nobody answered the door.",
    "The film was longer than I expected.",
    "Can you help me with this?",
    "The dog sleeps by the window.",
    "It is what it is.",
    "Our team won the match.",
    "You should talk to your doctor.",
    "The new version is out.",
    "I was late because of the traffic.",
    "会議は九時に始まります。",
    "昨日は一日中雨でした。",
    "鍵を机の上に置いた。",
    "海まで電車で行きました。",
    "駅はどこですか。",
    "値段がまた上がった。",
    "彼は本を読んでいます。",
    "それは知りませんでした。",
    "窓のそばで犬が寝ている。",
    "新しい靴を買いました。",
    "少し疲れました。",
    "明日また連絡します。",
)


@dataclass(frozen=True, slots=True)
class ByName:
    """Of each category: where its name points in the space of texts, or which of the head's labels it means."""

    directions: NDArray[np.float32]  # [n_categories, 512]
    mean: NDArray[np.float32]  # [n_categories] of the cosine with unconcerned sentences
    spread: NDArray[np.float32]  # [n_categories]
    labels: NDArray[np.float32]  # [28, n_categories], 1 where the head's label is meant
    emotional: NDArray[np.bool_]  # [n_categories]

    @classmethod
    def of(cls, categories: Sequence[str], *, emotions: bool = True) -> ByName:
        """``emotions=False``: cosine alone, whatever the names mean. Loads the encoder."""
        named = embed(categories)
        directions = named - embed(_ANYTHING).mean(axis=0)
        usual = embed(_UNCONCERNED) @ directions.T
        labels = _meant(categories, named) if emotions else np.zeros((len(load_head().labels), len(categories)))
        emotional = labels.sum(axis=0) > 0
        return cls(directions, usual.mean(axis=0), usual.std(axis=0), labels.astype(np.float32), emotional)

    def strengths(self, embeddings: NDArray[np.float32], odds: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, n_categories] from 0 to 1, of embeddings [n, 512] and the head's probabilities [n, 28] of them."""
        sigmas = (embeddings @ self.directions.T - self.mean) / np.maximum(self.spread, 1e-6)
        likeness = np.clip(sigmas / (2 * HALF_SIGMAS), 0, 1)
        shares = np.clip(odds @ self.labels, 0, 1)
        # Odds as many times those of half strength: 0 stays 0, HALF_PROBABILITY becomes 0.5, 1 stays 1.
        level = (1 - HALF_PROBABILITY) / HALF_PROBABILITY
        felt = shares * level / (shares * level + 1 - shares)
        return np.asarray(np.where(self.emotional, felt, likeness), np.float32)


def label_probabilities(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n, 28]: the emotion head's probability of each of its labels; rows sum to 1."""
    head = load_head()
    logits = embeddings @ head.weights.T + head.bias
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)


def _meant(categories: Sequence[str], named: NDArray[np.float32]) -> NDArray[np.float32]:
    """[28, n_categories], 1 where a category's name means the label, or the emotion that the label belongs to."""
    labels = load_head().labels
    names = (*EMOTIONS, *(label for label in labels if label not in EMOTIONS))
    columns = np.hstack([membership(labels), np.eye(len(labels), dtype=np.float32)])
    index = [*range(len(EMOTIONS)), *(len(EMOTIONS) + labels.index(name) for name in names[len(EMOTIONS) :])]
    alike = named @ embed(names).T
    out = np.zeros((len(labels), len(categories)), np.float32)
    for i, category in enumerate(categories):
        nearest = int(alike[i].argmax())
        if category.casefold() in names:
            nearest = names.index(category.casefold())
        elif alike[i, nearest] < SAME_NAME:
            continue
        out[:, i] = columns[:, index[nearest]]
    return out
