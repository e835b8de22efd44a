"""What the quality suite hands out: a gate passes or fails, a score says how much better than chance.

How they are measured is left to screening.py (the rendered file), gates.py and scores.py.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNIFICANT = 0.05  # p-value from which a score is called better than chance


@dataclass(frozen=True, slots=True)
class Gate:
    """``passed`` is None where nothing could be checked (``detail`` says why); that is never a pass."""

    passed: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Score:
    """``value`` is 0..1, ``raw`` the measured quantity before it was mapped, ``chance`` what raw is by luck alone.

    A part that does not apply (``applies`` False) is listed, and left out of the confidence: never counted as 1.
    """

    value: float
    raw: float
    n: int  # how many cuts, shots, lines ... were judged
    chance: float
    p_value: float  # of a raw value this high by luck; nan where no luck is involved
    applies: bool
    note: str

    @property
    def above_chance(self) -> bool:
        return self.applies and self.p_value < SIGNIFICANT


def not_applicable(note: str) -> Score:
    return Score(math.nan, math.nan, 0, math.nan, math.nan, False, note)


@dataclass(frozen=True, slots=True)
class Quality:
    """Measured on one rendered edit. Arrays are for the report: ``cuts`` in record frames, one picture a segment."""

    pattern: str
    scores: dict[str, Score]
    gates: dict[str, Gate]
    confidence: float  # aggregate confidence, 0..1
    input_cap: float  # the inputs' own confidence: no edit is surer than what it rests on
    cuts: NDArray[np.int64]  # [n] detected in the rendered file
    motion: NDArray[np.float32]  # [n_frames] measured in the rendered file, diagonal fractions a second
    thumbnails: NDArray[np.uint8]  # [n_segments, h, w, 3] RGB, the middle frame of each segment as rendered

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(name for name, gate in sorted(self.gates.items()) if gate.passed is False)

    @property
    def passed(self) -> bool:
        """Whether every gate that could be checked was passed."""
        return not self.failed

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON (nan becomes null)."""
        return {
            "pattern": self.pattern,
            "aggregateConfidence": round(self.confidence, 4),
            "inputCap": round(self.input_cap, 4),
            "passed": self.passed,
            "gates": {name: {"passed": g.passed, "detail": g.detail} for name, g in sorted(self.gates.items())},
            "scores": {
                name: {
                    "applies": s.applies,
                    "value": _number(s.value),
                    "raw": _number(s.raw),
                    "n": s.n,
                    "chance": _number(s.chance),
                    "pValue": _number(s.p_value),
                    "aboveChance": s.above_chance,
                    "note": s.note,
                }
                for name, s in sorted(self.scores.items())
            },
            "detectedCuts": [int(c) for c in self.cuts],
        }

    def to_json(self) -> bytes:
        return (json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n").encode()


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
