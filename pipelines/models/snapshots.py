"""Training sets kept as Parquet, so that a model's row names the exact rows it learned from, and erased when one of
its persons withdraws. What is in a set is training_set.py's; which snapshots there are, storage/snapshots.py's.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.models.training_set import TrainingSet
from pipelines.storage import audit, consents, storage_use
from pipelines.storage import snapshots as table
from pipelines.storage.tables import TrainingSnapshot
from pipelines.studio import Studio

FORMAT = "1"
TAKEN_BACK = "consent to training taken back"
TOO_LATE = "withdrawn before it was stored"
_NOTE = b"orimono"  # key of the file's own metadata
_FEATURE, _TARGET = "x:", "y:"  # what the columns of features and targets begin with


def save(
    studio: Studio,
    data: TrainingSet,
    provenance: Mapping[str, Any],
    now: datetime,
    *,
    assembled_at: datetime | None = None,
) -> TrainingSnapshot:
    """Keeps the set and returns its row, as ``keep`` does. BadInput for an empty one."""
    if not len(data):
        raise BadInput(f"training set of {data.task}", "has no rows", "collect or generate labelled items first")
    users = sorted(set(data.users.tolist()))
    about = (data.task, data.feature_version, len(data), users, provenance)
    return keep(studio, to_parquet(data), *about, now, assembled_at=assembled_at)


def keep(
    studio: Studio,
    content: bytes,
    task: str,
    feature_version: str,
    n_rows: int,
    users: Sequence[str],
    provenance: Mapping[str, Any],
    now: datetime,
    *,
    assembled_at: datetime | None = None,
) -> TrainingSnapshot:
    """Keeps what a model is to learn from, a Parquet file, and returns its row; the same bytes again are the same row.
    ``users``: the pseudonyms of all whose rows are in it.

    Bytes that were erased since training was taken back, and are allowed in full again, come back to life.

    The row is there before the bytes: whoever dies in between leaves no bytes that an erasure would not find. Whether
    somebody has withdrawn is asked once the row is to be seen by erasures, so none slips through. BadInput when one of
    the persons has withdrawn (since ``assembled_at``, if given, even if they came back).
    """
    digest = hashlib.sha256(content).hexdigest()
    with studio.database.session() as session:
        snapshot_id = table.add(
            session,
            task=task,
            uri=f"training/{task}/{digest}.parquet",
            sha256=digest,
            n_rows=n_rows,
            feature_version=feature_version,
            users=users,
            provenance=dict(provenance),
            now=now,
        )
    withdrawn: set[str] = set()
    with studio.database.session() as session:
        row = table.locked(session, snapshot_id)
        if row.erased_at is None or row.erased_reason in (TAKEN_BACK, TOO_LATE):
            withdrawn = consents.withdrawn_pseudonyms(session, users, since=assembled_at)
            if not withdrawn and row.erased_at is not None:
                row.erased_at, row.erased_reason, row.created_at = None, None, now
            if withdrawn:
                _erase(studio, row, row.erased_reason or TOO_LATE, row.erased_at or now)
            elif studio.objects.get_named(row.uri) != content:
                studio.objects.put_named(row.uri, content)
    if withdrawn:
        reason = f"holds rows of {len(withdrawn)} who withdrew meanwhile ({', '.join(sorted(withdrawn))})"
        raise BadInput(_name(row), reason, "assemble the training set again")
    _refuse_erased(row)
    return row


def load(studio: Studio, snapshot: TrainingSnapshot | int) -> TrainingSet:
    """The set again, exactly. BadInput as for ``content``."""
    return from_parquet(content(studio, snapshot))


def content(studio: Studio, snapshot: TrainingSnapshot | int) -> bytes:
    """The bytes that were kept. BadInput when they were erased, are gone, or are not those of their hash."""
    with studio.database.session() as session:
        snapshot_id = snapshot if isinstance(snapshot, int) else snapshot.id
        row = table.get(session, snapshot_id)  # as it is now: it may have been erased since the caller read it
    if row is None:
        raise BadInput(f"training snapshot {snapshot_id}", "does not exist", "see the model's row for its id")
    _refuse_erased(row)
    found = studio.objects.get_named(row.uri)
    if found is None:
        raise BadInput(_name(row), f"has lost its bytes ({row.uri})", "restore the object, or train again")
    if hashlib.sha256(found).hexdigest() != row.sha256:
        raise BadInput(_name(row), "has other bytes than were stored", "restore the object, or train again")
    return found


def put(studio: Studio, snapshot: TrainingSnapshot, key: str, data: bytes) -> None:
    """Stores what was made from a snapshot, unless it was erased meanwhile (BadInput): an erasure waits for this, and
    finds it."""
    with studio.database.session() as session:
        row = table.locked(session, snapshot.id)
        session.refresh(row)  # as it is after the wait
        _refuse_erased(row)
        studio.objects.put_named(key, data)


def erase(studio: Studio, pseudonym: str, reason: str, now: datetime) -> list[int]:
    """Deletes the bytes of every snapshot that holds rows of this person, and what was trained from it and is no
    version yet; the rows stay and say so. Returns the ids.

    Each snapshot is a transaction of its own: killed anywhere, the next call finishes.
    """
    with studio.database.session() as session:
        found = [(row.id, pseudonym) for row in table.holding(session, pseudonym)]
    return _erase_each(studio, found, reason, now)


def erase_taken_back(studio: Studio, now: datetime) -> list[int]:
    """As ``erase``, for everybody who has taken training back for a job since a snapshot with rows of theirs."""
    with studio.database.session() as session:
        found = consents.learned_before_taken_back(session)
    return _erase_each(studio, found, TAKEN_BACK, now)


def _erase_each(studio: Studio, found: Iterable[tuple[int, str]], reason: str, now: datetime) -> list[int]:
    erased = []
    for snapshot_id, pseudonym in found:
        with studio.database.session() as session:
            row = table.locked(session, snapshot_id)
            if row.erased_at is not None:  # by another process, between the two looks
                continue
            _erase(studio, row, reason, now)
            detail = {"task": row.task, "user": pseudonym, "reason": reason, "n_rows": row.n_rows}
            audit.write(session, actor="system", action="snapshot_erased", subject=f"snapshot:{row.id}", detail=detail)
        erased.append(snapshot_id)
    return erased


def to_parquet(data: TrainingSet) -> bytes:
    """One column a feature (``x:mel_mean_00``), a target (``y:0``) and a fact; equal sets give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {
        "row_id": pa.array(data.row_ids, pa.int64()),
        "recording": _text(data.recordings),
        "user": _text(data.users),
        "weight": pa.array(data.weights, pa.float32()),
    }
    if data.content_hashes is not None:
        columns["content_hash"] = _text(data.content_hashes)
    if data.labels is not None:
        columns["label"] = _text(data.labels)
    if data.y is not None:
        columns |= {f"{_TARGET}{i}": pa.array(data.y[:, i], pa.float32()) for i in range(data.y.shape[1])}
    columns |= {f"{_FEATURE}{name}": pa.array(data.X[:, i], pa.float32()) for i, name in enumerate(data.names)}
    note = {"format": FORMAT, "task": data.task, "feature_version": data.feature_version, "names": list(data.names)}
    text = json.dumps(note, sort_keys=True).encode()
    out = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata({_NOTE: text}), out, compression="zstd")
    return out.getvalue()


