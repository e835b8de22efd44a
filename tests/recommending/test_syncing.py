from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import text

from pipelines.errors import BadInput, Unavailable
from pipelines.recommending import syncing
from pipelines.recommending.embedding import Batch
from pipelines.recommending.syncing import Synced
from pipelines.settings import Settings
from pipelines.storage import audit, embedded, embedding_sets, embeddings, viewers
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.storage.recommending_tables import Video
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio
from tests.recommending.vectors import NOW, batches, people, states, user_ids, vectors, version, video_ids

USERS, VIDEOS = 100, 300
LATER = NOW + timedelta(days=1)


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    return Studio(settings, database, objects, Cache(objects))


@pytest.fixture
def model(studio: Studio) -> ModelVersion:
    with studio.database.session() as session:
        people(session, USERS, VIDEOS)
        return version(session)


def sync(
    studio: Studio,
    model: ModelVersion,
    users: NDArray[np.float32] | None = None,
    videos: NDArray[np.float32] | None = None,
    **wanted: object,
) -> Synced:
    users = vectors(USERS, 1) if users is None else users
    videos = vectors(VIDEOS, 2) if videos is None else videos
    return syncing.sync(
        studio,
        model,
        batches(user_ids(len(users)), users),
        batches(video_ids(len(videos)), videos),
        **{"now": NOW, "indexed_from": 50, **wanted},  # type: ignore[arg-type]
    )


def held(studio: Studio, set_id: int, kind: str = "video") -> dict[str, list[float]]:
    with studio.database.session() as session:
        ids, found = embeddings.whole(session, kind, set_id)  # type: ignore[arg-type]
    return {str(one): vector.tolist() for one, vector in zip(ids, found, strict=True)}


def given(found: NDArray[np.float32]) -> dict[str, list[float]]:
    return {str(one): vector.tolist() for one, vector in zip(video_ids(len(found)), found, strict=True)}


def test_the_first_sync_of_a_version_makes_its_set(studio: Studio, model: ModelVersion) -> None:
    done = sync(studio, model)
    assert (done.new_set, done.users, done.videos, done.moved, done.unchanged, done.deleted, done.indexed) == (
        True,
        USERS,
        VIDEOS,
        USERS + VIDEOS,
        0,
        0,
        "hnsw",
    )
    assert held(studio, done.set_id) == given(vectors(VIDEOS, 2))
    with studio.database.session() as session:
        assert embedding_sets.current_sets(session) == {model.id: done.set_id}
        told = audit.of_subject(session, "model:two_tower")
    assert [(row.action, row.detail["set"]) for row in told] == [("embeddings.sync", done.set_id)]
    assert "400 vectors moved" in done.sentence


def test_nothing_changed_and_nothing_happens(studio: Studio, model: ModelVersion) -> None:
    first = sync(studio, model)
    again = sync(studio, model, now=LATER)
    assert (again.set_id, again.moved, again.unchanged, again.new_set) == (first.set_id, 0, USERS + VIDEOS, False)
    assert "nothing changed" in again.sentence
    with studio.database.session() as session:
        assert len(audit.of_subject(session, "model:two_tower")) == 1


def test_the_last_bits_of_a_number_are_no_change(studio: Studio, model: ModelVersion) -> None:
    """A tower gives them otherwise in a batch of another size."""
    sync(studio, model)
    nearly = np.nextafter(vectors(VIDEOS, 2), np.float32(1))
    nearly[7, 100] += np.float32(1e-4)
    again = sync(studio, model, videos=nearly, now=LATER)
    assert (again.moved, again.unchanged) == (1, USERS + VIDEOS - 1)


def test_few_changes_go_into_the_live_set(studio: Studio, model: ModelVersion) -> None:
    first = sync(studio, model, few=0.05)
    changed = vectors(VIDEOS, 2)
    changed[:10] = vectors(10, 77, state=1)
    done = sync(studio, model, vectors(USERS, 1)[:-2], changed[:-3], now=LATER, few=0.05)
    assert (done.set_id, done.new_set, done.moved, done.deleted) == (first.set_id, False, 10, 5)
    assert (done.users, done.videos) == (USERS - 2, VIDEOS - 3)
    assert held(studio, done.set_id) == given(changed[:-3])
    with studio.database.session() as session:
        found = embeddings.nearest(session, done.set_id, changed[4], 1)
    assert [near.video_id for near in found] == [video_ids(5)[4]]


def test_many_changes_make_a_new_set_to_which_the_rest_is_copied(studio: Studio, model: ModelVersion) -> None:
    first = sync(studio, model)
    changed = vectors(VIDEOS, 2)
    changed[50:150] = vectors(100, 77, state=1)
    done = sync(studio, model, videos=changed[:-3], now=LATER)
    assert (done.new_set, done.moved, done.unchanged, done.deleted) == (True, 100, USERS + 197, 3)
    assert held(studio, done.set_id) == given(changed[:-3])
    assert held(studio, first.set_id) == given(vectors(VIDEOS, 2))
    with studio.database.session() as session:
        query = text("select updated_at, count(*) from video_embeddings where set_id = :s group by 1 order by 1")
        assert [tuple(row) for row in session.execute(query, {"s": done.set_id})] == [(NOW, 197), (LATER, 100)]


