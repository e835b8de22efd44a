"""What one step of training needs, cut in numpy: ids, pools' weights, candidates. Vectors are looked up in the graph.

A batch depends on the seed, the epoch and its number alone, so that a resumed training meets the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending import pools
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.prefixes import Histories, Samples, histories
from pipelines.recommending.prior import Prior
from pipelines.recommending.recipe import Recipe

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_TRIES = 10  # draws of a negative before a seen one is put up with


@dataclass(frozen=True, slots=True)
class Batch:
    """b samples among c candidate items."""

    weights: csr_matrix[Any]  # [p * b, n_items] of pools.matrix
    features: NDArray[np.float32]  # [b, user_features]
    candidates: NDArray[np.int32]  # [c] items, rising
    columns: NDArray[np.int32]  # [b] the target's candidate
    seen: NDArray[np.int32]  # [m, 2] (sample, candidate) that the sample's viewer had already
    log_chance: NDArray[np.float32]  # [c]
    bins: NDArray[np.int32]  # [b] rows of the prior
    negatives: NDArray[np.int32]  # [b, k] candidates of the pairwise loss


@dataclass(frozen=True, slots=True)
class Batches:
    """Over all samples of some interactions."""

    interactions: Interactions
    samples: Samples
    features: NDArray[np.float32]  # [n, user_features]
    recipe: Recipe
    prior: Prior | None
    seed: int

    @property
    def n(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.samples) // self.recipe.batch)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Its batches, each made while the one before is learned from."""
        order = np.random.default_rng([self.seed, number]).permutation(len(self.samples))
        cut = _Cutter(self)
        with ThreadPoolExecutor(1) as hand:
            size = self.recipe.batch
            parts = [order[at : at + size] for at in range(0, len(order), size)]
            coming = hand.submit(cut, parts[0], (self.seed, number, 0))
            for at in range(len(parts)):
                batch = coming.result()
                if at + 1 < len(parts):
                    coming = hand.submit(cut, parts[at + 1], (self.seed, number, at + 1))
                yield batch


class _Cutter:
    def __init__(self, batches: Batches) -> None:
        self.of = batches
        events = batches.interactions
        self.offsets = events.offsets
        self.unwanted = ~events.wanted if (~events.wanted).any() else None
        self.loss = batches.recipe.loss_for(events.n_items)
        counts = np.bincount(batches.samples.targets, minlength=events.n_items)
        self.shares = counts / max(counts.sum(), 1)
        raised = (counts + 1.0) ** 0.5  # between what is chosen and what exists: rare items are wrong answers, too
        self.proposal = raised / raised.sum()
        first = np.full(events.n_items, np.iinfo(np.int64).max)
        np.minimum.at(first, events.items, events.times)
        self.by_birth = np.argsort(first, kind="stable").astype(np.int32)
        self.births = first[self.by_birth]

    def __call__(self, rows: NDArray[np.int64], seed: tuple[int, int, int]) -> Batch:
        of, recipe = self.of, self.of.recipe
        events, samples = of.interactions, of.samples
        rng = np.random.default_rng((*seed, 1))
        users, targets = samples.users[rows], samples.targets[rows]
        past = histories(events, users, samples.lengths[rows], recipe.window, self.offsets)
        unwanted = None if self.unwanted is None else self.unwanted[past.events]
        weights = pools.matrix(past.n, past.rows, past.items, past.ages, recipe.taus, events.n_items, unwanted)
        candidates, log_chance, drawn = self._candidates(targets, samples.times[rows], past, rng)
        place = np.full(events.n_items, -1, np.int32)
        place[candidates] = np.arange(len(candidates), dtype=np.int32)
        kept = (past.items != targets[past.rows]) & (place[past.items] >= 0)
        seen = np.stack([past.rows[kept], place[past.items[kept]]], axis=1).astype(np.int32)
        bins = np.zeros(len(rows), np.int32)
        if of.prior is not None:
            bins = of.prior.bins(samples.times[rows])
            bins[rng.random(len(rows)) < recipe.prior_now] = len(of.prior.table) - 1
        return Batch(
            weights, of.features[rows], candidates, place[targets], seen, log_chance, bins, place[drawn]
        )  # fmt: skip

    def _candidates(
        self, targets: NDArray[np.int32], times: NDArray[np.int64], past: Histories, rng: np.random.Generator
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
        n, b = self.of.interactions.n_items, len(targets)
        nothing = np.zeros((b, 0), np.int32)
        if self.loss == "softmax":
            return np.arange(n, dtype=np.int32), np.zeros(n, np.float32), nothing
        if self.loss == "bce":
            drawn = self._negatives(targets, times, past, rng)
            found = np.unique(np.concatenate([targets, drawn.ravel()])).astype(np.int32)
            return found, np.zeros(len(found), np.float32), drawn
        draws = min(self.of.recipe.candidates, n)
        found = np.unique(np.concatenate([targets, rng.choice(n, draws, p=self.proposal)])).astype(np.int32)
        missed = draws * np.log1p(-self.proposal[found]) + b * np.log1p(-np.minimum(self.shares[found], 1 - 1e-9))
        return found, np.log(-np.expm1(missed)).astype(np.float32), nothing

    def _negatives(
        self, targets: NDArray[np.int32], times: NDArray[np.int64], past: Histories, rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """[b, negatives] items that somebody had chosen by then and this viewer had not."""
        k = self.of.recipe.negatives
        known = np.maximum(np.searchsorted(self.births, times, side="right"), 1)
        n = self.of.interactions.n_items
        had = np.unique(
            np.concatenate([past.rows.astype(np.int64) * n + past.items, np.arange(len(targets)) * n + targets])
        )
        drawn = np.zeros((len(targets), k), np.int32)
        wrong = np.ones((len(targets), k), bool)
        for _ in range(_TRIES):
            fresh = self.by_birth[(rng.random(drawn.shape) * known[:, None]).astype(np.int64)]
            drawn = np.where(wrong, fresh, drawn)
            wrong = np.isin(np.arange(len(targets))[:, None] * n + drawn, had)
            if not wrong.any():
                break
        return drawn
