"""Training of the two towers: epochs over prefixes, averaged weights, a state a checkpoint can hold.

What the towers are is towers.py's, what a step is given batches.py's; the result is served by two_tower.py.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.recommending import checkpoints as states
from pipelines.recommending import export, prefixes
from pipelines.recommending.batches import Batches
from pipelines.recommending.cleaning import aligned
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.item_features import ItemEncoder
from pipelines.recommending.learner import Learner
from pipelines.recommending.moments import Moments
from pipelines.recommending.prior import prior_of
from pipelines.recommending.recipe import Recipe
from pipelines.recommending.towers import Sizes, Towers
from pipelines.recommending.two_tower import TwoTower
from pipelines.recommending.user_features import UserEncoder
from pipelines.recommending.viewers import Viewers

if TYPE_CHECKING:
    import pandas as pd

Validation = tuple[NDArray[np.int32], Sequence[NDArray[np.int32]]]
K = 20
PLAIN = 0.2  # standard deviation of a feature in the tower: at 1 they drowned the pools (.373 instead of .384)


@dataclass(frozen=True, slots=True)
class Epoch:
    """``recall`` and ``ndcg`` (of the first 20, seen items removed, by the averaged weights) only with validation."""

    number: int  # from 1
    loss: float
    learning_rate: float  # at its end
    seconds: float
    recall: float | None = None
    ndcg: float | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """A model and how it came to be."""

    model: TwoTower
    curves: tuple[Epoch, ...]
    seconds: float  # of this call: after a resumption, of the epochs since
    recipe: Recipe
    parity: float  # largest difference between Keras and ONNX, of both towers
    peak_memory_mb: float  # of this process so far
    notes: tuple[str, ...]

    @property
    def epochs(self) -> int:
        """That were trained; early stopping may have served an earlier one."""
        return len(self.curves)


def train(
    interactions: Interactions,
    items: pd.DataFrame,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    validation: Validation | None = None,
    checkpoints: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Learns from every wanted event that followed another of the same viewer.

    ``items`` describes any of ``interactions.item_ids``. ``validation``: (users [m], their targets), each judged on the
    whole history in ``interactions``; stops early and halves rates where the recipe says so. With ``checkpoints`` the
    same call resumes where a killed one left off, and ends with the same weights. Raises BadInput without any event.
    """
    began = time.monotonic()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # what TensorFlow tells of this CPU at its start helps nobody
    if not len(interactions):
        raise BadInput("decisions", "there are none", "import some before a model is trained")
    recipe = Recipe.for_events(len(interactions), float(np.ptp(interactions.times))) if recipe is None else recipe
    known = aligned(items, interactions.item_ids)
    setting = _Setting.of(interactions, known, recipe, seed)
    learner = setting.learner(seed)
    judged = None if validation is None else _Judge(setting, learner.towers, validation)
    mark = states.fingerprint(interactions, known, recipe, seed, validation)
    curves = _epochs(setting.batches, learner, judged, checkpoints, mark, on_epoch)
    model, parity = export.model_of(learner.towers, setting.popularity, setting.viewers, setting.items, recipe)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Trained(model, curves, time.monotonic() - began, recipe, parity, peak, setting.notes)


@dataclass(frozen=True, slots=True)
class _Setting:
    """Everything about the data that stays as it is while weights change."""

    interactions: Interactions
    batches: Batches
    viewers: Viewers
    items: ItemEncoder
    item_features: NDArray[np.float32]
    popularity: NDArray[np.float32]  # [n_items]
    sizes: Sizes
    notes: tuple[str, ...]

    @classmethod
    def of(cls, interactions: Interactions, known: pd.DataFrame, recipe: Recipe, seed: int) -> _Setting:
        n_items = interactions.n_items
        chosen = interactions.take(interactions.wanted)
        counts = np.bincount(chosen.items, minlength=n_items)
        encoder = ItemEncoder.fit(known, counts)
        encoded = encoder.transform(known, counts)
        moments = Moments(int(interactions.times.min()), int(interactions.times.max()))
        unwanted = bool((~interactions.wanted).any())
        viewers = Viewers(UserEncoder.fit(interactions, known), moments, recipe.taus, recipe.window, unwanted)
        samples = prefixes.samples_of(interactions)
        more = prefixes.returning(interactions, round(recipe.returning * len(samples)), seed)
        samples = prefixes.joined(samples, more, prefixes.newcomers(interactions))
        features = viewers.features_of(interactions, samples.users, samples.lengths, samples.asked)
        prior = prior_of(chosen.items, chosen.times, n_items, bins=max(recipe.prior_bins, 1), days=recipe.prior_days)
        batches = Batches(interactions, samples, features, recipe, prior if recipe.prior_bins else None, seed)
        sizes = Sizes(n_items, encoded.matrix.shape[1], features.shape[1], len(recipe.taus) + unwanted)
        notes = [f"{count:,} items without {name}" for name, count in encoded.missing.items() if count]
        if not len(samples):
            notes.append("nobody chose anything after something else: the towers are as they were drawn")
        return cls(
            interactions, batches, viewers, encoder, encoded.matrix, prior.now, sizes, tuple(notes)
        )  # fmt: skip

    def learner(self, seed: int) -> Learner:
        features = self.batches.features.astype(np.float64)
        mean = features.mean(axis=0) if len(features) else np.zeros(self.sizes.user_features)
        scale = features.std(axis=0) if len(features) else np.ones(self.sizes.user_features)
        scale = np.where(scale > 1e-6, scale, 1.0) / PLAIN
        recipe = self.batches.recipe
        towers = Towers(
            recipe, self.sizes, self.item_features, mean.astype(np.float32), scale.astype(np.float32), seed
        )  # fmt: skip
        steps = self.batches.n * recipe.epochs
        prior = self.batches.prior
        return Learner(towers, recipe.loss_for(self.sizes.n_items), steps, None if prior is None else prior.table)


