"""Agreement with people: the figures are those of scikit-learn and scipy, the baselines and intervals what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from pipelines.scoring.agreement import Agreement, measured, of_place, with_people
from pipelines.scoring.rubric import Rubric
from pipelines.settings import Settings

JOY = Rubric.of(["joy"])
score = st.integers(1, 5)


def of(ours: Sequence[int], people: Sequence[int]) -> Agreement:
    found = measured([((a,), (b,)) for a, b in zip(ours, people, strict=True)], JOY)
    assert found is not None
    return found


@given(st.lists(st.tuples(score, score), min_size=3, max_size=40))
def test_the_figures_are_the_ones_everybody_means(rows: list[tuple[int, int]]) -> None:
    ours, people = [a for a, _ in rows], [b for _, b in rows]
    assume(len(set(ours)) > 1 and len(set(people)) > 1)
    (category,) = of(ours, people).categories
    assert category.accuracy.value == pytest.approx(accuracy_score(people, ours))
    assert category.spearman is not None and category.kappa is not None
    assert category.spearman.value == pytest.approx(spearmanr(people, ours).statistic)
    assert category.kappa.value == pytest.approx(
        cohen_kappa_score(people, ours, labels=[1, 2, 3, 4, 5], weights="quadratic")
    )
    present = f1_score([b > 3 for b in people], [a > 3 for a in ours], zero_division=0)
    assert category.f1.value == pytest.approx(present)
    for figure in (category.accuracy, category.f1, category.spearman, category.kappa):
        assert figure.low <= figure.high


def test_the_baselines_are_the_best_constant_answers() -> None:
    people = [1] * 60 + [5] * 30 + [3] * 10
    (category,) = of([1] * 100, people).categories
    assert category.baseline_accuracy == category.accuracy.value == 0.6
    assert category.baseline_f1 == pytest.approx(f1_score([p > 3 for p in people], [True] * 100))
    assert (category.f1.value, category.spearman) == (0.0, None)
    assert category.kappa is not None and category.kappa.value == 0.0
    assert category.present == 30


def test_an_interval_narrows_with_the_rows_and_holds_the_figure() -> None:
    few, many = ([5, 1, 5, 5, 1, 1] * n for n in (4, 400))
    wide, narrow = (of(rows, [5, 1, 1, 5, 1, 5] * (len(rows) // 6)).macro_f1 for rows in (few, many))
    assert wide.low < narrow.low < narrow.value == wide.value < narrow.high < wide.high


def test_the_same_rows_in_any_order_have_the_same_intervals() -> None:
    rows = [((a, b), (b, a)) for a in range(1, 6) for b in range(1, 6)]
    rubric = Rubric.of(["joy", "anger"])
    assert measured(rows, rubric) == measured(rows[::-1], rubric)


def test_what_either_left_out_is_not_compared() -> None:
    rubric = Rubric.of(["joy", "anger", "fear"])
    found = measured([((5, None, 1), (5, 3, None)), ((1, 2, None), (1, 2, 3)), ((None,) * 3, (1,) * 3)], rubric)
    assert found is not None
    assert [(c.category, c.rows) for c in found.categories] == [("joy", 2), ("anger", 1)]
    assert found.rows == 2
    assert measured([], rubric) is None
    assert measured([((1, 1, 1), (None, None, None))], rubric) is None


def test_the_mean_is_over_the_categories() -> None:
    rows = [((5, 1), (5, 5)), ((1, 1), (1, 1)), ((5, 5), (5, 5)), ((1, 5), (1, 1))]
    found = measured(rows, Rubric.of(["joy", "anger"]))
    assert found is not None
    joy, anger = found.categories
    assert (joy.f1.value, anger.f1.value) == (1.0, 0.5)
    assert found.macro_f1.value == 0.75
    assert found.accuracy.value == 0.75
    assert "| mean | 4 |" in found.table()
    assert len(found.table().splitlines()) == 5
    assert not any(math.isnan(v) for v in (found.macro_f1.low, found.macro_f1.high))


def test_a_scored_sheet_is_compared_with_the_columns_of_people(tmp_path: Path) -> None:
    rubric = Rubric.of(["joy", "anger"])
    assert with_people(rubric).categories == ("joy", "anger", "human_joy", "human_anger")
    path = tmp_path / "scored.csv"
    header, blank = "utterance,joy,anger,human_joy,human_anger,score_flag", "Fourth,4,1,,,"
    path.write_text(f"{header}\nFirst,5,1,5,1,\nSecond,1,5,1,5,\nThird,1,1,,no idea,\n{blank}\n", "utf-8")
    found = of_place(str(path), rubric, Settings(), "utterance")
    assert found is not None
    assert (found.rows, found.accuracy.value) == (2, 1.0)
    path.write_text(f"{header}\n{blank}\n", "utf-8")
    assert of_place(str(path), rubric, Settings(), "utterance") is None
    path.write_text("utterance\nFirst\n", "utf-8")
    assert of_place(str(path), rubric, Settings(), "utterance") is None
    assert list(tmp_path.iterdir()) == [path]
