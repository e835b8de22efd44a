"""One editing job from files to finished edits, stage by stage, each stage stored by the content of what it read.

A stage asks the stage before it, which is answered from the cache when nothing it read has changed: a changed
lyric re-runs neither the audio nor the video analysis. The command line runs the stages in one go, Dagster's
assets one by one. The trades themselves live in audio/, video/, lyrics/ and the other modules here; what a person
takes away is written by publishing.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from pipelines import plugins
from pipelines.audio import analysis as audio
from pipelines.editing import quality, solver
from pipelines.editing import render as rendering
from pipelines.editing import shared as sharing
from pipelines.editing.patterns import Query, patterns
from pipelines.editing.plan import Edit, Source
from pipelines.editing.verdicts import Quality
from pipelines.errors import BadInput
from pipelines.lyrics import analysis as lyric
from pipelines.media.files import MediaFile, saying_names
from pipelines.storage.cache import Cache
from pipelines.video import analysis as video

DEFAULT_PATTERNS = ("dynamic", "narrative", "hybrid")
DEFAULT_DURATION = 60.0
LANDSCAPE = (1280, 720)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EditJob:
    """What a person gives. ``duration`` in s, None for the whole song; ``bpm`` if the person knows it."""

    music: MediaFile
    clips: tuple[MediaFile, ...]
    lyrics: MediaFile | None = None
    duration: float | None = None
    fps: Fraction = Fraction(25)
    patterns: tuple[str, ...] = DEFAULT_PATTERNS
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


def with_default_duration(job: EditJob, cache: Cache) -> EditJob:
    """60 s, or the whole song when it is shorter."""
    return replace(job, duration=min(DEFAULT_DURATION, music_features(job, cache).duration))


def version_of(step: str) -> str:
    """The code version of a step's results: its own, those of the steps it reads, and what is plugged in."""
    clips = video.version()
    shared = (sharing.VERSION, audio.VERSION, clips, lyric.VERSION, plugins.signature("orimono.scorers"))
    versions: dict[str, tuple[str, ...]] = {
        "music_features": (audio.VERSION,),
        "video_features": (clips,),
        "lyrics_features": (lyric.VERSION,),
        "shared_features": shared,
        "edit_patterns": (solver.VERSION, *shared),
        "edit_renders": (rendering.VERSION,),
        "edit_quality": (quality.VERSION, rendering.VERSION, *shared),
    }
    return ".".join(v for v in versions[step] if v)


def music_features(job: EditJob, cache: Cache) -> audio.MusicFeatures:
    return analyse_music(job.music, job.bpm, cache)


def analyse_music(music: MediaFile, bpm: float | None, cache: Cache) -> audio.MusicFeatures:
    return cache.get_or_compute(
        "music",
        audio.VERSION,
        music.content_hash,
        {"bpm": bpm},
        lambda: saying_names(lambda: audio.analyse(music.path, bpm=bpm), music),
        audio.MusicFeatures,
    )


def analyse_clip(clip: MediaFile, cache: Cache) -> video.VideoFeatures:
    return cache.get_or_compute(
        "video",
        video.version(),
        clip.content_hash,
        {},
        lambda: saying_names(lambda: video.analyse(clip.path), clip),
        video.VideoFeatures,
    )


def analyse_lyrics(words: MediaFile, cache: Cache) -> lyric.LyricsFeatures:
    return cache.get_or_compute(
        "lyrics",
        lyric.VERSION,
        words.content_hash,
        {},
        lambda: saying_names(lambda: lyric.analyse(words.path), words),
        lyric.LyricsFeatures,
    )


def shared_features(job: EditJob, cache: Cache) -> sharing.SharedFeatures:
    def compute() -> sharing.SharedFeatures:
        return sharing.share(
            music_features(job, cache),
            [analyse_clip(c, cache) for c in job.clips],
            analyse_lyrics(job.lyrics, cache) if job.lyrics else None,
            [c.tags for c in job.clips],
            duration=job.duration,
        )

    return cache.get_or_compute(
        "shared", version_of("shared_features"), job.content_hash(), {}, compute, sharing.SharedFeatures
    )


