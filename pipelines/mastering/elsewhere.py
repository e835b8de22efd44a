"""Where else a vocal might fit: passages that were moved by a cut, and sound that repeats itself exactly.

The lag itself is matching.py's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.mastering import gcc
from pipelines.mastering.drift import Line, Sum
from pipelines.mastering.gcc import RATE, STEP

_ELSEWHERE = 5.0  # times what the line gives: a window that belongs elsewhere
_SAME = 0.02  # s within which two lags are one
_CHANCE = 1.5  # strength that the best of a few lags has by chance
_CANDIDATES, _WINDOWS = 4, 3


@dataclass(frozen=True, slots=True)
class Stray:
    """Neighbouring windows that match clearly, and elsewhere than the line: what a cut or a moved passage leaves."""

    start: float  # s of the vocal
    end: float
    lag: float  # s


@dataclass(frozen=True, slots=True)
class Repetition:
    """The lag that fits best after the one that was found, and how well: 1 is just as well."""

    lag: float  # s
    share: float


def stray(
    strengths: NDArray[np.float32], found: Sum, times: NDArray[np.float64], window: float, reach: float
) -> Stray | None:
    """The longest run of windows that match one other lag far better than the line's."""
    top = int(found.total.argmax())
    tops = strengths.argmax(axis=1)
    expected = np.clip(top + found.shifts, 0, strengths.shape[1] - 1)
    guard = np.arange(-2, 3)
    there = strengths[np.arange(len(tops))[:, None], np.clip(expected[:, None] + guard, 0, strengths.shape[1] - 1)]
    best = strengths.max(axis=1)
    elsewhere = (best > _ELSEWHERE * there.max(axis=1)) & (best > 2 * _ELSEWHERE)
    longest: tuple[int, int] | None = None
    first = None
    for i in range(len(tops) + 1):
        if i < len(tops) and elsewhere[i] and (first is None or abs(int(tops[i]) - int(tops[first])) <= 3):
            first = i if first is None else first
            continue
        if first is not None and i - first >= 2 and (longest is None or i - first > longest[1] - longest[0]):
            longest = (first, i)
        first = i if i < len(tops) and elsewhere[i] else None
    if longest is None:
        return None
    a, b = longest
    lag = float(np.median(tops[a:b])) * STEP - reach
    return Stray(float(times[a] - window / 2), float(times[b - 1] + window / 2), lag)


def repetition(
    inst: NDArray[np.float32],
    vocal: NDArray[np.float32],
    line: Line,
    times: NDArray[np.float64],
    length: float,
    reach: float,
) -> Repetition | None:
    """Compares the lag found with those at which the sound itself is most alike.

    Whitening hides exact repetition (between the lines of a loop's spectrum only the windows' ends are left), so the
    candidates come from the plain correlation of windows of ``length`` s about ``times`` [n], best first; each is then
    heard as the line was. None where no other lag is alike.
    """
    from scipy.signal import fftconvolve

    n = 160 * round(length * RATE / 160)
    pad = round(reach * RATE)
    used = times[:_WINDOWS]
    alike = np.zeros(2 * pad + 1)
    for t in used:
        start = round((t - length / 2) * RATE)
        part = gcc.cut(vocal, start, n)
        alike += np.abs(fftconvolve(gcc.cut(inst, start - pad, n + 2 * pad), part[::-1], mode="valid"))

    def heard(t: float, further: float) -> float:
        shift = round((line.at(t) + further) * RATE)
        cross = gcc.whitened_pair(inst, vocal, round(t * RATE - n / 2), n, shift, line.slope)
        return max(float(gcc.look(cross, n, 0.004).max()) - _CHANCE, 0.0)

    middle = line.at(float(used.mean()))
    at = np.arange(-pad, pad + 1) / RATE
    alike[np.abs(at - middle) <= _SAME] = 0
    best: Repetition | None = None
    for _ in range(_CANDIDATES):
        top = int(alike.argmax())
        if alike[top] <= 0:
            break
        alike[max(top - round(_SAME * RATE), 0) : top + round(_SAME * RATE) + 1] = 0
        other = float(at[top]) - middle
        shares = [heard(t, other) / max(heard(t, 0.0), 1e-9) for t in used]
        share = float(np.median(shares))
        if best is None or share > best.share:
            best = Repetition(line.lag + other, share)
    return best
