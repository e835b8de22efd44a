"""What has expired goes, no more and no less; holds, shared contents and clocks that jump are respected."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest
import time_machine
from sqlalchemy import select

from assets.governance import retention as retention_asset
from pipelines import clock, results
from pipelines.errors import BadInput, Unavailable
from pipelines.governance import audit, retention, vault, withdrawal
from pipelines.governance.people import Actor
from pipelines.scoring import scratch
from pipelines.storage import audit as trail
from pipelines.storage import score_files, storage_use
from pipelines.storage.tables import FeatureRow, Job, Upload, VaultItem
from pipelines.studio import Studio
from tests.governance.house import ADMINISTRATOR, NOW, OPERATOR, everything, give, item_of
from tests.governance.killed import kill_at

STEMS = {"inst-band.wav": b"the band" * 99, "vocal-aoi.wav": b"her voice" * 50, "mix-both.wav": b"both" * 30}
DAY = timedelta(days=1)


def kinds(report: retention.Report) -> list[str]:
    return sorted(item.kind for item in report.expired)


def test_each_kind_has_its_time(any_studio: Studio) -> None:
    studio = any_studio
    given = give(studio, "hers", "aoi", STEMS)
    folder, links = studio.settings.inbox / "hers", studio.settings.home_path / "results" / "hers" / "media"
    derived = given.keys["master"].split("/")[-1][:64]
    studio.cache.get_or_put("mixdown", "1", derived, {}, lambda: b"both stems", ".wav")
    (mixdown,) = (i.key for i in storage_use.stored(studio.objects, retention.MIXDOWNS) if not i.copy)
    studio.objects.local(given.keys["inst-band.wav"])

    assert kinds(retention.expire(studio, NOW + 6 * DAY)) == []
    assert folder.is_dir() and studio.objects.exists(mixdown)
    before = sorted(everything(studio))
    trial = retention.expire(studio, NOW + 8 * DAY, dry_run=True)
    assert sorted(everything(studio)) == before, "a dry run lists, and deletes nothing"
    done = retention.expire(studio, NOW + 8 * DAY)
    assert trial.expired == done.expired and kinds(done) == ["inst", "vocal"]
    assert done.freed == len(STEMS["inst-band.wav"]) + len(STEMS["vocal-aoi.wav"])
    assert "would delete inst of job" in trial.lines()[0] and "\ndeleted vocal of" in "\n".join(done.lines())
    assert len(told := done.lines(keys=False)) == 2 and not [line for line in told if "media/" in line]

    for file in STEMS:
        assert studio.objects.exists(given.keys[file]) == file.startswith("mix")
    assert not (studio.objects.folder / given.keys["inst-band.wav"]).exists(), "nor the copy of what S3 held"
    assert not folder.exists(), "the same bytes lay in the inbox"
    assert not studio.objects.exists(mixdown), "the stems in another form"
    assert studio.objects.remote or {p.name for p in links.iterdir()} == {"mix-both.wav"}
    with studio.database.session() as session:
        uploads = {u.name: (u.status, u.object_key) for u in session.execute(select(Upload)).scalars()}
        assert uploads["inst-band.wav"] == ("expired", None) and uploads["mix-both.wav"][0] == "ok"
        assert session.execute(select(FeatureRow)).scalars().all(), "features stay"
        assert len(trail.of_subject(session, f"job:{given.job_id}")) == 2
    assert studio.objects.exists(f"features/music/1.x/{'a' * 64}") is False
    cached = [item.key for item in storage_use.stored(studio.objects, "features/music") if not item.copy]
    assert len(cached) == len(STEMS)

    assert kinds(retention.expire(studio, NOW + 16 * DAY)) == ["master"]
    assert [one.path for one in results.listed_of(studio.settings, studio.objects, "hers")] == ["report.html"]
    assert kinds(retention.expire(studio, NOW + 31 * DAY)) == ["preview"]
    assert kinds(retention.expire(studio, NOW + 9999 * DAY)) == []
    with studio.database.session() as session:
        assert audit.verify(session).ok


def test_a_content_goes_when_the_last_one_who_has_it_loses_it(studio: Studio) -> None:
    hers = give(studio, "hers", "aoi", {"vocal-a.wav": STEMS["vocal-aoi.wav"]})
    his = give(studio, "his", "ren", {"vocal-b.wav": STEMS["vocal-aoi.wav"]})
    key = hers.keys["vocal-a.wav"]
    with studio.database.session() as session:
        item = session.get_one(VaultItem, item_of(studio, his, "vocal").id)
        item.expires_at = NOW + 20 * DAY
    (found,) = retention.expire(studio, NOW + 8 * DAY).expired
    assert not found.object_goes and studio.objects.exists(key)
    (found,) = (e for e in retention.expire(studio, NOW + 21 * DAY).expired if e.kind == "vocal")
    assert found.object_goes and not studio.objects.exists(key)


def test_both_at_once_are_foreseen_as_they_go(studio: Studio) -> None:
    give(studio, "hers", "aoi", {"vocal-a.wav": STEMS["vocal-aoi.wav"]})
    give(studio, "his", "ren", {"vocal-b.wav": STEMS["vocal-aoi.wav"]})
    trial = retention.expire(studio, NOW + 8 * DAY, dry_run=True)
    assert [e.object_goes for e in trial.expired] == [False, True]
    assert retention.expire(studio, NOW + 8 * DAY).expired == trial.expired


def test_a_legal_hold_stops_it_and_only_an_administrator_sets_one(studio: Studio) -> None:
    given = give(studio, "hers", "aoi", STEMS)
    item = item_of(studio, given, "vocal").id
    with studio.database.session() as session:
        with pytest.raises(BadInput, match="Olga: is an operator, and this needs an administrator"):
            vault.hold(session, item, OPERATOR, "case 7")
        with pytest.raises(BadInput, match="is held for no reason"):
            vault.hold(session, item, ADMINISTRATOR, "  ")
        with pytest.raises(BadInput, match="is under no legal hold"):
            vault.release(session, item, ADMINISTRATOR)
        vault.hold(session, item, ADMINISTRATOR, "case 7")
        vault.hold(session, item, Actor("Eve", "administrator"), "case 7 and 8")
        assert [i.kind for i in vault.items(session, "AOI ") if i.legal_hold] == ["vocal"]
    report = retention.expire(studio, NOW + 8 * DAY)
    assert report.held == (item,) and kinds(report) == ["inst"]
    assert "left vault item" in report.lines()[-1]
    with studio.database.session() as session:
        with pytest.raises(BadInput, match="needs an administrator"):
            vault.release(session, item, OPERATOR)
        vault.release(session, item, ADMINISTRATOR)
        actions = [row.action for row in trail.of_subject(session, f"vault:{item}")]
    assert actions == ["vault.hold", "vault.hold", "vault.release"]
    assert kinds(retention.expire(studio, NOW + 8 * DAY)) == ["vocal"]
    with pytest.raises(BadInput, match=r"was deleted \(expired\)"), studio.database.session() as session:
        vault.hold(session, item, ADMINISTRATOR, "too late")


@pytest.mark.parametrize("jump", [timedelta(days=30), timedelta(days=-2), timedelta(minutes=6)])
def test_a_clock_that_jumps_deletes_nothing(studio: Studio, jump: timedelta) -> None:
    give(studio, "hers", "aoi", STEMS)
    before = sorted(everything(studio))
    with time_machine.travel(clock.now() + jump), pytest.raises(Unavailable, match="until they agree"):
        retention.expire(studio)
    assert sorted(everything(studio)) == before
    assert retention.expire(studio).expired == ()


def test_what_is_made_again_is_kept_anew_and_what_is_there_is_not_prolonged(studio: Studio) -> None:
    given = give(studio, "hers", "aoi", STEMS)
    item = item_of(studio, given, "preview")
    with studio.database.session() as session:
        again = vault.keep(
            session, given.job_id, "aoi", "preview", item.object_key, item.content_hash, 9, NOW + 20 * DAY
        )
        assert again == item.id
    assert item_of(studio, given, "preview").expires_at == item.expires_at
    retention.expire(studio, NOW + 31 * DAY)
    with studio.database.session() as session:
        again = vault.keep(
            session, given.job_id, "aoi", "preview", item.object_key, item.content_hash, 9, NOW + 40 * DAY
        )
    assert again == item.id
    fresh = item_of(studio, given, "preview")
    assert fresh.deleted_at is None and fresh.expires_at == NOW + 70 * DAY
    with studio.database.session() as session:
        ids = vault.register_uploads(session, session.get_one(Job, given.job_id))
    assert ids == [item_of(studio, given, "mix").id], "the same item as before; what expired is not registered again"


@pytest.mark.parametrize("place", ["_expire", "_drop_copies", "_delete", "_drop_mixdowns"])
def test_killed_anywhere_the_next_run_completes(studio: Studio, place: str) -> None:
    given = give(studio, "hers", "aoi", STEMS)
    moment = NOW + 8 * DAY
    kill_at(studio, "retention", moment, f"after pipelines.governance.retention:{place}")
    retention.expire(studio, moment)
    left = {file for file in STEMS if studio.objects.exists(given.keys[file])}
    assert left == {"mix-both.wav"}
    with studio.database.session() as session:
        keyless = session.execute(select(Upload.kind).where(Upload.object_key.is_(None))).scalars()
        assert set(keyless) == {"inst", "vocal"}
        gone = session.execute(select(VaultItem.kind).where(VaultItem.deleted_at.is_not(None))).scalars()
        assert set(gone) == {"inst", "vocal"}
        assert len(trail.of_subject(session, f"job:{given.job_id}")) == 2, "each told once"
    assert not (studio.settings.inbox / "hers").exists()


def test_a_folder_with_other_content_by_now_stays(studio: Studio) -> None:
    give(studio, "hers", "aoi", STEMS)
    (studio.settings.inbox / "hers" / "mix-new.wav").write_bytes(b"not taken yet")
    assert kinds(retention.expire(studio, NOW + 8 * DAY)) == ["inst", "vocal"]
    assert (studio.settings.inbox / "hers" / "mix-new.wav").is_file()


def test_what_nobody_asks_for_any_more_goes_at_the_same_age(any_studio: Studio) -> None:
    studio = any_studio
    hers = give(studio, "hers", "aoi", {"mix-a.wav": STEMS["mix-both.wav"]})
    his = give(studio, "his", "ren", {"mix-b.wav": STEMS["mix-both.wav"]})
    digest = hers.keys["mix-a.wav"].split("/")[-1][:64]  # his as well, but only she had it mastered so
    names = {}
    for kind, ending in (("master", ".wav"), ("preview", ".m4a"), ("master", ".safetensors")):
        studio.cache.get_or_put(kind, "1", digest, {"preset": "warm"}, lambda: b"made for her", ending)
        names[ending] = studio.cache.key(kind, "1", digest, {"preset": "warm"}, ending)
        studio.objects.local(names[ending])
    with studio.database.session() as session:
        vault.keep(session, hers.job_id, "aoi", "master", names[".wav"], digest, 12, NOW)
        held = item_of(studio, his, "master")
        vault.hold(session, held.id, ADMINISTRATOR, "case 9")
    withdrawal.request(studio, "aoi", OPERATOR)
    assert [r.done for r in withdrawal.carry_out(studio)] == [True]
    assert all(studio.objects.exists(key) for key in names.values()), "the content is his, too"

    retention.expire(studio, NOW + 14 * DAY)
    assert all(studio.objects.exists(key) for key in names.values())
    retention.expire(studio, NOW + 16 * DAY)
    assert not studio.objects.exists(names[".wav"]) and not (studio.objects.folder / names[".wav"]).exists()
    assert studio.objects.exists(names[".m4a"]) and studio.objects.exists(his.keys["master"]), "held"
    retention.expire(studio, NOW + 31 * DAY)
    assert not studio.objects.exists(names[".m4a"]) and studio.objects.exists(names[".safetensors"]), "numbers stay"
    assert studio.objects.exists(his.keys["master"])


def test_videos_that_nobody_may_take_back_do_not_fail_the_hour(studio: Studio) -> None:
    """The key that they were lent with is gone from the settings; Gemini deletes them by itself."""
    address = studio.settings.gemini_base_url.rstrip("/").removesuffix("/v1beta")
    mine = scratch.Scratch(studio.settings.home_path)
    mine.close()
    with studio.database.session() as session:
        score_files.add(
            session, provider="gemini", address=address, name="files/a", holder=mine.holder, score_job_id=None
        )
    with dg.DagsterInstance.ephemeral() as instance:
        made = dg.materialize([retention_asset], instance=instance, resources={"studio": studio})
    (told,) = made.asset_materializations_for_node("retention")
    assert "GEMINI" in str(told.metadata["lent_files_left"].value)
    assert told.metadata["lent_files_taken_back"].value == 0
