"""Files are seen whole or not at all, and what a killed process left behind goes away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.errors import Unavailable
from pipelines.media.replacing import replace_bytes, replacing


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a [1].txt"
    replace_bytes(path, b"old")
    with replacing(path) as part:
        part.write_bytes(b"new")
        assert path.read_bytes() == b"old"
        assert part.suffix == ".txt" and part.parent == path.parent
    assert path.read_bytes() == b"new"
    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        part.write_bytes(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_what_a_dead_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f".a.{dead.pid}-0.part.txt"
    living = tmp_path / f".a.{os.getppid()}-0.part.txt"
    other = tmp_path / f".b.{dead.pid}-0.part.txt"
    for file in (left, living, other):
        file.touch()
    replace_bytes(tmp_path / "a.txt", b"whole")
    assert not left.exists() and living.exists() and other.exists()


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    message = r"a\.txt: there is no room left on its disk; try again in 60 s"
    with pytest.raises(Unavailable, match=message), replacing(tmp_path / "a.txt") as part:
        part.touch()
        Path("/dev/full").write_bytes(b"x")
    assert not list(tmp_path.iterdir())
