"""The sheets of a batch: registered, scored chunk by chunk in whatever run asks for them, written when all has ended.

One sheet at a command line is jobs.py's; when a chunk is asked for, and again, is dags/score_requests.py's.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import clock, outcomes, result_folders, results
from pipelines.compute.address import cluster_of
from pipelines.errors import BadInput, OrimonoError, Unavailable
from pipelines.governance import vault
from pipelines.intake.job_file import ScoreWish
from pipelines.items import Item, Produced, Result
from pipelines.media.hashing import content_hash
from pipelines.scoring import chunks, jobs, opening, recording
from pipelines.scoring.chunks import Chunk
from pipelines.scoring.jobs import Asking, Wish
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Spread, Tally
from pipelines.scoring.sheet_file import scored_name
from pipelines.settings import Settings
from pipelines.storage import jobs as job_table
from pipelines.storage import score_chunks, score_jobs, score_rows, uploads
from pipelines.storage.cache import Cache, params_hash
from pipelines.studio import Studio, beside

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pipelines.scoring.pipeline import Outcome
    from pipelines.scoring.sheet import Sheet, Written
    from pipelines.storage.scoring_tables import ScoreJob
    from pipelines.storage.tables import Job, Upload

log = logging.getLogger(__name__)
REGISTER, PUBLISH = "score_jobs", "scored_sheets"
VERSION = "1"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run made of its chunks. ``finished``: partition -> numbers for its page; ``failed``: -> one sentence."""

    finished: Mapping[str, dict[str, float | int | str]]
    failed: Mapping[str, str]
    summary: dict[str, float | int | str]


@dataclass(frozen=True, slots=True)
class Fate:
    """What only the orchestrator knows of a run. ``last``: it will not try again by itself. ``canceled``: asked when
    something interrupts it; whether a person did."""

    last: bool = True
    canceled: Callable[[], bool] = lambda: False


def register(studio: Studio, key: str) -> list[Result[Any]]:
    """One item a sheet: looked through and cut into chunks, unless it was before."""
    work = []
    with studio.database.session() as session:
        for row in job_table.of_batch(session, key):
            for upload in (u for u in row.uploads if u.kind == "sheet" and u.object_key):
                # The same sheet of two jobs is scored for each: its rows go with its owner.
                mark = params_hash({"upload": upload.id, "score": row.score})
                name = f"{row.name}/{upload.name}"
                work.append(Item(name, upload.content_hash, upload.id, mark, job_id=row.id, upload_id=upload.id))
    return outcomes.run(studio, REGISTER, VERSION, work, _register, ahead=None)


def _register(settings: Settings, cache: Cache, upload_id: int) -> Produced:
    with beside(settings, cache) as studio:
        with studio.database.session() as session:
            upload = uploads.get(session, upload_id)
            row = upload.job
            known = score_jobs.of_job(session, row.id)
        wish = _wish(studio, row, upload)
        with jobs.opened_sheet(studio, wish, name=f"{row.name}/{upload.name}") as sheet:
            new = jobs.described(wish, sheet, place=upload.object_key or "", job_id=row.id, upload_id=upload.id)
            before = next((j for j in known if j.upload_id == upload.id and j.fingerprint == new.fingerprint), None)
            score_job_id = before.id if before else jobs.begin(studio, replace(new, name=upload.name), sheet)
            kind = sheet.kind
        with studio.database.session() as session:
            found = chunks.state(session, score_job_id)
    asking = wish.asking
    summary: dict[str, float | int | str] = {
        "score job": score_job_id,
        "kind": kind,
        "rows": found.of,
        "chunks": sum(found.counts.values()),
        "categories": ", ".join(wish.rubric.categories[:12]),
        "asked": " ".join(part for part in (asking.provider, asking.model) if part),
    }
    return Produced(before is not None, summary)


