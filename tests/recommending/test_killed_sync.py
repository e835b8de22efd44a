"""Whoever reads while embeddings are synced or flipped back and forth, or while a sync is killed, reads one whole
state."""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import text

from pipelines import clock
from pipelines.errors import Unavailable
from pipelines.recommending import syncing
from pipelines.recommending.syncing import Synced
from pipelines.settings import Settings
from pipelines.storage import embedding_sets, embeddings
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.embedding_sets import KINDS
from pipelines.storage.objects import Objects
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio
from tests.recommending.vectors import batches, people, states, user_ids, vectors, version, video_ids

USERS, VIDEOS = 40, 120
PATCHED = 5  # the first videos, of which all or none are changed within a set
KILLS = 20
GRACE = timedelta(seconds=5)
forked = multiprocessing.get_context("forkserver")


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    url = database.url.render_as_string(hide_password=False)
    return Studio(replace(settings, database_url=url), database, objects, Cache(objects))


@pytest.fixture
def model(studio: Studio) -> ModelVersion:
    forked.set_forkserver_preload(["tests.recommending.test_killed_sync"])
    with studio.database.session() as session:
        people(session, USERS, VIDEOS)
        return version(session)


def again(settings: Settings) -> Studio:
    database = Database(settings)
    objects = Objects.open(settings)
    return Studio(settings, database, objects, Cache(objects))


def whole(studio: Studio, model: ModelVersion, state: int, patch: int | None = None) -> Synced:
    """Everything is of ``state``, but the first videos of ``patch``."""
    found = vectors(VIDEOS, state, state)
    if patch is not None:
        found[:PATCHED] = vectors(PATCHED, patch, patch)
    users = batches(user_ids(USERS), vectors(USERS, state, state), 16)
    videos = batches(video_ids(VIDEOS), found, 32)
    return syncing.sync(studio, model, users, videos, clock.now(), few=0.05, indexed_from=50, grace=GRACE)


def problems(ids: list[UUID], found: NDArray[np.float32]) -> list[str]:
    """What is wrong with vectors that were read by one question."""
    first = np.isin([str(one) for one in ids], [str(one) for one in video_ids(PATCHED)])
    said = [sorted(states(found[rows])) for rows in (first, ~first)]
    return [f"states {numbers} in one answer" for numbers in said if len(numbers) > 1]


def look(studio: Studio, model_id: int, query: NDArray[np.float32], *, every: bool) -> list[str]:
    with studio.database.session() as session:
        live = embedding_sets.current_set(session, model_id)
        if live is None:
            return ["no set at all"]
        near = embeddings.nearest(session, live.id, query, 10, indexed=live.video_index == "hnsw")
        read = embeddings.vectors_of(session, "video", live.id, [one.video_id for one in near])
        said = problems(list(read), np.stack(list(read.values())))
        if len(near) != 10 or len(read) != 10:
            said.append(f"{len(near)} near and {len(read)} vectors of set {live.id}")
        for kind, n in (("user", USERS), ("video", VIDEOS)) if every else ():
            ids, found = embeddings.whole(session, kind, live.id)  # type: ignore[arg-type]
            said += problems(ids, found) + ([] if len(ids) == n else [f"{len(ids)} {kind} vectors"])
    return said


@dataclass
class Reading:
    reads: int = 0
    late: int = 0  # a set was dropped between the pointer and the question: the reader asks anew
    problems: tuple[str, ...] = ()


def read_on(settings: Settings, model_id: int, stop: Event, ready: Event, told: Queue[Reading]) -> None:
    studio = again(settings)
    reading = Reading()
    queries = vectors(16, 1)
    while not stop.is_set() and not reading.problems:
        try:
            every = reading.reads % 10 == 0
            reading.problems = tuple(look(studio, model_id, queries[reading.reads % 16], every=every))
        except Unavailable as error:
            assert "was replaced" in str(error)
            reading.late += 1
        reading.reads += 1
        ready.set()
    told.put(reading)
    studio.database.dispose()


@contextmanager
def read_by_another(studio: Studio, model: ModelVersion) -> Iterator[list[Reading]]:
    stop, ready, told = forked.Event(), forked.Event(), forked.Queue()
    reader = forked.Process(target=read_on, args=(studio.settings, model.id, stop, ready, told))
    reader.start()
    readings: list[Reading] = []
    try:
        assert ready.wait(60)
        yield readings
    finally:
        stop.set()
        readings.append(told.get(timeout=60))
        reader.join(60)


def sync_on(settings: Settings, model: ModelVersion, first: int, begun: Event) -> None:
    """Until it is killed: whole states, and small changes of them."""
    studio = again(settings)
    state = first
    begun.set()
    while True:
        whole(studio, model, state)
        whole(studio, model, state, state + 1)
        whole(studio, model, state, state + 2)
        state = first + (state + 3 - first) % 90


def tables(studio: Studio) -> tuple[int, int]:
    """Partitions and what there should be."""
    with studio.database.session() as session:
        query = "select count(*) from pg_class where relname ~ '^(user|video)_embeddings_[0-9]+$'"
        there = session.execute(text(query)).scalar_one()
        return there, len(KINDS) * session.execute(text("select count(*) from embedding_sets")).scalar_one()


def test_a_sync_killed_anywhere_leaves_a_whole_version(studio: Studio, model: ModelVersion) -> None:
    seed = random.SystemRandom().randrange(2**32)
    logging.getLogger(__name__).warning("seed %d", seed)  # shown when it fails
    moments = random.Random(seed)
    whole(studio, model, 1)
    found = set()
    with read_by_another(studio, model) as readings:
        for number in range(KILLS):
            begun = forked.Event()
            first = 100 + 100 * number
            child = forked.Process(target=sync_on, args=(studio.settings, model, first, begun))
            child.start()
            assert begun.wait(60)
            time.sleep(moments.uniform(0, 0.4))
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            child.join(60)
            assert child.exitcode == -signal.SIGKILL
            assert look(studio, model.id, vectors(1, number)[0], every=True) == []
            with studio.database.session() as session:
                live = embedding_sets.current_sets(session)[model.id]
                found.add(max(states(embeddings.whole(session, "video", live)[1])))
            done = whole(studio, model, first + 99)
            assert (done.users, done.videos) == (USERS, VIDEOS)
            there, due = tables(studio)
            assert there == due
    assert readings[0].problems == ()
    assert readings[0].reads > KILLS
    assert len(found) > KILLS // 4  # they came to different ends


def test_readers_never_see_a_mixture_while_sets_flip(studio: Studio, model: ModelVersion) -> None:
    whole(studio, model, 1)
    flips = 0
    with read_by_another(studio, model) as readings:
        for state in range(2, 52):
            flips += whole(studio, model, state).new_set
            for _ in range(6):
                syncing.roll_back(studio, model, clock.now(), actor="somebody", reason="to and fro")
                flips += 1
    assert flips == 350
    assert readings[0].problems == ()
    assert readings[0].reads > 50
    assert readings[0].late < readings[0].reads / 10
