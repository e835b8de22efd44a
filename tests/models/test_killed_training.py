"""A training run that is killed at any step leaves the old version or the new one, never a mix, and the next run
finishes what it began. Every write to database or object store is a place where the run dies once."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy.orm import SessionTransaction

from pipelines.mastering import training_set
from pipelines.models import registry, rollout
from pipelines.models.inference import Predictor
from pipelines.settings import Settings
from pipelines.storage import models as registry_table
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio
from tests.models.aligned import NOW, TASK, add_rows, due, learn_on, weekly


class Killed(BaseException):
    """As abrupt as it gets within a process: nobody catches it."""


def at_write(number: int, die: Callable[[], None]) -> pytest.MonkeyPatch:
    """``die()`` right before the ``number``-th write: a put of an object or the commit of a transaction."""
    count = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == number:
                die()
            return call(*args, **kwargs)

        return wrapped

    patch = pytest.MonkeyPatch()
    patch.setattr(Objects, "put_named", counted(Objects.put_named))
    patch.setattr(SessionTransaction, "commit", counted(SessionTransaction.commit))
    return patch


def stopped(studio: Studio, number: int, deed: Callable[[Studio], object] = weekly) -> bool:
    """Whether the training died at its ``number``-th write; False when it came to its end before that."""

    def die() -> None:
        raise Killed

    patch = at_write(number, die)
    try:
        deed(studio)
    except Killed:
        return True
    finally:
        patch.undo()
    return False


def die_at(settings: Settings, number: int) -> None:
    """In a process of its own, which is killed as by the machine."""
    database = Database(settings)
    objects = Objects.open(settings)
    at_write(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
    weekly(Studio(settings, database, objects, Cache(objects)))


def asked(studio: Studio) -> str:
    """The version that answers everybody, after a look that each version in use is whole."""
    with studio.database.session() as session:
        routes = rollout.current(session, TASK.name)
        rows = registry_table.listed(session, TASK.name)
    assert all(registry.verify(studio.objects, row) for row in rows)
    width = len(training_set.feature_names(TASK.name))
    with Predictor(studio, TASK.name, feature_version=training_set.feature_version(TASK.name)) as predictor:
        assert predictor.problems == ()
        early = next(f"u{i}" for i in range(10_000) if rollout.bucket(TASK.name, f"u{i}") < 500)
        said = predictor.predict(early, np.zeros(width))
    assert not said.fell_back
    served = next(row for row in rows if row.version == said.version)
    assert served.id in (routes.live, routes.running[0] if routes.running else None)
    return said.version


def test_stopped_anywhere_it_leaves_the_old_version_or_the_new_one(studio: Studio) -> None:
    add_rows(studio, 0, 60)
    weekly(studio)
    old = asked(studio)
    add_rows(studio, 60, 20)
    seen = []
    number = 1
    while stopped(studio, number):
        seen.append(asked(studio))
        number += 1
    assert number > 8  # there were so many places to die at
    new = asked(studio)
    assert new != old
    assert seen[0] == old
    assert set(seen) <= {old, new}
    assert seen == sorted(seen, key=lambda version: version == new)  # once the new one serves, it stays
    weekly(studio)
    assert asked(studio) == new
    with studio.database.session() as session:
        assert len(registry_table.listed(session, TASK.name)) == 2  # none was registered twice


@pytest.mark.parametrize("number", [4, 7, 9])
def test_killed_for_real(studio: Studio, number: int) -> None:
    add_rows(studio, 0, 60)
    weekly(studio)
    old = asked(studio)
    add_rows(studio, 60, 20)
    url = studio.database.url.render_as_string(hide_password=False)
    settings = replace(studio.settings, database_url=url)
    child = multiprocessing.get_context("spawn").Process(target=die_at, args=(settings, number))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    before = asked(studio)
    weekly(studio)
    after = asked(studio)
    assert before in (old, after)
    assert after != old


def test_learning_on_that_is_stopped_anywhere_is_done_once_in_the_end(studio: Studio) -> None:
    add_rows(studio, 0, 60)
    weekly(studio)
    add_rows(studio, 60, 300, told_by=1)
    number = 1
    while stopped(studio, number, learn_on):
        asked(studio)
        number += 1
    assert number > 5
    learn_on(studio)
    with studio.database.session() as session:
        first, second = registry_table.listed(session, TASK.name)
        assert rollout.current(session, TASK.name).running == (first.id, 5)
        rollout.set_stage(session, TASK.name, 100, NOW, "somebody", "by hand")
    learn_on(studio)
    assert due(studio) is None
    with studio.database.session() as session:
        assert [row.id for row in registry_table.listed(session, TASK.name)] == [first.id, second.id]
