"""Consents as a caller sees and changes them. What a change means is pipelines/governance/consent.py's."""

from __future__ import annotations

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.base import Page
from serving.wire.consents import Consent, ConsentWish, ViewerConsent, ViewerConsentWish


def listed(
    house: House, caller: Caller, owner: str | None = None, *, limit: int = 50, cursor: str | None = None
) -> Page[Consent]:
    """What ``owner`` (None: the caller) allowed, the newest first."""
    raise NotImplementedError


def give(house: House, caller: Caller, job: str, wish: ConsentWish) -> Consent:
    """Sets both consents of a job: of all that its owner gave in that folder. The newest revision's, as it is now."""
    raise NotImplementedError


def viewer(house: House, caller: Caller, owner: str | None = None) -> ViewerConsent:
    raise NotImplementedError


def give_viewer(house: House, caller: Caller, wish: ViewerConsentWish) -> ViewerConsent:
    raise NotImplementedError
