"""The chunks of a run on the machines of a cluster: parts of a sheet side by side where this house scores them, one
machine at a time where a provider is asked, who allows a pace and not a machine.

What a part's run does is batch.py's, and all that it leaves is in the database.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines import clock
from pipelines.compute.spreading import Lost, spread
from pipelines.scoring import chunks
from pipelines.scoring.chunks import Chunk
from pipelines.scoring.scored import Tally
from pipelines.scoring.stopping import DRAIN, HANGING
from pipelines.settings import Settings
from pipelines.storage import score_jobs
from pipelines.storage.cache import Cache
from pipelines.storage.objects import Objects
from pipelines.studio import Studio, beside

if TYPE_CHECKING:
    from pipelines.scoring.batch import Fate
    from pipelines.scoring.pipeline import Outcome

LOCAL = "local"
CHUNKS = 4  # of a part: seconds of work for a second of getting ready
_GRACE = DRAIN + HANGING + 5.0  # s for what is in flight, when a run is to end
_LOST = "its worker died twice (too little memory?)"
_ENDED = "its run was ended by a person; `orimono retry` goes on with it"


@dataclass(frozen=True, slots=True)
class Part:
    score_job_id: int
    chunks: tuple[Chunk, ...]
    last: bool  # as Fate has it


def outcomes(studio: Studio, by_sheet: Mapping[int, Sequence[Chunk]], fate: Fate) -> Iterator[Outcome]:
    """Of the parts, as they end. Raises what a part's run does."""
    with studio.database.session() as session:
        asked = {sheet: score_jobs.get(session, sheet).asking["provider"] for sheet in by_sheet}
    here = [part for sheet, theirs in by_sheet.items() if asked[sheet] == LOCAL for part in _cut(sheet, theirs, fate)]
    others = [Part(sheet, tuple(theirs), fate.last) for sheet, theirs in by_sheet.items() if asked[sheet] != LOCAL]
    try:
        for parts, window in ((here, None), (others, 1)):
            if not parts:
                continue
            with contextlib.closing(spread(studio.settings, score, parts, window=window, grace=_GRACE)) as answers:
                for number, answer in answers:
                    yield _lost(studio, parts[number]) if isinstance(answer, Lost) else answer
    except Exception:
        raise
    except BaseException:
        if fate.canceled():
            with studio.database.session() as session:
                for sheet in by_sheet:
                    score_jobs.fail(session, sheet, _ENDED)
        raise


def score(settings: Settings, part: Part) -> Outcome:
    """On a node."""
    from pipelines.scoring import batch

    with beside(settings, Cache(Objects.open(settings))) as studio:
        return batch.run_chunks(studio, part.score_job_id, part.chunks, batch.Fate(last=part.last))


def _cut(sheet: int, theirs: Sequence[Chunk], fate: Fate) -> list[Part]:
    starts = range(0, len(theirs), CHUNKS)
    return [Part(sheet, tuple(theirs[start : start + CHUNKS]), fate.last) for start in starts]


def _lost(studio: Studio, part: Part) -> Outcome:
    from pipelines.scoring.pipeline import Outcome

    ids = [chunk.chunk_id for chunk in part.chunks]
    with studio.database.session() as session:
        chunks.broken(session, ids, _LOST, clock.now(), retries=studio.settings.whole("score_retries"))
    return Outcome(Tally(), (), dict.fromkeys(ids, _LOST), stopped=False, seconds=0.0)
