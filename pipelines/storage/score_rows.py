"""What each row of a sheet got, with what its chunk cost and what is to be remembered of it: one statement, so one
transaction, per lot of rows. Read back in the order of rows. When that happens is scoring/recording.py's."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from pipelines.scoring.scored import Answer, Flag, Scored
from pipelines.storage.scoring_tables import ScoreChunk, ScoreRow

_AT_ONCE = 2_000  # rows that ``answers`` holds

# As one JSON text, since each array costs the driver 10 microseconds and a lot may be of one row; a statement a row
# would cost a round trip. The keys of the cache come sorted, or runs that write the same ones could wait in a circle.
# Whoever deletes a sheet locks it before the answers that only it had, so it comes first here, too.
_LOT = """
    sheet as materialized (select id from score_jobs where id = %(sheet)s for key share),
    lot as materialized (
        select row, decode(key, 'hex') as key, scores, confidence, reason, flag, fresh
        from sheet, json_to_recordset(%(lot)s::json) as t
            (row int8, key text, scores int2[], confidence float4, reason text, flag text, fresh bool)
    )
"""
_ROWS = """
    recorded as (
        insert into score_rows (score_job_id, row, key, scores, confidence, reason, flag)
        select %(sheet)s, row, key, scores, confidence, coalesce(reason, ''), flag from lot where row is not null
        on conflict (score_job_id, row) do update set key = excluded.key, scores = excluded.scores,
            confidence = excluded.confidence, reason = excluded.reason, flag = excluded.flag, created_at = now()
    )
"""
_CACHE = """
    remembered as (
        insert into score_cache (key, scores, confidence, reason)
        select key, scores, confidence, reason from lot where fresh order by key
        on conflict (key) do update set scores = excluded.scores, confidence = excluded.confidence,
            reason = excluded.reason, created_at = now(), used_at = now()
    )
"""
_CHUNK = """
    update score_chunks c set rows_done = %(done)s, tally = %(tally)s::jsonb, seconds = %(seconds)s
    from score_jobs s left join jobs j on j.id = s.job_id
    where c.id = %(chunk)s and s.id = c.score_job_id
    returning coalesce(j.status, 'ready')
"""
RECORD = f"with {_LOT}, {_ROWS} {_CHUNK}"
RECORD_AND_REMEMBER = f"with {_LOT}, {_ROWS}, {_CACHE} {_CHUNK}"


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
    inbox job ("ready" without one), None when the sheet is gone, with nothing written.

    ``connection`` commits by itself; when this returns, all of it is durable.
    """
    lot, kept = [], dict(fresh)
    for row in rows:
        entry: dict[str, Any] = {"row": row.row, "key": row.key.hex(), "flag": row.flag}
        if row.answer is not None:
            entry |= _answer(row.answer)
            if row.key in kept and kept[row.key] is row.answer:  # nearly always: said once
                del kept[row.key]
                entry["fresh"] = True
        lot.append(entry)
    lot += [{"key": key.hex(), "fresh": True, **_answer(answer)} for key, answer in kept.items()]
    values = {
        "sheet": score_job_id,
        "chunk": chunk_id,
        "done": done,
        "tally": json.dumps(tally),
        "seconds": seconds,
        "lot": json.dumps(lot, ensure_ascii=False),
    }
    status: str | None = connection.exec_driver_sql(RECORD_AND_REMEMBER if fresh else RECORD, values).scalar()
    return status


def recorded(session: Session, score_job_id: int, first: int, last: int) -> frozenset[int]:
    """Numbers of the rows from ``first`` to ``last`` (excluded) that are there."""
    query = select(ScoreRow.row).where(ScoreRow.score_job_id == score_job_id)
    return frozenset(session.execute(query.where(ScoreRow.row >= first, ScoreRow.row < last)).scalars())


def answers(session: Session, score_job_id: int) -> Generator[Scored, None, None]:
    """Every row that is done, in order of rows; a few at a time are held. The session is to stay open meanwhile, and
    who stops before the end is to close this."""
    query = select(
        ScoreRow.row, ScoreRow.key, ScoreRow.scores, ScoreRow.confidence, ScoreRow.reason, ScoreRow.flag
    ).where(ScoreRow.score_job_id == score_job_id)
    held = session.execute(query.order_by(ScoreRow.row), execution_options={"yield_per": _AT_ONCE})
    with contextlib.closing(held) as found:
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


def _answer(answer: Answer) -> dict[str, Any]:
    return {"scores": answer.scores, "confidence": answer.confidence, "reason": _plain(answer.reason)}


def _plain(text: str) -> str:
    """Without what PostgreSQL's text cannot hold; nearly always it is the text itself."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
