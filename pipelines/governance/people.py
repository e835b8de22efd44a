"""Persons: the pseudonym that stands for one wherever their name must not, and what each role may do.

Who is behind a pseudonym is in no table; whoever knows the name can compute it. Consents are left to consent.py.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from typing import Literal, get_args

from pipelines.errors import BadInput, NotAllowed

Role = Literal["viewer", "editor", "operator", "administrator"]
ROLES: tuple[Role, ...] = get_args(Role)  # each may do what those before it may


def pseudonym(user_id: str) -> str:
    """16 hexadecimal digits, equal for all spellings of one id: case, surrounding spaces and the way in which accents
    are encoded make no difference. BadInput for an empty id."""
    plain = unicodedata.normalize("NFC", user_id.strip().casefold())
    if not plain:
        raise BadInput("user id", "is empty", "name the person as job.yaml's owner does")
    return hashlib.sha256(f"orimono:{plain}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something. BadInput for a role that does not exist or a name that is empty."""

    name: str
    role: Role

    def __post_init__(self) -> None:
        pseudonym(self.name)
        if self.role not in ROLES:
            raise BadInput(repr(self.role), "is no role", f"choose from {', '.join(ROLES)}")

    @property
    def pseudonym(self) -> str:
        return pseudonym(self.name)


def needs(actor: Actor, role: Role) -> None:
    """Nothing when the actor has this role or a higher one; NotAllowed otherwise."""
    if ROLES.index(actor.role) < ROLES.index(role):
        reason = f"is {_with_article(actor.role)}, and this needs {_with_article(role)}"
        raise NotAllowed(actor.name, reason, f"ask {_with_article(role)} to do it")


def _with_article(role: Role) -> str:
    return f"{'a' if role == 'viewer' else 'an'} {role}"
