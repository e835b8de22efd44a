"""The look at every model that serves: what is measured, what is done about it, and that it is done once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import time_machine
from sqlalchemy import func, select, text

from pipelines import clock
from pipelines.models import drift, rollout, watching
from pipelines.models.rollout import Routes
from pipelines.notifier import Notifier
from pipelines.settings import Settings
from pipelines.storage import metrics, rollouts
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.storage.tables import AuditLog, ModelMetrics, ModelTraffic, Rollout
from pipelines.studio import Studio
from tests.models import registered
from tests.models.at_once import at_once
from tests.models.at_once import check as check_at_once
from tests.models.registered import DAY, HOUR, MINUTE, NAME, audited, register, traffic


class Told(Notifier):
    """Remembers, in place of Slack, what is new."""

    def __init__(self, studio: Studio) -> None:
        super().__init__(studio.settings, studio.database)
        self.titles: list[str] = []
        self.lines: list[str] = []

    def _tell(self, channel: str, title: str, lines: list[str]) -> bool:  # type: ignore[override]
        self.titles.append(f"{channel}: {title}")
        self.lines.extend(lines)
        return True


@pytest.fixture
def studio(database: Database, objects: Objects, settings: Settings) -> Studio:
    return Studio(replace(settings, database_url=database.settings.database_url), database, objects, Cache(objects))


@pytest.fixture
def told(studio: Studio) -> Told:
    return Told(studio)


@pytest.fixture
def pair(studio: Studio) -> tuple[int, int]:
    """A live version and a candidate at 5 %, both begun 30 hours ago; the live one's bytes are there."""
    ids = register(studio.database, "v20261115"), register(studio.database, "v20261122")
    for model_id, version in zip(ids, ("v20261115", "v20261122"), strict=True):
        studio.objects.put_named(f"{NAME}/{version}", b"model")
        with studio.database.session() as session:
            rollout.begin(session, NAME, model_id, clock.now() - 30 * HOUR, "training", "weekly")
    return ids


def minute(ago: timedelta) -> object:
    return (clock.now() - ago).replace(second=0, microsecond=0)


def current(studio: Studio) -> Routes:
    with studio.database.session() as session:
        return rollout.current(session, NAME)


def test_figures_of_three_windows(studio: Studio) -> None:
    model_id = register(studio.database, "v20261115")
    with studio.database.session() as session:
        rollout.begin(session, NAME, model_id, clock.now() - 60 * DAY, "training", "weekly")
    traffic(studio.database, model_id, minute(2 * HOUR), 100, ms=1.0, errors=2, last_error="took more than 3 s")
    traffic(studio.database, model_id, minute(3 * DAY), 300, ms=5.0, retries=30, last_error="older")
    traffic(studio.database, model_id, minute(20 * DAY), 600, ms=9.0, shift=2)
    traffic(studio.database, model_id, minute(31 * DAY), 5000, errors=5000)
    kept = watching.measure(studio)
    assert {row.window: row.n for row in kept} == {"1d": 100, "7d": 400, "30d": 1000}
    day, week, month = (registered.metrics(studio.database, model_id)[w] for w in ("1d", "7d", "30d"))
    assert (day.err_rate, week.retry_rate, month.err_rate) == (0.02, 0.075, 0.002)
    assert (day.latency_ms, week.latency_ms) == (pytest.approx(1.0), pytest.approx(4.0))
    assert day.latency_p95_ms == pytest.approx(1.0, rel=0.34) and week.latency_p95_ms == pytest.approx(5, rel=0.34)
    assert day.input_psi is not None and day.input_psi < 0.2
    assert month.input_psi is not None and month.input_psi > 0.25
    assert day.detail["last_error"] == week.detail["last_error"] == "took more than 3 s"
    assert month.detail["drift"]["worst"][0][0].startswith("f")


def test_measuring_again_in_the_same_minute_replaces_the_figures(studio: Studio, pair: tuple[int, int]) -> None:
    now = clock.now().replace(second=10)
    for _ in range(3):
        watching.measure(studio, now)
    with studio.database.session() as session:
        assert session.execute(select(func.count()).select_from(ModelMetrics)).scalar() == 6
    watching.measure(studio, now + 15 * MINUTE)
    with studio.database.session() as session:
        assert session.execute(select(func.count()).select_from(ModelMetrics)).scalar() == 12
        newest = metrics.newest(session, pair[0], "1d")
        assert newest is not None and newest.created_at == now + 15 * MINUTE


