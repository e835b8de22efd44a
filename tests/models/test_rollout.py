"""Who gets which version, and how versions come and go."""

from __future__ import annotations

import unicodedata
import uuid
from datetime import timedelta

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from pipelines import clock
from pipelines.errors import BadInput, Unavailable
from pipelines.models import rollout
from pipelines.models.rollout import Routes
from pipelines.storage.database import Database
from pipelines.storage.tables import STAGES, ModelVersion
from tests.models.at_once import at_once
from tests.models.at_once import promote as promote_at_once
from tests.models.at_once import roll_back as roll_back_at_once
from tests.models.registered import DAY, HOUR, NAME, START, audited, register, rows


def begin(database: Database, model_id: int) -> rollout.Decision:
    with database.session() as session:
        return rollout.begin(session, NAME, model_id, START, "training", "weekly")


def promote(database: Database, seen: Routes | None = None) -> rollout.Decision:
    with database.session() as session:
        seen = seen or rollout.current(session, NAME)
        return rollout.promote(session, NAME, seen, START, "rules", "all is well")


def roll_back(database: Database, seen: Routes | None = None, gone: tuple[str, ...] = (), **kwargs: bool) -> str:
    with database.session() as session:
        seen = seen or rollout.current(session, NAME)
        found = rollout.roll_back(
            session, NAME, seen, START, "rules", "it fails", lambda uri: uri not in gone, **kwargs
        )
    return found.sentence


def current(database: Database) -> Routes:
    with database.session() as session:
        return rollout.current(session, NAME)


def live_after_live(database: Database, *versions: str) -> list[int]:
    """Each version comes to be live after the one before."""
    ids = [register(database, version) for version in versions]
    for model_id in ids:
        begin(database, model_id)
        if model_id != ids[0]:
            promote(database)
            promote(database)
    return ids


@given(st.text(), st.text())
def test_whoever_is_in_a_stage_is_in_every_later_one(name: str, user: str) -> None:
    found = [rollout.route(Routes(name, (2, stage), 1), user)[0] == 2 for stage in STAGES]
    assert found == sorted(found)
    assert found[0] is False and found[-1] is True
    assert 0 <= rollout.bucket(name, user) < rollout.BUCKETS


@given(st.text(max_size=20))
def test_one_person_has_one_bucket(user: str) -> None:
    spelled = unicodedata.normalize("NFD", f"  {user}\n")
    assert rollout.bucket(NAME, spelled) == rollout.bucket(NAME, unicodedata.normalize("NFC", user))


def test_a_stage_holds_its_share_of_the_users_and_other_users_for_another_model() -> None:
    users = [f"user{i}@studio" for i in range(20_000)]
    inside = {name: {u for u in users if rollout.bucket(name, u) < 500} for name in ("a", "b")}
    assert all(len(found) / len(users) == pytest.approx(0.05, abs=0.006) for found in inside.values())
    assert len(inside["a"] & inside["b"]) < 100  # by chance 50 of about 1,000


@pytest.mark.parametrize(
    ("routes", "order"),
    [
        (Routes("m", None, None), ()),
        (Routes("m", None, 1), (1,)),
        (Routes("m", None, 2, 1), (2, 1)),
        (Routes("m", (3, 100), 2, 1), (3, 2, 1)),
        (Routes("m", (3, 100), None), (3,)),
        (Routes("m", (2, 100), 2, 1), (2, 1)),
        (Routes("m", (3, 0), 2, 1), (2, 1)),
    ],
)
def test_the_order_in_which_versions_are_tried(routes: Routes, order: tuple[int, ...]) -> None:
    assert rollout.route(routes, "yamada") == order


def test_the_first_version_is_live_at_once_the_next_goes_in_steps(database: Database) -> None:
    assert current(database) == Routes(NAME, None, None)
    first, second = register(database, "v20261115"), register(database, "v20261122")
    assert begin(database, first).sentence == "preset_cls v20261115: 0 % -> 100 %: weekly"
    assert begin(database, second).after == 5
    assert current(database) == Routes(NAME, (second, 5), first)
    assert promote(database).after == 25
    assert current(database).running == (second, 25)
    assert promote(database).sentence == "preset_cls v20261122: 25 % -> 100 %: all is well"
    assert current(database) == Routes(NAME, None, second, first)
    assert rows(database) == [("v20261115", 100, "superseded"), ("v20261122", 100, "live")]
    with pytest.raises(BadInput, match="has no version that is being rolled out"):
        promote(database)


