"""Mastering over a batch: real media, a real database, no Dagster. What a person finds, and what is learned from it."""

from __future__ import annotations

import json
import shutil
import time
import wave
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from pipelines import clock
from pipelines.audio.features import extract
from pipelines.intake import batches, scan
from pipelines.mastering import batch, findings, labelling, presets
from pipelines.mastering.suggesting import Advisor, Suggestion
from pipelines.media.audio import decode
from pipelines.settings import Settings
from pipelines.storage import flags, labels
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.storage.tables import FeatureRow, StorageUse, VaultItem
from pipelines.studio import Studio

MEDIA = Path(__file__).resolve().parents[2] / "sample" / "media"
MIX = "files:\n  - {file: hungarian_dance_5.ogg, kind: mix}\n"
STEMS = "files:\n  - {file: fishin_inst.m4a, kind: inst}\n  - {file: fishin_vocal.m4a, kind: vocal}\n"


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    return Studio(replace(settings, workers="1"), database, objects, Cache(objects))


def put(studio: Studio, name: str, text: str, consent: str = "") -> None:
    folder = studio.settings.inbox / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("hungarian_dance_5.ogg", "fishin_inst.m4a", "fishin_vocal.m4a", "vibe_ace.ogg"):
        if file in text:
            shutil.copy(MEDIA / file, folder)
    (folder / "job.yaml").write_text(f"owner: tester\n{consent}{text}")
    (folder / "_COMPLETE").touch()
    time.sleep(studio.settings.number("settle_seconds") * 2)
    report = scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)
    assert report.problems == []


def planned(studio: Studio) -> str:
    with studio.database.session() as session:
        (made,) = batches.plan_batches(session, datetime.now(UTC))
    return made.key


STEPS = (batch.align, batch.describe, batch.master, batch.preview, batch.draw, batch.label)


def test_a_mix_and_stems_become_masters_with_all_that_belongs_to_them(studio: Studio) -> None:
    put(studio, "dance", MIX + "master: {preset: classical}\n")
    put(studio, "song", STEMS)
    key = planned(studio)
    found = {step.__name__: step(studio, key) for step in STEPS}
    assert [r.error for results in found.values() for r in results] == [None] * 11
    (aligned,) = found["align"]
    assert aligned.produced is not None
    assert aligned.produced.summary["verdict"] == "ok"
    assert aligned.produced.summary["lag ms"] == pytest.approx(850, abs=1)
    for job, piece, wish in (("dance", "hungarian_dance_5", "classical"), ("song", "stems", None)):
        out = studio.settings.home_path / "results" / job
        facts = json.loads((out / f"{piece}.master.json").read_text())
        assert facts["preset"]["chosen_by"] == ("owner" if wish else "rule")
        assert facts["preset"]["name"] == (wish or facts["preset"]["name"])
        preset = presets.get(facts["preset"]["name"])
        measured = extract(out / f"{piece}.master.wav").stats
        assert measured["lufs"] == pytest.approx(preset.target_lufs, abs=0.2)
        assert measured["true_peak_dbtp"] <= preset.ceiling_dbtp
        assert 15 <= decode(out / f"{piece}.preview.m4a").duration <= 61
        peaks = json.loads((out / f"{piece}.peaks.json").read_text())
        assert peaks["version"] == 2
        assert len(peaks["data"]) == 2 * peaks["length"] * peaks["channels"]
        for picture in ("before-after", "waveform"):
            assert (out / f"{piece}.{picture}.png").read_bytes().startswith(b"\x89PNG")
    assert findings.promises_broken(studio, key) == []
    assert findings.apart(studio, key) == []
    with studio.database.session() as session:
        kinds = sorted(r.clip_kind for r in session.execute(select(FeatureRow)).scalars())
        assert kinds == ["inst", "mix", "mix", "vocal", "vocal"]  # the vocal's features, and the evidence of its place
        assert {(row.task, row.y_cls is None) for row in labels.of_task(session, "master_reg")} == {
            ("master_reg", True)
        }
        said = {row.y_cls: row.quality for row in labels.of_task(session, "preset_cls")}
        assert said["classical"] == "human"
        vault = sorted(item.kind for item in session.execute(select(VaultItem)).scalars())
        assert vault == ["inst", "master", "master", "mix", "preview", "preview", "vocal"]


def test_the_same_again_computes_nothing(studio: Studio) -> None:
    put(studio, "dance", MIX)
    key = planned(studio)
    first = [r for step in STEPS for r in step(studio, key)]
    studio = replace(studio, cache=Cache(studio.objects))
    again = [r for step in STEPS for r in step(studio, key)]
    assert not any(r.produced.stored for r in first if r.produced)
    assert all(r.produced.stored for r in again if r.produced)