def test_no_traffic_gives_figures_without_rates(studio: Studio, pair: tuple[int, int]) -> None:
    (row, *_) = watching.measure(studio)
    assert (row.n, row.latency_ms, row.err_rate, row.input_psi) == (0, None, None, None)


def test_a_candidate_that_behaves_reaches_everybody(studio: Studio, pair: tuple[int, int], told: Told) -> None:
    live, candidate = pair
    traffic(studio.database, candidate, minute(HOUR), 150)
    traffic(studio.database, live, minute(HOUR), 1500)
    (decision,) = watching.check(studio, told)
    assert decision.sentence.startswith("preset_cls v20261122: 5 % -> 25 %: 150 calls in 30 h at 5 %: 0 failed")
    (decision,) = watching.check(studio, told)
    assert (decision.done, decision.reason) == (False, "0 h at 25 %, of 48 h that are asked")
    with studio.database.session() as session:
        session.execute(text("update rollouts set stage_since = stage_since - interval '3 days'"))
    assert watching.check(studio, told)[0].after == 100
    assert current(studio) == Routes(NAME, None, candidate, live)
    assert told.titles == [
        "decisions: preset_cls v20261115 begins: 0 % -> 100 %",
        "decisions: preset_cls v20261122 begins: 0 % -> 5 %",
        "decisions: preset_cls v20261122 goes up: 5 % -> 25 %",
        "decisions: preset_cls v20261122 goes up: 25 % -> 100 %",
    ]
    assert [actor for actor, _, _ in audited(studio.database)] == ["training", "training", "rules", "rules"]


def test_a_candidate_that_too_few_meet_is_not_left_waiting_in_silence(
    studio: Studio, pair: tuple[int, int], told: Told
) -> None:
    for days in (3, 4):
        with studio.database.session() as session:
            session.execute(text("update rollouts set stage_since = now() - make_interval(days => :d)"), {"d": days})
        (decision,) = watching.check(studio, told)
    assert (decision.done, decision.after) == (False, 25)
    assert "alarms: preset_cls: look at v20261122" in told.titles
    assert (
        "waits for calls at 25 % and needs a person to decide: 0 calls in 7 days, of 100 that are asked" in told.lines
    )


def test_failing_traffic_takes_the_candidate_back(studio: Studio, pair: tuple[int, int], told: Told) -> None:
    live, candidate = pair
    traffic(studio.database, candidate, minute(MINUTE), 4, errors=4, last_error="answers with NaN")
    (decision,) = watching.check(studio, told)
    assert decision.action == "roll_back" and decision.done
    assert current(studio) == Routes(NAME, None, live)
    _, action, detail = audited(studio.database)[-1]
    assert action == "rollout.roll_back"
    assert detail["reason"] == "4 of 4 calls failed in 1 day (100.0%, bound 2%), the last: answers with NaN"
    assert "decisions: preset_cls v20261122 is taken back: 5 % -> 0 %" in told.titles
    assert watching.check(studio, told)[0].sentence == "preset_cls v20261115: stays at 100 %: is live"


def test_drifted_traffic_takes_the_candidate_back(studio: Studio, pair: tuple[int, int], told: Told) -> None:
    traffic(studio.database, pair[1], minute(HOUR), 400, shift=1.5)
    traffic(studio.database, pair[0], minute(HOUR), 400)
    (decision,) = watching.check(studio, told)
    assert decision.action == "roll_back" and "another population" in decision.reason


def test_failing_traffic_takes_the_live_version_back_but_not_the_next_one_too(
    studio: Studio, pair: tuple[int, int], told: Told
) -> None:
    live, candidate = pair
    with studio.database.session() as session:
        rollout.set_stage(session, NAME, 100, clock.now() - 3 * HOUR, "0123456789abcdef", "by hand")
    traffic(studio.database, candidate, minute(MINUTE), 50, errors=40)
    (decision,) = watching.check(studio, told)
    assert decision.reason.endswith("v20261115 is live again")
    assert current(studio) == Routes(NAME, None, live)
    traffic(studio.database, live, clock.now().replace(second=0, microsecond=0) + MINUTE, 50, errors=40)
    (decision,) = watching.check(studio, told)
    assert decision.action == "hold" and current(studio).live == live
    assert any("the version before it failed, too" in line for line in told.lines)


