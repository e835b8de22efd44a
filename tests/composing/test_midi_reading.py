"""MIDI files as they come: what is odd is read, what is broken is refused in one sentence, nothing else happens."""

from __future__ import annotations

import io
import random
from pathlib import Path

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.composing.midi_reading import MOST_BYTES, decoded, parse, read
from pipelines.composing.midi_writing import to_bytes
from pipelines.composing.piece import Key, KeyChange, Marker, Metre, Note, Tempo
from pipelines.errors import BadInput
from tests.composing.tunes import FOLDER, TUNES

END = b"\x00\xff\x2f\x00"


def chunk(body: bytes) -> bytes:
    return b"MTrk" + len(body).to_bytes(4, "big") + body


def midi(*bodies: bytes, kind: int = 1, division: int = 96, tracks: int | None = None) -> bytes:
    count = len(bodies) if tracks is None else tracks
    header = b"MThd\x00\x00\x00\x06" + b"".join(each.to_bytes(2, "big") for each in (kind, count, division))
    return header + b"".join(map(chunk, bodies))


def notes(data: bytes, part: int = 0) -> list[tuple[int, int, int]]:
    return [(note.start, note.duration, note.pitch) for note in parse(data, "x.mid").parts[part].notes]


def test_running_status_sysex_and_realtime_bytes_between_notes() -> None:
    body = (
        b"\x00\x90\x3c\x40" + b"\x60\x3c\x00" + b"\x00\x3e\x40" + b"\x00\xf0\x03\x01\x02\xf7"
        b"\x00\xb0\x40\x7f"
        + b"\x00\xe0\x00\x40"
        + b"\x60\x80\x3e\x00"
        + b"\x00\xf7\x01\x05"
        + b"\x00\xd0\x11"
        + b"\x00\xf8"
        b"\x00\x90\x40\x40\x60\x40\x00"
    )
    assert notes(midi(body + END)) == [(0, 96, 60), (96, 96, 62), (192, 96, 64)]


def test_running_status_goes_on_after_a_meta_event() -> None:
    body = b"\x00\x90\x3c\x40" + b"\x00\xff\x01\x01x" + b"\x60\x3c\x00"
    assert notes(midi(body + END)) == [(0, 96, 60)]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param(
            b"\x00\x90\x3c\x40\x60\x3e\x40\x60\x3e\x00", [(0, 96, 60), (96, 96, 62)], id="until_the_next_note"
        ),
        pytest.param(b"\x00\x90\x3c\x40\x83\x00\xff\x2f\x00", [(0, 384, 60)], id="until_the_end_of_the_track"),
        pytest.param(b"\x00\x90\x3c\x40", [(0, 1, 60)], id="alone_and_at_the_very_end"),
        pytest.param(
            b"\x00\x90\x3c\x40\x00\x40\x40\x60\x43\x40\x60\x43\x00",
            [(0, 96, 60), (0, 96, 64), (96, 96, 67)],
            id="a_chord",
        ),
    ],
)
def test_a_note_that_is_never_let_go(body: bytes, found: list[tuple[int, int, int]]) -> None:
    assert notes(midi(body + END)) == found


def test_overlapping_notes_of_one_pitch_end_in_the_order_of_their_beginnings() -> None:
    body = b"\x00\x90\x3c\x40" + b"\x30\x3c\x50" + b"\x30\x3c\x00" + b"\x30\x3c\x00"
    assert notes(midi(body + END)) == [(0, 96, 60), (48, 96, 60)]


def test_a_note_without_length_has_one_tick_and_an_end_without_a_note_is_nothing() -> None:
    body = b"\x00\x80\x3c\x40" + b"\x00\x90\x3c\x40\x00\x3c\x00"
    assert notes(midi(body + END)) == [(0, 1, 60)]


