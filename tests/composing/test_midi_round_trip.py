"""What is written reads back: the same notes at the same ticks, and every map."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.composing.chords import parse_chord
from pipelines.composing.midi_reading import parse, read
from pipelines.composing.midi_writing import to_bytes, write
from pipelines.composing.piece import ChordSpan, Key, KeyChange, Marker, Metre, Note, Part, Piece, Tempo
from tests.composing.tunes import FOLDER, TUNES


def in_order(notes: list[Note]) -> tuple[Note, ...]:
    """As MIDI can tell them: of two notes of a pitch, what begins first ends first."""
    kept: list[Note] = []
    for pitch in sorted({note.pitch for note in notes}):
        of_pitch = sorted(note for note in notes if note.pitch == pitch)
        ends = sorted(note.end for note in of_pitch)
        of_pitch = [
            Note(note.start, max(end - note.start, 1), pitch, note.velocity)
            for note, end in zip(of_pitch, ends, strict=True)
        ]
        kept.extend(of_pitch)
    return tuple(sorted(kept, key=lambda note: (note.start, note.pitch, note.duration, note.velocity)))


note = st.builds(Note, st.integers(0, 5000), st.integers(1, 3000), st.integers(0, 127), st.integers(1, 127))
name = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=20)


@st.composite
def pieces(draw: st.DrawFn) -> Piece:
    parts = []
    for number in range(draw(st.integers(0, 17))):
        notes = in_order(draw(st.lists(note, max_size=12 if number else 40)))
        drums = number == 3
        parts.append(Part(draw(name), "drums" if drums else "other", notes, draw(st.integers(0, 127))))
    parts = [part for part in parts if part.notes]
    symbols = st.sampled_from(["C", "Am7", "D/F#", "Bbmaj7", "Gsus4", "F#dim"])
    edges = sorted(draw(st.sets(st.integers(0, 6000), max_size=6)))
    spans = [ChordSpan(*ends, parse_chord(draw(symbols))) for ends in pairwise(edges) if draw(st.booleans())]

    def ticks() -> list[int]:
        return [0, *sorted(draw(st.sets(st.integers(1, 6000), max_size=4)))]

    end = max((each.end for part in parts for each in part.notes), default=0)
    return Piece(
        name="piece",
        ticks_per_quarter=draw(st.integers(1, 32767)),
        length=max(end + draw(st.integers(0, 4000)), 6000),
        tempos=tuple(Tempo(tick, draw(st.integers(1, 2**24 - 1))) for tick in ticks()),
        metres=tuple(Metre(tick, draw(st.integers(1, 255)), 2 ** draw(st.integers(0, 6))) for tick in ticks()),
        keys=tuple(KeyChange(tick, Key(draw(st.integers(0, 11)), draw(st.booleans()))) for tick in ticks()),
        parts=tuple(parts),
        markers=tuple(Marker(tick, draw(name)) for tick in ticks()),
        chords=tuple(spans),
    )


@given(pieces())
@settings(max_examples=60, deadline=None)
def test_a_written_piece_reads_back_the_same(piece: Piece) -> None:
    again = parse(to_bytes(piece), "piece.mid")
    assert [part.notes for part in again.parts] == [part.notes for part in piece.parts]
    assert again == piece


@pytest.mark.parametrize("tune", TUNES, ids=lambda tune: tune.file)
def test_a_tune_reads_and_writes_without_a_change(tune, tmp_path: Path) -> None:
    piece = read(FOLDER / f"{tune.file}.mid")
    write(piece, tmp_path / "again.mid")
    again = read(tmp_path / "again.mid")
    assert again.parts == piece.parts
    assert (again.tempos, again.metres, again.keys, again.length) == (
        piece.tempos,
        piece.metres,
        piece.keys,
        piece.length,
    )
