"""Folders for what is being made: whose maker was killed goes, and nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines import work_folders

LATER = datetime.now(UTC) + timedelta(days=1)
KILLED = """
from pipelines import work_folders
with work_folders.opened() as folder:
    (folder / "again.wav").write_bytes(b"a song")
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def left(temporary: Path, name: str, *, old: bool = True) -> Path:
    file = temporary / name / "deep" / "song.wav"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a song")
    if old:
        for path in (file, file.parent, file.parent.parent):
            os.utime(path, (1, 1))
    return temporary / name


def test_what_a_killed_process_left_goes(temporary: Path) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen([sys.executable, "-c", KILLED], env=environment, **pipes) as process:  # type: ignore[call-overload]
        folder = Path(process.stdout.readline().decode().strip())
        assert folder.parent == temporary
        assert work_folders.sweep(LATER) == [] and (folder / "again.wav").is_file(), "its maker lives"
        process.send_signal(signal.SIGKILL)
    assert (folder / "again.wav").is_file()
    assert work_folders.sweep(LATER, dry_run=True) == [6]
    assert work_folders.sweep(LATER) == [6]
    assert list(temporary.iterdir()) == []


def test_the_young_stay_and_what_is_written_in_makes_young(temporary: Path) -> None:
    before = datetime.now(UTC) - timedelta(hours=12)
    old, young, grows = (left(temporary, f"{work_folders.PREFIX}{n}") for n in ("old", "young", "grows"))
    os.utime(young)
    os.utime(grows / "deep" / "song.wav")  # by a process of another release, whose folder has no lock
    assert work_folders.sweep(before) == [6]
    assert (old.exists(), young.exists(), grows.exists()) == (False, True, True)


def test_others_stay_and_no_link_is_followed(temporary: Path, tmp_path: Path) -> None:
    elsewhere = left(tmp_path, "elsewhere")
    (temporary / f"{work_folders.PREFIX}link").symlink_to(elsewhere)
    (temporary / f"{work_folders.PREFIX}file").write_bytes(b"no folder")
    inner = left(temporary, f"{work_folders.PREFIX}old")
    (inner / "link").symlink_to(elsewhere)
    others = [left(temporary, f"orimono-{name}-0123abcd") for name in ("node", "faults", "test", "bench", "docs")]
    work_folders.sweep(LATER)
    assert not inner.exists()
    assert all((place / "deep" / "song.wav").is_file() for place in [elsewhere, *others])


def test_whoever_is_next_sweeps(temporary: Path) -> None:
    """On a node or a worker of its own nobody else does."""
    old, young = left(temporary, f"{work_folders.PREFIX}old"), left(temporary, f"{work_folders.PREFIX}young", old=False)
    with work_folders.opened() as folder:
        assert sorted(temporary.iterdir()) == sorted([young, folder])
    assert not old.exists()


def test_a_folder_is_gone_with_its_block() -> None:
    with work_folders.opened() as folder:
        (folder / "made.wav").write_bytes(b"a song")
    assert not folder.exists()