def test_every_step_is_in_the_audit_trail_with_its_reason(database: Database) -> None:
    live_after_live(database, "v20261115", "v20261122")
    roll_back(database)
    found = [
        (actor, action, d["version"], d["before"], d["after"], d["reason"]) for actor, action, d in audited(database)
    ]
    assert found == [
        ("training", "rollout.begin", "v20261115", 0, 100, "weekly"),
        ("training", "rollout.begin", "v20261122", 0, 5, "weekly"),
        ("rules", "rollout.promote", "v20261122", 5, 25, "all is well"),
        ("rules", "rollout.promote", "v20261122", 25, 100, "all is well"),
        ("rules", "rollout.roll_back", "v20261122", 100, 0, "it fails; v20261115 is live again"),
    ]


def test_beginning_again_changes_nothing_and_a_newer_candidate_takes_the_place(database: Database) -> None:
    first, second, third = (register(database, f"v2026112{i}") for i in range(3))
    begin(database, first)
    begin(database, second)
    for model_id in (first, second):
        assert begin(database, model_id).done is False
    promote(database)
    assert begin(database, third).reason == "weekly (in place of v20261121 at 25 %)"
    assert rows(database)[1:] == [("v20261121", 25, "superseded"), ("v20261122", 5, "running")]
    assert len(audited(database)) == 4


def test_a_candidate_taken_back_leaves_the_live_version_alone(database: Database) -> None:
    first, second = register(database, "v20261115"), register(database, "v20261122")
    begin(database, first)
    begin(database, second)
    assert roll_back(database) == "preset_cls v20261122: 5 % -> 0 %: it fails"
    assert current(database) == Routes(NAME, None, first)


def test_live_versions_go_back_one_by_one_and_never_to_one_that_was_taken_back(database: Database) -> None:
    one, two, three = live_after_live(database, "v1".ljust(9, "1"), "v22222222", "v33333333")
    assert roll_back(database).endswith("it fails; v22222222 is live again")
    assert current(database) == Routes(NAME, None, two, one)
    four = register(database, "v44444444")
    begin(database, four)
    promote(database), promote(database)
    assert current(database).previous == two
    roll_back(database)
    assert current(database).live == two
    roll_back(database)
    assert current(database) == Routes(NAME, None, one)
    assert roll_back(database).endswith("no earlier version is left, the rule answers")
    assert current(database) == Routes(NAME, None, None)
    with pytest.raises(BadInput, match="has no version to take back"):
        roll_back(database)
    begin(database, three)
    assert current(database) == Routes(NAME, (three, 5), None)  # the rule serves the others
    promote(database), promote(database)
    assert current(database).live == three


def test_a_version_whose_bytes_are_gone_is_passed_over(database: Database) -> None:
    one, *_ = live_after_live(database, "v11111111", "v22222222", "v33333333")
    assert roll_back(database, gone=(f"{NAME}/v22222222",)).endswith("v11111111 is live again")
    assert current(database) == Routes(NAME, None, one)


def test_a_version_whose_row_is_gone_is_passed_over(database: Database) -> None:
    one, two, _ = live_after_live(database, "v11111111", "v22222222", "v33333333")
    with database.session() as session:
        session.execute(delete(ModelVersion).where(ModelVersion.id == two))
    assert current(database).previous is None
    roll_back(database)
    assert current(database).live == one


def test_the_live_version_goes_back_while_a_candidate_runs_on(database: Database) -> None:
    one, two = live_after_live(database, "v11111111", "v22222222")
    three = register(database, "v33333333")
    begin(database, three)
    roll_back(database, live=True)
    assert current(database) == Routes(NAME, (three, 5), one)
    promote(database), promote(database)
    assert current(database) == Routes(NAME, None, three, one)
    assert two not in rollout.route(current(database), "yamada")


def test_who_is_late_changes_nothing(database: Database) -> None:
    first, second = register(database, "v20261115"), register(database, "v20261122")
    begin(database, first)
    begin(database, second)
    seen = current(database)
    assert promote(database, seen).done
    again = promote(database, seen)
    assert (again.done, again.reason) == (False, "somebody else was quicker, nothing was changed")
    assert "somebody else" in roll_back(database, seen)
    assert current(database).running == (second, 25)
    assert len(audited(database)) == 3


