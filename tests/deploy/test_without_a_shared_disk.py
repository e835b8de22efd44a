"""The API, the daemon and a run, each on a machine of its own with an empty disk: one database and one bucket are all
that they have in common. The work is real, and small."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from pipelines import results, status
from pipelines.composing import batch as composing
from pipelines.errors import Conflict, Unavailable
from pipelines.governance import withdrawal
from pipelines.governance.people import Actor
from pipelines.identity.callers import Caller, scopes_of
from pipelines.intake import batches, handing_over, pieces, receiving, scan, submitting
from pipelines.intake.submitting import Given, Order
from pipelines.mastering import batch as mastering
from pipelines.scoring import batch as scoring
from pipelines.settings import Settings
from pipelines.storage import jobs, score_jobs, storage_use, submissions
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio
from serving.api.app import create_app
from serving.api.house import House
from serving.views import jobs as views
from tests.serving.api.conftest import Running, running
from tests.serving.api.test_uploads import sent
from tests.serving.api.work import SAMPLE, TUNE, sheet, tone

ADA = Caller(Actor("ada", "editor"), scopes_of("editor"), "key:ada")
OPS = Actor("ops", "operator")
TITLE = "春の歌"


@pytest.fixture
def common(migrated_database: Database, tmp_path: Path, s3_keys: str, database: Database) -> Settings:
    """What the machines have in common; ``database`` is emptied afterwards."""
    return Settings(
        home=str(tmp_path / "nowhere"),
        settle_seconds="0.05",
        workers="1",
        database_url=migrated_database.settings.database_url,
        objects_url=f"s3://studio/{tmp_path.name}",
        s3_endpoint=s3_keys,
    )


def machine(common: Settings, name: str, database: Database) -> Studio:
    settings = replace(common, home=str(Path(common.home).parent / name))
    objects = Objects.open(settings)
    return Studio(settings, database, objects, Cache(objects))


@pytest.fixture
def daemon(common: Settings, database: Database) -> Studio:
    return machine(common, "daemon", database)


@pytest.fixture
def run(common: Settings, database: Database) -> Studio:
    return machine(common, "run", database)


@pytest.fixture
def api(common: Settings, database: Database) -> Iterator[Running]:
    settings = machine(common, "api", database).settings
    house = House(settings)
    with running(settings, house, create_app(settings, house)) as found:
        yield found
    house.close()


@pytest.fixture
def client(api: Running) -> Iterator[httpx.Client]:
    with api.client() as found:
        yield found


def wiped(common: Settings, database: Database) -> Studio:
    """The next run: a machine that nobody has used."""
    made = machine(common, f"run-{time.monotonic_ns()}", database)
    assert files(made) == []
    return made


def files(studio: Studio, *words: str) -> list[str]:
    """Of this machine's home, the database's and locks aside; with ``words``: that name or hold one of them."""
    found = []
    for path in studio.settings.home_path.rglob("*"):
        if path.is_file() and path.name not in (".lock", "lock"):
            said = path.as_posix().encode() + path.read_bytes()
            if not words or any(word.encode() in said for word in words):
                found.append(path.relative_to(studio.settings.home_path).as_posix())
    return found


def until_taken(daemon: Studio, name: str) -> None:
    """The sensor's look, over an inbox in which nothing ever lies, until the job is there."""
    end = time.monotonic() + 30
    while True:
        looked = scan.scan(daemon.settings.inbox, daemon.database, daemon.objects, daemon.settings)
        assert (looked.new, looked.bad, looked.waiting) == ([], [], [])
        with daemon.database.session() as session:
            if jobs.latest(session, name) is not None:
                return
        assert time.monotonic() < end, "the job was never taken"
        time.sleep(0.05)


def planned(daemon: Studio) -> str:
    with daemon.database.session() as session:
        (made,) = batches.plan_batches(session, datetime.now(UTC))
        batches.mark_requested(session, made.key)
    return made.key


def finished(daemon: Studio, key: str) -> None:
    with daemon.database.session() as session:
        batches.mark_finished(session, key)


def master(run: Studio, key: str) -> None:
    for step in (mastering.describe, mastering.master, mastering.preview, mastering.draw, mastering.label):
        assert [result.error for result in step(run, key)] == [None]


def arrange(run: Studio, key: str) -> list[bool]:
    """Whether each was there before."""
    made = composing.arrange(run, key)
    assert [result.error for result in made] == [None]
    return [result.produced.stored for result in made if result.produced is not None]


def below(studio: Studio, job: str) -> list[str]:
    return [found.path for found in results.listed_of(studio.settings, studio.objects, job)]


