"""A model's bytes: stored so that they are known to be there, and read so that they are known to be the same.

What the bytes compute is sessions.py's, which row names them registry.py's.
"""

from __future__ import annotations

import hashlib

from pipelines.errors import BadInput, Unavailable
from pipelines.storage.objects import Objects
from pipelines.storage.tables import ModelVersion

SUFFIX = ".onnx"


def store(objects: Objects, data: bytes, suffix: str = SUFFIX) -> tuple[str, str]:
    """(key, sha256) of the bytes, which were read back and compared. An object that was damaged is put right.

    Unavailable when the store is away or full, or does not give back what it was given.
    """
    digest = hashlib.sha256(data).hexdigest()
    key = objects.put_bytes(data, suffix)
    if hashlib.sha256(objects.get(key)).hexdigest() != digest:  # an older, damaged object of the same size
        objects.put_named(key, data)
        if hashlib.sha256(objects.get(key)).hexdigest() != digest:
            raise Unavailable(objects.name, f"gives other bytes back for {key} than it was given", 60)
    return key, digest


def load(objects: Objects, row: ModelVersion) -> bytes:
    """The version's bytes, verified. BadInput, naming model and version, when they are gone or have changed;
    Unavailable when the store is away."""
    remedy = "restore the object, or roll back to a version that has its bytes"
    try:
        data = objects.get(row.uri)
    except BadInput as error:
        raise BadInput(named(row), f"has lost its bytes ({error.what}: {error.reason})", remedy) from error
    if hashlib.sha256(data).hexdigest() != row.sha256:
        raise BadInput(named(row), f"has other bytes in {row.uri} than were registered", remedy)
    return data


def named(row: ModelVersion) -> str:
    """``model master_reg v20261121``, as every message calls it."""
    return f"model {row.name} {row.version}"
