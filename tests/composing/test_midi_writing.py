"""What a written file is for other programs: track names, channels, programs, order of events; and what is refused."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import mido
import pytest

from pipelines.composing.midi_writing import channels, to_bytes, write
from pipelines.composing.piece import Chord, ChordSpan, Key, KeyChange, Marker, Metre, Note, Part, Piece, Tempo
from pipelines.errors import BadInput
from tests.composing.tunes import FOLDER, TUNES


def piece(*parts: Part) -> Piece:
    maps = (Tempo(0, 500_000),), (Metre(0, 7, 8),), (KeyChange(0, Key(1, True)),)
    return Piece("Song", 480, 1920, *maps, parts)


def opened(whole: Piece) -> mido.MidiFile:
    return mido.MidiFile(file=io.BytesIO(to_bytes(whole)))


def test_another_reader_finds_names_programs_channels_and_maps() -> None:
    flute = Part("Flöte", "melody", (Note(0, 480, 60, 90), Note(480, 480, 60, 91)), 73)
    kit = Part("Kit", "drums", (Note(0, 10, 36),), 25)
    whole = replace(
        piece(flute, kit),
        markers=(Marker(960, "Verse"),),
        chords=(ChordSpan(0, 480, Chord(0, (0, 4, 7), 0, "C")), ChordSpan(960, 1920, Chord(7, (2, 7, 11), 7, "G"))),
    )
    file = opened(whole)
    assert (file.type, file.ticks_per_beat, [track.name for track in file.tracks]) == (
        1, 480, ["Song", "FlÃ¶te", "Kit"],  # mido takes names for Latin-1; they are UTF-8
    )  # fmt: skip
    texts, at = [], 0
    for message in file.tracks[0]:
        at += message.time
        if message.type in ("text", "marker"):
            texts.append((at, message.type, message.text))
    assert texts == [
        (0, "text", "C"), (480, "text", "N.C."), (960, "marker", "Verse"), (960, "text", "G"), (1920, "text", "N.C."),
    ]  # fmt: skip
    first = {message.type: message for message in file.tracks[0]}
    assert (first["time_signature"].numerator, first["time_signature"].denominator) == (7, 8)
    assert (first["key_signature"].key, first["set_tempo"].tempo) == ("C#m", 500_000)
    assert [(m.type, m.channel, m.program) for m in file.tracks[1] if m.type == "program_change"] == [
        ("program_change", 0, 73)
    ]
    assert {message.channel for message in file.tracks[2] if not message.is_meta} == {9}
    assert [sum(message.time for message in track) for track in file.tracks] == [1920] * 3


def test_a_note_ends_before_the_next_of_its_pitch_begins() -> None:
    repeated = Part("A", "melody", (Note(0, 480, 60, 90), Note(480, 480, 60, 91)))
    played = [m.type for m in opened(piece(repeated)).tracks[1] if m.type.startswith("note")]
    assert played == ["note_on", "note_off", "note_on", "note_off"]


def test_thirty_parts_share_channels_but_not_the_first_and_not_the_drums() -> None:
    parts = [Part(f"P{n}", "drums" if n == 5 else "other", (Note(0, 1, 60),)) for n in range(30)]
    taken = channels(piece(*parts))
    assert taken[:11] == [0, 1, 2, 3, 4, 9, 5, 6, 7, 8, 10]
    assert (taken.count(0), taken.count(9)) == (1, 1)
    assert len(opened(piece(*parts)).tracks) == 31


def test_a_velocity_out_of_range_is_brought_into_it() -> None:
    notes = (Note(0, 10, 60, 0), Note(20, 10, 60, 300))
    played = [m.velocity for m in opened(piece(Part("A", "melody", notes))).tracks[1] if m.type == "note_on"]
    assert played == [1, 127]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"parts": (Part("A", "other", (Note(0, 1, 128),)),)}, "MIDI has pitches 0 to 127", id="pitch"),
        pytest.param({"parts": (Part("A", "other", (Note(0, 0, 60),)),)}, "at least a tick", id="no_length"),
        pytest.param({"parts": (Part("A", "other", (Note(-1, 5, 60),)),)}, "starts from 0", id="before_the_start"),
        pytest.param({"ticks_per_quarter": 40_000}, "MIDI has 1 to 32767", id="ticks"),
        pytest.param({"metres": (Metre(0, 4, 3),)}, "over a power of 2", id="thirds"),
        pytest.param({"metres": (Metre(0, 300, 4),)}, "metre of 300/4", id="a_bar_of_300"),
        pytest.param({"tempos": (Tempo(0, 0),)}, "quarter note of 0 us", id="tempo_0"),
        pytest.param({"length": 2**40}, "ticks between two events", id="endless"),
    ],
)
def test_what_midi_cannot_say_is_refused_and_nothing_is_written(change: dict, message: str, tmp_path: Path) -> None:
    path = tmp_path / "out.mid"
    path.write_bytes(b"before")
    with pytest.raises(BadInput, match=message):
        write(replace(piece(), **change), path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_the_sample_tunes_are_ten_and_as_they_were_keyed_in() -> None:
    assert len(TUNES) == 10
    assert {path.stem for path in FOLDER.glob("*.mid")} == {tune.file for tune in TUNES}
    assert {tune.metre for tune in TUNES} == {"4/4", "3/4", "6/8", "2/4", "2/2", "5/4"}
    for tune in TUNES:
        data = (FOLDER / f"{tune.file}.mid").read_bytes()
        assert data == to_bytes(tune.piece)  # python -m tests.composing.tunes
        assert len(data) <= 1000
