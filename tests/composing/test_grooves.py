"""Grooves as data: every metre has a bar of the right length, and what is wrong in them is named."""

from __future__ import annotations

import pytest

from pipelines.composing.bar_plan import PlannedBar
from pipelines.composing.drum_part import drum_part
from pipelines.composing.grooves import DRUMS, groove_named, grooves, groups, suited
from pipelines.composing.strokes import performed, strokes
from pipelines.errors import BadInput

METRES = [
    (4, 4),
    (3, 4),
    (6, 8),
    (2, 4),
    (2, 2),
    (3, 2),
    (5, 4),
    (7, 8),
    (5, 8),
    (9, 8),
    (12, 8),
    (11, 8),
    (7, 4),
    (1, 4),
]
METRES += [(3, 8), (6, 4), (4, 8), (1, 8), (7, 16), (4, 2), (13, 8), (1, 1)]


def bar(numerator: int = 4, denominator: int = 4, number: int = 1, **changes: object) -> PlannedBar:
    length = 480 * 4 * numerator // denominator
    start = (number - 1) * length
    fields = {"density": 0.8, "energy": 0.6, "opens": False, "closes": False, "phrase_ends": False, "last": False}
    return PlannedBar(number, start, start + length, numerator, denominator, (start,), **(fields | changes))  # type: ignore[arg-type]


def drums_of(bars: list[PlannedBar], groove: str) -> set[tuple[int, int]]:
    return {(note.start, note.pitch) for note in drum_part(bars, groove_named(groove), 480)}


@pytest.mark.parametrize("metre", METRES, ids=lambda metre: f"{metre[0]}-{metre[1]}")
@pytest.mark.parametrize("name", sorted(grooves()))
def test_a_bar_of_any_metre_is_as_long_as_the_metre(name: str, metre: tuple[int, int]) -> None:
    pattern = groove_named(name).pattern(*metre)
    assert pattern.steps * pattern.step == pytest.approx(4 * metre[0] / metre[1])
    assert pattern.bass[0] == "R"
    for line in (*pattern.drums.values(), *pattern.fill.values(), pattern.chords, pattern.arpeggio):
        assert len(line) == pattern.steps
    assert all(note.end <= bar(*metre).end for note in drum_part([bar(*metre)], groove_named(name), 480))


@pytest.mark.parametrize(
    ("metre", "expected"),
    [
        ((5, 4), (3, 2)),
        ((7, 8), (2, 2, 3)),
        ((6, 8), (3, 3)),
        ((8, 8), (3, 3, 2)),
        ((7, 4), (4, 3)),
        ((10, 8), (3, 3, 2, 2)),
    ],
    ids=["5-4", "7-8", "6-8", "8-8", "7-4", "10-8"],
)
def test_metres_fall_into_groups(metre: tuple[int, int], expected: tuple[int, ...]) -> None:
    assert groups(*metre) == expected


@pytest.mark.parametrize("numerator", range(1, 40))
@pytest.mark.parametrize("denominator", [2, 4, 8])
def test_groups_make_up_the_bar(numerator: int, denominator: int) -> None:
    assert sum(groups(numerator, denominator)) == numerator


@pytest.mark.parametrize("name", ["pop", "rock", "ballad", "funk", "lofi"])
def test_the_snare_has_the_backbeat(name: str) -> None:
    played = drums_of([bar()], name)
    snares = {start for start, pitch in played if pitch == DRUMS["snare"]}
    assert {480, 1440} <= snares
    assert (0, DRUMS["kick"]) in played


def test_seven_eighths_are_two_and_two_and_three() -> None:
    played = drums_of([bar(7, 8)], "pop")
    kicks = {start for start, pitch in played if pitch == DRUMS["kick"]}
    assert 0 in kicks
    assert (960, DRUMS["snare"]) in played  # where the three begin


def test_a_section_ends_with_a_fill_and_begins_with_a_crash() -> None:
    usual, closing = bar(number=7), bar(number=8, closes=True)
    opening = bar(number=9, opens=True)
    notes = drum_part([usual, closing, opening], groove_named("rock"), 480)
    toms = {note.start for note in notes if note.pitch in (DRUMS["tom_high"], DRUMS["tom_low"])}
    assert toms
    assert all(closing.start + 960 <= start < closing.end for start in toms)
    assert [note.start for note in notes if note.pitch == DRUMS["crash"]] == [usual.start, opening.start]


def test_density_adds_strokes_and_energy_makes_them_loud() -> None:
    sparse, dense = (drum_part([bar(density=density)], groove_named("pop"), 480) for density in (0.2, 1.0))
    assert len(dense) > len(sparse)
    soft, loud = (drum_part([bar(energy=energy)], groove_named("rock"), 480) for energy in (0.0, 1.0))
    assert max(note.velocity for note in soft) < min(note.velocity for note in loud if note.pitch == DRUMS["kick"])


def test_nothing_is_played_in_a_pick_up_and_the_last_bar_is_one_stroke() -> None:
    assert drum_part([bar(number=0)], groove_named("rock"), 480) == []
    last = drum_part([bar(last=True)], groove_named("rock"), 480)
    assert {note.start for note in last} == {0}


def test_strokes_are_held_until_the_next_one() -> None:
    found = strokes("R--.f-R-R---", bar(3, 4), 0.25, 480, density=0.4)
    assert [(stroke.start, stroke.end, stroke.letter) for stroke in found] == [
        (0, 360, "R"),
        (720, 960, "R"),
        (960, 1440, "R"),
    ]
    assert len(strokes("R--.f-R-R---", bar(3, 4), 0.25, 480, density=0.9)) == 4


def test_swing_delays_every_second_sixteenth() -> None:
    assert [stroke.start for stroke in strokes("xxxx", bar(1, 4), 0.25, 480, 1.0, swing=0.5)] == [0, 180, 240, 420]


def test_a_bar_is_played_alike_whatever_is_around_it() -> None:
    bars = [bar(number=number) for number in (1, 2, 3)]
    notes = drum_part(bars, groove_named("pop"), 480)
    whole = performed(notes, bars, 480, seed=5)
    second = performed([note for note in notes if bars[1].start <= note.start < bars[1].end], bars[1:2], 480, seed=5)
    assert set(second) <= set(whole)
    assert whole != performed(notes, bars, 480, seed=6)
    assert all(abs(a.start - b.start) <= 5 for a, b in zip(sorted(notes), whole, strict=True))


def test_an_unknown_groove_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match=r"polka.*choose from ballad, pop, rock"):
        groove_named("polka")


@pytest.mark.parametrize(
    ("metre", "tempo", "name"),
    [
        ((3, 4), 120, "waltz"),
        ((3, 4), 70, "ballad"),
        ((6, 8), 100, "folk"),
        ((4, 4), 70, "ballad"),
        ((4, 4), 120, "pop"),
    ],
    ids=["waltz", "slow-three", "six-eight", "slow-four", "four"],
)
def test_the_groove_that_suits(metre: tuple[int, int], tempo: float, name: str) -> None:
    assert suited(*metre, tempo) == name
