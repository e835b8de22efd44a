"""The presets of the master chain."""

from __future__ import annotations

from serving.wire.base import Answered


class Preset(Answered):
    """``suggested``: the product may choose it by itself; others are there to be asked for."""

    name: str
    title: str
    intent: str
    target_lufs: float
    ceiling_dbtp: float
    suggested: bool


class Presets(Answered):
    items: tuple[Preset, ...]
