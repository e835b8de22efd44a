"""From sentence embeddings to emotions, valence and arousal: a linear head, its weights beside this file.

Who trains the head is train_emotions.py; what a phrase is, is left to formats.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

EMOTIONS = ("joy", "love", "sadness", "anger", "fear", "surprise", "calm", "desire")
WEIGHTS = Path(__file__).with_name("emotion_head.safetensors")

# The 28 labels of GoEmotions (Demszky et al., 2020) under ours. The paper's own grouping to Ekman's six is followed
# where it has a place for us; love, desire and calm (neutral, relief) are split off, because lyrics live on them, and
# disgust, rare in lyrics, goes to anger.
GROUPS = {
    "joy": ("admiration", "amusement", "approval", "excitement", "gratitude", "joy", "optimism", "pride"),
    "love": ("love", "caring"),
    "sadness": ("sadness", "grief", "disappointment", "remorse", "embarrassment"),
    "anger": ("anger", "annoyance", "disapproval", "disgust"),
    "fear": ("fear", "nervousness"),
    "surprise": ("surprise", "realization", "confusion", "curiosity"),
    "calm": ("neutral", "relief"),
    "desire": ("desire",),
}

# (valence -1..1, arousal 0..1) of each emotion: its place on the circumplex of affect (Russell, 1980), by hand.
CIRCUMPLEX = {
    "joy": (0.85, 0.65),
    "love": (0.80, 0.45),
    "sadness": (-0.75, 0.25),
    "anger": (-0.70, 0.85),
    "fear": (-0.65, 0.80),
    "surprise": (0.10, 0.75),
    "calm": (0.25, 0.10),
    "desire": (0.35, 0.60),
}


@dataclass(frozen=True, slots=True)
class Head:
    """A linear model over embeddings: one logit a fine label, each fine label under one of ``EMOTIONS``."""

    weights: NDArray[np.float32]  # [n_labels, 512]
    bias: NDArray[np.float32]  # [n_labels]
    labels: tuple[str, ...]  # [n_labels]
    card: dict[str, str]  # where it comes from, how well it did

    def predict(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities [n, len(EMOTIONS)] from embeddings [n, 512]: softmax over the labels, summed by group."""
        logits = embeddings @ self.weights.T + self.bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        grouped = odds @ membership(self.labels)
        return np.asarray(grouped / grouped.sum(axis=1, keepdims=True), np.float32)


def predict_emotions(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities [n, len(EMOTIONS)], each row of which sums to 1, by the head that ships with the product."""
    return load_head().predict(embeddings)


def valence_arousal(emotions: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Expected valence [n] in -1..1 and arousal [n] in 0..1 of emotion probabilities [n, len(EMOTIONS)]."""
    places = np.array([CIRCUMPLEX[name] for name in EMOTIONS], np.float32)
    expected = emotions @ places
    return expected[:, 0].copy(), expected[:, 1].copy()


def membership(labels: tuple[str, ...]) -> NDArray[np.float32]:
    """[len(labels), len(EMOTIONS)], 1 where the label belongs to the emotion."""
    out = np.zeros((len(labels), len(EMOTIONS)), np.float32)
    for column, emotion in enumerate(EMOTIONS):
        for label in GROUPS[emotion]:
            out[labels.index(label), column] = 1
    return out


@cache
def load_head(path: Path = WEIGHTS) -> Head:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        card = dict(file.metadata())
        weights, bias = file.get_tensor("weights"), file.get_tensor("bias")
    labels = tuple(card.pop("labels").split())
    return Head(weights.astype(np.float32), bias.astype(np.float32), labels, card)
