"""Presets as data, and the rule that suggests one."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipelines.audio.features import extract, vectorize
from pipelines.errors import BadInput
from pipelines.mastering import presets
from pipelines.media.audio import decode
from tests.audio.generated import drums

FILE = Path(presets.__file__).with_name("presets.yaml")


def test_there_are_at_least_eight_each_with_its_intent_in_a_sentence() -> None:
    assert len(presets.names()) >= 8
    assert presets.DEFAULT in presets.names()
    intents = {presets.get(name).intent for name in presets.names()}
    assert len(intents) == len(presets.names())
    assert all(text[0].isupper() and text.endswith(".") for text in intents)


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_promises_what_can_be_kept(name: str) -> None:
    preset = presets.get(name)
    assert preset.name == name
    assert -24 <= preset.target_lufs <= -8
    assert preset.ceiling_dbtp <= -1
    assert pickle.loads(pickle.dumps(preset)) == preset  # workers are sent it


def test_an_unknown_name_is_told_the_choices() -> None:
    with pytest.raises(BadInput, match=r"preset 'louder': is not known; choose one of streaming, loud"):
        presets.get("louder")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p: p.pop("intent"), "intent is missing"),
        (lambda p: p.update(target_lufs="loud"), "target_lufs is 'loud'; give a number from -40 to -5"),
        (lambda p: p.update(ceiling_dbtp=3), "ceiling_dbtp is 3"),
        (lambda p: p.update(colour="blue"), "colour is unknown"),
        (lambda p: p["tone"].update(strength=float("nan")), "strength is nan"),
        (lambda p: p["compressor"].pop("ratio"), "ratio is missing"),
        (lambda p: p.update(limiter=5), "is not a mapping"),
        (lambda p: p.update(intent=" "), "has no intent"),
        (lambda p: p.update(suits={"low": [1]}), r"suits low is not \[centre, spread\]"),
        (lambda p: p.update(suits={"low": [1, 0]}), "spread of 0"),
        (lambda p: p.update(suits={"mood": [1, 2]}), "mood is unknown"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: object, told: str) -> None:
    entry = yaml.safe_load(FILE.read_text())["streaming"]
    change(entry)  # type: ignore[operator]
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"mine": entry}))
    with pytest.raises(BadInput, match=f"own.yaml: mine: .*{told}"):
        presets.load(path)


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "\x00"])
def test_a_file_that_is_no_list_of_presets(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"own\.yaml"):
        presets.load(path)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("hungarian_dance_5.ogg", {"acoustic", "classical"}),  # an orchestra
        ("vibe_ace.ogg", {"bass", "club"}),  # electronic
        ("lets_go_fishin.ogg", {"streaming", "loud"}),  # a band with a singer
        ("big_buck_bunny_0_30.webm", {"classical", "acoustic"}),  # a film score
    ],
)
def test_what_is_suggested_for_real_music_is_what_an_engineer_might_take(file: str, expected: set[str]) -> None:
    name, confidence, reason = presets.suggest(extract(f"sample/media/{file}"))
    assert name in expected
    assert 0.2 < confidence <= 1
    assert "dB" in reason


def test_silence_gets_the_default_without_confidence() -> None:
    name, confidence, reason = presets.suggest(vectorize(np.zeros((2, 48000), np.float32), 48000))
    assert (name, confidence) == (presets.DEFAULT, 0.0)
    assert "silent" in reason


def test_every_suggestion_has_a_sound_that_gets_it() -> None:
    """Tone and dynamics of one song, changed: the rule answers with most of what it knows."""
    from scipy.signal import butter, sosfilt

    audio = decode("sample/media/lets_go_fishin.ogg")
    rate = audio.sample_rate
    song = audio.samples[:, : 12 * rate]
    dull = sosfilt(butter(2, 2500, fs=rate, output="sos"), song)
    thin = sosfilt(butter(2, 400, "highpass", fs=rate, output="sos"), song)
    dense = np.tanh(4 * song) * 0.9
    boomy = song + 5 * sosfilt(butter(2, 100, fs=rate, output="sos"), song)
    found = {presets.suggest(vectorize(x.astype(np.float32), rate))[0] for x in (song, dull, thin, dense, boomy)}
    assert {"bright", "warm", "loud"} <= found
    assert len(found) >= 4


@pytest.mark.parametrize("rate", [4000, 8000, 192000])
def test_any_sample_rate_is_measured(rate: int) -> None:
    piece = drums(100, seconds=4, sample_rate=rate)
    features = vectorize(piece.samples, rate)
    assert all(np.isfinite(value) for value in presets.measure(features).values())
    assert presets.suggest(features)[0] in presets.suggestible()
