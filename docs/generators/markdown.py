"""The few forms that all generated pages are put together from."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence


def cell(text: object) -> str:
    """One cell of a table: in one line, with the characters that would end it or begin a tag written out."""
    return " ".join(str(text).split()).replace("|", r"\|").replace("<", "&lt;")


def code(text: object) -> str:
    """As code inside a line or a cell; a bar inside a cell would end it, even there."""
    written = str(text).replace("|", "&#124;").replace("<", "&lt;").replace("`", "&#96;")
    return f"<code>{written}</code>" if written != str(text) else f"`{written}`"


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heading)} |", "|" + "---|" * len(heading)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def page(title: str, about: str, *sections: str) -> str:
    """``sections``: headings, paragraphs and tables, as they follow each other."""
    return "\n\n".join([f"# {title}", about, *(section for section in sections if section)]) + "\n"


def told(thing: object) -> str:
    """The docstring; a class that has none of its own says nothing. Double backticks are Markdown's single ones."""
    text = thing.__doc__ if isinstance(thing, type) else inspect.getdoc(thing)
    return inspect.cleandoc(text or "").replace("``", "`")
