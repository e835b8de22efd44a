from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import Unavailable
from pipelines.governance import consent
from pipelines.governance.people import Actor, pseudonym
from pipelines.intake import batches
from pipelines.intake.job_file import MARKER, NAME
from pipelines.intake.scan import TOGETHER, scan
from pipelines.settings import Settings
from pipelines.storage import audit, consents, jobs, snapshots, vault
from pipelines.storage.objects import Objects
from pipelines.storage.tables import Consent, Job, Upload
from tests.intake.conftest import JOB, Inbox

WITH_EXTRA = JOB + "  - {file: clip2.mp4, kind: clip}\n"


def all_jobs(inbox: Inbox) -> list[Job]:
    with inbox.database.session() as session:
        return list(session.execute(select(Job).order_by(Job.id)).scalars())


def test_a_complete_job_is_taken_once(inbox: Inbox) -> None:
    inbox.put("春の歌 👨\u200d👩\u200d👧 live")
    report = inbox.scan()
    assert report.new == ["春の歌 👨\u200d👩\u200d👧 live"]
    assert report.problems == []
    again = inbox.scan()
    assert (again.new, again.unchanged) == ([], 1)
    (job,) = all_jobs(inbox)
    assert (job.name, job.owner, job.status, job.revision) == ("春の歌 👨\u200d👩\u200d👧 live", "yamada", "ready", 1)
    assert [(u.name, u.kind, u.tags) for u in job.uploads] == [
        ("song.wav", "music", ["strings"]),
        ("clip.mp4", "clip", ["空", "sky"]),
    ]
    for upload in job.uploads:
        assert upload.object_key
        assert inbox.objects.get(upload.object_key) == (inbox.media / upload.name).read_bytes()
    with inbox.database.session() as session:
        consent = session.execute(select(Consent)).scalar_one()
    assert (consent.owner, consent.quality, consent.training) == ("yamada", True, False)


def test_a_half_copied_job_is_left_alone(inbox: Inbox) -> None:
    folder = inbox.put(marker=None)
    assert inbox.scan().waiting == [f"job: it has no {MARKER} yet; add an empty file of that name when all is there"]
    (folder / MARKER).touch()
    inbox.settle()
    assert inbox.scan().new == ["job"]


def test_a_job_that_still_changes_is_left_alone(inbox: Inbox) -> None:
    slow = Settings(home=inbox.settings.home, settle_seconds="3")
    inbox.put()
    report = scan(inbox.path, inbox.database, inbox.objects, slow)
    assert report.waiting == ["job: was changed a moment ago"]
    assert all_jobs(inbox) == []


def test_the_manifest_says_what_is_still_to_come(inbox: Inbox) -> None:
    folder = inbox.put(marker=None)
    manifest = {name: {"size": (folder / name).stat().st_size, "sha256": ""} for name in ("song.wav", "clip.mp4")}
    (folder / "clip.mp4").rename(folder.parent / "elsewhere.mp4")
    (folder / MARKER).write_text(json.dumps({"files": manifest}))
    inbox.settle()
    report = inbox.scan()
    assert "job: clip.mp4 has not arrived yet" in report.waiting
    shutil.copy(folder.parent / "elsewhere.mp4", folder / "clip.mp4")
    os.truncate(folder / "clip.mp4", 100)
    inbox.settle()
    assert any("clip.mp4 has another size than" in line for line in inbox.scan().waiting)
    (folder / MARKER).write_text('{"files": {"song.wav"')
    inbox.settle()
    assert f"job: its {MARKER} is not whole yet" in inbox.scan().waiting
    assert all_jobs(inbox) == []


def test_a_file_that_was_damaged_on_its_way_is_refused(inbox: Inbox) -> None:
    folder = inbox.put(text=WITH_EXTRA, clip2_mp4="clip2.mp4", marker=None)
    facts = {"clip2.mp4": {"size": (folder / "clip2.mp4").stat().st_size, "sha256": "0" * 64}}
    (folder / MARKER).write_text(json.dumps({"files": facts}))
    inbox.settle()
    report = inbox.scan()
    assert report.new == ["job"]
    assert report.bad_files == [
        "job/clip2.mp4: is not what _COMPLETE says: it was changed, or damaged on its way; "
        "copy it again, or empty _COMPLETE if you changed it yourself",
    ]


