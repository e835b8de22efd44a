"""Originals, holds and the wishes to open one, as a caller sees and changes them. The rules are pipelines/governance's
vault.py and access.py."""

from __future__ import annotations

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.base import Page
from serving.wire.originals import Access, AccessDecision, AccessWish, HoldWish, OpenedOriginal, Original


def listed(
    house: House,
    caller: Caller,
    owner: str | None = None,
    *,
    held: bool = False,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Original]:
    """Those of ``owner``; None: the caller's own, or with ``held`` everybody's that are under a hold (operators)."""
    raise NotImplementedError


def find(house: House, caller: Caller, item_id: int) -> Original:
    raise NotImplementedError


def hold(house: House, caller: Caller, item_id: int, wish: HoldWish) -> Original:
    raise NotImplementedError


def release(house: House, caller: Caller, item_id: int) -> Original:
    raise NotImplementedError


def ask(house: House, caller: Caller, wish: AccessWish) -> Access:
    raise NotImplementedError


def accesses(
    house: House, caller: Caller, *, waiting: bool = False, limit: int = 50, cursor: str | None = None
) -> Page[Access]:
    """The caller's own wishes; everybody's for who may decide (operators). ``waiting``: those without a decision."""
    raise NotImplementedError


def access(house: House, caller: Caller, request_id: int) -> Access:
    raise NotImplementedError


def decide(house: House, caller: Caller, request_id: int, wish: AccessDecision) -> Access:
    raise NotImplementedError


def open(house: House, caller: Caller, request_id: int) -> OpenedOriginal:
    raise NotImplementedError
