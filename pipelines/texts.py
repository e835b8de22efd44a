"""Text as people give it: whether it can be said back to them in a line."""

from __future__ import annotations

import unicodedata


def sayable(text: str) -> bool:
    """Whether it fits into one line of text: no control characters, no bytes that are no character. Emoji are fine."""
    return not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text)
