"""The how-good half of the quality suite, beside timing.py: sections, energy, lyrics, flow, coverage, shot lengths.

Every score names its raw value, how many things were judged and what luck alone would give. Cuts and motion are those
seen in the rendered file; which source a shot shows is the plan's word, which the gate ``source`` checks.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipelines.editing.plan import Edit
from pipelines.editing.shared import SharedFeatures
from pipelines.editing.timing import N_SHIFTS, Beats, distances, shifted
from pipelines.editing.verdicts import Score, not_applicable

FEWEST = 5  # shots below which a rank correlation says nothing
SHORTEST, LONGEST = 0.3, 8.0  # s, the band of shot lengths when the query names none
FLAT = 0.02  # range of energy below which the music does not change


def sections(
    cuts: NDArray[np.float64], boundaries: NDArray[np.float64], beats: Beats, within: float, duration: float, seed: int
) -> Score:
    """Share of section boundaries that are met by a cut, over what random shifts of the cuts meet."""
    inside = boundaries[(boundaries > 0.5) & (boundaries < duration - 0.5)]
    if inside.size == 0:
        return not_applicable("the music has one section here")
    if cuts.size == 0:
        return not_applicable("no cut was seen")
    # A boundary is only known to about half a beat: what counts is a cut on a beat beside it.
    reach = max(within, beats.period / 2) if beats.usable else 0.25

    def met(at: NDArray[np.float64]) -> float:
        return float((distances(inside, at) <= reach).mean())

    lucky = np.array([met(at) for at in shifted(cuts, duration, seed)])
    p, p0 = met(cuts), float(lucky.mean())
    return Score(
        value=float(np.clip((p - p0) / (1 - p0), 0, 1)) if p0 < 0.9 else p,
        raw=p,
        n=int(inside.size),
        chance=p0,
        p_value=float((1 + np.sum(lucky >= p)) / (1 + N_SHIFTS)),
        applies=True,
        note=f"{p:.0%} of the section boundaries have a cut within {reach * 1000:.0f} ms",
    )


def cut_rate(edges: NDArray[np.float64], energy: NDArray[np.float64]) -> Score:
    """Spearman's rho between energy and cuts a second, shot by shot."""
    return _follows(1 / np.maximum(np.diff(edges), 1e-6), energy, "cuts come {} where the music is louder", "faster")


def motion(measured: NDArray[np.float64], energy: NDArray[np.float64]) -> Score:
    """Spearman's rho between energy and the motion seen, shot by shot."""
    return _follows(measured, energy, "the picture moves {} where the music is louder", "more")


def _follows(values: NDArray[np.float64], energy: NDArray[np.float64], words: str, way: str) -> Score:
    from scipy.stats import spearmanr

    if values.size < FEWEST:
        return not_applicable(f"fewer than {FEWEST} shots")
    if np.ptp(energy) < FLAT:
        return not_applicable("the music is equally loud throughout")
    rho, p_value = 0.0, 1.0
    if np.ptp(values) > 1e-9:
        rho, p_value = (float(v) for v in spearmanr(values, energy, alternative="greater"))
    sense = way if rho > 0.2 else f"neither {way} nor less so" if rho > -0.2 else "less"
    note = words.format(sense) + f" (Spearman {rho:+.2f})"
    return Score((rho + 1) / 2, rho, int(values.size), 0.0, p_value, True, note)


def lyrics(edit: Edit, shared: SharedFeatures) -> Score:
    """Mean percentile rank of the chosen shot among all shots, for the words sung over it; 0.5 by luck."""
    head = shared.heads.get("semantic")
    if head is None or not (shared.slot_phrase >= 0).any() or float(np.ptp(head)) < 1e-6:
        return not_applicable("no lyrics to follow")
    shots, shot_of = _shots(shared)
    ranks = []
    for s in edit.segments:
        slots = _slots(shared, float(s.record_start / edit.rate), float(s.record_end / edit.rate))
        slots = slots[shared.slot_phrase[slots] >= 0]
        if (s.clip, s.shot) not in shots or slots.size == 0:
            continue
        suits = head[slots].mean(axis=0)
        of_shot = np.bincount(shot_of, weights=suits) / np.bincount(shot_of)
        ranks.append(percentile(np.round(of_shot, 5), shots.index((s.clip, s.shot))))
    if not ranks:
        return not_applicable("nothing is sung over these shots")
    return _percentiles(np.array(ranks), "shots that suit the words sung over them better than {:.0%} of all shots")


def flow(edit: Edit, shared: SharedFeatures) -> Score:
    """Mean percentile rank of each shot among all that could have followed the one before it; 0.5 by luck."""
    ranks = []
    for a, b in zip(edit.segments, edit.segments[1:], strict=False):
        last = _windows(shared, a.clip, a.source_time, a.source_time + float(a.n_frames / edit.rate))
        first = _windows(shared, b.clip, b.source_time, b.source_time + float(b.n_frames / edit.rate))
        if last.size == 0 or first.size == 0:
            continue
        possible = shared.visible_cut[last[-1]].copy()
        possible[first[0]] = True
        where = int(np.flatnonzero(possible).searchsorted(first[0]))
        ranks.append(percentile(shared.flow[last[-1]][possible], where))
    if not ranks or float(np.ptp(shared.flow)) < 1e-6:
        return not_applicable("a single shot, or nothing to choose between")
    return _percentiles(np.array(ranks), "shots that follow smoother than {:.0%} of all possible next ones")