def test_channels_of_a_type_0_file_become_parts_with_their_programs() -> None:
    body = (
        b"\x00\xff\x03\x04Song" + b"\x00\xc0\x05\x00\xc1\x07" + b"\x00\x90\x3c\x40\x00\x91\x30\x40\x00\x99\x24\x40"
        b"\x60\x80\x3c\x00\x00\x81\x30\x00\x00\x89\x24\x00" + b"\x00\xc0\x09\x00\x90\x3c\x40\x60\x80\x3c\x00"
    )
    parts = parse(midi(body + END, kind=0), "x.mid").parts
    assert [(part.name, part.role, part.program, len(part.notes)) for part in parts] == [
        ("Song (channel 1)", "other", 5, 2),
        ("Song (channel 2)", "other", 7, 1),
        ("Song (channel 10)", "drums", 0, 1),
    ]


def test_a_program_set_in_another_track_or_late_holds() -> None:
    first = b"\x00\xc2\x21" + END
    second = b"\x00\xff\x04\x04Bass\x00\x92\x3c\x40\x60\x3c\x00" + END
    third = b"\x00\x93\x3c\x40\x60\x3c\x00\x00\xc3\x11" + END
    parts = parse(midi(first, second, third), "x.mid").parts
    assert [(part.name, part.program) for part in parts] == [("Bass", 33), ("Track 3", 17)]


def test_maps_come_from_every_track_and_the_last_of_a_tick_holds() -> None:
    first = (
        b"\x00\xff\x51\x03\x07\xa1\x20\x00\xff\x51\x03\x06\x1a\x80\x00\xff\x58\x04\x07\x03\x18\x08"
        b"\x00\xff\x59\x02\xfd\x01\x60\xff\x06\x05Verse" + END
    )
    second = b"\x60\xff\x51\x03\x0f\x42\x40\x00\xff\x58\x04\x05\x02\x18\x08\x00\xff\x06\x03End" + END
    piece = parse(midi(first, second), "folder/tune.mid")
    assert piece.name == "tune"
    assert piece.tempos == (Tempo(0, 400_000), Tempo(96, 1_000_000))
    assert piece.metres == (Metre(0, 7, 8), Metre(96, 5, 4))
    assert piece.keys == (KeyChange(0, Key(0, True)),)
    assert piece.markers == (Marker(96, "Verse"), Marker(96, "End"))
    assert piece.length == 96


def test_the_patterns_of_a_type_2_file_sound_together_in_the_time_of_the_first() -> None:
    first = b"\x00\xff\x51\x03\x07\xa1\x20\x00\x90\x3c\x40\x60\x3c\x00" + END
    second = b"\x00\xff\x51\x03\x0f\x42\x40\x00\x90\x40\x40\x60\x40\x00" + END
    piece = parse(midi(first, second, kind=2), "x.mid")
    assert piece.tempos == (Tempo(0, 500_000),)
    assert [part.notes[0].start for part in piece.parts] == [0, 0]


def test_maps_that_make_no_sense_are_passed_over() -> None:
    body = (
        b"\x00\xff\x51\x03\x00\x00\x00\x00\xff\x51\x01\x05\x00\xff\x58\x04\x00\x02\x18\x08\x00\xff\x58\x04\x04\xff\x18\x08"
        b"\x00\xff\x59\x02\x30\x00\x00\xff\x59\x02\x00\x07\x00\x90\x3c\x40\x60\x3c\x00"
    )
    piece = parse(midi(body + END), "x.mid")
    assert (piece.tempos, piece.metres, piece.keys) == (
        (Tempo(0, 500_000),),
        (Metre(0, 4, 4),),
        (KeyChange(0, Key(0)),),
    )


def test_texts_that_are_no_chord_symbols_are_words() -> None:
    played = b"\x00\x90\x3c\x40\x60\x3c\x00" + END
    chords = b"\x00\xff\x01\x02Am\x30\xff\x01\x04N.C."
    words = b"\x00\xff\x01\x02Am\x30\xff\x01\x05by me"
    assert [span.end for span in parse(midi(chords + END, played), "x.mid").chords] == [48]
    assert parse(midi(words + END, played), "x.mid").chords == ()
    assert parse(midi(b"\x00\xff\x01\x02Am" + played), "x.mid").chords == ()


