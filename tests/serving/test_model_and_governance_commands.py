"""The commands of mastering, models and governance as a person or a program types them, in one home."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.intake import batches, scan
from pipelines.mastering import batch
from pipelines.settings import load
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio
from serving import cli

MEDIA = Path(__file__).resolve().parents[2] / "sample" / "media"


@pytest.fixture
def home(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "home"
    monkeypatch.setenv("ORIMONO_HOME", str(found))
    monkeypatch.setenv("ORIMONO_DATABASE_URL", database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("ORIMONO_SETTLE_SECONDS", "0.05")
    monkeypatch.setenv("ORIMONO_WORKERS", "1")
    return found


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main([*arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def mastered(home: Path, name: str = "dance", owner: str = "Yamada") -> None:
    """A mix that has been through the batch."""
    settings = load()
    objects = Objects.open(settings)
    studio = Studio(replace(settings), Database(settings), objects, Cache(objects))
    folder = settings.inbox / name
    folder.mkdir(parents=True)
    shutil.copy(MEDIA / "hungarian_dance_5.ogg", folder)
    (folder / "job.yaml").write_text(f"owner: {owner}\nfiles: [{{file: hungarian_dance_5.ogg, kind: mix}}]\n")
    (folder / "_COMPLETE").touch()
    time.sleep(0.2)
    assert scan.scan(settings.inbox, studio.database, objects, settings).new == [name]
    with studio.database.session() as session:
        (made,) = batches.plan_batches(session, datetime.now(UTC))
    for step in (batch.align, batch.describe, batch.master, batch.preview, batch.draw, batch.label):
        assert [r.error for r in step(studio, made.key) if r.error] == []
    with studio.database.session() as session:
        batches.mark_requested(session, made.key)
        batches.mark_finished(session, made.key)
    studio.database.dispose()


def test_master_and_align(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "m.flac"
    said = run(capsys, "master", str(MEDIA / "hungarian_dance_5.ogg"), "--out", str(out), "--preset", "classical")
    assert said["preset"] == "classical"
    assert said["after"]["lufs"] == pytest.approx(-20, abs=0.2)
    assert said["after"]["true_peak_dbtp"] <= said["ceiling_dbtp"]
    assert {Path(p).name for p in said["beside"].values()} == {
        "m.preview.m4a",
        "m.waveform.png",
        "m.peaks.json",
        "m.before-after.png",
    }
    assert all(Path(p).stat().st_size > 500 for p in said["beside"].values())
    stems = [str(MEDIA / "fishin_inst.m4a"), str(MEDIA / "fishin_vocal.m4a")]
    found = run(capsys, "align", *stems)
    assert found["lag_s"] == pytest.approx(0.85, abs=0.001)
    assert found["verdict"] == "ok"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["master", "nowhere.wav", "--out", "x.wav"], "nowhere.wav: is not a file; check the path"),
        (["master", "{song}", "--out", "/nowhere/x.wav"], "/nowhere: is not a folder"),
        (
            ["master", "{song}", "--out", "{out}/x.wav", "--preset", "shiny"],
            "is not known; choose one of",
        ),
        (["master", "{song}", "--out", "{out}/x.txt"], "x.txt"),
        (["align", "{song}", "{text}"], "README.md"),
        (["rollout", "preset_cls", "--promote"], "rollout: was not told why; give --reason"),
        (["rollout", "preset_cls", "--promote", "--reason", "x"], "preset_cls: has no version"),
        (["flag", "enable_magic", "on"], "enable_magic: is not a flag; choose from enable_cpu_ml"),
        (["withdraw", "nobody"], "nobody: gave nothing that is here"),
        (["access", "approve", "7"], "access request 7: does not exist"),
        (["label", "nothing", "--preset", "warm"], "nothing: has no labels yet"),
        (["audit", "verify", "--head", "x"], "'x': is no head of an audit trail"),
    ],
)
def test_bad_input_is_a_sentence(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    places = {"{song}": MEDIA / "hungarian_dance_5.ogg", "{out}": tmp_path, "{text}": MEDIA.parents[1] / "README.md"}
    for mark, place in places.items():
        arguments = [a.replace(mark, str(place)) for a in arguments]
    said = run(capsys, *arguments, code=2)
    assert message in said["error"]["message"]


def test_a_persons_data_from_vault_to_withdrawal(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mastered(home)
    items = run(capsys, "vault", "yamada")["items"]
    assert sorted(i["kind"] for i in items) == ["master", "mix", "preview"]
    mix = next(i["item"] for i in items if i["kind"] == "mix")
    asked = run(capsys, "access", "request", str(mix), "--reason", "a click at 0:12", "--as", "editor")["request"]
    assert run(capsys, "access", "list")["requests"][0]["reason"] == "a click at 0:12"
    alone = run(capsys, "access", "approve", str(asked), "--as", "Editor", code=2)
    assert "cannot decide on a request of their own" in alone["error"]["message"]
    run(capsys, "access", "approve", str(asked), "--as", "boss")
    opened = run(capsys, "access", "open", str(asked), "--as", "editor")
    assert opened["url"].startswith("file://")
    assert opened["seconds"] == 120

    assert run(capsys, "label", "dance", "--preset", "warm")["answer"] == "warm"
    given = run(capsys, "consents", "YAMADA", "--job", "dance", "--training", "yes")["consents"]
    assert [(g["job"], g["training"]) for g in given] == [("dance", True)]
    assert run(capsys, "retention", "--dry-run")["expired"] == 0

    plan = run(capsys, "withdraw", "Yamada", "--dry-run")["plan"]
    assert plan["rows"]["jobs"] == 1
    done = run(capsys, "withdraw", "Yamada", "--now")
    assert done["completed"], done
    assert run(capsys, "vault", "yamada")["items"] == []
    assert not (home / "inbox" / "dance").exists()
    assert not (home / "results" / "dance").exists()
    left = [p for p in home.rglob("*") if p.is_file() and b"amada" in p.read_bytes()]
    assert left == []
    verified = run(capsys, "audit", "verify")
    assert verified["ok"]
    assert run(capsys, "audit", "verify", "--head", verified["head"])["ok"]
    actions = [r["action"] for r in run(capsys, "audit", "show")["rows"]]
    assert actions[:2] == ["withdrawal.complete", "withdrawal.request"]
    assert {"access.open", "consent.set", "label_corrected"} <= set(actions)


def test_flags_and_models_where_there_are_none_yet(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert all(f["enabled"] for f in run(capsys, "flag")["flags"])
    after = run(capsys, "flag", "enable_align", "off", "--reason", "the studio sends aligned stems")["flags"]
    assert {f["name"]: f["enabled"] for f in after}["enable_align"] is False
    assert run(capsys, "models") == {"models": []}
    assert run(capsys, "rollout") == {"rollouts": {}}
