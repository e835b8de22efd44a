"""Flags as they are shown and turned. What each switches is pipelines/storage/flags.py's."""

from __future__ import annotations

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.flags import Flag, Flags, FlagWish


def listed(house: House, caller: Caller) -> Flags:
    raise NotImplementedError


def find(house: House, caller: Caller, name: str) -> Flag:
    raise NotImplementedError


def switch(house: House, caller: Caller, name: str, wish: FlagWish, if_match: str | None = None) -> Flag:
    """``if_match``: the etag of the flag as the caller saw it, 412 when it is another now; None: whatever it is."""
    raise NotImplementedError
