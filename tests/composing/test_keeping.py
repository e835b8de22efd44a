"""Whatever is locked comes back note for note, whatever is made beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.composing import melody
from pipelines.composing.keeping import Kept, kept, recognised
from pipelines.composing.piece import Key, KeyChange, Metre, Note, Part, Piece, Tempo
from pipelines.composing.wishes import Wishes
from pipelines.errors import BadInput

Q, BAR = 480, 1920
_notes = st.lists(
    st.builds(Note, st.integers(0, 8 * BAR), st.integers(1, BAR), st.integers(30, 50)), max_size=20, unique=True
).map(lambda notes: tuple(sorted(notes, key=lambda note: (note.start, note.pitch))))
_stretches = st.lists(st.integers(0, 8 * BAR), max_size=8, unique=True).map(
    lambda edges: tuple(zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False))
)


def piece(*parts: Part, ticks: int = Q) -> Piece:
    tune = Part("Lead", "melody", tuple(Note(i * ticks, ticks, 60 + i % 5) for i in range(16)), 73)
    maps = ((Tempo(0, 500_000),), (Metre(0, 4, 4),), (KeyChange(0, Key(0)),))
    return Piece("hummed", ticks, 16 * ticks, *maps, (tune, *parts))


@settings(max_examples=200)
@given(_notes, _notes, _stretches)
def test_what_stays_stays_and_what_is_made_never_reaches_into_it(
    old: tuple[Note, ...], new: tuple[Note, ...], stretches: tuple[tuple[int, int], ...]
) -> None:
    held = Kept({"bass": Part("Bass", "bass", old)}, {"bass": stretches})
    staying = {note for note in old if any(start <= note.start < end for start, end in stretches)}
    merged = held.merged("bass", new)
    assert staying == set(held.notes("bass")) <= set(merged)
    assert list(merged) == sorted(merged, key=lambda note: (note.start, note.pitch))
    for note in set(merged) - staying:
        assert note.duration >= 1
        assert not any(note.start < end and start < note.end for start, end in stretches)
        assert not any(kept.start <= note.start < kept.end for kept in staying), "one bass note at a time"
        assert any(made.start <= note.start and note.end <= made.end and made.pitch == note.pitch for made in new)


def test_frames_hold_what_stays_to_the_end_of_its_last_note() -> None:
    bass = Part("Bass", "bass", (Note(0, Q, 40), Note(3 * Q, 2 * Q, 43), Note(5 * Q, Q, 45)))
    source = piece(bass)
    found = melody.find(source)
    grid = found.grid
    stays = kept(Wishes(earlier=source, locked_bars=frozenset({1})), found)
    assert stays is not None
    locked, where = stays.frames(grid, ("alto", "tenor", "bass"))
    assert (locked[:, 0] == -2).all() and not where[:, 0].any()
    assert (locked[:16, 1] == -1).all() and (locked[16:, 1] == -2).all(), "a voice that is not there is silent there"
    assert locked[:20, 3].tolist() == [40] * 4 + [-1] * 8 + [43] * 8
    assert (locked[20:, 3] == -2).all() and np.array_equal(where, locked != -2)


def test_an_arrangement_in_other_ticks_is_the_same_one() -> None:
    bass = tuple(Note(i * 960, 960, 40) for i in range(4))
    finer = piece(Part("Bass", "other", bass), ticks=960)
    source = piece()
    found = melody.find(source)
    stays = kept(Wishes(earlier=finer, locked_voices=frozenset({"bass"})), found)
    assert stays is not None and [note.start for note in stays.notes("bass")] == [0, 480, 960, 1440]
    uneven = piece(Part("Bass", "bass", (Note(1, 960, 40),)), ticks=960)
    with pytest.raises(BadInput, match="960 ticks"):
        kept(Wishes(earlier=uneven, locked_voices=frozenset({"bass"})), found)


def test_roles_are_told_by_names() -> None:
    names = ["Alto 1", "Double Bass", "E-Piano", "Strings", "Arp", "Kit drums", "Zither", "Soprano"]
    parts = tuple(Part(name, "other", (Note(0, 1, 60),)) for name in names)
    found = [part.role for part in recognised(piece(*parts)).parts[1:]]
    assert found == ["alto", "bass", "chords", "pad", "arpeggio", "drums", "other", "melody"]
