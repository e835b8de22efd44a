"""What a mastering model is to answer, by rule: the chain's settings from what it did, the preset from what is heard.

Every number here is a pseudo-label: it says what our own chain and rules do, not what a person would. A person's
corrections are kept by storage/labels.py; what they weigh against these is said here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.features import AudioFeatures
from pipelines.audio.spectrum import N_MELS, mel_corners
from pipelines.errors import BadInput

VERSION = "1"  # raise it when the same sounds give other labels

TARGETS = ("low_shelf_db", "high_shelf_db", "comp_db", "target_lufs")
WEIGHTS = {"human": 3.0, "auto": 1.0, "low": 0.3}  # of a row in training, by its label's quality
RIGHT, WRONG = "right", "wrong"  # of a found lag
LAG_TOLERANCE = 0.005  # s within which a found lag is right

# Hz: where the shelves (corners at 90 to 140 and 6,000 to 8,000) have most of their gain, and between them.
_LOW, _MID, _HIGH = (0.0, 100.0), (400.0, 2500.0), (9000.0, 15_000.0)
_STILL, _CLEAR = 0.5, 6.0  # dB: a band that moves less is the spectrum's floor; what is to count lies so far above it
_SURE = 0.3  # confidence of the rule from which its preset counts in full; with nine presets chance is 0.11
_RANGES = {"low_shelf_db": (-24, 24), "high_shelf_db": (-24, 24), "comp_db": (-24, 24), "target_lufs": (-40, -5)}


def pseudo_labels(before: AudioFeatures, after: AudioFeatures) -> NDArray[np.float32]:
    """float32[4], as `TARGETS`: what the chain did, derived from its input and output, not read off its settings.

    low_shelf_db and high_shelf_db: how much the bands below 100 Hz and from 9 to 15 kHz rose against those from 400 to
    2,500 Hz, in dB (means of the log-mel bands; 0 where there is no sound in them). comp_db: how much nearer the true
    peak came to the integrated loudness, in dB. target_lufs: the output's integrated loudness. ValueError when the two
    differ in sample rate, since their bands would; BadInput when one of them is silent.
    """
    if before.stats["sample_rate"] != after.stats["sample_rate"]:
        raise ValueError("the chain's input and output have different sample rates")
    for features, name in ((before, "the chain's input"), (after, "the chain's output")):
        if not np.isfinite(features.stats["lufs"]):
            raise BadInput(name, "is silent, so that nothing can be learned from it", "leave it out")
    rise = after.vector[:N_MELS].astype(np.float64) - before.vector[:N_MELS]
    heard = _heard(before) & _heard(after)
    low, mid, high = (_band(rise, heard, before.stats["sample_rate"], band) for band in (_LOW, _MID, _HIGH))
    moved = [0.0 if side is None or mid is None else side - mid for side in (low, high)]
    room = [f.stats["true_peak_dbtp"] - f.stats["lufs"] for f in (before, after)]
    return np.array([*moved, room[0] - room[1], after.stats["lufs"]], np.float32)


def preset_label(features: AudioFeatures) -> tuple[str, str]:
    """(preset, quality): what the rule suggests, ``low`` where it is unsure, ``auto`` otherwise."""
    from pipelines.mastering import presets

    name, confidence, _ = presets.suggest(features)
    return name, "auto" if confidence >= _SURE else "low"


def lag_label(found_s: float, true_s: float | None) -> str:
    """Whether a found lag is right; ``true_s`` None: the two have nothing in common, so that none is."""
    return RIGHT if true_s is not None and abs(found_s - true_s) <= LAG_TOLERANCE else WRONG


def checked(task: str, answer: str | Sequence[float]) -> str | list[float]:
    """A person's answer in the form that storage keeps. BadInput for an unknown class, another number of targets or
    one outside what mastering can mean."""
    if task == "master_reg":
        if isinstance(answer, str) or len(answer) != len(TARGETS):
            raise BadInput(task, "is answered by four numbers", f"give {', '.join(TARGETS)}")
        for name, value in zip(TARGETS, answer, strict=True):
            low, high = _RANGES[name]
            if not low <= value <= high:
                raise BadInput(name, f"of {value:g} is outside {low} to {high}", "give a value within")
        return [float(value) for value in answer]
    known = classes(task)
    if not isinstance(answer, str) or answer not in known:
        raise BadInput(f"{answer!r}", f"is no answer for {task}", f"choose from {', '.join(known)}")
    return answer


def classes(task: str) -> tuple[str, ...]:
    """The answers that a classification knows; none for a regression. BadInput for an unknown task."""
    from pipelines.mastering import presets

    known: dict[str, Any] = {"preset_cls": presets.names, "align_conf": lambda: (RIGHT, WRONG), "master_reg": tuple}
    if task not in known:
        raise BadInput(repr(task), "is no task of mastering", f"choose from {', '.join(sorted(known))}")
    return tuple(known[task]())


def _heard(features: AudioFeatures) -> NDArray[np.bool_]:
    """[64] bands above the floor (80 dB below the loudest), whose rise or fall would show no gain."""
    level, spread = features.vector[:N_MELS], features.vector[N_MELS : 2 * N_MELS]
    floor = level[spread < _STILL].min(initial=np.inf)
    return np.asarray(level > floor + _CLEAR) if np.isfinite(floor) else np.ones(N_MELS, np.bool_)


def _band(
    rise: NDArray[np.float64], heard: NDArray[np.bool_], sample_rate: float, band: tuple[float, float]
) -> float | None:
    """Mean rise in dB of the mel bands centred within ``band``, or of the one nearest to its middle where there is none
    (low sample rates); None when nothing is heard there."""
    centres = mel_corners(round(sample_rate))[1:-1]
    inside = (centres >= band[0]) & (centres <= band[1])
    if not inside.any():
        inside = np.arange(len(centres)) == np.abs(centres - np.mean(band)).argmin()
    inside &= heard
    return float(rise[inside].mean()) if inside.any() else None
