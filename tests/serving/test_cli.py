"""The command line's contract: one JSON object on stdout, exit codes 0, 1, 2, one sentence for bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from serving.cli import main

PROJECT = Path(__file__).resolve().parents[2]
MEDIA = PROJECT / "sample" / "media"
SONG = MEDIA / "vibe_ace.ogg"
BUNNY = MEDIA / "big_buck_bunny_0_30.webm"
MEADOW = MEDIA / "big_buck_bunny_5s.mp4"

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the module's tests, so that each sample is analysed once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def orimono(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("ORIMONO_HOME", str(home))
    monkeypatch.setenv("ORIMONO_WORKERS", "1")

    def run(*arguments: object) -> tuple[int, dict[str, Any]]:
        code = main([*map(str, arguments), "--json"])
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return code, found

    return run


def test_features(orimono: Run) -> None:
    code, found = orimono("features", SONG)
    assert code == 0
    assert len(found["vector"]) == len(found["names"]) == found["n_dim"] >= 160
    assert found["loudness"]["integrated_lufs"] == pytest.approx(-17.25, abs=0.2)
    assert found["tempo"]["bpm"] == pytest.approx(129.6, abs=1)


def test_analyse_finds_the_hand_checked_cuts(orimono: Run) -> None:
    code, found = orimono("analyse", BUNNY)
    assert (code, found["fps"], found["frames"]) == (0, 24.0, 720)
    assert found["shot_boundaries"] == [283, 376, 551]
    assert found["histograms"]["shape"][0] > 0


def test_edit_without_rendering_writes_every_timeline(orimono: Run, tmp_path: Path) -> None:
    out = tmp_path / "出力 📼"
    code, found = orimono(
        "edit", "--music", SONG, "--video", BUNNY, MEADOW, "--duration", 8, "--no-render", "--out", out
    )
    assert code == 0
    assert set(found["patterns"]) == {"dynamic", "narrative", "hybrid"}
    expected = {f"{p}.{e}" for p in found["patterns"] for e in ("otio", "edl", "xml", "fcpxml", "json")}
    assert {p.name for p in out.iterdir()} == expected


def test_edit_renders_and_judges(orimono: Run, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_bytes("春の小川は さらさら行くよ\n岸のすみれや れんげの花に\n".encode("shift_jis"))
    code, _ = orimono(
        *("edit", "--music", SONG, "--video", BUNNY, "--video", MEADOW, "--lyrics", words),
        *("--duration", 6, "--patterns", "dynamic", "--fps", "29.97", "--out", tmp_path / "out"),
    )
    assert code == 0
    with av.open(str(tmp_path / "out" / "dynamic.mp4")) as file:
        assert file.streams.video[0].average_rate == Fraction(30000, 1001)
        assert sum(1 for _ in file.decode(video=0)) == round(6 * 30000 / 1001)
    quality = json.loads((tmp_path / "out" / "quality.json").read_text())["patterns"]["dynamic"]
    assert quality["gates"]["reproducible"]["passed"] is True
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def write_tone(path: Path, seconds: float) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=16000, layout="mono")
        tone = (8000 * np.sin(np.arange(int(16000 * seconds)) * 0.2)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate = 16000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def test_music_without_beats_still_makes_an_edit(orimono: Run, tmp_path: Path) -> None:
    tone = write_tone(tmp_path / "tone.wav", 8)
    code, found = orimono(
        *("edit", "--music", tone, "--video", BUNNY, MEADOW, "--patterns", "narrative", "--no-render"),
        *("--out", tmp_path / "out"),
    )
    assert code == 0
    assert json.loads((tmp_path / "out" / "narrative.json").read_text())["n_frames"] == 200
    assert found["notes"] == ["tone.wav: no steady beat was found, so cuts are spaced evenly"]


BAD = {
    "a song that is not there": ({"--music": "nothing.ogg"}, "nothing.ogg"),
    "text for music": ({"--music": PROJECT / "pyproject.toml"}, "pyproject.toml"),
    "a clip without pictures": ({"--video": SONG}, "vibe_ace.ogg"),
    "music without sound": ({"--music": MEDIA / "one-by-one-person-detection.mp4"}, "one-by-one-person-detection.mp4"),
    "an unknown pattern": ({"--patterns": "dynamic,cubist"}, "cubist"),
    "no pattern": ({"--patterns": ","}, "--patterns"),
    "a rate out of range": ({"--fps": "1000"}, "1000"),
    "a rate that no timeline knows": ({"--fps": "12.5"}, "12.5"),
    "a rate that is no number": ({"--fps": "film"}, "film"),
    "longer than the music": ({"--duration": 600}, "600"),
    "no duration": ({"--duration": -1}, "-1"),
    "a duration that is no number": ({"--duration": "nan"}, "nan"),
    "too few shots": ({"--video": MEADOW, "--duration": 40}, "clip"),
    "lyrics that are a picture": ({"--lyrics": MEADOW}, "big_buck_bunny_5s.mp4"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(case: str, orimono: Run, tmp_path: Path) -> None:
    changed, named = BAD[case]
    arguments: dict[str, object] = {"--music": SONG, "--video": BUNNY, "--duration": 8, "--out": tmp_path / "out"}
    code, found = orimono("edit", *(x for pair in (arguments | changed).items() for x in pair), "--no-render")
    assert code == 2, found
    message = found["error"]["message"]
    assert found["error"]["kind"] == "bad_input"
    assert named in message
    assert ";" in message  # reason; remedy
    assert "\n" not in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["taken", "taken/below"])
def test_a_file_where_the_results_should_lie_is_told_at_once(orimono: Run, tmp_path: Path, place: str) -> None:
    (tmp_path / "taken").write_text("mine")
    code, found = orimono("edit", "--music", "nothing.ogg", "--video", BUNNY, "--out", tmp_path / place)
    assert code == 2
    assert found["error"]["message"] == f"{tmp_path / 'taken'}: is a file; give another --out folder"


def test_a_port_that_is_none_is_bad_input(orimono: Run) -> None:
    code, found = orimono("up", "--port", 70_000)
    assert (code, found["error"]["kind"]) == (2, "bad_input")


def test_ingest_status_retry(orimono: Run, home: Path) -> None:
    code, found = orimono("ingest", PROJECT / "sample" / "jobs" / "daffodils")
    assert code == 0
    assert (home / "inbox" / "daffodils" / "job.yaml").exists()
    assert Path(found["inbox"]).parent == home / "inbox"
    code, found = orimono("ingest", PROJECT / "tests")
    assert code == 2
    assert "job.yaml" in found["error"]["message"]


def test_config_lists_every_setting_and_hides_secrets(orimono: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORIMONO_DATABASE_URL", "postgresql://me:geheim@db/orimono")
    code, found = orimono("config")
    assert code == 0
    assert "geheim" not in json.dumps(found)
    assert {"ORIMONO_HOME", "ORIMONO_DATABASE_URL", "ORIMONO_OBJECTS_URL"} <= {s["variable"] for s in found["settings"]}


def test_a_database_that_is_away_is_exit_code_1(orimono: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORIMONO_DATABASE_URL", "postgresql://me:geheim@127.0.0.1:9/orimono")
    code, found = orimono("status")
    assert (code, found["error"]["kind"]) == (1, "unavailable")
    assert "geheim" not in json.dumps(found)


def test_a_mistyped_setting_is_named(orimono: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORIMONO_HOEM", "/tmp")
    code, found = orimono("config")
    assert code == 2
    assert "ORIMONO_HOEM" in found["error"]["message"]


def test_the_command_starts_fast_and_says_how_it_is_used() -> None:
    code = "import sys; from serving.cli import parser; parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert not {"numpy", "dagster", "sqlalchemy", "av", "cv2"} & set(done.stdout.split())


def test_wrong_arguments_are_said_in_json_too() -> None:
    command = [sys.executable, "-m", "serving.cli", "features", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 2
    assert "file" in json.loads(done.stdout)["error"]["message"]
