"""A master beside its source for a person's eye: spectra, loudness over time, true peaks, and the figures.

Both files are read again as they are; nothing is drawn from what the chain believes it did.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.loudness import Loudness, LoudnessMeter
from pipelines.mastering.envelopes import cell_size
from pipelines.mastering.limiter import CellPeaks
from pipelines.mastering.mastering import Master
from pipelines.mastering.shelves import HIGH_BAND, LOW_BAND, Spectrograph, tonal
from pipelines.media.audio import stream

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _PAPER, _GRID, _DIM = "#e8e6e3", "#14161b", "#2a2e37", "#9aa3b2"
_BEFORE, _AFTER, _LIMIT = "#8b93a7", "#4fd1c5", "#ffd166"
_PER_OCTAVE = 24  # points of the smoothed spectrum
_COLUMNS = 400  # stretches of the true-peak picture, at most
_FLOOR = -60.0  # LUFS and dBTP drawn at the bottom at most


@dataclass(frozen=True, slots=True)
class _Look:
    loudness: Loudness
    hz: NDArray[np.float64]  # [n_points], a 24th of an octave apart
    level: NDArray[np.float64]  # [n_points] dB per octave
    peaks: NDArray[np.float64]  # [n_stretches] dBTP
    stretch: float  # s
    duration: float  # s


def before_after(before: Path, after: Path, master: Master) -> bytes:
    """PNG, 1600 x 900, of the source ``before`` and its master ``after``. Raises BadInput as decoding does."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    stretch = max(0.25, master.duration / _COLUMNS)
    old, new = _look(before, stretch), _look(after, stretch)
    figure = Figure(figsize=(16, 9), dpi=100, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        3,
        2,
        width_ratios=[1.35, 1],
        height_ratios=[1.25, 1, 0.75],
        left=0.045,
        right=0.985,
        top=0.88,
        bottom=0.055,
        hspace=0.3,
        wspace=0.08,
    )
    _draw_spectra(figure.add_subplot(grid[0, 0]), old, new)
    _draw_loudness(figure.add_subplot(grid[1, :]), old, new, master)
    _draw_peaks(figure.add_subplot(grid[2, :]), old, new, master)
    _write_figures(figure.add_subplot(grid[0, 1]), master)
    title = f"{master.preset.title} master"
    figure.text(0.045, 0.945, title, color=_INK, fontsize=18, fontweight="bold")
    figure.text(0.045, 0.913, master.preset.intent, color=_DIM, fontsize=12)
    for i, (name, colour) in enumerate((("before", _BEFORE), ("after", _AFTER), ("target, ceiling", _LIMIT))):
        figure.text(0.745 + 0.065 * i, 0.945, f"━ {name}", color=colour, fontsize=12, fontfamily="DejaVu Sans")
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor=_PAPER)
    return out.getvalue()


def _look(path: Path, stretch: float) -> _Look:
    meter: LoudnessMeter | None = None
    total = rate = 0
    for block in stream(path):
        rate, total = block.sample_rate, total + block.samples.shape[1]
        if meter is None:
            meter, spectrum, cells = LoudnessMeter(rate, block.channels), Spectrograph(rate), CellPeaks(rate)
        meter.push(block.samples)
        spectrum.push(block.samples[tonal(block.channels)])
        cells.push(block.samples)
    if meter is None:
        raise ValueError("no block of sound")
    peaks = cells.finish()
    size = max(1, round(stretch * rate / cell_size(rate)))
    highest = np.maximum.reduceat(peaks, np.arange(0, len(peaks), size))
    hz, level = _per_octave(spectrum)
    return _Look(
        meter.finish(), hz, level, 20 * np.log10(np.maximum(highest, 1e-9)), size * cell_size(rate) / rate, total / rate
    )


