"""Questions about labels: what a model is to answer for each sound, by rule or by a person.

How a rule answers is mastering/labelling.py's, how rows become a training set mastering/training_set.py's business.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ARRAY, BigInteger, Row, Select, any_, cast, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.errors import BadInput
from pipelines.governance.people import pseudonym
from pipelines.storage import audit
from pipelines.storage.consents import trainable_jobs
from pipelines.storage.tables import AuditLog, FeatureRow, Label

Answer = str | Sequence[float] | NDArray[np.float32]  # a class, or the regression targets in the task's order


@dataclass(frozen=True, slots=True)
class Count:
    """How many labels of one task have one quality; ``classes`` counts the answers of a classification."""

    task: str
    quality: str
    n: int
    classes: dict[str, int]


def record(
    session: Session,
    *,
    job_id: int,
    user_id: str,
    task: str,
    content_hash: str,
    clip_kind: str,
    feature_version: str,
    recording: str,
    answer: Answer,
    quality: str = "auto",
) -> None:
    """Stores what a rule answers, in place of what a rule answered before; a person's answer stays.

    ``recording`` names the source recording: rows of one never stand on both sides of a split.
    """
    changed = {"feature_version": feature_version, "recording": recording, "quality": quality, **_columns(answer)}
    statement = insert(Label).values(
        job_id=job_id,
        user_id=user_id,
        task=task,
        content_hash=content_hash,
        clip_kind=clip_kind,
        author="rule",
        **changed,
    )
    # A person's answer is about the sound, so it holds for features of another version, too.
    session.execute(
        statement.on_conflict_do_update(constraint="uq_labels_item", set_=changed, where=Label.quality != "human")
    )
    moved = {"feature_version": feature_version, "recording": recording}
    session.execute(_human(job_id, task, clip_kind, content_hash).values(**moved))


def correct(session: Session, label_id: int, answer: Answer, author: str) -> int:
    """Puts a person's answer in a label's place; no rule overwrites it. Returns the id of the new row.

    It is a new row, so that `newer_than` shows it to a model that has learned from the old one. The correction is
    audited. BadInput when there is no such label or the answer is of the wrong kind.
    """
    row = session.execute(select(Label).where(Label.id == label_id).with_for_update()).scalar_one_or_none()
    if row is None:
        raise BadInput(f"label {label_id}", "does not exist", "look up its id; a corrected label gets a new one")
    columns = _columns(answer)
    if (row.y_cls is None) != (columns["y_cls"] is None):
        wanted = "numbers" if row.y_cls is None else "a class"
        raise BadInput(f"label {label_id}", f"of {row.task} takes {wanted}", f"correct it with {wanted}")
    if row.y_reg is not None and len(columns["y_reg"]) != len(row.y_reg):
        reason = f"of {row.task} takes {len(row.y_reg)} numbers, not {len(columns['y_reg'])}"
        raise BadInput(f"label {label_id}", reason, "give one number a target")
    if columns["y_reg"] is not None and not np.isfinite(columns["y_reg"]).all():
        raise BadInput(f"label {label_id}", "was given a value that is not a number", "give finite numbers")
    same = (Label.job_id, Label.user_id, Label.task, Label.content_hash, Label.clip_kind)
    kept = {column.key: getattr(row, column.key) for column in (*same, Label.feature_version, Label.recording)}
    before = row.y_cls if row.y_cls is not None else row.y_reg
    session.execute(delete(Label).where(Label.id == label_id))
    statement = insert(Label).values(**kept, **columns, quality="human", author=author).returning(Label.id)
    new_id = session.execute(statement).scalar_one()
    detail = {"task": row.task, "before": before, "after": columns["y_cls"] or columns["y_reg"], "replaces": label_id}
    audit.write(session, actor=pseudonym(author), action="label_corrected", subject=f"label:{new_id}", detail=detail)
    return new_id


def ask(
    session: Session, job_id: int, task: str, clip_kind: str, feature_version: str, answer: Answer, quality: str = "low"
) -> None:
    """Makes room for an answer about each sound of a job that has such features and was not labelled for the task: no
    rule can tell what is asked here. ``answer`` stands there until a person's takes its place."""
    wanted = (FeatureRow.job_id == job_id, FeatureRow.clip_kind == clip_kind)
    for row in session.execute(
        select(FeatureRow).where(*wanted, FeatureRow.feature_version == feature_version)
    ).scalars():
        if find(session, job_id, task, row.content_hash, clip_kind) is None:
            record(
                session,
                job_id=job_id,
                user_id=row.user_id,
                task=task,
                content_hash=row.content_hash,
                clip_kind=clip_kind,
                feature_version=feature_version,
                recording=row.content_hash,
                answer=answer,
                quality=quality,
            )


