"""The picture of a song's words: how its emotions come and go. The numbers are analysis.py's.

No word of the song is drawn: a fresh machine has no Japanese font, and boxes in their place help nobody.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.lyrics.analysis import EMOTIONS, LyricsFeatures, lay_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {  # warm for pleasant, cold for unpleasant, told apart by lightness too
    "joy": "#f6b73c",
    "love": "#e4577d",
    "desire": "#a04a9c",
    "surprise": "#5fc1b5",
    "calm": "#a9cfe8",
    "sadness": "#3f6fb0",
    "fear": "#4b4a78",
    "anger": "#b9352c",
}
_INK, _FAINT = "#2b2d33", "#c9ccd3"
_POINTS = 900  # along the time axis: more than the picture has pixels to show


def emotions_over_time(features: LyricsFeatures, duration: float) -> bytes:
    """PNG (1320x560): the emotions' shares as stacked areas, the phrases as bars, and valence and arousal as lines.

    ``duration`` s of music are drawn; untimed phrases are laid out over them. Areas shrink to nothing where nobody
    sings. Shares are blended over about half a phrase, so that the eye sees the drift, not every line's jump.
    """
    from matplotlib.figure import Figure

    laid = lay_out(features, 0.0, duration)
    time = np.linspace(0.0, duration, _POINTS)
    blend, sung = _blend(laid, time)
    figure = Figure(figsize=(11, 4.67), dpi=120, facecolor="white")
    upper, lower = figure.subplots(
        2, 1, sharex=True, height_ratios=(2.1, 1), gridspec_kw={"hspace": 0.16, "left": 0.065, "right": 0.865}
    )
    figure.subplots_adjust(top=0.88, bottom=0.115)
    _draw_emotions(upper, time, (blend @ laid.emotions) * sung[:, None])
    _draw_phrases(upper, laid)
    voiced = np.where(sung > 0.2, 1.0, np.nan)
    _draw_affect(lower, time, blend @ laid.valence * voiced, blend @ laid.arousal * voiced)
    lower.set_xlim(0, duration)
    if features.timed:
        lower.set_xlabel("time in the music (s)", color=_INK)
    else:
        lower.set_xticks([])
        lower.set_xlabel("from the first line to the last (the words carry no times)", color=_INK)
    how = f"{len(laid.texts)} phrases, {_LANGUAGES[laid.language]}"
    figure.text(0.065, 0.935, "Emotions of the words", fontsize=13, color=_INK, weight="bold")
    figure.text(0.865, 0.937, how, fontsize=9.5, color="#777b85", ha="right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


_LANGUAGES = {"en": "English", "ja": "Japanese", "und": "language undetermined"}


def _blend(features: LyricsFeatures, time: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights of the phrases at each time [n_times, n], rows summing to 1, and how much is sung there (0..1) [n_times].

    A phrase's weight is its bar smoothed by a logistic slope a quarter of the usual phrase wide.
    """
    slope = max(float(np.median(features.ends - features.starts)) / 4, 1e-3)
    after = np.clip((time[:, None] - features.starts) / slope * 2, -30, 30)
    before = np.clip((features.ends - time[:, None]) / slope * 2, -30, 30)
    weight = 1 / (1 + np.exp(-after)) / (1 + np.exp(-before))
    total = weight.sum(axis=1)
    return weight / np.maximum(total, 1e-12)[:, None], np.clip(total, 0, 1)


def _draw_emotions(axes: Axes, time: NDArray[np.float64], shares: NDArray[np.float64]) -> None:
    order = list(COLOURS)
    layers = [shares[:, EMOTIONS.index(name)] for name in order]
    axes.stackplot(time, layers, colors=[COLOURS[name] for name in order], edgecolor="white", linewidth=0.6)
    axes.set_ylim(0, 1.09)
    axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.set_ylabel("share", color=_INK)
    mean = {name: float(layer.mean()) for name, layer in zip(order, layers, strict=True)}
    total = max(sum(mean.values()), 1e-9)
    for row, name in enumerate(reversed(order)):
        y = 0.97 - row * 0.135
        axes.text(1.018, y, "\u25a0", color=COLOURS[name], transform=axes.transAxes, va="center", fontsize=12)
        label = f"{name}  {100 * mean[name] / total:.0f} %"
        axes.text(1.042, y, label, color=_INK, transform=axes.transAxes, va="center", fontsize=9.5)
    _strip(axes)
    axes.tick_params(bottom=False)


def _draw_phrases(axes: Axes, features: LyricsFeatures) -> None:
    spans = [(start, end - start) for start, end in zip(features.starts, features.ends, strict=True)]
    axes.broken_barh(spans, (1.035, 0.04), facecolor=_INK, edgecolor="white", linewidth=1.5)


def _draw_affect(
    axes: Axes, time: NDArray[np.float64], valence: NDArray[np.float64], arousal: NDArray[np.float64]
) -> None:
    axes.axhline(0, color=_FAINT, linewidth=0.8)
    axes.fill_between(time, 0, valence, where=valence >= 0, color="#f6b73c", alpha=0.35, linewidth=0)
    axes.fill_between(time, 0, valence, where=valence < 0, color="#3f6fb0", alpha=0.35, linewidth=0)
    axes.plot(time, valence, color=_INK, linewidth=1.6)
    axes.plot(time, arousal, color="#b9352c", linewidth=1.1, linestyle=(0, (3, 2)))
    axes.set_ylim(-1.05, 1.05)
    axes.set_yticks([-1, 0, 1], ["\u22121", "0", "+1"])
    axes.text(1.018, 0.72, "\u2014  valence", color=_INK, transform=axes.transAxes, va="center", fontsize=9.5)
    axes.text(1.018, 0.46, "- -  arousal", color="#b9352c", transform=axes.transAxes, va="center", fontsize=9.5)
    _strip(axes)


def _strip(axes: Axes) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
    axes.tick_params(colors="#555a65", labelsize=9, length=3)
