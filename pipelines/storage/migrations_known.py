"""Which revisions of the tables this version knows, oldest first; how they are reached is database.py's."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pipelines.storage.tables import REVISION


@cache
def revisions() -> tuple[str, ...]:
    """By the names of their files, which begin with the revision."""
    files = (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*.py")
    return tuple(sorted(file.name.partition("_")[0] for file in files))


def newest() -> str:
    return REVISION