def find(session: Session, job_id: int, task: str, content_hash: str, clip_kind: str = "mix") -> Label | None:
    """The label of one sound of a job for this task."""
    query = select(Label).where(Label.job_id == job_id, Label.task == task)
    query = query.where(Label.content_hash == content_hash, Label.clip_kind == clip_kind)
    return session.execute(query).scalar_one_or_none()


def of_task(session: Session, task: str, job_id: int | None = None) -> Sequence[Label]:
    """All labels of a task, or those of one job, oldest first, whoever may learn from them."""
    query = select(Label).where(Label.task == task)
    if job_id is not None:
        query = query.where(Label.job_id == job_id)
    return session.execute(query.order_by(Label.id)).scalars().all()


def hashes(session: Session, job_id: int, task: str) -> set[str]:
    """Content hashes of a job's sounds that are labelled for this task and have their features."""
    query = _joined(select(Label.content_hash)).where(Label.job_id == job_id, Label.task == task)
    return set(session.execute(query).scalars())


def counts(session: Session) -> list[Count]:
    """Per task and quality, in that order."""
    query = select(Label.task, Label.quality, Label.y_cls, func.count()).group_by(
        Label.task, Label.quality, Label.y_cls
    )
    found: dict[tuple[str, str], dict[str | None, int]] = {}
    for task, quality, answer, n in session.execute(query):
        found.setdefault((task, quality), {})[answer] = n
    return [
        Count(task, quality, sum(by.values()), {answer: n for answer, n in sorted(by.items(), key=str) if answer})
        for (task, quality), by in sorted(found.items())
    ]


def newer_than(session: Session, task: str, label_id: int, feature_version: str) -> int:
    """How many rows that may be learned from have come since the label of this id (0: since the beginning)."""
    query = _joined(select(func.count(Label.id))).where(*_learnable(task, feature_version), Label.id > label_id)
    n: int = session.execute(query).scalar_one()
    return n


def lost(session: Session, task: str, feature_version: str, ids: Collection[int]) -> set[int]:
    """Those of these labels that may no longer be learned from. A corrected label is lost when its correction is."""
    gone: set[int] = set()
    first = {label_id: label_id for label_id in ids}  # the label as it is now -> as it was asked for
    while first:
        query = _joined(select(Label.id)).where(*_learnable(task, feature_version), Label.id == _any(first))
        for label_id in session.execute(query).scalars():
            del first[label_id]
        replaced = AuditLog.detail["replaces"].as_integer()
        corrected = select(replaced, AuditLog.subject).where(
            AuditLog.action == "label_corrected", replaced == _any(first)
        )
        found = session.execute(corrected).all() if first else []
        later = {int(subject.removeprefix("label:")): first.pop(old) for old, subject in found}
        gone |= set(first.values())
        first = later
    return gone


def learnable(session: Session, task: str, feature_version: str) -> Sequence[Row[Any]]:
    """Labels with their features, of whose owners allow training: one row a label, with its columns and ``vec``.

    In the order of content, so that the order of arrival does not matter.
    """
    columns: tuple[Any, ...] = (
        Label.id,
        Label.user_id,
        Label.content_hash,
        Label.recording,
        Label.y_reg,
        Label.y_cls,
        Label.quality,
        FeatureRow.vec,
    )
    query = _joined(select(*columns)).where(*_learnable(task, feature_version))
    return session.execute(query.order_by(Label.content_hash, Label.clip_kind, Label.id)).all()


def _learnable(task: str, feature_version: str) -> tuple[Any, ...]:
    return (Label.task == task, Label.feature_version == feature_version, Label.job_id.in_(trainable_jobs()))


def _any(ids: Collection[int]) -> Any:
    """One parameter, however many they are."""
    return any_(cast(list(ids), ARRAY(BigInteger)))


def _joined(query: Select[Any]) -> Select[Any]:
    return query.select_from(Label).join(
        FeatureRow,
        (FeatureRow.job_id == Label.job_id)
        & (FeatureRow.clip_kind == Label.clip_kind)
        & (FeatureRow.content_hash == Label.content_hash)
        & (FeatureRow.feature_version == Label.feature_version),
    )


def _human(job_id: int, task: str, clip_kind: str, content_hash: str) -> Any:
    from sqlalchemy import update

    return update(Label).where(
        Label.job_id == job_id,
        Label.task == task,
        Label.clip_kind == clip_kind,
        Label.content_hash == content_hash,
        Label.quality == "human",
    )


def _columns(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, str):
        return {"y_reg": None, "y_cls": answer}
    return {"y_reg": [float(value) for value in answer], "y_cls": None}
