"""Chord symbols and roman numerals: read, spelt, and told from pitch classes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.composing.chords import (
    QUALITIES,
    chord_at,
    from_roman,
    identify,
    make_chord,
    note_name,
    parse_chord,
    quality_of,
    roman,
    transposed,
)
from pipelines.composing.piece import ChordSpan, Key, key_named
from pipelines.errors import BadInput

KEYS = [Key(tonic, minor) for minor in (False, True) for tonic in range(12)]


@pytest.mark.parametrize(
    ("symbol", "classes", "bass"),
    [
        ("C", {0, 4, 7}, 0),
        ("Am7/G", {9, 0, 4, 7}, 7),
        ("D/F#", {2, 6, 9}, 6),
        ("B♭maj7", {10, 2, 5, 9}, 10),
        ("F#ø", {6, 9, 0, 4}, 6),
        ("G7(b9)", {7, 11, 2, 5, 8}, 7),
        ("C6/9", {0, 2, 4, 7, 9}, 0),
        ("C6/9/E", {0, 2, 4, 7, 9}, 4),
        ("F/G", {5, 9, 0, 7}, 7),
        ("Ebmin7", {3, 6, 10, 1}, 3),
        ("Asus", {9, 2, 4}, 9),
        ("E-7b5", {4, 7, 10, 2}, 4),
        ("Cb", {11, 3, 6}, 11),
    ],
)
def test_a_symbol_is_its_pitch_classes_and_its_bass(symbol: str, classes: set[int], bass: int) -> None:
    chord = parse_chord(symbol)
    assert set(chord.pitch_classes) == classes
    assert chord.bass == bass
    assert list(chord.pitch_classes) == sorted(classes)


@pytest.mark.parametrize("text", ["", "H", "Cmin99", "C/", "C/X", "am", "C/G/E/B", "C" * 500, "C\n", "N.C."])
def test_what_is_no_chord_is_named_with_a_remedy(text: str) -> None:
    with pytest.raises(BadInput, match="is not a chord symbol; give one such as"):
        parse_chord(text.rstrip("\n") + ("?" if text.endswith("\n") else ""))


@given(st.text(max_size=40))
def test_any_text_is_a_chord_or_one_bad_input(text: str) -> None:
    try:
        chord = parse_chord(text)
    except BadInput:
        return
    assert chord.root in chord.pitch_classes
    assert chord.bass in chord.pitch_classes


@given(st.sampled_from(KEYS), st.integers(0, 11), st.sampled_from(sorted(QUALITIES)), st.none() | st.integers(0, 11))
def test_what_is_written_is_read_back(key: Key, root: int, quality: str, bass: int | None) -> None:
    chord = make_chord(root, quality, bass, key)
    assert parse_chord(chord.symbol) == chord


@given(st.sampled_from(KEYS), st.integers(0, 11), st.sampled_from(sorted(QUALITIES)))
def test_transposing_there_and_back_changes_nothing(key: Key, root: int, quality: str) -> None:
    chord = make_chord(root, quality, key=key)
    assert transposed(transposed(chord, 5, key), -5, key) == chord


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_each_key_names_its_own_scale_with_seven_letters(key: Key) -> None:
    scale = (0, 2, 3, 5, 7, 8, 10) if key.minor else (0, 2, 4, 5, 7, 9, 11)
    letters = {note_name((key.tonic + step) % 12, key)[0] for step in scale}
    assert len(letters) == 7
    assert not any(note_name(pitch_class, key).endswith(("##", "bb")) for pitch_class in range(12))


@pytest.mark.parametrize(
    ("numeral", "key", "symbol"),
    [
        ("I", "C major", "C"),
        ("ii7", "Bb major", "Cm7"),
        ("V7/vi", "G major", "B7"),
        ("bVII", "D major", "C"),
        ("viio", "C major", "Bdim"),
        ("viio7", "A minor", "G#dim7"),
        ("VI", "A minor", "F"),
        ("bVI", "A minor", "F"),
        ("bII", "E minor", "F"),
        ("V", "F# minor", "C#"),
        ("iiø7", "C minor", "Dm7b5"),
        ("IVmaj7", "Ab major", "Dbmaj7"),
    ],
)
def test_roman_numerals_in_a_key(numeral: str, key: str, symbol: str) -> None:
    assert from_roman(numeral, key_named(key)).symbol == symbol


@pytest.mark.parametrize("numeral", ["I", "ii7", "V7", "bVII", "viio", "iiø", "VI", "iv", "III7", "IVmaj7"])
@pytest.mark.parametrize("minor", [False, True], ids=["major", "minor"])
def test_a_function_is_told_again(numeral: str, minor: bool) -> None:
    key = Key(9, minor)
    chord = from_roman(numeral, key)
    assert from_roman(roman(chord, key), key) == chord


@pytest.mark.parametrize("text", ["", "VIII", "iV", "X", "b", "V9000", "I/", "I/Q"])
def test_what_is_no_numeral_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not a chord symbol"):
        from_roman(text)


@pytest.mark.parametrize(
    ("pitches", "symbol"),
    [
        ([60, 64, 67], "C"),
        ([64, 67, 72], "C/E"),
        ([57, 60, 64, 67], "Am7"),
        ([59, 62, 65], "Bdim"),
        ([43, 59, 62, 65], "G7"),
        ([60, 64], "C"),
        ([60], "C"),
        ([62, 67, 69], "Dsus4"),
        ([53, 60, 65], "F"),
    ],
)
def test_what_sounds_is_named_simply(pitches: list[int], symbol: str) -> None:
    assert identify(pitches, pitches[0]).symbol.replace("5", "") == symbol


def test_the_chord_at_a_moment() -> None:
    c, g = make_chord(0), make_chord(7)
    spans = [ChordSpan(0, 480, c), ChordSpan(960, 1440, g)]
    assert [chord_at(spans, tick) for tick in (-1, 0, 479, 480, 960, 1439, 1440)] == [None, c, c, None, g, g, None]


def test_the_quality_of_a_chord_with_another_bass() -> None:
    assert quality_of(parse_chord("F/G")) == ""
    assert quality_of(parse_chord("Cm7/Bb")) == "m7"


@pytest.mark.parametrize(
    ("pitch_classes", "bass", "song", "chorale"),
    [
        pytest.param((0, 4, 7, 9), 0, "C6", "Am7/C", id="minor-seventh-upon-its-third"),
        pytest.param((2, 5, 9, 11), 2, "Dm6", "Bm7b5/D", id="half-diminished-upon-its-third"),
        pytest.param((9, 0, 4, 7), 9, "Am7", "Am7", id="upon-its-root"),
        pytest.param((0, 4, 9), 0, "C6", "Am/C", id="triad-upon-its-third"),
    ],
)
def test_no_sixth_is_added_in_four_parts(pitch_classes: tuple[int, ...], bass: int, song: str, chorale: str) -> None:
    assert identify(pitch_classes, bass).symbol == song
    assert identify(pitch_classes, bass, sixths=False).symbol == chorale


@pytest.mark.parametrize("tonic", range(12))
def test_a_bass_is_spelt_from_the_root_above_it(tonic: int) -> None:
    assert make_chord(9, "", 1, Key(tonic)).symbol in ("A/C#", "Bbb/Db")
    assert make_chord(2, "7", 6, Key(tonic)).symbol == "D7/F#"
