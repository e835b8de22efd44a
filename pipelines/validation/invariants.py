"""What must hold of every single result, whatever was put in. Each function lists what does not, in sentences.

These are the cheap checks of each batch; gates over whole data sets stand in suites.py.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.analysis import MusicFeatures
from pipelines.editing.plan import Edit
from pipelines.lyrics.analysis import EMOTIONS, LyricsFeatures
from pipelines.video.analysis import VideoFeatures

BPM_RANGE = (20.0, 400.0)


def music_problems(music: MusicFeatures) -> list[str]:
    problems = _not_finite(
        {"vector": music.vector, "energy": music.energy, "onset strengths": music.onset_strengths}
    ) + _not_rising(
        {"beats": music.beats, "downbeats": music.downbeats, "section boundaries": music.section_boundaries}
    )
    if len(music.vector) != len(music.names):
        problems.append(f"{len(music.vector)} feature values for {len(music.names)} names")
    if not (music.bpm == 0.0 or BPM_RANGE[0] <= music.bpm <= BPM_RANGE[1]):
        problems.append(f"BPM {music.bpm} is outside {BPM_RANGE[0]:g} to {BPM_RANGE[1]:g}")
    if not np.isin(music.downbeats, music.beats).all():
        problems.append("a downbeat is not a beat")
    if len(music.beats) and (music.beats[0] < 0 or music.beats[-1] > music.duration + 0.1):
        problems.append("a beat lies outside the music")
    if len(music.section_labels) != len(music.section_boundaries) - 1:
        problems.append("sections and their labels do not match")
    problems += _outside({"energy": music.energy, "BPM confidence": np.array([music.bpm_confidence])}, 0.0, 1.0)
    return problems


def video_problems(video: VideoFeatures) -> list[str]:
    per_frame = {
        "shot scores": video.shot_scores,
        "motion": video.motion,
        "brightness": video.brightness,
        "sharpness": video.sharpness,
    }
    problems = _not_finite({**per_frame, "histograms": video.histograms, "frame times": video.frame_times})
    problems += [
        f"{n}: {len(a)} values for {video.n_frames} frames" for n, a in per_frame.items() if len(a) != video.n_frames
    ]
    problems += _not_rising({"shot boundaries": video.shot_boundaries, "frame times": video.frame_times})
    if len(video.shot_boundaries) and not 0 < video.shot_boundaries[0] <= video.shot_boundaries[-1] < video.n_frames:
        problems.append("a shot boundary lies outside the clip")
    if len(video.shot_tags) != len(video.shot_boundaries) + 1:
        problems.append(f"{len(video.shot_tags)} rows of tags for {len(video.shot_boundaries) + 1} shots")
    if len(video.histograms) and np.abs(video.histograms.sum(axis=1) - 1.0).max() > 1e-3:
        problems.append("a histogram does not sum to 1")
    problems += _outside({"brightness": video.brightness, "faces": video.faces}, 0.0, 1.0)
    return problems


def lyrics_problems(lyrics: LyricsFeatures) -> list[str]:
    problems = _not_finite({"emotions": lyrics.emotions, "embeddings": lyrics.embeddings, "valence": lyrics.valence})
    if lyrics.emotions.shape != (len(lyrics.texts), len(EMOTIONS)):
        problems.append(f"emotions of shape {lyrics.emotions.shape} for {len(lyrics.texts)} phrases")
    if lyrics.timed:
        problems += _not_finite({"starts": lyrics.starts, "ends": lyrics.ends})
        if (np.diff(lyrics.starts) < 0).any():
            problems.append("phrases are not in order of time")
        if (lyrics.ends < lyrics.starts).any():
            problems.append("a phrase ends before it starts")
    return problems


def plan_problems(edit: Edit) -> list[str]:
    """Gaps, overlaps, wrong length, sources left or shown twice."""
    problems = []
    position = 0
    for number, segment in enumerate(edit.segments, 1):
        if segment.record_start != position or segment.record_end <= segment.record_start:
            problems.append(f"segment {number} starts at frame {segment.record_start}, not {position}")
        position = segment.record_end
        clip = edit.clips[segment.clip]
        end = segment.source_time + float(segment.n_frames / edit.rate)
        if segment.source_time < -1e-6 or end > clip.duration + 1.0 / max(1.0, float(clip.fps[0]) / clip.fps[1]):
            problems.append(f"segment {number} leaves its clip ({segment.source_time:.2f} to {end:.2f} s)")
    if position != edit.n_frames:
        problems.append(f"the plan has {position} frames, not {edit.n_frames}")
    spans = sorted((s.clip, s.source_time, s.source_time + float(s.n_frames / edit.rate)) for s in edit.segments)
    problems += [
        f"clip {a[0]} is shown twice around {b[1]:.2f} s"
        for a, b in pairwise(spans)
        if a[0] == b[0] and a[2] > b[1] + 1e-6
    ]
    return problems


def _not_finite(arrays: dict[str, NDArray[Any]]) -> list[str]:
    return [
        f"{name}: {np.sum(~np.isfinite(a))} values are not finite"
        for name, a in arrays.items()
        if not np.isfinite(a).all()
    ]


def _not_rising(arrays: dict[str, NDArray[Any]]) -> list[str]:
    return [f"{name} do not rise" for name, a in arrays.items() if (np.diff(a) <= 0).any()]


def _outside(arrays: dict[str, NDArray[Any]], low: float, high: float) -> list[str]:
    return [
        f"{name}: outside {low:g} to {high:g}"
        for name, a in arrays.items()
        if len(a) and (a.min() < low or a.max() > high)
    ]
