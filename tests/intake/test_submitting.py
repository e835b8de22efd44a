"""Jobs made of uploads: they lie in the inbox as anybody's, are the sender's, and outlive a process that stops."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from pipelines.errors import BadInput, Conflict, NotAllowed, NotFound, OrimonoError
from pipelines.governance.people import Actor
from pipelines.identity.callers import Caller, scopes_of
from pipelines.intake import job_file, pieces, receiving, submitting
from pipelines.intake.job_file import MARKER, NAME
from pipelines.intake.submitting import Given, Order
from pipelines.settings import Settings
from pipelines.storage import jobs, pending_uploads, submissions
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.storage.tables import Job, Upload
from pipelines.studio import Studio
from tests.intake.conftest import Inbox

ADA = Caller(Actor("ada", "editor"), scopes_of("editor"), "key:ada")
BOB = Caller(Actor("bob", "editor"), scopes_of("editor"), "key:bob")
OPS = Caller(Actor("ops", "operator"), scopes_of("operator"), "key:ops")


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    return Studio(settings, database, objects, Cache(objects))


def uploaded(studio: Studio, path: Path, kind: str, owner: str = "ada", name: str | None = None) -> str:
    """Id of an upload that is ready."""
    data = path.read_bytes()
    row = receiving.announce(studio, owner, name=name or path.name, kind=kind, size=len(data))
    with pieces.Piece(studio, row.id, 0) as piece:
        piece.write(data)
    assert receiving.check(studio, row.id).status == "ready"
    return row.id


def edit_of(studio: Studio, media: Path, **more: object) -> Order:
    files = (Given(uploaded(studio, media / "song.wav", "music")), Given(uploaded(studio, media / "clip.mp4", "clip")))
    return Order(files, **more)  # type: ignore[arg-type]


def left(studio: Studio) -> list[str]:
    """What lies in the inbox, locks aside."""
    return sorted(p.name for p in studio.settings.inbox.iterdir() if p.name != ".lock")


def test_the_scan_takes_the_job_and_it_is_the_senders(studio: Studio, media: Path, inbox: Inbox) -> None:
    wishes = {"edit": {"fps": "30"}, "consents": {"quality": True}, "bpm": 120.0}
    order = edit_of(studio, media, title="春の Song!", wishes=wishes, request_id="request-1")
    name = submitting.submit(studio, ADA, order)
    assert name.startswith("春の-song-") and left(studio) == [name]
    inbox.settle()
    assert inbox.scan().new == [name]
    with studio.database.session() as session:
        job = jobs.latest(session, name)
        assert job is not None
        assert (job.owner, job.status, job.bpm, job.edit) == ("ada", "ready", 120.0, {"fps": "30"})
        files = session.execute(select(Upload).where(Upload.job_id == job.id)).scalars().all()
        assert {(f.name, f.kind, f.error) for f in files} == {("song.wav", "music", None), ("clip.mp4", "clip", None)}
        sent = submissions.get(session, name)
        assert sent is not None and (sent.owner, sent.request_id) == ("ada", "request-1")
        assert {row.status for row in pending_uploads.locked(session, [f.upload for f in order.files]).values()} == {
            "used"
        }
    assert not list((studio.settings.home_path / "incoming").iterdir())
    assert inbox.scan().new == []  # and only once


def test_files_of_one_name_are_told_apart(studio: Studio, media: Path, inbox: Inbox) -> None:
    song = uploaded(studio, media / "song.wav", "music", name="a.mp4")
    clips = [uploaded(studio, media / name, "clip", name="A.mp4") for name in ("clip.mp4", "clip2.mp4")]
    name = submitting.submit(studio, ADA, Order(tuple(Given(one) for one in (song, *clips))))
    assert len({p.name.casefold() for p in (studio.settings.inbox / name).iterdir()} - {NAME, MARKER.casefold()}) == 3
    inbox.settle()
    assert inbox.scan().new == [name]


def test_an_upload_is_taken_once(studio: Studio, media: Path) -> None:
    order = edit_of(studio, media)
    submitting.submit(studio, ADA, order)
    with pytest.raises(Conflict, match="taken by another job"):
        submitting.submit(studio, ADA, order)
    with pytest.raises(Conflict, match="taken by a job"):
        receiving.drop(studio, order.files[0].upload)


def test_an_upload_is_named_once(studio: Studio, media: Path) -> None:
    mix = Given(uploaded(studio, media / "song.wav", "mix"))
    with pytest.raises(BadInput, match="twice"):
        submitting.submit(studio, ADA, Order((mix, mix)))


def test_other_peoples_uploads_are_none(studio: Studio, media: Path) -> None:
    mix = Given(uploaded(studio, media / "song.wav", "mix"))
    with pytest.raises(NotFound):
        submitting.submit(studio, BOB, Order((mix,)))
    with pytest.raises(NotFound):
        submitting.submit(studio, ADA, Order((Given("x" * 22),)))
    with pytest.raises(NotAllowed):
        submitting.submit(studio, ADA, Order((mix,), owner="bob"))
    name = submitting.submit(studio, OPS, Order((mix,), owner="ada"))
    assert job_file.parse((studio.settings.inbox / name / NAME).read_bytes(), name).owner == "ada"


def test_only_what_is_ready_is_taken(studio: Studio, media: Path) -> None:
    data = (media / "noise.bin").read_bytes()
    row = receiving.announce(studio, "ada", name="mix.wav", kind="mix", size=len(data))
    order = Order((Given(row.id),))
    with pytest.raises(Conflict, match=f"not complete .0 of {len(data)} bytes"):
        submitting.submit(studio, ADA, order)
    with pieces.Piece(studio, row.id, 0) as piece:
        piece.write(data)
    with pytest.raises(Conflict, match="still being looked at"):
        submitting.submit(studio, ADA, order)
    assert receiving.check(studio, row.id).status == "refused"
    with pytest.raises(BadInput, match="was refused"):
        submitting.submit(studio, ADA, order)
    assert left(studio) == [] if studio.settings.inbox.is_dir() else True


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"edit": {"fps": "no"}}, "fps"),
        ({"master": {"preset": "loudest"}}, "preset"),
        ({"bpm": 5}, "bpm"),
        ({"unheard": 1}, "unheard"),
        ({"key": "a\nb"}, "key"),
    ],
)
def test_wishes_are_judged_as_job_files_are(studio: Studio, media: Path, wishes: dict, reason: str) -> None:
    order = Order((Given(uploaded(studio, media / "song.wav", "mix")),), wishes=wishes)
    with pytest.raises(BadInput, match=reason) as raised:
        submitting.submit(studio, ADA, order)
    assert "job.yaml" not in str(raised.value)
    submitting.submit(studio, ADA, Order(order.files))  # nothing was taken


def test_files_that_make_no_job(studio: Studio, media: Path) -> None:
    song = Given(uploaded(studio, media / "song.wav", "music"))
    with pytest.raises(BadInput, match="no usable clip"):
        submitting.submit(studio, ADA, Order((song,)))
    with pytest.raises(BadInput, match="uploaded as music, not mix"):
        submitting.submit(studio, ADA, Order((Given(song.upload, "mix"),)))


def test_the_same_token_is_the_same_job(studio: Studio, media: Path) -> None:
    order = edit_of(studio, media, token="t")
    name = submitting.submit(studio, ADA, order)
    assert submitting.submit(studio, ADA, order) == name
    assert left(studio) == [name]
    other = Order((Given(uploaded(studio, media / "song.wav", "mix", "bob")),), token="t")
    assert submitting.submit(studio, BOB, other) != name


class Stopped(BaseException):
    """As if the process were killed here."""


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    with monkeypatch.context() as patched:
        yield patched


def test_a_job_that_was_taken_comes_into_the_inbox_whoever_stops(
    studio: Studio, media: Path, inbox: Inbox, stopping: pytest.MonkeyPatch
) -> None:
    order = edit_of(studio, media, token="t")

    def stop(*_: object) -> None:
        raise Stopped

    stopping.setattr(submitting, "_publish", stop)
    with pytest.raises(Stopped):
        submitting.submit(studio, ADA, order)
    stopping.undo()
    [stage] = left(studio)
    assert stage.startswith(".submitted-")
    assert inbox.scan().new == []  # and no scan takes, or clears away, what is not there yet
    name = submitting.submit(studio, ADA, order)  # the client, who got no answer, sends it again
    assert left(studio) == [name]
    inbox.settle()
    assert inbox.scan().new == [name]
    with studio.database.session() as session:
        assert len(session.execute(select(Job)).scalars().all()) == 1


def test_a_job_that_was_not_taken_leaves_nothing(studio: Studio, media: Path, stopping: pytest.MonkeyPatch) -> None:
    order = edit_of(studio, media)

    def stop(*_: object) -> None:
        raise Stopped

    stopping.setattr(submissions, "add", stop)
    with pytest.raises(Stopped):
        submitting.submit(studio, ADA, order)
    stopping.undo()
    assert submitting.finish(studio) == [] and left(studio) == []
    name = submitting.submit(studio, ADA, order)
    assert left(studio) == [name]


def test_a_stop_between_the_links_and_the_inbox_is_mended(
    studio: Studio, media: Path, stopping: pytest.MonkeyPatch
) -> None:
    order = edit_of(studio, media)
    rename = Path.rename

    def stop(self: Path, target: Path) -> Path:
        raise Stopped

    stopping.setattr(Path, "rename", stop)
    with pytest.raises(Stopped):
        submitting.submit(studio, ADA, order)
    stopping.setattr(Path, "rename", rename)
    [name] = submitting.finish(studio)
    assert left(studio) == [name] and (studio.settings.inbox / name / MARKER).is_file()
    assert submitting.finish(studio) == []


@given(st.text(max_size=300))
def test_any_title_makes_a_name_that_a_folder_can_have(title: str) -> None:
    name = submitting.slug(title)
    assert 0 < len(name.encode()) <= 120
    assert not set(name) & set("/\\. \0\n") and not name.startswith(("-", "."))
    assert job_file.sayable(name)


def test_no_job_is_taken_when_the_store_is_full(studio: Studio, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = edit_of(studio, media)
    monkeypatch.setattr(receiving, "SPARE", 1 << 60)
    with pytest.raises(OrimonoError, match="no room"):
        submitting.submit(studio, ADA, order)
