"""The outline of a sound: audiowaveform's JSON (version 2) for a player, and a picture for a person.

The format: github.com/bbc/audiowaveform, doc/DataFormat.md.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.media.audio import stream

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VERSION = "2"  # raise it when the same sound gives another outline

_INK, _PAPER, _GRID = "#e8e6e3", "#14161b", "#2a2e37"
_PEAK, _BODY, _CLIP = "#2c7f8c", "#7fe3d6", "#ff6b6b"
_COLUMNS = 1540  # of the picture, about one a pixel
_CLIPPED = 0.985
_FINE = 64  # samples looked at together, before columns are made of them


@dataclass(frozen=True, slots=True)
class Outline:
    """All [n_channels, n_pixels], full scale = 1."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    square: NDArray[np.float32]  # mean square
    sample_rate: int
    samples_per_pixel: int
    duration: float  # s


def peaks(
    source: Path | str, *, samples_per_pixel: int = 256, bits: int = 8, split_channels: bool = False
) -> dict[str, Any]:
    """Lowest and highest sample of every ``samples_per_pixel``, as audiowaveform's JSON version 2 holds them.

    Channels are averaged unless ``split_channels``; ``data`` holds low, high for each pixel, channel after channel
    within it; ``bits`` is 8 (-128..127) or 16. The last pixel may cover fewer samples. Raises BadInput for other
    values and as decoding does.
    """
    if bits not in (8, 16):
        raise BadInput("bits", f"cannot be {bits}", "choose 8 or 16")
    if samples_per_pixel < 2:
        raise BadInput("samples per pixel", f"cannot be {samples_per_pixel}", "give at least 2")
    outline = _outline(source, samples_per_pixel, split_channels=split_channels)
    scale = 2.0 ** (bits - 1)
    pairs = np.stack([outline.low, outline.high], axis=2)  # [channels, n, 2]
    whole = np.clip(np.rint(pairs * scale), -scale, scale - 1).astype(np.int64)
    return {
        "version": 2,
        "channels": len(whole),
        "sample_rate": outline.sample_rate,
        "samples_per_pixel": samples_per_pixel,
        "bits": bits,
        "length": whole.shape[1],
        "data": whole.transpose(1, 0, 2).reshape(-1).tolist(),
    }


def picture(source: Path | str) -> bytes:
    """PNG, 1600 x 400: peaks with the RMS within them, a row for each of the first two channels; red: clipped.

    Raises BadInput as decoding does.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    outline = _outline(source, _FINE, split_channels=True)
    outline = _narrowed(outline, -(-outline.low.shape[1] // _COLUMNS))
    rows = min(len(outline.low), 2)
    figure = Figure(figsize=(16, 4), dpi=100, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(
        rows,
        1,
        sharex=True,
        squeeze=False,
        gridspec_kw={"left": 0.03, "right": 0.985, "top": 0.97, "bottom": 0.09, "hspace": 0.05},
    )[:, 0]
    times = np.arange(outline.low.shape[1]) * outline.samples_per_pixel / outline.sample_rate
    for i, axes in enumerate(all_axes):
        _draw(axes, times, outline, i)
        if rows == 2:
            axes.text(0.004, 0.86, ("left", "right")[i], transform=axes.transAxes, color=_INK, fontsize=10)
    all_axes[-1].set_xlim(0, max(outline.duration, 1e-3))
    all_axes[-1].xaxis.set_major_formatter(lambda seconds, _: f"{int(seconds) // 60}:{int(seconds) % 60:02d}")
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor=_PAPER)
    return out.getvalue()


def _outline(source: Path | str, size: int, *, split_channels: bool) -> Outline:
    lows, highs, squares = [], [], []
    rest: NDArray[np.float32] | None = None
    total = rate = 0
    for block in stream(source):
        wave = block.samples if split_channels else block.mono[None, :]
        rate, total = block.sample_rate, total + wave.shape[1]
        wave = wave if rest is None else np.concatenate([rest, wave], axis=1)
        n = wave.shape[1] // size
        pixels = wave[:, : n * size].reshape(len(wave), n, size)
        lows.append(pixels.min(axis=2))
        highs.append(pixels.max(axis=2))
        squares.append(np.square(pixels).mean(axis=2))
        rest = wave[:, n * size :].copy()
    if rest is not None and rest.shape[1]:
        lows.append(rest.min(axis=1, keepdims=True))
        highs.append(rest.max(axis=1, keepdims=True))
        squares.append(np.square(rest).mean(axis=1, keepdims=True))
    low, high, square = (np.concatenate(parts, axis=1) for parts in (lows, highs, squares))
    return Outline(low, high, square, rate, size, total / rate)


def _narrowed(outline: Outline, by: int) -> Outline:
    edges = np.arange(0, outline.low.shape[1], by)
    counts = np.diff(np.append(edges, outline.low.shape[1]))
    return Outline(
        low=np.minimum.reduceat(outline.low, edges, axis=1),
        high=np.maximum.reduceat(outline.high, edges, axis=1),
        square=np.asarray(np.add.reduceat(outline.square, edges, axis=1) / counts, np.float32),
        sample_rate=outline.sample_rate,
        samples_per_pixel=outline.samples_per_pixel * by,
        duration=outline.duration,
    )


def _draw(axes: Axes, times: NDArray[np.float64], outline: Outline, i: int) -> None:
    axes.set_facecolor(_PAPER)
    axes.tick_params(colors=_INK, labelsize=9, length=3)
    for spine in axes.spines.values():
        spine.set_color(_GRID)
    low, high, rms = outline.low[i], outline.high[i], np.sqrt(outline.square[i])
    axes.fill_between(times, low, high, step="post", color=_PEAK, lw=0)
    axes.fill_between(times, np.maximum(-rms, low), np.minimum(rms, high), step="post", color=_BODY, lw=0)
    axes.axhline(0, color=_PAPER, lw=0.6)
    clipped = np.maximum(high, -low) >= _CLIPPED
    axes.vlines(times[clipped], 1.0, 1.06, color=_CLIP, lw=1.2)
    axes.vlines(times[clipped], -1.06, -1.0, color=_CLIP, lw=1.2)
    axes.set_ylim(-1.08, 1.08)
    marks = (-1.0, -0.5, 0.0, 0.5, 1.0)
    axes.set_yticks(marks, ["0", "-6", "", "-6", "0 dB"])
    axes.grid(axis="y", color=_GRID, lw=0.5)
    axes.set_axisbelow(True)