def run(studio: Studio, partitions: Sequence[str], fate: Fate | None = None) -> Ran:
    """Scores the chunks of these partitions. A row that cannot be answered fails its chunk only; a provider that will
    never answer (a wrong key) is BadInput, and nothing more is asked for that sheet until somebody says `retry`.
    Unavailable leaves the chunks to the run's next try; after its last, they failed."""
    with studio.database.session() as session:
        by_sheet = chunks.by_keys(session, partitions)
    known = {chunk.chunk_id for theirs in by_sheet.values() for chunk in theirs}
    if missing := sorted(set(partitions) - known):
        raise BadInput(f"chunk {missing[0]}", "is not known (any more)", "choose one that `orimono status` names")
    finished: dict[str, dict[str, float | int | str]] = {}
    failed: dict[str, str] = {}
    tally, seconds = Tally(), 0.0
    for outcome in _outcomes(studio, by_sheet, fate or Fate()):
        tally.add(outcome.tally)
        seconds += outcome.seconds
        failed |= outcome.failed
        with studio.database.session() as session:
            for row in score_chunks.by_keys(session, outcome.finished):
                finished[row.chunk_id] = told(Tally(**row.tally), row.seconds, chunks=1)
    return Ran(finished, failed, told(tally, seconds, chunks=len(partitions)))


def _outcomes(studio: Studio, by_sheet: Mapping[int, Sequence[Chunk]], fate: Fate) -> Iterator[Outcome]:
    if cluster_of(studio.settings, database=True) is not None:
        from pipelines.scoring import parts

        yield from parts.outcomes(studio, by_sheet, fate)
        return
    for score_job_id, theirs in by_sheet.items():
        yield run_chunks(studio, score_job_id, theirs, fate)


def run_chunks(studio: Studio, score_job_id: int, theirs: Sequence[Chunk], fate: Fate) -> Outcome:
    """These chunks of one sheet, in this process."""
    from pipelines.scoring import pipeline

    mine: Sequence[Chunk] = ()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(recording.held(studio.database, score_job_id, theirs))
            mine = theirs
            with studio.database.session() as session:
                row = score_jobs.get(session, score_job_id)
            wish = wish_of(studio, row)
            sheet = stack.enter_context(jobs.opened_sheet(studio, wish, name=row.name))
            recorder = stack.enter_context(recording.Recorder(studio.database, score_job_id, studio.settings))
            spans = jobs.gone_on_with(studio, score_job_id, sheet)
            provider = jobs.provider_of(studio, wish, sheet, spans, score_job_id)
            outcome = pipeline.run(sheet, theirs, wish.rubric, provider, recorder, jobs.options(studio))
            if row.kind == "google":
                _flush(studio, score_job_id, sheet, theirs)
        except BaseException as error:
            # Here, where they are still held: nobody else says anything of them meanwhile.
            with _heard(error):
                _note(studio, score_job_id, mine or _free(studio, theirs), error, fate)
            raise
    return outcome


def _flush(studio: Studio, score_job_id: int, sheet: Sheet, theirs: Sequence[Chunk]) -> None:
    """Into a Google Sheet, what was scored of these chunks. All of it is compared when the last chunk has ended: to do
    so after each run would spend what Google allows a minute on rows that are there."""
    spans = [chunk.span for chunk in theirs]
    first, last = min(span.first for span in spans), max(span.last for span in spans)
    with studio.database.session() as session, contextlib.closing(score_rows.answers(session, score_job_id)) as found:
        known = itertools.takewhile(lambda row: row.row < last, found)
        try:
            sheet.finish(row for row in known if row.row >= first)
        except Unavailable as error:
            log.warning("%s; what was scored is kept in the database, and is written when all is", error)


@contextlib.contextmanager
def _heard(error: BaseException) -> Iterator[None]:
    """What ended a run is what its caller is to hear, though it could not be noted."""
    try:
        yield
    except OrimonoError as unnoted:
        log.warning("after %s: %s", type(error).__name__, unnoted)


def _free(studio: Studio, theirs: Sequence[Chunk]) -> list[Chunk]:
    """Those on which no run works at this moment."""
    with studio.database.session() as session:
        held = score_jobs.held_chunks(session, [chunk.id for chunk in theirs])
    return [chunk for chunk in theirs if chunk.id not in held]


