"""Cursors of lists: the number of the last row, in a form that nobody is led to count with. What they page over is each
view's."""

from __future__ import annotations

import base64
import binascii

from pipelines.errors import BadInput

_MOST = 2**63 - 1  # of a bigint


def encode(number: int) -> str:
    return base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")


def decode(cursor: str | None) -> int | None:
    """None for None; BadInput for what ``encode`` did not make."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    if not (text.isdigit() and len(text) <= 19 and int(text) <= _MOST and encode(int(text)) == cursor):
        raise BadInput("cursor", "is none of a list", "take it from the answer before, or leave it out")
    return int(text)


def encode_pair(number: int, name: str) -> str:
    """For a list whose order is a number and, among equals, a name."""
    return base64.urlsafe_b64encode(f"{number}:{name}".encode()).decode().rstrip("=")


def decode_pair(cursor: str | None) -> tuple[int, str] | None:
    """None for None; BadInput for what ``encode_pair`` did not make."""
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    number, _, name = text.partition(":")
    if not (number.isascii() and number.isdigit() and len(number) <= 16 and "\0" not in name):
        raise BadInput("cursor", "is none of a list", "take it from the answer before, or leave it out")
    if encode_pair(int(number), name) != cursor:
        raise BadInput("cursor", "is none of a list", "take it from the answer before, or leave it out")
    return int(number), name
