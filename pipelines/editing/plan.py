"""The cut list: what every pattern yields and every export, the renderer and the quality suite read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """A clip or the song that the edit draws on."""

    path: str
    content_hash: str
    duration: float  # s
    fps: tuple[int, int] = (0, 1)  # (0, 1) for sound
    n_frames: int = 0
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """Record frames [record_start, record_end) show ``clip`` from ``source_time`` (s, the clip's own clock) on.

    Record frame ``k`` shows the source frame on screen at ``source_time + (k - record_start) / fps``, so clips of any
    frame rate, even a variable one, keep their speed.
    """

    record_start: int
    record_end: int
    clip: int  # index into Edit.clips
    shot: int  # shot number within the clip
    source_time: float

    @property
    def n_frames(self) -> int:
        return self.record_end - self.record_start


@dataclass(frozen=True, slots=True)
class Edit:
    """Immutable; equal inputs and seed give equal ``to_json()`` bytes. Segments tile [0, n_frames) without gap."""

    pattern: str
    fps: tuple[int, int]
    n_frames: int
    width: int
    height: int
    music: Source
    music_start: float  # s into the song where record frame 0 lies
    clips: tuple[Source, ...]
    segments: tuple[Segment, ...]
    seed: int
    query: dict[str, float]  # the weights that were used, for the report
    confidence: float  # 0..1, the solver's own, from the inputs' confidences

    @property
    def rate(self) -> Fraction:
        return Fraction(*self.fps)

    @property
    def duration(self) -> float:
        return float(self.n_frames / self.rate)

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes | str) -> Edit:
        raw: dict[str, Any] = json.loads(data)
        raw["music"] = _source(raw["music"])
        raw["clips"] = tuple(_source(s) for s in raw["clips"])
        raw["segments"] = tuple(Segment(**s) for s in raw["segments"])
        raw["fps"] = tuple(raw["fps"])
        return cls(**raw)


def _source(raw: dict[str, Any]) -> Source:
    return Source(**{**raw, "fps": tuple(raw["fps"])})
