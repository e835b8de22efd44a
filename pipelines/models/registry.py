"""How a trained model becomes a version: its bytes kept and tried, its origin named, its row written once.

The bytes are artefacts.py's, what they compute sessions.py's, the rows storage/models.py's, and who is served by a
version rollout.py's.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sqlalchemy.orm import Session

from pipelines.errors import BadInput, NotFound
from pipelines.models import artefacts, drift, sessions
from pipelines.storage import audit, consents, models, snapshots
from pipelines.storage.objects import Objects
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio

# Whatever may decide which model comes of a snapshot. What only serves or watches models is among it, since a list of
# what does not matter would one day be wrong; the price is a training too many.
TRAINING = ("pipelines.audio", "pipelines.mastering", "pipelines.models")
_SOURCES = (".py", ".yaml")


def register(
    studio: Studio,
    *,
    name: str,
    trained_onnx: bytes,
    framework: str,
    metrics: Mapping[str, Any],
    reference: Mapping[str, Any],
    feature_version: str,
    code_version: str,
    snapshot_id: int | None,
    licences: Sequence[str],
    provenance: Mapping[str, Any],
    now: datetime,
    created_by: str,
) -> ModelVersion:
    """The new version's row; it serves nobody until ``rollout.begin``.

    The version is the day of ``now`` in its own time zone: v20261121, the day's second one v20261121.2. The same bytes
    from the same snapshot, features and code on the same day are the same version: a run that was killed after this
    call and repeats it finds its row. ``reference``: see drift.reference. ``created_by``: a part of the product or a
    person's pseudonym.

    The bytes are tried on zeros, stored, read back and compared before the row is written; killed in between, they are
    an object that nobody names. BadInput, with no row, for bytes that sessions.warm refuses, that read other files, or
    that do not fit ``reference`` and ``feature_version``, and when somebody whose data they learned from has withdrawn
    since the snapshot was made (then the bytes are deleted). Unavailable when a store is away or full.
    """
    if not name or not name.replace("_", "").isalnum():
        raise BadInput(f"model {name!r}", "is no name", "use letters, digits and underscores")
    what = f"model {name}"
    _refuse_other_files(trained_onnx, what)
    tried = sessions.warm(trained_onnx, what, feature_version=feature_version)
    _refuse_misfit(reference, tried, what)
    key, digest = artefacts.store(studio.objects, trained_onnx)
    try:
        with studio.database.session() as session:
            models.lock(session, name)
            if snapshot_id is not None:
                _refuse_withdrawn(session, snapshot_id, feature_version, what)
            day = now.strftime("v%Y%m%d")
            todays = models.of_day(session, name, day)
            origin = (digest, snapshot_id, feature_version, code_version)
            for row in todays:
                if (row.sha256, row.snapshot_id, row.feature_version, row.code_version) == origin:
                    return row
            row = ModelVersion(
                name=name,
                version=_next(day, [row.version for row in todays]),
                uri=key,
                framework=framework,
                input_dim=tried.input_dim,
                output_dim=tried.output_dim,
                metrics=dict(metrics),
                sha256=digest,
                feature_version=feature_version,
                code_version=code_version,
                snapshot_id=snapshot_id,
                licences=list(licences),
                provenance=dict(provenance),
                reference=dict(reference),
                created_at=now,
                created_by=created_by,
            )
            models.add(session, row)
            detail = {"version": row.version, "model_id": row.id, "sha256": digest, "snapshot_id": snapshot_id}
            detail |= {"feature_version": feature_version, "code_version": code_version, "framework": framework}
            audit.write(session, actor=created_by, action="model.register", subject=f"model:{name}", detail=detail)
            return row
    except BadInput:
        _delete_unnamed(studio, name, key)
        raise


def find(session: Session, name: str, version: str | None = None) -> ModelVersion:
    """That version, or the one registered last. NotFound, naming what there is, when there is none."""
    row = models.latest(session, name) if version is None else models.find(session, name, version)
    if row is not None:
        return row
    known = [row.version for row in models.listed(session, name)]
    if known:
        raise NotFound(f"model {name} {version}", "is not registered", f"choose from {', '.join(known[:10])}")
    names = models.names(session)
    remedy = f"choose from {', '.join(names)}" if names else "train one first"
    raise NotFound(f"model {name}", "is not registered", remedy)


def verify(objects: Objects, row: ModelVersion) -> sessions.Warm:
    """The version as it would serve, from its stored bytes. BadInput when they are gone, have changed, or do not fit
    the row; Unavailable when the store is away."""
    return sessions.warm(
        artefacts.load(objects, row),
        artefacts.named(row),
        feature_version=row.feature_version,
        input_dim=row.input_dim,
        output_dim=row.output_dim,
    )


@functools.cache
def code_version(packages: tuple[str, ...] = TRAINING) -> str:
    """The product's version and 12 hexadecimal digits of the sources of these packages: ``0.1.0+3f2a90b1c2d3``.

    The same wherever the same sources are installed; any change of a line in them is another one.
    """
    digest = hashlib.sha256()
    for package in packages:
        folder = resources.files(package)
        for file in sorted((f for f in folder.iterdir() if f.name.endswith(_SOURCES)), key=lambda f: f.name):
            content = file.read_bytes().replace(b"\r\n", b"\n")
            digest.update(f"{package}/{file.name}\0{len(content)}\0".encode())
            digest.update(content)
    try:
        release = version("orimono")
    except PackageNotFoundError:  # run from a folder that was never installed
        release = "0"
    return f"{release}+{digest.hexdigest()[:12]}"


def _refuse_other_files(data: bytes, what: str) -> None:
    """An ONNX file may name others for its tensors: its hash would then promise nothing, and what it reads on the
    machine that serves it would be its own choice."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise BadInput(what, "cannot be loaded (it is not an ONNX file)", "export it again") from error
    graphs, nodes, tensors = [model.graph], [n for f in model.functions for n in f.node], []
    while graphs or nodes:
        if not nodes:
            graph = graphs.pop()
            nodes += graph.node
            tensors += graph.initializer
            tensors += [t for sparse in graph.sparse_initializer for t in (sparse.values, sparse.indices)]
            continue
        for attribute in nodes.pop().attribute:
            tensors += [attribute.t, *attribute.tensors]
            graphs += [attribute.g, *attribute.graphs]
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in tensors):
        raise BadInput(what, "keeps some of its numbers in other files", "export it as one file")


