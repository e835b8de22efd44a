"""Who calls: an actor, with the scopes of the key or token that they came with.

The role says how far somebody reaches (their own things, or everybody's), scopes say what for.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pipelines.errors import BadInput, NotAllowed, NotFound
from pipelines.governance.people import ROLES, Actor, Role, pseudonym

Scope = Literal[
    "jobs:read",  # jobs and what came of them
    "jobs:write",  # uploads, new jobs of every system, another try
    "recommend",  # lists and decisions
    "infer",  # models, asked directly
    "live",  # accompaniment while somebody plays, and sketches
    "consents",  # consents and withdrawals
    "originals",  # asking for an original, and opening it
    "approve",  # deciding on such a wish
    "operate",  # status, models, rollouts, flags, metrics
    "audit",
    "keys",  # other people's keys
]
MAX_NAME = 200  # characters of a person's name
KeyStatus = Literal["works", "expired", "revoked"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
_ADDED: Mapping[Role, tuple[Scope, ...]] = {
    "viewer": ("jobs:read", "recommend", "consents"),
    "editor": ("jobs:write", "infer", "live", "originals"),
    "operator": ("approve", "operate", "audit"),
    "administrator": ("keys",),
}


def scopes_of(role: Role) -> frozenset[Scope]:
    """All that somebody with this role may be allowed."""
    return frozenset(scope for lower in ROLES[: ROLES.index(role) + 1] for scope in _ADDED[lower])


def narrowed(role: Role, scopes: Iterable[str]) -> frozenset[Scope]:
    """These scopes; BadInput for one that does not exist or that the role does not have."""
    wanted = frozenset(scopes)
    if unknown := sorted(wanted - set(SCOPES)):
        raise BadInput(repr(unknown[0]), "is no scope", f"choose from {', '.join(SCOPES)}")
    if beyond := sorted(wanted - scopes_of(role)):
        raise BadInput(repr(beyond[0]), f"is more than the role {role} has", "leave it out or give a higher role")
    return frozenset(scope for scope in SCOPES if scope in wanted)


def plain(text: str, most: int) -> bool:
    """Whether this is something that can be stored and shown in a line: no longer than ``most`` characters, without
    control characters and halves of characters."""
    return len(text) <= most and not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text)


@dataclass(frozen=True, slots=True)
class Caller:
    """``label`` is what limits and logs know the key or token by: ``key:3f2a9c01``, ``token:4d1e...``. No secret."""

    actor: Actor
    scopes: frozenset[Scope]
    label: str
    key_id: int | None = None  # None: came with a token

    @property
    def name(self) -> str:
        return self.actor.name

    def needs(self, scope: Scope) -> None:
        """Nothing when the caller has this scope; NotAllowed otherwise."""
        if scope not in self.scopes:
            raise NotAllowed("this key", f"lacks the scope {scope}", "use one that has it, or ask an administrator")

    @property
    def everybody(self) -> bool:
        """Whether other people's things are theirs to see: an operator's and an administrator's."""
        return self.actor.role in ("operator", "administrator")

    def owns(self, owner: str) -> bool:
        return pseudonym(owner) == self.actor.pseudonym

    def reach(self, owner: str | None, what: object) -> None:
        """Nothing when a thing of this owner is theirs to see; NotFound otherwise, as if there were none."""
        if not self.everybody and (owner is None or not self.owns(owner)):
            raise NotFound(what, "does not exist", "list yours for those that do")
