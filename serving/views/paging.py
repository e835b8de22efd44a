"""Cursors of lists: the number of the last row, in a form that nobody is led to count with. What they page over is each
view's."""

from __future__ import annotations

import base64

from pipelines.errors import BadInput

_MOST = 2**63 - 1  # of a bigint


def encode(number: int) -> str:
    return _written(str(number))


def decode(cursor: str | None) -> int | None:
    """None for None; BadInput for what ``encode`` did not make."""
    if cursor is None:
        return None
    text = _read(cursor)
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= _MOST):
        raise _none()
    if encode(int(text)) != cursor:
        raise _none()
    return int(text)


def encode_pair(number: int, name: str) -> str:
    """For a list whose order is a number and, among equals, a name."""
    return _written(f"{number}:{name}")


def decode_pair(cursor: str | None) -> tuple[int, str] | None:
    """None for None; BadInput for what ``encode_pair`` did not make."""
    if cursor is None:
        return None
    number, _, name = _read(cursor).partition(":")
    if not (number.isascii() and number.isdigit() and len(number) <= 16 and "\0" not in name):
        raise _none()
    if encode_pair(int(number), name) != cursor:
        raise _none()
    return int(number), name


def _written(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(cursor: str) -> str:
    """Empty for what ``_written`` did not make."""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        return ""


def _none() -> BadInput:
    return BadInput("cursor", "is none of a list", "take it from the answer before, or leave it out")