def _refuse_misfit(reference: Mapping[str, Any], tried: sessions.Warm, what: str) -> None:
    remedy = "make the reference from this model's own inputs and outputs"
    for key, named, whole in (
        ("input_edges", drift.INPUT_COLUMNS, tried.input_dim),
        ("output_edges", drift.OUTPUT_COLUMNS, tried.output_dim),
    ):
        try:
            columns = drift.columns(reference, named, whole)
        except BadInput as error:
            raise BadInput(what, f"comes with a reference that {error.reason}", remedy) from error
        width = whole if columns is None else len(columns)
        edges = reference.get(key)
        if edges is not None and len(edges) != width:
            raise BadInput(what, f"comes with a reference of {len(edges)} {key} for a width of {width}", remedy)


def _refuse_withdrawn(session: Session, snapshot_id: int, feature_version: str, what: str) -> None:
    """Under a lock of the snapshot: an erasure that is under way is waited for, a later one finds the version there."""
    if snapshots.get(session, snapshot_id) is None:
        raise BadInput(what, f"names training snapshot {snapshot_id}, which does not exist", "save the snapshot first")
    row = snapshots.locked(session, snapshot_id)
    session.refresh(row)  # as it is after the wait
    remedy = "assemble the training set again and train"
    if row.erased_at is not None:
        raise BadInput(what, f"learned from training snapshot {row.id}, which was erased meanwhile", remedy)
    withdrawn = consents.withdrawn_pseudonyms(session, row.users, since=row.created_at)
    if withdrawn:
        who = ", ".join(sorted(withdrawn))
        reason = f"learned from training snapshot {row.id}, of which {len(withdrawn)} withdrew meanwhile ({who})"
        raise BadInput(what, reason, remedy)
    if row.feature_version != feature_version:
        reason = f"claims features {feature_version!r}, its training snapshot {row.id} holds {row.feature_version!r}"
        raise BadInput(what, reason, "name the snapshot that it learned from")


def _delete_unnamed(studio: Studio, name: str, key: str) -> None:
    with studio.database.session() as session:
        models.lock(session, name)
        if not models.uses(session, key):
            studio.objects.delete(key)


def _next(day: str, taken: Sequence[str]) -> str:
    """``day`` for the first version of a day, then ``day.2``, ``day.3`` ..."""
    if not taken:
        return day
    return f"{day}.{max(int(version.partition('.')[2] or 1) for version in taken) + 1}"
