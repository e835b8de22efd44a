"""The presets of the master chain, kept as data in presets.yaml, and which of them a mix asks for, by rule.

What a preset does to the sound is chain.py's. A trained model (`preset_cls`) may take the rule's place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from pipelines.audio.features import AudioFeatures
from pipelines.audio.loudness import ABSOLUTE_GATE
from pipelines.audio.spectrum import N_MELS, mel_corners
from pipelines.errors import BadInput

_FILE = Path(__file__).with_name("presets.yaml")
DEFAULT = "streaming"
_LOW, _MID, _HIGH = (30.0, 200.0), (300.0, 3000.0), (6000.0, 14000.0)  # Hz

# What the rule looks at, and how it is told: a preset's `suits` names some of them.
MEASURES = {
    "low": "low end {:+.1f} dB against the mids",
    "high": "top end {:+.1f} dB against the mids",
    "lra": "loudness range {:.1f} LU",
    "plr": "peaks {:.1f} dB above the loudness",
    "flux": "attacks of {:.2f} (spread of the spectral flux)",
    "silence": "{:.0%} pauses",
    "side": "stereo sides {:+.1f} dB against the middle",
}


@dataclass(frozen=True, slots=True)
class Tone:
    """The balance wanted: each band's level per octave in dB against the mids (300 Hz to 3 kHz)."""

    low_db: float
    high_db: float
    low_hz: float  # corner of the low shelf
    high_hz: float
    strength: float  # 0..1, share of the way towards the wanted balance
    bound_db: float  # no shelf goes further


@dataclass(frozen=True, slots=True)
class Compressor:
    threshold_lu: float  # above the sound's integrated loudness
    ratio: float  # 1 leaves the dynamics alone
    knee_db: float
    attack_ms: float
    release_ms: float


@dataclass(frozen=True, slots=True)
class Limiter:
    lookahead_ms: float
    release_ms: float


@dataclass(frozen=True, slots=True)
class Preset:
    name: str
    title: str
    intent: str  # one sentence for the person who chooses
    target_lufs: float
    ceiling_dbtp: float
    tone: Tone
    compressor: Compressor
    limiter: Limiter
    suits: Mapping[str, tuple[float, float]]  # measure -> (centre, spread); empty: never suggested


_RANGES = {
    "target_lufs": (-40.0, -5.0),
    "ceiling_dbtp": (-10.0, 0.0),
    "low_db": (-30.0, 30.0),
    "high_db": (-60.0, 30.0),
    "low_hz": (40.0, 400.0),
    "high_hz": (2000.0, 14000.0),
    "strength": (0.0, 1.0),
    "bound_db": (0.0, 12.0),
    "threshold_lu": (-20.0, 20.0),
    "ratio": (1.0, 20.0),
    "knee_db": (0.0, 24.0),
    "attack_ms": (0.5, 200.0),
    "release_ms": (10.0, 2000.0),
    "lookahead_ms": (1.0, 20.0),
}


def get(name: str) -> Preset:
    """Raises BadInput, naming the choices, when there is no preset of that name."""
    try:
        return presets()[name]
    except KeyError:
        raise BadInput(f"preset {name!r}", "is not known", f"choose one of {', '.join(names())}") from None


def names() -> tuple[str, ...]:
    """In the order of the file; also the classes of the model that suggests one."""
    return tuple(presets())


def suggestible() -> tuple[str, ...]:
    """Those that the rule may choose."""
    return tuple(name for name, preset in presets().items() if preset.suits)


@cache
def presets() -> Mapping[str, Preset]:
    return MappingProxyType(load(_FILE))


def load(path: Path) -> dict[str, Preset]:
    """Presets of a file like presets.yaml. Raises BadInput for a field that is missing, unknown or out of range."""
    import yaml

    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(path, f"cannot be read as YAML ({type(error).__name__})", "correct the file") from error
    if not isinstance(entries, dict) or not entries:
        raise BadInput(path, "holds no presets", "give a mapping of names to presets")
    return {str(name): _preset(f"{path.name}: {name}", str(name), entry) for name, entry in entries.items()}


