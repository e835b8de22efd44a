"""Pictures of a clip for people: the strip of its shots over their scores, and a contact sheet of its frames.

What is drawn was measured elsewhere (VideoFeatures); frames come from media/frames.py.
"""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.media.frames import read_frames

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pipelines.video.analysis import VideoFeatures

FEWEST_PICTURES, MOST_PICTURES = 9, 18
THUMBNAIL = 240  # pixels wide
INK, FAINT = "#22303c", "#b9c3cc"
SHOT_COLOURS = ("#3d6fb4", "#e07b39", "#3f9a78", "#b5508c", "#8a6fc0", "#c7a021")
SCORE, MOTION = "#22303c", "#7fb2d9"


def strip_of_shots(path: str | Path, features: VideoFeatures) -> bytes:
    """PNG: thumbnails of the shots, joined to their place on the time axis; below them score, threshold and motion."""
    from matplotlib.figure import Figure

    edges = _edges(features)
    counts = _pictures_per_shot(np.diff(edges))
    shown = np.flatnonzero(counts)
    times = [
        edges[shot] + (edges[shot + 1] - edges[shot]) * (k + 0.5) / counts[shot]
        for shot in shown
        for k in range(counts[shot])
    ]
    aspect = features.width / features.height
    columns = len(times)
    width = 15.0
    strip = min(4.0, width * 0.93 / columns / aspect)
    height = strip + 3.7
    figure = Figure(figsize=(width, height), dpi=110, facecolor="white")
    left, wide = 0.05, 0.93
    row = figure.add_axes((left, 1 - (strip + 0.5) / height, wide, strip / height))
    links = figure.add_axes((left, 2.75 / height, wide, 0.45 / height))
    curve = figure.add_axes((left, 0.5 / height, wide, 2.25 / height))
    _draw_thumbnails(row, list(read_frames(path, times, THUMBNAIL)), np.repeat(shown, counts[shown]), aspect)
    _draw_links(links, shown, counts, edges)
    _draw_curves(curve, features, edges)
    n_shots = len(edges) - 1
    some = f", {len(shown)} of them shown" if len(shown) < n_shots else ""
    title = f"{n_shots} shot{'s' * (n_shots != 1)}{some} in {_clock(features.duration)} s at {features.fps:.5g} fps"
    figure.text(left, 1 - 0.32 / height, title, color=INK, fontsize=12, weight="bold")
    return _png(figure)