def test_stems_of_different_songs_are_not_mixed_and_stop_nobody(studio: Studio) -> None:
    put(studio, "dance", MIX)
    put(studio, "odd", STEMS.replace("fishin_vocal.m4a", "vibe_ace.ogg"))
    key = planned(studio)
    results = {step.__name__: step(studio, key) for step in STEPS}
    (problem,) = findings.apart(studio, key)
    assert problem.startswith("odd/stems: fail: ")
    (failed,) = [r.error for r in results["describe"] if r.error]
    assert failed.startswith("stems: cannot be mixed: ")
    assert failed.endswith("give stems of one recording")
    (master,) = results["master"]
    assert master.item.name == "dance/hungarian_dance_5"
    assert findings.failures(studio, key, "mastering_features") == [failed]


def test_a_person_corrects_the_preset_and_the_next_run_follows(studio: Studio) -> None:
    put(studio, "dance", MIX)
    key = planned(studio)
    for step in STEPS:
        step(studio, key)
    with studio.database.session() as session:
        (row,) = labels.of_task(session, "preset_cls")
        wanted = "broadcast" if row.y_cls != "broadcast" else "warm"
        labels.correct(session, row.id, labelling.checked("preset_cls", wanted), "tester")
    for step in STEPS:
        step(studio, key)
    facts = json.loads((studio.settings.home_path / "results/dance/hungarian_dance_5.master.json").read_text())
    assert (facts["preset"]["name"], facts["preset"]["chosen_by"]) == (wanted, "label")
    with studio.database.session() as session:
        (row,) = labels.of_task(session, "preset_cls")
        assert (row.y_cls, row.quality) == (wanted, "human")


def test_switched_off(studio: Studio) -> None:
    put(studio, "song", STEMS)
    key = planned(studio)
    with studio.database.session() as session:
        flags.switch(session, "enable_align", False, by="test")
        flags.switch(session, "enable_hq_master", False, by="test")
    (aligned,) = batch.align(studio, key)
    assert aligned.produced is not None
    assert aligned.produced.summary["verdict"] == "not asked"
    (described,) = batch.describe(studio, key)
    assert described.error is None
    assert batch.master(studio, key) == []
    assert batch.preview(studio, key) == []


def test_alike_pieces_of_two_people_are_each_their_own(studio: Studio) -> None:
    put(studio, "one", MIX)
    put(studio, "two", MIX)
    key = planned(studio)
    for step in STEPS:
        assert [r.error for r in step(studio, key)] in ([None, None], [])
    for job in ("one", "two"):
        assert (studio.settings.home_path / "results" / job / "hungarian_dance_5.master.wav").is_file()
    with studio.database.session() as session:
        rows = session.execute(select(FeatureRow)).scalars().all()
        assert len({r.job_id for r in rows}) == 2
        np.testing.assert_array_equal(rows[0].vec, rows[1].vec)


def test_a_silent_stem_is_told_by_its_owners_name_for_it(studio: Studio) -> None:
    """Two people gave the same bad stems under other names: neither reads the other's."""
    for job, word in (("one", "alice"), ("two", "bob")):
        folder = studio.settings.inbox / job
        folder.mkdir(parents=True)
        shutil.copy(MEDIA / "fishin_inst.m4a", folder)
        silent(folder / f"{word}.wav")
        (folder / "job.yaml").write_text(
            f"owner: {word}\nfiles: [{{file: fishin_inst.m4a, kind: inst}}, {{file: {word}.wav, kind: vocal}}]\n"
        )
        (folder / "_COMPLETE").touch()
    time.sleep(studio.settings.number("settle_seconds") * 2)
    scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)
    key = planned(studio)
    errors = sorted(r.error or "" for r in batch.align(studio, key))
    assert [e.split(":")[0] for e in errors] == ["alice.wav", "bob.wav"]


def silent(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22_050)
        file.writeframes(bytes(2 * 22_050 * 5))


def test_what_was_delivered_stays_whatever_a_model_says_later(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    put(studio, "dance", MIX)
    key = planned(studio)
    for step in STEPS:
        step(studio, key)
    out = studio.settings.home_path / "results/dance/hungarian_dance_5.master.json"
    before = json.loads(out.read_text())["preset"]["name"]
    other = "warm" if before != "warm" else "loud"
    monkeypatch.setattr(Advisor, "preset", lambda self, user, heard: Suggestion(other, 0.9, "v20270101", "a model"))
    for step in STEPS:
        step(studio, key)
    assert json.loads(out.read_text())["preset"]["name"] == before


def test_when_room_is_short_nothing_is_made_that_can_be_made_again(studio: Studio) -> None:
    put(studio, "dance", MIX)
    key = planned(studio)
    with studio.database.session() as session:
        session.add(StorageUse(used=91, budget=100, level=90, at=clock.now()))
    found = {step.__name__: step(studio, key) for step in STEPS}
    assert (found["preview"], found["draw"]) == ([], [])
    assert [r.error for r in found["master"]] == [None]
    assert sorted(p.name for p in (studio.settings.home_path / "results/dance").iterdir()) == [
        "hungarian_dance_5.master.json",
        "hungarian_dance_5.master.wav",
    ]
