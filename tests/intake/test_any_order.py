"""Any order of copying, marking, scanning, planning, uploading again and being killed: no job is lost, none is taken
into two batches, and what the database holds is what people put into the inbox."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select, text

from pipelines.governance import vault
from pipelines.intake import recording
from pipelines.intake.batches import listed, mark_finished, mark_requested, plan_batches
from pipelines.intake.job_file import MARKER, NAME
from pipelines.storage import jobs, uploads
from pipelines.storage.objects import Objects
from pipelines.storage.tables import BatchRow, Job
from tests.intake.conftest import JOB, Inbox

NAMES = ("a", "ü", "歌")
CLIPS = ("clip.mp4", "clip2.mp4", "noise.bin")


class Killed(BaseException):
    """The process ends here, as far as the files and the database can tell."""


STEPS: dict[str, object] = {
    "put_hashed": Objects,
    "_write_fresh": recording,
    "_write": recording,
    "add_first": jobs,
    "add": uploads,
    "add_many": uploads,
    "give_consent": jobs,
    "give_consents": jobs,
    "register_new": vault,
    "save_folder": jobs,
    "save_folders": jobs,
}


@contextmanager
def killed_at(step: str, calls: int) -> Iterator[None]:
    """The scan inside ends at the step's call after so many."""
    owner, seen = STEPS[step], []
    real = getattr(owner, step)

    def mortal(*args: object, **kwargs: object) -> object:
        seen.append(1)
        if len(seen) > calls:
            raise Killed
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, step, mortal)
        with suppress(Killed):
            yield


@pytest.mark.parametrize("calls", range(4))
@pytest.mark.parametrize("step", STEPS)
def test_a_scan_that_ends_at_any_step_loses_nothing(inbox: Inbox, step: str, calls: int) -> None:
    inbox.put("a")
    inbox.put("b")
    with killed_at(step, calls):
        inbox.scan()
    inbox.scan()
    with inbox.database.session() as session:
        found = session.execute(select(Job).order_by(Job.name)).scalars().all()
    assert [(job.name, len(job.uploads)) for job in found] == [("a", 2), ("b", 2)]


class AnyOrder(RuleBasedStateMachine):
    inbox: Inbox

    def __init__(self) -> None:
        super().__init__()
        self.complete: dict[str, tuple[str, str]] = {}  # folder -> (clip, owner) that a marker vouches for
        self.wanted: set[tuple[str, str]] = set()  # (folder, owner) of every sound content that was there long enough

    @initialize()
    def empty(self) -> None:
        shutil.rmtree(self.inbox.path)
        self.inbox.path.mkdir()
        with self.inbox.database.session() as session:
            session.execute(text("truncate jobs, batches, inbox_folders, uploads, consents restart identity cascade"))

    @rule(name=st.sampled_from(NAMES), clip=st.sampled_from(CLIPS), owner=st.sampled_from(["x", "y"]))
    def copy(self, name: str, clip: str, owner: str) -> None:
        """Takes the marker away, then writes the files; the marker comes later, or never."""
        folder = self.inbox.path / name
        folder.mkdir(exist_ok=True)
        (folder / MARKER).unlink(missing_ok=True)
        self.complete.pop(name, None)
        shutil.copyfile(self.inbox.media / "song.wav", folder / "song.wav")
        shutil.copyfile(self.inbox.media / clip, folder / "clip.mp4")
        (folder / NAME).write_text(JOB.replace("yamada", owner), encoding="utf-8")
        (folder / "content").write_text(f"{clip} {owner}")

    @rule(name=st.sampled_from(NAMES))
    def mark(self, name: str) -> None:
        folder = self.inbox.path / name
        if (folder / "content").exists():
            (folder / MARKER).touch()
            clip, owner = (folder / "content").read_text().split()
            self.complete[name] = (clip, owner)

    @rule(name=st.sampled_from(NAMES))
    def take_away(self, name: str) -> None:
        shutil.rmtree(self.inbox.path / name, ignore_errors=True)
        self.complete.pop(name, None)

    @rule()
    def scan(self) -> None:
        self.inbox.settle()
        report = self.inbox.scan()
        assert report.stopped is None
        self.wanted |= {(name, owner) for name, (clip, owner) in self.complete.items() if clip != "noise.bin"}
        self.check_found()

    @rule(calls=st.integers(0, 3), step=st.sampled_from(sorted(STEPS)))
    def scan_and_be_killed(self, calls: int, step: str) -> None:
        self.inbox.settle()
        with killed_at(step, calls):
            self.inbox.scan()

    @rule(size=st.integers(1, 3), kill=st.booleans())
    def plan(self, size: int, kill: bool) -> None:
        with suppress(Killed), self.inbox.database.session() as session:
            plan_batches(session, size=size)
            if kill:
                raise Killed

    @rule(finish=st.booleans())
    def run(self, finish: bool) -> None:
        with self.inbox.database.session() as session:
            for batch in listed(session, "planned"):
                mark_requested(session, batch.key)
                if finish:
                    mark_finished(session, batch.key)

    def check_found(self) -> None:
        with self.inbox.database.session() as session:
            found = set(session.execute(select(Job.name, Job.owner).where(Job.status == "ready")).all())
        assert self.wanted <= {(name, str(owner)) for name, owner in found}

    @invariant()
    def every_job_is_whole_and_in_one_batch_at_most(self) -> None:
        with self.inbox.database.session() as session:
            twice = select(Job.name, Job.content_hash).group_by(Job.name, Job.content_hash).having(func.count() > 1)
            assert session.execute(twice).all() == []
            ready = session.execute(select(Job).where(Job.status == "ready")).scalars().all()
            assert all(len([u for u in job.uploads if u.status == "ok"]) == 2 for job in ready)
            empty = select(BatchRow.key).where(~select(Job.id).where(Job.batch_id == BatchRow.id).exists())
            assert session.execute(empty).all() == []

    def teardown(self) -> None:
        """However it went: one more scan and one more plan, and everything is in a batch."""
        if not hasattr(self, "inbox") or not self.inbox.path.exists():
            return
        self.scan()
        self.plan(size=2, kill=False)
        with self.inbox.database.session() as session:
            left = select(func.count()).select_from(Job).where(Job.status == "ready", Job.batch_id.is_(None))
            assert session.execute(left).scalar() == 0


def test_no_job_is_lost_and_none_is_taken_twice(inbox: Inbox) -> None:
    machine = type("AnyOrderHere", (AnyOrder,), {"inbox": inbox})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    assert Path(inbox.path).exists()
