from __future__ import annotations

import threading
from datetime import timedelta
from uuid import UUID, uuid4

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from pipelines.errors import BadInput, Unavailable
from pipelines.storage import embedding_loads, embedding_sets, embeddings
from pipelines.storage.database import Database
from pipelines.storage.recommending_tables import EmbeddingSet
from tests.recommending.vectors import GENRES, NOW, people, user_ids, vectors, version, video_ids

N = 900
LATER = NOW + timedelta(hours=1)


def loaded(session: Session, model_id: int, users: int, videos: int, *, seed: int = 0, indexed_from: int = 10) -> int:
    """A set in service."""
    set_id = embedding_sets.create_set(session, model_id)
    for kind, ids in (("user", user_ids(users)), ("video", video_ids(videos))):
        found = vectors(len(ids), seed + (kind == "user"))
        for at in range(0, len(ids), 400):
            part = slice(at, at + 400)
            digests = embedding_loads.digests(found[part])
            embedding_loads.copy_in(session, kind, set_id, ids[part], found[part], digests, version="v1", now=NOW)  # type: ignore[arg-type]
    embedding_loads.index(session, set_id, indexed_from=indexed_from)
    embedding_sets.finish(session, set_id, NOW)
    return set_id


@pytest.fixture
def model_id(database: Database) -> int:
    with database.session() as session:
        people(session, 40, N)
        return version(session).id


def expected(query: NDArray[np.float32], fits: list[bool], limit: int) -> list[UUID]:
    scores = np.where(fits, vectors(N, 0) @ query, -np.inf)
    order = [k for k in np.argsort(-scores)[:limit] if np.isfinite(scores[k])]
    return [video_ids(N)[k] for k in order]


def test_what_went_in_comes_out(database: Database, model_id: int) -> None:
    with database.session() as session:
        set_id = loaded(session, model_id, 40, N)
    with database.session() as session:
        live = embedding_sets.current_set(session, model_id)
        assert live is not None
        assert (live.id, live.n_users, live.n_videos, live.video_index, live.ready_at) == (set_id, 40, N, "hnsw", NOW)
        assert embedding_sets.current_sets(session) == {model_id: set_id}
        ids, found = embeddings.whole(session, "video", set_id)
        assert ids == sorted(video_ids(N))
        np.testing.assert_array_equal(found, vectors(N, 0)[np.argsort([str(one) for one in video_ids(N)])])
        one = embeddings.user_vector(session, set_id, user_ids(40)[7])
        np.testing.assert_array_equal(one, vectors(40, 1)[7])
        assert embeddings.user_vector(session, set_id, uuid4()) is None
        assert embeddings.vectors_of(session, "video", set_id, []) == {}
        row = session.execute(text("select updated_at, model_version, length(digest) from video_embeddings limit 1"))
        assert row.one() == (NOW, "v1", 16)


@pytest.mark.parametrize("indexed", [True, False])
def test_the_nearest_are_those_of_the_greatest_dot_product(database: Database, model_id: int, indexed: bool) -> None:
    query = vectors(1, 5)[0]
    seen = [k % 3 == 0 for k in range(N)]
    with database.session() as session:
        set_id = loaded(session, model_id, 3, N)

        def search(limit: int = 20, **wanted: object) -> list[UUID]:
            found = embeddings.nearest(session, set_id, query, limit, indexed=indexed, **wanted)  # type: ignore[arg-type]
            scores = [near.score for near in found]
            assert scores == sorted(scores, reverse=True)
            return [near.video_id for near in found]

        there = [k % 10 != 9 for k in range(N)]
        assert search() == expected(query, there, 20)
        assert search(available=False) == expected(query, [True] * N, 20)
        exclude = [one for one, was in zip(video_ids(N), seen, strict=True) if was]
        fresh = [a and not b for a, b in zip(there, seen, strict=True)]
        assert search(exclude=exclude) == expected(query, fresh, 20)
        only = [GENRES[k % 4] in ("anime", "dance") and fresh[k] for k in range(N)]
        assert search(exclude=exclude, genres=["anime", "dance"]) == expected(query, only, 20)
        others = [GENRES[k % 4] not in ("anime", "dance") and there[k] for k in range(N)]
        assert search(without_genres=["anime", "dance"]) == expected(query, others, 20)
        assert search(genres=["nothing of the kind"]) == []


