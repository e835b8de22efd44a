"""The pop style on real tunes: chords that fit, parts in their registers, endings, given chords, one result a seed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.composing import midi_reading, midi_writing
from pipelines.composing.bar_plan import Section, plan
from pipelines.composing.bass_line import HIGHEST, LOWEST
from pipelines.composing.chords import chord_at, parse_chord, quality_of
from pipelines.composing.comping import voicings
from pipelines.composing.corpus import load
from pipelines.composing.functions import shipped_transitions
from pipelines.composing.grooves import grooves
from pipelines.composing.melody import Melody, find
from pipelines.composing.piece import ChordSpan, Key, KeyChange, Metre, Note, Part, Piece, Tempo
from pipelines.composing.pop import PopWishes, accompany, groove_for, harmonize
from pipelines.composing.pop_evaluation import measure, root_agreement
from pipelines.errors import BadInput

TUNES = sorted((Path(__file__).parents[2] / "sample" / "tunes").glob("*.mid"))


def tune(name: str) -> Melody:
    return find(midi_reading.read(next(path for path in TUNES if path.stem == name)))


def melody(notes: list[tuple[float, float, int]], numerator: int = 4, denominator: int = 4) -> Melody:
    """Of (start, length, pitch) in quarters."""
    part = Part("tune", "melody", tuple(Note(int(s * 480), int(d * 480), pitch) for s, d, pitch in notes))
    length = max(note.end for note in part.notes)
    metres, keys = (Metre(0, numerator, denominator),), (KeyChange(0, Key(0)),)
    return find(Piece("tune", 480, length, (Tempo(0, 500_000),), metres, keys, (part,)))


@pytest.mark.parametrize("path", TUNES, ids=lambda path: path.stem)
def test_chords_cover_the_full_bars_and_fit_the_tune(path: Path) -> None:
    sung = find(midi_reading.read(path))
    bars = [bar for bar in plan(sung, (), 0.5, 0.5) if bar.number >= 1]
    found = harmonize(sung, candidates=3)
    assert len(found) == 3
    for chords in found:
        assert chords[0].start == bars[0].start
        assert chords[-1].end == bars[-1].end
        assert all(before.end == after.start for before, after in pairwise(chords))
    measures = measure(sung, found[0], accompany(sung, found[0], PopWishes(density=0.9)))
    assert measures.chord_tones >= 0.8
    assert measures.clashes == 0
    assert 0.3 <= measures.chords <= 2


def test_nearly_every_note_on_a_strong_beat_belongs_to_its_chord() -> None:
    measures = []
    for path in TUNES:
        sung = find(midi_reading.read(path))
        chords = harmonize(sung)[0]
        measures.append(measure(sung, chords, accompany(sung, chords)))
    counts = [each.strong_notes for each in measures]
    assert np.average([each.chord_tones for each in measures], weights=counts) >= 0.97
    assert np.mean([each.parallels for each in measures]) <= 11


@pytest.mark.parametrize("path", TUNES, ids=lambda path: path.stem)
@pytest.mark.parametrize("groove", [None, "bossa", "funk", "march"])
def test_parts_are_playable_and_leave_the_pick_up_alone(path: Path, groove: str | None) -> None:
    sung = find(midi_reading.read(path))
    wishes = PopWishes(groove=groove, density=1.0, energy=0.9, seed=4)
    bars = plan(sung, (), 1.0, 0.9)
    full = next(bar for bar in bars if bar.number >= 1)
    parts = accompany(sung, harmonize(sung, wishes)[0], wishes)
    assert [part.role for part in parts] == ["bass", "chords", "pad", "arpeggio", "drums"]
    for part in parts:
        assert list(part.notes) == sorted(part.notes, key=lambda note: (note.start, note.pitch))
        assert part.notes[0].start >= full.start
        assert max(note.end for note in part.notes) <= bars[-1].end
        assert all(note.duration >= 1 and 1 <= note.velocity <= 127 for note in part.notes)
    bass, chords = parts[0].notes, parts[1].notes
    assert all(LOWEST <= note.pitch <= HIGHEST for note in bass)
    assert all(before.end <= after.start for before, after in pairwise(bass))
    assert min(note.pitch for note in chords) > 42


def test_the_bass_has_the_chords_bass_where_a_chord_begins() -> None:
    sung = tune("auld_lang_syne")
    chords = harmonize(sung)[0]
    bass = accompany(sung, chords)[0].notes
    starts = {note.start: note.pitch % 12 for note in bass}
    assert all(starts.get(span.start) == span.chord.bass for span in chords if span.start in starts)
    assert sum(span.start in starts for span in chords) >= 0.8 * len(chords)


def test_it_ends_on_the_tonic_and_holds_it() -> None:
    for path in TUNES:
        sung = find(midi_reading.read(path))
        chords = harmonize(sung)[0]
        if sung.part.notes[-1].pitch % 12 == sung.key.key.tonic:
            assert chords[-1].chord.root == sung.key.key.tonic
        parts = accompany(sung, chords)
        last = plan(sung, (), 0.5, 0.5)[-1]
        assert parts[0].notes[-1].end == last.end
        assert all(note.end == last.end for note in parts[1].notes[-2:])


def test_voices_of_the_chords_move_little() -> None:
    sung = tune("old_hundredth")
    chords = harmonize(sung)[0]
    tops: dict[int, int] = {}
    for note in accompany(sung, chords)[1].notes:
        place = sum(span.start <= note.start for span in chords)
        tops[place] = max(tops.get(place, 0), note.pitch)
    assert np.mean(np.abs(np.diff(list(tops.values())))) <= 4


def test_given_chords_are_followed_as_they_are() -> None:
    sung = tune("ode_to_joy")
    own = (
        ChordSpan(0, 1920, parse_chord("Bm7/A")),
        ChordSpan(1920, 2400, parse_chord("G#dim7")),
        ChordSpan(2400, 5760, parse_chord("F#m")),
    )
    for chords in harmonize(sung, PopWishes(given=own), candidates=3):
        assert chords[:3] == own
        bass = accompany(sung, chords)[0].notes
        assert next(note.pitch for note in bass if note.start == 0) % 12 == 9


def test_sections_have_their_own_density_and_energy() -> None:
    sung = tune("ode_to_joy")
    sections = (Section(1, 8, "verse", 0.2, 0.2), Section(9, 16, "chorus", 1.0, 0.9))
    parts = {part.role: part for part in accompany(sung, harmonize(sung)[0], PopWishes(sections=sections))}
    middle = 8 * 1920
    assert all(note.start >= middle for note in parts["arpeggio"].notes)
    drums = parts["drums"].notes
    verse, chorus = ([note for note in drums if (note.start >= middle) is later] for later in (False, True))
    assert len(chorus) > len(verse)
    assert np.mean([note.velocity for note in chorus]) > np.mean([note.velocity for note in verse]) + 15
    assert any(note.pitch == 49 and note.start == middle for note in drums)


@pytest.mark.parametrize("name", ["ode_to_joy", "auld_lang_syne", "greensleeves"])
def test_sections_count_bars_as_the_page_does(name: str) -> None:
    """With the pick-up as bar 1, whether it is written as a short bar or as a whole one with rests."""
    sung = tune(name)
    pages = sung.grid.bar[np.searchsorted(sung.grid.beat_ticks, [bar.start for bar in plan(sung, (), 0.5, 0.5)])]
    sections = (Section(1, 9, "A", 0.2, 0.3), Section(10, 99, "B", 0.8, 0.9))
    for page, bar in zip(pages, plan(sung, sections, 0.5, 0.5), strict=True):
        assert bar.energy == (0.3 if page <= 9 else 0.9)
        assert bar.opens == (page == 10 or bar.number == 1)
        assert bar.closes == (page == 9)


@pytest.mark.parametrize("path", TUNES, ids=lambda path: path.stem)
def test_no_chord_stays_too_long_under_a_moving_melody(path: Path) -> None:
    sung = find(midi_reading.read(path))
    quarter = sung.piece.ticks_per_quarter
    for span in harmonize(sung)[0]:
        last = max(note.start for note in sung.part.notes if note.start < span.end)
        assert last - span.start < 12 * quarter, span


def test_minor_closes_with_its_leading_tone() -> None:
    sung = tune("korobeiniki")
    chords = harmonize(sung)[0]
    for bar in (4, 8):
        place = next(n for n, span in enumerate(chords) if span.start <= (bar - 1) * 1920 < span.end)
        assert chords[place].chord.symbol == "Am"
        assert chords[place - 1].chord.root == 4 and 8 in chords[place - 1].chord.pitch_classes


@pytest.mark.parametrize("name", ["ode_to_joy", "amazing_grace", "old_hundredth", "lullaby"])
def test_a_tune_in_major_closes_from_its_dominant(name: str) -> None:
    sung = tune(name)
    chords = harmonize(sung)[0]
    degrees = [(span.chord.root - sung.key.key.tonic) % 12 for span in chords]
    assert degrees[-1] == 0
    assert 7 in degrees[-3:]


def test_a_melody_that_closes_on_the_fifth_in_minor_closes_on_the_dominant() -> None:
    assert harmonize(tune("sakura"))[0][-1].chord.symbol == "E"


@pytest.mark.parametrize("path", TUNES, ids=lambda path: path.stem)
def test_chords_and_pad_stay_under_the_melody_and_apart(path: Path) -> None:
    sung = find(midi_reading.read(path))
    parts = {part.role: part.notes for part in accompany(sung, harmonize(sung)[0], PopWishes("ballad", 0.6))}
    short = sung.piece.ticks_per_quarter // 8
    for note in (*parts["chords"], *parts["pad"]):
        heard = [one for one in sung.part.notes if min(note.end, one.end) - max(note.start, one.start) > short]
        assert all(note.pitch <= one.pitch for one in heard), note
    shared = sum(
        max(0, min(note.end, other.end) - max(note.start, other.start))
        for note in parts["pad"]
        for other in parts["chords"]
        if other.pitch == note.pitch
    )
    assert shared <= 0.6 * sum(note.duration for note in parts["pad"])


def test_a_phrase_swells_and_its_beats_have_weight() -> None:
    sung = tune("auld_lang_syne")
    bars = {bar.number: bar for bar in plan(sung, (), 0.5, 0.5)}
    assert bars[3].swell > bars[1].swell and bars[3].swell > bars[8].swell
    parts = accompany(sung, harmonize(sung)[0])
    for part in parts:
        loud = [note.velocity for note in part.notes]
        assert max(loud) - min(loud) >= 18, part.name
    chords = next(part.notes for part in parts if part.role == "chords")
    first = [note.velocity for note in chords if any(note.start == bar.start for bar in bars.values())]
    assert np.mean(first) > np.mean([note.velocity for note in chords]) + 5


def test_voicings_go_on_from_the_one_before() -> None:
    spans = (ChordSpan(0, 480, parse_chord("F")),)
    sung = (Note(0, 480, 79),)
    for before in ((55, 60, 64), (64, 67, 72)):
        [found] = voicings(spans, sung, before=before)
        assert np.mean([min(abs(one - other) for other in before) for one in found]) <= 2


def test_the_same_wish_makes_the_same_notes_and_another_seed_others() -> None:
    sung = tune("greensleeves")
    one, same, other = (
        accompany(sung, harmonize(sung, PopWishes(seed=seed))[0], PopWishes(seed=seed)) for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_what_is_made_is_written_and_read_back(tmp_path: Path) -> None:
    sung = tune("sakura")
    chords = harmonize(sung)[0]
    parts = accompany(sung, chords)
    piece = replace(sung.piece, parts=(sung.part, *parts), chords=chords, length=chords[-1].end)
    midi_writing.write(piece, tmp_path / "out.mid")
    back = midi_reading.read(tmp_path / "out.mid")
    assert [part.name for part in back.parts] == [part.name for part in piece.parts]
    assert back.parts[0].notes == sung.part.notes
    assert sum(len(part.notes) for part in back.parts) >= 0.98 * sum(len(part.notes) for part in piece.parts)


@pytest.mark.parametrize(("numerator", "denominator"), [(7, 8), (5, 4), (5, 8), (11, 8), (1, 4), (3, 2)])
def test_odd_metres_have_chords_on_their_groups(numerator: int, denominator: int) -> None:
    scale = (60, 62, 64, 65, 67, 69, 71, 72)
    unit = 4 / denominator
    sung = melody([(n * unit, unit, scale[n * 3 % 8]) for n in range(numerator * 8)], numerator, denominator)
    chords = harmonize(sung)[0]
    assert accompany(sung, chords)
    assert chords[-1].end >= sung.part.notes[-1].end


@pytest.mark.parametrize(
    "notes",
    [
        [(0.0, 1.0, 60)],
        [(0.0, 0.01, 127)],
        [(100.0, 4.0, 0)],
        [(0.0, 64.0, 64)],
        [(0.0, 1.0, 60), (40.0, 1.0, 61)],
        [(n * 0.1, 0.1, 60 + n % 12) for n in range(200)],
    ],
    ids=["one", "tiny", "late-and-low", "long", "a-gap", "chromatic"],
)
def test_strange_melodies_have_an_accompaniment(notes: list[tuple[float, float, int]]) -> None:
    sung = melody(notes)
    for chords in harmonize(sung, candidates=2):
        parts = accompany(sung, chords, PopWishes(density=1.0))
        assert {"bass", "chords", "drums"} <= {part.role for part in parts}
        assert chord_at(chords, sung.part.notes[-1].start) is not None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.25, 1 / 3, 0.5, 1.0, 1.5, 3.0, 20.0]), st.integers(0, 127)),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 13),
    st.sampled_from([1, 2, 4, 8, 16, 32]),
    st.sampled_from([1, 7, 96, 480]),
    st.sampled_from(sorted(grooves())),
    st.floats(0, 1),
    st.none() | st.tuples(st.integers(0, 4000), st.integers(1, 4000), st.sampled_from(["F#7b9/G", "C5", "Ebm11"])),
)
def test_any_melody_in_any_metre_has_parts_that_can_be_played(
    notes: list[tuple[float, int]],
    numerator: int,
    denominator: int,
    ticks: int,
    groove: str,
    density: float,
    own: tuple[int, int, str] | None,
) -> None:
    lengths = [max(1, round(length * ticks)) for length, _ in notes]
    starts = np.cumsum([0, *lengths])
    sung = tuple(Note(int(s), d, pitch) for s, d, (_, pitch) in zip(starts, lengths, notes, strict=False))
    metres, keys = (Metre(0, numerator, denominator),), (KeyChange(0, Key(0)),)
    part = Part("tune", "melody", sung)
    found = find(Piece("tune", ticks, int(starts[-1]), (Tempo(0, 500_000),), metres, keys, (part,)))
    held = () if own is None else (ChordSpan(own[0], own[0] + own[1], parse_chord(own[2])),)
    wishes = PopWishes(groove=groove, density=density, given=held)
    for chords in harmonize(found, wishes, candidates=2):
        assert all(before.end == after.start for before, after in pairwise(chords))
        for made in accompany(found, chords, wishes):
            ends: dict[int, int] = {}
            for note in made.notes:
                voice = -1 if made.role == "bass" else note.pitch
                assert ends.get(voice, 0) <= note.start < note.end
                assert 0 <= note.pitch <= 127
                ends[voice] = note.end


def test_a_rich_groove_colours_the_chords_and_a_plain_one_does_not() -> None:
    sung = tune("amazing_grace")
    plain, rich = (harmonize(sung, PopWishes(groove=groove))[0] for groove in ("march", "bossa"))
    assert {quality_of(span.chord) for span in rich} & {"maj7", "6", "9", "m7"}
    assert {quality_of(span.chord) for span in plain} <= {"", "m", "7", "dim", "sus4", "7sus4"}


def test_a_composers_transitions_change_the_chords() -> None:
    sung = tune("amazing_grace")
    own = [parse_chord(symbol) for symbol in ("G", "F", "C", "G", "F", "C", "G")]
    learned = shipped_transitions().learned([(own, Key(7))] * 40)
    ours, theirs = harmonize(sung)[0], harmonize(sung, transitions=learned)[0]
    assert ours != theirs


def test_the_groove_suits_the_tune_or_is_refused() -> None:
    assert groove_for(tune("greensleeves")).name == "folk"
    assert groove_for(tune("amazing_grace"), PopWishes(groove="lofi")).name == "lofi"
    with pytest.raises(BadInput, match="choose from"):
        groove_for(tune("sakura"), PopWishes(groove="techno"))


@pytest.mark.parametrize("groove", sorted(grooves()))
def test_no_groove_rubs_on_strong_beats(groove: str) -> None:
    sung, wishes = tune("auld_lang_syne"), PopWishes(groove=groove, density=0.9)
    chords = harmonize(sung, wishes)[0]
    assert measure(sung, chords, accompany(sung, chords, wishes)).clashes == 0


def test_roots_agree_with_bach_more_often_than_the_tonic_does() -> None:
    corpus = load()
    agreement = root_agreement(corpus.train, corpus.valid[:20])
    assert agreement.model > 0.5
    assert agreement.model > agreement.tonic + 0.15
