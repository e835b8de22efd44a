"""What a composer likes, learned from which candidate they took of each wish, with the house's ranking as the prior.

A conditional logit (McFadden, Conditional logit analysis of qualitative choice behavior, 1974), which for two
candidates is the pairwise logistic; weights are found by Newton's method, with a normal prior around the house's
weights, so that one choice moves them a little and twenty decide. Nothing of it is stored: it is learned from the rows
of arrangements when it is asked for, and goes with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import ranking
from pipelines.composing.wishes import STYLES, Style

if TYPE_CHECKING:
    from pipelines.studio import Studio

PRIOR_SPREAD = 0.7  # of a weight, around the house's
MOST_CHOICES = 300  # the newest ones are learned from
_STEPS = 30


@dataclass(frozen=True, slots=True)
class Chosen:
    """One wish: the measures of its candidates, and which of them was taken."""

    candidates: tuple[Mapping[str, float], ...]
    taken: int


@dataclass(frozen=True, slots=True)
class Taste:
    """``weights`` by style and measure; a style of which nothing was chosen is not in it."""

    weights: Mapping[Style, Mapping[str, float]] = field(default_factory=dict)
    choices: Mapping[Style, int] = field(default_factory=dict)

    def knows(self, style: Style) -> bool:
        return style in self.weights

    def rating(self, style: Style, measures: Mapping[str, float]) -> float:
        """Higher is nearer to what was taken before; the house's own rating where nothing was."""
        return ranking.rating(style, measures, self.weights.get(style))


def learn(style: Style, chosen: Sequence[Chosen], spread: float = PRIOR_SPREAD) -> dict[str, float]:
    """Weights by measure: the most probable ones. The house's without choices between two candidates or more."""
    table = ranking.MEASURES[style]
    names = list(table)
    house = np.array([table[name].weight for name in names])
    groups = [np.array([ranking.features(style, m) for m in one.candidates]) for one in chosen]
    taken = [one.taken for one in chosen]
    weights = house.copy()
    for _ in range(_STEPS):
        slope = (house - weights) / spread**2
        curve = np.eye(len(names)) / spread**2
        for group, index in zip(groups, taken, strict=True):
            share = _softmax(group @ weights)
            mean = share @ group
            slope += group[index] - mean
            curve += (group * share[:, None]).T @ group - np.outer(mean, mean)
        step = np.linalg.solve(curve, slope)
        weights += step
        if np.abs(step).max() < 1e-6:
            break
    return dict(zip(names, map(float, weights), strict=True))


def of(studio: Studio, owner: str) -> Taste:
    """Of this composer, from what they chose so far and may be learned from; nothing while they withdraw."""
    from pipelines.governance.people import pseudonym
    from pipelines.storage import arrangements, consents, withdrawals

    weights: dict[Style, dict[str, float]] = {}
    counts: dict[Style, int] = {}
    with studio.database.session() as session:
        person = pseudonym(owner)
        if withdrawals.of_person(session, person) is not None:
            return Taste()
        names = withdrawals.spellings(session, person)
        since = consents.taken_back_at(session, person)
        for style in STYLES:
            rows = arrangements.decided(session, names, style, since, MOST_CHOICES)
            chosen = [
                Chosen(tuple(row.measures for row in group), next(i for i, r in enumerate(group) if r.chosen_at))
                for group in rows
                if len(group) > 1
            ]
            if chosen:
                weights[style], counts[style] = learn(style, chosen), len(chosen)
    return Taste(weights, counts)


def _softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.exp(values - values.max())
    return np.asarray(shares / shares.sum())
