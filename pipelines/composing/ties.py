"""Which notes are sung anew and which are held: the chorales' data do not tell repeated notes from long ones.

A rule, then, from how chorales are sung: all voices speak the words together. What is decided here is only where a
pitch stays the same; the pitches are chorale.py's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.tokens import BEAT

BAR_LINE = 3  # a beat's level, grid.py's


def onsets(
    frames: NDArray[np.int64], soprano: NDArray[np.bool_], level: NDArray[np.int8] | None = None
) -> NDArray[np.bool_]:
    """bool[T, 4]: where each voice of int64[T, 4] is struck.

    A new pitch, or one after a rest, is always struck. A pitch that stays is struck again

    - on a beat where the melody is struck (a syllable is sung by all), and
    - at a bar line where another voice moves (a chord that changes under a long note; ``level`` int8[B], 3 is a bar's
      first beat), for the voices beside the melody;

    inside the beat it is held, so that the melody's quick notes pass over still voices. ``soprano`` bool[T]: where the
    melody is struck, which is kept as it is.
    """
    n_frames = len(frames)
    before = np.vstack([np.full((1, 4), -2, frames.dtype), frames[:-1]]) if n_frames else frames
    changed = frames != before
    on_beat = np.arange(n_frames) % BEAT == 0
    again = on_beat & soprano
    if level is not None and n_frames:
        bar_line = on_beat & (np.repeat(np.asarray(level), BEAT)[:n_frames] == BAR_LINE)
        again |= bar_line & changed.any(axis=1)
    struck: NDArray[np.bool_] = (changed | again[:, None]) & (frames >= 0)
    if n_frames:
        struck[:, 0] = soprano & (frames[:, 0] >= 0)
    return struck


def heard_onsets(soprano: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool[T]: where a melody int64[T] without onsets comes to another pitch, or starts after a rest."""
    changed = np.ones(len(soprano), bool)
    changed[1:] = soprano[1:] != soprano[:-1]
    return changed & (soprano >= 0)
