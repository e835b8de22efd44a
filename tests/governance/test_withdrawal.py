"""Who withdrew is nowhere any more, whoever else gave the same, wherever a deletion was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pipelines import results, work_folders
from pipelines.errors import BadInput, Unavailable
from pipelines.governance import audit, retention, traces, vault, withdrawal
from pipelines.governance.people import Actor, pseudonym
from pipelines.intake import batches, scan
from pipelines.storage import audit as trail
from pipelines.storage import consents, jobs, storage_use, withdrawals
from pipelines.storage.tables import BatchRow, Consent, Job, Label, TrainingSnapshot, Upload, VaultItem, Withdrawal
from pipelines.studio import Studio
from tests.governance.house import (
    ADMINISTRATOR,
    NOW,
    OPERATOR,
    everything,
    give,
    inbox_row,
    item_of,
    mentions,
    snapshot,
)
from tests.governance.killed import kill_at

AOI = "Aoi Hanamura <aoi@example.org>"
REN = "ren@example.org"
SONG = {"mix-aoi-demo.wav": b"a song by A.H." * 99, "vocal-aoi.wav": b"her voice" * 50}
CLIP = {"music-tune.ogg": b"a tune" * 90, "clip-beach.mp4": b"pictures" * 80}
HERS = {"Aoi Hanamura", "aoi@example.org", "her voice", "a song by A.H."}


def keys(studio: Studio) -> set[str]:
    return {item.key for item in storage_use.stored(studio.objects)}


def test_nothing_of_a_person_is_left_and_nothing_of_others_is_lost(any_studio: Studio) -> None:
    studio = any_studio
    other = give(studio, "rens-piece", REN, {"mix-ren.wav": b"another song" * 70})
    theirs = {where for where, _ in mentions(studio, other.words) if "/segments/" not in where}  # everybody's cache
    before = keys(studio)
    first = give(studio, "aoi-first", AOI, SONG)
    second = give(studio, "aoi-second", AOI.upper(), CLIP)
    common = snapshot(studio, first, other)
    for key in (*first.keys.values(), *second.keys.values()):
        studio.objects.local(key)  # on S3: a copy here
    words = first.words | second.words | HERS | {AOI, AOI.upper()}
    assert {where.split()[0] for where, _ in mentions(studio, words)} >= {
        *("jobs", "uploads", "consents", "item_results", "features_store", "labels", "edits", "vault_items"),
        *("inbox_folders", "object", "file"),
    }

    asked = withdrawal.request(studio, AOI, Actor(AOI, "viewer"), now=NOW)
    assert asked.due_at == NOW + timedelta(hours=24)
    planned = withdrawal.plan(studio, asked)
    (report,) = withdrawal.carry_out(studio, NOW + timedelta(hours=1))

    assert report.done and report.waiting is None
    assert mentions(studio, words) == []
    assert keys(studio) == before, "all of the other's objects, and not one more"
    assert theirs <= {where for where, _ in mentions(studio, other.words)}
    with studio.database.session() as session:
        assert session.get_one(TrainingSnapshot, common).erased_at is not None
        row = session.execute(select(Withdrawal)).scalar_one()
        assert (row.user_id, row.completed_at) == (pseudonym(AOI), NOW + timedelta(hours=1))
        done = trail.of_subject(session, f"user:{pseudonym(AOI)}")
        assert [entry.action for entry in done] == ["withdrawal.request", "withdrawal.complete"]
        assert row.report["rows"] == planned.rows and row.report["rows"]["jobs"] == 2
        assert row.report["batches"] == list(report.batches) and len(report.batches) == 2
        assert withdrawals.completed_since(session, NOW) == [pseudonym(AOI)]
        assert consents.withdrawn_pseudonyms(session, {pseudonym(AOI), pseudonym(REN)}) == {pseudonym(AOI)}
        assert audit.verify(session).ok
    # What the plan said would go is what went.
    assert {key for key, _ in planned.objects} | before >= {*first.keys.values(), *second.keys.values()}
    assert planned.snapshots == (common,)
    assert withdrawal.carry_out(studio, NOW) == []


def test_what_was_trained_from_others_stays(any_studio: Studio) -> None:
    studio = any_studio
    hers, his = give(studio, "hers", AOI, SONG), give(studio, "his", REN, CLIP)
    common, others = snapshot(studio, hers, his), snapshot(studio, his)
    with studio.database.session() as session:
        shas = [session.get_one(TrainingSnapshot, row).sha256 for row in (common, others)]
    gone, kept = (studio.cache.key("candidate", "1", sha, {}, ".onnx") for sha in shas)
    for key in (gone, kept, "incremental/preset_cls.json", "incremental/master_reg.json"):
        studio.objects.put_named(key, b"learned")
    withdrawal.request(studio, AOI, OPERATOR)
    assert [r.done for r in withdrawal.carry_out(studio)] == [True]
    assert studio.objects.exists(kept) and studio.objects.exists("incremental/master_reg.json")
    assert not studio.objects.exists(gone) and not studio.objects.exists("incremental/preset_cls.json")


def test_excluded_in_the_moment_of_the_request(studio: Studio) -> None:
    hers, his = give(studio, "hers", AOI, SONG, settle=False), give(studio, "his", REN, CLIP, settle=False)
    withdrawal.request(studio, AOI, OPERATOR)
    with studio.database.session() as session:
        assert set(session.execute(consents.trainable_jobs()).scalars()) == {his.job_id}
        (made,) = batches.plan_batches(session)
        assert made.job_ids == (his.job_id,), "nothing is computed for her any more"
        assert jobs.presented(session, "hers") is None
        assert session.get_one(Job, hers.job_id).batch_id is None


def test_a_plan_changes_nothing(studio: Studio) -> None:
    hers = give(studio, "hers", AOI, SONG)
    before = sorted(everything(studio))
    foreseen = withdrawal.foresee(studio, AOI.lower())
    assert sorted(everything(studio)) == before
    asked = withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    before = sorted(everything(studio))
    planned = withdrawal.plan(studio, asked)
    assert sorted(everything(studio)) == before
    assert planned == foreseen
    assert set(hers.keys.values()) <= {key for key, _ in planned.objects}
    text = "\n".join(planned.lines())
    assert "delete inbox/hers/mix-aoi-demo.wav" in text and "delete 1 rows of jobs" in text
    assert "delete results/hers/master.wav" in text and "data_docs" in text
    summary = str(planned.summary())
    assert not [word for word in hers.words | HERS if word in summary], "the summary tells no names"


def test_two_who_gave_the_same_content_withdraw_one_after_the_other(any_studio: Studio) -> None:
    studio = any_studio
    hers, his = give(studio, "hers", AOI, SONG), give(studio, "his", REN, SONG)
    other = {"plan", "former plan"}  # alike, too: the same files under the same names
    assert {k: v for k, v in hers.keys.items() if k not in other} == {
        k: v for k, v in his.keys.items() if k not in other
    }
    withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    (report,) = withdrawal.carry_out(studio, NOW)
    assert report.done
    assert report.summary["shared"] >= len(SONG)
    assert mentions(studio, {AOI, "Aoi Hanamura", "hers "}) == []
    for key in his.keys.values():
        if key != his.keys["former plan"]:
            assert studio.objects.exists(key), "it is his, too"
    assert studio.objects.get(his.keys["vocal-aoi.wav"]) == SONG["vocal-aoi.wav"]
    withdrawal.request(studio, REN, OPERATOR, now=NOW)
    assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True]
    assert mentions(studio, hers.words | his.words | HERS) == []
    assert keys(studio) == set()


@pytest.mark.parametrize("keeps", [(False, False), (True, False), (False, True), (True, True)])
def test_two_who_gave_the_same_content_withdraw_at_once(studio: Studio, keeps: tuple[bool, bool]) -> None:
    hers, his = give(studio, "hers", AOI, SONG), give(studio, "his", REN, SONG)
    for owner, keep in zip((AOI, REN), keeps, strict=True):
        withdrawal.request(studio, owner, OPERATOR, keep_originals=keep, now=NOW)
    reports = withdrawal.carry_out(studio, NOW)
    assert [report.done for report in reports] == [True, True]
    originals = {hers.keys[name] for name in SONG}
    assert keys(studio) == (originals if any(keeps) else set()), "whoever leaves them with us"
    with studio.database.session() as session:
        rows = session.execute(select(Upload.owner, func.count()).group_by(Upload.owner)).all()
        kept = {AOI: keeps[0], REN: keeps[1]}
        assert dict(map(tuple, rows)) == {owner: len(SONG) for owner, keep in kept.items() if keep}
    assert not mentions(studio, [w for g, k in ((hers, keeps[0]), (his, keeps[1])) if not k for w in (g.owner, g.name)])


def test_originals_may_stay(studio: Studio) -> None:
    hers = give(studio, "hers", AOI, SONG)
    withdrawal.request(studio, AOI, Actor("AOI hanamura <aoi@example.org>", "viewer"), keep_originals=True, now=NOW)
    (report,) = withdrawal.carry_out(studio, NOW)
    assert report.done and report.summary["kept"] == len(SONG)
    assert keys(studio) == {hers.keys[name] for name in SONG}
    with studio.database.session() as session:
        job = session.execute(select(Job)).scalar_one()
        assert job.status == "bad" and "its owner took the consent back" in str(job.error)
        assert batches.plan_batches(session) == []
        assert {item.kind for item in session.execute(select(VaultItem)).scalars()} == {"mix", "vocal"}
        assert not session.execute(select(Label)).all()
    assert not (studio.settings.inbox / "hers").exists() and not (studio.settings.home_path / "results/hers").exists()
    # Asked for again without keeping them, they go, too.
    withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True]
    assert keys(studio) == set()
    assert mentions(studio, hers.words | HERS) == []


def test_a_request_may_be_widened_before_it_is_carried_out(studio: Studio) -> None:
    give(studio, "hers", AOI, SONG)
    first = withdrawal.request(studio, AOI, OPERATOR, keep_originals=True, now=NOW)
    later = give(studio, "later", AOI, CLIP)
    second = withdrawal.request(studio, AOI, OPERATOR, keep_originals=False, now=NOW + timedelta(hours=2))
    assert second.id == first.id and not second.keep_originals
    assert second.due_at == first.due_at, "asking again is no respite"
    third = withdrawal.request(studio, AOI, OPERATOR, keep_originals=True, now=NOW)
    assert not third.keep_originals, "keeping is not chosen by accident"
    assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True]
    assert keys(studio) == set() and mentions(studio, later.words | HERS) == []


def test_what_is_given_after_a_withdrawal_is_given_anew(studio: Studio) -> None:
    give(studio, "hers", AOI, SONG)
    withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    anew = give(studio, "anew", AOI, SONG)
    assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True]
    with studio.database.session() as session:
        assert set(session.execute(consents.trainable_jobs()).scalars()) == {anew.job_id}
        assert [job.name for job in session.execute(select(Job)).scalars()] == ["anew"]
    assert all(studio.objects.exists(key) for key in anew.keys.values() if key != anew.keys["former plan"])
    assert (studio.settings.inbox / "anew").is_dir() and (studio.settings.home_path / "results/anew").is_dir()
    assert not mentions(studio, {"hers "}) and not (studio.settings.inbox / "hers").exists()


def test_a_legal_hold_outlives_a_withdrawal(any_studio: Studio) -> None:
    studio = any_studio
    hers = give(studio, "hers", AOI, SONG)
    item = item_of(studio, hers, "vocal")
    with studio.database.session() as session:
        vault.hold(session, item.id, ADMINISTRATOR, "case 7")
    withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    (report,) = withdrawal.carry_out(studio, NOW)
    assert report.done and report.summary["held"] == [item.id]
    key = hers.keys["vocal-aoi.wav"]
    assert keys(studio) - {key} == set() and studio.objects.get(key) == SONG["vocal-aoi.wav"]
    assert mentions(studio, {AOI, "Aoi Hanamura", "hers", "vocal-aoi"}) == [], "held without a name"
    assert retention.expire(studio, NOW + timedelta(days=900)).held == (item.id,)
    assert studio.objects.exists(key)
    with studio.database.session() as session:
        vault.release(session, item.id, ADMINISTRATOR)
    assert [e.item_id for e in retention.expire(studio, NOW + timedelta(hours=1)).expired] == [item.id]
    assert keys(studio) == set()
    assert mentions(studio, hers.words | HERS) == []


def test_one_object_held_for_two_who_withdrew(studio: Studio) -> None:
    both = [give(studio, "hers", AOI, SONG), give(studio, "his", REN, SONG)]
    with studio.database.session() as session:
        for given, case in zip(both, ("case 7", "case 8"), strict=True):
            query = select(VaultItem.id).where(VaultItem.job_id == given.job_id, VaultItem.kind == "mix")
            vault.hold(session, session.execute(query).scalar_one(), ADMINISTRATOR, case)
    for given in both:
        withdrawal.request(studio, given.owner, OPERATOR, now=NOW)
    assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True, True]
    with studio.database.session() as session:
        held = session.execute(select(VaultItem)).scalar_one()
        assert held.legal_hold and held.hold_reason == "case 7; case 8"
    assert keys(studio) == {both[0].keys["mix-aoi-demo.wav"]}


def test_anothers_hold_keeps_the_content(studio: Studio) -> None:
    hers, his = give(studio, "hers", AOI, SONG), give(studio, "his", REN, SONG)
    with studio.database.session() as session:
        query = select(VaultItem.id).where(VaultItem.job_id == his.job_id, VaultItem.kind == "mix")
        vault.hold(session, session.execute(query).scalar_one(), ADMINISTRATOR, "case 8")
    for owner in (AOI, REN):
        withdrawal.request(studio, owner, OPERATOR, now=NOW)
        assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True]
    assert keys(studio) == {hers.keys["mix-aoi-demo.wav"]}


PLACES = {
    "before the first deletion": "before pipelines.models.snapshots:erase",
    "after the snapshots": "after pipelines.models.snapshots:erase",
    "after the folders": "before pipelines.storage.storage_use:remove",
    "amid the objects": "amid pipelines.storage.storage_use:remove",
    "after the objects": "after pipelines.storage.storage_use:remove",
    "before the rows are committed": "after pipelines.storage.withdrawals:erase",
    "before the last look": "before pipelines.governance.withdrawal:_left",
    "before it is written down": "before pipelines.governance.withdrawal:_complete",
}


def next_run(studio: Studio) -> list[withdrawal.Report]:
    """As soon as the server has noticed that the killed one is gone: until then its lock stands."""
    end = time.monotonic() + 10
    while not (reports := withdrawal.carry_out(studio, NOW + timedelta(minutes=1))):
        assert time.monotonic() < end, "the killed one still holds its lock"
        time.sleep(0.05)
    return reports


@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_the_next_run_completes(any_studio: Studio, place: str) -> None:
    studio = any_studio
    other = give(studio, "rens-piece", REN, {"mix-ren.wav": b"another song" * 70, "vocal-x.wav": SONG["vocal-aoi.wav"]})
    before = keys(studio)
    hers = give(studio, "hers", AOI, SONG)
    common = snapshot(studio, hers, other)
    withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    kill_at(studio, "withdrawal", NOW, PLACES[place])
    with studio.database.session() as session:
        assert session.execute(select(Withdrawal.completed_at)).scalar_one() is None, "not done, and not said to be"
        assert set(session.execute(consents.trainable_jobs()).scalars()) == {other.job_id}
    (report,) = next_run(studio)
    assert report.done
    assert mentions(studio, (hers.words - other.words) | {AOI, "Aoi Hanamura"}) == []
    assert keys(studio) == before
    with studio.database.session() as session:
        assert session.get_one(TrainingSnapshot, common).erased_at is not None
        summary = session.execute(select(Withdrawal.report)).scalar_one()
        assert summary["rows"]["jobs"] == 1 and summary["snapshots"] == [common], "as it was before the first run"
        assert audit.verify(session).ok


def test_a_killed_put_and_a_copy_without_its_object_go_too(any_studio: Studio) -> None:
    studio = any_studio
    hers = give(studio, "hers", AOI, SONG)
    key = hers.keys["vocal-aoi.wav"]
    place = studio.objects.folder / key
    place.parent.mkdir(parents=True, exist_ok=True)
    for part in (place.with_name(f"{place.name}#1"), place.with_name(f".{place.name}.0123")):
        part.write_bytes(b"her voi")
    if studio.objects.remote:
        studio.objects.local(key)
        storage_use.remove(studio.objects, [storage_use.Stored(key, 1, NOW)])
        place.write_bytes(SONG["vocal-aoi.wav"])
    withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True]
    assert mentions(studio, hers.words | {"her voi"}) == []


def test_what_a_killed_run_was_making_goes_too(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder does not tell whose it is; that nobody has it any more does."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    give(studio, "aoi-first", AOI, SONG)
    left = tmp_path / f"{work_folders.PREFIX}left"
    left.mkdir()
    (left / "again.wav").write_bytes(SONG["vocal-aoi.wav"])
    for path in (left / "again.wav", left):
        os.utime(path, (1, 1))
    with work_folders.opened() as living:
        os.utime(living, (1, 1))
        withdrawal.request(studio, AOI, OPERATOR)
        assert [report.done for report in withdrawal.carry_out(studio)] == [True]
        assert (left.exists(), living.exists()) == (False, True)


def test_a_running_batch_is_waited_for_but_not_for_ever(studio: Studio) -> None:
    hers = give(studio, "hers", AOI, SONG)
    with studio.database.session() as session:
        row = session.execute(select(BatchRow)).scalar_one()
        batches.mark_requested(session, row.key, NOW)
    asked = withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    (report,) = withdrawal.carry_out(studio, NOW)
    assert not report.done and f"waits for batch {row.key}" in str(report.waiting)
    assert not any(studio.objects.exists(key) for key in hers.keys.values()), "what is known goes at once"
    # The batch, late, writes what it had begun.
    digest = hers.keys["vocal-aoi.wav"].split("/")[-1][:64]
    studio.cache.get_or_put("music", "1.x", digest, {}, lambda: b"late", ".safetensors")
    studio.cache.get_or_put("shared", "1.x", "f" * 64, {}, lambda: b"late, of nobody", ".safetensors")
    (report,) = withdrawal.carry_out(studio, NOW + timedelta(hours=17))
    assert not report.done and not report.overdue
    (report,) = withdrawal.carry_out(studio, asked.due_at - timedelta(hours=1))
    assert report.done
    assert keys(studio) == set() and mentions(studio, hers.words | HERS) == []


def test_a_store_that_is_away_is_said_and_tried_again(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    hers = give(studio, "hers", AOI, SONG)
    asked = withdrawal.request(studio, AOI, OPERATOR, now=NOW)

    def away(*_: object) -> None:
        raise Unavailable("s3://studio", "could not be reached", 10)

    with monkeypatch.context() as patch:
        patch.setattr(storage_use, "remove", away)
        (report,) = withdrawal.carry_out(studio, asked.due_at + timedelta(hours=1))
        assert not report.done and report.overdue and "could not be reached" in str(report.waiting)
    assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True]
    assert mentions(studio, hers.words | HERS) == []


def test_a_folder_that_is_anothers_now_stays(any_studio: Studio) -> None:
    studio = any_studio
    hers = give(studio, "song", AOI, SONG)
    (studio.settings.inbox / "song").rename(studio.settings.home_path / "aside")
    folder = results.folder_of(studio.settings, "song")
    if not studio.objects.remote:
        folder.rename(studio.settings.home_path / "aside-results")
    his = give(studio, "song", REN, {"mix-ren.wav": b"another song" * 70})
    if not studio.objects.remote:
        (folder / "media" / "vocal-aoi.wav").symlink_to(studio.objects.local(hers.keys["vocal-aoi.wav"]))
    assert results.listed_of(studio.settings, studio.objects, "song")
    withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    for left in ("aside", "aside-results"):
        shutil.rmtree(studio.settings.home_path / left, ignore_errors=True)
    assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True]
    assert (studio.settings.inbox / "song" / "mix-ren.wav").is_file()
    assert inbox_row(studio, "song") is not None
    assert not folder.exists(), "hers lay in it"
    assert results.listed_of(studio.settings, studio.objects, "song") == []
    with studio.database.session() as session:
        (again,) = batches.listed(session, "planned")
        assert again.job_ids == (his.job_id,), "it is published again"
    assert mentions(studio, (hers.words - his.words) | HERS) == []


def lay(studio: Studio, name: str, owner: str, *, complete: bool) -> Path:
    """A folder in the inbox that no scan has seen."""
    folder = studio.settings.inbox / name
    folder.mkdir(parents=True)
    (folder / "job.yaml").write_text(f"owner: {owner}\nfiles: [{{file: mix.wav, kind: mix}}]\n")
    (folder / "mix.wav").write_bytes(b"a song by A.H.")
    if complete:
        (folder / "_COMPLETE").touch()
    return folder


def test_a_folder_that_was_never_taken_goes_too(studio: Studio) -> None:
    half, whole, changed = "half-read", "whole", "changed"
    give(studio, changed, REN, {"mix-r.wav": b"r" * 90}, settle=False)
    shutil.rmtree(studio.settings.inbox / changed)
    laid = [lay(studio, name, AOI, complete=name != half) for name in (half, whole, changed)]
    key = studio.objects.put_file(laid[0] / "mix.wav")
    with studio.database.session() as session:  # as a scan leaves it whose time was up
        jobs.save_folder(session, half, None, {"mix.wav": {"stamp": "1", "kind": "mix", "hash": "", "key": key}})
    his = lay(studio, "his", REN, complete=True)
    with pytest.raises(BadInput, match="gave nothing that is here"):
        withdrawal.request(studio, "somebody", OPERATOR)
    assert {p.split("/")[1] for p, _ in withdrawal.foresee(studio, AOI).files} == {half, whole, changed}
    asked = withdrawal.request(studio, AOI, OPERATOR)
    assert {p.split("/")[1] for p, _ in withdrawal.plan(studio, asked).files} == {half, whole, changed}
    scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)
    with studio.database.session() as session:
        assert jobs.latest(session, whole) is None, "no scan takes it any more"
    assert [r.done for r in withdrawal.carry_out(studio)] == [True]
    assert not any(folder.exists() for folder in laid) and his.is_dir()
    assert not studio.objects.exists(key)
    assert mentions(studio, {"Aoi Hanamura", "aoi@example.org", half, whole}) == []


def test_what_is_completed_again_is_given_anew(studio: Studio) -> None:
    folder, left = lay(studio, "again", AOI, complete=True), lay(studio, "left", AOI, complete=True)
    withdrawal.request(studio, AOI, OPERATOR)
    (folder / "_COMPLETE").touch()
    assert [r.done for r in withdrawal.carry_out(studio)] == [True]
    assert (folder / "mix.wav").is_file() and not left.exists()


def test_originals_that_stay_stay_in_the_inbox_when_no_job_has_them(studio: Studio) -> None:
    folder = lay(studio, "whole", AOI, complete=True)
    withdrawal.request(studio, AOI, OPERATOR, keep_originals=True)
    assert [r.done for r in withdrawal.carry_out(studio)] == [True]
    assert (folder / "mix.wav").is_file() and not (folder / "_COMPLETE").exists()


def test_who_may_ask(studio: Studio) -> None:
    give(studio, "hers", AOI, SONG)
    with pytest.raises(BadInput, match="is an editor, and this needs an operator"):
        withdrawal.request(studio, AOI, Actor(REN, "editor"))
    withdrawal.request(studio, AOI, Actor(AOI.upper(), "viewer"))


def test_what_a_person_signed_for_others_stays_without_the_name(studio: Studio) -> None:
    his = give(studio, "his", REN, SONG)
    give(studio, "hers", AOI, CLIP)
    with studio.database.session() as session:
        for label in session.execute(select(Label).where(Label.job_id == his.job_id)).scalars():
            label.author = AOI
    withdrawal.request(studio, AOI, OPERATOR)
    assert [r.done for r in withdrawal.carry_out(studio)] == [True]
    with studio.database.session() as session:
        authors = set(session.execute(select(Label.author)).scalars())
    assert authors == {pseudonym(AOI)}
    assert mentions(studio, {AOI}) == []


def test_an_upload_taken_in_while_its_content_was_deleted_is_read_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The intake finds the content stored, the deletion takes it, the intake writes its row."""
    give(studio, "hers", AOI, SONG)
    withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    real = storage_use.remove

    def between(*args: object) -> None:
        monkeypatch.setattr(storage_use, "remove", real)
        give(studio, "his", REN, SONG, cached=False)
        real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(storage_use, "remove", between)
    assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True]
    row = inbox_row(studio, "his")
    assert row is not None and row.fingerprint is None and row.files == {}