def plan(job: EditJob, pattern: str, cache: Cache) -> Edit:
    """The cut list of one pattern. Its sources carry file names only; ``bind`` gives them places."""
    query = _query(pattern)
    # The query's own words are part of the key: a plugged-in pattern that changes is another pattern.
    params = {"fps": str(job.fps), "query": query.fingerprint()}
    version = version_of("edit_patterns")
    found = cache.get_or_put(
        "plan", version, job.content_hash(), params, lambda: _nameless(_solve(job, query, cache)).to_json(), ".json"
    )
    return _placed(Edit.from_json(found), {m.content_hash: m.name for m in (job.music, *job.clips)})


def _query(pattern: str) -> Query:
    known = patterns()
    if pattern not in known:
        raise BadInput(pattern, "is not a pattern", f"choose from {', '.join(sorted(known))}")
    return known[pattern]


def _solve(job: EditJob, query: Query, cache: Cache) -> Edit:
    clips = [analyse_clip(c, cache) for c in job.clips]
    width, height = canvas(clips)
    return solver.solve(
        shared_features(job, cache),
        query,
        music=_sound(job.music, music_features(job, cache)),
        clips=[_picture(c, f) for c, f in zip(job.clips, clips, strict=True)],
        fps=job.fps,
        width=width,
        height=height,
        seed=job.seed,
    )


def bind(edit: Edit, job: EditJob) -> Edit:
    """The same edit with its sources at the places where this job's files lie."""
    return _placed(edit, {m.content_hash: str(m.path) for m in (job.music, *job.clips)})


def _placed(edit: Edit, places: Mapping[str, str]) -> Edit:
    return replace(
        edit,
        music=replace(edit.music, path=places[edit.music.content_hash]),
        clips=tuple(replace(c, path=places[c.content_hash]) for c in edit.clips),
    )


def _nameless(edit: Edit) -> Edit:
    """As it is stored: jobs of equal content share it, and one's file names are nothing to the other's owner."""
    return _placed(edit, {s.content_hash: s.content_hash for s in (edit.music, *edit.clips)})


def _identity(edit: Edit) -> str:
    return hashlib.sha256(_nameless(edit).to_json()).hexdigest()


def render(job: EditJob, pattern: str, cache: Cache, segments: Path) -> Path:
    """The MP4 of one pattern; its encoded segments are kept in the folder ``segments`` for the next change."""
    from pipelines.editing.render import render as make

    edit = plan(job, pattern, cache)

    def compute(out: Path) -> None:
        saying_names(lambda: make(bind(edit, job), out, cache_dir=segments), job.music, *job.clips)

    return cache.get_or_make_file("render", rendering.VERSION, _identity(edit), {}, compute, ".mp4")


def judge(job: EditJob, pattern: str, cache: Cache, segments: Path) -> Quality:
    """The quality of one pattern's edit, measured on its MP4."""
    edit = plan(job, pattern, cache)

    def compute() -> Quality:
        return quality.measure(
            bind(edit, job),
            render(job, pattern, cache, segments),
            music=music_features(job, cache),
            clips=[analyse_clip(c, cache) for c in job.clips],
            lyrics=analyse_lyrics(job.lyrics, cache) if job.lyrics else None,
            shared=shared_features(job, cache),
            again=bind(_solve(job, _query(pattern), cache), job),
        )

    return cache.get_or_compute(
        "quality", version_of("edit_quality"), _identity(edit), {"job": job.content_hash()}, compute, Quality
    )


def canvas(clips: Sequence[video.VideoFeatures]) -> tuple[int, int]:
    """Width and height of the edit: 1280x720, upright when most of the material stands upright."""
    upright = sum(c.duration for c in clips if c.height > c.width)
    return LANDSCAPE if upright * 2 <= sum(c.duration for c in clips) else (LANDSCAPE[1], LANDSCAPE[0])


def _sound(music: MediaFile, features: audio.MusicFeatures) -> Source:
    return Source(music.name, music.content_hash, features.duration)


def _picture(clip: MediaFile, features: video.VideoFeatures) -> Source:
    return Source(
        path=clip.name,
        content_hash=clip.content_hash,
        duration=features.duration,
        fps=features.fps_fraction,
        n_frames=features.n_frames,
        width=features.width,
        height=features.height,
    )
