"""Which column is which, and what goes into a cell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import BadInput
from pipelines.scoring import columns
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Answer, Scored
from pipelines.scoring.sheet import EXTRA

RUBRIC = Rubric.of(["joy", "anger"])


def test_columns_are_found_by_their_names() -> None:
    found = columns.found(["id", "Utterance ", None, " JOY", "score_flag"], RUBRIC, "utterance", "a.csv")
    assert (found.text, found.targets) == (1, (3, None, None, None, 4))
    assert found.added == ("anger", "score_confidence", "score_reason") and not found.ours
    exact = columns.found(["Utterance", "utterance", "joy"], RUBRIC, "utterance", "a.csv")
    assert exact.text == 1
    accent = columns.found(["utterance", "cafe\u0301"], Rubric.of(["café"]), "utterance", "a.csv")
    assert accent.targets[0] == 1


@pytest.mark.parametrize(
    ("header", "categories", "message"),
    [
        (["a", "b\nc"], ["joy"], r'a.csv: has no column "utterance" \(it has "a", "b c"\); name the column'),
        ([f"c{n}" for n in range(30)], ["joy"], r'"c11" and 18 more\)'),
        (["x" * 500, "\x1b[31m"], ["joy"], r'"x{40}\.\.\.", "\?\[31m"'),
        ([], ["joy"], r"\(it has no header\)"),
        (["Utterance", "UTTERANCE"], ["joy"], 'has 2 columns "utterance"; rename or remove all but one'),
        (["utterance", "joy", "joy"], ["joy"], 'has 2 columns "joy"'),
        (["utterance"], ["utterance"], "category 'utterance': is called like the column of the texts"),
        (["utterance"], ["Score_Reason"], "category 'Score_Reason': is what a column of ours is called"),
    ],
)
def test_what_cannot_be_told_apart_is_told(header: list[str], categories: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        columns.found(header, Rubric.of(categories), "utterance", "a.csv")


def test_two_hundred_categories_with_odd_names() -> None:
    names = [f"a \"{n}\", 'b'" for n in range(200)]
    found = columns.found(["utterance", *names[:100]], Rubric.of(names), "utterance", "a.csv")
    assert found.targets[:100] == tuple(range(1, 101)) and found.added == (*names[100:], *EXTRA)


def test_a_persons_cell_is_never_overwritten() -> None:
    answer = Answer((4, 2), 0.123456, " so ")
    found = columns.found(["utterance", "joy", "anger"], RUBRIC, "utterance", "a")
    assert found.fill(["t", "1", " "], Scored(0, b"", answer)) == ({2: 2}, [0.1235, "so", ""], 1)
    assert found.fill(["t"], Scored(0, b"", answer)) == ({1: 4, 2: 2}, [0.1235, "so", ""], 0)
    assert found.fill(["t", "1", "x"], Scored(0, b"", None, "given")) == ({}, [None] * 3, 2)
    ours = columns.found(["utterance", *EXTRA], RUBRIC, "utterance", "a")
    assert ours.fill(["t", "0.5", "old", "fallback"], Scored(0, b"", Answer((1, 1)))) == (
        {1: "", 2: "", 3: ""},
        [1, 1],
        0,
    )
    theirs = columns.found(["utterance", "score_reason"], RUBRIC, "utterance", "a")
    assert theirs.fill(["t", "mine"], Scored(0, b"", answer)) == ({}, [4, 2, 0.1235, ""], 1)


@given(st.text(st.characters(exclude_categories=[])))
def test_a_text_can_be_sent_whatever_stood_in_the_cell(cell: str) -> None:
    text = columns.text_of(cell)
    assert "\0" not in text and text == text.strip()
    text.encode()
    if cell.isprintable():
        assert text == cell.strip()


def test_halves_of_a_character_come_together() -> None:
    assert columns.text_of(" \ud83d\ude00 \ud83d") == "😀"


@given(st.text(min_size=1))
def test_no_text_of_ours_begins_like_a_formula(text: str) -> None:
    assert columns.defused(text)[0] not in columns.RUNS
    assert columns.defused(text).endswith(text)
