"""Composing's part of the model life cycle, step by step as the assets ask for it: chorales, model, report, release.
Each returns what a person may want to read.

How each is done is left to the modules it calls; there is one model name, ``harmonizer``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipelines import clock
from pipelines.composing import (
    candidate_models,
    corpus,
    disjoint,
    evaluation_pictures,
    judging,
    network_table,
    serving,
)
from pipelines.composing.corpus import Chorale, Corpus
from pipelines.composing.evaluation import NAME
from pipelines.errors import BadInput
from pipelines.models import candidates as life_cycle
from pipelines.models import drift, judgements, overview, sessions, snapshots
from pipelines.models.judgements import Made, Summary
from pipelines.studio import Studio

LICENCES = ("public domain (J. S. Bach; JSB-Chorales-dataset)",)
_WATCHED_INPUTS = (0, 16, -3, -2)  # the melody's pitch and pitch class, how long its note lasts, the mode
_WATCHED_OUTPUTS = 12  # of the commonest chords


def assemble(studio: Studio, path: Path | None = None) -> Summary:
    """Keeps the chorales that a model is to learn from as they are now: those that ship, or a Parquet file like it.

    They are in the public domain and name nobody; composers' own pieces never enter this model (personal.py has them).
    """
    now = clock.now()
    source = corpus.SHIPPED if path is None else path
    chorales = corpus.load(source)
    provenance: dict[str, Any] = {"source": source.name}
    provenance |= {split: len(chorales.split(split)) for split in corpus.SPLITS}
    nobody: list[str] = []
    about = (NAME, candidate_models.FEATURE_VERSION, len(chorales.train), nobody, provenance)
    row = snapshots.keep(studio, source.read_bytes(), *about, now, assembled_at=now)
    life_cycle.choose_snapshot(studio, row)
    summary: Summary = {split: len(chorales.split(split)) for split in corpus.SPLITS}
    summary |= {f"{split}_beats": sum(p.n_beats for p in chorales.split(split)) for split in corpus.SPLITS}
    summary["minor"] = sum(piece.minor for piece in chorales)
    summary["test_tunes_of_their_own"] = int(_apart(chorales).sum())
    return summary | {"snapshot": f"{row.uri} ({row.sha256[:12]})"}


def train(studio: Studio) -> Made:
    """The candidate; stored before, it is not trained again."""
    facts = candidate_models.train(studio).facts
    summary: Summary = {name: facts[name] for name in ("seconds", "cpu_seconds", "parity", "parameters")}
    curves = facts["curves"]
    summary["epochs"] = len(curves)
    for name in ("train", "valid"):
        known = [epoch[name] for epoch in curves if epoch[name] is not None]
        summary |= {f"{name}_loss": known[-1]} if known else {}
    return Made(summary, {"training_curves": evaluation_pictures.curves(curves)})


def evaluate(studio: Studio) -> Made:
    """The candidate beside the simpler harmonisers and the live version."""
    found = judging.judge(studio)
    return judgements.told(studio, found, judging.figures(found))


def register(studio: Studio) -> Summary:
    """The candidate as a version, which nobody gets yet; the same candidate is the same version.

    BadInput, and nothing changed, when something stands against it.
    """
    found = judging.judged(studio)
    if found.problems:
        raise BadInput(f"model {NAME}", found.problems[0].rstrip("."), "read the report, mend the recipe, train again")
    candidate, snapshot = candidate_models.trained(studio), candidate_models.chosen(studio)
    model = candidate.harmonizer
    onnx = network_table.to_table(model.network, model.reach)
    return judgements.register(
        studio,
        snapshot,
        name=NAME,
        onnx=onnx,
        bundle=(candidate.bundle, candidate_models.BUNDLE),
        metrics=judging.metrics(found) | {"parity": candidate.facts["parity"]},
        reference=lambda: _reference(candidate_models.load(studio, snapshot), onnx),
        feature_version=candidate_models.FEATURE_VERSION,
        code_version=candidate_models.code_version(),
        licences=LICENCES,
        awaits="its rollout begins",
    )


def begin(studio: Studio) -> Summary:
    """Begins the rollout of the newest version; nothing when it was begun before."""
    return judgements.begin(studio, NAME, lambda row: f"{row.provenance['train']} chorales")


def release(studio: Studio) -> Summary:
    """Registered and its rollout begun."""
    registered = register(studio)
    return registered | begin(studio)


def corpus_problems(studio: Studio) -> list[str]:
    """What is wrong with the chosen chorales, read back from their file."""
    chorales = candidate_models.load(studio, candidate_models.chosen(studio))
    found = [f"the {split} split is empty" for split in corpus.SPLITS if not chorales.split(split)]
    for split in corpus.SPLITS:
        for piece in chorales.split(split):
            heard = piece.frames[piece.frames >= 0]
            if heard.min() < 24 or heard.max() > 96:
                found.append(
                    f"{split} {piece.number} sounds from {heard.min()} to {heard.max()}: not a choir's pitches"
                )
            if (piece.frames < 0).mean() > 0.5:
                found.append(f"{split} {piece.number} rests more than it sounds")
    seen: dict[bytes, str] = {}
    for split in corpus.SPLITS:
        for piece in chorales.split(split):
            other = seen.setdefault(piece.relative.tobytes(), split)
            if other != split:
                found.append(f"{split} {piece.number} is, note for note, in the {other} split, too")
    return found


def parity_problems(studio: Studio) -> list[str]:
    """Whether the candidate's ONNX file answers otherwise than Keras did."""
    from pipelines.composing import training

    parity = candidate_models.trained(studio).facts["parity"]
    return [] if parity <= training.PARITY else [f"{NAME}: the ONNX network and Keras differ by {parity:.2g}"]