def test_what_a_version_did_before_its_rollout_began_does_not_count(
    studio: Studio, pair: tuple[int, int], told: Told
) -> None:
    traffic(studio.database, pair[1], minute(31 * HOUR), 50, errors=50)
    traffic(studio.database, pair[1], minute(HOUR), 50)
    assert watching.check(studio, told)[0].action == "promote"


def test_a_rollback_does_not_wait_for_the_object_store(studio: Studio, pair: tuple[int, int], told: Told) -> None:
    live, candidate = pair
    with studio.database.session() as session:
        rollout.set_stage(session, NAME, 100, clock.now(), "0123456789abcdef", "by hand")
    traffic(studio.database, candidate, minute(timedelta(0)), 50, errors=40)
    away = replace(studio.settings, objects_url="s3://away/x", s3_endpoint="http://127.0.0.1:1")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "x")
        elsewhere = replace(studio, objects=Objects.open(away))
        watching.check(elsewhere, told)
    assert current(studio).live == live


def test_a_version_whose_bytes_are_gone_is_not_returned_to(studio: Studio, pair: tuple[int, int], told: Told) -> None:
    _, candidate = pair
    with studio.database.session() as session:
        rollout.set_stage(session, NAME, 100, clock.now(), "0123456789abcdef", "by hand")
    studio.objects.delete(f"{NAME}/v20261115")
    traffic(studio.database, candidate, minute(timedelta(0)), 50, errors=40)
    assert watching.check(studio, told)[0].reason.endswith("no earlier version is left, the rule answers")
    assert current(studio) == Routes(NAME, None, None)
    assert watching.check(studio, told) == []


@pytest.mark.parametrize("errors", [0, 60])
def test_two_checks_at_once_act_once(studio: Studio, pair: tuple[int, int], errors: int) -> None:
    traffic(studio.database, pair[1], minute(HOUR), 60, errors=errors)
    at_once(check_at_once, studio)
    assert [action for _, action, _ in audited(studio.database)][2:] == [
        "rollout.roll_back" if errors else "rollout.promote"
    ]
    assert current(studio).running == (None if errors else (pair[1], 25))
    with studio.database.session() as session:
        per_window = select(func.count()).select_from(ModelMetrics).where(ModelMetrics.model_id == pair[1])
        assert session.execute(per_window).scalar() in (3, 6)  # 6: the second looked in the next minute


def test_a_decision_of_a_check_that_died_is_told_by_the_next(studio: Studio, pair: tuple[int, int], told: Told) -> None:
    with studio.database.session() as session:
        seen = rollout.current(session, NAME)
        rollout.promote(session, NAME, seen, clock.now(), "0123456789abcdef", "by hand")
    watching.announce(studio, told)
    watching.announce(studio, Told(studio))
    assert told.titles[-1] == "decisions: preset_cls v20261122 goes up: 5 % -> 25 %"
    assert told.lines[-2:] == ["by hand", "by 0123456789abcdef"]
    fresh = Told(studio)
    watching.announce(studio, fresh)
    assert fresh.titles == []


@pytest.mark.parametrize("jump", [-400 * DAY, -2 * HOUR, 2 * HOUR, 400 * DAY])
def test_with_a_clock_that_jumped_nothing_goes_up_and_failures_still_come_down(
    studio: Studio, pair: tuple[int, int], told: Told, jump: timedelta
) -> None:
    live, candidate = pair
    moved = clock.now() + jump
    traffic(studio.database, candidate, minute(HOUR), 150)
    with time_machine.travel(moved, tick=True):
        (decision,) = watching.check(studio, told)
        assert decision.action == "hold" and current(studio).running == (candidate, 5)
        if jump > 3 * DAY:
            assert any("clock" in line for line in told.lines)
        traffic(studio.database, candidate, clock.now().replace(second=0, microsecond=0), 20, errors=20)
        assert watching.check(studio, told)[0].action == "roll_back"
    assert current(studio) == Routes(NAME, None, live)


def test_a_stage_that_began_in_the_future_does_not_last_until_then(
    studio: Studio, pair: tuple[int, int], told: Told
) -> None:
    with studio.database.session() as session:
        session.execute(text("update rollouts set stage_since = now() + interval '1 year', started_at = stage_since"))
    assert watching.check(studio, told)[0].reason == "0 h at 5 %, of 24 h that are asked"
    with studio.database.session() as session:
        running, _ = rollouts.present(session, NAME)
        assert running is not None and running.stage_since <= clock.now()
        assert running.started_at <= clock.now() + DAY


