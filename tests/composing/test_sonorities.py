"""Chords by their pitch classes and by where they stand in a melody."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.composing import sonorities
from pipelines.composing.sonorities import ANYWHERE, APPROACH, CLOSING, LAST, OPENING, PICKUP
from pipelines.composing.weights import ARRANGED, CHOSEN


def _set(*pitch_classes: int) -> int:
    return sum(1 << pitch_class for pitch_class in pitch_classes)


@pytest.mark.parametrize(
    ("minor", "chord", "false"),
    [
        pytest.param(False, (0, 3, 4, 7), True, id="both-thirds-of-the-tonic"),
        pytest.param(False, (2, 5, 6, 9), True, id="both-thirds-of-the-second-degree"),
        pytest.param(True, (10, 11, 5), True, id="two-sevenths-in-minor"),
        pytest.param(True, (7, 11, 2, 5), False, id="dominant-seventh"),
        pytest.param(False, (0, 4, 7, 11), False, id="major-seventh"),
        pytest.param(True, (7, 8, 0, 3), False, id="a-minor-second-of-the-scale"),
        pytest.param(False, (), False, id="silence"),
    ],
)
def test_false_relations_are_two_notes_of_a_letter_or_two_thirds(
    minor: bool, chord: tuple[int, ...], false: bool
) -> None:
    assert sonorities.false_relations(minor)[_set(*chord)] == false


def test_letters_that_clash_are_told_both_ways() -> None:
    for minor in (False, True):
        against = sonorities.against(minor)
        for one in range(12):
            for other in range(12):
                assert (against[one] >> other) & 1 == (against[other] >> one) & 1
        assert against[4] == 1 << 3


def test_seconds_are_counted_around_the_octave() -> None:
    assert sonorities.seconds()[_set(0, 4, 7)] == 0
    assert sonorities.seconds()[_set(0, 4, 7, 10)] == 1
    assert sonorities.seconds()[_set(4, 7, 9, 11)] == 2


def test_a_root_whose_third_turns_is_one_number_off() -> None:
    thirds = sonorities.thirds()
    assert thirds[_set(9, 0, 4)] ^ 1 == thirds[_set(9, 1, 4)] == thirds[_set(9, 1, 4, 7)]
    assert thirds[_set(0, 2, 7)] == -1


def test_a_melody_opens_and_closes() -> None:
    line = np.repeat([-1, 67, 72, 74, 76, 74, 72, 72, -1], 4)
    level = np.array([1, 1, 3, 1, 2, 1, 3, 1, 2], np.int8)

    assert sonorities.places(line, level).tolist() == [
        *(ANYWHERE, PICKUP, OPENING, ANYWHERE, ANYWHERE, APPROACH, CLOSING, LAST, ANYWHERE)
    ]
    assert sonorities.places(line)[1] == OPENING
    assert (sonorities.places(np.full(8, -1)) == ANYWHERE).all()
    assert sonorities.places(np.full(4, 60)).tolist() == [LAST]
    pedal = sonorities.places(np.concatenate([np.full(8, 62), np.full(60, 60)]))
    assert pedal[-1] == LAST
    assert APPROACH not in pedal
    moving = np.repeat([60, 62], 4)
    moving[-1] = 60
    assert sonorities.places(moving).tolist() == [APPROACH, LAST]


@pytest.mark.parametrize("minor", [False, True], ids=["major", "minor"])
def test_cadences_are_ordered_as_the_school_has_them(minor: bool) -> None:
    costs = sonorities.costs(CHOSEN, minor)
    third = 3 if minor else 4

    def at(place: int, bass: int, *chord: int) -> float:
        return float(costs[place, 13 * _set(*chord) + bass])

    tonic, dominant = (0, third, 7), (7, 11, 2)
    assert at(LAST, 0, *tonic) == 0 < at(LAST, 7, *dominant) < at(LAST, third, *tonic)
    assert at(APPROACH, 7, *dominant) == 0 < at(APPROACH, 11, *dominant) < at(APPROACH, 0, *tonic)
    assert at(OPENING, 0, *tonic) == 0 < at(OPENING, third, *tonic) < at(OPENING, 2, 2, 6, 9)
    assert at(PICKUP, 7, *dominant) == 0
    assert at(ANYWHERE, 0, 0, 7) == CHOSEN.hollow
    assert at(ANYWHERE, 0, 0, 3, 4, 7) >= CHOSEN.false_relation


def test_a_last_major_third_in_minor_is_dearer_in_arrangements() -> None:
    picardy = 13 * _set(0, 4, 7)
    assert sonorities.costs(CHOSEN, True)[LAST, picardy] == CHOSEN.picardy
    assert sonorities.costs(ARRANGED, True)[LAST, picardy] == ARRANGED.picardy > CHOSEN.picardy
    assert sonorities.costs(ARRANGED, False)[LAST, picardy] == 0