def coverage(edit: Edit, shared: SharedFeatures, seed: int) -> Score:
    """Distinct shots and clips shown, of those that could have been, over as many random picks."""
    shots, shot_of = _shots(shared)
    n = len(edit.segments)
    if len(shots) < 2 or n < 2:
        return not_applicable("one shot only")
    clips = np.array([c for c, _ in shots])

    def spread(chosen: NDArray[np.int64]) -> float:
        seen = np.unique(chosen)
        of_shots = seen.size / min(len(shots), n)
        of_clips = np.unique(clips[seen]).size / min(np.unique(clips).size, n)
        return float((of_shots + of_clips) / 2)

    used = np.array([shots.index((s.clip, s.shot)) for s in edit.segments if (s.clip, s.shot) in shots], np.int64)
    rng = np.random.default_rng(seed)
    lucky = np.array([spread(rng.choice(shot_of, n)) for _ in range(N_SHIFTS)])
    raw = spread(used)
    used_clips, all_clips = np.unique(clips[used]).size, np.unique(clips).size
    note = f"{np.unique(used).size} of {len(shots)} shots and {used_clips} of {all_clips} clips are shown"
    return Score(raw, raw, n, float(lucky.mean()), float((1 + np.sum(lucky >= raw)) / (1 + N_SHIFTS)), True, note)


def shot_length(edges: NDArray[np.float64], shortest: float, longest: float, seed: int) -> Score:
    """Share of the shots seen whose length lies in the pattern's band, over equally many cuts thrown at random."""
    lengths = np.diff(edges)
    if lengths.size < 2:
        return not_applicable("one shot only")
    slack = 0.05  # s: rounding to frames and a cut seen a frame off

    def inside(values: NDArray[np.float64]) -> float:
        return float(((values >= shortest - slack) & (values <= longest + slack)).mean())

    rng = np.random.default_rng(seed)
    thrown = np.sort(rng.uniform(0, edges[-1], (N_SHIFTS, lengths.size - 1)), axis=1)
    thrown = np.pad(thrown, ((0, 0), (1, 1)), constant_values=((0, 0), (0.0, float(edges[-1]))))
    lucky = np.array([inside(np.diff(row)) for row in thrown])
    raw = inside(lengths)
    p_value = float((1 + np.sum(lucky >= raw)) / (1 + N_SHIFTS))
    median = f"half of them less than {np.median(lengths):.1f} s"
    note = f"{raw:.0%} of the shots last {shortest:.1f} to {longest:.1f} s, {median}"
    return Score(raw, raw, int(lengths.size), float(lucky.mean()), p_value, True, note)


def percentile(values: NDArray[np.floating], chosen: int) -> float:
    """0 for the worst, 1 for the best, ties in the middle: 0.5 on average for a random choice."""
    if values.size < 2:
        return 0.5
    below = int(np.sum(values < values[chosen]))
    equal = int(np.sum(values == values[chosen])) - 1
    return (below + 0.5 * equal) / (values.size - 1)


def _percentiles(ranks: NDArray[np.float64], words: str) -> Score:
    raw = float(ranks.mean())
    # By luck each rank is uniform on 0..1 (variance 1/12), so their mean is soon normal.
    z = (raw - 0.5) * math.sqrt(12 * ranks.size)
    return Score(raw, raw, int(ranks.size), 0.5, 0.5 * math.erfc(z / math.sqrt(2)), True, words.format(raw))


def _shots(shared: SharedFeatures) -> tuple[list[tuple[int, int]], NDArray[np.int64]]:
    """The distinct (clip, shot) pairs, and which of them each window belongs to."""
    pairs = np.stack([shared.window_clip, shared.window_shot], axis=1)
    distinct, index = np.unique(pairs, axis=0, return_inverse=True)
    return [(int(c), int(s)) for c, s in distinct], index.reshape(-1)


def _slots(shared: SharedFeatures, start: float, end: float) -> NDArray[np.int64]:
    """Slots whose middle lies in [start, end), or else the one that holds its middle."""
    middles = (shared.grid[:-1] + shared.grid[1:]) / 2
    inside = np.flatnonzero((middles >= start) & (middles < end))
    if inside.size:
        return inside
    slot = int(np.searchsorted(shared.grid, (start + end) / 2, side="right")) - 1
    return np.array([min(max(slot, 0), middles.size - 1)])


def _windows(shared: SharedFeatures, clip: int, start: float, end: float) -> NDArray[np.int64]:
    """Windows of the clip that share a tenth of a second or half of themselves with [start, end), in order of time."""
    common = np.minimum(shared.window_end, end) - np.maximum(shared.window_start, start)
    enough = np.minimum(0.1, (shared.window_end - shared.window_start) / 2)
    found = np.flatnonzero((shared.window_clip == clip) & (common >= enough))
    return found[np.argsort(shared.window_start[found])]
