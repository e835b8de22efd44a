"""The instruments of General MIDI with their tags and ranges, kept as data in instruments.yaml, and what roles want.

Which of them (or which plug-in) a part is offered is suggesting.py's; how they sound is sound_font.py's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from pipelines.composing.piece import ROLES, Role
from pipelines.errors import BadInput

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_FILE = Path(__file__).with_name("instruments.yaml")
FORMAT = "gm"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Instrument:
    """``program``: 0..127, or a drum kit's number. ``low``..``high``: MIDI pitches that it reaches."""

    program: int
    name: str
    family: str
    tags: tuple[str, ...]
    kit: bool = False
    low: int = 0
    high: int = 127

    @property
    def identifier(self) -> str:
        """Its name in the registry: the program's number, ``kit:`` before a drum kit's."""
        return f"kit:{self.program}" if self.kit else str(self.program)


@dataclass(frozen=True, slots=True)
class _Book:
    programs: tuple[Instrument, ...]
    kits: tuple[Instrument, ...]
    defaults: Mapping[str, Mapping[Role, int]]
    suits: Mapping[str, Mapping[Role, Mapping[str, float]]]
    words: Mapping[str, tuple[str, ...]]


def programs() -> tuple[Instrument, ...]:
    """The 128 programs in their order."""
    return _book().programs


def kits() -> tuple[Instrument, ...]:
    return _book().kits


def named(identifier: str) -> Instrument:
    """The instrument of a registry name; BadInput when General MIDI has none such."""
    for one in (*programs(), *kits()):
        if one.identifier == identifier:
            return one
    raise BadInput(f"instrument {identifier!r}", "is not in General MIDI", "give a program from 0 to 127, or kit:0")


def default_program(role: Role, style: str) -> int:
    """The program (of drums: the kit) that a part gets before anybody has said what they like."""
    return _of_style(_book().defaults, style)[role]


def wanted(role: Role, style: str) -> Mapping[str, float]:
    """How much each tag speaks for (below 0: against) an instrument in this role."""
    return _of_style(_book().suits, style)[role]


def tags_of(words: Iterable[str]) -> tuple[str, ...]:
    """Our tags in what a plug-in says of itself: its features and its name. In the order in which they come."""
    book, found = _book(), []
    known = {tag for one in (*book.programs, *book.kits) for tag in one.tags}
    for text in words:
        text = text.lower()
        for word in (text, *re.findall(r"[a-z]+(?:-[a-z]+)?", text), *re.findall(r"[a-z]+", text)):
            found += [*book.words.get(word, ()), *([word] if word in known else [])]
    return tuple(dict.fromkeys(found))


def register(session: Session) -> None:
    """Puts General MIDI's instruments into the registry, or brings them up to date."""
    from pipelines.storage import plugins

    rows = [
        plugins.Described(FORMAT, one.identifier, one.name, "instrument", "General MIDI", tags=(one.family, *one.tags))
        for one in (*programs(), *kits())
    ]
    plugins.record(session, rows, fingerprint="instruments.yaml")


def load(path: Path) -> _Book:
    """Raises BadInput when a file like instruments.yaml is not whole."""
    import yaml

    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        pitched = tuple(_instrument(entry, kit=False) for entry in said["programs"])
        drums = tuple(_instrument(entry, kit=True) for entry in said["kits"])
        defaults = {style: _roles(entry) for style, entry in said["defaults"].items()}
        suits = {style: _roles(entry) for style, entry in said["suits"].items()}
        words = {str(word): tuple(tags) for word, tags in said["words"].items()}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"does not describe instruments ({type(error).__name__}: {error})"
        raise BadInput(path, " ".join(reason.split()), "correct the file") from error
    if [one.program for one in pitched] != list(range(128)):
        raise BadInput(path, "does not hold the programs from 0 to 127 in their order", "correct the file")
    return _Book(pitched, drums, MappingProxyType(defaults), MappingProxyType(suits), MappingProxyType(words))


def _instrument(entry: Mapping[str, Any], *, kit: bool) -> Instrument:
    low, high = entry.get("range", (0, 127))
    family = "drums" if kit else str(entry["family"])
    tags = tuple(str(tag) for tag in entry["tags"])
    return Instrument(int(entry["program"]), str(entry["name"]), family, tags, kit, int(low), int(high))


def _roles(entry: Mapping[str, Any]) -> Mapping[Role, Any]:
    if set(entry) != set(ROLES):
        raise ValueError(f"one entry a role is wanted: {', '.join(ROLES)}")
    return MappingProxyType({role: entry[role] for role in ROLES})


def _of_style(table: Mapping[str, Mapping[Role, T]], style: str) -> Mapping[Role, T]:
    if style not in table:
        raise BadInput(f"style {style!r}", "is not known", f"choose one of {', '.join(table)}")
    return table[style]


@cache
def _book() -> _Book:
    return load(_FILE)
