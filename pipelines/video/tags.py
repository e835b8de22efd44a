"""Visual tags of a shot: plain English words by rule, so that an editor can predict them.

=============================  ==================================================================================
``dark`` / ``bright``          mean brightness below 0.25 / above 0.62
``colourful`` / ``grey``       mean saturation above 0.5 / below 0.12
``warm`` / ``cool``            coloured pixels: reds to yellows outweigh cyans to violets 2 to 1 / the reverse
``red`` ``orange`` ...         a hue on at least a fifth of the picture and half of its coloured pixels
``still`` ``slow`` ``fast``    mean motion below 0.01, 0.01 to 0.05, above 0.25 diagonals a second
``sharp`` / ``soft``           mean sharpness above 0.7 / below 0.25
``face`` ``close-up`` ``crowd``  faces in at least a third of the looks; covering a tenth; four or more at once
=============================  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.video.colour import HUES, SATURATIONS, VALUES

if TYPE_CHECKING:
    from pipelines.video.analysis import VideoFeatures

HUE_NAMES = (
    "red", "orange", "yellow", "green", "green", "green", "cyan", "blue", "blue", "purple", "pink", "pink",
)  # fmt: skip
WARM = np.isin(np.arange(HUES), (0, 1, 2, 11))
COOL = np.isin(np.arange(HUES), (5, 6, 7, 8, 9))
NAMED_SHARE, NAMED_PART = 0.2, 0.5


@dataclass(frozen=True, slots=True)
class ShotLook:
    """Means over one shot, in the units of VideoFeatures."""

    histogram: NDArray[np.float32]
    brightness: float
    motion: float
    sharpness: float
    looks_with_face: float  # share of the looks
    face_share: float  # of the picture, the largest of the looks
    face_count: float  # the largest of the looks


def tags_of(look: ShotLook) -> tuple[str, ...]:
    """Tags in a fixed order."""
    return (*_light(look), *_colours(look.histogram), *_movement(look.motion), *_faces(look))


def _light(look: ShotLook) -> list[str]:
    tags = []
    if look.brightness < 0.25:
        tags.append("dark")
    elif look.brightness > 0.62:
        tags.append("bright")
    if look.sharpness > 0.7:
        tags.append("sharp")
    elif look.sharpness < 0.25:
        tags.append("soft")
    return tags


def _colours(histogram: NDArray[np.float32]) -> list[str]:
    bins = histogram.reshape(HUES, SATURATIONS, VALUES)
    middle = (np.arange(SATURATIONS) + 0.5) / SATURATIONS
    saturation = float((bins.sum(axis=2) @ middle).sum())
    coloured = bins[:, 1:, 1:].sum(axis=(1, 2))  # hue means little in near-greys and near-blacks
    tags = []
    if saturation > 0.5:
        tags.append("colourful")
    elif coloured.sum() < 0.05:
        tags.append("grey")
    if coloured.sum() >= 0.1:
        warm, cool = float(coloured[WARM].sum()), float(coloured[COOL].sum())
        if warm > 2 * cool:
            tags.append("warm")
        elif cool > 2 * warm:
            tags.append("cool")
    for name in dict.fromkeys(HUE_NAMES):
        share = float(sum(c for c, n in zip(coloured, HUE_NAMES, strict=True) if n == name))
        if share >= NAMED_SHARE and share >= NAMED_PART * float(coloured.sum()):
            tags.append(name)
    return tags


def _movement(motion: float) -> list[str]:
    if motion < 0.01:
        return ["still"]
    if motion < 0.05:
        return ["slow"]
    return ["fast"] if motion > 0.25 else []


def _faces(look: ShotLook) -> list[str]:
    if look.looks_with_face < 1 / 3:
        return []
    tags = ["face"]
    if look.face_share >= 0.1:
        tags.append("close-up")
    if look.face_count >= 4:
        tags.append("crowd")
    return tags


def shot_tags(features: VideoFeatures, faces: Mapping[str, NDArray[Any]]) -> tuple[tuple[str, ...], ...]:
    """Tags of each shot; empty where colours were not analysed."""
    edges = [0, *features.shot_boundaries.tolist(), features.n_frames]
    if not len(features.sample_frames):
        return ((),) * (len(edges) - 1)
    looks = faces.get("face_frames", np.zeros(0, np.int64))
    tags = []
    for first, stop in pairwise(edges):
        rows = features.histograms[(features.sample_frames >= first) & (features.sample_frames < stop)]
        if not len(rows):  # shorter than the sampling: the nearest sample stands for it
            nearest = np.abs(features.sample_frames - (first + stop) / 2).argmin()
            rows = features.histograms[nearest : nearest + 1]
        seen = (looks >= first) & (looks < stop)
        counts, shares = (faces[key][seen] if seen.any() else np.zeros(1) for key in ("face_count", "face_share"))
        tags.append(
            tags_of(
                ShotLook(
                    histogram=rows.mean(axis=0),
                    brightness=float(features.brightness[first:stop].mean()),
                    motion=float(features.motion[first:stop].mean()),
                    sharpness=float(features.sharpness[first:stop].mean()),
                    looks_with_face=float((counts > 0).mean()),
                    face_share=float(shares.max()),
                    face_count=float(counts.max()),
                )
            )
        )
    return tuple(tags)
