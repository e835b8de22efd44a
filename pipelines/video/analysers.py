"""What an analyser of moving pictures is, and which ones run: the built-in ones and those that other packages bring.

An analyser sees every frame of the one decode pass; what it makes of them is its own module's business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from pipelines import plugins
from pipelines.media.frames import FrameInfo
from pipelines.media.picture import Picture

log = logging.getLogger(__name__)
T = TypeVar("T")
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
    """Fresh analysers of other packages, in the order of their entry points' names; broken ones are left out."""
    found: list[Analyser] = []
    for name, make in plugins.plugged_in(GROUP).items():
        try:
            found.append(Guarded(make()))
        except Exception as error:  # noqa: BLE001 - foreign code
            log.warning("analyser %s: cannot be made, %r; it is left out", name, error)
    return found


class Guarded:
    """A foreign analyser that, once it fails, is named, sees no more frames and yields nothing."""

    def __init__(self, analyser: Analyser) -> None:
        self.name, self.version = analyser.name, analyser.version
        self._analyser: Analyser | None = analyser

    def start(self, info: FrameInfo) -> None:
        self._ask(lambda a: a.start(info))

    def frame(self, index: int, time: float, image: Picture) -> None:
        self._ask(lambda a: a.frame(index, time, image))

    def finish(self) -> Mapping[str, NDArray[Any]]:
        return self._ask(lambda a: a.finish()) or {}

    def _ask(self, question: Callable[[Analyser], T]) -> T | None:
        if self._analyser is None:
            return None
        try:
            return question(self._analyser)
        except Exception as error:  # noqa: BLE001 - foreign code
            log.warning("analyser %s: failed, %r; this clip goes on without it", self.name, error)
            self._analyser = None
            return None


def signature(analysers: Sequence[Analyser]) -> str:
    """Names and versions, for cache keys: ``"colour-1,faces-1,..."``."""
    return ",".join(sorted(f"{a.name}-{a.version}" for a in analysers))
