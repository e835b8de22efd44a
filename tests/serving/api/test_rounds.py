"""Rounds: who asks while one is under way is in the next, and what one question costs the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from pipelines.errors import Unavailable
from serving.api import rounds
from serving.api.rounds import Rounds


class Work:
    """Answers n with 10 n; 13 is for alone, 666 raises; waits in its first round until it may go on."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, asked: Sequence[int]) -> list[int | None]:
        self.seen.append(list(asked))
        if len(self.seen) == 1:
            self.begun.set()
            assert self.go_on.wait(30)
        if 666 in asked:
            raise ValueError("not that one")
        return [None if n == 13 and len(asked) > 1 else 10 * n for n in asked]


async def asked_meanwhile(work: Work, numbers: Sequence[int], threads: int = 1) -> list[int | BaseException]:
    """What 0 gets, and what those get who ask while it is answered."""
    made = Rounds("tests", work, together=4, threads=threads)
    try:
        first = asyncio.ensure_future(made.answer(0))
        await asyncio.to_thread(work.begun.wait, 30)
        others = [asyncio.ensure_future(made.answer(n)) for n in numbers]
        await asyncio.sleep(0)
        if threads == 1:
            work.go_on.set()
        found = await asyncio.gather(*others, return_exceptions=True)
        work.go_on.set()
        return [await first, *found]
    finally:
        made.close()


def test_who_asks_while_a_round_is_under_way_is_in_the_next() -> None:
    work = Work()
    assert asyncio.run(asked_meanwhile(work, [1, 2, 3, 4, 5])) == [0, 10, 20, 30, 40, 50]
    assert work.seen == [[0], [1, 2, 3, 4], [5]]


def test_one_that_is_to_be_asked_alone_comes_after_the_others() -> None:
    work = Work()
    assert asyncio.run(asked_meanwhile(work, [1, 13, 2])) == [0, 10, 130, 20]
    assert work.seen == [[0], [1, 13, 2], [13]]


def test_what_a_round_raises_is_raised_where_somebody_waits() -> None:
    found = asyncio.run(asked_meanwhile(Work(), [1, 666]))
    assert found[0] == 0 and [str(one) for one in found[1:]] == ["not that one"] * 2


def test_a_round_that_hangs_is_not_waited_for() -> None:
    work = Work()
    assert asyncio.run(asked_meanwhile(work, [1, 2], threads=2)) == [0, 10, 20]
    assert work.seen == [[0], [1, 2]]


def test_too_many_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "MOST_WAITING", 2)
    found = asyncio.run(asked_meanwhile(Work(), [1, 2, 3]))
    assert found[:3] == [0, 10, 20] and isinstance(found[3], Unavailable)