def test_a_second_run_at_the_same_time_leaves_it_to_the_first(studio: Studio) -> None:
    give(studio, "hers", AOI, SONG)
    withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    with studio.database.session() as session:
        assert withdrawals.lock(session)
        assert withdrawal.carry_out(studio, NOW) == []
    assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True]


def test_asked_again_while_it_is_carried_out(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    give(studio, "hers", AOI, SONG)
    withdrawal.request(studio, AOI, OPERATOR, keep_originals=True, now=NOW)
    real = traces.clear

    def meanwhile(*args: object, **keywords: object) -> None:
        monkeypatch.setattr(traces, "clear", real)
        withdrawal.request(studio, AOI, OPERATOR, now=NOW)
        real(*args, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(traces, "clear", meanwhile)
    (report,) = withdrawal.carry_out(studio, NOW)
    assert not report.done and "was asked for again" in str(report.waiting)
    assert [r.done for r in withdrawal.carry_out(studio, NOW)] == [True]
    assert keys(studio) == set()


def test_the_inbox_takes_the_same_again_as_new(studio: Studio) -> None:
    hers = give(studio, "hers", AOI, SONG)
    withdrawal.request(studio, AOI, OPERATOR, now=NOW)
    withdrawal.carry_out(studio, NOW)
    report = scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)
    assert report.summary() == "the inbox is empty"
    again = give(studio, "hers", AOI, SONG)
    with studio.database.session() as session:
        assert again.job_id != hers.job_id
        assert set(session.execute(consents.trainable_jobs()).scalars()) == {again.job_id}
        assert session.execute(select(Consent.withdrawn_at)).scalar_one() is None