def test_a_set_that_was_patched_often_is_built_anew(studio: Studio, model: ModelVersion) -> None:
    sync(studio, model)
    made = []
    for day in range(1, 14):
        changed = vectors(VIDEOS, 2)
        changed[:8] = vectors(8, 100 + day)
        made.append(sync(studio, model, videos=changed, now=NOW + timedelta(days=day)).new_set)
    assert made == [False] * 10 + [True] + [False] * 2


def test_back_to_the_set_before(studio: Studio, model: ModelVersion) -> None:
    first = sync(studio, model)
    second = sync(studio, model, videos=vectors(VIDEOS, 3))
    assert syncing.roll_back(studio, model, NOW, actor="somebody", reason="worse") == first.set_id
    with studio.database.session() as session:
        assert embedding_sets.current_sets(session) == {model.id: first.set_id}
        assert audit.newest(session, 1)[0].action == "embeddings.back"
    assert syncing.roll_back(studio, model, NOW, actor="somebody", reason="after all") == second.set_id


def test_a_sync_does_not_undo_a_rollback_unseen(studio: Studio, model: ModelVersion) -> None:
    first = sync(studio, model)
    second = sync(studio, model, videos=vectors(VIDEOS, 3))
    changed = vectors(VIDEOS, 3)
    changed[0] = vectors(1, 9)

    def meanwhile() -> Iterator[Batch]:
        yield from batches(video_ids(VIDEOS), changed)
        syncing.roll_back(studio, model, NOW, actor="somebody", reason="worse")

    with pytest.raises(Unavailable, match="were rolled back"):
        syncing.sync(studio, model, batches(user_ids(USERS), vectors(USERS, 1)), meanwhile(), NOW)
    with studio.database.session() as session:
        assert embedding_sets.current_sets(session) == {model.id: first.set_id}
    assert held(studio, second.set_id) == given(vectors(VIDEOS, 3))


def test_old_sets_go_with_the_next_sync(studio: Studio, model: ModelVersion) -> None:
    made = [sync(studio, model, videos=vectors(VIDEOS, seed)).set_id for seed in (2, 3, 4)]
    last = sync(studio, model, videos=vectors(VIDEOS, 5), now=LATER).set_id
    with studio.database.session() as session:
        query = text("select set_id, count(*) from video_embeddings group by 1 order by 1")
        assert [tuple(row) for row in session.execute(query)] == [(one, VIDEOS) for one in [*made[1:], last]]


def broken(found: NDArray[np.float32]) -> Iterator[Batch]:
    yield from batches(video_ids(len(found)), found)
    raise RuntimeError("the tower fell")


@pytest.mark.parametrize("first", [True, False])
def test_what_fails_leaves_the_live_set_as_it_was(studio: Studio, model: ModelVersion, first: bool) -> None:
    live = None if first else sync(studio, model).set_id
    nan = vectors(VIDEOS, 3)
    nan[200] = np.nan
    with pytest.raises(BadInput, match=r"v20261121\.1: hold NaN"):
        sync(studio, model, videos=nan)
    with pytest.raises(BadInput, match=r"v20261121\.1: are 64 x 512"):
        sync(studio, model, users=vectors(USERS, 3)[:, :512])
    with pytest.raises(BadInput, match="name a video twice"):
        twice = [Batch([*video_ids(3), video_ids(3)[0]], vectors(4, 3))]
        syncing.sync(studio, model, [], twice, NOW)
    with pytest.raises(BadInput, match="no video at all"):
        syncing.sync(studio, model, batches(user_ids(5), vectors(5, 3)), [], NOW)
    with pytest.raises(RuntimeError, match="the tower fell"):
        syncing.sync(studio, model, [], broken(vectors(VIDEOS, 3)), NOW)
    with studio.database.session() as session:
        assert embedding_sets.current_sets(session) == ({} if live is None else {model.id: live})
        assert embedding_sets.unused(session, LATER) == []
        tables = session.execute(text("select count(*) from pg_class where relname ~ '^video_embeddings_[0-9]+$'"))
        assert tables.scalar_one() == (0 if first else 1)
    if live is not None:
        assert held(studio, live) == given(vectors(VIDEOS, 2))


def test_viewers_only_are_no_reason_to_fail(studio: Studio, model: ModelVersion) -> None:
    done = sync(studio, model, users=np.zeros((0, 768), np.float32))
    assert (done.users, done.videos) == (0, VIDEOS)


