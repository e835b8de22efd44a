"""Lyrics files as they are found: three formats, seven encodings, and what goes wrong in them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipelines.errors import BadInput
from pipelines.lyrics.formats import LONG, MAX_BYTES, Lyrics, parse, read

JAPANESE = "春が来た 春が来た どこに来た\n山に来た 里に来た\n野にも来た\n"
ENGLISH = "Row, row, row your boat\nGently down the stream\n"


def lines(lyrics: Lyrics) -> list[tuple[float, str]]:
    return [(round(p.start, 3), p.text) for p in lyrics.phrases]


def spans(lyrics: Lyrics) -> list[tuple[float, float]]:
    return [(round(p.start, 3), round(p.end, 3)) for p in lyrics.phrases]


def lrc(text: str) -> Lyrics:
    return parse(text.encode(), "song.lrc")


# Encodings


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp932", "shift_jis", "euc_jp", "iso2022_jp"],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("stamp", ["", "[00:01.00]"])
def test_japanese_reads_the_same_in_every_encoding(encoding: str, newline: str, stamp: str) -> None:
    text = "".join(f"{stamp}{line}\n" for line in JAPANESE.splitlines())
    lyrics = parse(text.replace("\n", newline).encode(encoding), "song")
    assert [p.text for p in lyrics.phrases] == JAPANESE.splitlines()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "cp932", "cp1252"])
def test_english_reads_the_same_in_every_encoding(encoding: str) -> None:
    lyrics = parse(ENGLISH.encode(encoding), "song.txt")
    assert [p.text for p in lyrics.phrases] == ENGLISH.splitlines()


def test_western_accents_are_not_taken_for_japanese() -> None:
    lyrics = parse("Le café, l’été, où êtes-vous\nélan vital".encode("cp1252"), "song.txt")
    assert lyrics.phrases[0].text == "Le café, l’été, où êtes-vous"
    assert "cp1252" in lyrics.warnings[0]


def test_katakana_in_shift_jis_and_euc() -> None:
    text = "メロディー\nラララ ハーモニー\n"
    assert {parse(text.encode(e), "x").phrases[0].text for e in ("cp932", "euc_jp")} == {"メロディー"}


def test_a_guessed_encoding_is_told() -> None:
    assert "cp932" in parse(JAPANESE.encode("cp932"), "song.txt").warnings[0]
    assert parse(JAPANESE.encode(), "song.txt").warnings == ()


def test_a_damaged_byte_costs_a_character_not_the_file() -> None:
    data = JAPANESE.encode()
    lyrics = parse(data[:30] + b"\xff" + data[31:], "song.txt")
    assert len(lyrics.phrases) == 3
    assert "could not be read" in lyrics.warnings[0]


# LRC


def test_tags_stamps_and_the_end_stamp() -> None:
    lyrics = lrc("[ti:Boat]\n[ar: trad.]\n[00:01.50]Row your boat\n[00:04]Down the stream\n[00:07.250]\n")
    assert lyrics.kind == "lrc"
    assert lyrics.metadata == {"ti": "Boat", "ar": "trad."}
    assert lines(lyrics) == [(1.5, "Row your boat"), (4.0, "Down the stream")]
    assert spans(lyrics) == [(1.5, 4.0), (4.0, 7.25)]
    assert lyrics.warnings == ()


@pytest.mark.parametrize(("offset", "start"), [("+500", 9.5), ("500", 9.5), ("-500", 10.5), ("20000", 0.0)])
def test_a_positive_offset_makes_words_come_sooner(offset: str, start: float) -> None:
    assert lines(lrc(f"[offset:{offset}]\n[00:10.00]words"))[0] == (start, "words")


def test_an_offset_that_is_no_number_is_left_out_with_a_warning() -> None:
    lyrics = lrc("[offset:soon]\n[00:10.00]words")
    assert lines(lyrics) == [(10.0, "words")]
    assert "offset" in lyrics.warnings[0]


def test_repeated_stamps_sing_the_line_again() -> None:
    lyrics = lrc("[00:30.00][00:10.00]Chorus line\n[00:20.00]Verse line\n")
    assert lines(lyrics) == [(10.0, "Chorus line"), (20.0, "Verse line"), (30.0, "Chorus line")]


def test_word_stamps_and_their_end() -> None:
    first, second = lrc("[00:10.00][01:10.00]<00:10.00>Row <00:11.00>your <00:12.00>boat <00:13.50>\n").phrases
    assert first.text == "Row your boat"
    assert first.words == ((10.0, "Row"), (11.0, "your"), (12.0, "boat"))
    assert (first.end, second.end) == (13.5, 73.5)
    assert second.words[2] == (72.0, "boat")


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("[1:02]", 62.0),
        ("[01:02.5]", 62.5),
        ("[01:02:50]", 62.5),
        ("[01:02,50]", 62.5),
        ("[0:01:02.50]", 62.5),
        ("［01：02.50］", 62.5),
        ("[ 01:02.50 ]", 62.5),
        ("[00:75.00]", 75.0),
    ],
)
def test_unusual_stamps_are_understood(stamp: str, seconds: float) -> None:
    assert lines(lrc(f"[00:00.00]first\n{stamp}words"))[1] == (seconds, "words")


def test_a_line_whose_stamp_is_broken_is_put_between_its_neighbours() -> None:
    lyrics = lrc("[00:10.00]one\n[00:1x.00]two\n[00:2O.00] three\n[00:40.00]four\n")
    assert [p.text for p in lyrics.phrases] == ["one", "[00:1x.00]two", "three", "four"]
    assert [p.start for p in lyrics.phrases] == [10, 20, 30, 40]
    assert any("line 3" in w for w in lyrics.warnings)


def test_words_before_the_first_stamp_are_skipped_with_a_warning() -> None:
    lyrics = lrc("Lyrics found on the net\n[00:10.00]one\n")
    assert lines(lyrics) == [(10.0, "one")]
    assert "line 1" in lyrics.warnings[0]


def test_nothing_counts_as_sung_in_an_interlude() -> None:
    lyrics = lrc("[00:00.00]one\n[00:04.00]two\n[00:08.00]three\n[01:00.00]four\n")
    assert spans(lyrics)[2] == (8.0, 8.0 + LONG * 4.0)


def test_a_translation_below_its_line_shares_its_time() -> None:
    lyrics = lrc("[00:01.00]春が来た\n[00:01.00]Spring has come\n[00:05.00]山に来た\n")
    assert spans(lyrics)[:2] == [(1.0, 5.0), (1.0, 5.0)]


def test_headings_and_notes_are_not_sung() -> None:
    lyrics = parse(
        "[Chorus]\nVerse 2:\n【サビ】\nAメロ\n♪ ♪\n----\nRow your boat\n(間奏)\nBridge over water\n".encode(), "x"
    )
    assert [p.text for p in lyrics.phrases] == ["Row your boat", "Bridge over water"]


# SRT and plain text


def test_srt_with_markup_numbers_and_two_lines() -> None:
    text = (
        "1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>Row</i> your boat\r\ndown {\\an8}the stream\r\n\r\n"
        "2\r\n00:01:00.25 --> 00:01:03.000\r\n人生は夢\r\n"
    )
    lyrics = parse(text.encode("utf-8-sig"), "song.srt")
    assert lyrics.kind == "srt"
    assert lines(lyrics) == [(1.0, "Row your boat down the stream"), (60.25, "人生は夢")]
    assert spans(lyrics) == [(1.0, 2.5), (60.25, 63.0)]


def test_srt_without_blank_lines_and_with_broken_times() -> None:
    text = (
        "1\n00:00:01,000 --> 00:00:02,000\none\n2\n00:00:05,000 --> 00:00:03,000\ntwo\n"
        "3\n00:00:08,000 --> 00:00:09,000\nthree\n\n4\n00:0x --> later\nfour\n"
    )
    lyrics = parse(text.encode(), "song.srt")
    assert lines(lyrics) == [(1.0, "one"), (5.0, "two"), (8.0, "three")]
    assert spans(lyrics)[1] == (5.0, 8.0)
    assert len(lyrics.warnings) == 2


def test_plain_text_has_no_times() -> None:
    lyrics = parse(ENGLISH.encode(), "song.lrc")
    assert not lyrics.timed
    assert all(math.isnan(p.start) and math.isnan(p.end) for p in lyrics.phrases)


# What is no lyrics


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"  \n\t\n", "empty"),
        (b"\xef\xbb\xbf", "no words"),
        (b"\0" * 500, "empty"),
        (b"[00:01.00]\n[00:02.00]\n", "no words"),
        (b"[ti:Only a title]\n", "no words"),
        (bytes(range(256)) * 8, "not text"),
        (b"a\n" * (MAX_BYTES // 2 + 1), "longer"),
        (b"la la\n" * 5000, "more than"),
    ],
)
def test_bad_input_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(BadInput, match=r"song\.lrc: .*" + reason):
        parse(data, "song.lrc")


@pytest.mark.parametrize("name", ["vibe_ace.ogg", "big_buck_bunny_5s.mp4", "big_buck_bunny_0_30.webm"])
@pytest.mark.parametrize("size", [64, 1000, 100_000])
def test_media_are_not_taken_for_words(name: str, size: int) -> None:
    data = (Path("sample/media") / name).read_bytes()[:size]
    with pytest.raises(BadInput, match="not text"):
        parse(data, name)


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a file"):
        read(tmp_path / "歌詞 🎵.lrc")


def test_a_path_in_japanese_with_an_emoji(tmp_path: Path) -> None:
    path = tmp_path / "歌詞 🎵.lrc"
    path.write_bytes(JAPANESE.encode("cp932"))
    assert read(path).phrases[0].text == "春が来た 春が来た どこに来た"


def test_one_endless_line_takes_no_endless_time() -> None:
    lyrics = parse(b"[00:01.00]" * 100_000 + b"\n[00:02.00]words", "song.lrc")  # a megabyte of stamps
    assert lines(lyrics) == [(2.0, "words")]
    assert "cut" in lyrics.warnings[0]


# Properties

WORDS = st.lists(
    st.text(st.sampled_from("abcdefgあいうえお春夏秋冬カナé'!?、"), min_size=1, max_size=8).filter(
        lambda w: any(c.isalnum() for c in w)
    ),
    min_size=1,
    max_size=6,
).map(" ".join)
CENTISECONDS = st.integers(0, 35_000)


def assert_sound(lyrics: Lyrics) -> None:
    assert lyrics.phrases
    starts = [p.start for p in lyrics.phrases]
    for phrase in lyrics.phrases:
        assert phrase.text == " ".join(phrase.text.split()) != ""
        phrase.text.encode()
    if lyrics.timed:
        assert starts == sorted(starts)
        assert all(0 <= p.start < p.end < 1e6 for p in lyrics.phrases)
    else:
        assert all(map(math.isnan, starts))


@settings(deadline=None)
@given(st.dictionaries(CENTISECONDS, WORDS, min_size=1, max_size=20))
def test_lrc_round_trip(song: dict[int, str]) -> None:
    text = "".join(f"[{t // 6000:02d}:{t // 100 % 60:02d}.{t % 100:02d}]{words}\n" for t, words in song.items())
    lyrics = lrc(text)
    assert lines(lyrics) == [(t / 100, song[t]) for t in sorted(song)]
    assert_sound(lyrics)


@settings(deadline=None)
@given(st.lists(st.tuples(WORDS, st.integers(1, 5000)), min_size=1, max_size=20))
def test_srt_round_trip(cues: list[tuple[str, int]]) -> None:
    def stamp(ms: int) -> str:
        return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d},{ms % 1000:03d}"

    at, text, expected = 0, "", []
    for number, (words, length) in enumerate(cues, 1):
        text += f"{number}\n{stamp(at)} --> {stamp(at + length)}\n{words}\n\n"
        expected.append((at / 1000, words))
        at += length + 10
    lyrics = parse(text.encode(), "song.srt")
    assert lines(lyrics) == expected
    assert_sound(lyrics)


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=20))
def test_plain_round_trip(song: list[str]) -> None:
    assert [p.text for p in parse("\n".join(song).encode(), "song.txt").phrases] == song


@settings(deadline=None)
@given(st.binary(max_size=400))
@example(b"\x1b$B\x00")
@example(b"[00:01.00]\xed\xa0\x80x")
def test_any_bytes_are_lyrics_or_bad_input(data: bytes) -> None:
    try:
        lyrics = parse(data, "anything")
    except BadInput:
        return
    assert_sound(lyrics)


SIGNS = st.sampled_from("[]<>:., 01959la春♪１：［］\n\u3000\ufeff\u2028\x01")
STAMPS = st.sampled_from(
    ["\n", "\n\n", "-->", "[00:01.00]", "<00:02.00>", "[99:99.99]", "9999", "[offset:", "[ti:", "00:00:01,000", "la la"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(SIGNS | STAMPS, max_size=40).map("".join), st.sampled_from(["utf-8", "utf-16", "cp932"]))
def test_any_heap_of_stamps_is_lyrics_or_bad_input(text: str, encoding: str) -> None:
    data = text.encode(encoding, "ignore")
    assume(len(data) > 2)
    try:
        lyrics = parse(data, "anything")
    except BadInput:
        return
    assert_sound(lyrics)
