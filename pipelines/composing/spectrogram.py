"""The spectrogram of a rendered piece on an axis of pitch, so that it can be laid beside its piano roll.

It draws sound that rendering.py made, or any other; the notes as written are piano_roll.py's.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.bars import bars
from pipelines.composing.piano_roll import DIM, GRID, INK, PAPER, printable
from pipelines.composing.piece import Piece

WIDTH = 1200  # px
_LOW, _HIGH = 24, 132  # MIDI pitches drawn: 33 Hz to 16.7 kHz
_PER_SEMITONE = 3
_RANGE = 70.0  # dB
_COLUMNS = 1120


def draw(samples: NDArray[np.float32], sample_rate: int, *, piece: Piece | None = None, width: int = WIDTH) -> bytes:
    """PNG of ``samples`` [n] or [n, 2] at ``sample_rate``; bars of ``piece`` are marked when it is given."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    seconds = max(len(mono), 1) / sample_rate
    levels = by_pitch(mono.astype(np.float32), sample_rate)
    figure = Figure(figsize=(width / 100, 4.8), dpi=100, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((54 / width, 0.09, 1 - 66 / width, 0.82), facecolor=PAPER)
    top = float(levels.max())
    axes.imshow(levels, origin="lower", aspect="auto", extent=(0, seconds, _LOW, _HIGH), cmap="magma",
                vmin=top - _RANGE, vmax=top, interpolation="bilinear")  # fmt: skip
    octaves = [p for p in range(_LOW, _HIGH + 1) if p % 12 == 0]
    axes.set_yticks(octaves, [f"C{p // 12 - 1}" for p in octaves], color=DIM, fontsize=8)
    axes.set_xlim(0, seconds)
    if piece is not None:
        from pipelines.composing.rendering import moments

        found = bars(piece)
        starts = moments(piece, np.array([bar.start for bar in found], np.int64))
        every = max(1, -(-len(found) // 40))
        for start in starts[::every]:
            axes.axvline(start, color=INK, lw=0.5, alpha=0.35)
        axes.set_xticks(starts[::every], [str(bar.number) for bar in found[::every]], color=DIM, fontsize=8)
        title = printable(piece.name) or "untitled"
        figure.text(14 / width, 0.945, title, color=INK, fontsize=11, weight="bold", parse_math=False)
    axes.tick_params(colors=DIM, length=0, labelsize=8)
    for spine in axes.spines.values():
        spine.set_color(GRID)
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor=PAPER, metadata={"Software": None})
    return out.getvalue()


def by_pitch(mono: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """dB [n_pitches * 3, n_columns] of float32 [n]: a long window for the lows, a short one for the highs.

    A long sound is looked at in as many places as there are columns, so that time and memory stay small.
    """
    pitches = np.arange((_HIGH - _LOW) * _PER_SEMITONE) / _PER_SEMITONE + _LOW
    hz = 440 * 2 ** ((pitches - 69) / 12)
    n_columns = int(np.clip(len(mono) / sample_rate * 100, 2, _COLUMNS))
    centres = np.linspace(0, max(len(mono) - 1, 0), n_columns).astype(np.int64)
    out = np.full((len(hz), n_columns), -120.0, np.float32)
    for size, low, high in ((16384, 0.0, 262.0), (8192, 262.0, 1047.0), (2048, 1047.0, 1e9)):
        rows = (hz >= low) & (hz < high) & (hz < sample_rate / 2)
        if not rows.any():
            continue
        padded = np.pad(mono, size // 2)
        window = np.hanning(size).astype(np.float32)
        for first in range(0, n_columns, 64):
            at = centres[first : first + 64, None] + np.arange(size)[None, :]
            power = np.abs(np.fft.rfft(padded[at] * window, axis=1)) / window.sum()
            place = hz[rows] * size / sample_rate
            whole = np.clip(place.astype(np.int64), 0, size // 2 - 1)
            part = place - whole
            levels = power[:, whole] * (1 - part) + power[:, whole + 1] * part
            out[rows, first : first + 64] = 20 * np.log10(np.maximum(levels.T, 1e-6))
    return out
