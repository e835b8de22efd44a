"""The steps of a batch, the version of the code of each, and what older code had made: what a backfill is for.

How a backfill runs is the orchestrator's; what a step does is its system's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pipelines.errors import BadInput
from pipelines.storage import staleness as table
from pipelines.studio import Studio


@dataclass(frozen=True, slots=True)
class Step:
    """``reads``: the steps whose results it works from."""

    name: str
    version: Callable[[], str]
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stale:
    """What of one step is not by its present ``version``. ``batches``: keys, oldest first; ``by``: who made it."""

    step: str
    version: str
    batches: tuple[str, ...]
    items: int
    by: tuple[str, ...]


def _editing(name: str) -> Callable[[], str]:
    def version() -> str:
        from pipelines.editing.job import version_of

        return version_of(name)

    return version


def _mastering(name: str) -> Callable[[], str]:
    def version() -> str:
        from pipelines.mastering.job import version_of

        return version_of(name)

    return version


def _composing() -> str:
    from pipelines.composing.batch import VERSION

    return VERSION


def _recommending() -> str:
    from pipelines.recommending.batch import VERSION

    return VERSION


def _scoring() -> str:
    from pipelines.scoring.batch import VERSION

    return VERSION


_ALL = (
    *(Step(name, _editing(name)) for name in ("music_features", "video_features", "lyrics_features")),
    Step("shared_features", _editing("shared_features"), ("music_features", "video_features", "lyrics_features")),
    Step("edit_patterns", _editing("edit_patterns"), ("shared_features",)),
    Step("edit_renders", _editing("edit_renders"), ("edit_patterns",)),
    Step("edit_quality", _editing("edit_quality"), ("edit_renders",)),
    Step("alignments", _mastering("alignments")),
    Step("mastering_features", _mastering("mastering_features"), ("alignments",)),
    Step("masters", _mastering("masters"), ("mastering_features",)),
    Step("previews", _mastering("previews"), ("masters",)),
    Step("waveforms", _mastering("waveforms"), ("masters",)),
    Step("mastering_labels", _mastering("mastering_labels"), ("mastering_features", "masters")),
    Step("accompaniments", _composing),
    Step("decisions", _recommending),
    Step("score_jobs", _scoring),
    Step("scored_sheets", _scoring),
)
STEPS: Mapping[str, Step] = MappingProxyType({step.name: step for step in _ALL})  # each after what it reads


def find(studio: Studio, steps: Sequence[str] = ()) -> list[Stale]:
    """What other code made, of these steps or all, in the order of the steps. BadInput for one that is not known."""
    versions = {name: named(name).version() for name in steps or STEPS}
    with studio.database.session() as session:
        rows = table.old_items(session, versions)
    found = []
    for name in (name for name in STEPS if name in versions):
        theirs = [row for row in rows if row.step == name]
        if theirs:
            batches = tuple(dict.fromkeys(row.batch for row in theirs))
            by = tuple(sorted({row.version for row in theirs}))
            found.append(Stale(name, versions[name], batches, sum(row.items for row in theirs), by))
    return found


def named(name: str) -> Step:
    if name not in STEPS:
        remedy = f"choose from {', '.join(STEPS)}"
        raise BadInput(name, "is not a step of a batch", f"{remedy} (chunks of sheets: `orimono retry`)")
    return STEPS[name]


def downstream(name: str) -> tuple[str, ...]:
    """The step and all that works from it, in order."""
    found = [named(name).name]
    for step in STEPS.values():
        if step.name not in found and set(step.reads) & set(found):
            found.append(step.name)
    return tuple(found)


def chosen(studio: Studio, wanted: str) -> tuple[str, ...]:
    """The batches that ``wanted`` names, oldest first: keys and spans of keys, ``20261121-0001..20261121-0040``, with
    commas between them. BadInput for a batch that is not known, that is under way, or that was given up."""
    with studio.database.session() as session:
        there = list(table.ended_batches(session))
    found: set[str] = set()
    for part in (part.strip() for part in wanted.split(",") if part.strip()):
        found.update(_span(part, there))
    if not found:
        raise BadInput("--batches", "names no batch", "give keys, such as 20261121-0001,20261121-0004..20261121-0010")
    return tuple(key for key in there if key in found)


def every(studio: Studio) -> tuple[str, ...]:
    """All batches that have ended and were not given up, oldest first."""
    with studio.database.session() as session:
        return tuple(table.ended_batches(session))


def _span(part: str, there: Sequence[str]) -> Iterator[str]:
    first, dots, last = part.partition("..")
    for key in (first, last) if dots else (first,):
        if key not in there:
            reason = "is no batch that has ended and still has its partition"
            raise BadInput(f"batch {key}", reason, "`orimono stale` and the Dagster UI list batches")
    begin, end = there.index(first), there.index(last if dots else first)
    if begin > end:
        raise BadInput(part, "runs backwards", "give the older batch first")
    yield from there[begin : end + 1]
