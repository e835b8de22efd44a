"""The picture of an alignment: what each window said, the line through them, the second witness, the verdict.

It draws what alignment.py found and finds nothing itself.
"""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pipelines.mastering.alignment import Alignment

_INK, _PAPER, _GRID, _FAINT = "#e8e6e3", "#14161b", "#2a2e37", "#9aa3b2"
_AGREES, _STRAYS, _LINE, _PATH = "#4fd1c5", "#ef7b5b", "#ffd166", "#5b8def"
_VERDICTS = {"ok": "#5bc98a", "warn": "#ffd166", "fail": "#ef7b5b"}


def draw(alignment: Alignment, title: str = "") -> bytes:
    """PNG, 1600 x 620: above, every window's lag about the line in ms; below, the warping path over all lags in s."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 6.2), dpi=100, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    near, wide = figure.subplots(
        2,
        1,
        sharex=True,
        gridspec_kw={
            "height_ratios": [2.2, 1],
            "hspace": 0.09,
            "left": 0.062,
            "right": 0.985,
            "top": 0.8,
            "bottom": 0.085,
        },
    )
    _draw_windows(near, alignment)
    _draw_path(wide, alignment)
    wide.set_xlim(0, max(alignment.vocal_s, 1e-3))
    colour = _VERDICTS[alignment.verdict]
    figure.text(0.062, 0.925, alignment.verdict.upper(), color=colour, fontsize=22, fontweight="bold")
    figure.text(0.145, 0.93, _caption(alignment, title), color=_INK, fontsize=15, fontweight="bold")
    reasons = textwrap.wrap("; ".join(alignment.reasons), 170)
    reasons = [*reasons[:1], reasons[1] + (" ..." if len(reasons) > 2 else "")] if len(reasons) > 1 else reasons
    figure.text(0.062, 0.895, "\n".join(reasons), color=_FAINT, fontsize=12, va="top", linespacing=1.4)
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor=_PAPER)
    return out.getvalue()


def _caption(alignment: Alignment, title: str) -> str:
    parts = [f"lag {alignment.lag_s:+.4f} s", f"confidence {min(alignment.confidence, 0.99):.0%}"]
    if alignment.drift_ppm:
        parts.insert(1, f"drift {alignment.drift_ppm:+.1f} ppm")
    if alignment.verdict == "fail":
        parts = ["no lag to rely on", *parts[-1:]]
    return "   ·   ".join([title, *parts] if title else parts)


def _draw_windows(axes: Axes, alignment: Alignment) -> None:
    """Lags in ms about the lag at the vocal's start, so that drift is a slope and agreement is a row."""
    windows = alignment.windows
    _plain(axes)
    ms = (windows.lags - alignment.lag_s) * 1e3
    line = np.array([0.0, alignment.vocal_s])
    slope = alignment.drift_ppm * 1e-3
    extent = max(5.0, 1.5 * abs(slope) * alignment.vocal_s)
    if alignment.verdict == "fail":
        extent = 45.0
    low, high = (
        (-extent, extent) if not slope else (min(-5.0, extent * np.sign(slope)), max(5.0, extent * np.sign(slope)))
    )
    axes.axhline(0, color=_GRID, lw=1)
    if alignment.verdict != "fail":
        axes.fill_between(line, slope * line - 1, slope * line + 1, color=_LINE, alpha=0.12, lw=0)
        axes.plot(line, slope * line, color=_LINE, lw=1.6)
    axes.set_ylim(low, high)
    axes.set_ylabel("windows: ms from\nthe lag at the start", color=_INK, fontsize=11)
    if alignment.by_rhythm:
        note = "no window hears common sound: the lag is the rhythm's"
        axes.text(0.5, 0.62, note, transform=axes.transAxes, color=_FAINT, fontsize=13, ha="center")
        return
    size = 20 + 45 * np.clip(np.log2(np.maximum(windows.peaks, 1)) / 10, 0, 1)
    inside = (ms >= low) & (ms <= high)
    for chosen, colour, name in (
        (windows.agrees & inside, _AGREES, "agrees"),
        (~windows.agrees & inside, _STRAYS, "does not agree"),
    ):
        if chosen.any():
            axes.scatter(windows.times[chosen], ms[chosen], s=size[chosen], color=colour, label=name, zorder=3, lw=0)
    out = ~inside
    if out.any():
        edge = np.where(ms[out] > high, high - 0.03 * (high - low), low + 0.03 * (high - low))
        axes.scatter(windows.times[out], edge, s=26, color=_STRAYS, marker="x", label="beyond the picture", lw=1.2)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.985), ncol=3, fontsize=10, frameon=False, labelcolor=_INK)


def _draw_path(axes: Axes, alignment: Alignment) -> None:
    _plain(axes)
    times = alignment.path_start + np.arange(len(alignment.path)) / 10
    axes.plot(times, alignment.path, color=_PATH, lw=1.4)
    if alignment.verdict != "fail":
        axes.axhline(alignment.lag_s, color=_LINE, lw=1, ls=(0, (4, 3)))
    shown = alignment.path[np.isfinite(alignment.path)]
    if alignment.verdict != "fail":
        shown = np.append(shown, alignment.lag_s)
    middle = float(shown.max() + shown.min()) / 2 if len(shown) else 0.0
    half = max(1.0, 0.6 * float(np.ptp(shown))) if len(shown) else 1.0
    axes.set_ylim(middle - half, middle + half)
    axes.set_ylabel("warping of\nthe music, s", color=_INK, fontsize=11)
    axes.xaxis.set_major_formatter(lambda seconds, _: _clock(seconds))


def _plain(axes: Any) -> None:
    axes.set_facecolor(_PAPER)
    axes.tick_params(colors=_INK, labelsize=10, length=3)
    for spine in axes.spines.values():
        spine.set_color(_GRID)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(round(seconds), 0), 60)
    return f"{minutes}:{rest:02d}"
