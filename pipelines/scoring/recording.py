"""The pipeline's ledger in PostgreSQL: what is known of each row and each chunk, durable before it counts; and the lock
that keeps two runs from the same rows.

What is asked and when is pipeline.py's; what follows from a chunk's end chunks.py's.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pipelines import clock
from pipelines.errors import BadInput, Unavailable
from pipelines.scoring import chunks
from pipelines.scoring.chunks import Chunk
from pipelines.scoring.scored import Answer, Scored, Tally
from pipelines.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pipelines.storage.database import Database

FIGURES = tuple(part.name for part in fields(Tally))
PATIENCE = 60.0  # s that the recording of a lot may take
HITS = 5_000  # answers given again that are written down at the latest when there are so many


@dataclass(slots=True)
class _Book:
    """A chunk under way, as the database has it."""

    done: set[int] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0


class Recorder:
    """A sheet's ledger. Methods block and may be called from any thread. To be closed, or used in a ``with``.

    Unavailable when the database is away or its disk is full; BadInput when the sheet was deleted, or its owner took
    the consent back, since the run began.
    """

    def __init__(self, database: Database, score_job_id: int, settings: Settings) -> None:
        self.database, self.score_job_id = database, score_job_id
        self._age = timedelta(hours=settings.number("score_cache_hours"))
        self._entries = settings.whole("score_cache_entries")
        self._retries = settings.whole("score_retries")
        self._books: dict[int, _Book] = {}
        self._hits: dict[bytes, int] = {}
        self._noting = threading.Lock()  # of the hits
        self._writing = threading.Lock()  # of the connection that writes, kept: to fetch one costs more than to write
        self._writer: Connection | None = None
        self._abandoned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._abandoned:
            return  # who hangs in it holds it, and it ends with the process
        with self._writing:
            self._drop_writer()

    def abandon(self) -> None:
        """Some call hangs, and whoever waited for it goes on: no other is to hang as well."""
        self._abandoned = True
        self.database.give_up()

    def begin(self, chunk: Chunk) -> frozenset[int]:
        """The chunk is running from now on, whoever had it before. Numbers of its rows that are recorded already."""
        from pipelines.storage import score_chunks, score_rows

        with self.database.session() as session:
            row = score_chunks.locked(session, chunk.id)
            if row is None or not score_chunks.living(session, chunk.id):
                raise self._gone()
            row.status, row.started_at, row.finished_at = "running", clock.now(), None
            row.requested_at = row.requested_at or row.started_at
            done = score_rows.recorded(session, self.score_job_id, chunk.span.first, chunk.span.last)
            row.rows_done = len(done)
            self._books[chunk.id] = _Book(set(done), Tally(**row.tally), row.seconds)
        return done

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """Answers of the cache that are fresh enough."""
        from pipelines.storage import score_cache

        with self.database.connection() as connection:
            found = score_cache.fresh(connection, keys, self._age)
        if found:
            with self._noting:
                for key in found:
                    self._hits[key] = self._hits.get(key, 0) + 1
            if len(self._hits) >= HITS:
                self._note_hits()
        return found

    def record(
        self, chunk: Chunk, rows: Sequence[Scored], fresh: Mapping[bytes, Answer], tally: Tally, seconds: float
    ) -> None:
        """One transaction, durable when this returns. ``fresh``: valid answers of a model, to be given again to who
        asks the same. ``tally`` and ``seconds``: what came since the chunk's last record."""
        from pipelines.storage import score_rows

        with self._writing:
            book = self._books[chunk.id]
            new = {row.row for row in rows} - book.done
            total = replace(book.tally)
            total.add(tally)
            with self.database.worded():
                if self._writer is None:
                    self._writer = self.database.own_connection(PATIENCE)
                try:
                    status = score_rows.record(
                        self._writer,
                        self.score_job_id,
                        chunk.id,
                        rows,
                        fresh,
                        done=len(book.done) + len(new),
                        tally={name: getattr(total, name) for name in FIGURES},
                        seconds=book.seconds + seconds,
                    )
                except BaseException:
                    self._drop_writer()  # it may be broken; the next record has another
                    raise
            book.done |= new
            book.tally, book.seconds = total, book.seconds + seconds
        if status != "ready":
            raise self._gone()

    def end(self, chunk: Chunk, error: str | None) -> None:
        """The chunk is finished, or failed for this reason: it runs again after a while, or is given up."""
        from pipelines.storage import score_chunks

        self._books.pop(chunk.id, None)
        now = clock.now()
        with self.database.session() as session:
            row = score_chunks.locked(session, chunk.id)
            if row is None:
                raise self._gone()
            if error is not None:
                chunks.fail(row, error, now, self._retries)
            else:
                row.status, row.finished_at = "finished", now
                row.last_error, row.not_before = None, None

    def leave(self, chunk: Chunk) -> None:
        """The run stops before the chunk is done: it waits for the next one, and nothing is held against it."""
        from pipelines.storage import score_chunks

        self._books.pop(chunk.id, None)
        with self.database.session() as session:
            row = score_chunks.locked(session, chunk.id)
            if row is not None and row.status in score_chunks.UNDER_WAY:
                row.status, row.not_before = "planned", None

    def clean(self) -> None:
        """Keeps the cache within its time and its size."""
        from pipelines.storage import score_cache

        self._note_hits()
        with self.database.session() as session:
            score_cache.drop_stale(session, self._age)
            score_cache.drop_beyond(session, self._entries)

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _note_hits(self) -> None:
        from pipelines.storage import score_cache

        with self._noting:
            hits, self._hits = self._hits, {}
        if hits:
            with self.database.session() as session:
                score_cache.used(session, hits)

    def _gone(self) -> BadInput:
        reason = "was deleted, or its owner took the consent back"
        return BadInput(f"score job {self.score_job_id}", reason, "there is nothing left to score")


@contextlib.contextmanager
def held(database: Database, score_job_id: int, part: Sequence[Chunk] = ()) -> Iterator[None]:
    """While this lasts, nobody else works on the sheet: on the whole of it, or on the chunks of ``part`` and on the
    whole. Ends with this process, however that ends. Unavailable when another has it."""
    from pipelines.storage import score_jobs

    with database.connection() as connection:
        # Out of the pool: a lock ends with its connection, and this one is to end.
        connection.detach()
        if not score_jobs.hold(connection, score_job_id, [chunk.id for chunk in part]):
            raise Unavailable(f"score job {score_job_id}", "another run works on it at this moment", 30)
        yield
        # Not after a failure: the database may be what failed.
        score_jobs.release(connection)
