"""How each item of the generated corpus is made, as data: which passage of which music, with which changes.

An item's recipe depends on the seed and its own number only, so a corpus grows without changing. What is measured on
what a recipe makes is corpus.py's.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import BadInput
from pipelines.mastering.degrading import (
    Change,
    Clip,
    Cut,
    Dull,
    Equal,
    Gain,
    Noise,
    Pauses,
    Squeeze,
    Stretch,
    Swell,
    Width,
    to_json,
)
from pipelines.settings import PROJECT

VERSION = "2"  # raise it when the same seed draws other recipes

PASSAGE, LONGEST, GAP = 12.0, 20.0, 5.0  # s: least and most of a passage, least between two of one piece
MIX_SECONDS = (8.0, 9.0)
PAIR_SECONDS = (6.0, 9.0)
_APART = 0.35  # of the length, most that two stems of a pair are apart: of music that repeats, most must be in both
PAIR_EVERY = 3  # every third item is a pair of stems, the others are mixes


@dataclass(frozen=True, slots=True)
class Source:
    """A piece of music that may be used for this, and whose it is."""

    path: Path
    title: str
    author: str
    licence: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A passage of a source. Folds take passages for recordings: with four pieces, folds by piece would be too few.

    ``name`` is ``piece#1``, so `piece_of` gives the stricter grouping.
    """

    name: str
    path: Path
    content_hash: str  # of the source's file
    start: float  # s in the source
    seconds: float


@dataclass(frozen=True, slots=True)
class Mix:
    """A mix before mastering: ``character`` is how it was meant to sound, ``damage`` what then happened to it."""

    recording: Recording
    start: float  # s in the source
    seconds: float
    character: tuple[Change, ...]
    damage: tuple[Change, ...]

    @property
    def group(self) -> str:
        return self.recording.name


@dataclass(frozen=True, slots=True)
class Pair:
    """An instrumental and a vocal; vocal[t] lies at inst[t + lag_s], and nowhere when ``lag_s`` is None (unrelated).

    ``split`` is how two stems are made of one sound: copy (both are all of it), middle (the vocal range of what both
    channels share, against the rest) or bands (the vocal range against the rest). ``bleed_db`` is the level at which
    the vocal is heard in the instrumental.
    """

    inst: Recording
    vocal: Recording
    inst_start: float  # s in the source
    vocal_start: float
    seconds: float
    lag_s: float | None
    split: str
    bleed_db: float
    inst_changes: tuple[Change, ...]
    vocal_changes: tuple[Change, ...]
    group: str  # the couple of recordings that only meet each other, so that no fold divides one


Recipe = Mix | Pair


def sample_sources() -> list[Source]:
    """The sample library's pieces that are music and long enough; see sample/media/ATTRIBUTION.md."""
    by = "CC BY 3.0"
    pieces = (
        ("lets_go_fishin.ogg", "Let's Go Fishin'", "Karissa Hobbs", by),
        ("vibe_ace.ogg", "Vibe Ace", "Kevin MacLeod", by),
        ("hungarian_dance_5.ogg", "Hungarian Dance No. 5", "Brahms, United States Army Strings", "public domain"),
        ("big_buck_bunny_0_30.webm", "Big Buck Bunny", "(c) 2008 Blender Foundation", by),
    )
    folder = PROJECT / "sample" / "media"
    return [Source(folder / name, title, author, licence) for name, title, author, licence in pieces]


def recordings(sources: Sequence[Source]) -> list[Recording]:
    """The passages of 12 to 20 s, at least 5 s apart, that each source has room for.

    BadInput when a file is missing or has no sound, and when there is no source that is long enough.
    """
    from pipelines.media.hashing import content_hash
    from pipelines.media.probe import probe

    found = []
    for source in sources:
        sound = probe(source.path).audio
        if sound is None:
            raise BadInput(source.path, "has no sound", "give music as a source")
        digest = content_hash(source.path)
        n = int((sound.duration + GAP) / (PASSAGE + GAP))
        seconds = min(LONGEST, (sound.duration - GAP * (n - 1)) / n) if n else 0.0
        seconds = int(seconds * 10) / 10
        step = (sound.duration - seconds) / (n - 1) if n > 1 else 0.0
        found += [
            Recording(f"{source.path.stem}#{i + 1}", source.path, digest, round(i * step, 3), seconds) for i in range(n)
        ]
    if not found:
        raise BadInput("corpus", f"has no source of at least {PASSAGE:g} s", "give longer music")
    return found


