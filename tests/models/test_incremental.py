"""When a model learns on, what it says of it, and when it is released."""

from __future__ import annotations

import numpy as np
from sqlalchemy import delete

from pipelines.models import candidates, partial_fit, registry, rollout, snapshots
from pipelines.storage import labels
from pipelines.storage import models as registry_table
from pipelines.storage.tables import Label
from pipelines.studio import Studio
from tests.models.aligned import NOW, TASK, add_rows, due, learn_on, weekly

STATE = f"incremental/{TASK.name}.safetensors"


def begun(studio: Studio) -> None:
    """A live version of 60 rows, and a state of 160 that is no better."""
    add_rows(studio, 0, 60)
    weekly(studio)
    add_rows(studio, 60, 100)
    found = learn_on(studio)
    assert str(found["action"]).startswith("begun with 160 rows")
    with studio.database.session() as session:
        if rollout.current(session, TASK.name).running is not None:
            rollout.set_stage(session, TASK.name, 0, NOW, "somebody", "by hand")


def learned(studio: Studio) -> list[int]:
    found = studio.objects.get_named(STATE)
    assert found is not None
    return [int(row) for row in partial_fit.loads(found).row_ids]


def test_it_waits_for_a_hundred_new_rows(studio: Studio) -> None:
    add_rows(studio, 0, 60)
    assert due(studio) is None
    assert learn_on(studio) == {"action": "waits for the first weekly training"}
    weekly(studio)
    assert due(studio) is None
    assert learn_on(studio) == {"action": "waits for 100 new rows, there are 60"}
    add_rows(studio, 60, 40)
    assert due(studio) is not None
    learn_on(studio)
    add_rows(studio, 100, 99)
    assert due(studio) is None
    assert str(learn_on(studio)["action"]).startswith("waits for 100 new rows, there are 99")


def test_a_better_one_is_released_with_figures_like_those_of_a_weekly_one(studio: Studio) -> None:
    add_rows(studio, 0, 60)
    weekly(studio)
    add_rows(studio, 60, 300, told_by=1)
    found = learn_on(studio)
    assert "0 % -> 5 %" in str(found["action"])
    with studio.database.session() as session:
        row = registry_table.latest(session, TASK.name)
    assert row is not None
    ours, theirs = row.metrics["judged"]["incremental"], row.metrics["judged"]["live"]
    assert candidates.headline(row.metrics) == ours["f1_macro"] > theirs["f1_macro"] > 0
    assert registry.verify(studio.objects, row)


def test_it_waits_while_a_version_is_rolled_out(studio: Studio) -> None:
    begun(studio)
    before = learned(studio)
    add_rows(studio, 160, 20)
    candidate = weekly(studio).row
    add_rows(studio, 180, 300, told_by=1)
    assert due(studio) is None
    assert learn_on(studio) == {"action": "waits until no other version is rolled out"}
    with studio.database.session() as session:
        assert rollout.current(session, TASK.name).running == (candidate.id, 5)
        rollout.set_stage(session, TASK.name, 100, NOW, "somebody", "by hand")
    assert learned(studio) == before
    asked = due(studio)
    assert asked is not None and asked.endswith(f"@{candidate.id}")
    assert "0 % -> 5 %" in str(learn_on(studio)["action"])


def test_one_that_was_taken_back_is_not_begun_again(studio: Studio) -> None:
    add_rows(studio, 0, 60)
    weekly(studio)
    add_rows(studio, 60, 300, told_by=1)
    learn_on(studio)
    with studio.database.session() as session:
        rollout.roll_back(session, TASK.name, rollout.current(session, TASK.name), NOW, "rules", "it fails")
    studio.objects.delete(STATE)  # so that the same is learned once more
    assert "taken back before" in str(learn_on(studio)["action"])
    with studio.database.session() as session:
        assert rollout.current(session, TASK.name).running is None
        assert len(registry_table.listed(session, TASK.name)) == 2


def test_without_the_rows_of_the_live_version_it_is_not_judged(studio: Studio) -> None:
    add_rows(studio, 0, 60)
    snapshot = weekly(studio).row.snapshot_id
    add_rows(studio, 60, 300, told_by=1)
    assert snapshot is not None
    users = snapshots.load(studio, snapshot).users
    snapshots.erase(studio, str(users[0]), "withdrew", NOW)
    found = learn_on(studio)
    assert found["judgement"] == "not judged: it is unknown which rows the live version learned from"
    assert found["judged_on"] == 0
    with studio.database.session() as session:
        assert rollout.current(session, TASK.name).running is None


def test_rows_that_teach_nothing_are_looked_at_once(studio: Studio) -> None:
    begun(studio)
    share = partial_fit.loads(_state(studio)).held_share
    names = np.array([f"generated-{i}" for i in range(100, 200)])
    for i in np.flatnonzero(partial_fit.held_out(names, share))[:10]:
        add_rows(studio, (100 + int(i)) * 10, 10)
    assert due(studio) is not None
    assert learn_on(studio)["action"] == "no new rows"
    assert due(studio) is None


def test_what_may_no_longer_be_learned_from_is_forgotten_at_once(studio: Studio) -> None:
    begun(studio)
    assert due(studio) is None
    gone = learned(studio)[:3]
    with studio.database.session() as session:
        session.execute(delete(Label).where(Label.id.in_(gone)))
    asked = due(studio)
    assert asked is not None and asked.endswith(f"-{gone[0]}")
    found = learn_on(studio)
    assert "begun with 157 rows" in str(found["action"])
    assert str(found["action"]).endswith("and forgot all for 3 rows that may no longer be learned from")
    assert not set(gone) & set(learned(studio))
    assert due(studio) is None


def test_when_too_few_are_left_to_begin_anew_nothing_is_remembered(studio: Studio) -> None:
    begun(studio)
    with studio.database.session() as session:
        session.execute(delete(Label).where(Label.id.in_(learned(studio)[:100])))
    assert "waits for 100 new rows" in str(learn_on(studio)["action"])
    assert studio.objects.get_named(STATE) is None
    assert due(studio) is None


def test_corrected_labels_are_told_as_what_they_are(studio: Studio) -> None:
    begun(studio)
    old = learned(studio)[0]
    with studio.database.session() as session:
        new = labels.correct(session, labels.correct(session, old, "wrong", "somebody"), "right", "somebody")
        row = session.get(Label, new)
        assert row is not None
        version = row.feature_version
        assert labels.lost(session, TASK.name, version, [old]) == set()
    assert due(studio) is None
    add_rows(studio, 160, 99)
    assert "begun anew: 1 labels that it learned from were corrected" in str(learn_on(studio)["action"])
    with studio.database.session() as session:
        session.execute(delete(Label).where(Label.id == new))
        assert labels.lost(session, TASK.name, version, [old]) == {old}  # the correction is gone, and the label with it


def test_new_classes_begin_it_anew(studio: Studio) -> None:
    begun(studio)
    add_rows(studio, 160, 120, answers=("right", "wrong", "partly"))
    assert "begun anew with classes that it did not know: partly" in str(learn_on(studio)["action"])
    assert partial_fit.loads(_state(studio)).classes == ("partly", "right", "wrong")


def _state(studio: Studio) -> bytes:
    found = studio.objects.get_named(STATE)
    assert found is not None
    return found
