"""The REAPER project, read back by the package rpp."""

from __future__ import annotations

from dataclasses import replace

import pytest
import rpp

from pipelines.composing.piece import Chord, ChordSpan, Marker, Metre, Note, Part, Piece, Tempo
from pipelines.composing.rpp import to_rpp
from tests.composing.tunes import TUNES


def notes_of(source: rpp.Element) -> tuple[Note, ...]:
    tick, sounding, notes = 0, {}, []
    for line in source.findall("E"):
        tick += int(line[1])
        status, pitch, velocity = (int(byte, 16) for byte in line[2:5])
        if status & 0xF0 == 0x90:
            sounding[pitch] = tick, velocity
        elif status & 0xF0 == 0x80:
            start, velocity = sounding.pop(pitch)
            notes.append(Note(start, tick - start, pitch, velocity))
    assert not sounding
    return tuple(sorted(notes))


@pytest.fixture
def piece() -> Piece:
    tune = TUNES[-1].piece  # 5/4 and 6/4 by turns
    drums = Part('The "Kit"', "drums", (Note(0, 10, 36, 90), Note(480, 10, 38, 91)))
    chord = Chord(10, (2, 5, 10), 10, "Bb")
    return replace(
        tune,
        tempos=(Tempo(0, 600_000), Tempo(480, 300_000)),
        parts=(*tune.parts, drums),
        markers=(Marker(0, "Opening"), Marker(2400, 'it\'s "said" again')),
        chords=(ChordSpan(0, 2400, chord),),
    )


def test_a_project_reads_back_with_its_notes_names_and_maps(piece: Piece) -> None:
    project = rpp.loads(to_rpp(piece, "promenade.mid"))
    chords, *tracks = project.findall("TRACK")
    assert [track.find("NAME")[1] for track in tracks] == ["Promenade", 'The "Kit"']
    sources = [track.find(".//SOURCE") for track in tracks]
    assert [notes_of(source) for source in sources] == [part.notes for part in piece.parts]
    assert sources[0].find("HASDATA")[1:] == ["1", "480", "QN"]
    assert sources[1].findall("E")[1][2] == "99"  # drums on channel 10
    assert sum(int(line[1]) for line in sources[0].findall("E")) == piece.length
    points = [(float(line[1]), float(line[2]), int(line[4])) for line in project.find("TEMPOENVEX").findall("PT")]
    assert points[0] == (0.0, 100.0, 4 << 16 | 5)
    assert points[1] == (0.6, 200.0, 0)
    assert points[2] == (pytest.approx(piece.seconds(2400)), 200.0, 4 << 16 | 6)
    assert [line[3] for line in project.findall("MARKER")] == ["Opening", 'it\'s "said" again']
    assert chords.find(".//NOTES").children == ["|Bb"]
    assert to_rpp(piece, "promenade.mid") == to_rpp(piece, "promenade.mid")


def test_a_piece_without_parts_is_a_project(piece: Piece) -> None:
    empty = replace(piece, parts=(), chords=(), markers=(), length=0, metres=(Metre(0, 4, 4),))
    project = rpp.loads(to_rpp(empty, "x.mid"))
    assert not project.findall("TRACK")
    assert project.find("TEMPO")[1:] == ["100", "4", "4"]
