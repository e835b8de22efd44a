"""What a category's name says of a text: emotions by the head that learnt them, anything else by likeness."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.lyrics.embeddings import embed
from pipelines.scoring.by_name import ByName, label_probabilities


@pytest.mark.parametrize("name", ["joy", "Joy", "happiness", "怒り", "悲しみ", "gratitude", "Freude"])
def test_a_name_that_means_an_emotion_is_read_as_one(name: str) -> None:
    assert ByName.of([name]).emotional.tolist() == [True]


@pytest.mark.parametrize("name", ["product quality", "delivery", "toxicity", "spam", "食べ物", "sports", "price"])
def test_any_other_name_is_not(name: str) -> None:
    assert ByName.of([name]).emotional.tolist() == [False]


def test_strengths_lie_between_nothing_and_all_and_order_the_texts() -> None:
    texts = [
        "I love this so much, thank you!",
        "The meeting is at nine.",
        "Pizza and cake for lunch.",
        "x",
        "",
        "😀" * 50,
    ]
    embeddings = embed(texts)
    found = ByName.of(["gratitude", "food"]).strengths(embeddings, label_probabilities(embeddings))
    assert found.shape == (6, 2)
    assert np.isfinite(found).all() and (found >= 0).all() and (found <= 1).all()
    assert found[:3].argmax(axis=0).tolist() == [0, 2]


def test_two_hundred_names_with_quotes_are_two_hundred_columns() -> None:
    names = [f'the "{i}th" category' for i in range(200)]
    embeddings = embed(["Anything."])
    assert ByName.of(names).strengths(embeddings, label_probabilities(embeddings)).shape == (1, 200)
