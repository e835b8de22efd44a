"""What of a page is to be run: its fenced blocks with their directives, in order. Running them is left to running.py.

A block is told how by an HTML comment right above it:
``<!-- docs: skip REASON -->`` is not run;
``<!-- docs: background until "TEXT" -->`` goes on running beside what follows, which begins when it has printed TEXT;
``<!-- docs: until "TEXT" -->`` is run again and again until it prints TEXT;
``<!-- docs: exits 2 -->`` is to fail so;
``<!-- docs: take NAME from "PATTERN" -->`` stands for a person who copies what was printed before into this block;
``<!-- docs: long -->`` takes more than some seconds;
``<!-- docs: picture FILE of ADDRESS -->`` needs no block (pictures.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
RUN = ("sh", "python")
_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_DIRECTIVE = re.compile(r"<!-- docs: (?P<said>.*?) -->", re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Block:
    """``language``: of the fence; ``picture`` for a directive that stands alone. ``said``: the directives above it."""

    page: str
    line: int
    language: str
    body: str
    said: tuple[str, ...] = ()
    title: str = ""

    @property
    def skipped(self) -> str | None:
        """Why it is not run, or None."""
        return self._after("skip")

    @property
    def long(self) -> bool:
        """Whether it takes more than some seconds: `make docs-test` runs it, `make test` does not."""
        return self._after("long") is not None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def _after(self, word: str) -> str | None:
        found = [one.removeprefix(word).strip() for one in self.said if one.split(" ")[0] == word]
        return found[0] if found else None

    def quoted(self, word: str) -> str | None:
        """The text in quotes after the directive of this word."""
        rest = self._after(word)
        match = re.search(r'"(.*)"', rest) if rest is not None else None
        return match[1] if match else None

    @property
    def exits(self) -> int:
        return int(self._after("exits") or 0)

    @property
    def taken(self) -> tuple[str, str] | None:
        """A word of the block, and the pattern whose first group takes its place."""
        rest = self._after("take")
        match = re.fullmatch(r'(\S+) from "(.*)"', rest) if rest is not None else None
        return (match[1], match[2]) if match else None


def pages() -> list[Path]:
    """README.md and every written page."""
    return [PROJECT / "README.md", *sorted(p for p in DOCS.rglob("*.md"))]


def blocks(page: Path, text: str | None = None) -> list[Block]:
    """Every fenced block and picture of the page (or of ``text`` in its place), in order."""
    text = page.read_text(encoding="utf-8") if text is None else text
    name = str(page.relative_to(PROJECT))
    found: list[Block] = []
    pending: list[tuple[int, str]] = []
    marks = sorted([*_FENCE.finditer(text), *_DIRECTIVE.finditer(text)], key=lambda match: match.start())
    end = 0
    for match in marks:
        if match.start() < end:  # a comment inside a block is the block's
            continue
        line = text.count("\n", 0, match.start()) + 1
        if match.re is _DIRECTIVE:
            end = match.end()
            said = " ".join(match["said"].split())
            if said.startswith("picture "):
                found.append(Block(name, line, "picture", said.removeprefix("picture ")))
            else:
                pending.append((match.end(), said))
            continue
        end = match.end()
        # Only what stands right above: the directive of another block is not this one's.
        if pending and text[pending[-1][0] : match.start()].strip():
            raise ValueError(f"{name}:{line}: the directive {pending[-1][1]!r} stands above no block")
        indent = match["indent"]
        body = "".join(row.removeprefix(indent) for row in match["body"].splitlines(keepends=True))
        info = match["info"].strip()
        title = _TITLE.search(info)
        language = info.split(" ")[0] if info else ""
        said_here = tuple(one for _, one in pending)
        found.append(Block(name, line, language, body, said_here, title[1] if title else ""))
        pending = []
    if pending:
        raise ValueError(f"{name}: the directive {pending[-1][1]!r} stands above no block")
    return found
