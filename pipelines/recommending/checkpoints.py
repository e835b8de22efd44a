"""A training as it stood after an epoch, in one file: killed anywhere, it goes on from there to the same model.

What belongs to the state is training.py's.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.interactions import Interactions
from pipelines.recommending.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

_KEPT = 2  # the newest; one before, should the newest be damaged


def fingerprint(interactions: Interactions, items: pd.DataFrame, recipe: Recipe, seed: int, more: object) -> str:
    """Of everything that decides how a training goes: a state of another one must not be taken up."""
    found = hashlib.sha256(json.dumps([recipe.to_json(), seed], sort_keys=True).encode())
    _feed(found, more)
    for column in (interactions.users, interactions.items, interactions.times, interactions.ratings):
        found.update(np.ascontiguousarray(column).tobytes())
    found.update(np.ascontiguousarray(interactions.wanted).tobytes())
    found.update("\n".join(interactions.item_ids.tolist()).encode())
    found.update(items.astype(str).to_csv(index=False).encode())
    return found.hexdigest()


def _feed(found: hashlib._Hash, what: object) -> None:
    """All of it: numpy abbreviates a long array as text."""
    if isinstance(what, np.ndarray):
        found.update(f"{what.dtype.str}{what.shape}".encode())
        found.update(np.ascontiguousarray(what).tobytes())
    elif isinstance(what, list | tuple):
        found.update(f"[{len(what)}]".encode())
        for part in what:
            _feed(found, part)
    else:
        found.update(repr(what).encode())


def save(folder: Path, epoch: int, mark: str, facts: dict[str, Any], arrays: list[NDArray[Any]]) -> None:
    """The state after ``epoch`` epochs, whole or not at all; older ones go."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"epoch-{epoch:04d}.npz"
    part = path.with_suffix(".part")
    named = {f"a{at:04d}": array for at, array in enumerate(arrays)}
    with part.open("wb") as file:
        np.savez(file, facts=np.array(json.dumps({"mark": mark, "epoch": epoch, **facts})), **named)  # type: ignore[arg-type]
    part.replace(path)
    for old in sorted(folder.glob("epoch-*.npz"))[:-_KEPT]:
        old.unlink()


def newest(folder: Path, mark: str) -> tuple[dict[str, Any], list[NDArray[Any]]] | None:
    """(facts, arrays) of the last whole state of this very training; None when there is none."""
    for path in sorted(folder.glob("epoch-*.npz"), reverse=True):
        try:
            with path.open("rb") as file, np.load(file) as stored:
                facts: dict[str, Any] = json.loads(str(stored["facts"]))
                if facts["mark"] == mark:
                    return facts, [stored[name] for name in sorted(stored.files) if name != "facts"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # cut short by whatever ended the machine
            continue
    return None
