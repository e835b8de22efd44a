"""How a model is trained: every setting in one value that is stored with it.

What the settings do is training.py's, losses.py's and towers.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

DIMS = 768
# Above it a softmax over the whole catalogue costs more than it gains: 9,125 items took 0.6 s a step, a sample 0.15 s.
_FULL_SOFTMAX_ITEMS = 5_000

_RECENT_EVENTS = 3250  # that fall into the seven days which were chosen on ML-100K

Loss = Literal["auto", "softmax", "sampled_softmax", "bce"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The defaults were chosen on ML-100K, on what viewers chose before their last choice."""

    epochs: int = 6
    batch: int = 1024
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    optimizer: Literal["adamw", "adam"] = "adamw"
    schedule: Literal["cosine", "plateau"] = (
        "cosine"  # plateau: halved when an epoch brought nothing (needs validation)
    )
    warm_up: float = 0.1  # share of the steps
    patience: int = 0  # epochs without a better NDCG@20 before training stops; 0: never (needs validation)
    average: float = 0.99  # decay of the averaged weights, which are the ones served
    loss: Loss = "auto"
    temperature: float = 0.06
    smoothing: float = 0.1
    candidates: int = 2048  # items of a step, of a sampled softmax
    negatives: int = 2  # for each target, of the pairwise loss
    dropout: float = 0.1
    item_dropout: float = 0.0  # share of the items that a step knows by their features only
    taus: tuple[float, ...] = (0.7, 3.0, 10.0, 30.0, 100.0, float("inf"))  # events; the last: a plain mean
    window: int = 500  # newest events of a history that count
    returning: float = 0.2  # samples of viewers who come back later, for each that goes on at once
    prior_bins: int = 64  # moments at which recent popularity is taken; 0: without it
    prior_days: float = 7.0  # an event counts 1/e of a new one then
    # Added to the trust in it (before tanh) of who comes back or is new: the towers know by heart what was chosen in
    # the time they learned from, and would trust themselves as much in a time they did not. On days held out of
    # training it took NDCG@20 from .197 to .247 (recent popularity: .223).
    prior_ahead: float = 1.2
    prior_now: float = 0.0  # share of the samples that meet the newest popularity, as they will when served
    id_width: int = 128
    feature_width: int = 64
    hidden: tuple[int, int] = (512, 256)
    dims: int = DIMS

    @classmethod
    def for_events(cls, n: int, seconds: float) -> Recipe:
        """The recipe for so many events over so long a time: recent is what the last few thousand of them tell, be that
        a week of ML-100K or most of a year of a quiet studio."""
        days = _RECENT_EVENTS * seconds / 86_400.0 / max(n, 1)
        return cls(prior_days=round(min(max(days, 1.0), 3650.0), 1))

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Recipe:
        """What ``to_json`` gave, also from a version that knew fewer settings."""
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in stored.items() if name in known}
        for name in ("taus", "hidden"):
            if name in values:
                values[name] = tuple(values[name])
        values["taus"] = tuple(float(tau) for tau in values.get("taus", cls().taus))
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """Plain values; an infinite tau is the word "inf", which JSON has no number for."""
        stored = asdict(self)
        stored["taus"] = ["inf" if tau == float("inf") else tau for tau in self.taus]
        stored["hidden"] = list(self.hidden)
        return stored

    def loss_for(self, n_items: int) -> Literal["softmax", "sampled_softmax", "bce"]:
        """What ``auto`` means for a catalogue."""
        if self.loss != "auto":
            return self.loss
        return "softmax" if n_items <= _FULL_SOFTMAX_ITEMS else "sampled_softmax"
