"""What was delivered before is known by its list and replaced; anything else beside it is the composer's and stays."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.composing import delivering, manifest
from pipelines.errors import BadInput


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "music").mkdir()
    return tmp_path / "music" / "song.mid"


def exchange(out: Path, **files: str) -> None:
    """As if these had been made; ``_2_png`` stands for song-2.png."""
    folder = out.parent.parent / "staged"
    folder.mkdir()
    for key, text in files.items():
        (folder / ("song" + key.removesuffix(key[-4:]).replace("_", "-") + "." + key[-3:])).write_text(text)
    manifest.exchange(out, folder, sorted((p.name for p in folder.glob("*.mid")), key=len))
    assert list(folder.iterdir()) == []
    folder.rmdir()


def texts(out: Path) -> dict[str, str]:
    return {p.name: p.read_text() for p in out.parent.iterdir() if p != manifest.path_of(out)}


def test_what_the_last_time_left_goes_and_nothing_else_does(out: Path) -> None:
    exchange(out, _mid="one", _rpp="one", _2_mid="two", _2_wav="two", _3_mid="three")
    (out.parent / "song-3.mid").write_text("three, and a day's work")
    (out.parent / "song-4.mid").write_text("from somewhere else")
    exchange(out, _mid="uno", _png="uno")
    mine = {"song-3.mid": "three, and a day's work", "song-4.mid": "from somewhere else"}
    assert texts(out) == {"song.mid": "uno", "song.png": "uno", **mine}
    listed = manifest.read(out)
    assert listed is not None and listed.candidates == ("song.mid",)
    assert listed.files["song.mid"] == (hashlib.sha256(b"uno").hexdigest(),)


def test_what_was_killed_in_the_middle_goes_on(out: Path) -> None:
    exchange(out, _mid="one", _2_mid="two", _2_png="two")
    told = json.loads(manifest.path_of(out).read_text())
    told["candidates"] = []
    for name, text in (("song.mid", "uno"), ("song-2.mid", "due"), ("song.wav", "uno")):
        told["files"].setdefault(name, []).append(hashlib.sha256(text.encode()).hexdigest())
    manifest.path_of(out).write_text(json.dumps(told))
    out.write_text("uno")  # moved already; song-2.mid is the old one, song.wav is not there yet
    assert delivering.delivered(out) == []
    manifest.check(out, [out, out.with_name("song-2.mid"), out.with_name("song.wav")])
    exchange(out, _mid="eins")
    assert texts(out) == {"song.mid": "eins"}


@pytest.mark.parametrize(
    "listed",
    [
        "",
        "[]",
        "[" * 5000,
        '{"format": "another", "candidates": [], "files": {}}',
        '{"format": "orimono arrangement 1", "candidates": [], "files": {"../other.mid": ["0"]}}',
        '{"format": "orimono arrangement 1", "candidates": [], "files": {"other.mid": ["0"]}}',
        '{"format": "orimono arrangement 1", "candidates": ["song.mid"], "files": {}}',
        '{"format": "orimono arrangement 1", "candidates": [], "files": {"song.mid": 3}}',
    ],
    ids=["empty", "a list", "deep", "another", "outside", "another's", "unknown candidate", "no hashes"],
)
def test_a_list_that_is_none_is_somebodys_file(out: Path, listed: str) -> None:
    manifest.path_of(out).write_text(listed)
    with pytest.raises(BadInput, match="does not list the files of an arrangement"):
        manifest.check(out, [out])
    assert delivering.delivered(out) == []
    assert manifest.path_of(out).read_text() == listed


def test_links_and_folders_are_not_ours(out: Path) -> None:
    exchange(out, _mid="one", _rpp="one")
    out.unlink()
    out.symlink_to(out.parent / "not there")
    with pytest.raises(BadInput, match=r"song\.mid: was changed"):
        manifest.check(out, [out])
    out.unlink()
    out.with_name("song-2.mid").symlink_to("not there")
    with pytest.raises(BadInput, match=r"song-2\.mid: is there already"):
        manifest.check(out, [out, out.with_name("song-2.mid")])
    out.with_name("song.png").mkdir()
    with pytest.raises(BadInput, match=r"song\.png: is a folder"):
        delivering.check(out, 1)


def test_a_further_candidate_does_not_take_another_arrangements_place(out: Path) -> None:
    exchange(out, _mid="one", _2_mid="two")
    with pytest.raises(BadInput, match=r"song-2\.mid: is there already and is not of an earlier arrangement"):
        delivering.check(out.with_name("song-2.mid"), 1)


def test_a_name_that_no_disk_takes_is_one_sentence(out: Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        delivering.check(out.with_name("long" * 70 + ".mid"), 1)


def test_what_a_killed_process_left_is_swept(out: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = out.parent / f".orimono-{int(done.stdout)}-0.part"
    left.mkdir()
    (left / "song.wav").write_text("half")
    (out.parent / ".orimono-x-0.part").mkdir()
    delivering.check(out, 1)
    assert [p.name for p in out.parent.iterdir()] == [".orimono-x-0.part"]
