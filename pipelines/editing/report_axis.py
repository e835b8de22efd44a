"""What stands where on the report's time axis: everything in per cent of the edit's length, or as SVG paths over it.

One unit for all tracks (x from 0 to WIDE over the edit) is what keeps them aligned. Words and numbers are report.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.analysis import MusicFeatures
from pipelines.editing.gates import match_cuts, planned_cuts
from pipelines.editing.plan import Edit
from pipelines.editing.shared import SharedFeatures
from pipelines.editing.verdicts import Quality
from pipelines.lyrics.analysis import LyricsFeatures
from pipelines.video.analysis import VideoFeatures

WIDE = 1000.0  # x of every path
HIGH = 100.0  # y, downwards
COLUMNS = 900  # of the waveform
POINTS = 300  # of a curve


@dataclass(frozen=True, slots=True)
class Block:
    """Something that lasts: a section, a phrase or a shot. ``left`` and ``width`` in per cent of the edit."""

    left: float
    width: float
    start: float  # s
    end: float  # s
    text: str
    hue: int
    detail: str


def tracks(
    edit: Edit,
    quality: Quality | None,
    music: MusicFeatures,
    clips: Sequence[VideoFeatures],
    lyrics: LyricsFeatures | None,
    shared: SharedFeatures,
) -> dict[str, Any]:
    """All that the template lays on one edit's axis."""
    start, duration = edit.music_start, edit.duration
    beats = _inside(music.beats, start, duration)
    downbeats = _inside(music.downbeats, start, duration)
    motion = quality.motion if quality is not None else _planned_motion(edit, clips)
    phrases = _phrases(edit, lyrics, shared)
    return {
        "beats": ticks(np.setdiff1d(beats, downbeats), duration),
        "downbeats": ticks(downbeats, duration),
        "sections": _sections(music, start, duration),
        "energy": curve(music.energy, music.energy_rate, start, duration, closed=True),
        "motion": curve(_scaled(motion), float(edit.rate), 0.0, duration, closed=False),
        "phrases": phrases,
        "segments": _segments(edit, phrases),
        "cuts": _cuts(edit, quality),
        "marks": [{"left": 100 * t / duration, "text": clock(t)} for t in _round_times(duration)],
    }


def waveform_path(path: Path, start: float, duration: float) -> str:
    """A closed SVG path of the excerpt's peaks, loudest at the full height; empty when the file is not there."""
    if not path.is_file():
        return ""
    from pipelines.media.audio import decode

    sound = decode(path)
    mono = sound.mono[round(start * sound.sample_rate) : round((start + duration) * sound.sample_rate)]
    edges = np.linspace(0, duration * sound.sample_rate, COLUMNS + 1).astype(int)
    edges = np.minimum(edges, mono.size)
    peaks = np.array([np.abs(mono[a:b]).max(initial=0.0) for a, b in pairwise(edges)])
    peaks = peaks / max(float(peaks.max(initial=0.0)), 1e-4) * HIGH / 2 * 0.96
    x = (np.arange(COLUMNS) + 0.5) * WIDE / COLUMNS
    upper = [f"{a:.1f} {HIGH / 2 - p:.1f}" for a, p in zip(x, peaks, strict=True)]
    lower = [f"{a:.1f} {HIGH / 2 + p:.1f}" for a, p in zip(x[::-1], peaks[::-1], strict=True)]
    return "M" + "L".join(upper + lower) + "Z"


def curve(values: NDArray[np.floating], rate: float, start: float, duration: float, *, closed: bool) -> str:
    """Values of 0..1, ``rate`` a second, as a path; closed along the bottom to be filled."""
    if values.size == 0:
        return ""
    at = np.linspace(0, duration, POINTS)
    y = np.interp((at + start) * rate - 0.5, np.arange(values.size), values)
    points = [f"{t / duration * WIDE:.1f} {HIGH * (1 - v):.1f}" for t, v in zip(at, y, strict=True)]
    line = "M" + "L".join(points)
    return f"{line}L{WIDE:.0f} {HIGH:.0f}L0 {HIGH:.0f}Z" if closed else line


def ticks(times: NDArray[np.float64], duration: float) -> str:
    """A path of vertical lines over the whole height."""
    return "".join(f"M{t / duration * WIDE:.2f} 0V{HIGH:.0f}" for t in times)


def clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


