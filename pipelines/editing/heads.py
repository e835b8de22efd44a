"""Heads: how well each source window suits each slot of the music, one matrix a point of view, 0..1.

Computed once a job; how much each counts is left to a pattern's query, the choice to solver.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.analysis import MusicFeatures
from pipelines.editing.grid import Grid, rank
from pipelines.editing.windows import Windows, number_shots
from pipelines.lyrics.analysis import LyricsFeatures
from pipelines.video.analysis import VideoFeatures
from pipelines.video.colour import HUES, SATURATIONS, VALUES

Floats = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Floats]  # texts -> unit vectors [n, d]

VISIBLE = 0.25  # Hellinger distance of colour histograms that a viewer and a shot detector surely take for a cut
VISIBLE_BRIGHTNESS = 0.2
EMOTION_SHARE = 0.2  # of the semantic head; the rest is what is sung against what is seen
MOVING = 0.02  # diagonal fractions a second: below it a direction of motion means little

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Material:
    """What a head may look at."""

    music: MusicFeatures
    clips: tuple[VideoFeatures, ...]
    lyrics: LyricsFeatures | None  # timed, or laid out over the music
    clip_tags: tuple[tuple[str, ...], ...]
    grid: Grid
    windows: Windows
    seed: int


Scorer = Callable[[Material], Floats]  # -> [n_slots, n_windows], 0..1


def score_heads(material: Material, *, embed: Embed, scorers: Mapping[str, Scorer]) -> dict[str, Floats]:
    """All heads by name. A plugged-in scorer that fails or yields another shape is named, skipped and logged."""
    heads = {
        "sync": sync(material),
        "semantic": semantic(material, embed),
        "energy": energy(material),
        "coverage": coverage(material),
    }
    shape = heads["sync"].shape
    for name, scorer in sorted(scorers.items()):
        if name in heads:
            logger.warning("scorer %s: the name is taken by a built-in head; it is left out", name)
            continue
        try:
            head = np.asarray(scorer(material), np.float32)
        except Exception as error:  # noqa: BLE001 - foreign code; anything may come out of it
            logger.warning("scorer %s: failed with %r; it is left out", name, error)
            continue
        if head.shape != shape or not np.isfinite(head).all():
            logger.warning("scorer %s: wants finite values of shape %s, got %s; left out", name, shape, head.shape)
            continue
        heads[name] = np.clip(head, 0, 1)
    return heads


def _alike(slots: Floats, windows: Floats) -> Floats:
    return np.asarray(1 - np.abs(slots[:, None] - windows[None, :]), np.float32)


def sync(material: Material) -> Floats:
    """Strong beats want windows with a sudden motion to lay on them, weak beats calm ones."""
    return _alike(rank(material.grid.strength[:-1]), rank(material.windows.accents.max(axis=1)))


def energy(material: Material) -> Floats:
    """The louder the music, the faster the picture, both as ranks; what idles does not raise the others' rank."""
    return _alike(material.grid.energy, rank(material.windows.motion, material.windows.liveliness))


def coverage(material: Material) -> Floats:
    """A clip is told from its beginning to its end while the music plays, so that all of it is seen."""
    middle = (material.grid.times[:-1] + material.grid.times[1:]) / 2 / material.grid.times[-1]
    return _alike(middle.astype(np.float32), material.windows.position)


def semantic(material: Material, embed: Embed) -> Floats:
    """Rank of a window's shot by nearness to the phrase sung, and a fifth of mood; 0.5 where nothing is sung."""
    grid, windows, lyrics = material.grid, material.windows, material.lyrics
    out = np.full((grid.energy.size, windows.clip.size), 0.5, np.float32)
    sung = grid.phrase >= 0
    if lyrics is None or not sung.any():
        return out
    shots = sorted(set(zip(windows.clip.tolist(), windows.shot.tolist(), strict=True)))
    tags = [material.clip_tags[c] + material.clips[c].shot_tags[s] for c, s in shots]
    meaning = nearness(lyrics.embeddings, tags, embed)[:, number_shots(windows.clip, windows.shot)]
    cheer = rank(rank(windows.brightness) + rank(_warmth(windows.histogram)))
    mood = _alike(((lyrics.valence + 1) / 2).astype(np.float32), cheer) + _alike(
        lyrics.arousal, rank(windows.motion, windows.liveliness)
    )
    out[sung] = ((1 - EMOTION_SHARE) * meaning + EMOTION_SHARE * mood / 2)[grid.phrase[sung]]
    return out


