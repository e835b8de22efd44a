"""A whole two-tower model in one file: a ZIP of two ONNX files, arrays and JSON. Nothing in it is run when it is read.

Equal models are equal bytes: members in one order, without dates.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.recommending import prior
from pipelines.recommending.item_features import ItemEncoder
from pipelines.recommending.moments import Moments
from pipelines.recommending.recipe import Recipe
from pipelines.recommending.user_features import UserEncoder
from pipelines.recommending.viewers import Viewers

if TYPE_CHECKING:
    from pipelines.recommending.two_tower import TwoTower

_FORMAT = 1
_WHAT = "recommender"
_REMEDY = "train it again, or roll back to a version that works"


def pack(model: TwoTower) -> bytes:
    """The bytes of a model."""
    from safetensors.numpy import save

    viewers = model.viewers
    items_state, items_arrays = model.items.state()
    user_state, user_arrays = viewers.encoder.state()
    arrays = {"table": model.table, "popularity": model.popularity}
    arrays |= {f"items.{name}": array for name, array in items_arrays.items()}
    arrays |= {f"viewers.{name}": array for name, array in user_arrays.items()}
    members = {
        "user.onnx": model.user_onnx,
        "item.onnx": model.item_onnx,
        "arrays.safetensors": save({name: np.ascontiguousarray(array) for name, array in arrays.items()}),
    }
    facts = {
        "format": _FORMAT,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
        "item_ids": list(model.item_ids),
        "items": items_state,
        "viewers": user_state,
        "moments": [viewers.moments.first, viewers.moments.last],
        "unwanted": viewers.unwanted,
        "inputs": _inputs(model),
        "recipe": model.recipe.to_json(),
        "notes": list(model.notes),
    }
    members["model.json"] = json.dumps(facts, ensure_ascii=False, sort_keys=True).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), members[name], zipfile.ZIP_DEFLATED, 1)
    return buffer.getvalue()


def _inputs(model: TwoTower) -> str:
    """A hash of what every input means: another program must not feed this model something else under its name."""
    popularity = f"{prior.DAY} {prior.REACH} {prior.SHARPNESS} {prior.LIMIT}"
    meant = "\n".join((*model.input_names, *model.items.names, popularity))
    return hashlib.sha256(meant.encode()).hexdigest()[:16]


def unpack(data: bytes) -> TwoTower:
    """The model of such bytes. Raises BadInput when they are damaged, or of another format."""
    from safetensors.numpy import load

    from pipelines.recommending.two_tower import TwoTower

    try:
        members = _members(data)
        facts = json.loads(members["model.json"])
        if facts["format"] != _FORMAT:
            raise BadInput(_WHAT, f"has the format {facts['format']!r}, not {_FORMAT}", "train it with this version")
        for name, expected in facts["sha256"].items():
            if hashlib.sha256(members[name]).hexdigest() != expected:
                raise BadInput(_WHAT, f"is damaged: {name} is not what was written", _REMEDY)
        arrays = load(members["arrays.safetensors"])
        recipe = Recipe.from_json(facts["recipe"])
        encoder = UserEncoder.from_state(facts["viewers"], _part(arrays, "viewers."))
        viewers = Viewers(encoder, Moments(*facts["moments"]), recipe.taus, recipe.window, bool(facts["unwanted"]))
        model = TwoTower(
            user_onnx=members["user.onnx"],
            item_onnx=members["item.onnx"],
            item_ids=tuple(facts["item_ids"]),
            items=ItemEncoder.from_state(facts["items"], _part(arrays, "items.")),
            viewers=viewers,
            table=arrays["table"],
            popularity=arrays["popularity"],
            recipe=recipe,
            notes=tuple(facts["notes"]),
        )
        if facts.get("inputs") != _inputs(model):
            raise BadInput(_WHAT, "was made by a program that told its towers something else", _REMEDY)
        return model
    except (zipfile.BadZipFile, zipfile.LargeZipFile, KeyError, ValueError, TypeError, EOFError, OSError) as error:
        raise BadInput(_WHAT, f"cannot be read ({type(error).__name__}: {error})", _REMEDY) from error


def _members(data: bytes) -> dict[str, bytes]:
    import zlib

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except (zlib.error, NotImplementedError, RuntimeError, IndexError) as error:  # what damage makes zipfile raise
        raise BadInput(_WHAT, f"is damaged ({error})", _REMEDY) from error


def _part(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
