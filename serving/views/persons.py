"""How a person is shown where a name must not be: by pseudonym, whether the table has the name or, after a withdrawal,
the pseudonym already."""

from __future__ import annotations

import re

from pipelines.governance.people import pseudonym

_PSEUDONYM = re.compile(r"[0-9a-f]{16}\Z")


def shown(name: str) -> str:
    return name if _PSEUDONYM.match(name) else pseudonym(name)