def _note(studio: Studio, score_job_id: int, theirs: Sequence[Chunk], error: BaseException, fate: Fate) -> None:
    """What follows for the sheet from what ended a run of its chunks."""
    if isinstance(error, Unavailable) and not fate.last:
        return  # the same run tries again
    ids, retries = [chunk.chunk_id for chunk in theirs], studio.settings.whole("score_retries")
    with studio.database.session() as session:
        if isinstance(error, BadInput):
            chunks.leave(session, ids)
            score_jobs.fail(session, score_job_id, str(error))
        elif isinstance(error, Unavailable):
            chunks.broken(session, ids, str(error), clock.now(), retries=retries)
        elif isinstance(error, Exception):
            sentence = f"failed in Orimono itself ({type(error).__name__}); see the run's log in the Dagster UI"
            chunks.broken(session, ids, sentence, clock.now(), retries=retries)
        else:
            chunks.leave(session, ids)
            if fate.canceled():
                sentence = "its run was ended by a person; `orimono retry` goes on with it"
                score_jobs.fail(session, score_job_id, sentence)


def publish(studio: Studio, key: str) -> list[Result[Any]]:
    """Each sheet of the batch whose chunks have all ended, with its scores, in the job's results folder. One that was
    written since is only told of: what a person made of it in the meantime is theirs."""
    work, before = [], []
    with studio.database.session() as session:
        for row in job_table.of_batch(session, key):
            for sheet in score_jobs.of_job(session, row.id):
                if chunks.state(session, sheet.id).ended:
                    mark = params_hash({"score job": sheet.id})
                    name = f"{row.name}/{sheet.name}"
                    item = Item(name, sheet.identity, sheet.id, mark, job_id=row.id, upload_id=sheet.upload_id)
                    if sheet.finished_at is None:
                        work.append(item)
                    else:
                        before.append(Result(item, Produced(True, _figures(session, sheet)), None))
    return [*outcomes.run(studio, PUBLISH, VERSION, work, _publish, ahead=None), *before]


def _publish(settings: Settings, cache: Cache, score_job_id: int) -> Produced:
    from pipelines.scoring import pictures

    with beside(settings, cache) as studio:
        with studio.database.session() as session:
            row = score_jobs.get(session, score_job_id)
        wish = wish_of(studio, row)
        spread = Spread(wish.rubric)
        # Held, so that who withdraws meanwhile is waited for with the last look.
        with recording.held(studio.database, score_job_id):
            with _written_to(studio, row, wish) as there:
                with jobs.opened_sheet(studio, there, name=row.name) as sheet:
                    jobs.gone_on_with(studio, score_job_id, sheet)
                    written = jobs.fill(studio, score_job_id, sheet, spread)
                key = _keep(studio, row, there.out) if there.out is not None else None
                agreed = _agreement(settings, there, written)
            if wish.out is not None:
                place = results.place_of(settings, cache.objects, _job_of(studio, row), wish.out.name)
                written = replace(written, place=place)
            # Now that it lies where its owner looks for it: nobody writes it again.
            jobs.note_written(studio, score_job_id, written)
        with studio.database.session() as session:
            summary = _figures(session, score_jobs.get(session, score_job_id))
    return Produced(False, summary | agreed, pictures.spread(spread), key)


@contextlib.contextmanager
def _written_to(studio: Studio, row: ScoreJob, wish: Wish) -> Iterator[Wish]:
    """The wish with the place of its result in the folder that is written to; a Google Sheet is scored in itself."""
    if wish.out is None:
        yield wish
        return
    name = wish.out.name
    with result_folders.opened(studio.settings, studio.objects, _job_of(studio, row), f"scoring {name}") as folder:
        yield replace(wish, out=folder / name)


def _figures(session: Session, row: ScoreJob) -> dict[str, float | int | str]:
    """Of a written sheet."""
    found = chunks.state(session, row.id)
    summary = told(found.tally, found.seconds, chunks=sum(found.counts.values()))
    return summary | {name: row.written[name] for name in ("place", "kept", "moved", "gone") if name in row.written}