def _epochs(
    batches: Batches,
    learner: Learner,
    judge: _Judge | None,
    folder: Path | None,
    mark: str,
    on_epoch: Callable[[Epoch], None] | None,
) -> tuple[Epoch, ...]:
    recipe = batches.recipe
    curves: list[Epoch] = []
    found = states.newest(folder, mark) if folder is not None else None
    if found is not None:
        facts, arrays = found
        curves = [Epoch(**epoch) for epoch in facts["curves"]]
        learner.restore(facts["learner"], arrays)
    while len(curves) < recipe.epochs and len(batches.samples) and not _stopped(curves, recipe):
        start = time.monotonic()
        loss = float(np.mean([learner.step(batch) for batch in batches.epoch(len(curves))]))
        if not np.isfinite(loss):
            raise BadInput("training", "diverged: its loss is no number", "lower the recipe's learning_rate")
        recall, ndcg = judge.figures(learner) if judge is not None else (None, None)
        curves.append(Epoch(len(curves) + 1, loss, learner.rate, time.monotonic() - start, recall, ndcg))
        learner.after_epoch(curves[-1].ndcg)
        if folder is not None:
            facts, arrays = learner.state()
            kept = {"curves": [_plain(epoch) for epoch in curves], "learner": facts}
            states.save(folder, len(curves), mark, kept, arrays)
        if on_epoch is not None:
            on_epoch(curves[-1])
    learner.finish()
    return tuple(curves)


def _stopped(curves: list[Epoch], recipe: Recipe) -> bool:
    figures = [epoch.ndcg for epoch in curves if epoch.ndcg is not None]
    return bool(recipe.patience and figures) and len(figures) - 1 - int(np.argmax(figures)) >= recipe.patience


def _plain(epoch: Epoch) -> dict[str, Any]:
    return {name: getattr(epoch, name) for name in Epoch.__slots__}


class _Judge:
    """Recall and NDCG of the first 20 among all items, seen ones removed."""

    def __init__(self, setting: _Setting, towers: Towers, validation: Validation) -> None:
        self.setting, self.towers = setting, towers
        self.users, self.targets = np.asarray(validation[0], np.int32), validation[1]
        events = setting.interactions
        self.lengths = np.diff(events.offsets)[self.users].astype(np.int32)
        self.features = setting.viewers.features_of(events, self.users, self.lengths)

    def figures(self, learner: Learner) -> tuple[float, float]:
        with learner.averaged():
            return self._figures()

    def _figures(self) -> tuple[float, float]:
        events, viewers = self.setting.interactions, self.setting.viewers
        table = self.towers.table()
        every = self.towers.item_vectors(table, self.setting.popularity[:, None]).numpy()
        gains = 1 / np.log2(np.arange(2, K + 2))
        recalls, ndcgs = [], []
        for at in range(0, len(self.users), 1024):
            users, lengths = self.users[at : at + 1024], self.lengths[at : at + 1024]
            pooled = viewers.pools_of(table.numpy(), events, events.items, users, lengths)
            vectors = self.towers.user_vectors(pooled, self.features[at : at + 1024]).numpy()
            scores = vectors @ every.T
            seen = prefixes.histories(events, users, lengths, len(events))
            scores[seen.rows, seen.items] = -np.inf
            for row, targets in enumerate(self.targets[at : at + 1024]):
                best = np.argsort(-scores[row], kind="stable")[:K]
                hit = np.isin(best, targets)
                places = min(K, len(np.atleast_1d(targets)))
                recalls.append(hit.sum() / places)
                ndcgs.append((hit * gains[: len(hit)]).sum() / gains[:places].sum())
        return float(np.mean(recalls)), float(np.mean(ndcgs))
