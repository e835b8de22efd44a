"""`orimono recommend`, `decide` and a viewer's consent, before and beside any model; the tower's own lists are tested
in tests/recommending and, through the real daemon, in tests/dags/test_daemon.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.settings import load
from pipelines.studio import Studio
from tests.recommending import house, series
from tests.serving.test_model_and_governance_commands import home as home
from tests.serving.test_model_and_governance_commands import run


@pytest.fixture
def watched(home: Path, tmp_path: Path) -> Path:
    """Decisions of six viewers are there, and no model."""
    studio = Studio.open(load())
    house.take(studio, series.job(tmp_path / "series", viewers=6))
    studio.database.dispose()
    return home


def test_a_list_without_a_model_is_what_is_popular_and_says_so(
    watched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = run(capsys, "recommend", "viewer 1", "--limit", "7")
    assert (said["path"], said["model_version"], len(said["items"])) == ("popular", "popular", 7)
    assert said["fell_back_because"] != []
    assert set(said["items"][0]) == {"id", "external_id", "title", "score", "reason"}
    nobody = run(capsys, "recommend", "nobody at all", "--genre", "Drama", "--limit", "3")
    assert [item["title"].startswith("Series") for item in nobody["items"]] == [True] * 3


def test_a_decision_is_kept_and_its_video_does_not_come_back(watched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = run(capsys, "recommend", "viewer 1", "--limit", "1")["items"][0]
    said = run(capsys, "decide", "viewer 1", first["external_id"], "dislike", "--at", "2026-11-01T20:15")
    assert first["id"] not in [item["id"] for item in said["items"]]
    new = run(capsys, "decide", "a new viewer", first["external_id"], "like", "--limit", "2")
    assert first["id"] not in [item["id"] for item in new["items"]]


def test_bad_input_is_one_sentence(watched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (("decide", "viewer 1", "no such film", "like"), "is not known"),
        (("decide", "viewer 1", "s00e00", "like", "--at", "tomorrow"), "is no moment"),
        (("decide", "viewer 1", "s00e00", "like", "--at", "2999-01-01"), "still to come"),
        (("decide", "viewer 1", "s00e00", "like", "--rating", "nan"), "is no number"),
        (("recommend", "  "), "is empty"),
    ):
        message = run(capsys, *arguments, code=2)["error"]["message"]
        assert words in message, message


def test_a_viewers_own_consent(watched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "consents", "viewer 2")["viewer"][0]["training"] is None
    assert run(capsys, "consents", "viewer 2", "--training", "no")["viewer"][0]["training"] is False
    said = run(capsys, "withdraw", "viewer 2", "--now")
    assert said["completed"]
    assert run(capsys, "consents", "viewer 2")["viewer"] == []
