"""A melody goes in, arrangements come out: the melody untouched, what is to stay untouched, wishes followed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.composing import chorale_parts, midi_reading, midi_writing
from pipelines.composing.arranging import Arranged, arrange
from pipelines.composing.bar_plan import Section
from pipelines.composing.chords import chord_at, parse_chord
from pipelines.composing.keeping import recognised
from pipelines.composing.piece import (
    ChordSpan,
    Key,
    KeyChange,
    Marker,
    Metre,
    Note,
    Part,
    Piece,
    Role,
    Tempo,
)
from pipelines.composing.wishes import STYLES, VOICES, Style, Wishes, wish_hash
from pipelines.errors import BadInput

TUNES = sorted((Path(__file__).parents[2] / "sample" / "tunes").glob("*.mid"))
QUARTER = 480


def tune(name: str = "amazing_grace") -> Piece:
    return midi_reading.read(TUNES[0].with_name(f"{name}.mid"))


def melody_of(pitches: list[int], length: int = QUARTER, **others: object) -> Piece:
    """Notes one after the other, -1 is a rest; 4/4 in C unless told otherwise."""
    notes = tuple(Note(i * length, length, pitch) for i, pitch in enumerate(pitches) if pitch >= 0)
    plain = Piece(
        name="hummed",
        ticks_per_quarter=QUARTER,
        length=len(pitches) * length,
        tempos=(Tempo(0, 500_000),),
        metres=(Metre(0, 4, 4),),
        keys=(KeyChange(0, Key(0)),),
        parts=(Part("Lead", "other", notes, 73),),
    )
    return replace(plain, **others)  # type: ignore[arg-type]


def part(piece: Piece, role: Role) -> tuple[Note, ...]:
    found = piece.part(role)
    return () if found is None else found.notes


def sound(made: Arranged, source: Piece, style: Style) -> None:
    """What holds of every arrangement."""
    numbers = [candidate.number for candidate in made.candidates]
    assert numbers == list(range(1, len(numbers) + 1))
    ratings = [candidate.rating for candidate in made.candidates]
    assert ratings == sorted(ratings, reverse=True) and np.isfinite(ratings).all()
    for candidate in made.candidates:
        piece = candidate.piece
        assert piece.parts[0].notes == source.parts[made.melody.track].notes, "the melody is as it was"
        assert piece.parts[0].role == "melody"
        assert (piece.tempos, piece.metres, piece.ticks_per_quarter) == (
            source.tempos,
            source.metres,
            source.ticks_per_quarter,
        )
        roles = [one.role for one in piece.parts[1:]]
        assert roles and set(roles) <= set(VOICES[style]) and len(set(roles)) == len(roles)
        for one in piece.parts[1:]:
            assert one.name and one.notes
            assert list(one.notes) == sorted(one.notes, key=lambda note: (note.start, note.pitch))
            assert all(0 <= n.pitch <= 127 and 1 <= n.velocity <= 127 and n.duration >= 1 for n in one.notes)
            assert max(note.end for note in one.notes) <= piece.length
        assert candidate.reasons and candidate.made_by
        again = midi_reading.parse(midi_writing.to_bytes(piece), "again")
        assert [one.notes for one in again.parts] == [one.notes for one in piece.parts]
        assert [one.role for one in recognised(again).parts[1:]] == roles


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("path", TUNES, ids=lambda path: path.stem)
def test_tunes_get_two_arrangements_in_each_style(path: Path, style: Style) -> None:
    source = midi_reading.read(path)
    made = arrange(source, Wishes(style=style, candidates=2))
    sound(made, source, style)
    assert len(made.candidates) == 2
    first, second = (candidate.piece for candidate in made.candidates)
    assert part(first, "bass") != part(second, "bass") or part(first, "chords") != part(second, "chords")
    assert first.chords and any("key is" in said for said in made.notes)


@pytest.mark.parametrize("style", STYLES)
def test_the_same_wish_has_the_same_candidates_and_another_seed_others(style: Style) -> None:
    source, wishes = tune(), Wishes(style=style, candidates=3, seed=7)
    once, again = arrange(source, wishes), arrange(source, wishes)
    assert once.candidates == again.candidates
    other = arrange(source, replace(wishes, seed=8))
    assert {c.piece.parts for c in other.candidates} != {c.piece.parts for c in once.candidates}


@pytest.mark.parametrize("style", STYLES)
def test_a_locked_voice_and_locked_bars_stay_note_for_note(style: Style) -> None:
    source = tune()
    earlier = arrange(source, Wishes(style=style, candidates=1)).candidates[0].piece
    read_back = midi_reading.parse(midi_writing.to_bytes(earlier), "earlier")
    wishes = Wishes(
        style=style,
        candidates=3,
        seed=3,
        earlier=read_back,
        locked_voices=frozenset({"bass"}),
        locked_bars=frozenset({3, 4}),
    )
    made = arrange(source, wishes)
    sound(made, source, style)
    bar = 3 * QUARTER
    for candidate in made.candidates:
        assert part(candidate.piece, "bass") == part(earlier, "bass")
        for role in VOICES[style]:
            inside = [n for n in part(candidate.piece, role) if 2 * bar <= n.start < 4 * bar]
            assert inside == [n for n in part(earlier, role) if 2 * bar <= n.start < 4 * bar]
    others = [role for role in VOICES[style] if role != "bass"]
    assert any(part(c.piece, role) != part(earlier, role) for c in made.candidates for role in others)
    assert any("stay as they were" in said for said in made.notes)


@pytest.mark.parametrize("style", STYLES)
def test_a_span_is_made_anew_and_all_else_stays(style: Style) -> None:
    source = tune("ode_to_joy")
    earlier = arrange(source, Wishes(style=style)).candidates[0].piece
    made = arrange(source, Wishes(style=style, candidates=4, seed=11, earlier=earlier, span=(5, 8)))
    sound(made, source, style)
    first, last = 4 * 4 * QUARTER, 8 * 4 * QUARTER
    changed = 0
    for candidate in made.candidates:
        for role in VOICES[style]:
            now, before = part(candidate.piece, role), part(earlier, role)
            assert [n for n in now if not first <= n.start < last] == [n for n in before if not first <= n.start < last]
            changed += [n for n in now if first <= n.start < last] != [n for n in before if first <= n.start < last]
    assert changed


@pytest.mark.parametrize("style", STYLES)
def test_given_chords_are_followed(style: Style) -> None:
    source = tune("ode_to_joy")
    bar = 4 * QUARTER
    wanted = ["D", "A7", "Bm", "F#m", "G", "D/F#", "Em7", "A7"]
    given = tuple(ChordSpan(i * bar, (i + 1) * bar, parse_chord(symbol)) for i, symbol in enumerate(wanted))
    for candidate in arrange(source, Wishes(style=style, candidates=2, chords=given)).candidates:
        for span in given:
            found = chord_at(candidate.piece.chords, span.start)
            assert found is not None and found.symbol == span.chord.symbol
            low = [n.pitch for n in part(candidate.piece, "bass") if n.start <= span.start < n.end]
            assert low and low[0] % 12 == span.chord.bass


def test_sections_names_instruments_key_and_markers_are_followed() -> None:
    source = replace(tune("ode_to_joy"), markers=())
    sections = (Section(1, 8, "Verse", 0.1, 0.2), Section(9, 16, "Chorus", 0.9, 0.9))
    wishes = Wishes(style="pop", sections=sections, instruments={"bass": 38, "melody": 40}, key=Key(11, True))
    made = arrange(source, wishes)
    piece = made.candidates[0].piece
    assert [(marker.tick, marker.text) for marker in piece.markers] == [(0, "Verse"), (8 * 4 * QUARTER, "Chorus")]
    assert piece.keys == (KeyChange(0, Key(11, True)),) and made.melody.key.key == Key(11, True)
    assert piece.parts[0].program == 40
    bass = piece.part("bass")
    assert bass is not None and bass.program == 38
    half = 8 * 4 * QUARTER
    events = [note.start for one in piece.parts[1:] for note in one.notes]
    assert sum(start < half for start in events) < 0.8 * sum(start >= half for start in events)
    kept = arrange(replace(source, markers=(Marker(0, "Mine"),)), wishes).candidates[0].piece
    assert [marker.text for marker in kept.markers] == ["Verse", "Mine", "Chorus"]


def test_chords_of_a_pick_up_begin_with_it() -> None:
    source = tune("greensleeves")
    made = arrange(source, Wishes(candidates=1)).candidates[0].piece
    assert made.chords[0].start == source.parts[0].notes[0].start > 0
    assert min(note.start for one in made.parts[1:] for note in one.notes) == made.chords[0].start


def test_voices_rest_in_a_long_rest_and_sing_under_a_short_one() -> None:
    long, short = [60, 62, 64, 65, *[-1] * 8, 67, 65, 64, 62], [60, 62, 64, 65, -1, 67, 65, 64, 62, 60, 62, 60]
    resting = arrange(melody_of(long)).candidates[0].piece
    for role in VOICES["chorale"]:
        assert not [n for n in part(resting, role) if n.start >= 4 * QUARTER and n.end <= 12 * QUARTER]
        assert [n for n in part(resting, role) if n.start >= 12 * QUARTER]
    singing = arrange(melody_of(short)).candidates[0].piece
    for role in VOICES["chorale"]:
        assert any(n.start <= 4.5 * QUARTER < n.end for n in part(singing, role))


TUNE = [60, 62, 64, 65, 67, 65, 64, 62, 60, 64, 67, 72, 71, 67, 65, 64, 62, 60, 59, 60]
ODD: dict[str, Piece] = {
    "one note": melody_of([60]),
    "a short note": melody_of([60], 1),
    "overlapping notes": melody_of(
        TUNE, parts=(Part("Lead", "other", tuple(Note(i * 400, 700, p) for i, p in enumerate(TUNE))),)
    ),
    "chords as a melody": melody_of(
        TUNE,
        parts=(Part("Keys", "other", tuple(Note(i * 480, 480, p - d) for i, p in enumerate(TUNE) for d in (7, 4, 0))),),
    ),
    "7/8": melody_of(TUNE * 2, 240, metres=(Metre(0, 7, 8),)),
    "5/4": melody_of(TUNE, metres=(Metre(0, 5, 4),)),
    "12/8": melody_of(TUNE * 2, 240, metres=(Metre(0, 12, 8),)),
    "1/64": melody_of([60, 62, 64], metres=(Metre(0, 1, 64),)),
    "changes of metre": melody_of(TUNE, metres=(Metre(0, 4, 4), Metre(1920, 3, 4), Metre(4800, 7, 8))),
    "changes of tempo": melody_of(TUNE, tempos=(Tempo(0, 1), Tempo(960, 16_000_000))),
    "the highest and lowest": melody_of([0, 127, 1, 126, 0, 60]),
    "rests before": melody_of([-1] * 40 + TUNE),
    "thirty tracks": melody_of(
        TUNE,
        parts=tuple(
            Part(f"Track {n}", "other", tuple(Note(i * 480, 480, (p + n) % 128) for i, p in enumerate(TUNE)))
            for n in range(30)
        ),
    ),
    "chromatic and long": melody_of([60 + (i * 5) % 12 for i in range(400)], 120),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ODD)
def test_odd_melodies_are_arranged_all_the_same(name: str, style: Style) -> None:
    made = arrange(ODD[name], Wishes(style=style, candidates=2))
    assert made.candidates
    for candidate in made.candidates:
        assert candidate.piece.parts[0].notes == ODD[name].parts[made.melody.track].notes
        assert np.isfinite(candidate.rating)
        midi_writing.to_bytes(candidate.piece)


@pytest.mark.parametrize("style", STYLES)
def test_ten_thousand_notes(style: Style) -> None:
    rng = np.random.default_rng(2)
    scale = np.array([60, 62, 64, 65, 67, 69, 71, 72, 74, 76])
    walk = np.clip(np.cumsum(rng.integers(-2, 3, 10_000)), 0, 10**9) % 10
    source = melody_of([int(pitch) for pitch in scale[walk]], 120)
    made = arrange(source, Wishes(style=style))
    assert made.candidates[0].piece.parts[0].notes == source.parts[0].notes
    assert len(part(made.candidates[0].piece, "bass")) > 1000
    assert part(made.candidates[0].piece, "bass")[-1].end >= 9_990 * 120


def test_a_long_melody_is_set_in_windows_that_join(monkeypatch: pytest.MonkeyPatch) -> None:
    source, wishes = tune("ode_to_joy"), Wishes(candidates=3)
    whole = arrange(source, wishes)
    monkeypatch.setattr(chorale_parts, "WINDOW", 16)
    parted = arrange(source, wishes)
    sound(parted, source, "chorale")
    assert len(parted.candidates) == 3
    for made in (whole, parted):
        assert max(candidate.measures["parallels"] for candidate in made.candidates) <= 2
    assert whole.candidates[0].measures["beats"] == parted.candidates[0].measures["beats"]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        pytest.param((), "no notes", id="empty"),
        pytest.param((Part("Silent", "other", ()),), "no notes", id="a silent track"),
        pytest.param((Part("Kit", "drums", (Note(0, 10, 36),)),), "percussion", id="percussion"),
    ],
)
def test_a_source_without_a_melody_is_refused(parts: tuple[Part, ...], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        arrange(melody_of([60], parts=parts))


C = ChordSpan(0, 480, parse_chord("C"))
EARLIER = melody_of(TUNE)


@pytest.mark.parametrize(
    "wishes",
    [
        pytest.param(Wishes(candidates=0), id="no candidate"),
        pytest.param(Wishes(candidates=33), id="too many candidates"),
        pytest.param(Wishes(seed=-1), id="seed"),
        pytest.param(Wishes(style="jazz"), id="style"),  # type: ignore[arg-type]
        pytest.param(Wishes(style="pop", groove="polka of mars"), id="groove"),
        pytest.param(Wishes(density=1.5), id="density"),
        pytest.param(Wishes(energy=float("nan")), id="energy"),
        pytest.param(Wishes(instruments={"bass": 128}), id="instrument"),
        pytest.param(Wishes(locked_bars=frozenset({1})), id="nothing to keep"),
        pytest.param(Wishes(earlier=EARLIER, locked_bars=frozenset({0})), id="bar 0"),
        pytest.param(Wishes(earlier=EARLIER, locked_bars=frozenset({99})), id="bar beyond the end"),
        pytest.param(Wishes(earlier=EARLIER, span=(3, 2)), id="span backwards"),
        pytest.param(Wishes(earlier=EARLIER, span=(1, 99)), id="span beyond the end"),
        pytest.param(Wishes(earlier=EARLIER, locked_voices=frozenset({"drums"})), id="a voice of the other style"),
        pytest.param(Wishes(earlier=EARLIER, locked_voices=frozenset({"bass"})), id="a voice that is not there"),
        pytest.param(Wishes(chords=(C, C)), id="chords on top of each other"),
        pytest.param(Wishes(chords=(ChordSpan(5, 5, C.chord),)), id="a chord without length"),
        pytest.param(Wishes(track=9), id="no such track"),
        pytest.param(Wishes(track="harp"), id="no track of that name"),
        pytest.param(
            Wishes(earlier=replace(EARLIER, ticks_per_quarter=7), span=(1, 1)), id="an arrangement of other ticks"
        ),
    ],
)
def test_what_cannot_be_had_is_said_in_a_sentence(wishes: Wishes) -> None:
    with pytest.raises(BadInput):
        arrange(melody_of(TUNE), wishes)


def test_equal_wishes_have_equal_hashes_and_others_do_not() -> None:
    one = Wishes(instruments={"bass": 1, "pad": 2}, locked_voices=frozenset({"alto", "bass"}), earlier=EARLIER)
    same = Wishes(instruments={"pad": 2, "bass": 1}, locked_voices=frozenset({"bass", "alto"}), earlier=melody_of(TUNE))
    assert wish_hash(one) == wish_hash(same) and len(wish_hash(one)) == 32
    others = [
        Wishes(),
        Wishes(seed=1),
        Wishes(key=Key(0)),
        Wishes(key=Key(0, True)),
        Wishes(chords=(C,)),
        Wishes(earlier=EARLIER),
        Wishes(earlier=melody_of(TUNE[1:])),
        Wishes(span=(1, 2)),
    ]
    assert len({wish_hash(wishes) for wishes in others}) == len(others)
