"""A sheet scored from beginning to end: opened, cut into chunks, asked about, written; gone on with where it was left.

How rows are asked is pipeline.py's, what is kept of them recording.py's, what a sheet is opening.py's. The sheets of a
batch are batch.py's, chunk by chunk.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import clock
from pipelines.errors import BadInput, OrimonoError, Unavailable
from pipelines.scoring import chunks, columns, providers, recording
from pipelines.scoring.rubric import Rubric
from pipelines.scoring.scored import Spread, Tally
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.scoring.pipeline import Options, Outcome, Progress
    from pipelines.scoring.provider import Provider
    from pipelines.scoring.sheet import Sheet, Span, Written
    from pipelines.storage.score_jobs import NewScoreJob
    from pipelines.studio import Studio

log = logging.getLogger(__name__)
VIDEO_COLUMN = "video"
Watch = Callable[["Progress"], None]


@dataclass(frozen=True, slots=True)
class Asking:
    """Who is asked about which column. None: as the settings say."""

    provider: str
    model: str | None = None
    base_url: str | None = None
    column: str = columns.DEFAULT
    video: bool = False

    @classmethod
    def of(
        cls,
        studio: Studio,
        *,
        provider: str | None = None,
        model: str | None = None,
        base_url: str | None = None,
        column: str | None = None,
        video: bool = False,
    ) -> Asking:
        """With what is left out filled in. BadInput for a provider that is none, or cannot see videos."""
        usual = "gemini" if video else "openai" if base_url else studio.settings.score_provider
        chosen = provider or usual
        if chosen not in providers.NAMES:
            raise BadInput(f"provider {chosen!r}", "is not known", f"give one of {', '.join(providers.NAMES)}")
        if video and chosen != "gemini":
            raise BadInput(f"provider {chosen}", "cannot look at videos", "score videos with gemini")
        if model is None and chosen == studio.settings.score_provider:
            model = studio.settings.score_model or None
        return cls(chosen, model, base_url, column or (VIDEO_COLUMN if video else columns.DEFAULT), video)


@dataclass(frozen=True, slots=True)
class Wish:
    """A sheet, what it is scored by, who is asked, where the result is to lie (None: beside it, or in itself)."""

    place: str
    rubric: Rubric
    asking: Asking
    out: Path | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it. ``failed``: chunks given up, with their reasons; their rows are blank in what was written."""

    score_job_id: int
    written: Written
    tally: Tally
    seconds: float
    failed: Mapping[str, str] = field(default_factory=dict)


def score(studio: Studio, wish: Wish, *, resume: bool = False, watch: Watch | None = None) -> Report:
    """Scores the whole sheet. With ``resume``, goes on with the last run of the same wish, and asks nothing again.

    BadInput for a sheet, rubric or provider that cannot be; Unavailable when a store is away. Whatever ends it early
    (Ctrl-C as well), the rows that are done are kept, and written where the sheet can take them.
    """
    began = time.monotonic()
    with opened_sheet(studio, wish) as sheet:
        if wish.asking.provider != "local":
            # What is wrong with the settings is said before anything is kept.
            provider_of(studio, wish, sheet, (), None)
        new = described(wish, sheet, place=wish.place)
        with _alone(studio, new):
            score_job_id = _job(studio, new, sheet, resume)
            spans = gone_on_with(studio, score_job_id, sheet)
            provider = provider_of(studio, wish, sheet, spans, score_job_id)
            with recording.held(studio.database, score_job_id):
                tally = Tally()
                try:
                    for outcome in _rounds(studio, score_job_id, wish, sheet, provider, watch):
                        tally.add(outcome.tally)
                except BaseException:
                    _write_what_is_done(studio, wish, score_job_id, sheet)
                    raise
                written = write(studio, score_job_id, sheet)
        with studio.database.session() as session:
            failed = {f.chunk_id: f.error for f in chunks.state(session, score_job_id).failed}
    return Report(score_job_id, written, tally, time.monotonic() - began, failed)


@contextlib.contextmanager
def opened_sheet(studio: Studio, wish: Wish, *, name: str | None = None) -> Iterator[Sheet]:
    """Closed afterwards. ``name``: what its owner calls it, for messages."""
    from pipelines.scoring import opening

    column = wish.asking.column
    sheet = opening.opened(wish.place, wish.rubric, studio.settings, column=column, out=wish.out, name=name)
    with contextlib.closing(sheet):
        yield sheet


def gone_on_with(studio: Studio, score_job_id: int, sheet: Sheet) -> list[Span]:
    """Tells a freshly opened sheet which rows a score job means; its spans. BadInput when they cannot be found."""
    with studio.database.session() as session:
        spans = [chunk.span for chunk in chunks.of(session, score_job_id)]
    sheet.planned(spans)
    return spans


def options(studio: Studio) -> Options:
    """The operator's limits and prices. BadInput names the setting that is none."""
    from pipelines.scoring.pipeline import Options

    settings = studio.settings
    return Options(
        most=settings.whole("score_concurrency"),
        requests_per_minute=_limit(settings, "score_requests_per_minute"),
        tokens_per_minute=_limit(settings, "score_tokens_per_minute"),
        price=_price(settings.score_price),
    )


def write(studio: Studio, score_job_id: int, sheet: Sheet) -> Written:
    """Writes all that is done into the sheet; with every chunk ended, the job is finished by that."""
    written = fill(studio, score_job_id, sheet)
    note_written(studio, score_job_id, written)
    return written


def fill(studio: Studio, score_job_id: int, sheet: Sheet, spread: Spread | None = None) -> Written:
    """Writes all that is done into the sheet, and nothing down. ``spread``: counts what passes."""
    from pipelines.storage import score_rows

    # Closed, since a sheet asks for no more rows than it has.
    with studio.database.session() as session, contextlib.closing(score_rows.answers(session, score_job_id)) as found:
        return sheet.finish(found if spread is None else spread.counted(found))


