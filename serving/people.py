"""Who sits at the command line: the machine's own user, an administrator since whoever reads the home can do all."""

from __future__ import annotations

import getpass

from pipelines.governance.people import Actor, Role


def operator(name: str | None = None, role: Role = "administrator") -> Actor:
    """``name``: who acts, where several people share a machine; the machine's user by default."""
    return Actor(name or getpass.getuser(), role)