def piece_of(recording: str) -> str:
    """The piece, or pieces, that a recording (or a couple of them) is from: the grouping by whole songs."""
    return "+".join(sorted({name.split("#")[0] for name in recording.split("+")}))


def draw(seed: int, index: int, found: Sequence[Recording]) -> Recipe:
    """The recipe of item ``index``."""
    rng = np.random.default_rng([seed, index])
    return _pair(rng, found) if index % PAIR_EVERY == PAIR_EVERY - 1 else _mix(rng, found)


def as_json(recipe: Recipe) -> dict[str, Any]:
    """Everything that decides the result, and no path."""
    data: dict[str, Any] = {"kind": "mix" if isinstance(recipe, Mix) else "pair", "version": VERSION}
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        if isinstance(value, Recording):
            value = {"name": value.name, "content_hash": value.content_hash, "source": piece_of(value.name)}
        elif isinstance(value, tuple):
            value = [to_json(change) for change in value]
        data[field.name] = value
    return data


def content_hash(recipe: Recipe) -> str:
    """sha256 of the recipe: what a content hash is for a file."""
    text = json.dumps(as_json(recipe), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def couples(found: Sequence[Recording]) -> list[tuple[Recording, ...]]:
    """The recordings two by two, of different pieces where there is another (the last three together when odd)."""
    n = len(found)
    pieces: dict[str, list[Recording]] = {}
    for recording in found:
        pieces.setdefault(recording.content_hash, []).append(recording)
    ordered = [r for _, piece in sorted(pieces.items(), key=lambda p: (-len(p[1]), p[1][0].name)) for r in piece]
    half = (n + 1) // 2
    made = [(ordered[i], ordered[i + half]) for i in range(n - half)]
    if n % 2 == 0:
        return [tuple(couple) for couple in made]
    rest = ordered[half - 1]
    return [*made[:-1], (*made[-1], rest)] if made else [(rest,)]


def _mix(rng: np.random.Generator, found: Sequence[Recording]) -> Mix:
    recording = found[int(rng.integers(len(found)))]
    seconds, start = _excerpt(rng, recording, MIX_SECONDS)
    character = _character(rng)
    damage: list[Change] = []
    if rng.random() < 0.15:
        damage.append(Clip(_db(rng, 0.5, 6)))
    if rng.random() < 0.4:
        damage.append(_noise(rng, 20, 60))
    if rng.random() < 0.2:
        damage.append(Dull(_hz(rng, 7000, 16_000)))
    if rng.random() < 0.25:
        length = round(float(rng.uniform(0.1, 0.8)), 3)
        damage.append(Cut(round(float(rng.uniform(0.5, seconds - 1.5)), 3), length))
    damage.append(Gain(_db(rng, -18, 3)))
    return Mix(recording, start, seconds, tuple(character), tuple(damage))


def _character(rng: np.random.Generator) -> list[Change]:
    """What tells one mix from another, drawn around one of the kinds of balance and dynamics that presets are for."""
    kind = ("plain", "thin", "dull", "heavy", "dense", "wide-ranging", "spoken")[int(rng.integers(7))]
    low = {"thin": (-20, -8), "spoken": (-20, -8), "heavy": (4, 12)}.get(kind, (-6, 6))
    high = {"thin": (0, 10), "dull": (-18, -6), "dense": (0, 8)}.get(kind, (-6, 6))
    changes: list[Change] = [
        Equal("low", _hz(rng, 120, 280), _db(rng, *low)),
        Equal("high", _hz(rng, 3000, 7000), _db(rng, *high)),
    ]
    if rng.random() < 0.4:
        changes.append(Equal("bell", _hz(rng, 250, 5000), _db(rng, -6, 6), round(float(rng.uniform(0.5, 2)), 2)))
    if kind == "dense" or rng.random() < 0.2:
        release = round(float(rng.uniform(0.05, 0.3)), 3)
        changes.append(Squeeze(_db(rng, -45, -20), round(float(rng.uniform(2, 10)), 2), release))
    if kind == "wide-ranging":
        changes.append(Swell(round(float(rng.uniform(6, 12)), 2), _db(rng, 6, 24)))
    if kind == "spoken":
        changes.append(Pauses(round(float(rng.uniform(1.5, 3)), 2), round(float(rng.uniform(0.12, 0.4)), 3)))
    if kind == "spoken" or rng.random() < 0.4:
        changes.append(Width(_db(rng, -60 if kind == "spoken" else -20, -30 if kind == "spoken" else 6)))
    return changes


def _pair(rng: np.random.Generator, found: Sequence[Recording]) -> Pair:
    known = couples(found)
    couple = known[rng.integers(len(known))]
    inst = couple[rng.integers(len(couple))]
    seconds, inst_start = _excerpt(rng, inst, PAIR_SECONDS)
    related = len(couple) == 1 or rng.random() < 0.7
    others = [r for r in couple if r is not inst]
    vocal = inst if related else others[rng.integers(len(others))]
    if related:
        first, last = vocal.start, vocal.start + vocal.seconds - seconds
        least, most = max(first, inst_start - _APART * seconds), min(last, inst_start + _APART * seconds)
        vocal_start = round(float(rng.uniform(least, most)), 4)
    else:
        _, vocal_start = _excerpt(rng, vocal, (seconds, seconds))
    lag = round(vocal_start - inst_start, 6) if related else None
    split = ("copy", "middle", "bands")[rng.integers(3)]
    vocal_changes: list[Change] = []
    if rng.random() < 0.3:
        vocal_changes.append(Stretch(round(float(rng.uniform(-120, 120)), 1)))
    if rng.random() < 0.4:
        vocal_changes += [Equal("high", _hz(rng, 2000, 6000), _db(rng, -12, 12)), Squeeze(_db(rng, -40, -20), 4.0)]
    if rng.random() < 0.7:
        vocal_changes.append(_noise(rng, -12, 40))
    if rng.random() < 0.3:
        vocal_changes.append(Cut(0.0, round(float(rng.uniform(0.5, 2.5)), 3)))
    inst_changes: list[Change] = [_noise(rng, -6, 40)] if rng.random() < 0.3 else []
    vocal_changes.append(Gain(_db(rng, -18, 3)))
    return Pair(
        inst=inst,
        vocal=vocal,
        inst_start=inst_start,
        vocal_start=vocal_start,
        seconds=seconds,
        lag_s=lag,
        split=split,
        bleed_db=_db(rng, -40, 0),
        inst_changes=tuple(inst_changes),
        vocal_changes=tuple(vocal_changes),
        group="+".join(sorted(r.name for r in couple)),
    )


def _excerpt(rng: np.random.Generator, recording: Recording, seconds: tuple[float, float]) -> tuple[float, float]:
    """(seconds, start in the source) of a stretch inside the recording."""
    length = round(float(rng.uniform(*seconds)), 2)
    return length, round(recording.start + float(rng.uniform(0, recording.seconds - length)), 4)


def _noise(rng: np.random.Generator, least: float, most: float) -> Noise:
    colour = ("white", "pink", "hum")[rng.integers(3)]
    return Noise(colour, _db(rng, least, most), int(rng.integers(2**31)))


def _db(rng: np.random.Generator, low: float, high: float) -> float:
    return round(float(rng.uniform(low, high)), 2)


def _hz(rng: np.random.Generator, low: float, high: float) -> float:
    """Even over the octaves."""
    return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))), 1)
