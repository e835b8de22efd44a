"""A lived-in house copied away and put back, by way of PostgreSQL's own programs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from pipelines import clock, results
from pipelines.errors import BadInput, NotFound, Unavailable
from pipelines.governance import audit, consent, withdrawal
from pipelines.governance.people import pseudonym
from pipelines.recommending import people
from pipelines.settings import Settings
from pipelines.storage import audit as trail
from pipelines.storage import dumps, embedded, storage_use
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.storage.recommending_tables import Viewer
from pipelines.storage.tables import REVISION
from pipelines.studio import Studio
from pipelines.upkeep import backup, ledger, manifests, restoring
from tests.governance.house import OPERATOR, Given, give, snapshot

MORNING = datetime(2026, 11, 21, 3, tzinfo=UTC)


def lived_in(studio: Studio) -> Given:
    ada = give(studio, "autumn", "Ada", {"music-a.ogg": b"a song", "clip-b.mp4": b"a clip" * 1000})
    bea = give(studio, "winter", "Bea", {"mix-c.wav": b"a mix", "lyrics-d.txt": "春の歌".encode()})
    snapshot(studio, ada, bea)
    with studio.database.session() as session:
        for n in range(20):
            trail.write(session, actor="system", action="test", subject=f"job:{n}", detail={"n": n})
    return ada


def rows(database: Database) -> dict[str, list[str]]:
    """Every row of every table as text, but for what backups and their restoring write themselves."""
    with database.session() as session:
        names = list(dumps.counted(session.connection()))
        found = {n: sorted(session.execute(text(f'select t::text from "{n}" t')).scalars()) for n in names}
    return {n: [r for r in lines if "backup." not in r] for n, lines in found.items()}


def contents(objects: Objects) -> dict[str, bytes]:
    stored = [item for item in storage_use.stored(objects) if not item.copy]
    return {item.key: b"".join(storage_use.read(objects, item.key)) for item in stored}


def files(home: Path, *places: str) -> dict[str, bytes]:
    found = [p for place in places for p in (home / place).rglob("*") if p.is_file()]
    return {p.relative_to(home).as_posix(): p.read_bytes() for p in found}


@pytest.fixture
def new_home(tmp_path: Path) -> Iterator[Path]:
    """Where to restore to; its server is stopped at the end."""
    home = tmp_path / "new"
    yield home
    for place in (home, tmp_path / ".new.restoring"):
        embedded.stop(place, force=True)


@pytest.fixture
def elsewhere(studio: Studio) -> Iterator[Settings]:
    """The same server, other databases, another home."""
    url = studio.database.url.set(database="put_back", drivername="postgresql").render_as_string(hide_password=False)
    settings = replace(studio.settings, database_url=url, home=str(Path(studio.settings.home).parent / "elsewhere"))
    yield settings
    with restoring._maintenance(settings) as (maintenance, _):
        for name in ("put_back", "put_back_dagster", "put_back_restoring", "put_back_restoring_dagster"):
            dumps.drop(maintenance, name)


def test_a_house_put_back_is_the_same(any_studio: Studio, tmp_path: Path, new_home: Path) -> None:
    lived_in(any_studio)
    before, objects = rows(any_studio.database), contents(any_studio.objects)
    made = backup.make(any_studio, tmp_path / "backups")
    assert made.files == len(objects) + len(files(any_studio.settings.home_path, *backup.PLACES))
    assert (made.missing, made.damaged) == ((), ())
    assert made.copied > 6000

    url = f"{any_studio.settings.objects_url}-new" if any_studio.objects.remote else ""
    settings = replace(any_studio.settings, home=str(new_home), database_url="", objects_url=url)
    done = restoring.restore(settings, tmp_path / "backups")

    assert (done.home, done.name, done.migrated, done.withdrawn) == (new_home, made.name, None, ())
    assert not (tmp_path / ".new.restoring").exists()
    assert {p.name for p in new_home.iterdir()} <= {"postgres", "objects", "copies", *backup.PLACES}
    studio = Studio.open(settings)
    try:
        assert rows(studio.database) == before
        assert contents(studio.objects) == objects
        # What was a link into the store is a file of the same bytes.
        assert files(new_home, *backup.PLACES) == files(any_studio.settings.home_path, *backup.PLACES)
        with studio.database.session() as session:
            assert audit.verify(session).ok
        with pytest.raises(BadInput, match="nothing is restored over a house"):
            restoring.restore(settings, tmp_path / "backups")
    finally:
        studio.database.close()


def test_results_come_back_where_the_new_house_has_them(
    any_studio: Studio, tmp_path: Path, new_home: Path, s3_keys: str
) -> None:
    """Of a local store in the home, of a bucket in it, whichever the backup was made of."""
    give(any_studio, "春の歌 1", "Ada", {"mix-a.wav": b"a mix"})
    before = {f.path: f.size for f in results.listed_of(any_studio.settings, any_studio.objects, "春の歌 1")}
    assert set(before) == {"master.wav", "report.html"}
    backup.make(any_studio, tmp_path / "backups")
    url = "" if any_studio.objects.remote else f"s3://studio/{tmp_path.name}-new"
    settings = replace(any_studio.settings, home=str(new_home), database_url="", objects_url=url, s3_endpoint=s3_keys)
    restoring.restore(settings, tmp_path / "backups")
    objects = Objects.open(settings)
    assert objects.remote != any_studio.objects.remote
    assert {f.path: f.size for f in results.listed_of(settings, objects, "春の歌 1")} == before
    assert (new_home / "results").exists() != objects.remote
    assert {item.key.split("/")[0] for item in storage_use.stored(objects)} >= {"media", "features"}


def test_originals_beside_results_come_back_as_links(studio: Studio, tmp_path: Path, new_home: Path) -> None:
    """Timelines find their media there; as files they would be had without two people's consent, and outlive what
    retention deletes."""
    ada = lived_in(studio)
    home, name = studio.settings.home_path, "clip-b.mp4"
    before = results.listed_of(studio.settings, studio.objects, "autumn")
    link = home / "results" / "autumn" / "media" / name
    link.unlink()
    link.write_bytes(studio.objects.get(ada.keys[name]))  # as an earlier release put it back
    assert results.listed_of(studio.settings, studio.objects, "autumn") == before
    gone = home / "results" / "autumn" / "media" / "gone.mp4"
    gone.write_bytes(b"deleted from the store since")
    backup.make(studio, tmp_path / "backups")
    settings = replace(studio.settings, home=str(new_home), database_url="")
    restoring.restore(settings, tmp_path / "backups")
    objects = Objects.open(settings)
    assert results.listed_of(settings, objects, "autumn") == before
    for place in (home, new_home):
        with pytest.raises(NotFound):
            results.opened(place / "results" / "autumn", f"media/{name}")
    media = new_home / "results" / "autumn" / "media"
    assert {path.name: path.resolve() for path in media.iterdir()} == {
        file: objects.local(ada.keys[file]).resolve() for file in ("music-a.ogg", name)
    }
    assert all(path.is_symlink() and path.is_file() for path in media.iterdir())


def test_a_second_backup_copies_only_what_is_new(studio: Studio, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    ada = lived_in(studio)
    first = backup.make(studio, folder, now=MORNING)
    again = backup.make(studio, folder, now=MORNING + timedelta(days=1))
    assert (again.copied, again.files) == (0, first.files)
    give(studio, "spring", "Cleo", {"music-e.ogg": b"another song"}, cached=False, settle=False)
    third = backup.make(studio, folder, keep=2, now=MORNING + timedelta(days=2))
    assert 0 < third.copied < 2000
    assert third.removed == (first.name,)
    assert manifests.names(folder) == [again.name, third.name]
    for name in manifests.names(folder):
        manifest = manifests.read(folder / name)
        manifests.check(folder, manifest)
        entries = list(manifests.read_entries(folder / name / manifests.ENTRIES))
        assert list(manifests.check_content(folder, entries)) == []
    # What only removed backups had goes with them.
    only_there = ada.keys["former plan"]
    size = len(studio.objects.get(only_there))
    studio.objects.delete(only_there)
    last = backup.make(studio, folder, keep=1, now=MORNING + timedelta(days=3))
    assert (last.freed, last.missing) == (size, ())
    kept = {p.name for p in (folder / manifests.CONTENT).rglob("*") if p.is_file()}
    assert kept == {e.sha256 for e in manifests.read_entries(folder / last.name / manifests.ENTRIES)}


def test_what_is_missing_or_damaged_in_the_store_is_told(studio: Studio, tmp_path: Path) -> None:
    given = give(studio, "autumn", "Ada", {"music-a.ogg": b"a song", "clip-b.mp4": b"a clip"})
    studio.objects.delete(given.keys["clip-b.mp4"])
    studio.objects.put_named(given.keys["music-a.ogg"], b"a sung")
    made = backup.make(studio, tmp_path / "backups")
    assert made.missing == (given.keys["clip-b.mp4"],)
    assert made.damaged == (given.keys["music-a.ogg"],)


def test_a_backup_that_is_not_whole_puts_nothing_back(studio: Studio, tmp_path: Path, elsewhere: Settings) -> None:
    folder = tmp_path / "backups"
    give(studio, "autumn", "Ada", {"music-a.ogg": b"a song"})
    own = folder / backup.make(studio, folder).name
    entry = next(e for e in manifests.read_entries(own / manifests.ENTRIES) if e.key.endswith("music-a.ogg"))
    told = (own / manifests.FILE).read_text()
    damages = {
        manifests.blob(folder, entry.sha256): (b"a sung", "were changed"),
        own / "orimono.dump": ((own / "orimono.dump").read_bytes()[:-9], "has other bytes than were written"),
        own / manifests.ENTRIES: (b"", "has other bytes than were written"),
        own / "backup.json": (told.replace('"format": 1', '"format": 99').encode(), "is a backup of format 99"),
    }
    revision = told.replace(f'"revision": "{REVISION}"', '"revision": "9999"').encode()
    rows_lost = told.replace('"jobs": 1', '"jobs": 2').encode()
    for file, (damaged, said) in [
        *damages.items(),
        (own / "backup.json", (revision, "was made by a newer version")),
        (own / "backup.json", (rows_lost, r"gives other rows than it was made of \(jobs\)")),
    ]:
        whole = file.read_bytes()
        assert damaged != whole
        file.write_bytes(damaged)
        with pytest.raises(BadInput, match=said):
            restoring.restore(elsewhere, folder)
        file.write_bytes(whole)
        assert not elsewhere.home_path.exists()
    assert restoring.restore(elsewhere, folder).home == elsewhere.home_path  # nothing stands in the way


def test_into_a_server_of_ones_own(studio: Studio, tmp_path: Path, elsewhere: Settings) -> None:
    lived_in(studio)
    before = rows(studio.database)
    backup.make(studio, tmp_path / "backups")
    done = restoring.restore(elsewhere, tmp_path / "backups")
    found = Database(elsewhere)
    try:
        assert rows(found) == before
        assert done.rows >= sum(len(lines) for lines in before.values())
        # The home alone is free again, the database is not.
        done.home.rename(tmp_path / "aside")
        with pytest.raises(BadInput, match="the database put_back: is in use"):
            restoring.restore(elsewhere, tmp_path / "backups")
        assert not done.home.exists()
    finally:
        found.dispose()


def test_cut_off_before_the_home_is_there_the_same_command_goes_on(
    studio: Studio, tmp_path: Path, elsewhere: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived_in(studio)
    before = rows(studio.database)
    backup.make(studio, tmp_path / "backups")
    with monkeypatch.context() as patch:  # the last step of all fails, as a kill would have it
        patch.setattr(Path, "rename", _cut_off)
        with pytest.raises(KeyboardInterrupt):
            restoring.restore(elsewhere, tmp_path / "backups")
    assert not elsewhere.home_path.exists()
    done = restoring.restore(elsewhere, tmp_path / "backups")
    found = Database(elsewhere)
    try:
        assert rows(found) == before
        assert files(done.home, "results") == files(studio.settings.home_path, "results")
    finally:
        found.dispose()


def _cut_off(*_: object) -> None:
    raise KeyboardInterrupt


def test_who_withdrew_since_is_excluded_again(studio: Studio, tmp_path: Path, elsewhere: Settings) -> None:
    lived_in(studio)
    old = backup.make(studio, tmp_path / "backups")
    withdrawal.request(studio, "Ada", OPERATOR)
    (report,) = withdrawal.carry_out(studio)
    assert report.done
    backup.make(studio, tmp_path / "backups")
    assert "Ada" not in (tmp_path / "backups" / ledger.FILE).read_text()

    done = restoring.restore(elsewhere, tmp_path / "backups", old.name)
    assert done.withdrawn == (pseudonym("Ada"),)
    again = Studio.open(elsewhere)
    try:
        assert "autumn" in json.dumps(rows(again.database)["jobs"])  # as it was, but excluded
        (report,) = withdrawal.carry_out(again)
        assert report.done
        assert "autumn" not in json.dumps(rows(again.database)["jobs"])
        assert "winter" in json.dumps(rows(again.database)["jobs"])
    finally:
        again.database.dispose()


def test_who_withdrew_since_the_newest_backup_is_excluded_again(
    studio: Studio, tmp_path: Path, elsewhere: Settings
) -> None:
    """Backed up in the night, withdrawn in the morning, and the disk dies at noon: no backup was made in between."""
    folder = tmp_path / "backups"
    studio = replace(studio, settings=replace(studio.settings, backup_folder=str(folder)))
    lived_in(studio)
    backup.make(studio, folder)
    withdrawal.request(studio, "Ada", OPERATOR)
    asked = ledger.read(folder)
    assert [w["person"] for w in asked] == [pseudonym("Ada")], "also who dies with the disk before the next hour"
    (report,) = withdrawal.carry_out(studio)
    assert report.done
    assert ledger.read(folder) == asked
    assert "Ada" not in (folder / ledger.FILE).read_text()

    done = restoring.restore(replace(elsewhere, backup_folder=str(folder)), folder)
    assert done.withdrawn == (pseudonym("Ada"),)
    assert ledger.read(folder) == asked, "a house that is only looked at tells nothing new"


def test_training_taken_back_since_the_newest_backup_is_taken_back_again(
    studio: Studio, tmp_path: Path, elsewhere: Settings
) -> None:
    folder = tmp_path / "backups"
    studio = replace(studio, settings=replace(studio.settings, backup_folder=str(folder)))
    ada = lived_in(studio)
    bea = give(studio, "spring", "Bea", {"music-e.ogg": b"another song"}, training=False, settle=False)
    viewer = people.viewer_id("Cleo")
    with studio.database.session() as session:
        session.add(Viewer(user_id=viewer, pseudonym=pseudonym("Cleo"), training=True))
    backup.make(studio, folder)
    with studio.database.session() as session:
        consent.give(session, OPERATOR, ada.job_id, quality=True, training=False)
        consent.give(session, OPERATOR, bea.job_id, quality=False, training=True)
        consent.give_viewer(session, OPERATOR, "Cleo", training=False)
    withdrawal.erase_learned(studio, clock.now())  # as whoever asks does, and the hourly run
    assert not {"Ada", "Bea", "Cleo"} & set((folder / ledger.CONSENTS).read_text().split('"'))

    restoring.restore(elsewhere, folder)
    again = Studio.open(elsewhere)
    try:
        with again.database.session() as session:
            (mine,) = consent.show(session, "Ada")
            assert (mine.quality, mine.training) == (True, False)
            allowed = {given.job: (given.quality, given.training) for given in consent.show(session, "Bea")}
            assert allowed == {"winter": (True, True), "spring": (False, False)}, "nothing is given that was not there"
            assert [found.training for found in consent.show_viewer(session, "Cleo")] == [False]
    finally:
        again.database.dispose()


def test_a_withdrawal_does_not_need_the_backups_disk(
    studio: Studio, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "disk" / "backups"
    studio = replace(studio, settings=replace(studio.settings, backup_folder=str(folder)))
    lived_in(studio)
    withdrawal.request(studio, "Ada", OPERATOR)
    assert "is not noted beside the backups" in caplog.text
    assert "Ada" not in caplog.text
    assert not folder.exists(), "else it is hidden by the disk once that is there"
    folder.mkdir(parents=True)
    (folder / ledger.FILE).write_text('[{"person": "half of it"}]')
    assert [report.done for report in withdrawal.carry_out(studio)] == [True]
    assert "half of it" in (folder / ledger.FILE).read_text(), "somebody mends it"
    (folder / ledger.FILE).write_text("[{")
    assert withdrawal.carry_out(studio) == []
    assert (folder / ledger.FILE).read_text() == "[{"
    (folder / ledger.FILE).unlink()
    assert withdrawal.carry_out(studio) == []  # the next hour
    assert [w["person"] for w in ledger.read(folder)] == [pseudonym("Ada")]


def test_withdrawals_noted_at_once_are_all_noted(studio: Studio, tmp_path: Path) -> None:
    names = [f"user-{n}" for n in range(8)]
    for name in names:
        give(studio, f"of-{name}", name, {"music-a.ogg": name.encode()}, cached=False, settle=False)
    studio = replace(studio, settings=replace(studio.settings, backup_folder=str(tmp_path)))
    with ThreadPoolExecutor(len(names)) as threads:
        list(threads.map(lambda name: withdrawal.request(studio, name, OPERATOR), names))
    assert {w["person"] for w in ledger.read(tmp_path)} == {pseudonym(name) for name in names}
    assert {p.name for p in tmp_path.iterdir() if p.name.startswith(("withdrawals", ".withdrawals"))} == {
        ledger.FILE,
        ledger.LOCK,
    }


def test_one_backup_at_a_time(studio: Studio, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    with backup.writing(folder):
        (folder / ".20260101T000000Z.partial").mkdir()
        with pytest.raises(Unavailable, match="another backup is being written"):
            backup.make(studio, folder)
    made = backup.make(studio, folder)
    assert [p.name for p in folder.iterdir() if p.is_dir()] == [made.name]
    with pytest.raises(BadInput, match="lies in the house"):
        backup.make(studio, studio.settings.home_path / "backups")


@pytest.mark.timeout(420)
def test_killed_restoring_leaves_nothing_and_can_be_repeated(studio: Studio, tmp_path: Path, new_home: Path) -> None:
    lived_in(studio)
    before = rows(studio.database)
    backup.make(studio, tmp_path / "backups")
    command = [sys.executable, "-m", "serving.cli", "restore", str(tmp_path / "backups"), "--into", str(new_home)]
    staging = tmp_path / ".new.restoring"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 120
        while not (staging / "postgres" / "data" / "PG_VERSION").exists():
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not new_home.exists()
    settings = replace(studio.settings, home=str(new_home), database_url="")
    restoring.restore(settings, tmp_path / "backups")
    assert not staging.exists()
    found = Database(settings)
    try:
        assert rows(found) == before
        with found.session() as session:
            assert session.execute(text("select version_num from alembic_version")).scalar() == REVISION
    finally:
        found.close()
