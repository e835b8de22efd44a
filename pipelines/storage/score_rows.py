"""What each row of a sheet got, with what its chunk cost and what is to be remembered of it: one statement, so one
transaction, per lot of rows. Read back in the order of rows. When that happens is scoring/recording.py's."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from pipelines.scoring.scored import Answer, Flag, Scored
from pipelines.storage.scoring_tables import ScoreChunk, ScoreRow

_AT_ONCE = 2_000  # rows that ``answers`` holds

# Through arrays: a row at a time costs a round trip, and parameters for each row make another statement to plan.
# The keys of the cache come sorted: runs that write the same ones would wait for each other in a circle.
_ROWS = """
    insert into score_rows (score_job_id, row, key, scores, confidence, reason, flag)
    select %(sheet)s, t.row, t.key, t.scores::int2[], t.confidence, t.reason, t.flag
    from unnest(%(rows)s::int8[], %(keys)s::bytea[], %(scores)s::text[], %(confidences)s::float4[],
                %(reasons)s::text[], %(flags)s::text[]) as t (row, key, scores, confidence, reason, flag)
    on conflict (score_job_id, row) do update set key = excluded.key, scores = excluded.scores,
        confidence = excluded.confidence, reason = excluded.reason, flag = excluded.flag, created_at = now()
"""
_CACHE = """
    insert into score_cache (key, scores, confidence, reason)
    select t.key, t.scores::int2[], t.confidence, t.reason
    from unnest(%(cache_keys)s::bytea[], %(cache_scores)s::text[], %(cache_confidences)s::float4[],
                %(cache_reasons)s::text[]) as t (key, scores, confidence, reason)
    on conflict (key) do update set scores = excluded.scores, confidence = excluded.confidence,
        reason = excluded.reason, created_at = now(), used_at = now()
"""
_CHUNK = """
    update score_chunks c set rows_done = %(done)s, tally = %(tally)s::jsonb, seconds = %(seconds)s
    from score_jobs s left join jobs j on j.id = s.job_id
    where c.id = %(chunk)s and s.id = c.score_job_id
    returning coalesce(j.status, 'ready')
"""
RECORD = f"with recorded as ({_ROWS}) {_CHUNK}"
RECORD_AND_REMEMBER = f"with recorded as ({_ROWS}), remembered as ({_CACHE}) {_CHUNK}"


def record(
    connection: Connection,
    score_job_id: int,
    chunk_id: int,
    rows: Sequence[Scored],
    fresh: Mapping[bytes, Answer],
    *,
    done: int,
    tally: Mapping[str, Any],
    seconds: float,
) -> str | None:
    """The rows, the answers to be remembered and the chunk's figures as they are by now. Returns the status of the
    inbox job ("ready" without one), None when the chunk is gone.

    ``connection`` commits by itself; when this returns, all of it is durable. IntegrityError when the sheet is gone.
    """
    answers = [row.answer for row in rows]
    values: dict[str, Any] = {
        "sheet": score_job_id,
        "chunk": chunk_id,
        "done": done,
        "tally": json.dumps(dict(tally)),
        "seconds": seconds,
        "rows": [row.row for row in rows],
        "keys": [row.key for row in rows],
        "scores": [_array(a.scores) if a is not None else None for a in answers],
        "confidences": [a.confidence if a is not None else None for a in answers],
        "reasons": [_plain(a.reason) if a is not None else "" for a in answers],
        "flags": [row.flag for row in rows],
    }
    if fresh:
        found = sorted(fresh.items())
        values["cache_keys"] = [key for key, _ in found]
        values["cache_scores"] = [_array(a.scores) for _, a in found]
        values["cache_confidences"] = [a.confidence for _, a in found]
        values["cache_reasons"] = [_plain(a.reason) for _, a in found]
    status: str | None = connection.exec_driver_sql(RECORD_AND_REMEMBER if fresh else RECORD, values).scalar()
    return status


def recorded(session: Session, score_job_id: int, first: int, last: int) -> frozenset[int]:
    """Numbers of the rows from ``first`` to ``last`` (excluded) that are there."""
    query = select(ScoreRow.row).where(ScoreRow.score_job_id == score_job_id)
    return frozenset(session.execute(query.where(ScoreRow.row >= first, ScoreRow.row < last)).scalars())


def answers(session: Session, score_job_id: int) -> Iterator[Scored]:
    """Every row that is done, in order of rows; a few at a time are held. The session is to stay open meanwhile."""
    query = select(
        ScoreRow.row, ScoreRow.key, ScoreRow.scores, ScoreRow.confidence, ScoreRow.reason, ScoreRow.flag
    ).where(ScoreRow.score_job_id == score_job_id)
    found = session.execute(query.order_by(ScoreRow.row), execution_options={"yield_per": _AT_ONCE})
    for row, key, scores, confidence, reason, flag in found:
        answer = None if scores is None else Answer(tuple(scores), confidence, reason)
        yield Scored(row, bytes(key), answer, cast(Flag, flag))


def pace(session: Session, score_job_id: int, since: datetime) -> tuple[int, datetime | None]:
    """How many rows were recorded since then, and when the first of them; looks at chunks of that time only."""
    recent = (ScoreChunk.status == "running") | (ScoreChunk.finished_at >= since)
    query = (
        select(func.count(), func.min(ScoreRow.created_at))
        .select_from(ScoreChunk)
        .join(
            ScoreRow,
            (ScoreRow.score_job_id == ScoreChunk.score_job_id)
            & (ScoreRow.row >= func.lower(ScoreChunk.row_range))
            & (ScoreRow.row < func.upper(ScoreChunk.row_range)),
        )
        .where(ScoreChunk.score_job_id == score_job_id, recent, ScoreRow.created_at >= since)
    )
    count, first = session.execute(query).one()
    return count, first


def _array(scores: Collection[int]) -> str:
    return "{" + ",".join(map(str, scores)) + "}"


def _plain(text: str) -> str:
    """Without what PostgreSQL's text cannot hold; nearly always it is the text itself."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
