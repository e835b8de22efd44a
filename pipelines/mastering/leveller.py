"""The gain with which a sound has the loudness asked for after its limiter, found by measuring what comes out.

The limiter takes loudness away, and how much depends on the gain; so the gain is a root to be found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.loudness import Loudness, LoudnessMeter, decibels
from pipelines.mastering import limiter
from pipelines.mastering.envelopes import along, cell_size
from pipelines.mastering.presets import Limiter
from pipelines.mastering.tape import Tape

TOLERANCE = 0.02  # LU
_PASSES = 20
_STEP = 2.0  # dB of gain at most from one try to the next
_MARGIN = 0.02  # dB under the ceiling at first: the gain's own movement may lift a point between samples by a hair
MOST_LIMITING = 24.0  # dB at the highest peak: beyond it the wave is more limiter than music
MOST_GAIN = 40.0  # dB from the input
_NOISY_GAIN = 25.0  # dB above which the noise of a recording will be heard
# What the limiter becomes, one after another, while the sound is not loud enough or pressed too flat: shares of its
# hold, release and look-ahead. A faster one bends low notes a little and lets the wave stand higher between peaks.
_HARDER = ((1.0, 1.0, 1.0), (0.3, 0.5, 0.7), (0.0, 0.25, 0.4))
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
    search = _Search(tape, channels, peaks, settings, limiter.HOLD)
    highest = decibels(float(peaks.max(initial=0.0)))
    plain = search.measure(0.0, np.zeros(len(peaks) + 1), true_peak=False)
    if not np.isfinite(plain.integrated):  # a silence keeps its level, but for the ceiling
        down = min(0.0, ceiling_dbtp - highest)
        quiet = search.measure(down, np.zeros(len(peaks) + 1), true_peak=True)
        return Level(down, np.zeros(len(peaks) + 1), quiet, ())
    most = min(ceiling_dbtp + MOST_LIMITING - highest, MOST_GAIN - already_db)
    start = min(target - plain.integrated, most)
    found: list[Level] = []
    for hold, release, lookahead in _HARDER:
        faster = Limiter(max(settings.lookahead_ms * lookahead, 1.0), settings.release_ms * release)
        search = _Search(tape, channels, peaks, faster, limiter.HOLD * hold)
        level = _below(search, start, most, target, ceiling_dbtp)
        found.append(level)
        if _missed(level, target) <= TOLERANCE and level.reductions.mean() <= _HEAVY:
            break
    # Of those that reach the target the one that presses least; else the one that comes nearest.
    reached = [level for level in found if _missed(level, target) <= 2 * TOLERANCE]
    if reached:
        level = min(reached, key=lambda level: float(level.reductions.mean()))
    else:
        level = min(found, key=lambda level: _missed(level, target))
    return replace(level, warnings=_warn(level.gain_db, already_db, level.reductions, level.loudness, target))


def _missed(level: Level, target: float) -> float:
    return abs(level.loudness.integrated - target)


def _below(search: _Search, gain: float, most: float, target: float, ceiling_dbtp: float) -> Level:
    """With what comes out measured, and the limiter's own ceiling lowered until that is not too high."""
    margin = _MARGIN
    while True:
        gain = search.solve(gain, most, target, ceiling_dbtp - margin)
        reductions = search.limiting(gain, ceiling_dbtp - margin)
        loudness = search.measure(gain, reductions, true_peak=True)
        over = loudness.true_peak - ceiling_dbtp
        if over <= 0:
            return Level(gain, reductions, loudness, ())
        margin += over + 0.005


class _Search:
    def __init__(
        self, tape: Tape, channels: Sequence[str], peaks: NDArray[np.float64], settings: Limiter, hold: float
    ) -> None:
        self._tape, self._channels, self._peaks, self._settings, self._hold = tape, channels, peaks, settings, hold

    def limiting(self, gain_db: float, ceiling_db: float) -> NDArray[np.float64]:
        rate = self._tape.sample_rate / cell_size(self._tape.sample_rate)
        return limiter.reductions(
            self._peaks * 10 ** (gain_db / 20), 10 ** (ceiling_db / 20), self._settings, rate, hold=self._hold
        )

    def measure(self, gain_db: float, reductions: NDArray[np.float64], *, true_peak: bool) -> Loudness:
        meter = LoudnessMeter(self._tape.sample_rate, self._channels, true_peak=true_peak)
        for block in _through(self._tape, 10 ** ((gain_db - reductions) / 20)):
            meter.push(block)
        return meter.finish()

    def solve(self, gain: float, most: float, target: float, ceiling_db: float) -> float:
        """The lowest gain that meets the target: step by step upwards, then between the nearest two on either side.

        The output rises by less than the gain as soon as the limiter works, and not at all in the end: long steps
        would land where all is limited flat.
        """
        below: tuple[float, float] | None = None  # (gain, LU still missing)
        above: tuple[float, float] | None = None
        best = (gain, np.inf)
        for _ in range(_PASSES):
            error = target - self.measure(gain, self.limiting(gain, ceiling_db), true_peak=False).integrated
            if abs(error) < abs(best[1]):
                best = (gain, error)
            if abs(error) <= TOLERANCE / 2 or (error > 0 and gain >= most):
                break
            slope = 1.0
            if error > 0:
                if below is not None and above is None and error >= below[1]:
                    break  # more gain makes it no louder
                slope = 1.0 if below is None else (below[1] - error) / (gain - below[0])
                below = (gain, error)
            else:
                above = (gain, error)
            if below is None or above is None:
                gain = min(gain + float(np.clip(error / max(slope, 0.3), -_STEP, _STEP)), most)
                continue
            share = float(np.clip(below[1] / (below[1] - above[1]), 0.05, 0.95))
            gain = below[0] + share * (above[0] - below[0])
        return best[0]


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
