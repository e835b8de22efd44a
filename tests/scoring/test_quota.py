"""No stretch of a period holds more calls than the quota, and none is waited for longer than needed."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.scoring.quota import Bucket, Stopped


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(
    calls=st.integers(1, 8),
    period=st.floats(0.5, 100),
    pauses=st.lists(st.floats(0, 60), max_size=80),
)
def test_no_stretch_of_a_period_holds_more_calls_than_the_quota(calls: int, period: float, pauses: list[float]) -> None:
    clock = Clock()
    bucket = Bucket(calls, period, clock)
    taken: list[float] = []
    for pause in pauses:
        clock.now += pause
        left = bucket.try_take()
        if left:
            assert left <= period + 1e-6
            clock.now += left
            assert bucket.wait() == pytest.approx(0, abs=1e-9)
            clock.now += 1e-6  # floats
            assert bucket.try_take() == 0
        taken.append(clock.now)
    for first, last in zip(taken, taken[calls:], strict=False):
        assert last - first >= period - 1e-6


def test_the_whole_quota_may_be_used_at_once() -> None:
    bucket = Bucket(60, 60, Clock())
    assert [bucket.try_take() for _ in range(60)] == [0.0] * 60
    assert bucket.try_take() == 60


def test_a_quota_that_its_owner_calls_used_up_is_shut_for_all() -> None:
    clock = Clock()
    bucket = Bucket(60, 60, clock)
    bucket.shut(7)
    bucket.shut(3)
    assert bucket.try_take() == 7
    clock.now = 7
    assert bucket.try_take() == 0


def test_who_waits_can_be_stopped_and_can_give_up() -> None:
    bucket = Bucket(1, 3600)
    assert bucket.take()
    assert not bucket.take(within=1)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        bucket.take(stop)


@pytest.mark.parametrize(("calls", "period"), [(0, 1.0), (1, 0.0)])
def test_a_quota_of_nothing_is_a_mistake(calls: int, period: float) -> None:
    with pytest.raises(ValueError, match="a quota of"):
        Bucket(calls, period)
