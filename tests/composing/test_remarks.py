"""What is told: content of the file that is not kept, chords that are followed, voices that cross, wishes of no use."""

from __future__ import annotations

import io
from dataclasses import replace

import mido
import pytest

from pipelines.composing import midi_reading, midi_writing
from pipelines.composing.arranging import arrange
from pipelines.composing.bar_plan import Section
from pipelines.composing.chords import chord_at, parse_chord
from pipelines.composing.piece import ChordSpan, Marker, Note, Part, Piece
from pipelines.composing.wishes import STYLES, Style, Wishes, check
from pipelines.errors import BadInput
from tests.composing.tunes import TUNES

BAR = 1920


def joy(**changes: object) -> Piece:
    return replace(next(tune for tune in TUNES if tune.file == "ode_to_joy").piece, **changes)  # type: ignore[arg-type]


def told(piece: Piece, wishes: Wishes | None = None) -> str:
    return "\n".join(arrange(piece, wishes).notes)


@pytest.mark.parametrize("style", STYLES)
def test_chord_symbols_of_the_file_are_followed_when_none_are_given(style: Style) -> None:
    wanted = ["D", "A7", "Bm", "F#m", "G", "D/F#", "Em7", "A7"]
    own = tuple(ChordSpan(i * BAR, (i + 1) * BAR, parse_chord(symbol)) for i, symbol in enumerate(wanted))
    source = midi_reading.parse(midi_writing.to_bytes(joy(chords=own)), "joy.mid")
    assert [span.chord.symbol for span in source.chords] == wanted
    made = arrange(source, Wishes(style=style))
    assert "The chord symbols in the file, 8, are followed; give chords to have others." in made.notes
    for span in own:
        found = chord_at(made.candidates[0].piece.chords, span.start)
        assert found is not None and found.symbol == span.chord.symbol
    given = (ChordSpan(0, BAR, parse_chord("Bm")),)
    other = arrange(source, Wishes(style=style, chords=given))
    assert not any("symbols in the file" in said for said in other.notes)
    first = chord_at(other.candidates[0].piece.chords, 0)
    assert first is not None and first.symbol == "Bm"


@pytest.mark.parametrize(
    ("style", "down", "said"),
    [
        pytest.param("chorale", 0, "", id="chorale as it is"),
        pytest.param("pop", 0, "", id="pop as it is"),
        pytest.param("pop", -30, "lies below G3 for the most part, so other parts cross it", id="pop very low"),
        pytest.param("chorale", -14, "so low that the bass below it goes down to", id="chorale low"),
        pytest.param("pop", 24, "lies above C6", id="pop very high"),
        pytest.param("chorale", 24, "lies above C6", id="chorale very high"),
    ],
)
def test_a_melody_with_too_little_or_too_much_room_below_is_told(style: Style, down: int, said: str) -> None:
    part = joy().parts[0]
    moved = replace(part, notes=tuple(replace(note, pitch=note.pitch + down) for note in part.notes))
    heard = told(joy(parts=(moved,)), Wishes(style=style))
    assert said in heard and (said or "lies" not in heard)


def test_what_is_not_kept_is_told() -> None:
    file = mido.MidiFile(type=1, ticks_per_beat=480)
    notes = [60, 62, 64, 65, 67, 65, 64, 62]
    lead = mido.MidiTrack([mido.MetaMessage("track_name", name="Lead")])
    for place, pitch in enumerate(notes):
        lead.append(mido.MetaMessage("lyrics", text=f"la{place}"))
        lead.append(mido.Message("pitchwheel", pitch=300 if place == 2 else 0))
        lead.append(mido.Message("control_change", control=64, value=127 if place % 2 == 0 else 0))
        lead.append(mido.Message("control_change", control=7, value=90))
        lead += [mido.Message("note_on", note=pitch), mido.Message("note_off", note=pitch, time=480)]
    pad = mido.MidiTrack([mido.MetaMessage("track_name", name="Pad"), mido.Message("pitchwheel", channel=1, pitch=9)])
    pad += [mido.Message("note_on", channel=1, note=40), mido.Message("note_off", channel=1, note=40, time=1920)]
    kit = mido.MidiTrack(
        [mido.Message("note_on", channel=9, note=36), mido.Message("note_off", channel=9, note=36, time=9)]
    )
    file.tracks += [lead, pad, kit]
    file.save(file=(buffer := io.BytesIO()))
    piece = midi_reading.parse(buffer.getvalue(), "song.mid")
    assert [part.unkept for part in piece.parts] == [("lyrics", "pitch bends", "the pedal"), ("pitch bends",), ()]
    said = told(piece)
    assert "2 other tracks ('Pad', 'Track 3') are left out." in said
    assert "Of the melody's track, lyrics, pitch bends and the pedal are not kept." in said
    assert "left out" not in told(joy()) and "not kept" not in told(joy())


