"""Outlines: audiowaveform's JSON as its definition has it, and a picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.errors import BadInput
from pipelines.mastering.waveform import peaks, picture
from tests.media import soundfiles


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(1, 70_000), size=st.integers(2, 5000), bits=st.sampled_from([8, 16]), split=st.booleans())
def test_lows_and_highs_of_every_pixel(tmp_path: Path, n: int, size: int, bits: int, split: bool) -> None:
    wave = np.random.default_rng(n).uniform(-1.1, 1.1, (2, n)).astype(np.float32)
    source = soundfiles.write(tmp_path / "s.wav", wave, 8000)
    found = peaks(source, samples_per_pixel=size, bits=bits, split_channels=split)
    channels = wave if split else wave.mean(axis=0, dtype=np.float32)[None, :]
    length = -(-n // size)
    assert {k: v for k, v in found.items() if k != "data"} == {
        "version": 2,
        "channels": len(channels),
        "sample_rate": 8000,
        "samples_per_pixel": size,
        "bits": bits,
        "length": length,
    }
    scale = 2 ** (bits - 1)
    expected = [
        np.clip(round(float(edge(channel[i * size : (i + 1) * size])) * scale), -scale, scale - 1)
        for i in range(length)
        for channel in channels
        for edge in (np.min, np.max)
    ]
    np.testing.assert_allclose(found["data"], expected, atol=1)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("arguments", "told"), [({"bits": 12}, "choose 8 or 16"), ({"samples_per_pixel": 1}, "at least 2")]
)
def test_other_wishes_are_refused(arguments: dict[str, int], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        peaks("sample/media/vibe_ace.ogg", **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_picture_of_any_sound(tmp_path: Path, channels: int) -> None:
    source = soundfiles.write(tmp_path / "s.wav", soundfiles.sine(2.0, channels=channels))
    png = picture(source)
    assert png.startswith(b"\x89PNG")
    assert png == picture(source)


@pytest.mark.parametrize("n", [1, 100])
def test_a_picture_of_hardly_anything(tmp_path: Path, n: int) -> None:
    assert picture(soundfiles.write(tmp_path / "s.wav", np.zeros((1, n), np.float32))).startswith(b"\x89PNG")
