"""What is released, what is held back, and what a version's row says of its origin."""

from __future__ import annotations

import pytest

from pipelines.governance.people import pseudonym
from pipelines.models import candidates, rollout
from pipelines.storage import models as registry_table
from pipelines.storage import snapshots as snapshot_table
from pipelines.storage.tables import Withdrawal
from pipelines.studio import Studio
from tests.models.aligned import NOW, TASK, add_rows, learn_on, weekly


def to_all(studio: Studio) -> int:
    """The candidate goes to everybody; its id."""
    with studio.database.session() as session:
        rollout.set_stage(session, TASK.name, 100, NOW, "somebody", "by hand")
        live = rollout.current(session, TASK.name).live
    assert live is not None
    return live


def withdraw(studio: Studio, user: str, *, done: bool = False) -> None:
    with studio.database.session() as session:
        name = pseudonym(user) if done else user
        completed = NOW if done else None
        session.add(
            Withdrawal(user_id=name, keep_originals=False, requested_by="x", due_at=NOW, completed_at=completed)
        )


def test_the_same_model_is_released_once(studio: Studio) -> None:
    add_rows(studio, 0, 60)
    assert weekly(studio).decision is not None
    assert weekly(studio).decision is None


def test_a_candidate_from_the_snapshot_of_an_incremental_version_is_released(studio: Studio) -> None:
    add_rows(studio, 0, 60)
    weekly(studio)
    add_rows(studio, 60, 300, told_by=1)
    learn_on(studio)
    live = to_all(studio)
    made = weekly(studio)
    with studio.database.session() as session:
        before = registry_table.get(session, live)
        snapshot = snapshot_table.get(session, made.row.snapshot_id or 0)
        assert rollout.current(session, TASK.name).running == (made.row.id, 5)
    assert before is not None and snapshot is not None
    assert before.framework == "incremental" != made.row.framework
    assert (before.snapshot_id, before.code_version) == (made.row.snapshot_id, made.row.code_version)
    assert before.provenance["rows"] == snapshot.provenance["rows"] == "all"
    assert before.provenance["snapshot_sha256"] == snapshot.sha256
    assert "incremental" in before.provenance
    assert "incremental" not in made.row.provenance


def test_a_model_that_was_taken_back_waits_for_a_person(studio: Studio) -> None:
    add_rows(studio, 0, 60)
    weekly(studio)
    add_rows(studio, 60, 20)
    bad = weekly(studio).row
    with studio.database.session() as session:
        rollout.roll_back(session, TASK.name, rollout.current(session, TASK.name), NOW, "rules", "it fails")
    again = weekly(studio)
    assert again.row.id == bad.id
    assert again.decision is not None and not again.decision.done
    assert f"taken back before; a person may begin it again: orimono rollout {TASK.name}" in again.decision.sentence
    with studio.database.session() as session:
        assert rollout.current(session, TASK.name).running is None
        assert len(registry_table.listed(session, TASK.name)) == 2
        rollout.set_stage(session, TASK.name, 5, NOW, "somebody", "it was the machine", bad.id)
    assert weekly(studio).decision is None  # it runs, as the person wished
    add_rows(studio, 80, 20)
    assert weekly(studio).row.id != bad.id


def test_each_withdrawal_is_named_in_one_version_whatever_the_clocks_say(studio: Studio) -> None:
    add_rows(studio, 0, 60)
    withdraw(studio, "Aoi", done=True)
    first = weekly(studio)
    assert first.withdrawn == (pseudonym("aoi"),)
    withdraw(studio, "Ren")  # asked for, not done yet
    withdraw(studio, "Aoi", done=True)  # came back and withdrew again
    add_rows(studio, 60, 300, told_by=1)
    learn_on(studio)
    with studio.database.session() as session:
        row = registry_table.latest(session, TASK.name)
        assert candidates.withdrawn_since_last_version(session, TASK.name) == ()
        assert candidates.withdrawn_since_last_version(session, "master_reg") != ()
    assert row is not None and row.framework == "incremental"
    assert row.provenance["withdrawn_since_last_version"] == sorted([pseudonym("aoi"), pseudonym("ren")])
    to_all(studio)
    assert weekly(studio).row.provenance["withdrawn_since_last_version"] == []


@pytest.mark.parametrize(
    ("metrics", "figure"),
    [
        ({"judged": {"incremental": {"accuracy": 0.9, "f1_macro": 0.6}}}, 0.6),
        ({"judged": {"incremental": {"mae": {"a": 1, "b": 1}, "r2": {"a": 0.5, "b": 0.7}}}}, 0.6),
        ({"judged": {"incremental": {"mae": {"a": 1, "b": 1}, "r2": {"a": 0.6, "b": None}}}}, 0.6),
        ({"f1_macro": {"all": 0.6}, "accuracy": {"all": 0.9}}, 0.6),
        ({"targets": {"a": {"r2": {"all": 0.6}}, "b": {"r2": {"all": None}}}}, 0.6),
        ({}, 0.0),
    ],
)
def test_versions_are_compared_by_the_same_figure_however_they_learned(
    metrics: dict[str, object], figure: float
) -> None:
    assert candidates.headline(metrics) == pytest.approx(figure)
