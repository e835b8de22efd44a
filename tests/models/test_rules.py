"""When a version goes up, waits or is taken back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipelines.models import rules
from pipelines.models.drift import Drift
from pipelines.models.rollout import Routes
from pipelines.models.rules import Hold, Policy, Promote, RollBack, Window, decide, lower_bound

DAY = timedelta(days=1)
CALM = Drift(200, 0.05, 0.01, 0.0, (("crest", 0.05), ("lufs", 0.01)), 200, 0.04, 0.05)
STRANGE = Drift(200, 3.0, 1.2, 0.9, (("crest", 3.0), ("lufs", 2.0)), 200, 0.05, 0.06)
ODD_FEATURE = Drift(200, 0.9, 0.02, 0.01, (("crest", 0.9),), 200, 0.05, 0.06)
ANSWERS = Drift(200, 0.05, 0.01, 0.0, (("crest", 0.05),), 200, 0.8, 0.5)
GOOD = Window(200, 0, 0, 2.0, CALM)
FEW = Window(5, 0, 0, 2.0, replace(CALM, n=5, output_n=5))
NONE = Window(0, 0, 0, None, None)
POLICY = Policy()


def windows(window: Window) -> dict[str, Window]:
    return {"1d": window, "7d": window, "30d": window}


def verdict(
    candidate: Window | None,
    live: Window | None = GOOD,
    *,
    stage: int = 5,
    age: timedelta = 4 * DAY,
    previous: int | None = 0,
    restored: bool = False,
) -> Promote | Hold | RollBack:
    routes = Routes("m", None if candidate is None else (2, stage), None if live is None else 1, previous)
    by_model = {i: windows(w) for i, w in ((2, candidate), (1, live)) if w is not None}
    return decide(by_model, routes, {2: age, 1: 30 * DAY}, POLICY, restored)


def test_a_candidate_that_behaves_goes_up_with_its_figures() -> None:
    found = verdict(GOOD)
    assert found == Promote("200 calls in 4 days at 5 %: 0 failed, 95 % within 2.0 ms, input PSI up to 0.05")
    assert isinstance(verdict(GOOD, stage=25), Promote)
    assert isinstance(verdict(GOOD, None), Promote)


def test_it_waits_for_its_time_and_for_calls() -> None:
    assert verdict(GOOD, age=timedelta(hours=5)) == Hold("5 h at 5 %, of 24 h that are asked")
    assert verdict(GOOD, stage=25, age=DAY) == Hold("24 h at 25 %, of 48 h that are asked")
    assert verdict(FEW, age=2 * DAY) == Hold("5 calls in 7 days, of 30 that are asked")


def test_where_few_people_work_more_are_asked_but_never_all_without_evidence() -> None:
    assert verdict(FEW) == Promote("only 5 calls in 4 days at 5 %, 0 failed: more users are needed to tell")
    assert isinstance(verdict(NONE), Promote)
    few = "5 calls in 7 days, of 100 that are asked"
    assert verdict(FEW, stage=25, age=2.5 * DAY) == Hold(few)
    assert verdict(FEW, stage=25, age=300 * DAY) == Hold(
        few, (f"waits for calls at 25 % and needs a person to decide: {few}",)
    )


def test_a_candidate_that_fails_is_taken_back_at_once() -> None:
    broken = Window(3, 3, 0, 2.0, None, "answers with NaN")
    assert verdict(broken, age=timedelta(0)) == RollBack(
        "3 of 3 calls failed in 1 day (100.0%, bound 2%), the last: answers with NaN"
    )
    passed_on = verdict(Window(40, 0, 12, 2.0, None))
    assert passed_on == RollBack("12 of 40 calls went to another version in 1 day (30.0%, bound 5%)")


def test_one_mishap_is_no_reason_but_stops_the_promotion() -> None:
    found = verdict(Window(40, 1, 0, 2.0, CALM))
    assert found == Hold(
        "1 of 40 calls failed in 1 day (2.5%, bound 2%)", ("1 of 40 calls failed in 1 day (2.5%, bound 2%)",)
    )


def test_failures_spread_over_a_week_are_seen() -> None:
    today, week = Window(2, 0, 0, 2.0, None), Window(100, 12, 0, 2.0, None)
    found = decide({2: {"1d": today, "7d": week}}, Routes("m", (2, 5), None), {2: DAY}, POLICY)
    assert isinstance(found, RollBack) and "12 of 100 calls failed in 7 days" in found.reason


def test_a_slow_candidate_is_taken_back_unless_the_machine_is_slow() -> None:
    slow = replace(GOOD, p95_ms=400.0)
    assert verdict(slow) == RollBack("95 % of the calls took up to 400 ms in 1 day, bound 50 ms")
    found = verdict(slow, replace(GOOD, p95_ms=380.0))
    assert isinstance(found, Hold) and len(found.alarms) == 2
    assert isinstance(verdict(replace(slow, n=10), age=DAY), Hold)


def test_drift_of_the_candidate_alone_takes_it_back() -> None:
    found = verdict(replace(GOOD, drift=STRANGE))
    assert found == RollBack("90% of its inputs are another population than it learned from (crest 3.00, lufs 2.00)")
    answers = verdict(replace(GOOD, drift=ANSWERS))
    assert answers == RollBack("its answers have moved: PSI 0.80 (bound 0.25), KS 0.50 (bound 0.3)")


def test_drift_that_the_live_version_has_too_stops_the_promotion_only() -> None:
    for drift in (STRANGE, ANSWERS):
        found = verdict(replace(GOOD, drift=drift), replace(GOOD, drift=drift))
        assert isinstance(found, Hold) and len(found.alarms) == 2


def test_one_odd_feature_stops_the_promotion() -> None:
    found = verdict(replace(GOOD, drift=ODD_FEATURE))
    assert found == Hold(
        "inputs have moved: PSI up to 0.90 in 7 days, bound 0.25 (crest 0.90)",
        ("inputs have moved: PSI up to 0.90 in 7 days, bound 0.25 (crest 0.90)",),
    )


def test_drift_is_not_judged_by_a_handful_of_rows() -> None:
    for drift in (STRANGE, ANSWERS):
        found = verdict(Window(40, 0, 0, 2.0, replace(drift, n=40, output_n=40)))
        assert isinstance(found, Promote)


def test_a_live_version_that_fails_is_taken_back_for_the_one_before() -> None:
    broken = Window(100, 40, 0, 2.0, None, "took more than 3 s")
    assert verdict(None, broken) == RollBack(
        "40 of 100 calls failed in 1 day (40.0%, bound 2%), the last: took more than 3 s", live=True
    )
    assert isinstance(found := verdict(GOOD, broken), RollBack) and found.live
    alone = verdict(None, broken, previous=None)
    assert isinstance(alone, Hold) and "there is no earlier version to return to" in alone.alarms
    again = verdict(None, broken, restored=True)
    assert isinstance(again, Hold) and again.alarms[1].startswith("the version before it failed, too")


def test_a_live_version_is_not_taken_back_for_drift_or_a_slow_machine() -> None:
    for window in (replace(GOOD, drift=STRANGE), replace(GOOD, drift=ANSWERS), replace(GOOD, p95_ms=900.0)):
        found = verdict(None, window)
        assert isinstance(found, Hold) and found.alarms


def test_without_anything_there_is_nothing_to_do() -> None:
    assert verdict(None, None, previous=None) == Hold("nothing is rolled out")


def test_bounds_belong_to_a_model() -> None:
    assert rules.policy("align_conf").min_n[5] == 20
    assert rules.policy("any other") == Policy()


counts = st.integers(0, 5000)


@st.composite
def any_window(draw: st.DrawFn) -> Window:
    n = draw(counts)
    errors, retries = draw(st.integers(0, n)), draw(st.integers(0, n))
    p95 = draw(st.floats(0.01, 10_000)) if n else None
    drift = draw(st.sampled_from([None, CALM, STRANGE, ODD_FEATURE, ANSWERS, replace(STRANGE, n=3)])) if n else None
    return Window(n, errors, retries, p95, drift)


@given(any_window(), any_window(), st.sampled_from([5, 25]), st.timedeltas(timedelta(0), 400 * DAY), st.booleans())
def test_any_traffic_has_a_verdict_with_a_sentence(
    ours: Window, theirs: Window, stage: int, age: timedelta, restored: bool
) -> None:
    found = verdict(ours, theirs, stage=stage, age=age, restored=restored)
    assert found.reason and "nan" not in found.reason.lower()
    if isinstance(found, Promote):
        assert age >= POLICY.min_age[stage]
        assert ours.n == 0 or (ours.errors / ours.n <= 0.02 and ours.retries / ours.n <= 0.05)
        assert ours.n >= POLICY.min_n[stage] or (stage == 5 and age >= POLICY.patience)
    if isinstance(found, RollBack) and found.live:
        assert not restored and theirs.errors + theirs.retries > 0


@given(counts, counts, st.integers(1, 50))
def test_more_failures_never_make_a_version_look_better(n: int, failed: int, more: int) -> None:
    assume(failed + more <= n)
    assert lower_bound(failed, n) <= lower_bound(failed + more, n) <= (failed + more) / n
    order = [Promote, Hold, RollBack]
    before, after = (verdict(Window(n, k, 0, 2.0, CALM)) for k in (failed, failed + more))
    assert order.index(type(before)) <= order.index(type(after))


@pytest.mark.parametrize(("failed", "n", "expected"), [(3, 3, 0.4385), (1, 20, 0.0089), (0, 10, 0.0), (5, 0, 0.0)])
def test_the_interval_is_wilsons(failed: int, n: int, expected: float) -> None:
    assert lower_bound(failed, n) == pytest.approx(expected, abs=2e-4)
