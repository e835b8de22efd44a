"""Grooves, kept as data in grooves.yaml: what each part plays in a bar of any metre, and which groove suits a tune.

Which notes come of it is bass_line.py's, drum_part.py's and comping.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipelines.composing.piece import Role
from pipelines.errors import BadInput

_FILE = Path(__file__).with_name("grooves.yaml")
_STEPS = {"4/4": 16, "3/4": 12, "6/8": 12, "twos": 12}
_LETTERS = {"drums": "Xxog.", "bass": "RFOTArfota-.", "chords": "Cc-.", "arpeggio": "12345-."}
DRUMS: Mapping[str, int] = MappingProxyType(
    {
        "kick": 36, "rim": 37, "snare": 38, "clap": 39, "tom_low": 43, "hat": 42, "pedal": 44, "open": 46,
        "tom_mid": 47, "crash": 49, "tom_high": 50, "ride": 51, "tambourine": 54, "shaker": 70,
    }
)  # keys of the General MIDI percussion map  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pattern:
    """One bar, a character a step. ``drums`` and ``fill``: a line a drum. ``step``: quarter notes a character lasts."""

    drums: Mapping[str, str]
    fill: Mapping[str, str]
    bass: str
    chords: str
    arpeggio: str
    step: float = 0.25

    @property
    def steps(self) -> int:
        return len(self.bass)


@dataclass(frozen=True, slots=True, eq=False)
class Groove:
    """``colour``, ``inversions`` and ``swing``: 0..1. ``begins``: the density from which each part plays."""

    name: str
    suits: tuple[float, float]  # quarters a minute
    colour: float
    inversions: float
    swing: float
    programs: Mapping[Role, int]
    begins: Mapping[Role, float]
    soft: Mapping[str, str]
    patterns: Mapping[str, Pattern]  # 4/4, 3/4, 6/8, twos

    def pattern(self, numerator: int, denominator: int) -> Pattern:
        """A bar of that metre. Those that are not written down are put together of groups() of the ones that are."""
        return _whole(self, numerator, denominator)


def compound(numerator: int, denominator: int) -> bool:
    """Whether the metre is counted in groups of eighths (or smaller): 6/8, 7/8, 3/16."""
    return denominator >= 8


def groups(numerator: int, denominator: int) -> tuple[int, ...]:
    """How the metre's units are grouped: 5/4 is 3+2, 7/4 is 4+3; 6/8 is 3+3, 7/8 is 2+2+3, 8/8 is 3+3+2."""
    if compound(numerator, denominator):
        if numerator == 7:
            return (2, 2, 3)
        threes, rest = divmod(numerator, 3)
        if rest == 1 and threes:
            return (*(3,) * (threes - 1), 2, 2)
        return (*(3,) * threes, *((rest,) if rest else ()))
    fours, rest = divmod(numerator, 4)
    if rest == 1 and fours:
        return (*(4,) * (fours - 1), 3, 2)
    if numerator == 6:
        return (3, 3)
    return (*(4,) * fours, *((rest,) if rest else ()))


