from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.errors import BadInput, Unavailable
from pipelines.intake import folder, job_file
from pipelines.intake.ingest import ingest
from pipelines.intake.job_file import MARKER, NAME
from tests.intake.conftest import JOB, Inbox


@pytest.fixture
def source(media: Path, tmp_path: Path) -> Path:
    """A person's own folder, with the media elsewhere."""
    library = tmp_path / "library 音"
    shutil.copytree(media, library)
    made = tmp_path / "work" / "jobs" / "春 の歌"
    made.mkdir(parents=True)
    shutil.copy(media / "words.lrc", made)
    text = JOB.replace("song.wav", "../../../library 音/song.wav").replace("clip.mp4", "../../../library 音/clip.mp4")
    (made / NAME).write_text(text + "  - {file: words.lrc, kind: lyrics}\n", encoding="utf-8")
    return made


def visible(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir() if p.name != ".lock")


def test_a_folder_becomes_a_complete_job(source: Path, inbox: Inbox) -> None:
    target = ingest(source, inbox.path)
    assert target == inbox.path / "春 の歌"
    assert visible(target) == [MARKER, "clip.mp4", NAME, "song.wav", "words.lrc"]
    job = job_file.parse((target / NAME).read_bytes(), "job")
    assert [item.file for item in job.files] == ["song.wav", "clip.mp4", "words.lrc"]
    assert job.files[1].tags == ("空", "sky")
    manifest = json.loads((target / MARKER).read_text())["files"]
    assert set(manifest) == {NAME, "song.wav", "clip.mp4", "words.lrc"}
    assert visible(inbox.path) == ["春 の歌"]
    inbox.settle()
    report = inbox.scan()
    assert report.new == ["春 の歌"] and report.problems == []


def test_files_of_one_name_from_two_places_get_names_of_their_own(source: Path, inbox: Inbox) -> None:
    other = source.parent / "b"
    other.mkdir()
    shutil.copy(inbox.media / "clip2.mp4", other / "CLIP.mp4")
    with (source / NAME).open("a") as file:
        file.write("  - {file: ../b/CLIP.mp4, kind: clip}\n")
    target = ingest(source, inbox.path)
    assert visible(target) == ["CLIP-2.mp4", MARKER, "clip.mp4", NAME, "song.wav", "words.lrc"]
    inbox.settle()
    assert inbox.scan().problems == []


def test_the_same_again_changes_nothing(source: Path, inbox: Inbox) -> None:
    before = ingest(source, inbox.path).stat().st_ino
    assert ingest(source, inbox.path).stat().st_ino == before
    assert visible(inbox.path) == ["春 の歌"]


def test_a_changed_job_takes_the_others_place(source: Path, inbox: Inbox) -> None:
    ingest(source, inbox.path)
    inbox.settle()
    inbox.scan()
    (source / "words.lrc").write_text("[00:01.00]夏は来ぬ\n", encoding="utf-8")
    target = ingest(source, inbox.path)
    assert "夏" in (target / "words.lrc").read_text(encoding="utf-8")
    assert visible(inbox.path) == ["春 の歌"]
    inbox.settle()
    assert inbox.scan().new == ["春 の歌"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (JOB, r"lists song\.wav, which is not there"),
        (JOB.replace("song.wav", "/etc/passwd"), "must be a path relative"),
        (JOB.replace("song.wav", "../../../library 音/noise.bin"), "noise.bin: "),
        (JOB.replace("song.wav", "../../../library 音/clip.mp4"), "has no sound, but is listed as music"),
        (JOB.replace("song.wav", "link.wav"), "is a symbolic link"),
        ("owner: x\nfiles: [{file: words.lrc, kind: lyrics}]", "has no usable song"),
        ("owner: [", "is not readable YAML"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_left(source: Path, inbox: Inbox, text: str, reason: str) -> None:
    (source / NAME).write_text(text, encoding="utf-8")
    (source / "link.wav").symlink_to(inbox.media / "song.wav")
    with pytest.raises(BadInput, match=reason) as caught:
        ingest(source, inbox.path)
    assert "\n" not in str(caught.value)
    assert visible(inbox.path) == []


def test_what_is_no_job_folder(tmp_path: Path, inbox: Inbox) -> None:
    with pytest.raises(BadInput, match="is not a folder"):
        ingest(tmp_path / "none", inbox.path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"has no job\.yaml"):
        ingest(tmp_path / "empty", inbox.path)


def test_a_full_disk_leaves_nothing_half_written(source: Path, inbox: Inbox, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(disk)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
    try:
        (source.parents[2] / "library 音" / "clip.mp4").write_bytes((inbox.media / "clip.mp4").read_bytes() * 30)
        with pytest.raises(Unavailable, match="the disk is full, free some space"):
            ingest(source, disk / "inbox")
        assert visible(disk / "inbox") == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], capture_output=True)


INGEST = """
import sys
from pathlib import Path
from pipelines.intake.ingest import ingest
ingest(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_an_ingest_that_is_killed_leaves_the_old_job_or_the_new(source: Path, inbox: Inbox) -> None:
    ingest(source, inbox.path)
    for round_, delay in enumerate((0.3, 0.45, 0.55, 0.6, 0.65, 0.7, 0.8)):
        (source / "words.lrc").write_text(f"[00:01.00]verse {round_}\n" * 20000, encoding="utf-8")
        victim = subprocess.Popen([sys.executable, "-c", INGEST, str(source), str(inbox.path)])
        time.sleep(delay)
        victim.kill()
        victim.wait()
        inbox.settle()
        report = inbox.scan()
        assert report.problems == []
        assert visible(inbox.path) == ["春 の歌"]
        manifest = json.loads((inbox.path / "春 の歌" / MARKER).read_text())["files"]
        for name, facts in manifest.items():
            assert (inbox.path / "春 の歌" / name).stat().st_size == facts["size"]


def test_a_replaced_job_comes_back_when_its_successor_was_killed(source: Path, inbox: Inbox) -> None:
    target = ingest(source, inbox.path)
    target.rename(inbox.path / f"{folder.REPLACED}{target.name}")
    (inbox.path / f"{folder.INCOMING}x" / "job").mkdir(parents=True)
    inbox.settle()
    assert inbox.scan().new == [target.name]
    assert visible(inbox.path) == [target.name]


def test_the_inbox_is_left_to_an_ingest_that_lives(inbox: Inbox) -> None:
    work = inbox.path / f"{folder.INCOMING}x"
    work.mkdir()
    lock = folder.lock_incoming(work)
    assert lock is not None
    inbox.scan()
    assert work.exists()
    os.close(lock)
    inbox.scan()
    assert not work.exists()
