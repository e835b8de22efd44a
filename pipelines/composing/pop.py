"""The pop style: chords for a melody, then bass, chords, pad, arpeggio and drums around it.

Learned: which notes are sung over which chord, and half of how chords follow each other (progressions.py), with a
composer's own counts if there are any. Rule: everything else, which is the grooves (grooves.yaml), the colours and
inversions of chords (colouring.py), the bass, the voicings and the drums.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipelines.composing.bar_plan import Section, Stretch, metre_at, plan, stretches
from pipelines.composing.bass_line import bass_line
from pipelines.composing.colouring import coloured, inverted
from pipelines.composing.comping import arpeggio, comp, pad, voicings
from pipelines.composing.drum_part import drum_part
from pipelines.composing.functions import Transitions, shipped_transitions, state_of, states
from pipelines.composing.grooves import Groove, groove_named, suited
from pipelines.composing.piece import ChordSpan, Note, Part, Role
from pipelines.composing.progressions import FREE, progressions
from pipelines.composing.strokes import performed

if TYPE_CHECKING:
    from pipelines.composing.melody import Melody

__all__ = ["PopWishes", "Section", "accompany", "groove_for", "harmonize"]

_NAMES: dict[Role, str] = {"bass": "Bass", "chords": "Chords", "pad": "Pad", "arpeggio": "Arpeggio", "drums": "Drums"}


@dataclass(frozen=True, slots=True)
class PopWishes:
    """``groove``: a name of grooves.yaml, the one that suits the tune when None. ``density`` (which parts play and how
    much) and ``energy`` (how loud, and which drums): 0..1, where no section says otherwise. ``given``: chords that are
    followed. ``seed``: of the players' unevenness and of the candidates after the first."""

    groove: str | None = None
    density: float = 0.5
    energy: float = 0.5
    sections: tuple[Section, ...] = ()
    given: tuple[ChordSpan, ...] = ()
    seed: int = 0


def groove_for(melody: Melody, wishes: PopWishes = PopWishes()) -> Groove:
    """The one that was asked for, or that suits metre and tempo. Raises BadInput when there is none of that name."""
    if wishes.groove is not None:
        return groove_named(wishes.groove)
    first = melody.part.notes[0].start
    metre = metre_at(melody.piece, int(melody.grid.beat_ticks[-1]) // 2 if melody.grid.n_beats else first)
    tempo = next((tempo for tempo in reversed(melody.piece.tempos) if tempo.tick <= first), melody.piece.tempos[0])
    return groove_named(suited(metre.numerator, metre.denominator, 60e6 / max(tempo.quarter_us, 1)))


def harmonize(
    melody: Melody,
    wishes: PopWishes = PopWishes(),
    candidates: int = 1,
    transitions: Transitions | None = None,
    temperature: float = 1.0,
) -> list[tuple[ChordSpan, ...]]:
    """Chords from the first full bar to the end of the last, one after the other without a gap; the likeliest first.

    ``candidates``: as many, fewer only if the melody has no others. ``transitions``: a composer's own. Given chords
    are in every candidate as they were given, cut to the bars there are.
    """
    groove, key = groove_for(melody, wishes), melody.key.key
    bars = plan(melody, wishes.sections, wishes.density, wishes.energy)
    given = tuple(sorted(wishes.given, key=lambda span: span.start))
    slots = stretches(melody, bars, given)
    fixed = [_given_at(given, stretch) for stretch in slots]
    known = np.full(len(slots), FREE)
    for place, span in enumerate(fixed):
        state = None if span is None else state_of(span.chord, key)
        known[place] = FREE if state is None else state
    paths = progressions(
        [stretch.slot for stretch in slots],
        key.minor,
        shipped_transitions() if transitions is None else transitions,
        given=known,
        candidates=candidates,
        seed=wishes.seed,
        temperature=temperature,
    )
    vocabulary = states(key.minor)
    found = []
    for path in paths:
        spans: list[ChordSpan] = []
        before: ChordSpan | None = None
        for stretch, state, held in zip(slots, path, fixed, strict=True):
            chord = vocabulary[state].chord(key) if held is None else held.chord
            if spans and spans[-1].chord == chord and before is held:
                spans[-1] = ChordSpan(spans[-1].start, stretch.end, chord)
            else:
                spans.append(ChordSpan(stretch.start, stretch.end, chord))
            before = held
        free = coloured(spans, given, groove.colour, key, melody.part.notes, melody.piece.ticks_per_quarter)
        found.append(
            inverted(free, given, groove.inversions, key, bars, melody.part.notes, melody.piece.ticks_per_quarter)
        )
    return found


def accompany(
    melody: Melody,
    chords: Sequence[ChordSpan],
    wishes: PopWishes = PopWishes(),
) -> tuple[Part, ...]:
    """Bass, chords, pad, arpeggio and drums as the density has them, in this order; parts without a note are left out.

    Nothing sounds in the pick-up or after the last bar. The same melody, chords and wishes make the same notes, and
    the unevenness of a bar depends on the seed and the bar alone.
    """
    groove, key = groove_for(melody, wishes), melody.key.key
    bars = plan(melody, wishes.sections, wishes.density, wishes.energy)
    notes, quarter = melody.part.notes, melody.piece.ticks_per_quarter
    voiced = voicings(chords, notes)
    spread = voicings(chords, notes, spread=True, beside=voiced)
    played: dict[Role, Callable[[], list[Note]]] = {
        "bass": lambda: bass_line(bars, chords, groove, key, quarter, notes),
        "chords": lambda: comp(bars, chords, voiced, groove, quarter, notes),
        "pad": lambda: pad(bars, chords, spread, groove, quarter, notes),
        "arpeggio": lambda: arpeggio(bars, chords, voiced, groove, quarter, notes),
        "drums": lambda: drum_part(bars, groove, quarter),
    }
    parts = []
    for number, (role, play) in enumerate(played.items()):
        own = performed(play(), bars, quarter, wishes.seed * 8 + number, one_voice=role == "bass")
        if own:
            parts.append(Part(_NAMES[role], role, own, groove.programs.get(role, 0)))
    return tuple(parts)


def _given_at(given: Sequence[ChordSpan], stretch: Stretch) -> ChordSpan | None:
    place = bisect_right(given, stretch.start, key=lambda span: span.start) - 1
    return given[place] if place >= 0 and stretch.start < given[place].end else None
