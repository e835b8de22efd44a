"""Withdrawals as a caller asks for them and watches them. What goes is pipelines/governance/withdrawal.py's."""

from __future__ import annotations

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.base import Page
from serving.wire.withdrawals import Withdrawal, WithdrawalPreview, WithdrawalWish


def ask(house: House, caller: Caller, wish: WithdrawalWish) -> Withdrawal:
    raise NotImplementedError


def listed(
    house: House, caller: Caller, *, unfinished: bool = False, limit: int = 50, cursor: str | None = None
) -> Page[Withdrawal]:
    """The caller's own; everybody's for who reaches them."""
    raise NotImplementedError


def find(house: House, caller: Caller, withdrawal_id: int) -> Withdrawal:
    raise NotImplementedError


def preview(
    house: House, caller: Caller, owner: str | None = None, *, keep_originals: bool = False
) -> WithdrawalPreview:
    raise NotImplementedError
