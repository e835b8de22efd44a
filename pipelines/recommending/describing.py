"""What the towers read of a dataset, laid out for a person: groups of features, what was missing, unknown or idle.

The features themselves are item_features.py's and user_features.py's; a training fits its own, on what it may see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.recommending import prefixes
from pipelines.recommending.dataset import Dataset
from pipelines.recommending.encoders import Encoded
from pipelines.recommending.item_features import ItemEncoder
from pipelines.recommending.user_features import UserEncoder


@dataclass(frozen=True, slots=True)
class Described:
    videos: Encoded  # a row a video
    viewers: Encoded  # a row a viewer, of the whole history

    def summary(self) -> dict[str, float | int | str]:
        found: dict[str, float | int | str] = {}
        for name, encoded in (("video", self.videos), ("viewer", self.viewers)):
            found |= {f"{name}s": len(encoded.matrix), f"{name}_features": len(encoded.names)}
            found |= {f"{name}_idle_features": len(_idle(encoded))}
            found |= {f"{name}s_without_{field}": n for field, n in encoded.missing.items() if n}
            found |= {f"{name}_unknown_{field}": n for field, n in encoded.unknown.items() if n}
        return {**found, "groups": self._table()}

    def problems(self) -> list[str]:
        """Why nothing should be learned from these features."""
        found = []
        for name, encoded in (("videos", self.videos), ("viewers", self.viewers)):
            if not np.isfinite(encoded.matrix).all():
                bad = [encoded.names[i] for i in np.flatnonzero(~np.isfinite(encoded.matrix).all(axis=0))[:5]]
                found.append(f"{name}: {', '.join(bad)} hold values that are not finite")
        if len(self.viewers.matrix) > 1 and len(_idle(self.viewers)) == len(self.viewers.names):
            found.append("viewers: every feature is the same for everybody")
        return found

    def _table(self) -> str:
        lines = ["| of | group | features | idle | filled |", "|---|---|---|---|---|"]
        for name, encoded in (("videos", self.videos), ("viewers", self.viewers)):
            idle = set(_idle(encoded))
            for group, columns in encoded.slices.items():
                part = encoded.matrix[:, columns]
                n_idle = len(idle & set(range(*columns.indices(len(encoded.names)))))
                filled = f"{float((part != 0).mean()):.1%}" if part.size else ""
                lines.append(f"| {name} | {group} | {part.shape[1]} | {n_idle} | {filled} |")
        return "\n".join(lines)


def describe(data: Dataset) -> Described:
    """Fits both encoders on everything and applies them to everybody."""
    interactions = data.interactions
    counts = np.bincount(interactions.items, minlength=interactions.n_items)
    return Described(
        ItemEncoder.fit(data.items, counts).transform(data.items, counts),
        UserEncoder.fit(interactions, data.items).encode(interactions, *prefixes.whole(interactions)),
    )


def _idle(encoded: Encoded) -> list[int]:
    """Columns that say the same of everybody."""
    if not len(encoded.matrix):
        return []
    return [int(i) for i in np.flatnonzero((encoded.matrix == encoded.matrix[0]).all(axis=0))]
