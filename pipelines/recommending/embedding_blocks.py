"""Vectors made block by block on the machines of a cluster: each loads the version's towers once and embeds the
histories or rows that it is sent.

How vectors are made in one process is embedding.py's.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.compute.spreading import Lost, spread
from pipelines.errors import Unavailable
from pipelines.recommending import versions
from pipelines.recommending.embedding import Batch
from pipelines.recommending.two_tower import TwoTower
from pipelines.recommending.versions import Bundle
from pipelines.settings import Settings
from pipelines.storage.decisions import History
from pipelines.storage.objects import Objects

if TYPE_CHECKING:
    from pandas import DataFrame

VIEWERS, VIDEOS = 2048, 4096  # of a block: some MB on their way, some seconds of work


@dataclass(frozen=True, slots=True)
class Viewers:
    bundle: Bundle
    keyed: Sequence[tuple[str, History]]


@dataclass(frozen=True, slots=True)
class Videos:
    bundle: Bundle
    rows: DataFrame


def of_viewers(settings: Settings, bundle: Bundle, keyed: Iterable[tuple[str, History]]) -> Iterator[Batch]:
    """As versions.viewer_vectors, in any order of the blocks. Histories are read as blocks are sent."""
    stream = iter(keyed)
    blocks = iter(lambda: list(itertools.islice(stream, VIEWERS)), [])
    return _batches(settings, embed_viewers, (Viewers(bundle, block) for block in blocks))


def of_videos(settings: Settings, bundle: Bundle, frame: DataFrame) -> Iterator[Batch]:
    starts = range(0, len(frame), VIDEOS)
    rows = (frame.iloc[start : start + VIDEOS].reset_index(drop=True) for start in starts)
    return _batches(settings, embed_videos, (Videos(bundle, block) for block in rows))


def embed_viewers(settings: Settings, block: Viewers) -> list[Batch]:
    """On a node."""
    return _whole(versions.vectors_of_histories(_towers(settings, block.bundle), block.bundle.version, block.keyed))


def embed_videos(settings: Settings, block: Videos) -> list[Batch]:
    """On a node."""
    return _whole(versions.vectors_of_rows(_towers(settings, block.bundle), block.bundle.version, block.rows))


def _whole(batches: Iterator[Batch]) -> list[Batch]:
    return list(batches)


@functools.lru_cache(maxsize=1)
def _towers(settings: Settings, bundle: Bundle) -> TwoTower:
    return versions.towers_of(Objects.open(settings), bundle)


def _batches(settings: Settings, embed: Any, blocks: Iterator[Any]) -> Iterator[Batch]:
    for number, answer in spread(settings, embed, blocks):
        if isinstance(answer, Lost):
            raise Unavailable(f"block {number} of the embeddings", "was lost with its workers (memory?)", 60)
        for batch in answer:
            assert batch.vectors.dtype == np.float32
            yield batch