def note_written(studio: Studio, score_job_id: int, written: Written) -> None:
    """What lies where its owner looks for it; with every chunk ended, the job is finished by that."""
    from pipelines.storage import score_jobs

    with studio.database.session() as session:
        note = score_jobs.finish if chunks.state(session, score_job_id).ended else score_jobs.wrote
        note(session, score_job_id, asdict(written))


def provider_of(studio: Studio, wish: Wish, sheet: Sheet, spans: Sequence[Span], score_job_id: int | None) -> Provider:
    """Who is asked; the local scorer learns what people scored in the sheet. BadInput for settings that cannot be."""
    asking, settings = wish.asking, studio.settings
    if asking.video:
        from pipelines.scoring import video

        return video.opened(
            settings,
            wish.rubric,
            studio.database,
            model=asking.model,
            base_url=asking.base_url,
            concurrency=wish.concurrency,
            score_job_id=score_job_id,
        )
    if asking.provider == "local":
        from pipelines.scoring.labelled import labelled
        from pipelines.scoring.local import LocalScorer

        return LocalScorer(wish.rubric, labelled(sheet, wish.rubric, spans=spans))
    return providers.opened(
        settings,
        wish.rubric,
        asking.provider,
        model=asking.model,
        base_url=asking.base_url,
        concurrency=wish.concurrency,
    )


@contextlib.contextmanager
def _alone(studio: Studio, new: NewScoreJob) -> Iterator[None]:
    """Two runs of one wish would pay for every row twice. Unavailable while another lives."""
    from pipelines.storage import score_jobs

    with studio.database.connection() as connection:
        connection.detach()  # the lock ends with its connection
        if not score_jobs.hold_wish(connection, new.fingerprint):
            raise Unavailable(new.name, "is being scored this way by another run at this moment", 30)
        yield
        score_jobs.release(connection)


def _job(studio: Studio, new: NewScoreJob, sheet: Sheet, resume: bool) -> int:
    """The run of this wish that got furthest, where one is to be gone on with; else a new one."""
    from pipelines.storage import score_jobs

    if resume:
        with studio.database.session() as session:
            if (before := score_jobs.newest(session, new.fingerprint)) is not None:
                return before.id
        log.warning("%s: no earlier run of just this is known; it is scored anew", new.name)
    return begin(studio, new, sheet)


def described(
    wish: Wish, sheet: Sheet, *, place: str, job_id: int | None = None, upload_id: int | None = None
) -> NewScoreJob:
    """As it is written down; ``place``: where the sheet is found again."""
    from pipelines.storage.score_jobs import NewScoreJob

    return NewScoreJob(
        name=sheet.name,
        kind=sheet.kind,
        place=place,
        identity=sheet.identity,
        rubric=wish.rubric.to_dict(),
        asking=asdict(wish.asking),
        rows=0,
        out=str(wish.out) if wish.out else None,
        job_id=job_id,
        upload_id=upload_id,
    )


def begin(studio: Studio, new: NewScoreJob, sheet: Sheet) -> int:
    """Looks through the whole sheet and writes down its chunks; the score job's id. BadInput for an unusable sheet."""
    from pipelines.storage import score_jobs

    spans = sheet.spans()
    with studio.database.session() as session:
        rows = spans[-1].last if spans else 0
        score_job_id = score_jobs.add(session, replace(new, rows=rows))
        chunks.plan(session, score_job_id, spans)
    return score_job_id


def _rounds(
    studio: Studio, score_job_id: int, wish: Wish, sheet: Sheet, provider: Provider, watch: Watch | None
) -> Iterator[Outcome]:
    """Everything that is left, then again what failed, when its wait is over, until it is done or given up."""
    from pipelines.scoring import pipeline

    first = True
    while True:
        with studio.database.session() as session:
            # What an earlier run gave up is tried again when a person asks for it.
            todo = chunks.left(session, score_job_id) if first else chunks.of(session, score_job_id, "failed")
            waits = [f.not_before for f in chunks.state(session, score_job_id).failed if f.not_before]
        if not todo:
            return
        if not first:
            time.sleep(max(0.0, (max(waits) - clock.now()).total_seconds()) if waits else 0.0)
        first = False
        with recording.Recorder(studio.database, score_job_id, studio.settings) as recorder:
            yield pipeline.run(sheet, todo, wish.rubric, provider, recorder, options(studio), watch=watch)


def _write_what_is_done(studio: Studio, wish: Wish, score_job_id: int, sheet: Sheet) -> None:
    """On the way out of a failure, which is what the caller is to hear of. A result that an earlier run left there,
    which may be whole, is not replaced by a part."""
    from pipelines.scoring.sheet_file import destination
    from pipelines.storage import score_jobs

    try:
        if sheet.kind != "google":
            out = destination(Path(wish.place), wish.out, sheet.kind)
            with studio.database.session() as session:
                ours = bool(score_jobs.get(session, score_job_id).written)
            if out.exists() and not ours:
                log.warning("%s is as it was; what was scored is kept, and --resume goes on with it", out)
                return
        write(studio, score_job_id, sheet)
    except OrimonoError as error:
        log.warning("what was scored is kept, but could not be written: %s", error)


def _limit(settings: Settings, name: str) -> float | None:
    return settings.number(name) if getattr(settings, name) else None


def _price(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        read, written = (float(part) for part in text.split(","))
    except ValueError:
        read = written = -1.0
    if not 0 <= read < 1e6 or not 0 <= written < 1e6:
        raise BadInput("ORIMONO_SCORE_PRICE", f"is {text!r}", "give USD a million tokens read and written: 0.15,0.60")
    return read, written