def from_parquet(content: bytes) -> TrainingSet:
    """The set that `to_parquet` wrote. BadInput for any other bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        read = pq.read_table(pa.BufferReader(content))
        note = json.loads((read.schema.metadata or {})[_NOTE])
        columns = {name: read.column(name).to_numpy() for name in read.column_names}
        names = tuple(note["names"])
        targets = [columns[name] for name in read.column_names if name.startswith(_TARGET)]
        hashes = columns.get("content_hash")
        return TrainingSet(
            task=note["task"],
            X=np.stack([columns[_FEATURE + name] for name in names], axis=1).astype(np.float32),
            y=np.stack(targets, axis=1).astype(np.float32) if targets else None,
            labels=columns["label"].astype(np.str_) if "label" in columns else None,
            weights=columns["weight"].astype(np.float32),
            recordings=columns["recording"].astype(np.str_),
            users=columns["user"].astype(np.str_),
            row_ids=columns["row_id"].astype(np.int64),
            feature_version=note["feature_version"],
            names=names,
            content_hashes=None if hashes is None else hashes.astype(np.str_),
        )
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise BadInput("training snapshot", f"is no training set in Parquet ({error})", "save the set again") from error


def _erase(studio: Studio, row: TrainingSnapshot, reason: str, now: datetime) -> None:
    studio.objects.delete(row.uri)
    if catalogue := row.provenance.get("catalogue"):
        studio.objects.delete(catalogue["key"])
    candidates = storage_use.stored(studio.objects, "features/candidate")
    if learned := [item for item in candidates if row.sha256 in item.hashes]:
        storage_use.remove(studio.objects, learned)
    for suffix in (".safetensors", ".json"):  # the model that learns on begins anew by itself
        studio.objects.delete(f"incremental/{row.task}{suffix}")
    shutil.rmtree(checkpoints(studio, row.task), ignore_errors=True)  # of a training that was cut off
    row.erased_at, row.erased_reason = now, reason


def checkpoints(studio: Studio, task: str) -> Path:
    """Where a training of this task may leave what it needs to go on after it was killed."""
    return studio.settings.home_path / "checkpoints" / task


def _refuse_erased(row: TrainingSnapshot) -> None:
    if row.erased_at is not None:
        reason = f"was erased on {row.erased_at:%Y-%m-%d} ({row.erased_reason})"
        raise BadInput(_name(row), reason, "assemble the training set again")


def _name(row: TrainingSnapshot) -> str:
    return f"training snapshot {row.id} of {row.task}"


def _text(values: NDArray[np.str_]) -> Any:
    import pyarrow as pa

    return pa.array(values.tolist(), pa.string())
