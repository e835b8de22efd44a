"""The emotion head: right far above chance in two languages, and what its card says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import BadInput
from pipelines.lyrics.embeddings import embed
from pipelines.lyrics.emotion import CIRCUMPLEX, EMOTIONS, GROUPS, load_head, predict_emotions, valence_arousal
from pipelines.lyrics.train_emotions import main

JAPANESE = Path("benchmarks/japanese_emotions.tsv")


def test_embeddings_are_unit_length_and_near_across_languages() -> None:
    cat, neko, market = embed(["The cat sleeps in the sun.", "猫が日なたで寝ている。", "The stock market fell today."])
    assert np.linalg.norm([cat, neko, market], axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert cat @ neko > 0.6 > 0.4 > cat @ market


def test_any_text_can_be_embedded() -> None:
    assert embed([]).shape == (0, 512)
    assert np.isfinite(embed(["", " ", "♪", "half an emoji \ud83c", "あ" * 3000])).all()


def test_a_batch_gives_what_each_text_gives_alone() -> None:
    texts = [f"line {n} of a long song" for n in range(300)]
    assert np.allclose(embed(texts)[[0, 280]], embed([texts[0], texts[280]]), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "emotion"),
    [
        ("I am so happy, this is the best day of my life!", "joy"),
        ("I love you with all my heart", "love"),
        ("I cried all night, I miss her so much", "sadness"),
        ("I hate you, you make me furious", "anger"),
        ("I am terrified of what hides in the dark", "fear"),
        ("Wow, I never expected that to happen!", "surprise"),
        ("I wish I had a house by the sea", "desire"),
    ],
)
def test_plain_english_feelings(text: str, emotion: str) -> None:
    assert EMOTIONS[predict_emotions(embed([text]))[0].argmax()] == emotion


def test_japanese_sentences_although_trained_on_english() -> None:
    rows = [line.split("\t") for line in JAPANESE.read_text("utf-8").splitlines() if not line.startswith("#")]
    named = predict_emotions(embed([text for text, _ in rows])).argmax(axis=1)
    right = np.mean([EMOTIONS[k] == emotion for k, (_, emotion) in zip(named, rows, strict=True)])
    assert right >= 0.7  # chance 0.125


def test_rows_are_distributions_and_valence_follows_them() -> None:
    emotions = predict_emotions(embed(["What a wonderful happy day", "Everything is lost and I weep"]))
    assert emotions.dtype == np.float32
    assert emotions.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
    valence, arousal = valence_arousal(emotions)
    assert valence[0] > 0.4 > -0.2 > valence[1]
    assert ((arousal >= 0) & (arousal <= 1)).all()


def test_every_label_belongs_to_one_emotion_and_the_card_is_complete() -> None:
    head = load_head()
    assert sorted(head.labels) == sorted(label for group in GROUPS.values() for label in group)
    assert tuple(GROUPS) == tuple(CIRCUMPLEX) == EMOTIONS
    assert head.card["licence"] == "Apache-2.0"
    assert {"dev", "test", "majority", "command", "trained_on"} <= head.card.keys()


@pytest.fixture
def comments(tmp_path: Path) -> Path:
    """A tiny data set in GoEmotions' format: one clear word an emotion."""
    labels = [label for group in GROUPS.values() for label in group]
    (tmp_path / "labels.txt").write_text("\n".join(labels))
    rows = [f"I feel {label} number {n}\t{i}\tid{n}" for n in range(3) for i, label in enumerate(labels)]
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.tsv").write_text("\n".join([*rows, "pride and joy\t5,6\tx"]) + "\n")
    return tmp_path


def test_training_writes_a_head_that_has_learnt(comments: Path, tmp_path: Path) -> None:
    out = tmp_path / "head.safetensors"
    main(comments, out)
    head = load_head(out)
    named = head.predict(embed(["I feel fear number 2", "I feel love number 2"])).argmax(axis=1)
    assert [EMOTIONS[k] for k in named] == ["fear", "love"]
    assert "macro-F1" in head.card["test"]


def test_training_without_its_data_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"labels\.txt"):
        main(tmp_path, tmp_path / "out")
