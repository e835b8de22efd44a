"""What a machine of the cluster keeps of what it was sent, and for how long. No cluster is needed for that."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from pipelines.compute import node
from pipelines.settings import Settings
from pipelines.storage.objects import Objects

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)  # when a new folder of copies is begun


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "node"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def read(settings: Settings, file: Path) -> str:
    return file.read_text()


def sent(bucket: Settings, name: str, said: str) -> bytes:
    """A parcel with a file of another machine."""
    file = bucket.home_path.parent / name
    file.write_text(said)
    here = replace(bucket, home=str(bucket.home_path.parent / "home"))
    return node.parcel_of(here, read, file, Objects.open(here))


def copies(temporary: Path) -> list[str]:
    return sorted(path.read_text() for path in temporary.rglob("*.txt"))


def test_copies_go_within_half_a_day_while_one_process_works_on(bucket: Settings, temporary: Path) -> None:
    """A worker process lives as long as its cluster, and a withdrawal that is carried out elsewhere reaches no node."""
    song, other = sent(bucket, "a.txt", "a song"), sent(bucket, "b.txt", "another")
    with time_machine.travel(NOON + timedelta(minutes=1), tick=False) as clock:
        assert node.opened(node.perform(song)) == "a song"
        clock.move_to(NOON + timedelta(hours=6, minutes=-1))
        assert node.opened(node.perform(other)) == "another"
        (base,) = temporary.iterdir()
        former = base / "copies" / "0123" / "c.txt"  # of a release that kept them otherwise
        former.parent.mkdir(parents=True)
        former.write_text("of before")
        clock.move_to(NOON + timedelta(hours=6, minutes=1))
        assert node.opened(node.perform(other)) == "another"
        assert copies(temporary) == ["a song", "another", "another"], "somebody may just be reading it"
        clock.move_to(NOON + timedelta(hours=12))
        assert node.opened(node.perform(other)) == "another"
        assert copies(temporary) == ["another", "another"]
