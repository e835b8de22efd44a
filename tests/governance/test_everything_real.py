"""The proof over what the product itself writes: a job taken from the inbox, edited and mastered by the real steps, its
owner's withdrawal, and a look at every table, object and file."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, text

from pipelines.editing import batch as editing
from pipelines.governance import retention, withdrawal
from pipelines.governance.people import Actor
from pipelines.intake import batches, scan
from pipelines.mastering import batch as mastering
from pipelines.storage import storage_use
from pipelines.storage.tables import VaultItem
from pipelines.studio import Studio
from tests.governance.house import mentions

MEDIA = Path(__file__).resolve().parents[2] / "sample" / "media"
OWNER = "Aoi Hanamura <aoi@example.org>"
FILES = {
    "tune by Aoi.ogg": ("music", "vibe_ace.ogg"),
    "beach.mp4": ("clip", "big_buck_bunny_5s.mp4"),
    "mix by Aoi.m4a": ("mix", "fishin_inst.m4a"),
}


def take(studio: Studio, name: str, owner: str, files: dict[str, tuple[str, str]], words: str) -> None:
    folder = studio.settings.inbox / name
    folder.mkdir(parents=True)
    listed = ""
    for file, (kind, source) in files.items():
        shutil.copy(MEDIA / source, folder / file)
        listed += f"  - {{file: {file}, kind: {kind}}}\n"
    (folder / "words.lrc").write_text(words, encoding="utf-8")
    (folder / "job.yaml").write_text(
        f"owner: {owner}\nconsents: {{quality: true, training: true}}\nfiles:\n{listed}"
        "  - {file: words.lrc, kind: lyrics}\nedit: {duration: 2, patterns: [dynamic]}\nmaster: {preset: streaming}\n"
    )
    (folder / "_COMPLETE").touch()
    time.sleep(studio.settings.number("settle_seconds") * 2)
    report = scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)
    assert report.problems == []


def run(studio: Studio) -> str:
    with studio.database.session() as session:
        (made,) = batches.plan_batches(session)
        batches.mark_requested(session, made.key)
    for step in (
        *(editing.analyse_music, editing.analyse_clips, editing.analyse_lyrics, editing.share, editing.plan),
        *(editing.render, editing.judge),
        *(mastering.align, mastering.describe, mastering.master, mastering.preview, mastering.draw, mastering.label),
    ):
        assert [r.error for r in step(studio, made.key) if r.error] == []
    with studio.database.session() as session:
        batches.mark_finished(session, made.key)
    return made.key


@pytest.fixture
def worked(studio: Studio) -> Studio:
    studio = replace(studio, settings=replace(studio.settings, workers="1"))
    take(studio, "aoi-song", OWNER, FILES, "[00:00.10]春の小川は\n")
    run(studio)
    return studio


def traces_of(studio: Studio) -> set[str]:
    """Every hash in the store and the tables, every number of a vector, every word of the owner's."""
    hashes = {h for item in storage_use.stored(studio.objects) for h in item.hashes}
    with studio.database.session() as session:
        vectors = session.execute(text("select vec::text from features_store")).scalars().all()
        rows = session.execute(text("select t::text from jobs t union all select t::text from uploads t")).scalars()
        hashes |= {h for row in rows for h in storage_use.HASH.findall(row)}
    assert vectors and all(len(vector) > 200 for vector in vectors)
    numbers = {n for v in vectors for n in v.strip("{}").split(",") if len(n) >= 8}
    return hashes | numbers | {*FILES, "Aoi Hanamura", "by Aoi", "aoi-song", "aoi@example.org", "小川"}


def test_nothing_is_left_of_real_work(worked: Studio) -> None:
    studio = worked
    home = studio.settings.home_path
    words = traces_of(studio)
    kinds = {"/".join(i.key.split("/")[:2]) for i in storage_use.stored(studio.objects) if i.key[0] == "f"}
    assert kinds >= {
        *(f"features/{kind}" for kind in ("music", "video", "lyrics", "shared", "plan", "render", "quality")),
        *(f"features/{kind}" for kind in ("sound", "master", "preview", "peaks", "waveform")),
    }
    assert {p.name for p in home.iterdir()} >= {"inbox", "objects", "results", "segments"}
    with studio.database.session() as session:
        assert set(session.execute(select(VaultItem.kind)).scalars()) >= {"music", "clip", "mix", "master", "preview"}
    withdrawal.request(studio, OWNER, Actor(OWNER, "viewer"))
    (report,) = withdrawal.carry_out(studio)
    assert report.done
    assert mentions(studio, words) == []
    assert list(storage_use.stored(studio.objects)) == []
    left = [str(Path(f) / n) for f, _, names in os.walk(home) for n in names]
    assert left == [str(home / "inbox" / ".lock")]


def test_what_is_anothers_stays_and_a_master_goes_when_its_time_is_up(worked: Studio) -> None:
    studio = worked
    results = studio.settings.home_path / "results"
    before = {p for p in (results / "aoi-song").rglob("*") if p.is_file()}
    with studio.database.session() as session:
        master = session.execute(select(VaultItem).where(VaultItem.kind == "master")).scalar_one()
    assert master.expires_at is not None
    copies = {p for p in before if p.stat().st_size == master.size}
    report = retention.expire(studio, master.expires_at)
    assert [item.object_key for item in report.expired] == [master.object_key]
    assert before - {p for p in (results / "aoi-song").rglob("*") if p.is_file()} == copies, "the person's own file"
    assert len(copies) == 1 and not studio.objects.exists(master.object_key)

    # The same song and clip in another person's job: what is computed of them alone is not computed again.
    shared = {"their tune.ogg": FILES["tune by Aoi.ogg"], "their beach.mp4": FILES["beach.mp4"]}
    take(studio, "ren-song", "ren@example.org", shared, "[00:00.20]夏は来ぬ\n")
    key = run(studio)
    withdrawal.request(studio, OWNER, Actor(OWNER, "viewer"))
    (done,) = withdrawal.carry_out(studio)
    assert done.done and done.summary["shared"] > 2
    assert mentions(studio, {"Aoi Hanamura", "by Aoi", "aoi-song", "aoi@example.org", "小川"}) == []
    steps = (editing.analyse_music, editing.analyse_clips, editing.analyse_lyrics, editing.share, editing.plan)
    for step in (*steps, editing.render):
        assert all(r.produced is not None and r.produced.stored for r in step(studio, key)), step.__name__
    assert (results / "ren-song" / "dynamic.mp4").is_file() and (studio.settings.inbox / "ren-song").is_dir()
