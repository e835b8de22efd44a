"""The front door of composing: a piece with a melody in, arrangements of it out, the best first and with reasons.

What may be asked for is wishes.py's; the four voices are chorale.py's, the pop style's parts pop.py's, what stays of an
earlier arrangement keeping.py's, who comes first ranking.py's. Nothing is stored here: recording.py does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipelines.composing import chorale_parts, melody, pop_parts, ranking, remarks
from pipelines.composing.beats import bars_of
from pipelines.composing.keeping import Kept, kept
from pipelines.composing.key import KeyEstimate
from pipelines.composing.melody import Melody
from pipelines.composing.piece import Key, KeyChange, Marker, Part, Piece, Role
from pipelines.composing.wishes import VOICES, Wishes, check, without_effect
from pipelines.composing.wishes import wish_hash as wish_hash

if TYPE_CHECKING:
    from pipelines.composing.harmonizer import Harmonizer
    from pipelines.composing.own_pieces import PersonalStyle
    from pipelines.composing.taste import Taste

SURE = 0.6  # of a key, from which on it is written in place of the C major that files without a signature have


@dataclass(frozen=True, slots=True)
class Draft:
    """A candidate before it is ranked. ``told``: what is said of it whatever the others are."""

    piece: Piece
    measures: Mapping[str, float]
    seed: int
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """``number``: 1 is the best; ``rating``: higher is better among candidates of one melody; ``made_by``: versions of
    the model and of the composer's style."""

    number: int
    piece: Piece
    rating: float
    reasons: tuple[str, ...]
    measures: Mapping[str, float]
    seed: int
    made_by: str


@dataclass(frozen=True, slots=True)
class Arranged:
    """``candidates``: best first, at least one; ``notes``: sentences about what was found and done."""

    melody: Melody
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]


def arrange(
    source: Piece,
    wishes: Wishes | None = None,
    *,
    harmonizer: Harmonizer | None = None,
    taste: Taste | None = None,
    style: PersonalStyle | None = None,
) -> Arranged:
    """Arrangements of the melody in ``source``, which is in each of them note for note, with tempo, metre and markers;
    a pick-up that the file's bars do not show becomes a short first metre (Melody.metres). Chord symbols in the source
    are followed when none are given.

    ``harmonizer``: the chorale model, the one that ships with the project when None; ``taste`` ranks and ``style``
    colours for one composer (taste.of, personal.current). The same source, wishes and models give the same candidates;
    there are fewer than asked for when the melody allows no more. BadInput for a source without a melody and for wishes
    that cannot be had.
    """
    wishes = Wishes() if wishes is None else wishes
    check(wishes)
    found = melody.find(source, wishes.track)
    if wishes.key is not None:
        found = replace(found, key=KeyEstimate(wishes.key, 1.0, found.key.key))
    check(wishes, int(found.grid.bar[-1]) if found.grid.n_beats else 0)
    stays = kept(wishes, found)
    said = [*found.notes, *remarks.left_out(found), *_about_key(found, wishes), *_about_kept(wishes, stays)]
    said += without_effect(wishes)
    if not wishes.chords and (own := remarks.own_chords(found)):
        wishes = replace(wishes, chords=own)
        said.append(f"The chord symbols in the file, {len(own)}, are followed; give chords to have others.")
    base = _base(found, wishes)
    if wishes.style == "chorale":
        drafts, made_by = chorale_parts.drafts(found, base, wishes, stays, harmonizer, style)
    else:
        drafts, made_by = pop_parts.drafts(found, base, wishes, stays, style)
    distinct = _distinct(drafts)
    said += remarks.unused_instruments(wishes, [draft.piece for draft in distinct])
    said += remarks.crossed(found, wishes, [draft.piece for draft in distinct])
    if len(distinct) < wishes.candidates:
        said.append(
            f"{wishes.candidates} were asked for; the melody and the wishes allow {len(distinct)} different ones."
        )
    return Arranged(found, _ranked(distinct, wishes, taste, made_by), tuple(said))


def _ranked(drafts: list[Draft], wishes: Wishes, taste: Taste | None, made_by: str) -> tuple[Candidate, ...]:
    measures = [draft.measures for draft in drafts]
    order = ranking.order(wishes.style, measures, taste)
    reasons = ranking.reasons(wishes.style, measures, taste)
    ratings = [ranking.rated(wishes.style, one, taste) for one in measures]
    return tuple(
        Candidate(
            number, drafts[i].piece, ratings[i], reasons[i] + drafts[i].told, measures[i], drafts[i].seed, made_by
        )
        for number, i in enumerate(order, 1)
    )


def _distinct(drafts: list[Draft]) -> list[Draft]:
    """Without those whose notes another has, too."""
    seen: dict[tuple[tuple[Role, object], ...], Draft] = {}
    for draft in drafts:
        seen.setdefault(tuple((part.role, part.notes) for part in draft.piece.parts), draft)
    return list(seen.values())


def _base(found: Melody, wishes: Wishes) -> Piece:
    """The source with its melody alone, as it was played, and the metres and the key that are written."""
    source = found.piece
    part = source.parts[found.track]
    program = wishes.instruments.get("melody", part.program)
    keys = source.keys
    silent = len(keys) == 1 and keys[0].key == Key(0)  # what a file without a signature has
    if wishes.key is not None or (silent and found.key.confidence >= SURE):
        keys = (KeyChange(0, found.key.key),)
    named = [marker for marker in _section_markers(found, wishes) if marker not in source.markers]
    # A section before a marker of the file at the same tick: it is what was asked for, and a chart has room for one.
    markers = tuple(sorted([*named, *source.markers], key=lambda marker: marker.tick))
    end = max(note.end for note in part.notes)
    return replace(
        source,
        parts=(Part(part.name, "melody", part.notes, program),),
        metres=found.metres,
        keys=keys,
        markers=markers,
        chords=(),
        length=max(source.length, end),
    )


def _section_markers(found: Melody, wishes: Wishes) -> list[Marker]:
    bars, ticks = found.grid.bar, found.grid.beat_ticks
    begins = {int(bars[beat]): int(ticks[beat]) for beat, _ in bars_of(bars)}
    named = [Marker(begins[one.first_bar], one.name) for one in wishes.sections if one.name and one.first_bar in begins]
    return sorted(named, key=lambda marker: marker.tick)


def _about_key(found: Melody, wishes: Wishes) -> list[str]:
    if wishes.key is not None:
        return [f"The key is {wishes.key.name}, as asked for."]
    key = found.key
    return [f"The key is {key.key.name} ({100 * key.confidence:.0f} % sure; next {key.second.name})."]


def _about_kept(wishes: Wishes, stays: Kept | None) -> list[str]:
    if stays is None:
        return []
    parts = [role for role in VOICES[wishes.style] if stays.notes(role)]
    count = sum(len(stays.notes(role)) for role in parts)
    return [f"{count} notes of {', '.join(parts) or 'no part'} stay as they were."]
