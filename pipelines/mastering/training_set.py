"""Mastering's training sets: labels joined with features, of people who allow it, and what must hold of them.

Rows come from storage/labels.py. How a set is kept is models/snapshots.py's, what is learned models/training.py's.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Row
from sqlalchemy.orm import Session

from pipelines.audio import analysis
from pipelines.audio import features as audio
from pipelines.errors import BadInput
from pipelines.governance.people import pseudonym
from pipelines.mastering import alignment, labelling, recipes, tasks
from pipelines.models.training_set import TrainingSet
from pipelines.storage import labels

log = logging.getLogger(__name__)

FEATURE_VERSION = f"audio-{analysis.VERSION}"  # of the vectors of mixes and stems
ALIGNMENT_VERSION = f"alignment-{alignment.VERSION}"  # of the evidence of alignments

CORPUS_OWNER = "corpus@orimono"  # who owns what the product generated
FEWEST = 20  # rows
_LARGEST = 1e6  # no feature or target of ours comes near


def feature_version(task: str) -> str:
    """Of the features that this task is learned from."""
    return ALIGNMENT_VERSION if tasks.get(task).clip_kind == "vocal" else FEATURE_VERSION


def feature_names(task: str) -> tuple[str, ...]:
    return alignment.EVIDENCE if tasks.get(task).clip_kind == "vocal" else audio.names()


def assemble(session: Session, task: str, *, now: datetime) -> TrainingSet:
    """All rows that may be learned from, with features of the present version, in the order of content.

    What may be learned from is as the session sees it; ``now`` is the moment by which the caller dates the set.
    BadInput when there are no rows.
    """
    rows = labels.learnable(session, task, feature_version(task))
    log.info("training set of %s at %s: %d rows", task, now.isoformat(timespec="seconds"), len(rows))
    return _assembled(task, rows)


def check(data: TrainingSet) -> None:
    """Nothing when the set is fit to learn from; BadInput with everything that is wrong otherwise."""
    wrong = _problems(data)
    if wrong:
        remedy = "generate a larger corpus (ORIMONO_CORPUS_ITEMS), or collect and correct labels"
        raise BadInput(f"training set of {data.task}", "; ".join(wrong), remedy)


def problems(data: TrainingSet, docs: Path | None = None) -> list[str]:
    """What does not hold, by a suite of expectations that leaves its Data Docs in ``docs``; one sentence each."""
    import great_expectations.expectations as gxe
    import pandas as pd

    from pipelines.validation.gate import validate

    frame = pd.DataFrame(
        {
            "row_id": data.row_ids,
            "recording": data.recordings,
            "user": data.users,
            "weight": data.weights,
            "features_not_finite": (~np.isfinite(data.X)).sum(axis=1),
            "features_too_large": (np.abs(np.nan_to_num(data.X)) > _LARGEST).sum(axis=1),
        }
    )
    rules: list[Any] = [
        gxe.ExpectTableRowCountToBeBetween(min_value=FEWEST),
        gxe.ExpectColumnValuesToBeUnique(column="row_id"),
        gxe.ExpectColumnUniqueValueCountToBeBetween(column="recording", min_value=2),
        gxe.ExpectColumnValuesToMatchRegex(column="user", regex="^[0-9a-f]{16}$"),
        gxe.ExpectColumnValuesToBeBetween(column="weight", min_value=0.0, strict_min=True, max_value=10.0),
        gxe.ExpectColumnValuesToBeInSet(column="features_not_finite", value_set=[0]),
        gxe.ExpectColumnValuesToBeInSet(column="features_too_large", value_set=[0]),
    ]
    if data.labels is not None:
        frame["label"] = data.labels
        rules += [
            gxe.ExpectColumnValuesToBeInSet(column="label", value_set=list(labelling.classes(data.task))),
            gxe.ExpectColumnUniqueValueCountToBeBetween(column="label", min_value=2),
        ]
    for name, column in _targets(data):
        frame[name] = column
        rules += [
            gxe.ExpectColumnValuesToNotBeNull(column=name),
            gxe.ExpectColumnValuesToBeBetween(column=name, min_value=-_LARGEST, max_value=_LARGEST),
            gxe.ExpectColumnStdevToBeBetween(column=name, min_value=0.0, strict_min=True),
        ]
    return list(validate(frame, f"training_{data.task}", rules, docs).failures)


def constant_features(data: TrainingSet) -> tuple[str, ...]:
    """Features that are the same in every row: allowed, and nothing can be learned from them."""
    if not len(data):
        return ()
    return tuple(name for name, still in zip(data.names, np.ptp(data.X, axis=0) == 0, strict=True) if still)


def provenance(data: TrainingSet) -> dict[str, Any]:
    """Where the rows come from, as the snapshot and the models learned from it say: how many are generated and from
    whose music, how many are people's own, and on whom the answers rest."""
    own = data.users != pseudonym(CORPUS_OWNER)
    generated = data.recordings[~own].tolist()
    pieces = {piece for recording in set(generated) for piece in recipes.piece_of(recording).split("+")}
    sources = {source.path.stem: source for source in recipes.sample_sources()}
    facts: dict[str, Any] = {
        "rows": len(data),
        "generated": len(generated),
        "own": int(own.sum()),
        "people": len(set(data.users[own].tolist())),
        "recordings": len(set(data.recordings.tolist())),
        "answers": "pseudo-labels by our own chain and rules, where no person corrected them",
        "corrected": int((data.weights == np.float32(labelling.WEIGHTS["human"])).sum()),
        "constant_features": list(constant_features(data)),
    }
    if generated:
        facts["recordings_are"] = (
            f"passages of {len(pieces)} pieces, at least {recipes.GAP:g} s apart; folds by piece are stricter"
        )
        facts["sources"] = [
            {"piece": piece, "title": s.title, "author": s.author, "licence": s.licence}
            if (s := sources.get(piece))
            else {"piece": piece}
            for piece in sorted(pieces)
        ]
    if data.labels is not None:
        names, counts = np.unique(data.labels, return_counts=True)
        facts["classes"] = dict(zip(names.tolist(), counts.tolist(), strict=True))
    return facts


