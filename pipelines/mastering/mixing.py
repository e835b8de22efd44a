"""Two aligned stems as one mix: the vocal is put on the instrumental's clock, to a fraction of a sample.

Where the stems belong is found by alignment.py; the level of the mix is mastering's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.mastering import encoders
from pipelines.mastering.tape import BLOCK, Tape, record
from pipelines.media.replacing import replacing

_HALF = 24  # samples of the interpolating sinc on each side: -90 dB of error up to 0.9 of half the rate
_PHASES = 256
_BETA = 9.0  # Kaiser
_ROWS = 8192  # samples interpolated at once
MOST_LAG = 60.0  # s
MOST_DRIFT = 2000.0  # ppm
_HEARD = 10 ** (-60 / 20)  # what begins before the instrumental is kept if it reaches -60 dBFS


def mix(inst: Path, vocal: Path, out: Path, lag_s: float, drift_ppm: float = 0.0) -> Path:
    """Writes instrumental plus vocal, both at their own level, at the instrumental's rate; returns ``out``.

    The vocal's time t lies at t (1 + drift_ppm / 10^6) + ``lag_s`` of the instrumental's. What the vocal has beyond
    either end is kept (before the beginning only if it is heard). A mono vocal goes to both sides. ``out`` is a WAV
    of 32-bit floats, since a sum may exceed full scale, or whatever else its ending says.

    Raises BadInput for stems that cannot be put together, a lag over 60 s or a drift over 2000 ppm.
    """
    if not abs(lag_s) <= MOST_LAG or not abs(drift_ppm) <= MOST_DRIFT:
        reason = f"a lag of {lag_s:g} s with a drift of {drift_ppm:g} ppm is not that of two stems of one song"
        raise BadInput(vocal, reason, "check that the stems belong together")
    form = encoders.format_of(out)
    if form == encoders.WAV:
        form = encoders.FLOAT_WAV
    with replacing(out) as temporary:
        below, names = record(inst, out.parent)
        with below:
            encoders.check_channels(out, form, below.n_channels)
            above, other = record(vocal, out.parent)
            with above:
                route = _route(vocal, other, names)
                blocks = _sum(below, above, route, lag_s, 1 + drift_ppm * 1e-6)
                encoders.encode(blocks, temporary, below.sample_rate, names, form)
    return out


def _sum(
    below: Tape, above: Tape, route: NDArray[np.float32], lag_s: float, stretch: float
) -> Iterator[NDArray[np.float32]]:
    """Blocks [n_channels, n] of the sum, on the instrumental's clock."""
    clock = _Clock(below.sample_rate, above, lag_s, stretch)
    start = 0
    if clock.first < 0 and _is_heard(above, clock):
        start = clock.first
    for at in range(start, max(below.n_samples, clock.last), BLOCK):
        n = min(BLOCK, max(below.n_samples, clock.last) - at)
        yield below.read(at, n) + route @ clock.read(at, n)


class _Clock:
    """A tape as if it had been recorded at another rate, later by ``lag_s`` and ``stretch`` times as long."""

    def __init__(self, sample_rate: int, tape: Tape, lag_s: float, stretch: float) -> None:
        self._tape = tape
        self._step = tape.sample_rate / (sample_rate * stretch)  # of the tape's samples a sample
        self._origin = -lag_s / stretch * tape.sample_rate  # where sample 0 lies on the tape
        self.first = int(np.ceil(-self._origin / self._step))
        self.last = int(np.floor((tape.n_samples - 1 - self._origin) / self._step)) + 1
        # Whoever goes to a lower rate must leave out what the lower rate cannot hold.
        self._cut = min(1.0, 1.0 / self._step)
        self._half = int(np.ceil(_HALF / self._cut))
        self._table = _sinc_table(self._half, self._cut)

    def read(self, at: int, n: int) -> NDArray[np.float32]:
        """[n_channels, n] from sample ``at`` on."""
        if at + n + self._half < self.first or at - self._half > self.last:
            return np.zeros((self._tape.n_channels, n), np.float32)
        parts = [self._rows(start, min(_ROWS, at + n - start)) for start in range(at, at + n, _ROWS)]
        return np.concatenate(parts, axis=1)

    def _rows(self, at: int, n: int) -> NDArray[np.float32]:
        place = self._origin + (at + np.arange(n)) * self._step
        whole = np.floor(place).astype(np.int64)
        phase, between = np.divmod((place - whole) * _PHASES, 1.0)
        row, share = phase.astype(np.int64), between.astype(np.float32)[:, None]
        taps = self._table[row] * (1 - share) + self._table[row + 1] * share
        begin = int(whole[0]) - self._half + 1
        wave = self._tape.read(begin, int(whole[-1]) + self._half + 1 - begin)
        windows = np.lib.stride_tricks.sliding_window_view(wave, 2 * self._half, axis=1)
        return np.asarray(np.einsum("crt,rt->cr", windows[:, whole - whole[0]], taps), np.float32)


def _is_heard(above: Tape, clock: _Clock) -> bool:
    heads = (clock.read(at, min(BLOCK, -at)) for at in range(clock.first, 0, BLOCK))
    return any(float(np.abs(head).max(initial=0.0)) > _HEARD for head in heads)


def _sinc_table(half: int, cut: float) -> NDArray[np.float32]:
    """[_PHASES + 1, 2 * half]: a Kaiser-windowed sinc for the points p / _PHASES after tap half - 1."""
    offset = np.arange(2 * half)[None, :] - (half - 1) - (np.arange(_PHASES + 1) / _PHASES)[:, None]
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (offset / half) ** 2, 0, None))) / np.i0(_BETA)
    taps = np.sinc(offset * cut) * window
    return np.asarray(taps / taps.sum(axis=1, keepdims=True), np.float32)


def _route(vocal: Path, names: Sequence[str], onto: Sequence[str]) -> NDArray[np.float32]:
    """[n_out, n_vocal]: by name where both know it; mono to left and right (or to all that there is)."""
    route = np.zeros((len(onto), len(names)), np.float32)
    if len(names) == 1:
        sides = [i for i, name in enumerate(onto) if name in ("FL", "FR")] or [0]
        route[sides] = 1.0
        return route
    if len(onto) == 1:
        return np.full((1, len(names)), 1 / len(names), np.float32)
    for column, name in enumerate(names):
        if name not in onto:
            reason = f"has a channel {name} that the instrumental lacks ({', '.join(onto)})"
            raise BadInput(vocal, reason, "give stems with the same channels, or a mono or stereo vocal")
        route[list(onto).index(name), column] = 1.0
    return route
