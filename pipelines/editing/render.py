"""An edit as an MP4: each segment encoded by itself and kept, then joined with the song without encoding again.

How frames are found, fitted, encoded and joined is left to pipelines.media; whether the result is good to quality.py.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipelines.editing.plan import Edit, Segment
from pipelines.errors import BadInput
from pipelines.media.encoding import Preset, encode_pictures, encode_sound
from pipelines.media.fitting import Fitter
from pipelines.media.hashing import content_hash
from pipelines.media.joining import JoinError, join
from pipelines.media.playback import Playback, Reel, read_reel
from pipelines.media.replacing import replacing
from pipelines.media.soundtrack import cut_song

VERSION = "1"  # raised when the same segment would look different

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RenderReport:
    path: Path
    n_frames: int
    segments_encoded: int
    segments_reused: int
    seconds: float  # wall clock


def render(
    edit: Edit, out: Path, *, cache_dir: Path, preset: Preset | None = None, workers: int | None = None
) -> RenderReport:
    """Writes ``out``: H.264 and AAC, exactly ``edit.n_frames`` frames, the song's length within a sample of theirs.

    ``cache_dir`` keeps every segment by clip content, source time, length, rate, size and encoder, so an edit that
    differs in one shot encodes one shot. ``workers`` threads (default: one a core) render segments side by side; the
    bytes do not depend on how many. A failure leaves ``out`` as it was. Raises BadInput for a source that is missing,
    changed or cannot be decoded, Unavailable when the disk is full.
    """
    began = time.monotonic()
    preset = preset or Preset()
    _check_sources(edit)
    files = [_segment_file(edit, segment, cache_dir, preset) for segment in edit.segments]
    missing = _missing(edit, files)
    _encode(edit, missing, preset, workers or len(os.sched_getaffinity(0)))
    sound = _sound(edit, cache_dir, preset)
    try:
        _join(edit, files, sound, out)
    except JoinError as damaged:
        log.warning("%s; rendered anew", damaged)
        damaged.part.unlink(missing_ok=True)
        again = _missing(edit, files)
        _encode(edit, again, preset, 1)
        missing |= again
        _join(edit, files, sound, out)
    seconds = time.monotonic() - began
    encoded = sum(file in missing for file in files)
    log.info("%s: %d segments encoded, %d reused, %.1f s", out, encoded, len(files) - encoded, seconds)
    return RenderReport(out, edit.n_frames, encoded, len(files) - encoded, seconds)


def times_of(edit: Edit, segment: Segment) -> list[float]:
    """[n_frames] s on the clip's clock: what each record frame shows."""
    return [segment.source_time + float(frame / edit.rate) for frame in range(segment.n_frames)]


def _check_sources(edit: Edit) -> None:
    used = {edit.clips[segment.clip] for segment in edit.segments} | {edit.music}
    for source in sorted(used, key=lambda source: source.path):
        path = Path(source.path)
        if not path.is_file():
            raise BadInput(path, "is not there any more", "put the file back, or plan the edit again")
        if content_hash(path) != source.content_hash:
            raise BadInput(path, "has changed since the edit was planned", "plan the edit again")


def _segment_file(edit: Edit, segment: Segment, cache_dir: Path, preset: Preset) -> Path:
    clip = edit.clips[segment.clip].content_hash
    key = (VERSION, clip, segment.source_time, segment.n_frames, edit.fps, edit.width, edit.height, preset.describe())
    return _kept(cache_dir, key, "mp4")


def _kept(cache_dir: Path, key: tuple[object, ...], ending: str) -> Path:
    name = hashlib.sha256(repr(key).encode()).hexdigest()
    return cache_dir / name[:2] / f"{name}.{ending}"


def _missing(edit: Edit, files: list[Path]) -> dict[Path, Segment]:
    """Segments to encode by the file each belongs in; equal ones once."""
    return {file: segment for file, segment in zip(files, edit.segments, strict=True) if not file.exists()}


def _encode(edit: Edit, missing: dict[Path, Segment], preset: Preset, workers: int) -> None:
    """Clip by clip, in runs that share no group of pictures, so nothing is decoded twice; the longest run first."""
    by_clip: dict[int, list[tuple[Path, Segment]]] = {}
    for file, segment in missing.items():
        by_clip.setdefault(segment.clip, []).append((file, segment))
    runs: list[tuple[Reel, list[tuple[Path, Segment]]]] = []
    for clip, wanted in by_clip.items():
        reel = read_reel(Path(edit.clips[clip].path))
        spans = [(times[0], times[-1]) for times in (times_of(edit, segment) for _, segment in wanted)]
        runs += [(reel, [wanted[index] for index in run]) for run in reel.runs(spans)]
    runs.sort(key=lambda run: -sum(segment.n_frames for _, segment in run[1]))
    with ThreadPoolExecutor(max(1, workers)) as pool:
        futures = [pool.submit(_encode_run, edit, reel, run, preset) for reel, run in runs]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _encode_run(edit: Edit, reel: Reel, run: list[tuple[Path, Segment]], preset: Preset) -> None:
    with Playback(reel) as clip:
        fitter = Fitter(edit.width, edit.height, clip.pixel_aspect)
        for file, segment in run:
            frames = (fitter.fit(frame) for frame in clip.shown_at(times_of(edit, segment)))
            with replacing(file, durable=False) as part:
                encode_pictures(frames, part, edit.rate, preset)


def _sound(edit: Edit, cache_dir: Path, preset: Preset) -> Path:
    seconds = edit.n_frames / edit.rate
    key = (VERSION, edit.music.content_hash, edit.music_start, seconds, preset.describe())
    file = _kept(cache_dir, key, "m4a")
    if not file.exists():
        samples = cut_song(Path(edit.music.path), edit.music_start, seconds)
        with replacing(file, durable=False) as part:
            encode_sound(samples, part, preset)
    return file


def _join(edit: Edit, files: list[Path], sound: Path, out: Path) -> None:
    with replacing(out) as part:
        join([(f, s.n_frames) for f, s in zip(files, edit.segments, strict=True)], sound, part, edit.rate)