def hue(clip: int) -> int:
    """Degrees; the golden angle keeps any number of clips apart."""
    return round(28 + clip * 137.508) % 360


def _inside(times: NDArray[np.float64], start: float, duration: float) -> NDArray[np.float64]:
    moved = times - start
    return moved[(moved >= 0) & (moved <= duration)]


def _block(start: float, end: float, duration: float, text: str, hue_: int = 0, detail: str = "") -> Block:
    return Block(100 * start / duration, 100 * (end - start) / duration, start, end, text, hue_, detail)


def _sections(music: MusicFeatures, start: float, duration: float) -> list[Block]:
    edges = music.section_boundaries - start
    letters = sorted(set(music.section_labels))
    return [
        _block(max(0.0, float(a)), min(duration, float(b)), duration, label, 210 + 47 * letters.index(label))
        for a, b, label in zip(edges[:-1], edges[1:], music.section_labels, strict=True)
        if b > 0 and a < duration
    ]


def _phrases(edit: Edit, lyrics: LyricsFeatures | None, shared: SharedFeatures) -> list[Block]:
    """Where each phrase is sung; phrases without stamps where the shared features have laid them."""
    if lyrics is None:
        return []
    out = []
    for k, text in enumerate(lyrics.texts):
        start, end = float(lyrics.starts[k]) - edit.music_start, float(lyrics.ends[k]) - edit.music_start
        if not (np.isfinite(start) and np.isfinite(end)):
            slots = np.flatnonzero(shared.slot_phrase == k)
            if slots.size == 0:
                continue
            start, end = float(shared.grid[slots[0]]), float(shared.grid[slots[-1] + 1])
        if end > 0 and start < edit.duration and text.strip():
            out.append(_block(max(0.0, start), min(edit.duration, end), edit.duration, text))
    return out


def _segments(edit: Edit, phrases: Sequence[Block]) -> list[Block]:
    fps = float(edit.rate)
    out = []
    for k, s in enumerate(edit.segments):
        start, end = s.record_start / fps, s.record_end / fps
        sung = " / ".join(p.text for p in phrases if min(end, p.end) - max(start, p.start) > 0.3 * (end - start))
        name = Path(edit.clips[s.clip].path).name
        detail = f"{start:.2f}–{end:.2f} s · {name}, shot {s.shot + 1}, from {s.source_time:.2f} s"
        out.append(
            _block(start, end, edit.duration, f"Shot {k + 1}", hue(s.clip), detail + (f" · “{sung}”" if sung else ""))
        )
    return out


def _cuts(edit: Edit, quality: Quality | None) -> list[dict[str, Any]]:
    """Every cut with its place and whether it was planned and seen."""
    planned = planned_cuts(edit)
    if quality is None:
        return [_cut(edit, int(c), "planned") for c in planned]
    matching = match_cuts(planned, quality.cuts)
    kinds = (("seen", matching.found), ("missed", matching.missed), ("unplanned", matching.unplanned))
    return [_cut(edit, int(c), kind) for kind, cuts in kinds for c in cuts]


def _cut(edit: Edit, frame: int, kind: str) -> dict[str, Any]:
    return {"left": 100 * frame / edit.n_frames, "kind": kind, "frame": frame}


def _planned_motion(edit: Edit, clips: Sequence[VideoFeatures]) -> NDArray[np.float32]:
    out = np.zeros(edit.n_frames, np.float32)
    for s in edit.segments:
        clip = clips[s.clip]
        times = s.source_time + np.arange(s.n_frames) / float(edit.rate)
        frames = np.clip(np.searchsorted(clip.frame_times, times, side="right") - 1, 0, max(0, clip.n_frames - 1))
        out[s.record_start : s.record_end] = clip.motion[frames]
    return out


def _scaled(motion: NDArray[np.float32]) -> NDArray[np.floating]:
    """0..1 over the edit's own range: its square root, since the eye is not linear in speed either."""
    most = float(np.quantile(motion, 0.99)) if motion.size else 0.0
    return np.asarray(np.sqrt(np.clip(motion / max(most, 1e-6), 0, 1)))


def _round_times(duration: float) -> list[float]:
    step = next((s for s in (1, 2, 5, 10, 20, 30, 60, 120, 300) if duration / s <= 13), 600)
    return [float(t) for t in np.arange(0, duration - step / 3, step)]