def uploaded(studio: Studio, data: bytes, name: str, kind: str) -> str:
    row = receiving.announce(studio, "ada", name=name, kind=kind, size=len(data))
    with pieces.Piece(studio, row.id, 0) as piece:
        piece.write(data)
    assert receiving.check(studio, row.id).status == "ready"
    return row.id


def submitted(studio: Studio, data: bytes, name: str, kind: str, **more: object) -> str:
    order = Order((Given(uploaded(studio, data, name, kind)),), title=TITLE, **more)  # type: ignore[arg-type]
    return submitting.submit(studio, ADA, order)


def handed_over(studio: Studio) -> None:
    time.sleep(studio.settings.number("settle_seconds") * 2)
    assert handing_over.hand_over(studio) == 0


def test_from_the_api_to_the_run_and_back(
    api: Running, client: httpx.Client, daemon: Studio, run: Studio, common: Settings, database: Database
) -> None:
    mix, tune = (
        sent(client, data, name, kind)["id"]
        for data, name, kind in ((tone(), "夏 の mix.wav", "mix"), (TUNE.read_bytes(), "tune.mid", "melody"))
    )
    wish = {
        "title": TITLE,
        "files": [{"upload": mix}, {"upload": tune}],
        "master": {"preset": "classical"},
        "compose": {"styles": ["chorale"], "candidates": 1},
    }
    answer = client.post("/v1/jobs", json=wish)
    assert answer.status_code == 202, answer.text
    name = answer.json()["name"]
    assert name.startswith(TITLE)

    until_taken(daemon, name)
    here = api.house.studio
    end = time.monotonic() + 10
    while files(here, name, TITLE, "夏"):  # the API's own look removes what was taken
        assert time.monotonic() < end, files(here, name, TITLE, "夏")
        time.sleep(0.05)
    key = planned(daemon)
    assert client.get(f"/v1/jobs/{name}").json()["status"] == "running"

    master(run, key)
    assert arrange(run, key) == [False]
    finished(daemon, key)
    assert not (run.settings.home_path / "results").exists() and files(run, "夏 の mix.master") == []

    listed = {item["path"]: item for item in client.get(f"/v1/jobs/{name}/results").json()["items"]}
    assert {"夏 の mix.master.wav", "夏 の mix.preview.m4a", "tune.chorale.mid", "tune.chorale.html"} <= set(listed)
    sound = listed["夏 の mix.master.wav"]
    with httpx.Client(base_url=api.url, timeout=30) as anybody:
        whole = anybody.get(sound["url"])
        assert whole.status_code == 200 and len(whole.content) == sound["size"] and whole.content[:4] == b"RIFF"
        part = anybody.get(sound["url"], headers={"Range": "bytes=1000-1999"})
        assert (part.status_code, part.content) == (206, whole.content[1000:2000])
        assert part.headers["Content-Range"] == f"bytes 1000-1999/{sound['size']}"
        last = anybody.get(sound["url"], headers={"Range": "bytes=-5"})
        assert (last.status_code, last.content) == (206, whole.content[-5:])
        assert anybody.get(sound["url"], headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
        assert anybody.head(sound["url"]).headers["Content-Length"] == str(sound["size"])
        assert anybody.get(sound["url"], headers={"Range": f"bytes={sound['size']}-"}).status_code == 416
    (told,) = client.get(f"/v1/masters/{name}").json()["items"]
    assert (told["piece"], told["preset"]) == ("夏 の mix", "classical") and told["master"]["size"] == sound["size"]
    made = client.get("/v1/arrangements", params={"job": name}).json()["items"]
    assert [set(one["files"]) for one in made] == [{"midi", "project", "picture", "preview", "report"}]

    # Again on an empty disk: the outcomes are cached. What is there stays as it is, what is missing is delivered.
    before = below(here, name)
    again = wiped(common, database)
    assert arrange(again, key) == [True]
    for found in [item for item in storage_use.stored(again.objects, results.prefix_of(name)) if not item.copy]:
        again.objects.delete(found.key)
    assert below(here, name) == []
    master(wiped(common, database), key)
    assert arrange(wiped(common, database), key) == [False]
    assert below(here, name) == before

    withdrawal.request(daemon, "ada", OPS)
    (report,) = withdrawal.carry_out(daemon)
    assert report.done, report.waiting
    assert below(here, name) == []
    assert [item for item in storage_use.stored(daemon.objects) if not item.copy] == []
    assert files(here, name, TITLE, "夏") == []
    assert client.get(f"/v1/jobs/{name}").status_code in (401, 404)


@contextlib.contextmanager
def nothing_shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The bucket is away whenever a result is put there."""
    put = Objects.put_named

    def away(self: Objects, key: str, data: bytes | Path) -> None:
        if key.startswith(results.PLACE):
            raise Unavailable("the bucket", "went away", 1)
        put(self, key, data)

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "put_named", away)
        yield


def test_killed_between_writing_and_recording_the_next_run_delivers(
    common: Settings, database: Database, daemon: Studio, run: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine(common, "api", database)
    name = submitted(here, tone(), "mix.wav", "mix", wishes={"master": {"preset": "classical"}})
    handed_over(here)
    key = planned(daemon)
    assert [result.error for result in mastering.describe(run, key)] == [None]
    with nothing_shared(monkeypatch), pytest.raises(Unavailable):
        mastering.master(run, key)
    assert below(here, name) == [] and files(run, "mix.master") == []
    master(wiped(common, database), key)
    assert "mix.master.wav" in below(here, name)


def test_a_scored_sheet_is_noted_when_it_lies_there(
    common: Settings, database: Database, daemon: Studio, run: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.scoring import chunks, findings

    here = machine(common, "api", database)
    wishes = {"score": {"categories": ["joy", "anger"], "provider": "local"}}
    name = submitted(here, sheet(30), "texte.csv", "sheet", wishes=wishes)
    handed_over(here)
    key = planned(daemon)
    assert [result.error for result in scoring.register(run, key)] == [None]
    with database.session() as session:
        job = jobs.latest(session, name)
        assert job is not None
        (row,) = score_jobs.of_job(session, job.id)
        due = [chunk.chunk_id for chunk in chunks.due(session, datetime.now(UTC))]
        chunks.request(session, due, datetime.now(UTC))
    assert scoring.run(wiped(common, database), due).failed == {}

    with nothing_shared(monkeypatch), pytest.raises(Unavailable):
        scoring.publish(run, key)
    with database.session() as session:
        assert score_jobs.get(session, row.id).finished_at is None, "else nobody would write it any more"
    last = wiped(common, database)
    (result,) = scoring.publish(last, key)
    assert result.error is None and result.produced is not None
    assert result.produced.summary["place"] == results.place_of(last.settings, last.objects, name, "texte.scored.csv")
    with results.opened_of(here.settings, here.objects, name, "texte.scored.csv") as file:
        assert len(io.TextIOWrapper(file, "utf-8-sig").read().splitlines()) == 31
    assert findings.unscored(wiped(common, database), key) == []


def test_a_submission_outlives_who_took_it(common: Settings, database: Database, daemon: Studio) -> None:
    here = machine(common, "api", database)
    name = submitted(here, TUNE.read_bytes(), "tune.mid", "melody", token="t-1")
    assert (here.settings.inbox / name).is_dir(), "taken in by the next look, whoever is killed before"
    assert submitting.submit(here, ADA, Order((), title=TITLE, token="t-1")) == name, "sent again, it is the same"
    handed_over(machine(common, "api", database))
    assert files(here) == [] and [p.name for p in here.settings.inbox.iterdir()] == [".lock"]
    with database.session() as session:
        assert jobs.latest(session, name) is not None
    assert submitting.submit(here, ADA, Order((), title=TITLE, token="t-1")) == name
    assert handing_over.hand_over(here) == 0
    scan.scan(daemon.settings.inbox, database, daemon.objects, daemon.settings)
    with database.session() as session:
        assert [job.status for job in [jobs.latest(session, name)] if job] == ["ready"], "no scan takes it for gone"


def test_a_folder_put_there_by_hand_is_left_to_the_sensor(common: Settings, database: Database) -> None:
    here = machine(common, "api", database)
    folder = here.settings.inbox / "by-hand"
    folder.mkdir(parents=True)
    (folder / "tune.mid").write_bytes(TUNE.read_bytes())
    (folder / "job.yaml").write_text("owner: ada\nfiles:\n  - {file: tune.mid, kind: melody}\n")
    (folder / "_COMPLETE").touch()
    handed_over(here)
    with database.session() as session:
        assert jobs.latest(session, "by-hand") is None
    scan.scan(here.settings.inbox, database, here.objects, here.settings)
    handed_over(here)
    assert (folder / "tune.mid").is_file()


def test_a_refusal_is_told_although_the_folder_is_gone(
    common: Settings, database: Database, daemon: Studio, api: Running
) -> None:
    here = machine(common, "other-api", database)
    name = submitted(here, TUNE.read_bytes(), "tune.mid", "melody")
    (here.settings.inbox / name / "tune.mid").write_bytes(b"MThd is no melody, of the very same length".ljust(9999))
    (here.settings.inbox / name / "_COMPLETE").write_bytes(b"")
    handed_over(here)
    assert files(here) == []
    (refused,) = status.report(daemon).bad_jobs
    assert refused.job == name
    with pytest.raises(Conflict, match="send it anew"):
        views.retry_job(api.house, ADA, name)


def test_who_withdraws_before_it_is_taken_leaves_nothing_there(
    common: Settings, database: Database, daemon: Studio
) -> None:
    here = machine(common, "api", database)
    name = submitted(here, TUNE.read_bytes(), "tune.mid", "melody")
    waiting = uploaded(here, TUNE.read_bytes(), "another.mid", "melody")
    withdrawal.request(here, "ada", OPS)  # as the API does
    (report,) = withdrawal.carry_out(daemon)
    assert report.done
    with database.session() as session:
        assert submissions.get(session, name) is None
    handed_over(here)
    handing_over.drop_unknown(here)
    folder = pieces.folder(here.settings, waiting)
    assert folder.is_dir(), "it may be in the making"
    an_hour_ago = time.time() - 3700
    os.utime(folder, (an_hour_ago, an_hour_ago))
    handing_over.drop_unknown(here)
    assert files(here) == []
    with database.session() as session:
        assert jobs.latest(session, name) is None


@pytest.mark.parametrize("carried_out", [True, False])
def test_who_withdraws_on_another_machine_is_not_taken_in_anew(
    common: Settings, database: Database, daemon: Studio, *, carried_out: bool
) -> None:
    """What waits on the API's disk is seen by nobody else: whoever hears of the withdrawal cannot put it aside."""
    here = machine(common, "api", database)
    name = submitted(here, TUNE.read_bytes(), "tune.mid", "melody")
    withdrawal.request(daemon, "ada", OPS)
    if carried_out:
        assert [report.done for report in withdrawal.carry_out(daemon)] == [True]
    handed_over(here)
    assert [report.done for report in withdrawal.carry_out(daemon)] == ([] if carried_out else [True])
    with database.session() as session:
        assert jobs.latest(session, name) is None
    assert files(here) == []
    assert [item for item in storage_use.stored(daemon.objects) if not item.copy] == []

    again = submitted(here, TUNE.read_bytes(), "tune.mid", "melody")  # given anew
    handed_over(here)
    with database.session() as session:
        assert jobs.latest(session, again) is not None


def test_an_api_that_stops_for_good_hands_over_what_came_last(common: Settings, database: Database) -> None:
    settings = machine(common, "api", database).settings
    house = House(settings)
    with running(settings, house, create_app(settings, house)) as api, api.client() as client:
        melody = sent(client, TUNE.read_bytes(), "tune.mid", "melody")["id"]
        name = client.post("/v1/arrangements", json={"melody": melody}).json()["name"]
    with database.session() as session:
        assert jobs.latest(session, name) is not None
    assert [path.name for path in settings.inbox.iterdir()] == [".lock"]


def test_an_edit_takes_the_place_of_the_former_and_of_nothing_else(
    common: Settings, database: Database, daemon: Studio, run: Studio
) -> None:
    from pipelines.editing import batch as editing

    here, media = machine(common, "api", database), SAMPLE / "media"
    given = ("vibe_ace.ogg", "tune.ogg", "music"), ("big_buck_bunny_5s.mp4", "海.mp4", "clip")
    files_of_it = tuple(Given(uploaded(here, (media / file).read_bytes(), name, kind)) for file, name, kind in given)
    wishes = {"edit": {"duration": 2, "patterns": ["dynamic"]}}
    name = submitting.submit(here, ADA, Order(files_of_it, title=TITLE, wishes=wishes))
    handed_over(here)
    key = planned(daemon)
    for step in (editing.analyse_music, editing.analyse_clips, editing.share, editing.plan, editing.render):
        assert [result.error for result in step(run, key)] == [None]
    others = ("mix.master.wav", "tune.pop.mid", "texte.scored.csv")
    for path in ("former.mp4", "former.otio", *others):
        here.objects.put_named(results.key_of(name, path), b"of before")
    for machine_of_now in (run, wiped(common, database)):  # the second finds all of it cached
        assert [result.error for result in editing.judge(machine_of_now, key)] == [None]
        ends = ("edl", "fcpxml", "json", "mp4", "otio", "xml")
        assert set(below(here, name)) == {*(f"dynamic.{end}" for end in ends), "quality.json", "report.html", *others}
        here.objects.delete(results.key_of(name, "dynamic.mp4"))
