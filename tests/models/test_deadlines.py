"""Calls with a time-out: results, errors, calls that are left alone, and threads that are used again."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipelines.models.deadlines import MOST_IDLE, Hands, TooLate

PROJECT = Path(__file__).parent.parent.parent


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "orimono-model"]


def until_only(n: int) -> None:
    deadline = time.monotonic() + 20
    while len(workers()) > n:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_call_gives_its_result_or_its_error_in_one_warm_thread() -> None:
    before, hands = len(workers()), Hands[object]()
    seen = {hands.call(threading.get_ident, 5) for _ in range(20)}
    assert len(seen) == 1 and threading.get_ident() not in seen
    assert hands.call(lambda: None, 5) is None
    for error in (ValueError("no"), KeyboardInterrupt(), SystemExit(3)):

        def fail(error: BaseException = error) -> None:
            raise error

        with pytest.raises(type(error)) as caught:
            hands.call(fail, 5)
        assert caught.value is error
    assert hands.call(threading.get_ident, 5) in seen  # it outlived them
    hands.close()
    until_only(before)


def test_a_call_that_comes_too_late_has_a_thread_that_nobody_uses_again() -> None:
    before, hands, may = len(workers()), Hands[bool](), threading.Event()
    with pytest.raises(TooLate) as caught:
        hands.call(lambda: may.wait(30), 0.05)
    assert caught.value.thread.is_alive()
    assert hands.call(lambda: True, 5)  # another one
    may.set()
    caught.value.thread.join(20)
    assert not caught.value.thread.is_alive()
    hands.close()
    until_only(before)


def test_no_time_at_all_is_too_late_and_harms_nobody() -> None:
    before, hands = len(workers()), Hands[int]()
    late = 0
    for _ in range(200):
        try:
            assert hands.call(lambda: 1, 0.0) == 1
        except TooLate:
            late += 1
    assert late and hands.call(lambda: 2, 5) == 2
    hands.close()
    until_only(before)


def test_many_callers_do_not_wait_for_each_other_and_few_threads_stay() -> None:
    before, hands, together = len(workers()), Hands[int](), threading.Barrier(20)
    threads = [threading.Thread(target=hands.call, args=(lambda: together.wait(20), 20)) for _ in range(20)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    until_only(before + MOST_IDLE + 4)  # some may come home at the same moment
    hands.close()
    until_only(before)


def test_a_call_that_never_comes_back_does_not_hold_up_the_end_of_the_process() -> None:
    code = """
import threading
from pipelines.models.deadlines import Hands, TooLate
try:
    Hands().call(threading.Event().wait, 0.05)
except TooLate as late:
    print(late)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the call took too long\n", "")
