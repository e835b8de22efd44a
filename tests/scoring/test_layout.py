"""Rows are found again wherever people put them, and what cannot be known is not guessed."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipelines.scoring import layout
from pipelines.scoring.layout import GONE, Layout, digest
from pipelines.scoring.sheet import Span

TEXTS = st.lists(st.sampled_from(["", "a", "b", "c", "はい", "d"]), max_size=30)


@given(TEXTS, TEXTS)
def test_each_row_is_found_at_its_own_text_and_no_place_twice(before: list[str], after: list[str]) -> None:
    held = Layout.of(before)
    free = held.relocate([digest(text) for text in after])
    places = [place for place in held.places if place != GONE]
    assert len(set(places)) == len(places)
    assert all(place == GONE or after[place] == before[number] for number, place in enumerate(held.places))
    for text in set(before) - {""}:
        lost = sum(held.places[number] == GONE for number, one in enumerate(before) if one == text)
        assert lost == max(0, before.count(text) - after.count(text))
    assert {*places, *free} == {place for place, text in enumerate(after) if text}


@given(st.permutations(list(range(12))))
def test_every_row_of_a_sorted_sheet_is_found(order: list[int]) -> None:
    held = Layout.of(f"text {n}" for n in range(12))
    assert held.relocate([digest(f"text {n}") for n in order]) == []
    assert [order[place] for place in held.places] == list(range(12))


def test_an_edited_text_takes_its_row_and_a_new_row_takes_none() -> None:
    held = Layout.of(["a", "b", "c", "d"])
    now = [digest(text) for text in ["a", "new", "b", "c, edited", "d"]]
    free = set(held.relocate(now))
    held.adopt(2, now, free)
    assert list(held.places) == [0, 2, 3, 4]
    assert free == {1}
    assert (held.text(2), held.texts[2]) == (digest("c, edited"), digest("c"))


def test_a_plan_is_known_again_by_its_marks(tmp_path: Path) -> None:
    plans = [Layout.of(f"{plan} {n}" for n in range(20)) for plan in range(layout.KEPT + 4)]
    for plan in plans:
        plan.save(tmp_path, "sheet")
    last = plans[-1]
    spans = [Span(5, 10, last.mark(5, 10))]
    found = layout.saved(tmp_path, "sheet", spans)
    assert found is not None
    assert found.texts == last.texts
    assert layout.saved(tmp_path, "sheet", [Span(5, 10, plans[0].mark(5, 10))]) is None  # swept: too long ago
    assert layout.saved(tmp_path, "another", spans) is None
    assert layout.saved(tmp_path / "nowhere", "sheet", spans) is None
    assert layout.newest(tmp_path, "sheet") is not None
    assert 0 <= last.mark(0, 20) < 2**62


def test_a_plan_that_nobody_uses_is_forgotten(tmp_path: Path) -> None:
    Layout.of(["a"]).save(tmp_path, "old")
    (old,) = tmp_path.iterdir()
    os.utime(old, (0, 0))
    Layout.of(["b"]).save(tmp_path, "new")
    assert not old.exists()
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_kept_of_a_sheet_can_be_forgotten(tmp_path: Path) -> None:
    for sheet in ("google:a:0", "google:b:0"):
        for column in ("utterance", "note"):
            Layout.of(["x", "y"]).save(tmp_path, layout.name_of(sheet, column))
    layout.forget(tmp_path, "google:a:0")
    assert layout.newest(tmp_path, layout.name_of("google:a:0", "note")) is None
    assert layout.newest(tmp_path, layout.name_of("google:b:0", "note")) is not None