def suggest(features: AudioFeatures) -> tuple[str, float, str]:
    """(name, confidence 0..1, reason) of the preset whose kind of mix is nearest to what was measured.

    Each preset says in `suits` what its mixes measure, as centre and spread. Distances are mean squares of the
    deviations in spreads; the confidence is the nearest one's share of exp(-distance) over all, a rule's figure and no
    probability. Silence gets the default with confidence 0.
    """
    found = measure(features)
    if features.stats["lufs"] <= ABSOLUTE_GATE or not np.isfinite(features.stats["lufs"]):
        return DEFAULT, 0.0, "silent: there is nothing to go by"
    kinds = {name: preset.suits for name, preset in presets().items() if preset.suits}
    distance = {
        name: float(np.mean([((found[m] - centre) / spread) ** 2 for m, (centre, spread) in suits.items()]))
        for name, suits in kinds.items()
    }
    best = min(distance, key=distance.__getitem__)
    nearness = {name: float(np.exp(distance[best] - d)) for name, d in distance.items()}
    # Far from everything is no ground for confidence, however far the others are.
    confidence = float(np.exp(-distance[best] / 8) / sum(nearness.values()))
    told = sorted(kinds[best], key=lambda m: abs(found[m] - kinds[best][m][0]) / kinds[best][m][1])[:3]
    reason = ", ".join(MEASURES[m].format(found[m]) for m in told)
    return best, confidence, f"nearest to {get(best).title.lower()}: {reason}"


def measure(features: AudioFeatures) -> dict[str, float]:
    """The values of `MEASURES` for a feature vector of `pipelines.audio.features`."""
    value = dict(zip(features.names, features.vector.tolist(), strict=True))
    hz = mel_corners(int(features.stats["sample_rate"]))[1:-1]
    # The mel triangles have equal area, so their level is a density; times frequency it is a level per octave.
    level = np.array([value[f"mel_mean_{i:02d}"] for i in range(N_MELS)]) + 10 * np.log10(hz)

    def band(low: float, high: float) -> float | None:
        inside = (hz >= low) & (hz < high)
        return float(level[inside].mean()) if inside.any() else None

    mid = band(*_MID)
    low, high = band(*_LOW), band(*_HIGH)
    return {
        "low": 0.0 if low is None or mid is None else low - mid,
        "high": -30.0 if high is None or mid is None else high - mid,  # a low sample rate has no top end
        "lra": value["lra"],
        "plr": value["peak_to_loudness"],
        "flux": value["flux_std"],
        "silence": value["silence"],
        "side": value["side_level"],
    }


def _preset(what: str, name: str, entry: Any) -> Preset:
    wanted = {f.name for f in fields(Preset)} - {"name", "suits"}
    entry = _mapping(what, entry, wanted, optional={"suits"})
    for text in ("title", "intent"):
        if not isinstance(entry[text], str) or not entry[text].strip():
            raise BadInput(what, f"has no {text}", "give it in words")
    return Preset(
        name=name,
        title=entry["title"],
        intent=entry["intent"],
        target_lufs=_number(what, "target_lufs", entry["target_lufs"]),
        ceiling_dbtp=_number(what, "ceiling_dbtp", entry["ceiling_dbtp"]),
        tone=Tone(**_numbers(what, entry["tone"], Tone)),
        compressor=Compressor(**_numbers(what, entry["compressor"], Compressor)),
        limiter=Limiter(**_numbers(what, entry["limiter"], Limiter)),
        suits=_suits(what, entry.get("suits") or {}),
    )


def _suits(what: str, entry: Any) -> dict[str, tuple[float, float]]:
    entry = _mapping(what, entry, set(), optional=set(MEASURES))
    for measure_, pair in entry.items():
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, int | float) for x in pair)):
            raise BadInput(what, f"suits {measure_} is not [centre, spread]", "give two numbers")
        if pair[1] <= 0:
            raise BadInput(what, f"suits {measure_} has a spread of {pair[1]:g}", "give one above 0")
    return {m: (float(pair[0]), float(pair[1])) for m, pair in entry.items()}


def _numbers(what: str, entry: Any, kind: type) -> dict[str, float]:
    wanted = [f.name for f in fields(kind)]
    entry = _mapping(what, entry, set(wanted))
    return {key: _number(what, key, entry[key]) for key in wanted}


def _mapping(what: str, entry: Any, wanted: set[str], *, optional: set[str] | frozenset[str] = frozenset()) -> Any:
    if not isinstance(entry, dict):
        raise BadInput(what, "is not a mapping", "give fields and values")
    missing, unknown = wanted - set(entry), set(entry) - wanted - optional
    if missing or unknown:
        told = ", ".join([*(f"{x} is missing" for x in sorted(missing)), *(f"{x} is unknown" for x in sorted(unknown))])
        raise BadInput(what, told, "see the head of presets.yaml")
    return entry


def _number(what: str, key: str, value: Any) -> float:
    low, high = _RANGES[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadInput(what, f"{key} is {value!r}", f"give a number from {low:g} to {high:g}")
    return float(value)
