"""The gain with which a sound has the loudness asked for after its limiter, found by measuring what comes out.

The limiter takes loudness away, and how much depends on the gain; so the gain is a root to be found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.loudness import Loudness, LoudnessMeter, decibels
from pipelines.mastering import limiter
from pipelines.mastering.envelopes import along, cell_size
from pipelines.mastering.presets import Limiter
from pipelines.mastering.tape import Tape

TOLERANCE = 0.02  # LU
_PASSES = 12
_MARGIN = 0.02  # dB under the ceiling at first: the gain's own movement may lift a point between samples by a hair
MOST_LIMITING = 24.0  # dB at the highest peak: beyond it the wave is more limiter than music
MOST_GAIN = 40.0  # dB from the input
_NOISY_GAIN = 25.0  # dB above which the noise of a recording will be heard
_HEAVY = 4.0  # dB of limiting on average, which is heard as flatness


@dataclass(frozen=True, slots=True)
class Level:
    gain_db: float
    reductions: NDArray[np.float64]  # [n_cells + 1] dB by the limiter, at the cells' edges
    loudness: Loudness  # measured on what comes out
    warnings: tuple[str, ...]

    @property
    def nodes(self) -> NDArray[np.float64]:
        """[n_cells + 1] linear."""
        return np.asarray(10 ** ((self.gain_db - self.reductions) / 20))


def blocks(tape: Tape, level: Level) -> Iterator[NDArray[np.float32]]:
    """[n_channels, n] one after another."""
    return _through(tape, level.nodes)


def find(
    tape: Tape,
    channels: Sequence[str],
    peaks: NDArray[np.float64],
    target: float,
    ceiling_dbtp: float,
    settings: Limiter,
    already_db: float = 0.0,
) -> Level:
    """The level at which ``tape`` meets ``target`` LUFS within `TOLERANCE` with no true peak above ``ceiling_dbtp``.

    ``peaks`` are limiter.py's cell peaks of the tape; ``already_db`` is the gain that it has had. The ceiling is kept
    first: a target out of reach is missed, with a warning.
    """
    search = _Search(tape, channels, peaks, settings)
    highest = decibels(float(peaks.max(initial=0.0)))
    plain = search.measure(0.0, np.zeros(len(peaks) + 1), true_peak=False)
    if not np.isfinite(plain.integrated):  # a silence keeps its level, but for the ceiling
        down = min(0.0, ceiling_dbtp - highest)
        quiet = search.measure(down, np.zeros(len(peaks) + 1), true_peak=True)
        return Level(down, np.zeros(len(peaks) + 1), quiet, ())
    most = min(ceiling_dbtp + MOST_LIMITING - highest, MOST_GAIN - already_db)
    margin = _MARGIN
    gain = min(target - plain.integrated, most)
    while True:
        gain = search.solve(gain, most, target, ceiling_dbtp - margin)
        reductions = search.limiting(gain, ceiling_dbtp - margin)
        loudness = search.measure(gain, reductions, true_peak=True)
        over = loudness.true_peak - ceiling_dbtp
        if over <= 0:
            break
        margin += over + 0.005
    return Level(gain, reductions, loudness, _warn(gain, already_db, reductions, loudness, target))


class _Search:
    def __init__(self, tape: Tape, channels: Sequence[str], peaks: NDArray[np.float64], settings: Limiter) -> None:
        self._tape, self._channels, self._peaks, self._settings = tape, channels, peaks, settings

    def limiting(self, gain_db: float, ceiling_db: float) -> NDArray[np.float64]:
        rate = self._tape.sample_rate / cell_size(self._tape.sample_rate)
        return limiter.reductions(self._peaks * 10 ** (gain_db / 20), 10 ** (ceiling_db / 20), self._settings, rate)

    def measure(self, gain_db: float, reductions: NDArray[np.float64], *, true_peak: bool) -> Loudness:
        meter = LoudnessMeter(self._tape.sample_rate, self._channels, true_peak=true_peak)
        for block in _through(self._tape, 10 ** ((gain_db - reductions) / 20)):
            meter.push(block)
        return meter.finish()

    def solve(self, gain: float, most: float, target: float, ceiling_db: float) -> float:
        """Secant steps: the output rises by less than the gain as soon as the limiter works."""
        tried: list[tuple[float, float]] = []
        for _ in range(_PASSES):
            error = target - self.measure(gain, self.limiting(gain, ceiling_db), true_peak=False).integrated
            tried.append((gain, error))
            if abs(error) <= TOLERANCE / 2 or (gain >= most and error > 0):
                break
            slope = 1.0
            if len(tried) > 1 and tried[-1][0] != tried[-2][0]:
                slope = (tried[-2][1] - tried[-1][1]) / (tried[-1][0] - tried[-2][0])
            gain = min(gain + error / float(np.clip(slope, 0.15, 1.5)), most)
        return min(tried, key=lambda t: abs(t[1]))[0]


def _through(tape: Tape, nodes: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
    cell, start = cell_size(tape.sample_rate), 0
    for block in tape.blocks():
        yield block * along(nodes, cell, start, block.shape[1])
        start += block.shape[1]


def _warn(
    gain: float, already_db: float, reductions: NDArray[np.float64], loudness: Loudness, target: float
) -> tuple[str, ...]:
    warnings = []
    missed = target - loudness.integrated
    if abs(missed) > 0.1:
        why = (
            f"its peaks would have to be limited by more than {MOST_LIMITING:.0f} dB"
            if gain + already_db < MOST_GAIN - 1e-6
            else f"that would take more than {MOST_GAIN:.0f} dB of gain"
        )
        warnings.append(f"{target:g} LUFS was not reached, the master has {loudness.integrated:.1f}: {why}")
    if gain + already_db > _NOISY_GAIN:
        warnings.append(f"the input was raised by {gain + already_db:.0f} dB, and its noise with it")
    mean = float(reductions.mean())
    if mean > _HEAVY:
        warnings.append(f"the limiter takes {mean:.1f} dB on average; a lower target would sound less flat")
    return tuple(warnings)