def _per_octave(spectrum: Spectrograph) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Power per octave around each point, smoothed over about a third of an octave; all channels but the LFE summed."""
    from scipy.ndimage import gaussian_filter1d

    top, width = spectrum.sample_rate * 0.47, spectrum.sample_rate / spectrum.n_fft
    edges = 20.0 * 2 ** np.arange(0, np.log2(top / 20.0), 1 / _PER_OCTAVE)
    sums = np.concatenate([[0.0], np.cumsum(spectrum.power())])
    # Between bins it is interpolated: at the low end a bin is wider than the step.
    power = np.diff(np.interp(edges / width + 0.5, np.arange(len(sums)), sums)) * _PER_OCTAVE
    smooth = gaussian_filter1d(power, _PER_OCTAVE / 8, mode="nearest")
    points = np.sqrt(edges[:-1] * edges[1:])
    return points, 10 * np.log10(np.maximum(smooth, 1e-9))


def _draw_spectra(axes: Axes, old: _Look, new: _Look) -> None:
    _plain(axes, "spectrum: level per octave, each against its own mids (dB)")
    for low, high in (LOW_BAND, HIGH_BAND):
        axes.axvspan(low, high, color=_GRID, alpha=0.45, lw=0)
    if not np.isfinite(old.loudness.integrated):
        axes.text(0.5, 0.5, "silent", color=_DIM, fontsize=14, ha="center", va="center", transform=axes.transAxes)
        return
    curves = [(look, look.level - _mid(look), colour) for look, colour in ((old, _BEFORE), (new, _AFTER))]
    for look, level, colour in curves:
        axes.plot(look.hz, level, color=colour, lw=1.8)
    n = min(len(old.hz), len(new.hz))
    axes.fill_between(old.hz[:n], curves[0][1][:n], curves[1][1][:n], color=_AFTER, alpha=0.18, lw=0)
    axes.set_xscale("log")
    axes.set_xlim(25, max(old.hz[-1], new.hz[-1]))
    marks = [hz for hz in (30, 60, 125, 250, 500, 1000, 2000, 4000, 8000, 16000) if hz < axes.get_xlim()[1]]
    axes.set_xticks(marks, [f"{hz / 1000:g}k" if hz >= 1000 else f"{hz}" for hz in marks])
    axes.minorticks_off()
    highest = max(float(level.max()) for _, level, _ in curves)
    axes.set_ylim(max(min(float(level.min()) for _, level, _ in curves), highest - 55) - 2, highest + 3)


def _mid(look: _Look) -> float:
    inside = (look.hz >= 300) & (look.hz < 3000)
    return float(10 * np.log10(np.mean(10 ** (look.level[inside] / 10)))) if inside.any() else 0.0


def _draw_loudness(axes: Axes, old: _Look, new: _Look, master: Master) -> None:
    _plain(axes, "loudness over time: short-term, 3 s (LUFS)")
    shown = [new.loudness.short_term, old.loudness.short_term]
    for look, colour, width in ((old, _BEFORE, 1.3), (new, _AFTER, 1.8)):
        level = np.maximum(look.loudness.short_term, _FLOOR)
        # Each value stands at the middle of its window; a single window is drawn over the whole.
        times = np.arange(len(level)) * 0.1 + min(1.5, look.duration / 2)
        if len(level) == 1:
            times, level = np.array([0.0, look.duration]), np.repeat(level, 2)
        axes.plot(times, level, color=colour, lw=width)
    axes.axhline(master.settings.target_lufs, color=_LIMIT, lw=1.2, ls="--")
    heard = np.concatenate([level[np.isfinite(level)] for level in shown])
    low = max(_FLOOR, float(np.percentile(heard, 1)) - 3) if len(heard) else _FLOOR
    axes.set_ylim(low, max([master.settings.target_lufs, *heard.tolist()]) + 2)
    _time(axes, new)


def _draw_peaks(axes: Axes, old: _Look, new: _Look, master: Master) -> None:
    _plain(axes, f"true peak of every {old.stretch:.2g} s (dBTP)")
    low = max(_FLOOR, min(_lowest(old), _lowest(new), -12.0) - 2)
    for look, colour, width in ((old, _BEFORE, 1.1), (new, _AFTER, 1.5)):
        times = np.minimum(np.arange(len(look.peaks) + 1) * look.stretch, look.duration)
        axes.stairs(np.maximum(look.peaks, low), times, baseline=None, color=colour, lw=width)
    axes.axhline(master.preset.ceiling_dbtp, color=_LIMIT, lw=1.2, ls="--")
    axes.set_ylim(low, max(1.0, old.loudness.true_peak, new.loudness.true_peak) + 0.5)
    _time(axes, new)


def _lowest(look: _Look) -> float:
    heard = look.peaks[look.peaks > _FLOOR]
    return float(np.percentile(heard, 5)) if len(heard) else _FLOOR


def _write_figures(axes: Axes, master: Master) -> None:
    axes.axis("off")
    old, new, target = master.before, master.after, master.settings.target_lufs
    rows = [
        ("integrated loudness", _level(old.lufs), _level(new.lufs, "LUFS"), f"target {target:g}"),
        (
            "true peak",
            _level(old.true_peak_dbtp),
            _level(new.true_peak_dbtp, "dBTP", 2),
            f"≤ {master.preset.ceiling_dbtp:g}",
        ),
        ("loudness range", _level(old.lra), _level(new.lra, "LU"), ""),
        ("peak to loudness", _level(old.plr), _level(new.plr, "dB"), ""),
        ("loudest 3 s", _level(old.max_short_term), _level(new.max_short_term, "LUFS"), ""),
    ]
    did, tone = master.reductions, master.preset.tone
    steps = [
        ("gain", f"{master.gain_db:+.1f} dB", ""),
        ("low shelf", f"{master.settings.low_shelf_db:+.1f} dB", f"at {tone.low_hz:g} Hz"),
        ("high shelf", f"{master.settings.high_shelf_db:+.1f} dB", f"at {tone.high_hz:g} Hz"),
        ("compressor", *_reduced(did.compressor_mean, did.compressor_max)),
        ("limiter", *_reduced(did.limiter_mean, did.limiter_max)),
    ]
    y = 0.98
    for x, head in ((0.44, "before"), (0.50, "after")):
        colour = _BEFORE if head == "before" else _AFTER
        axes.text(x, y, head, color=colour, fontsize=12, ha="right" if x < 0.5 else "left", transform=axes.transAxes)
    for name, was, now, aim in rows:
        y -= 0.083
        _row(axes, y, name, [(0.44, was, _BEFORE, "right"), (0.50, now, _AFTER, "left"), (0.77, aim, _LIMIT, "left")])
    y -= 0.05
    for name, amount, note in steps:
        y -= 0.083
        _row(axes, y, name, [(0.50, amount, _INK, "left"), (0.77, note, _DIM, "left")])


def _level(value: float, unit: str = "", digits: int = 1) -> str:
    return f"{value:.{digits}f} {unit}".rstrip() if np.isfinite(value) else "silence"


def _reduced(mean: float, most: float) -> tuple[str, str]:
    if most < 0.05:
        return "idle", ""
    return f"{0.0 - round(mean, 1):.1f} dB on average", f"at most {-most:.1f} dB"  # 0.0, never -0.0


def _row(axes: Axes, y: float, name: str, cells: list[tuple[float, str, str, Any]]) -> None:
    axes.text(-0.01, y, name, color=_DIM, fontsize=12, transform=axes.transAxes)
    for x, text, colour, side in cells:
        axes.text(x, y, text, color=colour, fontsize=12, ha=side, transform=axes.transAxes)


def _time(axes: Axes, look: _Look) -> None:
    axes.set_xlim(0, max(look.duration, 1e-3))
    axes.xaxis.set_major_formatter(lambda seconds, _: f"{int(seconds) // 60}:{int(seconds) % 60:02d}")


def _plain(axes: Axes, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_facecolor(_PAPER)
    axes.set_title(title, color=_DIM, fontsize=11, loc="left")
    axes.tick_params(colors=_INK, labelsize=10, length=3)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(color=_GRID, lw=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color(_GRID)
