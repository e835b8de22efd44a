"""Candidates in the pop style: chords from the harmony model, parts by groove, and what an earlier arrangement keeps.

How chords are found and parts are played is pop.py's; ranking the candidates, ranking.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.composing import measures
from pipelines.composing.chords import within
from pipelines.composing.functions import shipped_transitions
from pipelines.composing.keeping import Kept
from pipelines.composing.melody import Melody
from pipelines.composing.piece import ChordSpan, Part, Piece
from pipelines.composing.wishes import VOICES, Wishes

if TYPE_CHECKING:
    from pipelines.composing.arranging import Draft
    from pipelines.composing.own_pieces import PersonalStyle
    from pipelines.composing.pop import PopWishes

MADE_BY = "pop 1"
USUAL = 0.5  # density and energy, where neither the wishes nor the composer's style say otherwise
_TEMPO_ROOM = 1.15  # a groove may be played so much slower or faster than where it is at home


def drafts(
    found: Melody, base: Piece, wishes: Wishes, stays: Kept | None, style: PersonalStyle | None
) -> tuple[list[Draft], str]:
    """As many candidates as were asked for, not ranked, and what made them. Each has chords of its own as long as the
    melody has others; then, and where no groove was asked for, they differ in the groove."""
    from pipelines.composing import pop
    from pipelines.composing.arranging import Draft

    asked = _pop_wishes(found, wishes, style)
    if stays is not None:
        asked = replace(asked, given=_joined(stays.harmony(found.grid, found.key.key), wishes.chords))
    own = None if style is None else style.transitions()
    progressions = pop.harmonize(found, asked, wishes.candidates, own)
    usual = own or shipped_transitions()
    grooves = [wishes.groove] if wishes.groove is not None else _grooves(found, asked)
    offered = []
    for number in range(wishes.candidates):
        chords = progressions[number % len(progressions)]
        groove = grooves[(number // len(progressions) + number) % len(grooves)]
        seed = asked.seed + number
        made = pop.accompany(found, chords, replace(asked, groove=groove, seed=seed, given=()))
        piece = _piece(base, wishes, chords, made, stays)
        told = measures.of_pop(piece, found.grid, found.part, found.key.key)
        told |= {"usual": measures.usual(chords, found.key.key, usual), "suited": float(groove == grooves[0])}
        offered.append(Draft(piece, told, seed, (f"{groove} groove",) if len(grooves) > 1 else ()))
    return offered, MADE_BY if style is None or own is None else f"{MADE_BY}, style {style.version}"


def _pop_wishes(found: Melody, wishes: Wishes, style: PersonalStyle | None) -> PopWishes:
    from pipelines.composing.pop import PopWishes

    density = wishes.density if wishes.density is not None else style.density if style is not None else None
    energy = wishes.energy if wishes.energy is not None else style.energy if style is not None else None
    return PopWishes(
        groove=wishes.groove,
        density=USUAL if density is None else density,
        energy=USUAL if energy is None else energy,
        sections=wishes.sections,
        given=wishes.chords,
        seed=wishes.seed,
    )


def _grooves(found: Melody, asked: PopWishes) -> list[str | None]:
    """The one that suits the tune, then others that are at home in its tempo and metre."""
    from pipelines.composing import pop
    from pipelines.composing.bar_plan import metre_at
    from pipelines.composing.grooves import grooves

    best = pop.groove_for(found, asked).name
    middle = metre_at(found.piece, found.part.notes[len(found.part.notes) // 2].start)
    tempo = 60e6 / max(found.piece.tempos[0].quarter_us, 1)
    in_three = middle.numerator % 3 == 0 and middle.denominator <= 4
    others: list[str | None] = [
        name
        for name, groove in grooves().items()
        if name != best
        and groove.suits[0] / _TEMPO_ROOM <= tempo <= groove.suits[1] * _TEMPO_ROOM
        and (name != "waltz" or in_three)
    ]
    return [best, *others]


def _joined(kept: Sequence[ChordSpan], given: Sequence[ChordSpan]) -> tuple[ChordSpan, ...]:
    """What stays, and given chords where nothing does."""
    free = []
    for span in given:
        start = span.start
        for held in (kept[place] for place in within(kept, span.start, span.end)):
            if held.start > start:
                free.append(replace(span, start=start, end=held.start))
            start = max(start, held.end)
        if start < span.end:
            free.append(replace(span, start=start))
    return tuple(sorted([*kept, *free], key=lambda span: span.start))


def _piece(
    base: Piece, wishes: Wishes, chords: tuple[ChordSpan, ...], made: Sequence[Part], stays: Kept | None
) -> Piece:
    parts = {part.role: part for part in made}
    if stays is not None:
        for role in VOICES["pop"]:
            part = parts.get(role) or stays.parts.get(role)
            if part is None:
                continue
            earlier = stays.parts.get(role)
            notes = stays.merged(role, parts[role].notes if role in parts else ())
            program = earlier.program if earlier is not None else part.program
            parts[role] = replace(part, role=role, notes=notes, program=program)
    played = [
        replace(parts[role], program=wishes.instruments.get(role, parts[role].program))
        for role in VOICES["pop"]
        if role in parts and parts[role].notes
    ]
    end = max([base.length, *(note.end for part in played for note in part.notes)])
    return replace(base, parts=(*base.parts, *played), chords=chords, length=end)
