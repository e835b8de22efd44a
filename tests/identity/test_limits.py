"""Limits: so many a second, others unaffected, however many come and whatever they call themselves."""

from __future__ import annotations

import asyncio

import pytest

from pipelines.identity import limits
from pipelines.identity.limits import Bench, Limits, Who, place
from tests.identity.conftest import Seconds

ADA, BEA = Who("key:ada"), Who("key:bea")


def spent(found: Limits, who: Who, n: int) -> int:
    """How many of ``n`` requests are let in."""
    return sum(found.wait(who) == 0 for _ in range(n))


def test_so_many_requests_a_second(seconds: Seconds) -> None:
    found = Limits(10, 5, seconds=seconds)
    assert spent(found, ADA, 100) == 10
    assert 0 < found.wait(ADA) <= 0.1
    assert spent(found, BEA, 100) == 10, "each has their own"
    seconds.now += 0.5
    assert spent(found, ADA, 100) == 5
    seconds.now += 3600
    assert spent(found, ADA, 100) == 10, "an hour of silence gives no more than a second's worth"


def test_who_is_refused_too_often_is_not_looked_at(seconds: Seconds) -> None:
    found = Limits(1000, 5, seconds=seconds)
    for _ in range(5):
        assert found.wait(ADA) == 0
        found.refused(ADA)
    assert 0 < found.wait(ADA) <= 0.2
    for _ in range(10_000):
        found.refused(ADA)
    assert 0 < found.wait(ADA) <= 0.2, "however often they asked meanwhile"
    assert found.wait(BEA) == 0
    seconds.now += 0.2
    assert found.wait(ADA) == 0


def test_one_bad_secret_leaves_the_others_of_its_address_alone(seconds: Seconds) -> None:
    found = Limits(1000, 5, seconds=seconds)
    bad, good = Who("stranger:1", "10.0.0.1"), Who("stranger:2", "10.0.0.1")
    for _ in range(10_000):
        if found.wait(bad) == 0:
            found.refused(bad)
    assert found.wait(bad) > 0
    assert found.wait(good) == 0


def test_new_secrets_are_no_way_out(seconds: Seconds) -> None:
    found = Limits(1000, 5, seconds=seconds)
    let_in = 0
    for number in range(10_000):
        who = Who(f"stranger:{number}", "10.0.0.1")
        if found.wait(who) == 0:
            let_in += 1
            found.refused(who)
    assert let_in == 5 * limits.STRANGERS
    assert found.wait(Who("stranger:0", "10.0.0.2")) == 0
    assert found.wait(ADA) == 0, "a known caller at that address goes on"


def test_many_callers_in_bounded_memory(seconds: Seconds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST", 100)
    found = Limits(10, 5, seconds=seconds)
    for number in range(10_000):
        who = Who(f"stranger:{number}", f"10.0.{number % 256}.{number // 256}")
        found.wait(who)
        found.refused(who)
    assert len(found) == 300


def test_one_who_keeps_asking_is_not_forgotten(seconds: Seconds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST", 100)
    found = Limits(10, 5, seconds=seconds)
    for number in range(10_000):
        found.refused(ADA)
        found.refused(Who(f"key:{number}"))
    assert found.wait(ADA) > 0


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("", ""),
        ("x" * 1000, "x" * 64),
    ],
)
def test_addresses_of_one_subscriber_are_one(address: str, bucket: str) -> None:
    assert place(address) == bucket


def test_the_bench_has_so_many_places() -> None:
    async def sit() -> tuple[int, int]:
        bench = Bench(most=3, seconds=3600)
        sitting = [asyncio.create_task(bench.sit()) for _ in range(10)]
        await asyncio.sleep(0)
        waiting = bench.sitting
        done = sum(task.done() for task in sitting)
        for task in sitting:
            task.cancel()
        await asyncio.gather(*sitting, return_exceptions=True)
        assert bench.sitting == 0
        return waiting, done

    assert asyncio.run(sit()) == (3, 7)
