"""What a composer may ask for, whether it can be had, and the hash that tells one wish from another.

What becomes of a wish is arranging.py's; which notes of an earlier arrangement stay, keeping.py's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from pipelines.composing.piece import ROLES, ChordSpan, Key, Piece, Role
from pipelines.errors import BadInput

if TYPE_CHECKING:
    from pipelines.composing.bar_plan import Section

Style = Literal["chorale", "pop"]
STYLES: tuple[Style, ...] = get_args(Style)
MOST_CANDIDATES = 32
USUAL = 0.5  # density and energy, of a section that says nothing of them
VOICES: Mapping[Style, tuple[Role, ...]] = {
    "chorale": ("alto", "tenor", "bass"),
    "pop": ("bass", "chords", "pad", "arpeggio", "drums"),
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """``key``, ``groove``, ``density`` and ``energy`` (0..1): None leaves them to the melody and the composer's style.

    ``chords``: given ones, which are followed; without any, the chord symbols in the melody's file. ``earlier``: an
    arrangement to go on from; of it stay ``locked_voices`` in every bar, ``locked_bars`` in every voice, and with
    ``span`` (first and last bar, both included) every bar outside. Bars count from 1 as a DAW counts them, that of a
    pick-up included, whether it is written or only heard (Melody.metres), and so do those of ``sections``.
    ``track``: which one is the melody, by number from 1 or by name. ``instruments``: General MIDI programs, 0..127.
    """

    style: Style = "chorale"
    candidates: int = 1
    seed: int = 0
    key: Key | None = None
    groove: str | None = None
    density: float | None = None
    energy: float | None = None
    sections: tuple[Section, ...] = ()
    chords: tuple[ChordSpan, ...] = ()
    earlier: Piece | None = None
    locked_voices: frozenset[Role] = frozenset()
    locked_bars: frozenset[int] = frozenset()
    span: tuple[int, int] | None = None
    track: int | str | None = None
    instruments: Mapping[Role, int] = field(default_factory=dict)

    @property
    def locks(self) -> bool:
        """Whether anything of ``earlier`` is to stay."""
        return bool(self.locked_voices or self.locked_bars) or self.span is not None


def wish_hash(wishes: Wishes) -> str:
    """32 hexadecimal digits; equal wishes, however they were put together, have equal ones."""
    text = json.dumps(_plain(wishes), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def check(wishes: Wishes, last_bar: int | None = None) -> None:
    """BadInput for what cannot be had by anybody and, with the number of the melody's ``last_bar``, in this piece."""
    _within("style", wishes.style, wishes.style in STYLES, f"choose from {', '.join(STYLES)}")
    fits = 1 <= wishes.candidates <= MOST_CANDIDATES
    _within("candidates", wishes.candidates, fits, f"ask for 1 to {MOST_CANDIDATES}")
    _within("seed", wishes.seed, 0 <= wishes.seed < 2**31, "give a number from 0 to 2147483647")
    for name, value in (("density", wishes.density), ("energy", wishes.energy)):
        _within(name, value, value is None or 0 <= value <= 1, "give a number from 0 to 1")
    for role, program in wishes.instruments.items():
        _within(f"instrument of {role}", program, 0 <= program <= 127, "give a General MIDI program, 0 to 127")
        _within("instruments", role, role in ROLES, f"choose from {', '.join(ROLES)}")
    voices = VOICES[wishes.style]
    for role in sorted(wishes.locked_voices):
        remedy = f"lock some of {', '.join(voices)}; the melody always stays"
        _within("locked voice", role, role in voices or role == "melody", remedy)
    if wishes.locks and wishes.earlier is None:
        raise BadInput(
            "locks", "name what is to stay, but no arrangement to go on from", "give the earlier arrangement"
        )
    if wishes.span is not None:
        first, last = wishes.span
        _within("span", f"{first}-{last}", 1 <= first <= last, "give the first and the last bar, counted from 1")
        if last_bar is not None:
            _within("span", f"{first}-{last}", last <= last_bar, f"the melody has {last_bar} bars")
    for bar in sorted(wishes.locked_bars):
        _within("locked bar", bar, bar >= 1, "bars count from 1")
        if last_bar is not None:
            _within("locked bar", bar, bar <= last_bar, f"the melody has {last_bar} bars")
    _sections(wishes.sections, last_bar)
    before = 0
    for span in sorted(wishes.chords, key=lambda one: one.start):
        what = f"chord {span.chord.symbol} at tick {span.start}"
        if span.end <= span.start or span.start < before:
            raise BadInput(what, "has no length of its own", "give chords one after the other")
        if not span.chord.pitch_classes:
            raise BadInput(what, "holds no notes", "give a chord such as Am7")
        before = span.end


def without_effect(wishes: Wishes) -> list[str]:
    """A sentence about each wish that can be had and changes nothing."""
    said = []
    if wishes.style == "chorale":
        asked = {"groove": wishes.groove, "density": wishes.density, "energy": wishes.energy}
        unused = [name for name, value in asked.items() if value is not None]
        if any((one.density, one.energy) != (USUAL, USUAL) for one in wishes.sections):
            unused.append("what sections say of density and energy")
        if any(not one.name for one in wishes.sections):
            unused.append("a section without a name")
        if unused:
            listed = _listed(unused)
            have = "have" if len(unused) > 1 else "has"
            said.append(f"{listed[0].upper()}{listed[1:]} {have} no effect in the chorale style, only in pop.")
    strangers = [role for role in wishes.instruments if role != "melody" and role not in VOICES[wishes.style]]
    if strangers:
        said.append(
            f"The {wishes.style} style has no {_listed(strangers)}: the instrument asked for is not used; "
            f"it has {', '.join(VOICES[wishes.style])}."
        )
    if wishes.earlier is not None and not wishes.locks:
        said.append("Nothing of the earlier arrangement was to stay, so all is made anew: name voices or bars to keep.")
    return said


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _sections(sections: Sequence[Section], last_bar: int | None) -> None:
    before: Section | None = None
    for one in sorted(sections, key=lambda section: (section.first_bar, section.last_bar)):
        name = f"section {one.name}".rstrip()
        bars = f"{name}, bars {one.first_bar}-{one.last_bar}"
        if not 1 <= one.first_bar <= one.last_bar:
            raise BadInput(bars, "cannot be had", "give the first and the last bar, counted from 1")
        if last_bar is not None and one.last_bar > last_bar:
            raise BadInput(bars, "goes beyond the melody", f"the melody has {last_bar} bars")
        if before is not None and one.first_bar <= before.last_bar:
            raise BadInput(bars, f"overlaps section {before.name}".rstrip(), "give sections one after the other")
        for what, value in (("density", one.density), ("energy", one.energy)):
            _within(f"{what} of {name}", value, 0 <= value <= 1, "give a number from 0 to 1")
        before = one


def _within(what: str, value: object, fits: bool, remedy: str) -> None:
    if not fits:
        raise BadInput(f"{what} {value}", "is out of range" if not isinstance(value, str) else "cannot be had", remedy)


def _plain(value: Any) -> Any:
    """The value as JSON can say it, in one order."""
    if is_dataclass(value) and not isinstance(value, type):
        return [_plain(getattr(value, one.name)) for one in fields(value)]
    if isinstance(value, Mapping):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value
