"""Deletions: taking everything back with a look at what would go first, and watching it go until it is due. What goes,
and when, is pipelines/governance/withdrawal.py's."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from pipelines import clock
from pipelines.errors import BadInput
from serving.api.callers import InHouse
from serving.api.house import House
from serving.dagster_ui import Pages
from serving.pages import deeds, rendering
from serving.pages.visits import Visit, acts, visits
from serving.views import withdrawals as views
from serving.wire.withdrawals import Withdrawal, WithdrawalWish

router = APIRouter()
Looks = Annotated[Visit, visits("consents")]


@router.get("/withdrawals")
def withdrawals(
    request: Request,
    visit: Looks,
    house: InHouse,
    owner: Annotated[str, Query(max_length=200)] = "",
    unfinished: str = "",
    cursor: str | None = None,
) -> Response:
    found = views.listed(house, visit.caller, unfinished=bool(unfinished), cursor=cursor)
    return rendering.render(
        request,
        "withdrawals.html",
        page=found,
        unfinished=bool(unfinished),
        passed=passed,
        in_words=in_words,
        retention_url=_hourly(house),
        owner=owner.strip(),
    )


@router.get("/withdrawals/preview")
def preview(
    request: Request,
    visit: Looks,
    house: InHouse,
    owner: Annotated[str, Query(max_length=200)] = "",
    keep_originals: str = "",
) -> Response:
    whose, keep = owner.strip() or None, keep_originals == "on"
    found = views.preview(house, visit.caller, whose, keep_originals=keep)
    own = whose is None or visit.caller.owns(whose)
    return rendering.render(request, "withdrawal_preview.html", preview=found, owner=owner.strip(), own=own, keep=keep)


@router.post("/withdrawals")
def ask(request: Request, visit: Annotated[Visit, acts("consents")], house: InHouse) -> Response:
    owner = visit.form.get("owner", "").strip()

    def deed() -> str:
        if visit.form.get("sure") != "on":
            raise BadInput("this withdrawal", "is not confirmed", "tick that it cannot be undone")
        wish = deeds.wish(WithdrawalWish, owner=owner or None, keep_originals=visit.form.get("keep_originals") == "on")
        row = views.ask(house, visit.caller, wish)
        return f"Excluded from everything now; deleted by {row.due_at:%-d %B %Y, %H:%M} UTC."

    return deeds.done(request, "/withdrawals", deed)


@router.get("/withdrawals/{withdrawal_id}")
def withdrawal(request: Request, visit: Looks, house: InHouse, withdrawal_id: str) -> Response:
    found = views.find(house, visit.caller, deeds.whole(withdrawal_id, f"withdrawal {withdrawal_id[:40]}"))
    return rendering.render(
        request, "withdrawal.html", withdrawal=found, passed=passed, in_words=in_words, retention_url=_hourly(house)
    )


def passed(row: Withdrawal, now: datetime | None = None) -> float:
    """How much of the time that a withdrawal may take is over, 0..1."""
    if row.completed_at is not None:
        return 1.0
    whole = (row.due_at - row.requested_at).total_seconds()
    gone = ((now or clock.now()) - row.requested_at).total_seconds()
    return min(1.0, max(0.0, gone / whole)) if whole > 0 else 1.0


def in_words(row: Withdrawal, now: datetime | None = None) -> str:
    """The state in one plain sentence."""
    now = now or clock.now()
    if row.completed_at is not None:
        late = row.completed_at > row.due_at
        return f"All is deleted, and was looked for again{_late(row.due_at, row.completed_at) if late else ''}."
    if now > row.due_at:
        return (
            f"Overdue by {_span(row.due_at, now)}: it should all be gone and is not. "
            "The hourly run tries again; see its last run for what is in the way."
        )
    return f"Excluded from everything already; the hourly run deletes it within {_span(now, row.due_at)}."


def _late(due: datetime, then: datetime) -> str:
    return f", {_span(due, then)} late"


def _span(start: datetime, end: datetime) -> str:
    """Whole hours, or minutes below one; never "0 minutes"."""
    minutes = max(1, int((end - start).total_seconds() // 60))
    n, unit = (minutes // 60, "hour") if minutes >= 60 else (minutes, "minute")
    return f"{n} {unit}{'' if n == 1 else 's'}"


def _hourly(house: House) -> str:
    return Pages(house.settings).job("hourly_retention")