@cache
def grooves() -> Mapping[str, Groove]:
    """All of grooves.yaml by name. Raises BadInput when a line is too long or holds a letter that means nothing."""
    import yaml

    held: dict[str, dict[str, Any]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return MappingProxyType({name: _groove(name, fields) for name, fields in held.items()})


def groove_named(name: str) -> Groove:
    """Raises BadInput with the names there are."""
    found = grooves().get(name)
    if found is None:
        raise BadInput(f"groove {name!r}", "is not known", f"choose from {', '.join(grooves())}")
    return found


def suited(numerator: int, denominator: int, quarters_a_minute: float) -> str:
    """The groove for a tune of that metre and tempo, when nobody asked for one."""
    if denominator <= 4 and numerator % 3 == 0:
        return "waltz" if quarters_a_minute >= 92 else "ballad"
    if numerator in (2, 6, 9, 12) or compound(numerator, denominator):
        return "folk" if quarters_a_minute >= 66 else "ballad"
    for name in ("ballad", "pop", "rock"):
        if quarters_a_minute <= grooves()[name].suits[1]:
            return name
    return "rock"


@lru_cache(maxsize=512)
def _whole(groove: Groove, numerator: int, denominator: int) -> Pattern:
    if (numerator, denominator) == (2, 2):
        return groove.patterns["4/4"]
    sizes, in_eighths = groups(numerator, denominator), compound(numerator, denominator)
    whole = _joined([_of_group(groove, size, place, len(sizes), in_eighths) for place, size in enumerate(sizes)])
    return replace(whole, step=(2.0 if in_eighths else 1.0) / denominator)


def _of_group(groove: Groove, size: int, place: int, of: int, in_eighths: bool) -> Pattern:
    last = place == of - 1
    if not in_eighths:
        name, begin, end = {
            1: ("4/4", 0, 4),
            2: ("4/4", 8, 16) if last and place else ("4/4", 0, 8),
            3: ("3/4", 0, 12),
            4: ("4/4", 0, 16),
        }[size]
    elif size == 3:
        name, begin, end = ("6/8", 0, 6) if place % 2 == 0 and not (last and place) else ("6/8", 6, 12)
    else:
        third = 0 if place == 0 else 2 if last else 1
        name, begin, end = "twos", third * 4, third * 4 + 2 * size
    source = groove.patterns["6/8" if name == "twos" else name]  # whose end is a fill's end
    fill = {drum: line[source.steps - (end - begin) :] for drum, line in source.fill.items()} if last else {}
    return replace(_cut(groove.patterns[name], begin, end), fill=fill)


def _groove(name: str, fields: dict[str, Any]) -> Groove:
    patterns = {metre: _pattern(f"{name} {metre}", fields[metre], steps) for metre, steps in _STEPS.items()}
    return Groove(
        name,
        (float(fields["suits"][0]), float(fields["suits"][1])),
        float(fields["colour"]),
        float(fields["inversions"]),
        float(fields.get("swing", 0.0)),
        MappingProxyType(fields["programs"]),
        MappingProxyType(fields["from"]),
        MappingProxyType(fields["soft"]),
        MappingProxyType(patterns),
    )


def _pattern(what: str, fields: dict[str, Any], steps: int) -> Pattern:
    def line(part: str, text: str) -> str:
        if len(text) > steps or set(text) - set(_LETTERS[part]):
            raise BadInput(f"groove {what}: {part} {text}", "is no pattern", f"give {steps} of {_LETTERS[part]}")
        return text.ljust(steps, ".")

    drums, fill = (
        {drum: line("drums", text) for drum, text in fields.get(key, {}).items()} for key in ("drums", "fill")
    )
    for drum in {*drums, *fill} - set(DRUMS):
        raise BadInput(f"groove {what}: drum {drum}", "is not known", f"choose from {', '.join(DRUMS)}")
    pitched = {part: line(part, str(fields[part])) for part in ("bass", "chords", "arpeggio")}
    return Pattern(drums, fill, pitched["bass"], pitched["chords"], pitched["arpeggio"])


def _cut(pattern: Pattern, begin: int, end: int) -> Pattern:
    drums = {drum: line[begin:end] for drum, line in pattern.drums.items()}
    bass = pattern.bass[begin:end]
    if bass[0] in "-.":  # a group begins with the chord's bass
        bass = "R" + bass[1:]
    return Pattern(drums, {}, bass, pattern.chords[begin:end], pattern.arpeggio[begin:end], pattern.step)


def _joined(parts: list[Pattern]) -> Pattern:
    def lines(kind: str) -> dict[str, str]:
        names = {drum for part in parts for drum in getattr(part, kind)}
        return {
            drum: "".join(getattr(part, kind).get(drum, "." * part.steps) for part in parts) for drum in sorted(names)
        }

    bass, chords, arpeggio = ("".join(getattr(part, kind) for part in parts) for kind in ("bass", "chords", "arpeggio"))
    return Pattern(lines("drums"), lines("fill"), bass, chords, arpeggio)
