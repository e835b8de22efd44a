"""A chunk of a sheet: the rows that are asked for, that fail and that run again together."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.scoring.sheet import Span


@dataclass(frozen=True, slots=True)
class Chunk:
    """``id``: of its row in score_chunks; ``chunk_id``: its partition, such as 17-0003."""

    id: int
    chunk_id: str
    span: Span
