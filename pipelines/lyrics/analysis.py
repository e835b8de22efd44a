"""Everything the product knows about a song's words, in one value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EMOTIONS = ("joy", "love", "sadness", "anger", "fear", "surprise", "calm", "desire")


@dataclass(frozen=True, slots=True)
class LyricsFeatures:
    """One row a phrase (a sung line), in order of time."""

    language: str  # "en", "ja" or "und"
    timed: bool  # False for plain text: starts and ends are then NaN until laid out over the music
    texts: tuple[str, ...]  # [n]
    starts: NDArray[np.float64]  # [n], s
    ends: NDArray[np.float64]  # [n], s
    emotions: NDArray[np.float32]  # [n, len(EMOTIONS)], each row sums to 1
    valence: NDArray[np.float32]  # [n], -1..1
    arousal: NDArray[np.float32]  # [n], 0..1
    keywords: tuple[tuple[str, ...], ...]  # [n]
    embeddings: NDArray[np.float32]  # [n, 512], unit length
    warnings: tuple[str, ...]  # stamps that were mended, encodings guessed ...
