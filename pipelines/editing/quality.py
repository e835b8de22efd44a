"""How good an edit is, measured on its rendered file: gates it must pass, scores beside chance, one confidence.

The plan is only what the file is held against. Measuring is left to screening.py, judging to gates.py, repeats.py,
timing.py and scores.py; this module puts them together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.analysis import MusicFeatures
from pipelines.editing import gates, scores, timing
from pipelines.editing.patterns import patterns
from pipelines.editing.plan import Edit
from pipelines.editing.repeats import repeats
from pipelines.editing.screening import Screening, screen
from pipelines.editing.shared import SharedFeatures
from pipelines.editing.verdicts import Gate, Quality, Score, not_applicable
from pipelines.errors import BadInput
from pipelines.lyrics.analysis import LyricsFeatures
from pipelines.video.analysis import VideoFeatures

__all__ = ["Gate", "Quality", "Score", "difference", "measure"]

VERSION = "1"
# How much each part counts in the confidence: the same for every pattern, so that patterns can be compared.
WEIGHTS = {
    "sync": 0.30,
    "sections": 0.10,
    "cut_rate": 0.12,
    "motion": 0.12,
    "lyrics": 0.14,
    "flow": 0.08,
    "coverage": 0.07,
    "shot_length": 0.07,
}
FLOOR = 0.01  # a part at zero pulls the geometric mean down hard, but leaves the other parts readable
FAILED_CAP = 0.5  # an edit that fails a gate is not to be handed on, whatever its scores
DIFFERENT = 0.3  # mean 1 - Jaccard between patterns that is asked for


def measure(
    edit: Edit,
    rendered: Path,
    *,
    music: MusicFeatures,
    clips: Sequence[VideoFeatures],
    lyrics: LyricsFeatures | None,
    shared: SharedFeatures,
    again: Edit | None = None,
) -> Quality:
    """Watches ``rendered`` once and judges it against ``edit``; equal inputs give an equal Quality.

    ``again`` is the same query solved a second time, for the gate ``reproducible``. Raises BadInput when the file
    cannot be decoded or the features do not belong to the edit.
    """
    if len(clips) != len(edit.clips):
        raise BadInput(rendered, f"was cut from {len(edit.clips)} clips, not {len(clips)}", "give that edit's features")
    seen = screen(edit, rendered)
    matching = gates.match_cuts(gates.planned_cuts(edit), seen.cuts)
    beats = timing.beats_of(music.beats, edit.music_start, _late(seen), edit.duration)
    passed = judge_gates(edit, seen, matching, beats, clips, again)
    found = judge_scores(edit, seen, beats, music, lyrics, shared)
    cap = min(shared.confidence, edit.confidence)
    return Quality(
        pattern=edit.pattern,
        scores=found,
        gates=passed,
        confidence=aggregate(found, passed, cap),
        input_cap=cap,
        cuts=seen.cuts,
        motion=seen.motion,
        thumbnails=seen.thumbnails,
    )


def judge_gates(
    edit: Edit,
    seen: Screening,
    matching: gates.Matching,
    beats: timing.Beats,
    clips: Sequence[VideoFeatures],
    again: Edit | None,
) -> dict[str, Gate]:
    fps = float(edit.rate)
    return {
        "frames": gates.frames(edit, seen),
        "lengths": gates.lengths(edit, seen),
        "song": gates.song(edit, seen),
        "cuts_found": gates.cuts_found(matching),
        "cuts_unplanned": gates.cuts_unplanned(matching),
        "on_time": timing.on_time(seen.cuts / fps, beats, fps),
        "drift": timing.drift(matching, len(edit.segments) - 1, seen.cuts, beats, fps),
        "source": gates.source(edit, seen, clips),
        "repeats": repeats(edit, seen),
        "gaps": gates.gaps(edit),
        "black": gates.black(edit, seen),
        "frozen": gates.frozen(edit, seen, clips),
        "reproducible": gates.reproducible(edit, again),
    }


def judge_scores(
    edit: Edit,
    seen: Screening,
    beats: timing.Beats,
    music: MusicFeatures,
    lyrics: LyricsFeatures | None,
    shared: SharedFeatures,
) -> dict[str, Score]:
    fps, duration, seed = float(edit.rate), edit.duration, edit.seed
    cuts = seen.cuts / fps
    edges = np.concatenate([[0.0], cuts[cuts < duration], [duration]])
    energy = _means(music.energy, music.energy_rate, edges + edit.music_start - _late(seen))
    halves = beats.usable and bool((np.diff(shared.grid) < 0.75 * beats.period).any())
    boundaries = music.section_boundaries[1:-1] - edit.music_start + _late(seen)
    words = scores.lyrics(edit, shared) if lyrics is not None else not_applicable("no lyrics were given")
    return {
        "sync": timing.sync(cuts, beats, fps, duration, halves, seed),
        "sections": scores.sections(cuts, boundaries, beats, timing.tolerance(fps), duration, seed),
        "cut_rate": scores.cut_rate(edges, energy),
        "motion": scores.motion(_means(seen.motion, fps, edges), energy),
        "lyrics": words,
        "flow": scores.flow(edit, shared),
        "coverage": scores.coverage(edit, shared, seed),
        "shot_length": scores.shot_length(edges, *_band(edit, shared), seed),
    }


def aggregate(found: dict[str, Score], passed: dict[str, Gate], cap: float) -> float:
    """min(input cap, weighted geometric mean of the parts that apply), at most FAILED_CAP when a gate fails."""
    parts = [(WEIGHTS[name], score.value) for name, score in found.items() if score.applies]
    if not parts:
        return 0.0
    total = sum(weight for weight, _ in parts)
    mean = math.exp(sum(weight * math.log(max(value, FLOOR)) for weight, value in parts) / total)
    failed = any(gate.passed is False for gate in passed.values())
    return min(cap, mean, FAILED_CAP if failed else 1.0)


def difference(edits: Sequence[Edit]) -> float:
    """Mean over all pairs of edits of 1 - Jaccard of the (clip, second of the clip) pairs that their frames show.

    1 when there is nothing to compare. DIFFERENT is asked for.
    """
    shown = [_shown(edit) for edit in edits]
    apart = [1 - len(a & b) / max(1, len(a | b)) for a, b in combinations(shown, 2)]
    return float(np.mean(apart)) if apart else 1.0


def _shown(edit: Edit) -> set[tuple[int, int]]:
    """(clip, second of the clip) of every record frame."""
    frame = 1 / float(edit.rate)
    return {(s.clip, int(s.source_time + k * frame)) for s in edit.segments for k in range(s.n_frames)}


def _band(edit: Edit, shared: SharedFeatures) -> tuple[float, float]:
    """Shortest and longest shot (s) that the pattern's own style asks for; a general band for a foreign edit."""
    known = patterns()
    return known[edit.pattern].band(shared.pulse) if edit.pattern in known else (scores.SHORTEST, scores.LONGEST)


def _late(seen: Screening) -> float:
    """Seconds by which the song is heard later than planned; 0 where it cannot be told."""
    sound = seen.sound
    good = sound.likeness >= gates.SAME_SONG if sound.lags.size else np.zeros(0, bool)
    return float(np.median(sound.lags[good])) if good.any() else 0.0


def _means(values: NDArray[np.float32], rate: float, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of a curve between neighbouring edges (s)."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)]) / rate
    at = np.interp(edges, np.arange(total.size) / rate, total)
    return np.diff(at) / np.maximum(np.diff(edges), 1e-9)