@pytest.mark.parametrize("patching", [True, False])
def test_who_withdraws_while_their_vector_is_made_is_in_no_set(
    studio: Studio, model: ModelVersion, patching: bool
) -> None:
    if patching:
        sync(studio, model, users=vectors(USERS, 1)[:-1])
    gone = user_ids(USERS)[-1:]

    def slowly() -> Iterator[Batch]:
        yield from batches(user_ids(USERS), vectors(USERS, 1))
        with studio.database.session() as session:
            viewers.withdraw(session, gone, NOW)
            embeddings.forget(session, gone)
            session.delete(session.get_one(Video, video_ids(1)[0]))

    done = syncing.sync(studio, model, slowly(), batches(video_ids(VIDEOS), vectors(VIDEOS, 2)), NOW)
    assert done.new_set is not patching
    assert (done.users, done.videos) == (USERS - 1, VIDEOS - 1)
    assert str(gone[0]) not in held(studio, done.set_id, "user")


def test_of_two_at_once_the_second_waits_or_says_so(studio: Studio, model: ModelVersion) -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[Synced] = []

    def slowly() -> Iterator[Batch]:
        yield from batches(video_ids(VIDEOS), vectors(VIDEOS, 3))
        begun.set()
        assert go_on.wait(30)

    def first() -> None:
        done.append(syncing.sync(studio, model, [], slowly(), NOW))

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert begun.wait(30)
    with pytest.raises(Unavailable, match="being synced by another run"):
        sync(studio, model, patience=0.1)
    threads.append(threading.Thread(target=lambda: done.append(sync(studio, model))))
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert [one.new_set for one in done] == [True, True]
    assert done[0].set_id < done[1].set_id
    assert held(studio, done[1].set_id) == given(vectors(VIDEOS, 2))


def test_two_versions_sync_at_once(studio: Studio, model: ModelVersion) -> None:
    with studio.database.session() as session:
        other = version(session, 2)

    def between() -> Iterator[Batch]:
        yield from batches(video_ids(VIDEOS), vectors(VIDEOS, 3, state=3))
        sync(studio, other, videos=vectors(VIDEOS, 4, state=4))

    syncing.sync(studio, model, [], between(), NOW)
    with studio.database.session() as session:
        sets = embedding_sets.current_sets(session)
        found = {one: states(embeddings.whole(session, "video", set_id)[1]) for one, set_id in sets.items()}
    assert found == {model.id: {3}, other.id: {4}}


def test_the_check_compares_database_and_model(studio: Studio, model: ModelVersion) -> None:
    def check(n_videos: int | None = VIDEOS, **spoiled: NDArray[np.float32]) -> list[str]:
        users, videos = spoiled.get("users", vectors(USERS, 1)), spoiled.get("videos", vectors(VIDEOS, 2))
        return syncing.check(
            studio,
            model,
            batches(user_ids(20), users[:20]),
            batches(video_ids(50), videos[:50]),
            n_videos=n_videos,
        )

    assert check() == ["v20261121.1 has no embeddings; sync it"]
    live = sync(studio, model).set_id
    assert check() == []
    assert check(n_videos=7) == [f"set {live} holds 300 video vectors where there are 7 videos"]
    other = vectors(VIDEOS, 2)
    other[3] = vectors(1, 50)
    assert check(videos=other) == [f"1 of 50 video vectors in set {live} are not what the model says now"]
    with studio.database.session() as session:
        session.execute(text("delete from user_embeddings where user_id = :one"), {"one": user_ids(1)[0]})
        scaled = "update video_embeddings set embedding = l2_normalize(embedding) * array_fill(2, array[768])::vector"
        session.execute(text(f"{scaled} where video_id = :one"), {"one": video_ids(60)[55]})
    problems = check()
    assert f"set {live} holds 99 user vectors and says 100" in problems
    assert f"1 of 20 users looked at have no vector in set {live}" in problems
    assert any("long instead of 1" in problem for problem in problems)


def test_a_server_that_stops_in_mid_sync(tmp_path: Path) -> None:
    home = tmp_path / "h"
    settings = Settings(home=str(home))
    studio = Studio.open(settings)
    try:
        with studio.database.session() as session:
            people(session, USERS, VIDEOS)
            model = version(session)
        live = sync(studio, model).set_id

        def cut() -> Iterator[Batch]:
            first, *others = batches(video_ids(VIDEOS), vectors(VIDEOS, 3))
            yield first
            embedded.stop(home, force=True)
            yield from others

        with pytest.raises(Unavailable, match="database at"):
            syncing.sync(studio, model, [], cut(), NOW)
        studio.database.dispose()
        embedded.start(home)
        assert held(studio, live) == given(vectors(VIDEOS, 2))
        done = sync(studio, model, videos=vectors(VIDEOS, 3))
        assert done.new_set
        assert held(studio, done.set_id) == given(vectors(VIDEOS, 3))
    finally:
        studio.database.dispose()
        embedded.stop(home, force=True)
