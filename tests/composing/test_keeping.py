"""Whatever is locked comes back note for note, whatever is made beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.composing import melody, midi_reading, midi_writing
from pipelines.composing.arranging import arrange
from pipelines.composing.keeping import Kept, kept, recognised
from pipelines.composing.midi_reading import ROLE_TEXT
from pipelines.composing.piece import Key, KeyChange, Metre, Note, Part, Piece, Role, Tempo
from pipelines.composing.wishes import Style, Wishes
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


@pytest.mark.parametrize("name", ["Piano", "Guitar", "Bass", "Alto Sax", "Strings", "Soprano"])
@pytest.mark.parametrize("rewritten", [False, True], ids=["ours", "written anew by a DAW"])
@pytest.mark.parametrize(("style", "voice"), [("pop", "chords"), ("pop", "bass"), ("chorale", "alto")])
def test_a_melody_is_never_taken_for_a_part_that_its_name_means(
    name: str, style: Style, voice: Role, rewritten: bool
) -> None:
    source = piece()
    source = replace(source, parts=(replace(source.parts[0], name=name, role="other"),))
    first = arrange(source, Wishes(style=style)).candidates[0].piece
    data = midi_writing.to_bytes(first)
    if rewritten:  # same length, so that the chunk stays whole
        data = data.replace(ROLE_TEXT.encode(), b"x" * len(ROLE_TEXT))
    earlier = midi_reading.parse(data, "earlier.mid")
    assert [part.role for part in earlier.parts] == (
        ["drums" if part.drums else "other" for part in first.parts]
        if rewritten
        else [part.role for part in first.parts]
    )
    wishes = Wishes(style=style, seed=4, earlier=earlier, locked_voices=frozenset({voice}))
    second = arrange(source, wishes).candidates[0].piece
    kept_part, before = second.part(voice), first.part(voice)
    assert kept_part is not None and before is not None and kept_part.notes == before.notes
    assert kept_part.notes != source.parts[0].notes


def test_an_arrangement_of_another_tune_is_refused() -> None:
    source, bass = piece(), Part("Bass", "bass", (Note(0, Q, 40),))
    lead = source.parts[0]
    other = replace(source, parts=(replace(lead, notes=tuple(replace(n, pitch=n.pitch + 3) for n in lead.notes)), bass))
    found = melody.find(source)
    wishes = Wishes(earlier=other, locked_voices=frozenset({"bass"}))
    with pytest.raises(BadInput, match="no arrangement of this melody"):
        kept(wishes, found)
    # A few notes that were written anew since then do not matter.
    mended = (*lead.notes[:12], *(replace(note, pitch=note.pitch + 2) for note in lead.notes[12:]))
    assert kept(replace(wishes, earlier=replace(source, parts=(replace(lead, notes=mended), bass))), found) is not None


def test_chords_told_by_what_stays_are_the_same_however_long_its_notes_are() -> None:
    chords = Part("Piano", "chords", tuple(Note(0, 8 * Q, pitch) for pitch in (48, 52, 55)))
    bass = Part("Bass", "bass", tuple(Note(i * Q, Q, 36) for i in range(8)))
    source = piece(chords, bass)
    found = melody.find(source)
    stays = kept(Wishes(style="pop", earlier=source, locked_voices=frozenset({"chords", "bass"})), found)
    assert stays is not None
    spans = stays.harmony(found.grid, Key(0))
    assert [(span.start, span.end, span.chord.symbol) for span in spans] == [(0, 8 * Q, "C")]