def test_touched_or_reformatted_is_the_same_job(inbox: Inbox, touch_all: Callable[[Path], None]) -> None:
    folder = inbox.put()
    inbox.scan()
    touch_all(folder)
    inbox.settle()
    assert inbox.scan().unchanged == 1
    (folder / NAME).write_text("# a remark\n" + JOB)
    inbox.settle()
    assert inbox.scan().unchanged == 1
    assert len(all_jobs(inbox)) == 1


@pytest.mark.parametrize("change", ["clip", "tags", "owner"])
def test_other_content_is_another_revision(inbox: Inbox, change: str) -> None:
    inbox.put()
    inbox.scan()
    if change == "clip":
        inbox.put(clip_mp4="clip2.mp4")
    else:
        inbox.put(text=JOB.replace("strings", "brass") if change == "tags" else JOB.replace("yamada", "sato"))
    assert inbox.scan().new == ["job"]
    first, second = all_jobs(inbox)
    assert (first.revision, second.revision, first.name, second.name) == (1, 2, "job", "job")
    with inbox.database.session() as session:
        latest = jobs.latest(session, "job")
        assert latest is not None and latest.id == second.id
    inbox.put()  # back to what it was
    assert inbox.scan().new == []
    with inbox.database.session() as session:
        latest = jobs.latest(session, "job")
        assert latest is not None and latest.id == first.id


def test_a_job_put_back_as_it_was_has_its_results_published_again(inbox: Inbox) -> None:
    inbox.put()
    inbox.scan()
    with inbox.database.session() as session:
        (first,) = batches.plan_batches(session)
        batches.mark_finished(session, first.key)
    inbox.scan()
    with inbox.database.session() as session:
        assert batches.listed(session, "planned") == []
    inbox.put(clip_mp4="clip2.mp4")
    inbox.scan()
    with inbox.database.session() as session:
        (second,) = batches.plan_batches(session)
        batches.mark_finished(session, second.key)
    inbox.put()
    inbox.scan()
    with inbox.database.session() as session:
        assert [b.key for b in batches.listed(session, "planned")] == [first.key]


def test_the_same_bytes_are_stored_once(inbox: Inbox) -> None:
    inbox.put("a")
    inbox.put("b")
    assert sorted(inbox.scan().new) == ["a", "b"]
    assert len([p for p in inbox.objects.folder.rglob("*") if p.is_file()]) == 2
    with inbox.database.session() as session:
        assert session.execute(select(func.count(func.distinct(Upload.object_key)))).scalar() == 2


def test_a_bad_extra_clip_is_recorded_and_the_job_goes_on(inbox: Inbox) -> None:
    inbox.put(text=WITH_EXTRA, clip2_mp4="noise.bin")
    report = inbox.scan()
    assert report.new == ["job"]
    assert len(report.bad_files) == 1
    assert report.bad_files[0].startswith("job/clip2.mp4: ")
    (job,) = all_jobs(inbox)
    assert [(u.name, u.status, u.object_key is None) for u in job.uploads] == [
        ("song.wav", "ok", False),
        ("clip.mp4", "ok", False),
        ("clip2.mp4", "bad", True),
    ]
    assert inbox.scan().problems == []  # told once


def test_many_folders_are_written_together_each_whole(inbox: Inbox) -> None:
    """More than one transaction takes, among them refused ones, one with a bad file, and one that was there before."""
    inbox.put("job007")
    inbox.scan()
    inbox.put("job007", clip_mp4="clip2.mp4")
    twice = JOB + "  - {file: again.mp4, kind: clip}\n"  # the same bytes under two names
    for number in range(2 * TOGETHER):
        name = f"job{number:03d}"
        if number == 3:
            inbox.put(name, song_wav="noise.bin")
        elif number == 5:
            inbox.put(name, text=WITH_EXTRA, clip2_mp4="noise.bin")
        elif number == 6:
            inbox.put(name, text=twice, again_mp4="clip.mp4")
        elif number != 7:
            inbox.put(name)
    report = inbox.scan(seconds=60)
    assert (len(report.new), len(report.bad), len(report.bad_files)) == (2 * TOGETHER - 1, 1, 1)
    found = {(job.name, job.revision): job for job in all_jobs(inbox)}
    assert len(found) == 2 * TOGETHER + 1
    assert [u.status for u in found["job005", 1].uploads] == ["ok", "ok", "bad"]
    with inbox.database.session() as session:
        latest = jobs.latest(session, "job007")
        assert latest is not None and latest.revision == 2
        assert {row.name for row in jobs.bad(session)} == {"job003"}
        for (name, _), job in found.items():
            wanted = {u.object_key for u in job.uploads if u.object_key}
            assert {item.object_key for item in vault.of_job(session, job.id)} == wanted, name
            consent = consents.of_job(session, job.id)
            assert consent is not None and (consent.owner, consent.quality) == ("yamada", True)
    assert inbox.scan().unchanged == 2 * TOGETHER


