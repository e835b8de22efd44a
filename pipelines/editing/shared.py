"""Shared features: the keys and values that every pattern queries. Computed once a job, immutable, float32.

The grid and the windows come from grid.py and windows.py, the score matrices from heads.py; the choice is left to
solver.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.analysis import MusicFeatures
from pipelines.editing.grid import music_grid
from pipelines.editing.heads import Embed, Material, Scorer, flow_between, score_heads, visible_between
from pipelines.editing.windows import cut_windows
from pipelines.errors import BadInput
from pipelines.lyrics.analysis import LyricsFeatures, lay_out
from pipelines.video.analysis import VideoFeatures

VERSION = "1"
SHORTEST_EDIT = 0.5  # s: less holds no shot
SUNG = (0.06, 0.96)  # where in a song words without times are laid: most begin and end with a few bars of music


@dataclass(frozen=True, slots=True)
class SharedFeatures:
    """Music slots (between neighbouring grid times) against source windows (short pieces of shots, used at most once).

    Windows never overlap and lie inside one shot, so "no repeated source range" is "no window twice". Neighbouring
    windows of one run touch: a cut that is longer than a window takes as many neighbours as it needs.
    """

    grid: NDArray[np.float64]  # [n_slots + 1] s of the excerpt: beats (subdivided where useful) or an even grid
    grid_strength: NDArray[np.float32]  # [n_slots + 1], 0..1: downbeats and section starts near 1
    slot_energy: NDArray[np.float32]  # [n_slots], 0..1, the music's energy ranked within the excerpt
    slot_section: NDArray[np.int32]  # [n_slots]
    slot_phrase: NDArray[np.int32]  # [n_slots], -1 where nothing is sung
    window_clip: NDArray[np.int32]  # [n_windows]
    window_shot: NDArray[np.int32]  # [n_windows]
    window_start: NDArray[np.float64]  # [n_windows] s in the clip
    window_end: NDArray[np.float64]  # [n_windows]
    heads: dict[str, NDArray[np.float32]]  # name -> [n_slots, n_windows], 0..1
    flow: NDArray[np.float32]  # [n_windows, n_windows], 0..1: how well b follows a
    visible_cut: NDArray[np.bool_]  # [n_windows, n_windows]: would the eye (and a detector) see a cut from a to b
    confidence: float  # 0..1, from BPM confidence, lyrics timing, amount of material
    music_start: float  # s into the song where the excerpt begins
    pulse: float  # s, the beat as it is felt (0.35..0.8): the unit of a pattern's cut lengths
    window_run: NDArray[np.int32]  # [n_windows]: windows of one run follow each other without a gap
    window_liveliness: NDArray[np.float32]  # [n_windows], 0..1: 0 where nothing happens in an otherwise lively shot
    window_accents: NDArray[np.float32]  # [n_windows, n_steps], 0..1, ACCENT_RATE a second: sudden motion

    @property
    def duration(self) -> float:
        return float(self.grid[-1])


def share(
    music: MusicFeatures,
    clips: Sequence[VideoFeatures],
    lyrics: LyricsFeatures | None,
    clip_tags: Sequence[Sequence[str]],
    *,
    duration: float | None = None,
    seed: int = 0,
    start: float = 0.0,
    embed: Embed | None = None,
    scorers: Mapping[str, Scorer] | None = None,
) -> SharedFeatures:
    """Everything that patterns share, for ``duration`` seconds of the music from ``start`` on (None: to its end).

    ``embed`` turns texts into unit vectors [n, d] (default: the lyrics' own sentence embeddings); ``scorers`` are extra
    heads by name (default: those of installed packages, see patterns.scorers); ``seed`` is for scorers that draw lots.
    Raises BadInput when the music is shorter than the excerpt or no clip holds a usable stretch.
    """
    end = _excerpt_end(music, start, duration)
    if len(clip_tags) != len(clips):
        raise ValueError(f"{len(clips)} clips but tags for {len(clip_tags)}")
    lyrics = None if lyrics is None else lay_out(lyrics, *(music.duration * share for share in SUNG))
    grid = music_grid(music, lyrics, start=start, duration=end - start)
    windows = cut_windows(clips)
    material = Material(music, tuple(clips), lyrics, tuple(tuple(t) for t in clip_tags), grid, windows, seed)
    visible = visible_between(windows)
    if scorers is None:
        from pipelines.editing.patterns import scorers as installed

        scorers = installed()
    return SharedFeatures(
        grid=grid.times,
        grid_strength=grid.strength,
        slot_energy=grid.energy,
        slot_section=grid.section,
        slot_phrase=grid.phrase,
        window_clip=windows.clip,
        window_shot=windows.shot,
        window_start=windows.start,
        window_end=windows.end,
        heads=score_heads(material, embed=embed or _sentence_embeddings(), scorers=scorers),
        flow=flow_between(windows, visible),
        visible_cut=visible,
        confidence=_confidence(music, lyrics, float(np.sum(windows.end - windows.start)), end - start),
        music_start=start,
        pulse=grid.pulse,
        window_run=windows.run,
        window_liveliness=windows.liveliness,
        window_accents=windows.accents,
    )


def summary(shared: SharedFeatures) -> dict[str, float]:
    """The numbers that validation/suites.py asks about: sizes, ranges over all heads, gaps, confidence."""
    heads = list(shared.heads.values())
    return {
        "n_slots": len(shared.slot_energy),
        "n_windows": len(shared.window_clip),
        "n_nan": int(sum(np.isnan(h).sum() for h in (*heads, shared.flow))),
        "head_min": float(min(np.nanmin(h) for h in heads)),
        "head_max": float(max(np.nanmax(h) for h in heads)),
        "shortest_slot": float(np.diff(shared.grid).min()),
        "confidence": shared.confidence,
    }


def _excerpt_end(music: MusicFeatures, start: float, duration: float | None) -> float:
    if duration is None:
        duration = music.duration - start
    if not duration > 0 or start < 0:
        raise BadInput(f"duration {duration:g} s", "is not above 0", "give the length of the edit in seconds")
    if duration < SHORTEST_EDIT:
        raise BadInput(
            f"duration {duration:g} s", f"is shorter than {SHORTEST_EDIT:g} s", "give a longer song or duration"
        )
    if start + duration > music.duration + 0.05:
        left = music.duration - start
        raise BadInput(
            f"duration {duration:g} s",
            f"is longer than the music, which lasts {left:.2f} s",
            f"give a duration of at most {left:.2f} s, or a longer song",
        )
    return start + duration


def _sentence_embeddings() -> Callable[[Sequence[str]], NDArray[np.float32]]:
    from pipelines.lyrics.embeddings import embed

    return embed


def _confidence(music: MusicFeatures, lyrics: LyricsFeatures | None, material: float, duration: float) -> float:
    beats = 0.6 + 0.4 * min(1.0, music.bpm_confidence)
    timing = 1.0 if lyrics is None or lyrics.timed else 0.85
    amount = min(1.0, material / (1.5 * duration)) ** 0.5
    return float(beats * timing * amount)
