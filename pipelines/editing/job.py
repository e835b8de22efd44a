"""One editing job from files to finished edits, stage by stage, each stage stored by the content of what it read.

A stage asks the stage before it, which is answered from the cache when nothing it read has changed: a changed
lyric re-runs neither the audio nor the video analysis. The command line runs the stages in one go, Dagster's
assets one by one. The trades themselves live in audio/, video/, lyrics/ and the other modules here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.audio import analysis as audio
from pipelines.editing import shared as sharing
from pipelines.editing.plan import Edit, Source
from pipelines.errors import BadInput
from pipelines.lyrics import analysis as lyric
from pipelines.storage.cache import Cache
from pipelines.video import analysis as video

if TYPE_CHECKING:
    from pipelines.editing.quality import Quality

LANDSCAPE = (1280, 720)
FPS_RANGE = (Fraction(10), Fraction(120))


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file of the job: where its bytes lie, what they hash to, what its owner calls it."""

    path: Path
    content_hash: str
    name: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EditJob:
    """What a person gives. ``duration`` in s, None for the whole song; ``bpm`` if the person knows it."""

    music: MediaFile
    clips: tuple[MediaFile, ...]
    lyrics: MediaFile | None = None
    duration: float | None = None
    fps: Fraction = Fraction(25)
    patterns: tuple[str, ...] = ("dynamic", "narrative", "hybrid")
    bpm: float | None = None
    seed: int = 0

    def content_hash(self) -> str:
        """sha256 over everything that decides the result; names and paths do not."""
        what = [
            self.music.content_hash,
            [(c.content_hash, c.tags) for c in self.clips],
            self.lyrics.content_hash if self.lyrics else None,
            self.duration,
            self.bpm,
            self.seed,
        ]
        return hashlib.sha256(json.dumps(what, ensure_ascii=False).encode()).hexdigest()


def parse_fps(text: str) -> Fraction:
    """``25``, ``29.97`` or ``30000/1001`` as an exact rate; NTSC decimals become their 1001 fractions."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    ntsc = Fraction(round(rate) * 1000, 1001)
    if rate.denominator != 1 and abs(rate - ntsc) < Fraction(1, 100):
        rate = ntsc
    if not FPS_RANGE[0] <= rate <= FPS_RANGE[1]:
        raise BadInput("fps", f"{text!r} is not a frame rate between 10 and 120", "give one such as 25 or 30000/1001")
    return rate


def music_features(job: EditJob, cache: Cache) -> audio.MusicFeatures:
    return analyse_music(job.music, job.bpm, cache)


def analyse_music(music: MediaFile, bpm: float | None, cache: Cache) -> audio.MusicFeatures:
    return cache.get_or_compute(
        "music",
        audio.VERSION,
        music.content_hash,
        {"bpm": bpm},
        lambda: audio.analyse(music.path, bpm=bpm),
        audio.MusicFeatures,
    )


def analyse_clip(clip: MediaFile, cache: Cache) -> video.VideoFeatures:
    return cache.get_or_compute(
        "video", video.VERSION, clip.content_hash, {}, lambda: video.analyse(clip.path), video.VideoFeatures
    )


def analyse_lyrics(words: MediaFile, cache: Cache) -> lyric.LyricsFeatures:
    return cache.get_or_compute(
        "lyrics", lyric.VERSION, words.content_hash, {}, lambda: lyric.analyse(words.path), lyric.LyricsFeatures
    )
