"""Finding the melody of the tunes: its track, its key, its grid."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.composing import melody
from pipelines.composing.midi_reading import read
from pipelines.composing.piece import Key, KeyChange, Metre, Note, Part, Piece, Tempo
from pipelines.errors import BadInput
from tests.composing.tunes import FOLDER, TUNES


@pytest.mark.parametrize("tune", TUNES, ids=lambda tune: tune.file)
def test_a_tune_is_its_own_melody_in_its_key(tune) -> None:
    found = melody.find(read(FOLDER / f"{tune.file}.mid"))
    assert found.part.notes == tune.piece.parts[0].notes
    assert found.key.key == tune.signature
    pitches, onsets = found.grid.soprano(found.part.notes)
    assert onsets.sum() == len(found.part.notes)
    assert len(pitches) == 4 * found.grid.n_beats
    assert [int(pitches[found.grid.frame(note.start)]) for note in found.part.notes] == [
        note.pitch for note in found.part.notes
    ]


def test_a_track_that_is_not_there_is_named() -> None:
    piece = read(FOLDER / f"{TUNES[0].file}.mid")
    with pytest.raises(BadInput, match="Ode to Joy"):
        melody.find(piece, "Trumpet")


def part(name: str, notes: list[Note], role: str = "other") -> Part:
    return Part(name, role, tuple(sorted(notes, key=lambda note: (note.start, note.pitch))))


def piece(*parts: Part) -> Piece:
    length = max((note.end for each in parts for note in each.notes), default=0)
    return Piece("song", 480, length, (Tempo(0, 500_000),), (Metre(0, 4, 4),), (KeyChange(0, Key(0)),), parts)


def line(*pitches: int, length: int = 480, start: int = 0) -> list[Note]:
    return [Note(start + number * length, length, pitch) for number, pitch in enumerate(pitches)]


TUNE = line(67, 69, 71, 72, 74, 72, 71, 67, 69, 71, 67, 64, 65, 62, 59, 60)
BASS = line(*[36, 43] * 4, length=960)
CHORDS = [Note(at, 960, pitch) for at in range(0, 7680, 960) for pitch in (48, 52, 55)]
DRUMS = line(*[36, 42, 38, 42] * 8, length=240)


@pytest.mark.parametrize(
    ("parts", "track"),
    [
        pytest.param([part("Piano", CHORDS), part("Flute", TUNE), part("Low", BASS)], 1, id="by_how_it_plays"),
        pytest.param([part("Melody", line(*[60, 62] * 8)), part("Flute", TUNE)], 0, id="by_its_name"),
        pytest.param(
            [part("ベース", line(*[60, 67] * 8)), part("歌", line(*[60, 64] * 8))], 1, id="by_a_japanese_name"
        ),
        pytest.param([part("Drums", DRUMS, "drums"), part("", TUNE)], 1, id="not_the_drums"),
        pytest.param([part("Bell", line(84)), part("Lute", TUNE)], 1, id="not_the_one_note"),
        pytest.param(
            [part("Violin", [Note(n.start, n.duration, n.pitch - 5) for n in TUNE]), part("Flute", TUNE)],
            1,
            id="the_upper",
        ),
        pytest.param(
            [*(part(f"Bass {n}", BASS) for n in range(28)), part("", TUNE), part("Kit", DRUMS, "drums")], 28, id="of_30"
        ),
    ],
)
def test_the_melody_is_found_among_the_tracks(parts: list[Part], track: int) -> None:
    found = melody.find(piece(*parts))
    assert found.track == track
    assert found.part.notes == parts[track].notes
    assert found.part.role == "melody"
    pitched = sum(each.role != "drums" for each in parts)
    assert [f"Track {track + 1} " in said for said in found.notes] == [True] * (pitched > 1)


@pytest.mark.parametrize("told", [3, "3", "Low", "low", "lo"], ids=str)
def test_a_track_can_be_told_by_number_or_name(told: int | str) -> None:
    found = melody.find(piece(part("Piano", CHORDS), part("Flute", TUNE), part("Low", BASS)), told)
    assert found.part.notes == tuple(BASS)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("parts", "track", "message"),
    [
        pytest.param([], None, "song: has no notes", id="no_tracks"),
        pytest.param([part("A", [])], None, "song: has no notes", id="an_empty_track"),
        pytest.param([part("Kit", DRUMS, "drums")], None, "song: has only percussion", id="percussion"),
        pytest.param(
            [part("Kit", DRUMS, "drums"), part("A", TUNE)],
            "Kit",
            "'Kit': is percussion; give one of 2 'A'",
            id="told_percussion",
        ),
        pytest.param(
            [part("A", TUNE), part("B", [])], 2, "'B': has no notes; give one of 1 'A'", id="told_an_empty_one"
        ),
        pytest.param([part("A", TUNE)], 2, "track 2: is not in the file; give one of 1 'A'", id="told_too_high"),
        pytest.param([part("A", TUNE)], 0, "track 0: is not in the file", id="told_0"),
        pytest.param([part("A", TUNE)], "", "track '': is not in the file", id="told_nothing"),
        pytest.param([part(f"P{n}", TUNE) for n in range(30)], "X", "8 'P7' ...", id="many_to_choose_from"),
    ],
)
def test_no_melody_is_one_sentence(parts: list[Part], track: int | str | None, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        melody.find(piece(*parts), track)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_of_chords_the_top_line_is_taken_and_said_so() -> None:
    chords = [Note(n.start, n.duration, n.pitch - under) for n in TUNE for under in (0, 4, 7)]
    found = melody.find(piece(part("Keys", chords)))
    assert found.part.notes == tuple(TUNE)
    assert "its top line was taken, 32 of 48" in found.notes[0]


def test_of_two_hands_the_right_one_is_taken_even_where_it_rests() -> None:
    right = [note for note in TUNE if note.start % 3840 < 2880]
    left = [Note(note.start, 480, note.pitch) for note in BASS]
    found = melody.find(piece(part("Piano", right + left)))
    assert found.part.notes == tuple(right)


def test_legato_stays_as_it_was_played() -> None:
    legato = [Note(note.start, note.duration + 60, note.pitch) for note in TUNE]
    found = melody.find(piece(part("Flute", legato)))
    assert found.part.notes == tuple(legato)
    assert found.notes == ()


def test_doubled_and_overlapping_notes_of_one_pitch_are_one_voice() -> None:
    doubled = [*TUNE, *(Note(note.start, 200, note.pitch, 50) for note in TUNE)]
    assert melody.find(piece(part("Flute", doubled))).part.notes == tuple(TUNE)
    over = [Note(0, 960, 60), Note(480, 960, 60), Note(1440, 480, 62)]
    found = melody.find(piece(part("Flute", over)))
    pitches, _ = found.grid.soprano(found.part.notes)
    assert pitches.tolist() == [60] * 12 + [62] * 4


@pytest.mark.parametrize("count", [1, 10_000])
def test_one_note_and_ten_thousand(count: int) -> None:
    notes = [Note(number * 240, 240, 60 + number * 7 % 12) for number in range(count)]
    found = melody.find(piece(part("Long", notes)))
    assert found.part.notes == tuple(notes)
    assert found.grid.soprano(notes)[1].sum() == count


@pytest.mark.parametrize("pitch", [0, 127], ids=["lowest", "highest"])
def test_pitches_nobody_sings_are_a_melody_all_the_same(pitch: int) -> None:
    found = melody.find(piece(part("Odd", line(*[pitch] * 8))))
    assert len(found.part.notes) == 8


def test_a_pick_up_that_the_bars_do_not_show_is_told() -> None:
    tune = next(tune for tune in TUNES if tune.file == "amazing_grace").piece
    notes = [Note(note.start - 960, note.duration, note.pitch) for note in tune.parts[0].notes]
    found = melody.find(replace(tune, parts=(part("Grace", notes),)))
    assert "pick-up of 1 beat," in found.notes[-1]
    assert melody.find(tune).notes == ()
