"""Folders for temporary files, which live as long as their process."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from pipelines.scoring import scratch
from pipelines.scoring.scratch import Scratch

forked = multiprocessing.get_context("forkserver")


def test_only_what_is_closed_or_dead_goes(tmp_path: Path) -> None:
    first, second = Scratch(tmp_path), Scratch(tmp_path)
    (first.path / "film").write_bytes(b"1")
    assert scratch.sweep(tmp_path) == 0
    assert scratch.lives(tmp_path, first.holder) is scratch.lives(tmp_path, second.holder) is True
    first.close()
    first.close()
    assert not first.path.exists()
    assert scratch.lives(tmp_path, first.holder) is False
    assert second.path.is_dir()
    second.close()


def test_another_home_or_machine_is_not_spoken_for(tmp_path: Path) -> None:
    here, there = Scratch(tmp_path / "here"), Scratch(tmp_path / "there")
    assert scratch.lives(tmp_path / "here", there.holder) is None
    assert scratch.lives(tmp_path / "here", "elsewhere/0123/1-2") is None
    here.close()
    there.close()


def _wait(home: Path, told: Connection) -> None:
    mine = Scratch(home)
    (mine.path / "film").write_bytes(b"1")
    told.send((mine.holder, mine.path))
    signal.pause()


def test_a_killed_process_lives_no_more(tmp_path: Path) -> None:
    ours, theirs = forked.Pipe()
    child = forked.Process(target=_wait, args=(tmp_path, theirs))
    child.start()
    holder, path = ours.recv()
    assert scratch.lives(tmp_path, holder) is True
    assert scratch.sweep(tmp_path) == 0
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join(60)
    assert scratch.lives(tmp_path, holder) is False
    assert scratch.sweep(tmp_path) == 1
    assert not path.exists()
    ours.close()
    theirs.close()