def test_one_folder_that_cannot_be_written_keeps_the_others_not_out(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        inbox.put(name)

    def broken(session: Session, new: Sequence[jobs.NewJob]) -> Sequence[int]:
        session.execute(text("select 1 / 0"))
        return []

    monkeypatch.setattr(jobs, "add_first", broken)
    assert inbox.scan().new == ["a", "b", "c"]
    assert [len(job.uploads) for job in all_jobs(inbox)] == [2, 2, 2]


def _link(folder: Path) -> None:
    (folder / "song.wav").unlink()
    (folder / "song.wav").symlink_to("/etc/hostname")


def _pipe(folder: Path) -> None:
    (folder / "song.wav").unlink()
    os.mkfifo(folder / "song.wav")


def _empty(folder: Path) -> None:
    (folder / "song.wav").write_bytes(b"")


def _folder(folder: Path) -> None:
    (folder / "song.wav").unlink()
    (folder / "song.wav").mkdir()


def _gone(folder: Path) -> None:
    (folder / "song.wav").unlink()


def _no_description(folder: Path) -> None:
    (folder / NAME).unlink()


def _linked_description(folder: Path) -> None:
    (folder / NAME).unlink()
    (folder / NAME).symlink_to("/etc/hostname")


def _huge_description(folder: Path) -> None:
    with (folder / NAME).open("wb") as file:
        file.truncate(10 << 30)  # sparse


def _nothing(folder: Path) -> None:
    """The text is what is wrong."""


@pytest.mark.parametrize(
    ("text", "spoil", "files", "reason"),
    [
        ("owner: [", _nothing, {}, "bad/job.yaml: is not readable YAML"),
        (JOB, _no_description, {}, "bad: has no job.yaml"),
        (JOB, _linked_description, {}, "bad/job.yaml: is no ordinary file"),
        (JOB, _huge_description, {}, "bad/job.yaml: is larger than 256 KB"),
        (JOB.replace("song.wav", "../good/song.wav"), _nothing, {}, "lists ../good/song.wav, outside the job's folder"),
        (JOB.replace("song.wav", "sub/song.wav"), _nothing, {}, "lists sub/song.wav, outside the job's folder"),
        (JOB, _link, {}, "has no usable song (song.wav: is a symbolic link"),
        (JOB, _pipe, {}, "has no usable song (song.wav: is no ordinary file"),
        (JOB, _folder, {}, "has no usable song (song.wav: is no ordinary file"),
        (JOB, _empty, {}, "has no usable song (song.wav: is empty (0 bytes)"),
        (JOB, _gone, {}, "has no usable song (song.wav: is listed but not there"),
        (JOB, _nothing, {"song_wav": "noise.bin"}, "has no usable song (song.wav: "),
        (JOB, _nothing, {"song_wav": "clip.mp4"}, "has no usable song (song.wav: has no sound, but is listed as music"),
        (JOB, _nothing, {"clip_mp4": "song.wav"}, "(clip.mp4: has no picture, but is listed as clip"),
        (JOB.replace("kind: clip", "kind: melody"), _nothing, {}, "has no usable clip (clip.mp4: is no MIDI file"),
        (JOB.replace("kind: clip", "kind: music"), _nothing, {"clip_mp4": "song.wav"}, "than one file of kind music"),
    ],
)  # fmt: skip
def test_a_bad_job_is_recorded_once_and_blocks_nobody(
    inbox: Inbox, text: str, spoil: Callable[[Path], None], files: dict[str, str], reason: str
) -> None:
    spoil(inbox.put("bad", text, **files))
    inbox.put("good")
    inbox.put("zebra")
    report = inbox.scan()
    assert report.new == ["good", "zebra"]
    assert len(report.bad) == 1
    assert reason in report.bad[0]
    assert report.bad[0].startswith("bad")
    assert "\n" not in report.bad[0]
    again = inbox.scan()
    assert (again.new, again.problems, again.unchanged) == ([], [], 3)
    assert sorted((job.name, job.status) for job in all_jobs(inbox)) == [
        ("bad", "bad"),
        ("good", "ready"),
        ("zebra", "ready"),
    ]


def test_a_bad_job_that_is_mended_is_taken(inbox: Inbox) -> None:
    folder = inbox.put(song_wav="noise.bin")
    assert len(inbox.scan().bad) == 1
    with inbox.database.session() as session:
        assert [job.name for job in jobs.bad(session)] == ["job"]
    shutil.copy(inbox.media / "song.wav", folder / "song.wav")
    inbox.settle()
    assert inbox.scan().new == ["job"]
    with inbox.database.session() as session:
        assert jobs.bad(session) == []


def test_a_refused_job_is_judged_anew_on_request(inbox: Inbox) -> None:
    inbox.put(song_wav="noise.bin")
    inbox.scan()
    with inbox.database.session() as session:
        assert jobs.look_again(session) == 1
    assert inbox.scan().problems == []  # judged alike: nothing new to tell
    assert len(all_jobs(inbox)) == 1


def test_links_files_and_odd_names_in_the_inbox(inbox: Inbox, tmp_path: Path) -> None:
    inbox.put("good")
    (inbox.path / "link").symlink_to(tmp_path)
    (inbox.path / "notes.txt").write_text("hello")
    (inbox.path / ".hidden").mkdir()
    (inbox.path / "line\nbreak").mkdir()
    (inbox.path / os.fsdecode(b"\xff\xfe")).mkdir()
    report = inbox.scan()
    assert report.new == ["good"]
    assert report.bad == ["link: is a symbolic link; copy the folder itself into the inbox"]
    assert len(report.waiting) == 3
    assert inbox.scan().problems == []


def test_a_name_whose_kana_are_written_apart_is_found(inbox: Inbox) -> None:
    """macOS decomposes file names: a job file written elsewhere composes them."""
    folder = inbox.put(text=JOB.replace("song.wav", "がくや.wav"))
    (folder / "song.wav").rename(folder / "か\u3099くや.wav")
    inbox.settle()
    report = inbox.scan()
    assert report.new == ["job"] and report.problems == []


def test_what_does_not_fit_the_time_goes_on_next_time(inbox: Inbox) -> None:
    for number in range(4):
        inbox.put(f"job{number}", text=WITH_EXTRA, clip2_mp4="clip2.mp4")
    report = inbox.scan(seconds=0)
    assert report.new == []
    assert report.postponed + len(report.waiting) == 4
    rounds = 0
    while len(all_jobs(inbox)) < 4:
        inbox.scan(seconds=0.02)
        rounds += 1
        assert rounds < 500
    assert sorted({job.name for job in all_jobs(inbox)}) == [f"job{n}" for n in range(4)]


def test_a_job_that_changes_while_it_is_read_waits(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = inbox.put()
    store = Objects.put_hashed

    def slow(self: Objects, path: Path, digest: str, before: os.stat_result | None = None) -> str:
        key = store(self, path, digest, before)
        if path.name == "song.wav":
            (folder / "clip.mp4").write_bytes(b"another")
        return key

    monkeypatch.setattr(Objects, "put_hashed", slow)
    assert inbox.scan().waiting == ["job: was changed while it was read"]
    assert all_jobs(inbox) == []


def test_a_store_that_is_away_stops_the_scan_and_loses_nothing(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox.put("a")
    inbox.put("b")
    with monkeypatch.context() as broken:

        def full(*_: object) -> str:
            raise Unavailable("the store", "the disk is full, free some space", 60)

        broken.setattr(Objects, "put_hashed", full)
        report = inbox.scan()
    assert report.stopped == "the store: the disk is full, free some space; try again in 60 s"
    assert all_jobs(inbox) == []
    assert inbox.scan().new == ["a", "b"]


SCAN = """
import sys
from pathlib import Path
from pipelines.intake.batches import plan_batches
from pipelines.intake.scan import scan
from pipelines.settings import Settings
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
settings = Settings(home=sys.argv[1], database_url=sys.argv[2], settle_seconds="0.05")
database, objects = Database(settings), Objects.open(settings)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(3):
    scan(settings.inbox, database, objects, settings)
    with database.session() as session:
        plan_batches(session, size=3)
"""


def test_two_daemons_take_each_job_once(inbox: Inbox, server_url: str) -> None:
    for number in range(10):
        inbox.put(f"job{number}")
    url = server_url.replace("/postgres?", "/orimono?")
    command = [sys.executable, "-c", SCAN, inbox.settings.home, url]
    daemons = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for daemon in daemons:
        assert daemon.stdout and daemon.stdout.readline() == "ready\n"
    outputs = [daemon.communicate("go\n", timeout=60) for daemon in daemons]
    assert [daemon.returncode for daemon in daemons] == [0, 0], outputs
    found = all_jobs(inbox)
    assert sorted(job.name for job in found) == sorted(f"job{n}" for n in range(10))
    assert all(job.batch_id is not None for job in found)


def test_a_scan_that_is_killed_anywhere_loses_nothing(inbox: Inbox, server_url: str) -> None:
    for number in range(12):
        inbox.put(f"job{number}")
    url = server_url.replace("/postgres?", "/orimono?")
    for delay in (0.0, 0.03, 0.1):
        command = [sys.executable, "-c", SCAN, inbox.settings.home, url]
        victim = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert victim.stdin and victim.stdout and victim.stdout.readline() == "ready\n"
        victim.stdin.write("go\n")
        victim.stdin.flush()
        time.sleep(delay)
        victim.kill()
        victim.communicate(timeout=30)
    inbox.scan()
    found = all_jobs(inbox)
    assert sorted(job.name for job in found) == sorted(f"job{n}" for n in range(12))
    assert all(len(job.uploads) == 2 for job in found)


TRAINING = JOB.replace("{quality: true}", "{quality: true, training: true}")


def trainable(inbox: Inbox) -> set[int]:
    with inbox.database.session() as session:
        return set(session.execute(consents.trainable_jobs()).scalars())


def test_training_taken_back_in_the_folder_counts_for_all_of_its_revisions(inbox: Inbox) -> None:
    inbox.put(text=TRAINING)
    inbox.put("other", text=TRAINING)
    inbox.scan()
    first, other = (job.id for job in all_jobs(inbox))
    inbox.put(text=TRAINING, clip_mp4="clip2.mp4")
    inbox.scan()
    second = max(job.id for job in all_jobs(inbox))
    assert trainable(inbox) == {first, other, second}
    with inbox.database.session() as session:
        before = snapshots.add(
            session,
            task="preset_cls",
            uri="training/preset_cls/1.parquet",
            sha256="1" * 64,
            n_rows=1,
            feature_version="1",
            users=[pseudonym("yamada")],
            provenance={},
            now=clock.now(),
        )
    inbox.put(text=JOB)
    inbox.scan()
    third = max(job.id for job in all_jobs(inbox))
    assert third > second and trainable(inbox) == {other}
    with inbox.database.session() as session:
        found = snapshots.get(session, before)
        assert found is not None and found.erased_reason == "consent to training taken back"
        for job in (first, second):
            (note,) = audit.of_subject(session, f"job:{job}")
            assert (note.actor, note.action, note.detail["after"]["training"]) == (
                pseudonym("yamada"),
                "consent.set",
                False,
            )
        granted = session.execute(select(Consent.granted_at).where(Consent.job_id == first)).scalar_one()
    inbox.put(text=TRAINING)  # back to the first text: given anew, and taken back again
    assert inbox.scan().new == []
    assert trainable(inbox) == {first, second, third, other}
    with inbox.database.session() as session:
        assert session.execute(select(Consent.granted_at).where(Consent.job_id == first)).scalar_one() > granted
    inbox.put(text=JOB)
    assert inbox.scan().new == []
    assert trainable(inbox) == {other}


def test_a_folder_changes_the_consents_of_its_own_owner_only_and_none_that_was_withdrawn(
    inbox: Inbox, touch_all: Callable[[Path], None]
) -> None:
    folder = inbox.put(text=TRAINING)
    inbox.scan()
    inbox.put(text=JOB.replace("yamada", "sato"))
    inbox.scan()
    (first, _) = (job.id for job in all_jobs(inbox))
    assert trainable(inbox) == {first}
    with inbox.database.session() as session:
        session.execute(update(Consent).values(withdrawn_at=clock.now(), training=False))
    inbox.put(text=TRAINING.replace("yamada", "YAMADA"))
    inbox.scan()
    third = max(job.id for job in all_jobs(inbox))
    assert trainable(inbox) == {third}
    with inbox.database.session() as session:
        consent.give(session, Actor("yamada", "viewer"), third, quality=True, training=False)
    touch_all(folder)
    inbox.settle()
    assert inbox.scan().unchanged == 1
    assert trainable(inbox) == set(), "a touched folder says nothing new"
