"""A composer's choices move the ranking towards what they take, a little by one and decidedly by many."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.composing import ranking, taste
from pipelines.composing.taste import Chosen, Taste
from pipelines.composing.wishes import STYLES, Style

HIDDEN = {"bass_motion": -2.5, "suspensions": 1.5, "tension": 1.0, "likelihood": 0.2}


def offered(rng: np.random.Generator, style: Style, n: int = 5) -> tuple[dict[str, float], ...]:
    table = ranking.MEASURES[style]
    return tuple({name: float(rng.normal() * one.spread) for name, one in table.items()} for _ in range(n))


def liked(candidates: tuple[dict[str, float], ...]) -> int:
    """What a composer with the hidden weights takes."""
    table = ranking.MEASURES["chorale"]
    return max(
        range(len(candidates)),
        key=lambda i: sum(weight * candidates[i][name] / table[name].spread for name, weight in HIDDEN.items()),
    )


def test_twenty_choices_find_what_a_composer_takes_far_more_often_than_the_house() -> None:
    rng = np.random.default_rng(5)
    choices = [Chosen(group, liked(group)) for group in (offered(rng, "chorale") for _ in range(20))]
    learned = Taste({"chorale": taste.learn("chorale", choices)}, {"chorale": 20})
    asked = [offered(rng, "chorale") for _ in range(300)]

    def first(by: Taste | None) -> float:
        return float(np.mean([ranking.order("chorale", group, by)[0] == liked(group) for group in asked]))

    assert first(None) < 0.4
    assert first(learned) > 0.65
    assert first(learned) > first(Taste({"chorale": taste.learn("chorale", choices[:3])})) > first(None)


@pytest.mark.parametrize("style", STYLES)
def test_without_a_choice_between_two_it_is_the_houses(style: Style) -> None:
    rng = np.random.default_rng(1)
    alone = [Chosen(offered(rng, style, 1), 0)]
    house = {name: one.weight for name, one in ranking.MEASURES[style].items()}
    assert taste.learn(style, []) == pytest.approx(house)
    assert taste.learn(style, alone) == pytest.approx(house)
    (measures,) = offered(rng, style, 1)
    assert Taste().rating(style, measures) == pytest.approx(ranking.rating(style, measures))


def test_one_choice_moves_the_weights_towards_it_and_not_far() -> None:
    calm = dict.fromkeys(ranking.MEASURES["chorale"], 0.0)
    bold = calm | {"bass_motion": 3 * ranking.MEASURES["chorale"]["bass_motion"].spread}
    house = ranking.MEASURES["chorale"]["bass_motion"].weight
    learned = taste.learn("chorale", [Chosen((calm, bold), 1)])
    assert house < learned["bass_motion"] < house + 1
    others = {name: weight for name, weight in learned.items() if name != "bass_motion"}
    assert others == pytest.approx({n: ranking.MEASURES["chorale"][n].weight for n in others})


def test_measures_that_are_missing_or_no_number_do_not_harm() -> None:
    odd = Chosen(({"parallels": float("nan")}, {"likelihood": float("inf"), "a measure of old": 3.0}), 0)
    assert all(np.isfinite(weight) for weight in taste.learn("chorale", [odd]).values())


def test_reasons_say_what_sets_a_candidate_apart() -> None:
    table = ranking.MEASURES["chorale"]
    plain = dict.fromkeys(table, 1.0) | {"parallels": 0.0, "suspensions": 0.0, "beats": 32.0}
    smooth = plain | {"bass_motion": 0.0}
    held = plain | {"suspensions": 1.5, "parallels": 2.0}
    said = ranking.reasons("chorale", [plain, smooth, held])
    assert "smoothest bass" in said[1] and "no parallel fifths or octaves" in said[1]
    assert "most suspensions" in said[2] and "3 suspensions" in said[2]
    assert "some parallel fifths or octaves" in said[2]
    assert all(1 <= len(reasons) <= ranking.MOST_REASONS for reasons in said)
    wanted = Taste({"chorale": dict.fromkeys(table, 0.0) | {"suspensions": 1.0}}, {"chorale": 1})
    assert ranking.reasons("chorale", [plain, held], wanted)[1][0] == "closest to what you chose before"
    assert ranking.order("chorale", [plain, held], wanted) == [1, 0]
    (alone,) = ranking.reasons("pop", [{"fit": 0.934, "clashes": 0.0, "beats": 16.0, "cadence": 1.0}])
    assert alone == (
        "93 % of the melody's strong beats are chord tones",
        "nothing rubs against the melody",
        "ends on the tonic",
    )
