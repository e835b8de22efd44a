"""Viewers by name: which id stands for one. A name is in no table; whoever knows it finds the person's rows."""

from __future__ import annotations

import uuid

from pipelines.governance.people import pseudonym

_NAMES = uuid.UUID("6f1d2a6c-5f0e-5f7a-9d54-6f72696d6f6e")


def viewer_id(name: str) -> uuid.UUID:
    """The viewer's id: the name itself where it is a UUID, else one made from its pseudonym, so that all spellings of
    a name are one viewer. BadInput for an empty name."""
    try:
        return uuid.UUID(name.strip())
    except ValueError:
        return uuid.uuid5(_NAMES, pseudonym(name))


def video_id(external_id: str) -> uuid.UUID:
    """The video's id: what the studio calls it where that is a UUID, else one made from it."""
    try:
        return uuid.UUID(external_id.strip())
    except ValueError:
        return uuid.uuid5(_NAMES, f"video:{external_id.strip()}")