def _agreement(settings: Settings, wish: Wish, written: Written) -> dict[str, float | int | str]:
    """Where people scored rows, too, in columns of their own (``human_joy``): how far the scores agree with theirs."""
    from pipelines.scoring import agreement

    if wish.out is None:
        return {}
    found = agreement.of_place(written.place, wish.rubric, settings, wish.asking.column)
    if found is None:
        return {}
    return {
        "rows people scored": found.rows,
        "agree with people": str(found.accuracy),
        "the commonest score does": round(found.baseline_accuracy, 3),
        "macro F1": str(found.macro_f1),
        "the highest score for all": round(found.baseline_macro_f1, 3),
    }


def failures(studio: Studio, key: str, step: str) -> list[str]:
    """Why sheets of the batch could not be registered or written."""
    return outcomes.failures(studio, key, step, VERSION)


def told(tally: Tally, seconds: float, *, chunks: int) -> dict[str, float | int | str]:
    """A run's or a sheet's numbers, one stable key each."""
    return {
        "chunks": chunks,
        "rows": tally.rows,
        "rows_per_second": round(tally.rows / seconds, 1) if seconds > 0 else 0.0,
        "requests": tally.requests,
        "throttled_429": tally.throttled,
        "failed_tries": tally.failed,
        "cache_hit_rate": round(tally.hit_rate, 4),
        "fallbacks": tally.fallbacks,
        "refused": tally.refused,
        "too_long": tally.too_long,
        "tokens_read": tally.tokens_in,
        "tokens_written": tally.tokens_out,
        "cost_usd": round(tally.cost, 6),
        "seconds": round(seconds, 2),
    }


def _wish(studio: Studio, row: Job, upload: Upload) -> Wish:
    """As job.yaml says, and the settings where it is silent."""
    said = ScoreWish.model_validate(row.score)
    asking = Asking.of(studio, provider=said.provider, model=said.model, column=said.column, video=said.video)
    place = studio.objects.local(upload.object_key or "")
    kind = opening.kind_of(place, f"{row.name}/{upload.name}")
    out = results.folder_of(studio.settings, row.name) / scored_name(upload.name, kind)
    return Wish(str(place), said.rubric(), asking, None if kind == "google" else out)


def wish_of(studio: Studio, row: ScoreJob) -> Wish:
    """What was wished when the sheet was registered, perhaps on a machine whose home is another place."""
    out = results.folder_of(studio.settings, _job_of(studio, row)) / Path(row.out).name if row.out else None
    return Wish(str(studio.objects.local(row.place)), Rubric.from_dict(row.rubric), Asking(**row.asking), out)


@contextlib.contextmanager
def lying(studio: Studio, row: ScoreJob) -> Iterator[Path | None]:
    """The scored sheet as it lies in the results folder, to read only; None when it does not, or not any more."""
    if row.out is None:
        yield None
        return
    job, name = _job_of(studio, row), Path(row.out).name
    with result_folders.opened(studio.settings, studio.objects, job, f"read {name}", bring=name.__eq__) as folder:
        yield folder / name if (folder / name).is_file() else None


def _job_of(studio: Studio, row: ScoreJob) -> str:
    with studio.database.session() as session:
        name = score_jobs.inbox_name(session, row)
    assert name is not None  # those of the command line are not in batches
    return name


def _keep(studio: Studio, row: ScoreJob, out: Path) -> str:
    """The scored sheet in the object store, too, under its owner's name and for as long as its kind is kept."""
    digest = content_hash(out)
    key = studio.objects.key_of(out, digest)
    with studio.database.session() as session:  # the row first: an object without one would never be deleted
        if row.job_id is not None:
            owner = job_table.get(session, row.job_id).owner or ""
            vault.keep(session, row.job_id, owner, "scored", key, digest, out.stat().st_size)
    return studio.objects.put_hashed(out, digest)