def test_what_is_around_the_tracks_does_not_matter() -> None:
    plain = b"\x00\x90\x3c\x40\x60\x3c\x00"
    ended = midi(plain + END)
    for data in (
        midi(plain),  # no end of track
        midi(plain + END, tracks=0),
        ended[:14] + b"XFIH\x00\x00\x00\x02ab" + ended[14:],  # a chunk of another kind
        ended + b"\x00\x01trailing",
        b"RIFF" + (len(ended) + 12).to_bytes(4, "little") + b"RMIDdata" + len(ended).to_bytes(4, "little") + ended,
        ended.replace(b"MThd\x00\x00\x00\x06", b"MThd\x00\x00\x00\x08").replace(
            b"\x00\x60MTrk", b"\x00\x60\x00\x00MTrk"
        ),
        midi(plain + END + b"after the end"),
    ):
        assert notes(data) == [(0, 96, 60)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "empty file", id="nothing"),
        pytest.param(b"RIFFxxxxWAVEfmt " * 20, "no MIDI file", id="a_sound_file"),
        pytest.param(midi(END)[:13], "no MIDI file", id="a_cut_header"),
        pytest.param(midi(END, kind=5), "damaged header", id="type_5"),
        pytest.param(midi(END, division=0), "0 ticks in a quarter", id="no_division"),
        pytest.param(midi(END, division=0xE728), "film frames", id="smpte"),
        pytest.param(midi(END, tracks=3), "promises 3 tracks and holds 1", id="missing_tracks"),
        pytest.param(
            midi(b"\x00\x90\x3c\x40\x60\x3c\x00" + END)[:-4], "ends in the middle of track 1", id="cut_between_events"
        ),
        pytest.param(
            midi(b"\x00\x90\x3c\x40\x60\x3c\x00" + END)[:-5], "ends in the middle of track 1", id="cut_in_an_event"
        ),
        pytest.param(midi(b"\x00\x3c\x40" + END), "damaged in track 1", id="no_status"),
        pytest.param(midi(b"\x00\xf4\x3c\x40" + END), "damaged in track 1", id="undefined_status"),
        pytest.param(midi(b"\xff\xff\xff\xff\xff\x00\x90\x3c\x40" + END), "ends in the middle", id="endless_number"),
        pytest.param(midi(END, b"\x00\x90\xc8\x40" + END), "pitch 200, velocity 64 in track 2", id="pitch_200"),
        pytest.param(midi(b"\x00\xff\x01\x7fxx"), "ends in the middle of track 1", id="a_text_too_long"),
        pytest.param(midi(b"\x00\xf0\x7fxx"), "ends in the middle of track 1", id="a_sysex_too_long"),
        pytest.param(
            midi(b"\xff\xff\xff\x7f\x90\x3c\x40\x60\x3c\x00" + END), "quarter notes, more than", id="a_delta_of_years"
        ),
        pytest.param(midi(*[END] * 257), "more than 256 tracks", id="257_tracks"),
        pytest.param(b"MThd" + bytes(MOST_BYTES), "larger than 16 MB", id="17_mb"),
    ],
)
def test_what_is_broken_is_refused_in_a_sentence_that_names_the_file(data: bytes, reason: str) -> None:
    with pytest.raises(BadInput, match=reason) as caught:
        parse(data, "mine.mid")
    assert str(caught.value).startswith("mine.mid: ")
    assert "\n" not in str(caught.value)


def test_two_million_events_are_too_many() -> None:
    with pytest.raises(BadInput, match="more than 2000000 events"):
        parse(midi(b"\x00\xc0\x01" + b"\x00\x01" * 2_000_001 + END), "x.mid")


