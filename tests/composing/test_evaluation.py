"""Harmonisers beside each other, what stands against a release, and the page that says so."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.composing import corpus, evaluation, evaluation_drawings, evaluation_pictures, evaluation_report, gates
from pipelines.composing.corpus import Corpus
from pipelines.composing.evaluation import BACH, LIVE, NAME, Evaluation
from pipelines.composing.references import Completer, fixed_intervals, most_frequent_voicing


def nearly_bach(pieces: Corpus, share: float) -> Completer:
    """Sings what Bach wrote, but for some sixteenths where the tenor is a semitone higher."""
    known = {piece.frames[:, 0].tobytes(): piece.frames for piece in (*pieces.valid, *pieces.test)}

    def complete(soprano: NDArray[np.int64]) -> NDArray[np.int64]:
        made = known[soprano.tobytes()].copy()
        wrong = np.random.default_rng(len(soprano)).random(len(made)) < share
        made[wrong & (made[:, 2] >= 0), 2] += 1
        return made

    return complete


@pytest.fixture(scope="module")
def pieces() -> Corpus:
    whole = corpus.load()
    return Corpus(whole.train, whole.valid[:24], whole.test[:16])


@pytest.fixture(scope="module")
def evaluations(pieces: Corpus) -> dict[str, Evaluation]:
    scorers = {
        "fixed_intervals": fixed_intervals(pieces.train),
        "most_frequent_voicing": most_frequent_voicing(pieces.train),
        NAME: nearly_bach(pieces, 0.02),
        LIVE: nearly_bach(pieces, 0.04),
    }
    return {split: evaluation.evaluate(pieces, split, scorers) for split in ("valid", "test")}


@pytest.fixture
def judged(evaluations: dict[str, Evaluation]) -> dict[str, Any]:
    """As it is kept: through JSON."""
    found: dict[str, Any] = json.loads(json.dumps({split: one.to_json() for split, one in evaluations.items()}))
    for one in found.values():  # Bach's crossing is above the bound in these few
        one["scorers"][NAME]["all"]["crossing"] = [0.01, 0.0, 0.02]
    return found


def test_everybody_is_judged_on_the_same_pieces(judged: dict[str, Any]) -> None:
    valid = judged["valid"]
    assert valid["n"] == {"all": 24, "disjoint": sum(valid["apart"])}
    assert 0 < valid["n"]["disjoint"] < 24
    assert evaluation.ranked(valid) == [NAME, LIVE, "most_frequent_voicing", "fixed_intervals", BACH]
    assert valid["best_simple"] == "most_frequent_voicing"
    value, low, high = valid["differences"]["most_frequent_voicing"]["all"]["frames"]
    assert low < value < high and low > 0.5
    assert len(valid["by_piece"][NAME]) == 24
    assert valid["scorers"][BACH]["all"]["frames"][0] == 1


def test_the_table_has_a_row_for_each_and_bach_last(judged: dict[str, Any]) -> None:
    rows = evaluation.table(judged["test"]).splitlines()
    assert rows[2].startswith("| the model | 0.9")
    assert rows[-1].startswith("| Bach himself | 1.000 |")
    assert len({row.count("|") for row in rows}) == 1


def test_nothing_stands_against_a_good_candidate(judged: dict[str, Any]) -> None:
    assert gates.problems(judged) == []


@pytest.mark.parametrize(
    ("figure", "value", "said"),
    [
        pytest.param("parallels_beats", 2.5, r"on beats are 2\.50 .* more than the 2\.00", id="beats"),
        pytest.param("parallels_eighths", 1.01, r"on eighths are 1\.01 .* more than the 1\.00", id="eighths"),
        pytest.param("crossing", 0.05, r"cross in 5\.0% .* more than the 2% that", id="crossing"),
        pytest.param("parallels_beats", None, r"no chord changes", id="nothing to count"),
    ],
)
def test_badly_led_voices_stand_against_it(judged: dict[str, Any], figure: str, value: float | None, said: str) -> None:
    judged["valid"]["scorers"][NAME]["all"][figure] = [value, value, value]
    (problem,) = gates.problems(judged)
    assert re.search(said, problem)
    judged["test"]["scorers"][NAME]["all"][figure] = [value, value, value]
    assert any(re.search(said, doubt) for doubt in gates.doubts(judged))


def test_a_candidate_that_is_not_clearly_above_the_best_simple_one_is_refused(judged: dict[str, Any]) -> None:
    judged["valid"]["differences"]["most_frequent_voicing"]["all"]["frames"] = [0.004, -0.001, 0.009]
    (problem,) = gates.problems(judged)
    assert "not clearly above" in problem and "+0.004 (95 % between -0.001 and +0.009)" in problem


def test_one_below_the_live_version_is_refused(judged: dict[str, Any], pieces: Corpus) -> None:
    swapped = copy.deepcopy(judged)
    swapped["valid"]["differences"][LIVE]["all"]["frames"] = [-0.02, -0.03, -0.01]
    assert "clearly fewer than the live version's" in gates.problems(swapped)[0]
    alone = copy.deepcopy(judged)
    del alone["valid"]["differences"][LIVE]
    before = copy.deepcopy(alone)
    assert gates.problems(alone, before) == []
    alone["valid"]["scorers"][NAME]["all"]["frames"] = [0.5, 0.45, 0.55]
    assert "the live version had" in gates.problems(alone, before)[0]


def test_what_was_not_judged_is_not_released(judged: dict[str, Any]) -> None:
    assert "not judged" in gates.problems({"test": judged["test"]})[0]
    assert "not judged" in gates.doubts({"valid": judged["valid"]})[0]
    judged["valid"]["n"]["all"] = 3
    assert "only 3 validation pieces" in gates.problems(judged)[0]


def test_the_page_tells_verdict_every_harmoniser_and_pieces(
    judged: dict[str, Any], evaluations: dict[str, Evaluation]
) -> None:
    curves = [
        {"member": member, "number": n, "train": 2.0 / n, "valid": 1.9 if n % 2 else None}
        for member in (0, 1)
        for n in (1, 2, 3)
    ]
    rolls = evaluation_drawings.best_and_worst(evaluations["valid"])
    assert [roll.which for roll in rolls] == ["best", "worst"]
    assert rolls[0].share > rolls[1].share
    page = evaluation_report.html(
        judged, curves=curves, problems=["It has <too few>."], facts={"training": {"seconds": 3.5}}, rolls=rolls
    )
    assert "Must not be rolled out" in page and "It has &lt;too few&gt;." in page
    for word in ("LightGBM", "Fixed intervals", "Bach himself", "The live version", "Pieces that share no tune"):
        assert word in page
    assert page.count('class="roll"') == sum(len(roll.rows) for roll in rolls)
    assert 'class="his tenor"' in page
    assert "://" not in page and "<script" not in page and "src=" not in page.replace("img-src", "")
    assert "May be rolled out" in evaluation_report.html(judged)
    assert "There is no evaluation" in evaluation_report.html({})


def test_a_piece_that_is_all_right_and_one_without_a_note_of_bachs_are_drawn() -> None:
    chorale = corpus.load().valid[0]
    found = evaluation.evaluate(
        Corpus((), (chorale, chorale), ()), "valid", {NAME: lambda soprano: np.tile(soprano[:, None], (1, 4))}
    )
    (best, worst) = evaluation_drawings.best_and_worst(found)
    assert best.share == worst.share < 0.1
    assert all(bar.width > 0 and bar.y >= 0 for row in worst.rows for bar in (*row.made, *row.bach))
    assert evaluation_drawings.curves([]) is None
    assert evaluation_drawings.scatter(found.to_json()) is None


def test_pictures_are_pngs(judged: dict[str, Any]) -> None:
    curves = [{"member": 0, "number": 1, "train": 2.0, "valid": None}]
    for png in (evaluation_pictures.comparison(judged), evaluation_pictures.curves(curves)):
        assert png.startswith(b"\x89PNG")
    assert evaluation_pictures.curves([]).startswith(b"\x89PNG")
