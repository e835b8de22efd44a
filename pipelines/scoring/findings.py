"""What is wrong with the sheets of a batch, in sentences; nothing where all is well."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.scoring import batch, chunks, jobs
from pipelines.scoring.jobs import Wish
from pipelines.storage import jobs as job_table
from pipelines.storage import score_chunks, score_jobs
from pipelines.storage.scoring_tables import ScoreJob
from pipelines.studio import Studio

MOST_FALLBACKS = 0.02  # of a sheet's rows


def unread(studio: Studio, key: str) -> list[str]:
    """Sheets that could not be cut into chunks."""
    return batch.failures(studio, key, batch.REGISTER)


def unrecorded(studio: Studio, partitions: Sequence[str]) -> list[str]:
    """Finished chunks, of these partitions, of which fewer rows are recorded than they have."""
    with studio.database.session() as session:
        found = score_chunks.short(session, partitions)
    return [f"chunk {chunk}: {rows:,} of {of:,} rows are recorded; that is a defect" for chunk, rows, of in found]


def unscored(studio: Studio, key: str) -> list[str]:
    """Written sheets with rows that have a text and lack a score, and sheets that could not be written."""
    found = batch.failures(studio, key, batch.PUBLISH)
    for row in _written(studio, key):
        missing = _missing(studio, row)
        if missing:
            found.append(f"{row.name}: {missing:,} of {row.rows:,} rows lack a score; `orimono status` says why")
    return found


def fallbacks(studio: Studio, key: str) -> list[str]:
    """Sheets in which more than one row in fifty got the middle of the scale."""
    found = []
    for row in _written(studio, key):
        with studio.database.session() as session:
            tally = chunks.state(session, row.id).tally
        if tally.fallbacks > MOST_FALLBACKS * max(tally.asked, 1):
            share = 100 * tally.fallbacks / max(tally.asked, 1)
            reason = f"{share:.1f} % of the answers were unusable"
            found.append(f"{row.name}: {reason}; look at score_flag, and try another model or fewer categories")
    return found


def _written(studio: Studio, key: str) -> list[ScoreJob]:
    with studio.database.session() as session:
        rows = [sheet for job in job_table.of_batch(session, key) for sheet in score_jobs.of_job(session, job.id)]
    return [row for row in rows if row.finished_at is not None]


def _missing(studio: Studio, row: ScoreJob) -> int:
    """Rows of the written sheet, read as any sheet is, in which a cell of a category is empty."""
    if row.kind == "google":
        return 0  # it was compared with what is known, and mended, when it was written
    before = batch.wish_of(studio, row)
    with batch.lying(studio, row) as place:
        if place is None:
            return 0  # its period is over, or a person took it away
        with jobs.opened_sheet(studio, Wish(str(place), before.rubric, before.asking), name=row.name) as sheet:
            lines = (line for span in sheet.spans() for line in sheet.rows(span))
            return sum(1 for line in lines if line.text and not line.complete)
