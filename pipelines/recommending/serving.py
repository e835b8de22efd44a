"""Lists for viewers, in milliseconds: what a viewer decided, up to this moment, through the user tower of their version
to the nearest videos that they have not seen.

Each answer says which path made it. What is held in memory is shelves.py's, which version a viewer gets
models/inference.py's, lists for many at once many.py's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import NotFound, OrimonoError, Unavailable
from pipelines.models.inference import Predictor
from pipelines.recommending import answers, blas, many, popular, ranking, simultaneous, versions
from pipelines.recommending.answers import POPULAR, REMEMBERED, TABLE, TOWER, Asked, Recommendations
from pipelines.recommending.catalogue import Filters
from pipelines.recommending.dataset import FEATURE_VERSION, NAME
from pipelines.recommending.people import viewer_id
from pipelines.recommending.ranking import Wish
from pipelines.recommending.rows import named_viewer
from pipelines.recommending.shelves import Shelves, State
from pipelines.storage import decisions, embeddings, recommendations, videos
from pipelines.storage.recommendations import Decided, Ids
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio

log = logging.getLogger(__name__)
SEEN_KEPT = 1000  # viewers whose seen videos are remembered while the database is away
AWAY_S = 1.0  # for which a database that did not answer is not asked again


class LiveRecommender:
    """Any number of threads may ask at once. Use it as a context, or ``close`` it.

    A new version, another embedding set, a change of the catalogue are seen within ``refresh_s`` seconds, a decision
    by the next list. ``timeout_s``: for each version's tower. ``memory_mb``: for the vectors that are searched in this
    process (2 kB each); PostgreSQL searches those for which there is no room, and all in the first seconds.
    While it is open, BLAS runs on one thread in this process (see blas.py).
    ``cold_exploration``: at least so much exploration in the lists of viewers without history.
    """

    def __init__(
        self,
        studio: Studio,
        *,
        refresh_s: float = 5.0,
        timeout_s: float = 0.25,
        memory_mb: float = 500.0,
        cold_exploration: float = 0.0,
    ) -> None:
        self._database = studio.database
        self._refresh_s = refresh_s
        self._cold_exploration = cold_exploration
        self._shelves = Shelves(studio, memory_mb)
        self._predictor = Predictor(
            studio,
            NAME,
            feature_version=FEATURE_VERSION,
            timeout_s=timeout_s,
            refresh_s=refresh_s,
            prepare=self._shelves.prepare,
        )
        self._seen: OrderedDict[UUID, Ids] = OrderedDict()
        self._seen_lock = threading.Lock()
        self._away_until = 0.0
        self._away = ""
        self._closing = threading.Event()
        blas.hold()
        self._look(load=False)
        self._thread = threading.Thread(target=self._keep_up, name="orimono-shelves", daemon=True)
        self._thread.start()

    def __enter__(self) -> LiveRecommender:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def problems(self) -> tuple[str, ...]:
        """Why versions that are rolled out do not serve here, one sentence each; empty when all is well."""
        return self._predictor.problems

    def recommend(
        self,
        viewer: str,
        limit: int = 20,
        *,
        genres: Sequence[str] = (),
        without_genres: Sequence[str] = (),
        available: bool = True,
        diversity: float = 0.0,
        exploration: float = 0.0,
        seed: int | None = None,
    ) -> Recommendations:
        """The viewer's list (by name or id): videos about which they have decided nothing, of any of ``genres``, none
        of ``without_genres``, and (``available``) only such as can be watched now. Fewer than ``limit`` only when there
        are no more.

        ``diversity`` and ``exploration`` 0..1: see reranking.py; ``seed`` makes a list with exploration repeatable.
        BadInput for an empty name and numbers out of range; whatever else is missing, there is a list.
        """
        wish = Wish(limit, Filters.of(genres, without_genres, available), diversity, exploration, seed)
        return self.recommend_one(viewer_id(viewer), wish)

    def recommend_one(self, user_id: UUID, wish: Wish) -> Recommendations:
        started = time.perf_counter()
        state = self._shelves.state
        if time.monotonic() < self._away_until:
            return self._remembered(state, user_id, wish, self._away, started)
        for again in (True, False):
            try:
                with self._database.reading() as session:
                    return self._list(session, state, user_id, wish, started)
            except Unavailable as away:  # the database, or a set that was dropped meanwhile
                reason = str(away)
            try:
                if again:
                    self._shelves.refresh(load=False)
                    state = self._shelves.state
            except Unavailable as away:
                reason = str(away)
                break
        self._away, self._away_until = reason, time.monotonic() + AWAY_S
        return self._remembered(state, user_id, wish, reason, started)

    def recommend_together(self, asked: Sequence[tuple[UUID, Wish]]) -> list[Recommendations | None]:
        """What ``recommend_one`` gives each, in their order and a quarter of its time; None for whom it is to be asked
        all the same (see simultaneous.py)."""
        try:
            if time.monotonic() >= self._away_until:
                with self._database.reading() as session:
                    return simultaneous.lists(session, self._shelves, self._predictor, asked, self._note_seen)
        except OrimonoError as away:
            log.info("%d lists together: %s", len(asked), away)
        except Exception:  # one of them may be at fault, and none of the others
            log.exception("defect in %d lists together", len(asked))
        return [None] * len(asked)

    def recommend_many(
        self,
        viewers: Sequence[str],
        limit: int = 20,
        *,
        genres: Sequence[str] = (),
        without_genres: Sequence[str] = (),
        available: bool = True,
        diversity: float = 0.0,
        exploration: float = 0.0,
        seed: int | None = None,
    ) -> list[Recommendations]:
        """A list for each of them, in their order: by their stored vectors ("table"), which costs a tenth; what
        ``recommend`` gives ("tower" and the rest) for who decided something since their vector was stored, or has none.

        Waits for the vectors of the set to be in memory first.
        """
        started = time.perf_counter()
        wish = Wish(limit, Filters.of(genres, without_genres, available), diversity, exploration, seed)
        asked = {viewer: viewer_id(viewer) for viewer in viewers}
        everybody = list(dict.fromkeys(asked.values()))
        made: dict[UUID, Recommendations] = {}
        if self._predictor.enabled:
            found = many.lists(self._database, self._shelves, self._predictor, everybody, wish)
            made = {
                one: answers.answer(items, path, version, (), started) for one, (items, path, version) in found.items()
            }
        for user_id in everybody:
            if user_id not in made:
                made[user_id] = self.recommend_one(user_id, wish)
        return [made[asked[viewer]] for viewer in viewers]

    def decide(
        self,
        viewer: str,
        video: str,
        decision: str,
        rating: float | None = None,
        at: datetime | None = None,
        *,
        now: datetime | None = None,
    ) -> None:
        """Keeps a decision ("like", "watch", "skip" or "dislike"); the viewer's next list knows it. ``video``: as the
        studio calls it, or its id.

        NotFound for an unknown video; BadInput for whatever decisions.record refuses; Unavailable when the database is
        away.
        """
        user_id = viewer_id(viewer)
        person = named_viewer(viewer)[1]
        with self._database.session() as session:
            card = videos.find(session, video)
            if card is None:
                raise NotFound(f"video {video!r}", "is not known", "import its catalogue first, or check the name")
            video_id = UUID(card.video_id)
            decisions.record(session, user_id, video_id, decision, rating, at, person=person, now=now)
        with self._seen_lock:
            if user_id in self._seen:
                self._seen[user_id] = np.append(self._seen[user_id], np.array([video_id.bytes], "S16"))

    def refresh(self) -> None:
        """Looks at rollout, pointers and catalogue now, as the threads do, and waits until the vectors are in memory;
        for who has just changed something. Unavailable when the database is away."""
        self._predictor.refresh()
        self._shelves.refresh()

    def close(self) -> None:
        """Ends the threads and hands the counts over. May be called twice."""
        if not self._closing.is_set():
            blas.release()
        self._closing.set()
        self._shelves.close()
        self._thread.join(timeout=10)
        self._predictor.close()

    def _list(self, session: Session, state: State, user_id: UUID, wish: Wish, started: float) -> Recommendations:
        known = recommendations.viewer(session, user_id)
        decided = recommendations.NOTHING if known is None else known.decided
        self._note_seen(user_id, decided.video_ids if len(decided) else None)
        reason = ""
        if known is None:
            reason = "nothing is known of this viewer"
        elif known.withdrawn:
            reason = "this viewer has withdrawn"
        elif not len(decided):
            reason = "this viewer has not decided anything yet"
        asked = None if reason else self._asked(session, state, user_id, decided)
        if isinstance(asked, Asked):
            items = ranking.personal(session, asked.state, asked.shelf, asked.vector, decided, wish)
            items = popular.filled(session, state, items, decided, wish)
            return answers.answer(items, asked.path, asked.version, asked.reasons, started)
        wish = wish.at_least(self._cold_exploration)
        items = popular.listed(session, state, decided, wish)
        return answers.answer(items, POPULAR, POPULAR, (reason,) if reason else asked or (), started)

    def _asked(self, session: Session, state: State, user_id: UUID, decided: Decided) -> Asked | tuple[str, ...]:
        """The vector to search with; why there is none, otherwise."""
        if not self._predictor.enabled:
            return ("an operator has switched the models off",)

        met: dict[int, State] = {}  # as each version was asked: its set and catalogue belong together

        def inputs(row: ModelVersion) -> NDArray[np.float32] | None:
            met[row.id] = self._shelves.state_for(row)
            tower = self._shelves.tower(row)
            history = decided.history(versions.WHOLE)
            if tower.unknown(history.video_ids) == len(history):
                return None  # a catalogue that is newer than the version is no fault of the version
            moment = max(int(clock.now().timestamp()), int(history.times[-1]))
            return tower.user_input_of(history.video_ids, history.times, history.ratings, history.wanted, moment)

        routed = self._predictor.routed(str(user_id))
        try:
            found = self._predictor.predict(str(user_id), inputs)
        except Unavailable as failed:
            for row in routed:
                shelf = state.shelves.get(row.id)
                vector = None if shelf is None else embeddings.user_vector(session, shelf.serving.set_id, user_id)
                if shelf is not None and vector is not None:
                    return Asked(vector, state, shelf, TABLE, row.version, (str(failed),))
            return (str(failed),)
        assert found.model_id is not None
        state = met[found.model_id]
        return Asked(found.outputs[0], state, state.shelves[found.model_id], TOWER, found.version, found.reasons)

    def _remembered(self, state: State, user_id: UUID, wish: Wish, reason: str, started: float) -> Recommendations:
        with self._seen_lock:
            seen = self._seen.get(user_id)
        items = popular.remembered(state, seen, wish.at_least(self._cold_exploration))
        return answers.answer(items, REMEMBERED, REMEMBERED, (reason,), started)

    def _note_seen(self, user_id: UUID, ids: Ids | None) -> None:
        with self._seen_lock:
            self._seen.pop(user_id, None)
            if ids is not None:
                self._seen[user_id] = ids
                if len(self._seen) > SEEN_KEPT:
                    self._seen.popitem(last=False)

    def _look(self, *, load: bool) -> None:
        try:
            self._shelves.refresh(load=load)
        except OrimonoError as away:
            log.warning("recommendations: %s; what is in memory serves on", away)

    def _keep_up(self) -> None:
        while True:
            try:
                self._look(load=True)
            except Exception:  # a thread that dies in silence would freeze what is served
                log.exception("recommendations: defect in the look at what serves")
            if self._closing.wait(self._refresh_s):
                return
