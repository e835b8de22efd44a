"""Where the pages are and who is shown the way to them: the menu, by scope."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.identity.callers import Caller, Scope


@dataclass(frozen=True, slots=True)
class Way:
    name: str
    path: str
    scope: Scope


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    ways: tuple[Way, ...]


MENU = (
    Group(
        "Work",
        (
            Way("Overview", "/", "jobs:read"),
            Way("New job", "/new", "jobs:write"),
            Way("Jobs", "/jobs", "jobs:read"),
        ),
    ),
    Group(
        "Results",
        (
            Way("Edits", "/edits", "jobs:read"),
            Way("Masters", "/masters", "jobs:read"),
            Way("Arrangements", "/arrangements", "jobs:read"),
            Way("Sheets", "/scoring", "jobs:read"),
        ),
    ),
    Group(
        "Models",
        (
            Way("Models", "/models", "operate"),
            Way("Rollout", "/rollout", "operate"),
            Way("Flags", "/flags", "operate"),
        ),
    ),
    Group(
        "People",
        (
            Way("Consents", "/consents", "consents"),
            Way("Deletions", "/withdrawals", "consents"),
            Way("Originals", "/originals", "originals"),
            Way("Approvals", "/approvals", "originals"),
            Way("Audit", "/audit", "audit"),
            Way("Keys", "/keys", "jobs:read"),
        ),
    ),
)


def menu(caller: Caller) -> tuple[Group, ...]:
    """What this caller may open."""
    seen = (Group(g.name, tuple(w for w in g.ways if w.scope in caller.scopes)) for g in MENU)
    return tuple(group for group in seen if group.ways)
