"""What the rules call a sound: the chain's settings from its input and output, presets, lags, persons' answers."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.audio.features import vectorize
from pipelines.errors import BadInput
from pipelines.mastering import labelling, presets
from pipelines.mastering.degrading import Dull, Equal, Gain, Noise, Squeeze, apply
from pipelines.mastering.labelling import TARGETS, pseudo_labels

RATE = 44_100


def music(seconds: float = 6.0, seed: int = 0) -> np.ndarray:
    """[2, n] pink noise that comes and goes, so that its level moves as music's does."""
    n = round(seconds * RATE)
    rng = np.random.default_rng(seed)
    level = 0.05 + 0.2 * np.abs(np.sin(2 * np.pi * np.arange(n) / RATE * 1.5)) ** 4
    base = rng.standard_normal((2, n)).astype(np.float32) * 1e-4
    pink = Noise("pink", -60, seed).apply(base, RATE)
    return (pink / np.abs(pink).max() * level).astype(np.float32)


def labelled(*changes: Equal | Gain | Squeeze) -> dict[str, float]:
    before = music()
    after = apply(changes, before, RATE)
    return dict(zip(TARGETS, pseudo_labels(vectorize(before, RATE), vectorize(after, RATE)).tolist(), strict=True))


def test_nothing_done_is_nothing_but_the_loudness() -> None:
    found = labelled(Gain(-6))
    assert found["low_shelf_db"] == pytest.approx(0, abs=0.05)
    assert found["high_shelf_db"] == pytest.approx(0, abs=0.05)
    assert found["comp_db"] == pytest.approx(0, abs=0.05)
    assert found["target_lufs"] == pytest.approx(vectorize(music(), RATE).stats["lufs"] - 6, abs=0.02)


@pytest.mark.parametrize("db", [-4.0, 3.0])
@pytest.mark.parametrize(("shape", "hz", "target"), [("low", 120.0, TARGETS[0]), ("high", 6500.0, TARGETS[1])])
def test_a_shelf_is_read_off_the_sound(shape: str, hz: float, target: str, db: float) -> None:
    found = labelled(Equal(shape, hz, db), Gain(-3))
    assert found[target] == pytest.approx(db, rel=0.3)
    (other,) = {TARGETS[0], TARGETS[1]} - {target}
    assert abs(found[other]) < 0.3


def test_compression_is_what_the_peaks_lost_against_the_loudness() -> None:
    assert labelled(Squeeze(-45, 4.0))["comp_db"] > 1.0


def test_a_band_without_sound_tells_no_gain() -> None:
    before = apply([Dull(4000), Dull(4000)], music(), RATE)
    after = apply([Squeeze(-45, 8.0), Gain(9)], before, RATE)
    assert pseudo_labels(vectorize(before, RATE), vectorize(after, RATE))[1] == 0.0


def test_silence_is_refused_and_unlike_rates_are_a_mistake() -> None:
    loud, silent = vectorize(music(), RATE), vectorize(np.zeros((2, RATE), np.float32), RATE)
    with pytest.raises(BadInput, match="input: is silent"):
        pseudo_labels(silent, loud)
    with pytest.raises(ValueError, match="sample rates"):
        pseudo_labels(loud, vectorize(music(), 48_000))


def test_the_rules_preset_is_one_of_the_classes() -> None:
    name, quality = labelling.preset_label(vectorize(music(), RATE))
    assert name in labelling.classes("preset_cls") == presets.names()
    assert quality in labelling.WEIGHTS


def test_a_lag_is_right_within_five_milliseconds() -> None:
    assert labelling.lag_label(1.004, 1.0) == "right"
    assert labelling.lag_label(1.006, 1.0) == "wrong"
    assert labelling.lag_label(0.0, None) == "wrong"


@pytest.mark.parametrize(
    ("task", "answer", "words"),
    [
        ("preset_cls", "polka", "choose from streaming"),
        ("align_conf", "maybe", "right, wrong"),
        ("master_reg", [1.0, 2.0], "four numbers"),
        ("master_reg", [1.0, 2.0, 3.0, float("nan")], "outside"),
        ("master_reg", "loud", "four numbers"),
        ("mastering", "x", "no task"),
    ],
)
def test_an_answer_that_means_nothing_is_refused(task: str, answer: str | list[float], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        labelling.checked(task, answer)


def test_a_persons_answer_is_taken() -> None:
    assert labelling.checked("preset_cls", "loud") == "loud"
    assert labelling.checked("master_reg", [1, -2, 0.5, -14]) == [1.0, -2.0, 0.5, -14.0]