def test_the_nearest_half_may_be_excluded(database: Database, model_id: int) -> None:
    """All that the index finds first was seen already."""
    query = vectors(1, 6)[0]
    order = np.argsort(-(vectors(N, 0) @ query))
    exclude = [video_ids(N)[k] for k in order[:500]]
    with database.session() as session:
        set_id = loaded(session, model_id, 3, N)
        found = embeddings.nearest(session, set_id, query, 20, exclude=exclude, available=False)
        assert [near.video_id for near in found] == [video_ids(N)[k] for k in order[500:520]]
        rest = embeddings.nearest(session, set_id, query, N, exclude=exclude, available=False)
        assert [near.video_id for near in rest] == [video_ids(N)[k] for k in order[500:]]


def test_a_question_opens_one_partition(database: Database, model_id: int) -> None:
    with database.session() as session:
        first, second = loaded(session, model_id, 5, N), loaded(session, model_id, 5, N, seed=9)
    plans: list[str] = []
    with database.session() as session:
        run = session.execute

        def explained(statement: object, params: object = None, **kwargs: object) -> object:
            if "video_embeddings" in str(statement):
                plans.append("\n".join(run(text(f"explain {statement}"), params).scalars()))  # type: ignore[arg-type]
            return run(statement, params, **kwargs)  # type: ignore[call-overload]

        patch = pytest.MonkeyPatch()
        patch.setattr(session, "execute", explained)
        embeddings.nearest(session, second, vectors(1, 1)[0], 20)
        embeddings.nearest(session, second, vectors(1, 1)[0], 20, indexed=False)
        patch.undo()
    assert len(plans) == 2
    assert all(f"video_embeddings_{second}" in plan and f"video_embeddings_{first}" not in plan for plan in plans)
    assert f"video_embeddings_{second}_hnsw" in plans[0]
    assert "hnsw" not in plans[1]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda found: found[:, :512], "512 numbers"),
        (lambda found: found * 2, "length 2.0000"),
        (lambda found: np.where(np.arange(768) == 3, np.nan, found), "NaN or infinity"),
        (lambda found: found[:-1], "4 x 768"),
    ],
)
def test_unfit_vectors_are_refused_before_anything_is_written(
    database: Database, model_id: int, spoil: object, said: str
) -> None:
    found = spoil(vectors(5, 0)).astype(np.float32)  # type: ignore[operator]
    with database.session() as session:
        set_id = embedding_sets.create_set(session, model_id)
        with pytest.raises(BadInput, match=said) as caught:
            embedding_loads.copy_in(
                session,
                "video",
                set_id,
                video_ids(5),
                found,
                np.zeros((5, 16), np.uint8),
                version="v20261121.1",
                now=NOW,
            )
        assert "v20261121.1" in str(caught.value)
        assert embedding_sets.contents(session, "video", set_id).rows == 0


def test_a_set_whose_vectors_are_not_of_length_1_is_not_served(database: Database, model_id: int) -> None:
    with database.session() as session:
        old = loaded(session, model_id, 2, 20)
    with pytest.raises(BadInput, match="video vectors of length"), database.session() as session:
        set_id = embedding_sets.create_set(session, model_id)
        found = vectors(20, 3)
        embedding_loads.copy_in(
            session,
            "video",
            set_id,
            video_ids(20),
            found,
            embedding_loads.digests(found),
            version="v1",
            now=NOW,
        )
        session.execute(text(f"update video_embeddings_{set_id} set embedding = embedding * embedding"))
        embedding_loads.index(session, set_id)
        embedding_sets.finish(session, set_id, NOW)
    with database.session() as session:
        assert embedding_sets.current_sets(session) == {model_id: old}
        assert embedding_sets.unused(session, LATER) == []