def _warmth(histogram: Floats) -> Floats:
    """[n]: how much more of the picture is red to yellow than green to blue, grey counting for little."""
    bins = histogram.reshape(-1, HUES, SATURATIONS, VALUES).sum(axis=3)
    hue = np.cos(2 * np.pi * np.arange(HUES) / HUES - np.pi / 6)  # warmest at orange, 30 degrees
    return np.asarray(hue @ bins @ np.arange(SATURATIONS), np.float32)


def nearness(phrases: Floats, tags: Sequence[Sequence[str]], embed: Embed) -> Floats:
    """[n_phrases, n_shots]: percentile rank (0..1) of each shot by the similarity of its tags to each phrase.

    Similarity is the mean of that to all tags together and that to the nearest single tag. Shots without a tag get
    0.5.
    """
    tagged = [k for k, t in enumerate(tags) if t]
    out = np.full((len(phrases), len(tags)), 0.5, np.float32)
    if len(tagged) < 2:
        return out
    texts = sorted({t for k in tagged for t in (*tags[k], ", ".join(tags[k]))})
    index = {t: n for n, t in enumerate(texts)}
    near = phrases @ np.asarray(embed(texts), np.float32).T
    together = near[:, [index[", ".join(tags[k])] for k in tagged]]
    single = np.stack([near[:, [index[t] for t in tags[k]]].max(axis=1) for k in tagged], axis=1)
    similarity = np.round((together + single) / 2, 5)
    out[:, tagged] = np.stack([rank(row) for row in similarity])
    return out


def flow_between(windows: Windows, visible: NDArray[np.bool_]) -> Floats:
    """[n, n]: how smoothly b follows a, as a rank among all that may follow a; 0 where the cut would not be seen.

    Smooth are the same colours (half), the same direction of motion (0.3) and the same brightness (0.2).
    """
    colour = 1 - _colour_distance(windows)
    light = 1 - np.abs(windows.brightness[:, None] - windows.brightness[None, :])
    speed = np.linalg.norm(windows.direction, axis=1)
    unit = windows.direction / np.maximum(speed, 1e-9)[:, None]
    moving = np.minimum(1, speed / MOVING)
    heading = 0.5 + 0.5 * (unit @ unit.T) * moving[:, None] * moving[None, :]
    smooth = np.where(visible, 0.5 * colour + 0.2 * light + 0.3 * heading, -1)
    place = np.argsort(np.argsort(smooth, axis=1, kind="stable"), axis=1, kind="stable")
    hidden = np.sum(~visible, axis=1, keepdims=True)
    return np.asarray(np.clip((place - hidden + 1) / np.maximum(windows.clip.size - hidden, 1), 0, 1), np.float32)


def visible_between(windows: Windows) -> NDArray[np.bool_]:
    """[n, n]: whether a cut from a to b is surely seen, whichever frames of the two meet.

    The least distance of any two frames is at least that of the windows' mean histograms less both spreads (Hellinger
    is a metric). Within a shot twice the distance is asked for.
    """
    least = _colour_distance(windows) - windows.spread[:, None] - windows.spread[None, :]
    shot = number_shots(windows.clip, windows.shot)
    same = shot[:, None] == shot[None, :]
    light = np.abs(windows.brightness[:, None] - windows.brightness[None, :])
    return np.asarray(np.where(same, least >= 2 * VISIBLE, (least >= VISIBLE) | (light >= VISIBLE_BRIGHTNESS)))


def _colour_distance(windows: Windows) -> Floats:
    root = np.sqrt(windows.histogram)
    return np.asarray(np.sqrt(np.clip(1 - root @ root.T, 0, 1)), np.float32)
