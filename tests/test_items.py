"""A bad item costs only itself: bad input, a defect of ours, even a process that dies."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.errors import BadInput, Unavailable
from pipelines.items import Defect, Item, Produced, run
from pipelines.settings import Settings
from pipelines.storage.cache import Cache


def step(settings: Settings, cache: Cache, payload: str) -> Produced:
    match payload:
        case "bad":
            raise BadInput("song.ogg", "is empty", "upload it again")
        case "defect":
            raise ZeroDivisionError("oops")
        case "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        case "away":
            raise Unavailable("the store", "is away", 7)
        case _:
            data = cache.get_or_put("test", "1", payload, {}, payload.encode, ".txt")
            return Produced(cache.misses == 0, {"bytes": len(data)})
    raise AssertionError("not reached")


def work(*payloads: str) -> list[Item[str]]:
    return [Item(f"item {p}", p, p) for p in payloads]


@pytest.fixture(params=["1", "2"], ids=["one process", "two processes"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return Settings(home=str(tmp_path), workers=request.param)


def test_each_failure_stays_with_its_item(house: Settings) -> None:
    good, bad, defect, other = run(house, work("a", "bad", "defect", "b"), step)
    assert (good.error, good.produced) == (None, Produced(False, {"bytes": 1}))
    assert good.seconds > 0
    assert bad.error == "song.ogg: is empty; upload it again"
    assert isinstance(defect.failure, Defect)
    assert "ZeroDivisionError" in (defect.error or "")
    assert other.produced is not None


def test_the_second_run_computes_nothing(house: Settings) -> None:
    run(house, work("a", "b"), step)
    assert [r.produced and r.produced.stored for r in run(house, work("a", "b", "c"), step)] == [True, True, False]


def test_equal_content_is_computed_once_and_answered_twice(tmp_path: Path) -> None:
    twice = [Item("first", "x", "x", job_id=1), Item("second", "x", "x", job_id=2)]
    results = run(Settings(home=str(tmp_path), workers="1"), twice, step)
    assert [r.item.name for r in results] == ["first", "second"]
    assert results[1].seconds == 0.0
    assert results[1].produced == results[0].produced


def test_unavailable_rises_for_the_orchestrator_to_retry(house: Settings) -> None:
    with pytest.raises(Unavailable) as raised:
        run(house, work("a", "away"), step)
    assert raised.value.retry_after == 7


def test_a_process_that_dies_fails_its_own_item_only(tmp_path: Path) -> None:
    house = Settings(home=str(tmp_path), workers="2")
    results = run(house, work("a", "crash", "b", "c"), step)
    assert [r.error is None for r in results] == [True, False, True, True]
    assert "process died" in (results[1].error or "")


def test_no_items(tmp_path: Path) -> None:
    assert run(Settings(home=str(tmp_path)), [], step) == []


def test_workers_that_are_no_number_are_named(tmp_path: Path) -> None:
    house = replace(Settings(home=str(tmp_path)), workers="many")
    with pytest.raises(BadInput, match="ORIMONO_WORKERS"):
        run(house, work("a", "b"), step)