def contact_sheet(path: str | Path, n: int = 20) -> bytes:
    """PNG: ``n`` frames spread evenly over the clip, on a grid, each under its time."""
    from matplotlib.figure import Figure

    from pipelines.media.probe import probe

    film = probe(path).video
    duration = film.duration if film else 0.0  # read_frames says what is wrong with a clip without pictures
    times = [duration * (k + 0.5) / n for k in range(n)]
    tall = next(read_frames(path, times[:1], THUMBNAIL)).shape[0] / THUMBNAIL
    columns = min(n, 5 if tall <= 1 else 8)
    pictures = read_frames(path, times, 1500 // columns)  # a pixel a pixel: enlarged ones look worse than they are
    rows = -(-n // columns)
    cell = 15.0 / columns
    high = cell * tall + 0.26
    figure = Figure(figsize=(15.0, rows * high + 0.1), dpi=100, facecolor="white")
    whole = rows * high + 0.1
    for k, (time, picture) in enumerate(zip(times, pictures, strict=True)):
        row, column = divmod(k, columns)
        bottom = 1 - (row * high + 0.26 + cell * tall) / whole
        axes = figure.add_axes((column / columns + 0.002, bottom, 1 / columns - 0.004, cell * tall / whole))
        axes.imshow(picture, aspect="auto")
        axes.set_axis_off()
        axes.set_title(f"{_clock(time)} s", fontsize=9, color=INK, pad=3, loc="left", family="monospace")
    return _png(figure)


def _edges(features: VideoFeatures) -> NDArray[np.float64]:
    """Times of the shots' starts and of the end, s."""
    starts = features.frame_times[features.shot_boundaries]
    return np.concatenate([[0.0], starts, [features.duration]])


def _pictures_per_shot(lengths: NDArray[np.float64]) -> NDArray[np.int64]:
    """One a shot, more for long shots while there is room, and only evenly chosen shots where there is none."""
    counts = np.zeros(len(lengths), np.int64)
    if len(lengths) > MOST_PICTURES:
        counts[np.linspace(0, len(lengths) - 1, MOST_PICTURES).round().astype(int)] = 1
        return counts
    counts += 1
    while counts.sum() < FEWEST_PICTURES:
        counts[np.argmax(lengths / counts)] += 1
    return counts


def _draw_thumbnails(axes: Axes, pictures: list[NDArray[np.uint8]], shots: NDArray[np.int64], aspect: float) -> None:
    from matplotlib.patches import Rectangle

    for k, (picture, shot) in enumerate(zip(pictures, shots, strict=True)):
        axes.imshow(picture, extent=(k + 0.015, k + 0.985, 0, 1), aspect="auto", interpolation="lanczos")
        if k == 0 or shots[k - 1] != shot:
            last = int(np.flatnonzero(shots == shot)[-1])
            colour = SHOT_COLOURS[shot % len(SHOT_COLOURS)]
            axes.add_patch(Rectangle((k + 0.015, -0.06), last - k + 0.97, 0.06, color=colour, lw=0))
            label = {"facecolor": colour, "edgecolor": "none", "pad": 2.2}
            axes.text(k + 0.045, 0.95, f"{shot + 1}", color="white", fontsize=9, weight="bold", va="top", bbox=label)
    axes.set_xlim(0, len(pictures))
    axes.set_ylim(-0.06, 1)
    axes.set_axis_off()


def _draw_links(axes: Axes, shown: NDArray[np.int64], counts: NDArray[np.int64], edges: NDArray[np.float64]) -> None:
    """From each shot's thumbnails down to its stretch of time."""
    end = edges[-1] or 1.0
    slots = np.concatenate([[0], np.cumsum(counts[shown])])
    for shot, (first, stop) in zip(shown, pairwise(slots / slots[-1]), strict=True):
        x = [first, stop, edges[shot + 1] / end, edges[shot] / end]
        axes.fill(x, [1, 1, 0, 0], color=SHOT_COLOURS[shot % len(SHOT_COLOURS)], alpha=0.22, lw=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_axis_off()


def _draw_curves(axes: Axes, features: VideoFeatures, edges: NDArray[np.float64]) -> None:
    from pipelines.video.shots import THRESHOLD

    times = features.frame_times
    for shot, (first, stop) in enumerate(pairwise(edges)):
        axes.axvspan(first, stop, color=SHOT_COLOURS[shot % len(SHOT_COLOURS)], alpha=0.07, lw=0)
    fastest = max(0.1, float(features.motion.max(initial=0)))
    motion = axes.twinx()
    motion.fill_between(times, features.motion, color=MOTION, alpha=0.55, lw=0)
    motion.set_ylim(0, fastest * 1.6)
    motion.set_axis_off()
    axes.set_zorder(motion.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.plot(times, features.shot_scores, color=SCORE, lw=1.0)
    axes.axhline(THRESHOLD, color=SCORE, lw=0.9, ls=(0, (4, 3)), alpha=0.7)
    axes.vlines(edges[1:-1], 0, 1.04, color="#c8322b", lw=1.3)
    many = len(edges) > 24
    for frame, time in zip(features.shot_boundaries, edges[1:-1], strict=True):
        if not many:
            axes.text(time, 1.05, f" {frame}", color="#c8322b", fontsize=8.5, ha="left", va="bottom")
    key = f"score   - - threshold {THRESHOLD:g}   | cut (frame)"
    axes.text(0.004, 1.16, key, transform=axes.get_yaxis_transform(), color=SCORE, fontsize=9, va="center")
    most = f"motion, up to {fastest:.2f} diagonals a second"
    axes.text(
        0.996, 1.16, most, transform=axes.get_yaxis_transform(), color="#3b7fb5", fontsize=9, ha="right", va="center"
    )
    axes.set_xlim(0, edges[-1] or 1.0)
    axes.set_ylim(0, 1.25)
    axes.set_yticks([0, 0.5, 1])
    axes.tick_params(colors=INK, labelsize=9, length=3)
    axes.set_xlabel("seconds", color=INK, fontsize=9, labelpad=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2f}"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:05.2f}" if hours else f"{minutes}:{rest:05.2f}"


def _png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
