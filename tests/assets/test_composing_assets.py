"""A batch's melodies, run by Dagster in this process over a real database and store: arranged, published, kept."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import delete, insert

from pipelines import clock
from pipelines.composing import midi_reading
from pipelines.intake import batches, scan
from pipelines.media.hashing import content_hash
from pipelines.settings import Settings
from pipelines.storage import arrangements, jobs
from pipelines.storage.cache import Cache
from pipelines.storage.composing_tables import Arrangement
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.storage.tables import Job
from pipelines.studio import Studio
from tests.assets.test_editing_assets import failed_checks, materialize, materialized
from tests.assets.test_editing_assets import instance as instance

TUNES = Path(__file__).resolve().parents[2] / "sample" / "tunes"
OWNER = "Mina"


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    url = database.url.render_as_string(hide_password=False)
    return Studio(replace(settings, workers="1", database_url=url), database, objects, Cache(objects))


def put(studio: Studio, name: str, tunes: dict[str, bytes], wish: str) -> None:
    folder = studio.settings.inbox / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in tunes.items():
        (folder / file).write_bytes(data)
    listed = "".join(f"  - {{file: {file}, kind: melody}}\n" for file in tunes)
    (folder / "job.yaml").write_text(f"owner: {OWNER}\nfiles:\n{listed}compose: {wish}\n")
    (folder / "_COMPLETE").touch()


def planned(studio: Studio) -> str:
    time.sleep(studio.settings.number("settle_seconds") * 2)
    scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)
    with studio.database.session() as session:
        (made,) = batches.plan_batches(session)
    return made.key


def test_melodies_of_a_batch_are_arranged_once(studio: Studio, instance: dg.DagsterInstance) -> None:
    grace = (TUNES / "amazing_grace.mid").read_bytes()
    put(studio, "hymn", {"grace.mid": grace}, "{styles: [chorale, pop], candidates: 2}")
    put(studio, "chords", {"grace.mid": grace}, "{styles: [pop], candidates: 1, chords: 'G | G7 | C | G'}")
    key = planned(studio)
    first = materialize(studio, instance, key, ["uploads", "accompaniments"])
    assert first.success
    assert failed_checks(first) == {}
    told = materialized(first)["accompaniments"]
    assert (told["items"], told["computed"], told["failed"]) == (3, 3, 0)
    assert "data:image/webp;base64," in str(told["picture_1"])

    out = studio.settings.home_path / "results" / "hymn"
    names = {f"grace.{style}{n}" for style in ("chorale", "pop") for n in ("", "-2")}
    assert {p.name for p in out.iterdir()} == {
        *(f"{name}.{ending}" for name in names for ending in ("mid", "rpp", "png", "m4a")),
        *(f"grace.{style}.{ending}" for style in ("chorale", "pop") for ending in ("html", "arrangement.json")),
    }
    with studio.database.session() as session:
        (job,) = [row for row in jobs.of_batch(session, key) if row.name == "hymn"]
        rows = arrangements.of_job(session, job.id)
        assert sorted((row.owner, row.style, row.candidate) for row in rows) == [
            (OWNER, style, n) for style in ("chorale", "pop") for n in (1, 2)
        ]
        kept = {row.object_key for row in rows}
    assert {str(key).rsplit("/")[-1].removesuffix(".mid") for key in kept} == {
        content_hash(out / f"{name}.mid") for name in names
    }
    given = midi_reading.read(studio.settings.home_path / "results" / "chords" / "grace.pop.mid")
    assert [span.chord.symbol for span in given.chords][:4] == ["G", "G7", "C", "G"]

    before = {p: p.stat().st_mtime_ns for p in out.iterdir()}
    again = materialized(materialize(studio, instance, key, ["accompaniments"]))["accompaniments"]
    assert (again["computed"], again["already_stored"]) == (0, 3)
    assert {p: p.stat().st_mtime_ns for p in out.iterdir()} == before

    # A choice that later models do not make again is kept beside what they make, and spoils nothing.
    with studio.database.session() as session:
        of_pop = next(row for row in arrangements.of_job(session, job.id) if row.style == "pop")
        values = {c.name: getattr(of_pop, c.name) for c in Arrangement.__table__.columns if c.name != "id"}
        values |= {"candidate": arrangements.FORMER, "chosen_at": clock.now()}
        values |= {"object_key": studio.objects.put_bytes(b"by an earlier model", ".mid")}
        session.execute(insert(Arrangement).values(values))
    settled = materialized(materialize(studio, instance, key, ["accompaniments"]))["accompaniments"]
    assert (settled["computed"], settled["already_stored"]) == (0, 3)
    (out / "grace.pop-2.mid").unlink()
    for counts in ((1, 2), (0, 3)):
        redone = materialized(materialize(studio, instance, key, ["accompaniments"]))["accompaniments"]
        assert (redone["computed"], redone["already_stored"]) == counts
    with studio.database.session() as session:
        of_job = arrangements.of_job(session, job.id)
        assert sorted((row.style, row.candidate) for row in of_job if row.chosen_at) == [("pop", 0)]
        assert len(of_job) == 5

    # What somebody threw away is made again, the rest is as it was.
    shutil.rmtree(studio.settings.home_path / "results" / "chords")
    once_more = materialized(materialize(studio, instance, key, ["accompaniments"]))["accompaniments"]
    assert (once_more["computed"], once_more["already_stored"]) == (1, 2)


def test_two_jobs_with_one_melody_and_one_wish_have_arrangements_of_their_own(
    studio: Studio, instance: dg.DagsterInstance
) -> None:
    grace = (TUNES / "promenade.mid").read_bytes()
    for name in ("first", "second"):
        put(studio, name, {"grace.mid": grace}, "{styles: [pop], candidates: 2}")
    key = planned(studio)
    told = materialized(materialize(studio, instance, key, ["uploads", "accompaniments"]))["accompaniments"]
    assert (told["computed"], told["failed"]) == (2, 0)
    with studio.database.session() as session:
        by_job = {row.name: arrangements.of_job(session, row.id) for row in jobs.of_batch(session, key)}
        assert [len(by_job[name]) for name in ("first", "second")] == [2, 2]
        keys = [[row.object_key for row in rows] for rows in by_job.values()]
        assert keys[0] == keys[1]
        first = next(row.id for row in jobs.of_batch(session, key) if row.name == "first")
        session.execute(delete(Job).where(Job.id == first))
    for object_key in keys[0]:
        assert studio.objects.exists(str(object_key))
    results = studio.settings.home_path / "results" / "second"
    before = {p: p.stat().st_mtime_ns for p in results.iterdir()}
    again = materialized(materialize(studio, instance, key, ["accompaniments"]))["accompaniments"]
    assert (again["items"], again["already_stored"]) == (1, 1)
    assert {p: p.stat().st_mtime_ns for p in results.iterdir()} == before


def test_what_somebody_worked_on_in_the_results_stays(studio: Studio, instance: dg.DagsterInstance) -> None:
    put(studio, "hymn", {"grace.mid": (TUNES / "promenade.mid").read_bytes()}, "{styles: [pop], candidates: 1}")
    key = planned(studio)
    materialize(studio, instance, key, ["uploads", "accompaniments"])
    out = studio.settings.home_path / "results" / "hymn"
    (out / "grace.pop.rpp").write_text("mixed for a day")
    told = materialized(materialize(studio, instance, key, ["accompaniments"]))["accompaniments"]
    assert (told["computed"], told["already_stored"]) == (0, 1)
    (out / "grace.pop.html").unlink()
    done = materialize(studio, instance, key, ["accompaniments"])
    assert "grace.pop.rpp: was changed since it was delivered" in str(failed_checks(done))
    assert (out / "grace.pop.rpp").read_text() == "mixed for a day"


def test_a_melody_that_is_none_costs_only_itself(studio: Studio, instance: dg.DagsterInstance) -> None:
    tune = (TUNES / "amazing_grace.mid").read_bytes()
    put(studio, "mixed", {"good.mid": tune, "cut.mid": tune[:90]}, "{styles: [chorale], candidates: 1}")
    key = planned(studio)
    done = materialize(studio, instance, key, ["uploads", "accompaniments"])
    assert done.success
    assert "cut.mid" in str(failed_checks(done)["uploads.every_upload_good"])
    assert materialized(done)["accompaniments"]["items"] == 1


def test_chords_that_do_not_fit_are_told_of(studio: Studio, instance: dg.DagsterInstance) -> None:
    tune = (TUNES / "amazing_grace.mid").read_bytes()
    put(studio, "odd", {"grace.mid": tune}, "{styles: [pop], chords: 'H'}")
    key = planned(studio)
    done = materialize(studio, instance, key, ["uploads", "accompaniments"])
    assert done.success
    assert "'H'" in str(failed_checks(done)["accompaniments.every_melody_arranged"])