def by_piece(data: TrainingSet) -> TrainingSet:
    """The same rows with whole pieces for recordings: a stricter division, for a report beside the usual one.

    Couples of pieces that share one are taken together, so that no piece stands on both sides; of the sample's four
    pieces the pairs of stems then are a single group.
    """
    groups: dict[str, str] = {}

    def root(piece: str) -> str:
        while groups.setdefault(piece, piece) != piece:
            piece = groups[piece]
        return piece

    named = [recipes.piece_of(recording) for recording in data.recordings.tolist()]
    for first, *others in (name.split("+") for name in named):
        for other in others:
            groups[root(other)] = root(first)
    return dataclasses.replace(data, recordings=np.array([root(name.split("+")[0]) for name in named], np.str_))


def _assembled(task: str, rows: Sequence[Row[Any]]) -> TrainingSet:
    names, version = feature_names(task), feature_version(task)
    if not rows:
        reason = f"has no row with features {version} of somebody who allows training"
        raise BadInput(f"training set of {task}", reason, "generate the corpus (asset mastering_corpus) first")
    dims = {len(row.vec) for row in rows}
    if dims != {len(names)}:
        reason = f"has vectors of {sorted(dims)} numbers where features {version} have {len(names)}"
        raise BadInput(f"training set of {task}", reason, "raise the features' VERSION and compute them again")
    regression = tasks.get(task).kind == "regression"
    return TrainingSet(
        task=task,
        X=np.array([row.vec for row in rows], np.float32),
        y=np.array([row.y_reg for row in rows], np.float32) if regression else None,
        labels=None if regression else np.array([row.y_cls for row in rows], np.str_),
        weights=np.array([labelling.WEIGHTS[row.quality] for row in rows], np.float32),
        recordings=np.array([row.recording for row in rows], np.str_),
        users=np.array([pseudonym(row.user_id) for row in rows], np.str_),
        row_ids=np.array([row.id for row in rows], np.int64),
        feature_version=version,
        names=names,
        content_hashes=np.array([row.content_hash for row in rows], np.str_),
    )


def _problems(data: TrainingSet) -> list[str]:
    """The suite's essentials without its 5 s of imports."""
    found = []
    if len(data) < FEWEST:
        found.append(f"{len(data)} rows, {FEWEST} are the least")
    if bad := int((~np.isfinite(data.X)).any(axis=1).sum()):
        found.append(f"{bad} rows have features that are not numbers")
    if len(data) and len(set(data.recordings.tolist())) < 2:
        found.append("all rows are of one recording, so that nothing can be held back to judge by")
    if data.labels is not None:
        classes = set(data.labels.tolist())
        if len(classes) < 2:
            found.append(f"one class only ({', '.join(sorted(classes)) or 'none'})")
        if unknown := sorted(classes - set(labelling.classes(data.task))):
            found.append(f"unknown classes {', '.join(unknown)}")
    for name, column in _targets(data):
        if not np.isfinite(column).all():
            found.append(f"{name} has values that are not numbers")
        elif len(column) and np.ptp(column) == 0:
            found.append(f"{name} is the same in every row")
    return found


def _targets(data: TrainingSet) -> list[tuple[str, np.ndarray[Any, np.dtype[np.float32]]]]:
    if data.y is None:
        return []
    return [(name, data.y[:, i]) for i, name in enumerate(tasks.get(data.task).outputs)]