def test_back_by_one_row_and_forth(database: Database, model_id: int) -> None:
    with database.session() as session:
        first = loaded(session, model_id, 2, 20)
        with pytest.raises(BadInput, match="no earlier"):
            embedding_sets.back(session, model_id, NOW)
        second = loaded(session, model_id, 2, 20)
        assert embedding_sets.back(session, model_id, NOW) == first
        assert embedding_sets.current_sets(session) == {model_id: first}
        assert embedding_sets.back(session, model_id, NOW) == second


def test_the_sets_before_the_last_one_go_after_a_while(database: Database, model_id: int) -> None:
    with database.session() as session:
        first, second, third = (loaded(session, model_id, 2, 20) for _ in range(3))
        other = loaded(session, version(session, 2).id, 2, 20)
    with database.session() as session:
        assert embedding_sets.unused(session, NOW) == []
        assert embedding_sets.unused(session, LATER) == [first]
        assert not embedding_sets.drop(session, second)  # the one before
        assert not embedding_sets.drop(session, other)
        assert embedding_sets.drop(session, first)
    with database.session() as session:
        assert embedding_sets.unused(session, LATER) == []
        assert session.get(EmbeddingSet, first) is None
        for indexed in (True, False):
            with pytest.raises(Unavailable, match="was replaced"):
                embeddings.nearest(session, first, vectors(1, 0)[0], 5, indexed=indexed)
        with pytest.raises(Unavailable, match="was replaced"):
            embeddings.whole(session, "video", first)
        assert len(embeddings.nearest(session, third, vectors(1, 0)[0], 5)) == 5


def test_tables_of_no_set_and_half_built_ones_are_left_behind(database: Database, model_id: int) -> None:
    with database.session() as session:
        session.execute(text("create table video_embeddings_77 (like video_embeddings)"))
        half = embedding_sets.create_set(session, model_id)
    with database.session() as builder, embedding_sets.patient(builder, model_id, 1), database.session() as session:
        assert embedding_sets.unused(session, NOW) == [half, 77]
        assert not embedding_sets.drop(session, half)  # somebody builds
        assert embedding_sets.drop(session, 77)
    with database.session() as session:
        assert embedding_sets.drop(session, half)
        assert embedding_sets.unused(session, NOW) == []


def test_a_set_that_is_being_read_stays_until_the_next_time(database: Database, model_id: int) -> None:
    with database.session() as session:
        first, _, third = (loaded(session, model_id, 2, 20) for _ in range(3))
    with database.session() as reader:
        embeddings.whole(reader, "video", first)
        with database.session() as session:
            assert not embedding_sets.drop(session, first)
        assert len(embeddings.nearest(reader, first, vectors(1, 0)[0], 5)) == 5
    with database.session() as session:
        assert embedding_sets.drop(session, first)
        assert len(embeddings.nearest(session, third, vectors(1, 0)[0], 5)) == 5


def test_viewers_are_forgotten_in_every_set(database: Database, model_id: int) -> None:
    with database.session() as session:
        sets = [loaded(session, model_id, 10, 20), loaded(session, version(session, 2).id, 10, 20)]
    gone = user_ids(10)[:3]
    with database.session() as session:
        assert embeddings.forget(session, gone) == 6
        assert embeddings.forget(session, gone) == 0
        assert embeddings.forget(session, []) == 0
        for set_id in sets:
            assert set(embeddings.whole(session, "user", set_id)[0]) == set(user_ids(10)[3:])


def test_who_forgets_waits_for_a_set_that_is_about_to_be_shown(database: Database, model_id: int) -> None:
    gone = user_ids(10)[:1]
    done = threading.Event()

    def forget() -> None:
        with database.session() as session:
            embeddings.forget(session, gone)
        done.set()

    with database.session() as session:
        embeddings.lock_viewers(session, shared=True)
        set_id = loaded(session, model_id, 10, 20)
        thread = threading.Thread(target=forget)
        thread.start()
        assert not done.wait(0.2)
    thread.join(30)
    with database.session() as session:
        assert embeddings.user_vector(session, set_id, gone[0]) is None
