"""A two-tower candidate: trained once from a snapshot, judged on what it did not see, and released as a version.

Three trainings make one: without each viewer's last two choices (the last is judged by, the one before it chooses the
epoch), without the last days, and, to serve, with everything. Every part is stored as it is done, so a run that was
killed goes on. How a model learns is training.py's, how it is judged evaluation.py's, who gets it models/rollout.py's.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.errors import BadInput
from pipelines.models import candidates as life_cycle
from pipelines.models import registry, snapshots
from pipelines.recommending import dataset
from pipelines.recommending.dataset import NAME, Dataset
from pipelines.storage.tables import TrainingSnapshot
from pipelines.studio import Studio

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.recommending.recipe import Recipe
    from pipelines.recommending.splits import Split
    from pipelines.recommending.training import Epoch
    from pipelines.recommending.two_tower import TwoTower

SEED = 0
PARTS = ("leave_last_out", "global_time", "whole")
SOURCES = ("pipelines.recommending", "pipelines.models")
BUNDLE = ".towers"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """One training: the model's bytes, and what is to be told of it."""

    name: str
    bundle: bytes
    facts: dict[str, Any]  # epochs, curves, seconds, parity, notes ...

    @property
    def model(self) -> TwoTower:
        from pipelines.recommending.two_tower import TwoTower

        return TwoTower.from_bytes(self.bundle)


def load(studio: Studio, snapshot: TrainingSnapshot) -> Dataset:
    """What the candidate learns from. BadInput when it was erased or damaged."""
    catalogue = snapshot.provenance["catalogue"]
    items = studio.objects.get(catalogue["key"])
    if hashlib.sha256(items).hexdigest() != catalogue["sha256"]:
        raise BadInput(catalogue["key"], "has other bytes than were stored", "assemble the interactions again")
    return dataset.read(snapshots.content(studio, snapshot), items)


def train(studio: Studio) -> list[Part]:
    """The three parts, those that are stored already as they are.

    The part that is judged by each viewer's last choice is trained first and keeps the epoch that foresaw the choice
    before it best; the others learn for as many epochs. Raises BadInput as training does, and when somebody withdrew
    meanwhile.
    """
    snapshot = chosen(studio)
    data = functools.cache(lambda: load(studio, snapshot))
    found: list[Part] = []
    try:
        for name in PARTS:
            part = stored(studio, snapshot, name)
            if part is None:
                if name == "global_time" and not _divisible(data()):
                    continue
                epochs = found[0].facts["best_epoch"] if found else None
                part = _train(studio, snapshot, data(), name, epochs)
            found.append(part)
    except BadInput:  # another try would begin as this one did
        shutil.rmtree(snapshots.checkpoints(studio, NAME), ignore_errors=True)
        raise
    shutil.rmtree(snapshots.checkpoints(studio, NAME), ignore_errors=True)
    return found


def _train(studio: Studio, snapshot: TrainingSnapshot, data: Dataset, name: str, epochs: int | None) -> Part:
    from pipelines.recommending import splits, training

    interactions, validation = data.interactions, None
    if name != "whole":
        interactions = split_of(data, name).train
    if epochs is None:
        last_two = splits.leave_last_two(data.interactions)
        validation = (last_two.users, [last_two.targets(j) for j in range(len(last_two))])
        interactions = last_two.train
    recipe = recipe_of(studio, data, epochs)
    folder = snapshots.checkpoints(studio, NAME) / f"{snapshot.sha256[:16]}-{name}"
    items = data.items if name == "whole" else judged_items(data)
    trained = training.train(interactions, items, recipe=recipe, seed=SEED, validation=validation, checkpoints=folder)
    facts = {
        "best_epoch": _best(trained.curves),
        "epochs": trained.epochs,
        "seconds": trained.seconds,
        "parity": trained.parity,
        "curves": [asdict(epoch) for epoch in trained.curves],
        "notes": list(trained.notes),
        "recipe": trained.recipe.to_json(),
        "peak_memory_mb": trained.peak_memory_mb,
    }
    bundle = trained.model.to_bytes()
    snapshots.put(studio, snapshot, key(studio, snapshot, name, BUNDLE), bundle)
    # Last, since whoever finds the facts takes the rest to be there.
    snapshots.put(studio, snapshot, key(studio, snapshot, name, ".json"), json.dumps(facts).encode())
    return Part(name, bundle, facts)


def judged_items(data: Dataset) -> pd.DataFrame:
    """The catalogue without its tags: viewers gave them, and when is not known, so some may be of held-out days."""
    items = data.items.copy()
    items["tags"] = [list[str]() for _ in range(len(items))]
    return items


def _best(curves: Sequence[Epoch]) -> int:
    """Number of the epoch whose weights are served: the best on validation, or the last."""
    judged = [epoch for epoch in curves if epoch.ndcg is not None]
    best = max(judged, key=lambda epoch: epoch.ndcg or 0.0, default=None)
    return len(curves) if best is None else best.number


def split_of(data: Dataset, name: str) -> Split:
    """What a part is judged by. BadInput where the decisions cannot be divided so."""
    from pipelines.recommending import splits

    cut = splits.leave_last_out if name == "leave_last_out" else splits.global_time
    return cut(data.interactions)


def _divisible(data: Dataset) -> bool:
    """Whether there is a moment with decisions on both sides: without one, nobody is judged by time."""
    try:
        split_of(data, "global_time")
    except BadInput as error:
        log.warning("%s", error)
        return False
    return True


def recipe_of(studio: Studio, data: Dataset, epochs: int | None = None) -> Recipe:
    from dataclasses import replace

    from pipelines.recommending.recipe import Recipe

    recipe = Recipe.for_events(len(data.interactions), float(np.ptp(data.interactions.times)))
    return replace(recipe, epochs=epochs or studio.settings.whole("recommender_epochs"))


def chosen(studio: Studio) -> TrainingSnapshot:
    """The snapshot to learn from. BadInput when there is none, or its bytes were erased."""
    return life_cycle.chosen_snapshot(studio, NAME, "materialize interactions")


def stored(studio: Studio, snapshot: TrainingSnapshot, name: str) -> Part | None:
    facts = studio.objects.get_named(key(studio, snapshot, name, ".json"))
    bundle = studio.objects.get_named(key(studio, snapshot, name, BUNDLE))
    return None if facts is None or bundle is None else Part(name, bundle, json.loads(facts))


def trained(studio: Studio, name: str = "whole") -> Part:
    """BadInput when it has not been trained from the present snapshot."""
    found = stored(studio, chosen(studio), name)
    if found is None:
        raise BadInput(f"model {NAME}", "has not been trained from its interactions", "train it first")
    return found


def key(studio: Studio, snapshot: TrainingSnapshot, part: str, suffix: str) -> str:
    """Where a part lies: by the snapshot's hash, so that it goes with the snapshot."""
    params = {"task": NAME, "seed": SEED, "part": part, "epochs": studio.settings.recommender_epochs}
    return studio.cache.key("candidate", code_version(), snapshot.sha256, params, suffix)


def code_version() -> str:
    return registry.code_version(SOURCES)