def test_minutes_become_hours_and_no_call_is_lost(studio: Studio, pair: tuple[int, int]) -> None:
    live, _ = pair
    start = (clock.now() - 10 * HOUR).replace(minute=0, second=0, microsecond=0)
    for i in range(0, 9 * 60, 20):
        traffic(studio.database, live, start + i * MINUTE, 7, errors=1, seed=i, last_error=f"e{i}")
    traffic(studio.database, live, start - 40 * DAY, 7)

    def state() -> tuple[int, int, int, list[int], list[int]]:
        with studio.database.session() as session:
            found = metrics.traffic(session, live, start, start + DAY)
            rows = session.execute(select(func.count()).select_from(ModelTraffic)).scalar() or 0
        assert found.last_error == "e520"
        return rows, found.n, found.errors, found.input_counts.tolist(), found.latency_counts.tolist()

    before = state()
    watching.measure(studio)
    after = state()
    assert before[0] == 28 and after[0] < 14
    assert before[1:] == after[1:]
    assert before[1] == 27 * 7 and sum(before[3]) == 27 * 7 * registered.FEATURES
    traffic(studio.database, live, start + 5 * MINUTE, 7)  # a flush that was very late
    watching.measure(studio)
    assert state()[:2] == (after[0], 28 * 7)


def test_an_hour_in_which_a_rollout_began_stays_in_minutes(studio: Studio) -> None:
    model_id = register(studio.database, "v20261115")
    begun = (clock.now() - 5 * HOUR).replace(minute=30, second=0, microsecond=0)
    with studio.database.session() as session:
        rollout.begin(session, NAME, model_id, begun, "training", "weekly")
    traffic(studio.database, model_id, begun - 10 * MINUTE, 50, errors=50)  # of an earlier rollout
    traffic(studio.database, model_id, begun + MINUTE, 50)
    for row in watching.measure(studio):
        assert (row.n, row.err_rate) == (50, 0)


def test_old_figures_are_thinned_to_one_a_day(studio: Studio, pair: tuple[int, int]) -> None:
    now = clock.now()
    noon = (now - 20 * DAY).replace(hour=12)
    for i in range(3):
        for hour in range(4):
            with studio.database.session() as session:
                metrics.record(session, pair[0], "1d", noon + i * DAY + hour * HOUR, {"n": hour})
    watching.measure(studio, now)
    with studio.database.session() as session:
        query = select(ModelMetrics.n).where(ModelMetrics.created_at < now - DAY)
        assert session.execute(query).scalars().all() == [3, 3, 3]


def test_counts_of_another_layout_cost_the_drift_only(studio: Studio, pair: tuple[int, int]) -> None:
    traffic(studio.database, pair[0], minute(HOUR), 50)
    with studio.database.session() as session:
        session.execute(text("update model_traffic set input_counts = '{1,2,3}'"))
    row = next(row for row in watching.measure(studio) if row.model_id == pair[0])
    assert (row.n, row.input_psi) == (50, None)


def test_counts_of_different_lengths_add_up(studio: Studio, pair: tuple[int, int]) -> None:
    traffic(studio.database, pair[0], minute(HOUR), 5)
    traffic(studio.database, pair[0], minute(HOUR + MINUTE), 5)
    with studio.database.session() as session:
        session.execute(text("update model_traffic set output_counts = '{1,2}' where minute = :m"), {"m": minute(HOUR)})
        found = metrics.traffic(session, pair[0], clock.now() - DAY, clock.now())
    assert len(found.output_counts) == 60 and int(found.output_counts.sum()) == 15 + 3
    assert len(found.latency_counts) == drift.LATENCY_BINS
    assert found.latency_counts.dtype == np.int64


def test_persons_are_in_no_decision(studio: Studio, pair: tuple[int, int], told: Told) -> None:
    """What the rules write holds model names, versions and figures only."""
    watching.check(studio, told)
    with studio.database.session() as session:
        subjects = set(session.execute(select(AuditLog.subject)).scalars())
        assert subjects == {f"model:{NAME}"}
        assert set(session.execute(select(Rollout.decided_by)).scalars()) <= {"training", "rules"}