def test_controllers_at_rest_are_no_loss() -> None:
    lead = [mido.Message("control_change", control=64, value=0), mido.Message("control_change", control=1, value=0)]
    lead += [mido.Message("control_change", control=11, value=127), mido.Message("pitchwheel", pitch=0)]
    lead += [mido.Message("note_on", note=60), mido.Message("note_off", note=60, time=480)]
    file = mido.MidiFile(type=0, ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack(lead))
    file.save(file=(buffer := io.BytesIO()))
    assert midi_reading.parse(buffer.getvalue(), "a.mid").parts[0].unkept == ()


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        pytest.param(Wishes(groove="waltz"), "Groove has no effect in the chorale style", id="groove"),
        pytest.param(Wishes(density=0.2, energy=0.9), "Density and energy have no effect in the chorale", id="density"),
        pytest.param(
            Wishes(sections=(Section(1, 4, "A", 0.2, 0.5),)), "What sections say of density and energy has", id="part"
        ),
        pytest.param(Wishes(instruments={"drums": 3}), "The chorale style has no drums", id="instrument"),
        pytest.param(
            Wishes(style="pop", instruments={"alto": 3, "tenor": 3}), "style has no alto and tenor", id="instruments"
        ),
        pytest.param(
            Wishes(style="pop", density=0.1, instruments={"arpeggio": 3}), "No candidate has a part for arpeggio",
            id="a part that does not play",
        ),
        pytest.param(Wishes(earlier=joy()), "Nothing of the earlier arrangement was to stay", id="no lock"),
    ],
)  # fmt: skip
def test_a_wish_without_an_effect_is_told(wishes: Wishes, said: str) -> None:
    assert said in told(joy(), wishes)


def test_wishes_with_an_effect_are_not() -> None:
    sections = (Section(1, 4, "Verse"), Section(5, 8, "Chorus"))
    for wishes in (
        Wishes(sections=sections, instruments={"bass": 40}),
        Wishes(style="pop", groove="rock", density=0.9),
    ):
        assert "effect" not in told(joy(), wishes) and "instrument" not in told(joy(), wishes)


def test_names_of_sections_stand_beside_the_file_s_markers() -> None:
    source = joy(markers=(Marker(0, "Verse"), Marker(8 * BAR, "mix: louder")))
    sections = (Section(1, 8, "Verse"), Section(9, 16, "Chorus"))
    made = arrange(source, Wishes(sections=sections)).candidates[0].piece
    wanted = [(0, "Verse"), (8 * BAR, "Chorus"), (8 * BAR, "mix: louder")]
    assert [(marker.tick, marker.text) for marker in made.markers] == wanted


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        pytest.param((Section(9, 3, "a"),), "section a, bars 9-3: cannot be had", id="backwards"),
        pytest.param((Section(0, 3, "a"),), "cannot be had", id="bar 0"),
        pytest.param((Section(3, 99, "a"),), "goes beyond the melody; the melody has 16 bars", id="beyond the end"),
        pytest.param((Section(1, 4, "a"), Section(4, 8, "b")), "section b, bars 4-8: overlaps section a", id="overlap"),
        pytest.param((Section(1, 4, "a", 1.5),), "density of section a 1.5", id="density"),
        pytest.param((Section(1, 4, "a", 0.5, float("nan")),), "energy of section a nan", id="energy"),
        pytest.param((Section(1, 4, "", -0.1),), "density of section -0.1", id="without a name"),
    ],
)
@pytest.mark.parametrize("style", STYLES)
def test_sections_that_cannot_be_are_refused(sections: tuple[Section, ...], reason: str, style: Style) -> None:
    with pytest.raises(BadInput) as caught:
        check(Wishes(style=style, sections=sections), 16)
    assert reason in str(caught.value)


def test_of_our_own_file_the_melody_is_the_part_that_says_so() -> None:
    made = arrange(joy(), Wishes(style="pop")).candidates[0].piece
    renamed = tuple(
        replace(part, name="Bass line" if part.role == "melody" else f"Lead {part.role}") for part in made.parts
    )
    again = midi_reading.parse(midi_writing.to_bytes(replace(made, parts=renamed)), "again.mid")
    assert [part.role for part in again.parts] == [part.role for part in made.parts]
    found = arrange(again).melody
    assert found.part.notes == joy().parts[0].notes


def test_a_silent_track_is_not_left_out() -> None:
    silent = Part("Silent", "other", ())
    source = joy(parts=(*joy().parts, silent, Part("Low", "other", (Note(0, 480, 40),))))
    assert "1 other track ('Low') is left out." in told(source)
