"""What the columns of a catalogue, of decisions and of tags are called, here and elsewhere.

How the cells below them are read is reading.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.errors import BadInput

# What each kind's columns are called elsewhere, the first that is there counts.
COLUMNS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "videos": {
        "video_id": ("video_id", "external_id", "movie_id", "item_id", "video", "id"),
        "title": ("title", "name"),
        "genres": ("genres", "genre"),
        "year": ("year", "release_year", "released"),
        "category": ("category", "type"),
        "duration_s": ("duration_s", "duration_seconds", "duration", "length_s"),
        "performers": ("performers", "performer", "cast", "actors", "artists"),
        "tags": ("tags", "keywords"),
        "description": ("description", "overview", "summary"),
        "available": ("available", "active"),
    },
    "decisions": {
        "user_id": ("user_id", "viewer_id", "viewer", "user"),
        "video_id": ("video_id", "external_id", "movie_id", "item_id", "video"),
        "decision": ("decision", "action"),
        "rating": ("rating", "stars", "score"),
        "decided_at": ("decided_at", "timestamp", "watched_at", "time", "date"),
    },
    "tags": {
        "video_id": ("video_id", "external_id", "movie_id", "item_id", "video"),
        "tag": ("tag", "keyword", "label"),
        "user_id": ("user_id", "viewer_id", "viewer", "user"),
    },
}
NEEDED: Mapping[str, tuple[tuple[str, ...], ...]] = {  # one of each tuple
    "videos": (("video_id",),),
    "decisions": (("user_id",), ("video_id",), ("decided_at",), ("decision", "rating")),
    "tags": (("video_id",), ("tag",)),
}
KINDS = tuple(COLUMNS)


def places(header: Sequence[str], kind: str, name: str) -> dict[str, int]:
    """Where each of our columns is in this header. BadInput when one is missing that ``kind`` needs."""
    found = {_plain(cell): place for place, cell in reversed(list(enumerate(header)))}
    placed: dict[str, int] = {}
    for column, called in COLUMNS[kind].items():
        place = next((found[_plain(c)] for c in called if _plain(c) in found), None)
        if place is not None and place not in placed.values():
            placed[column] = place
    wanted = ", ".join(" or ".join(group) for group in NEEDED[kind])
    remedy = f"{kind} need the columns {wanted}"
    if not found.keys() & _KNOWN:
        # Then its first line is a row, and says who decided what: messages are kept, and no withdrawal finds them.
        raise BadInput(name, "has no header line: its first line holds no column that is known", remedy)
    missing = [" or ".join(group) for group in NEEDED[kind] if not any(column in placed for column in group)]
    if missing:
        shown = ", ".join(cell.strip()[:40] for cell in header[:12]) + (", ..." if len(header) > 12 else "")
        raise BadInput(name, f"has no column {', no column '.join(missing)} (its columns: {shown})", remedy)
    return placed


def _plain(column: str) -> str:
    """``movieId``, ``Movie ID`` and ``movie_id`` are one."""
    return "".join(c for c in column.casefold() if c.isalnum())


_KNOWN = {_plain(name) for columns in COLUMNS.values() for called in columns.values() for name in called}