@pytest.mark.parametrize("deed", [promote_at_once, roll_back_at_once])
def test_two_processes_at_once_do_it_once(database: Database, deed: object) -> None:
    one, two = live_after_live(database, "v11111111", "v22222222")
    three = register(database, "v33333333")
    if deed is promote_at_once:
        begin(database, three)
    before, seen = len(audited(database)), current(database)
    at_once(deed, database.settings, seen, START)
    assert len(audited(database)) == before + 1
    expected = Routes(NAME, (three, 25), two, one) if deed is promote_at_once else Routes(NAME, None, one)
    assert current(database) == expected


def test_stages_are_set_by_hand_in_both_directions(database: Database) -> None:
    first, second = register(database, "v20261115"), register(database, "v20261122")
    begin(database, first)

    def set_stage(stage: int, model_id: int | None = None) -> rollout.Decision:
        with database.session() as session:
            return rollout.set_stage(session, NAME, stage, START, "0123456789abcdef", "by hand", model_id)

    with pytest.raises(BadInput, match="choose from 0, 5, 25, 100"):
        set_stage(50)
    with pytest.raises(BadInput, match="name a version to begin with"):
        set_stage(25)
    with pytest.raises(BadInput, match="is live; roll it back instead"):
        set_stage(5, first)
    with pytest.raises(BadInput, match="there is nothing to end"):
        set_stage(0, second)
    with pytest.raises(BadInput, match="is no version of preset_cls"):
        set_stage(5, 4711)
    assert set_stage(25, second).after == 25
    assert set_stage(25, second).done is False
    assert set_stage(5).after == 5
    assert set_stage(0).action == "roll_back"
    assert current(database) == Routes(NAME, None, first)
    assert set_stage(100, second).after == 100
    assert set_stage(100, second).done is False
    assert current(database) == Routes(NAME, None, second, first)


@pytest.mark.parametrize("jump", [-10 * DAY, -HOUR, HOUR, 400 * DAY])
def test_with_a_clock_that_jumped_nothing_goes_up_but_everything_comes_down(
    database: Database, jump: timedelta
) -> None:
    first, second = register(database, "v20261115"), register(database, "v20261122")
    begin(database, first)
    begin(database, second)
    with time_machine.travel(clock.now() + jump, tick=True):
        with pytest.raises(Unavailable, match="nothing is deleted or promoted"):
            promote(database)
        with database.session() as session, pytest.raises(Unavailable):
            rollout.set_stage(session, NAME, 100, clock.now(), "x", "by hand")
        assert current(database).running == (second, 5)
        roll_back(database)
    assert current(database) == Routes(NAME, None, first)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["begin", "promote", "back", "back live", "5", "25", "100", "0"]), max_size=12))
def test_whatever_is_done_one_version_at_most_is_live_and_no_failed_one_returns(
    database: Database, deeds: list[str]
) -> None:
    """Every database constraint holds on the way, and who was taken back serves only when begun anew."""
    name = f"m{uuid.uuid4().hex}"
    ids = [register(database, f"v2026{i:04d}", name) for i in range(3)]
    taken_back: set[int] = set()
    for i, deed in enumerate(deeds):
        with database.session() as session:
            seen = rollout.current(session, name)
            try:
                if deed == "begin":
                    found = rollout.begin(session, name, ids[i % 3], START, "a", "b")
                elif deed == "promote":
                    found = rollout.promote(session, name, seen, START, "a", "b")
                elif deed.startswith("back"):
                    found = rollout.roll_back(session, name, seen, START, "a", "b", live=deed == "back live")
                else:
                    found = rollout.set_stage(session, name, int(deed), START, "a", "b")
            except BadInput:
                continue
            now = rollout.current(session, name)
        if found.done and found.after == 0:
            assert found.model_id is not None
            taken_back.add(found.model_id)
        elif found.action == "begin":
            taken_back.discard(int(found.model_id or 0))
        serving = {now.live, *(now.running or ())[:1]} - {None}
        assert not serving & taken_back
        assert now.previous is None or now.previous != now.live
