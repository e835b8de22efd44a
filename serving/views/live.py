"""Accompaniment: what a live session needs, and sketches of small melodies at once."""

from __future__ import annotations

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire import live as wire


def protocol() -> wire.LiveProtocol:
    """What documents the WebSocket."""
    return wire.LiveProtocol(played=wire.PLAYED.json_schema(), told=wire.TOLD.json_schema(mode="serialization"))


def sketch(house: House, caller: Caller, wish: wire.SketchWish) -> wire.Sketch:
    """Arrangements of a small melody, now. BadInput in the command line's words; Unavailable when it takes too long or
    others are before it."""
    raise NotImplementedError
