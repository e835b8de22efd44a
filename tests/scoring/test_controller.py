"""The controller against a simulated provider, in virtual time: what it reaches, and what it wastes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.scoring.controller import Controller
from pipelines.scoring.provider import Quota
from tests.scoring.simulated import Result, Server, simulate

ROWS = 10_000


def ceiling(server: Server, most: int) -> float:
    """Requests a second that it can answer."""
    return min(server.rate, min(server.places, most) / (server.latency * (1.0 + server.jitter)))


def reached(server: Server, rows: int = ROWS, most: int = 256) -> tuple[float, Result]:
    result = simulate(server, rows, most, limit=2_000.0)
    storms = sum(end - begin for begin, end in server.storms)
    return rows / ceiling(server, most) / (result.seconds - storms), result


@pytest.mark.parametrize("slow_refusal", [False, True])
@pytest.mark.parametrize("retry_after", ["none", "ms"])
@pytest.mark.parametrize("burst", [20, 50, 100, 250, 500])
def test_a_token_buckets_rate_is_found_and_kept(burst: int, retry_after: str, slow_refusal: bool) -> None:
    share, result = reached(
        Server(rate=500, burst=burst, retry_after=retry_after, reject_latency=0.05 if slow_refusal else 0.002)
    )
    assert share >= 0.9
    assert result.wasted(ROWS) <= 0.025


@pytest.mark.parametrize("burst", [50, 100, 250, 500])
def test_whole_seconds_of_retry_after_cost_a_few_seconds(burst: int) -> None:
    share, result = reached(Server(rate=500, burst=burst, retry_after="seconds"))
    assert share >= 0.75
    assert result.wasted(ROWS) <= 0.02


@pytest.mark.parametrize("places", [8, 64])
@pytest.mark.parametrize("jitter", [0.0, 0.5])
def test_a_limit_of_requests_in_flight_is_found(places: int, jitter: float) -> None:
    share, result = reached(Server(places=places, jitter=jitter), rows=100 * places + 2_000)
    assert share >= 0.85
    assert result.throttled <= 100


def test_storms_are_waited_out_with_single_requests() -> None:
    calm = simulate(Server(rate=500, burst=50, retry_after="ms"))
    share, result = reached(
        Server(rate=500, burst=50, retry_after="none", storms=((4.0, 7.0), (12.0, 15.0)), lost=0.02)
    )
    assert share >= 0.8
    assert result.throttled - calm.throttled < 100
    assert result.wasted(ROWS) <= 0.05


def test_a_server_that_queues_is_not_flooded() -> None:
    control = Controller(256, 0.0)
    simulate(Server(queue=16), 3_000, controller=control)
    assert control.window < 128


def test_a_rate_that_is_lifted_is_found() -> None:
    slow = simulate(Server(rate=50, burst=20, retry_after="ms"), 6_000)
    lifted = simulate(Server(rate=50, burst=20, retry_after="ms", lifted=(20.0, 500.0)), 6_000)
    assert slow.seconds > 115
    assert lifted.seconds < 70  # 20 s and 10 s, had it known at once


def test_an_operators_limit_is_never_passed() -> None:
    result = simulate(Server(), 300, controller=Controller(256, 0.0, cap=10.0))
    assert result.seconds >= 29.0


def test_one_place_is_enough() -> None:
    result = simulate(Server(), 100, controller=Controller(1, 0.0))
    assert result.seconds >= 100 * 0.05
    assert result.requests == 100


def test_headers_that_tell_a_buckets_rate_are_heeded() -> None:
    control = Controller(64, 0.0)
    ticket = control.send(0.0)
    control.answered(ticket, 0.05, Quota(requests=600.0, remaining=0, reset=60.0))
    control.send(0.06)
    wait = control.delay(0.061)
    assert wait is not None
    assert wait > 0.05  # 10 a second


@settings(max_examples=40, deadline=None)
@given(
    rate=st.sampled_from([1.0, 5.0, 50.0, 500.0, math.inf]),
    burst=st.integers(1, 200),
    places=st.sampled_from([1, 3, 30, 10**9]),
    latency=st.sampled_from([0.001, 0.05, 1.0]),
    jitter=st.sampled_from([0.0, 0.5]),
    lost=st.sampled_from([0.0, 0.1, 0.5]),
    retry_after=st.sampled_from(["none", "ms", "seconds"]),
    storm=st.booleans(),
    seed=st.integers(0, 9),
)
def test_every_row_is_answered_whatever_the_limits(
    rate: float, burst: int, places: int, latency: float, jitter: float, lost: float, retry_after: str, storm: bool,
    seed: int,
) -> None:  # fmt: skip
    server = Server(
        rate=rate, burst=burst, places=places, latency=latency, jitter=jitter, retry_after=retry_after, lost=lost,
        storms=((0.2, 2.0),) if storm else (),
    )  # fmt: skip
    control = Controller(64, 0.0)
    result = simulate(server, 150, controller=control, seed=seed, limit=20_000.0)
    assert result.requests - result.throttled - result.lost == 150
    assert control.in_flight == 0
    assert 1.0 <= control.window <= 64
    assert result.throttled <= 300