def release_problems(studio: Studio) -> list[str]:
    """Why the candidate must not be released."""
    return list(judging.judged(studio).problems)


def doubts(studio: Studio) -> list[str]:
    """What a person should look at before it reaches everybody."""
    from pipelines.composing import gates

    return gates.doubts(judging.judged(studio).evaluations)


def broken_artefacts(studio: Studio) -> list[str]:
    """Of the newest version: why its network, or the harmoniser stored beside it, cannot be served."""
    return overview.broken_artefacts(studio, NAME, serving.of_version)


def _reference(chorales: Corpus, onnx: bytes) -> dict[str, Any]:
    """What melodies look like to this version, and what it answers at the chords it knows best: a beat of each chorale,
    as serving counts them."""
    warm = sessions.warm(onnx, f"model {NAME}", feature_version=candidate_models.FEATURE_VERSION)
    pieces = (*chorales.train, *chorales.valid)
    asked = [serving.answer(warm, piece.relative[:, 0], piece.minor, piece.shift) for piece in pieces]
    rows, answers = (np.concatenate(found) for found in zip(*asked, strict=True))
    names = [f"column {column}" for column in range(rows.shape[1])]
    for column, name in zip(_WATCHED_INPUTS, ("pitch", "pitch class", "length", "mode"), strict=True):
        names[column] = name
    inputs = [column % rows.shape[1] for column in _WATCHED_INPUTS]
    first_chord = answers.shape[1] - _chord_classes(chorales)
    outputs = range(first_chord + 1, min(first_chord + 1 + _WATCHED_OUTPUTS, answers.shape[1]))
    return drift.reference(rows, answers, names, input_columns=inputs, output_columns=list(outputs))


def _chord_classes(chorales: Corpus) -> int:
    from pipelines.composing.tokens import ChordVocabulary

    return len(ChordVocabulary.of(piece.relative for piece in chorales.train))


def _apart(chorales: Corpus) -> np.ndarray[Any, np.dtype[np.bool_]]:
    def melodies(pieces: tuple[Chorale, ...]) -> list[Any]:
        return [piece.frames[:, 0] for piece in pieces]

    return disjoint.disjoint(melodies(chorales.test), melodies((*chorales.train, *chorales.valid)))
