"""Pictures of a piece of music for a person's eye. They draw what analysis.py found and find nothing themselves."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.analysis import MusicFeatures
from pipelines.audio.spectrum import Spectrum, mel_corners
from pipelines.media.audio import Audio, stream

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _PAPER, _GRID = "#e8e6e3", "#14161b", "#2a2e37"
_BEAT, _DOWNBEAT, _ENERGY = "#9aa3b2", "#ffd166", "#4fd1c5"
_SECTIONS = ("#5b8def", "#ef7b5b", "#5bc98a", "#c27be0", "#e0b64b", "#58c4dd", "#e0709b", "#9aa36a")
_COLUMNS = 1600  # of the spectrogram: more than the picture has pixels is only slow to draw


def mel_with_beats(source: Path | str | Audio, music: MusicFeatures) -> bytes:
    """PNG, 1600 x 700: sections, mel spectrogram with downbeats, and energy with beats on one time axis.

    ``source`` is the file that ``music`` was found in, or its decoded sound. Raises BadInput as decoding does.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    level, top_hz = _spectrogram(source)
    figure = Figure(figsize=(16, 7), dpi=100, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    rows = figure.subplots(
        3,
        1,
        sharex=True,
        gridspec_kw={
            "height_ratios": [0.5, 5, 1.7],
            "hspace": 0.04,
            "left": 0.052,
            "right": 0.985,
            "top": 0.9,
            "bottom": 0.075,
        },
    )
    _draw_sections(rows[0], music)
    _draw_spectrogram(rows[1], level, top_hz, music)
    _draw_energy(rows[2], music)
    rows[2].set_xlim(0, max(music.duration, 1e-3))
    figure.text(0.052, 0.945, _caption(music), color=_INK, fontsize=15, fontweight="bold")
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor=_PAPER)
    return out.getvalue()


def _caption(music: MusicFeatures) -> str:
    loud = (
        "silent"
        if np.isneginf(music.loudness_lufs)
        else f"{music.loudness_lufs:.1f} LUFS, {music.true_peak_dbtp:.1f} dBTP"
    )
    if not len(music.beats):
        return f"no beat found   ·   {_clock(music.duration)}   ·   {loud}"
    tempo = f"{music.bpm:.2f} BPM, confidence {music.bpm_confidence:.0%}"
    return "   ·   ".join([tempo, f"{music.beats_per_bar} beats a bar", _clock(music.duration), loud])


def _spectrogram(source: Path | str | Audio) -> tuple[NDArray[np.float32], float]:
    """(dB [n_columns, n_mels], Hz of the top edge), drawn from at most `_COLUMNS` means over time."""
    blocks = [source] if isinstance(source, Audio) else stream(source)
    spectrum: Spectrum | None = None
    for block in blocks:
        spectrum = spectrum or Spectrum(block.sample_rate)
        spectrum.push(block.mono)
    if spectrum is None:
        raise ValueError("no block of sound")
    frames = spectrum.finish()
    n = len(frames.mel)
    edges = np.unique(np.linspace(0, n, min(n, _COLUMNS) + 1).astype(np.int64))[:-1]
    power = np.add.reduceat(frames.mel, edges, axis=0) / np.diff(np.append(edges, n))[:, None]
    level = 10 * np.log10(np.maximum(power, 1e-10))
    return np.asarray(level, np.float32), float(mel_corners(frames.sample_rate)[-1])


def _draw_sections(axes: Axes, music: MusicFeatures) -> None:
    _plain(axes)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.tick_params(bottom=False)
    for name, start, end in _spans(music):
        axes.axvspan(start, end, color=_colour(name, music), alpha=0.9, lw=0)
        if end - start > music.duration / 60:
            axes.text(
                (start + end) / 2, 0.47, name, color=_PAPER, fontsize=14, fontweight="bold", ha="center", va="center"
            )
    for edge in music.section_boundaries[1:-1]:
        axes.axvline(edge, color=_PAPER, lw=2)


def _draw_spectrogram(axes: Axes, level: NDArray[np.float32], top_hz: float, music: MusicFeatures) -> None:
    _plain(axes)
    high = float(np.percentile(level, 99.7))
    low = max(high - 70.0, float(level.min()) - 1.0)
    extent = (0.0, music.duration, 0.0, float(level.shape[1]))
    axes.imshow(level.T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=low, vmax=max(high, low + 1))
    centres = mel_corners(round(top_hz * 2))[1:-1]
    marks = [hz for hz in (100, 300, 1000, 3000, 10000) if hz < top_hz]
    axes.set_yticks(np.interp(marks, centres, np.arange(len(centres)) + 0.5))
    axes.set_yticklabels([f"{hz // 1000} kHz" if hz >= 1000 else f"{hz} Hz" for hz in marks])
    strong = 0.55 if music.duration < 200 else 0.3
    axes.vlines(music.downbeats, 0, level.shape[1], color=_DOWNBEAT, lw=0.8, alpha=strong)
    for edge in music.section_boundaries[1:-1]:
        axes.axvline(edge, color=_INK, lw=1.6, alpha=0.9)


def _draw_energy(axes: Axes, music: MusicFeatures) -> None:
    _plain(axes)
    times = (np.arange(len(music.energy)) + 0.5) / music.energy_rate
    for name, start, end in _spans(music):
        axes.axvspan(start, end, color=_colour(name, music), alpha=0.10, lw=0)
    axes.fill_between(times, music.energy, color=_ENERGY, alpha=0.35, lw=0)
    axes.plot(times, music.energy, color=_ENERGY, lw=1.6)
    other = np.setdiff1d(music.beats, music.downbeats)
    axes.vlines(other, -0.24, -0.12, color=_BEAT, lw=0.9)
    axes.vlines(music.downbeats, -0.28, -0.08, color=_DOWNBEAT, lw=1.3)
    axes.set_ylim(-0.34, 1.06)
    axes.set_yticks([-0.18, 0, 1], ["beats", "0", "1"])
    axes.set_ylabel("energy", color=_INK, fontsize=11)
    axes.xaxis.set_major_formatter(lambda seconds, _: _clock(seconds))


def _spans(music: MusicFeatures) -> list[tuple[str, float, float]]:
    edges = music.section_boundaries
    return [(n, float(a), float(b)) for n, a, b in zip(music.section_labels, edges[:-1], edges[1:], strict=True)]


def _colour(name: str, music: MusicFeatures) -> str:
    order = list(dict.fromkeys(music.section_labels))
    return _SECTIONS[order.index(name) % len(_SECTIONS)]


def _plain(axes: Any) -> None:
    axes.set_facecolor(_PAPER)
    axes.tick_params(colors=_INK, labelsize=10, length=3)
    for spine in axes.spines.values():
        spine.set_color(_GRID)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(round(seconds), 0), 60)
    return f"{minutes}:{rest:02d}"
