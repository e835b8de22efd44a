"""Consents are given and taken back one by one, by whom they concern, and that is written down."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from pipelines.errors import BadInput
from pipelines.governance import consent, withdrawal
from pipelines.governance.people import Actor, pseudonym
from pipelines.models import snapshots
from pipelines.models.training_set import TrainingSet
from pipelines.storage import audit, consents
from pipelines.storage.tables import TrainingSnapshot
from pipelines.studio import Studio
from tests.governance.house import OPERATOR, give, snapshot

AOI = "aoi@example.org"


def test_training_is_given_and_taken_back(studio: Studio) -> None:
    job = give(studio, "hers", AOI, {"mix-a.wav": b"a" * 50}, training=False, cached=False).job_id
    other = give(studio, "more", AOI.upper(), {"mix-b.wav": b"b" * 50}, training=True, cached=False).job_id
    owner = Actor(AOI, "viewer")
    with studio.database.session() as session:
        assert set(session.execute(consents.trainable_jobs()).scalars()) == {other}
        consent.give(session, owner, job, quality=True, training=True)
        consent.give(session, owner, job, quality=True, training=True)  # said twice is done once
        assert set(session.execute(consents.trainable_jobs()).scalars()) == {job, other}
        consent.give(session, OPERATOR, other, quality=False, training=False)
        assert set(session.execute(consents.trainable_jobs()).scalars()) == {job}
        shown = consent.show(session, f" {AOI.title()}")
        assert [(g.job, g.quality, g.training) for g in shown] == [("hers", True, True), ("more", False, False)]
        (entry,) = audit.of_subject(session, f"job:{job}")
        assert (entry.actor, entry.detail["owner"]) == (pseudonym(AOI), pseudonym(AOI))
        assert entry.detail["after"] == {"quality": True, "training": True}
        with pytest.raises(BadInput, match="is an editor, and this needs an operator"):
            consent.give(session, Actor("ren", "editor"), job, quality=True, training=False)
        with pytest.raises(BadInput, match="job 999: does not exist"):
            consent.give(session, OPERATOR, 999, quality=True, training=True)
        consent.give(session, owner, job, quality=False, training=False)
        assert consents.withdrawn_pseudonyms(session, {pseudonym(AOI)}) == {pseudonym(AOI)}


def test_nothing_is_given_after_a_withdrawal(studio: Studio) -> None:
    job = give(studio, "hers", AOI, {"mix-a.wav": b"a" * 50}, cached=False).job_id
    withdrawal.request(studio, AOI, OPERATOR)
    with pytest.raises(BadInput, match="was withdrawn by its owner"), studio.database.session() as session:
        consent.give(session, Actor(AOI, "viewer"), job, quality=True, training=True)
    with studio.database.session() as session:
        assert not session.execute(consents.trainable_jobs()).all()
        assert [g.withdrawn_at is not None for g in consent.show(session, AOI)] == [True]


def test_what_was_learned_goes_when_training_is_taken_back_for_one_of_several_jobs(any_studio: Studio) -> None:
    studio = any_studio
    one = give(studio, "hers", AOI, {"mix-a.wav": b"a" * 50}, cached=False)
    two = give(studio, "more", AOI, {"mix-b.wav": b"b" * 50}, cached=False)
    his = give(studio, "his", "ren", {"mix-c.wav": b"c" * 50}, cached=False)
    data = TrainingSet(
        task="preset_cls",
        X=np.arange(6, dtype=np.float32).reshape(3, 2),
        y=None,
        labels=np.array(["warm", "loud", "warm"]),
        weights=np.ones(3, np.float32),
        recordings=np.array(["a", "b", "c"]),
        users=np.array([pseudonym(AOI), pseudonym(AOI), pseudonym("ren")]),
        row_ids=np.array([1, 2, 3]),
        feature_version="1",
        names=("x", "y"),
    )
    begun = datetime.now(UTC)
    row, others = snapshots.save(studio, data, {}, begun), snapshots.save(studio, data.take(np.array([2])), {}, begun)
    keys = [trained(studio, row.sha256), *learning_on(studio, "preset_cls")]
    kept = [trained(studio, others.sha256), *learning_on(studio, "master_reg")]
    assert snapshots.erase_taken_back(studio, begun) == []
    with studio.database.session() as session:
        consent.give(session, OPERATOR, one.job_id, quality=True, training=False)
    assert snapshots.erase_taken_back(studio, begun) == [row.id]
    assert snapshots.erase_taken_back(studio, begun) == []
    assert not any(studio.objects.exists(key) for key in (row.uri, *keys))
    assert all(studio.objects.exists(key) for key in (others.uri, *kept))
    with studio.database.session() as session:
        (note,) = audit.of_subject(session, f"snapshot:{row.id}")
        assert note.detail["reason"] == "consent to training taken back"
        assert set(session.execute(consents.trainable_jobs()).scalars()) == {two.job_id, his.job_id}
    with pytest.raises(BadInput, match="assemble the training set again"):  # read before it was taken back
        snapshots.save(studio, data, {}, begun, assembled_at=begun)
    with studio.database.session() as session:
        consent.give(session, OPERATOR, one.job_id, quality=True, training=True)
    again = snapshots.save(studio, data, {}, datetime.now(UTC), assembled_at=datetime.now(UTC))
    assert (again.id, again.erased_at) == (row.id, None) and snapshots.load(studio, again).row_ids.tolist() == [1, 2, 3]
    assert snapshots.erase_taken_back(studio, begun) == []


def test_an_erasure_that_was_cut_off_comes_with_the_hourly_run(studio: Studio) -> None:
    hers = give(studio, "hers", AOI, {"mix-a.wav": b"a" * 50}, cached=False)
    held = snapshot(studio, hers)
    with studio.database.session() as session:
        consent.give(session, OPERATOR, hers.job_id, quality=False, training=False)
    withdrawal.carry_out(studio)
    with studio.database.session() as session:
        assert session.get_one(TrainingSnapshot, held).erased_reason == "consent to training taken back"


def trained(studio: Studio, sha256: str) -> str:
    """As models/candidates.py names what was trained from a snapshot."""
    key = studio.cache.key("candidate", "1", sha256, {}, ".onnx")
    studio.objects.put_named(key, b"a model")
    return key


def learning_on(studio: Studio, task: str) -> list[str]:
    keys = [f"incremental/{task}.safetensors", f"incremental/{task}.json"]
    for key in keys:
        studio.objects.put_named(key, b"a state")
    return keys
