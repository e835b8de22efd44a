"""Patterns: ways to edit, each a query over the shared features. Built in: dynamic, narrative, hybrid.

Packages add patterns and heads through the entry points ``orimono.patterns`` (a Query) and ``orimono.scorers`` (a
function from heads.Material to a matrix). How a query is answered is left to rhythm.py and solver.py.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pipelines.editing.heads import Scorer
from pipelines.plugins import plugged_in

logger = logging.getLogger(__name__)

WAVERING = 1.1  # a played beat is up to a tenth longer or shorter than the next
SHORTEST_CUT = 0.4  # s: below it a shot is a flash, and a detector may merge two cuts


@dataclass(frozen=True, slots=True)
class CuttingStyle:
    """Where cuts fall. Lengths in felt beats (0.35..0.8 s); weights are over a cut on a plain beat."""

    shortest: float
    longest: float
    calm: float  # target length where the music is at its quietest
    intense: float  # ... and at its loudest
    downbeat: float = 0.5
    section: float = 3.0
    offbeat: float = 1.0  # cost of a cut between two beats
    phrase: float = 0.0  # for the first beat of a sung phrase
    steadiness: float = 1.0  # how closely the target lengths are kept

    def __post_init__(self) -> None:
        if not 0 < self.shortest <= min(self.calm, self.intense) <= max(self.calm, self.intense) <= self.longest:
            raise ValueError(f"cut lengths want 0 < shortest <= calm, intense <= longest, got {self}")


@dataclass(frozen=True, slots=True)
class Query:
    """Weights over heads (any of SharedFeatures.heads, "flow" and "balance"), normalised to 1, and a cutting style.

    "balance" is even use of clips and shots, kept as a running term; "flow" is how well a shot follows the last.
    """

    name: str
    weights: Mapping[str, float]
    style: CuttingStyle

    def __post_init__(self) -> None:
        total = float(sum(self.weights.values()))
        if not total > 0 or any(not w >= 0 for w in self.weights.values()):
            raise ValueError(f"pattern {self.name}: weights must be at least 0 and not all 0, got {dict(self.weights)}")
        object.__setattr__(self, "weights", {k: float(w) / total for k, w in sorted(self.weights.items())})

    def fingerprint(self) -> str:
        """sha256 of everything that decides the answer, for cache keys."""
        what = [self.name, dict(self.weights), asdict(self.style)]
        return hashlib.sha256(json.dumps(what, ensure_ascii=False, sort_keys=True).encode()).hexdigest()

    def band(self, pulse: float) -> tuple[float, float]:
        """Shortest and longest cut in seconds where the felt beat lasts ``pulse`` (SharedFeatures.pulse)."""
        return max(SHORTEST_CUT, self.style.shortest * pulse / WAVERING), self.style.longest * pulse * WAVERING


BUILT_IN = (
    Query(
        "dynamic",
        {"sync": 0.38, "energy": 0.22, "balance": 0.14, "flow": 0.12, "semantic": 0.12, "coverage": 0.02},
        CuttingStyle(shortest=1, longest=8, calm=5, intense=1.5),
    ),
    Query(
        "narrative",
        {"semantic": 0.30, "flow": 0.18, "energy": 0.16, "balance": 0.14, "coverage": 0.14, "sync": 0.08},
        CuttingStyle(shortest=3, longest=16, calm=9, intense=4.5, downbeat=0.4, phrase=1.0),
    ),
    Query(
        "hybrid",
        {"balance": 0.25, "semantic": 0.19, "energy": 0.18, "flow": 0.15, "sync": 0.15, "coverage": 0.08},
        CuttingStyle(shortest=2, longest=12, calm=6, intense=2.5, phrase=0.6),
    ),
)


def patterns() -> dict[str, Query]:
    """All patterns by name, the built-in ones first. A broken plugin is named in a warning and left out."""
    found = {q.name: q for q in BUILT_IN}
    for name, query in plugged_in("orimono.patterns").items():
        if not isinstance(query, Query):
            logger.warning("pattern %s: is a %s, not a Query; it is left out", name, type(query).__name__)
        elif name != query.name:
            logger.warning("pattern %s: its Query is named %r; it is left out", name, query.name)
        elif name in found:
            logger.warning("pattern %s: the name is taken; the plugged-in one is left out", name)
        else:
            found[name] = query
    return found


def scorers() -> dict[str, Scorer]:
    """Plugged-in heads by name. A broken plugin is named in a warning and left out."""
    found: dict[str, Scorer] = {}
    for name, scorer in plugged_in("orimono.scorers").items():
        if callable(scorer):
            found[name] = scorer
        else:
            logger.warning("scorer %s: is a %s, not a function; it is left out", name, type(scorer).__name__)
    return found
