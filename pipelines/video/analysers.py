"""What an analyser of moving pictures is, and which ones run: the built-in ones and those that other packages bring.

An analyser sees every frame of the one decode pass; what it makes of them is its own module's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol

from numpy.typing import NDArray

from pipelines.media.frames import FrameInfo
from pipelines.media.picture import Picture

GROUP = "orimono.analysers"  # entry points: a class or function that makes an Analyser of no arguments


class Analyser(Protocol):
    """Fed by ``pipelines.video.analysis.analyse``: ``start``, then ``frame`` for each frame in order, then ``finish``.

    ``name`` and ``version`` are part of the cache key: raise the version when results change. An analyser keeps a few
    numbers a frame, never the pictures, so that memory does not grow with the clip.
    """

    name: str
    version: str

    def start(self, info: FrameInfo) -> None: ...

    def frame(self, index: int, time: float, image: Picture) -> None: ...

    def finish(self) -> Mapping[str, NDArray[Any]]: ...


def built_in() -> list[Analyser]:
    """Fresh analysers for every field of VideoFeatures."""
    from pipelines.video.colour import Colour
    from pipelines.video.faces import Faces
    from pipelines.video.light import Light
    from pipelines.video.motion import Motion
    from pipelines.video.shots import Shots

    return [Shots(), Motion(), Light(), Colour(), Faces()]


def plugged_in() -> list[Analyser]:
    """Fresh analysers of other packages, in the order of their entry points' names."""
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return [point.load()() for point in found]


def signature(analysers: Sequence[Analyser]) -> str:
    """Names and versions, for cache keys: ``"colour-1,faces-1,..."``."""
    return ",".join(sorted(f"{a.name}-{a.version}" for a in analysers))