def test_a_flood_of_notes_that_never_end_is_read_in_good_time() -> None:
    piece = parse(midi(b"\x00\x90\x3c\x40" + b"\x01\x3c\x40" * 20_000 + END, division=480), "x.mid")
    assert len(piece.parts[0].notes) == 20_001
    assert {note.duration for note in piece.parts[0].notes} == {1}


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "no.mid", tmp_path):
        with pytest.raises(BadInput, match="cannot be read"):
            read(path)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param("メロディ".encode("cp932"), "メロディ", id="shift_jis"),
        pytest.param("主旋律 1".encode(), "主旋律 1", id="utf8"),
        pytest.param("Flöte è".encode("latin-1"), "Flöte è", id="latin"),
        pytest.param(b"Lead\x00\n  Synth\x07", "Lead Synth", id="controls"),
        pytest.param(b"", "", id="nothing"),
        pytest.param(b"a" * 5000, "a" * 200, id="long"),
    ],
)
def test_names_as_programs_write_them(body: bytes, text: str) -> None:
    assert decoded(body) == text


SOUND = [(FOLDER / f"{tune.file}.mid").read_bytes() for tune in TUNES[:3]] + [
    midi(
        b"\x00\x90\x3c\x40\x60\x3c\x00\x00\xf0\x03\x01\x02\xf7\x00\xff\x06\x01A" + END,
        b"\x00\xc3\x05\x00\x93\x40\x40" + END,
    )
]


@given(st.sampled_from(SOUND), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_a_damaged_file_is_read_or_refused(data: bytes, chance: random.Random) -> None:
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(damaged) + 1)
        kind = chance.random()
        if kind < 0.6 and at < len(damaged):
            damaged[at] = chance.choice([0, 1, 127, 128, 144, 255, chance.randrange(256)])
        elif kind < 0.8:
            del damaged[at : at + chance.randint(1, 12)]
        else:
            damaged[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 4)))
    try:
        piece = parse(bytes(damaged), "damaged.mid")
    except BadInput as error:
        assert str(error).startswith("damaged.mid: ")
        return
    for part in piece.parts:
        assert all(note.duration >= 1 and 0 <= note.pitch < 128 and note.end <= piece.length for note in part.notes)
        assert list(part.notes) == sorted(part.notes, key=lambda note: (note.start, note.pitch))
    assert parse(to_bytes(piece), "again.mid").length == piece.length


@st.composite
def streams(draw: st.DrawFn) -> list[mido.Message]:
    """Notes on two channels that all end, in any order."""
    messages: list[mido.Message] = []
    sounding: list[tuple[int, int]] = []
    for _ in range(draw(st.integers(1, 40))):
        wait = draw(st.integers(0, 300))
        if sounding and draw(st.booleans()):
            channel, pitch = sounding.pop(draw(st.integers(0, len(sounding) - 1)))
            messages.append(mido.Message("note_off", channel=channel, note=pitch, time=max(wait, 1)))
        else:
            channel, pitch = draw(st.integers(0, 1)), draw(st.integers(55, 60))
            sounding.append((channel, pitch))
            messages.append(mido.Message("note_on", channel=channel, note=pitch, velocity=64, time=wait))
    messages.extend(mido.Message("note_off", channel=channel, note=pitch, time=1) for channel, pitch in sounding)
    return messages


@given(streams())
@settings(max_examples=40, deadline=None)
def test_files_of_another_program_read_as_other_readers_read_them(messages: list[mido.Message]) -> None:
    from symusic import Score

    file = mido.MidiFile(type=0, ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("track_name", name="A"), *messages]))
    stream = io.BytesIO()
    file.save(file=stream)
    data = stream.getvalue()
    ours = sorted(note for part in parse(data, "x.mid").parts for note in part.notes)
    theirs = sorted(
        Note(note.time, note.duration, note.pitch, note.velocity)
        for track in Score.from_midi(data).tracks
        for note in track.notes
    )
    assert ours == theirs
