"""Lists for viewers who ask at the same moment, each with a wish of their own: one query for all, one run of each
version's tower, one scan of its set, one question for titles.

A list is what serving.py would make for its viewer alone. Whoever needs more than the plain way (no history, a version
that does not answer, a set that is not in memory) gets none here, and is to be asked alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import Unavailable
from pipelines.models.inference import Predictor
from pipelines.recommending import answers, many, popular, ranking, versions
from pipelines.recommending.answers import TOWER, Recommendations
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.ranking import Choice, Wish
from pipelines.recommending.searching import Ids
from pipelines.recommending.shelves import Shelf, Shelves, State
from pipelines.storage import recommendations
from pipelines.storage.recommendations import Crowd, Decided
from pipelines.storage.tables import ModelVersion

Question = tuple[UUID, Wish]


@dataclass(frozen=True, slots=True)
class _Vector:
    """Of the question at ``place``, by a version's tower."""

    place: int
    vector: NDArray[np.float32]
    model_id: int
    version: str


def lists(
    session: Session,
    shelves: Shelves,
    predictor: Predictor,
    questions: Sequence[Question],
    seen: Callable[[UUID, Ids], None],
) -> list[Recommendations | None]:
    """In the order of the questions. ``seen`` is told what each viewer has decided about. Raises Unavailable when the
    database is away."""
    started = time.perf_counter()
    made: list[Recommendations | None] = [None] * len(questions)
    if not predictor.enabled:
        return made
    known = recommendations.viewers(session, {user_id for user_id, _ in questions})
    routes: dict[tuple[int, ...], list[int]] = {}
    for place, (user_id, _) in enumerate(questions):
        viewer = known.get(user_id)
        if viewer is not None and len(viewer.decided):
            seen(user_id, viewer.decided.video_ids)
            route = tuple(row.id for row in predictor.routed(str(user_id)))
            routes.setdefault(route, []).append(place)
    state = shelves.state
    chosen: list[tuple[_Vector, Choice]] = []
    for places in routes.values():
        theirs = [(place, questions[place][0], known[questions[place][0]].decided) for place in places]
        groups: dict[tuple[int, Wish], list[_Vector]] = {}
        for one in _vectors(shelves, state, predictor, theirs):
            groups.setdefault((one.model_id, questions[one.place][1]), []).append(one)
        for (model_id, wish), group in groups.items():
            asking = [(user_id, known[user_id].decided) for user_id, _ in (questions[one.place] for one in group)]
            chosen += zip(group, _choices(state, state.shelves[model_id], group, asking, wish), strict=True)
    shown = {name for _, choice in chosen for name in (*choice.names, *choice.links) if name}
    cards = recommendations.cards(session, list(shown))
    for one, choice in chosen:
        user_id, wish = questions[one.place]
        items = ranking.items(choice, cards, wish)
        items = popular.filled(session, state, items, known[user_id].decided, wish)
        made[one.place] = answers.answer(items, TOWER, one.version, (), started)
    return made


def _vectors(
    shelves: Shelves, state: State, predictor: Predictor, theirs: Sequence[tuple[int, UUID, Decided]]
) -> list[_Vector]:
    """Of viewers who are asked of the same versions, (place, who, what they decided) each; of as many as their own
    version answers at once."""
    version = next(iter(predictor.routed(str(theirs[0][1]))), None)
    shelf = None if version is None else state.shelves.get(version.id)
    if version is None or shelf is None or shelf.index is None:
        return []
    tower = shelves.tower(version)
    histories = [decided.history(versions.WHOLE) for _, _, decided in theirs]
    familiar = tower.knows(np.concatenate([history.video_ids for history in histories]))
    ends = np.cumsum([len(history) for history in histories])
    met = np.add.reduceat(familiar, np.append(0, ends[:-1])) > 0
    if not met.all():  # a catalogue newer than the version; what comes of it is the single way's to say
        theirs = [one for one, some in zip(theirs, met.tolist(), strict=True) if some]
        return _vectors(shelves, state, predictor, theirs) if theirs else []
    together = Interactions(
        users=np.repeat(np.arange(len(histories), dtype=np.int32), np.diff(ends, prepend=0)),
        items=np.arange(ends[-1], dtype=np.int32),  # none is twice in a history, and no two histories are compared
        times=np.concatenate([history.times for history in histories]),
        ratings=np.concatenate([history.ratings for history in histories]),
        wanted=np.concatenate([history.wanted for history in histories]),
        user_ids=np.array([f"{k:09d}" for k in range(len(histories))], np.str_),
        item_ids=np.concatenate([history.video_ids for history in histories]),
    )
    moments = np.maximum(int(clock.now().timestamp()), together.times[ends - 1])

    def inputs(row: ModelVersion) -> NDArray[np.float32]:
        if row.id != version.id:
            raise Unavailable(version.version, "was exchanged meanwhile", 0)
        return tower.user_inputs(together, asked=moments)

    found = predictor.predict_together([str(user_id) for _, user_id, _ in theirs], inputs)
    return [
        _Vector(place, one.outputs[0], version.id, version.version)
        for (place, _, _), one in zip(theirs, found, strict=True)
        if one is not None
    ]


def _choices(
    state: State, shelf: Shelf, vectors: Sequence[_Vector], theirs: Sequence[tuple[UUID, Decided]], wish: Wish
) -> list[Choice]:
    assert shelf.index is not None
    crowd = Crowd(
        [user_id for user_id, _ in theirs],
        np.append(0, np.cumsum([len(decided) for _, decided in theirs])).astype(np.int64),
        np.concatenate([decided.video_ids for _, decided in theirs]),
        np.concatenate([decided.wanted for _, decided in theirs]),
        np.zeros(len(theirs)),
    )
    return many.choices(state, shelf, shelf.index, np.array([one.vector for one in vectors]), crowd, wish)
