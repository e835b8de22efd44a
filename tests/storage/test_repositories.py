"""The modules that ask the tables: items, features, edits, uploads, jobs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from pipelines.intake import batches
from pipelines.storage import edits, features, items, jobs, uploads
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewJob
from pipelines.storage.tables import FeatureRow, ItemResult, Job
from pipelines.storage.uploads import NewUpload


@pytest.fixture
def job_id(database: Database) -> int:
    with database.session() as session:
        made, fresh = jobs.add(session, NewJob("春", "c1", owner="yamada", bpm=120.5, edit={"duration": 40}))
        uploads.add(
            session,
            made,
            "yamada",
            [
                NewUpload("歌.ogg", "music", "h1", 10, ("strings",), object_key="media/h1"),
                NewUpload("bad.mp4", "clip", "h2", 10, error="bad.mp4: has no picture"),
            ],
        )
    assert fresh
    return made


def test_a_job_is_read_back_with_its_uploads(database: Database, job_id: int) -> None:
    with database.session() as session:
        job = session.get(Job, job_id)
    assert job is not None
    assert (job.name, job.bpm, job.edit, job.revision) == ("春", 120.5, {"duration": 40}, 1)
    assert [(u.name, u.tags, u.status) for u in job.uploads] == [("歌.ogg", ["strings"], "ok"), ("bad.mp4", [], "bad")]
    assert [u.error for u in job.uploads] == [None, "bad.mp4: has no picture"]


def test_the_same_content_is_the_same_job(database: Database, job_id: int) -> None:
    with database.session() as session:
        assert jobs.add(session, NewJob("春", "c1")) == (job_id, False)
        other, fresh = jobs.add(session, NewJob("春", "c2", error="春: has no usable song"))
        assert fresh
        again = session.get(Job, other)
        assert again is not None and (again.revision, again.status) == (2, "bad")


def test_an_items_newest_outcome_counts(database: Database, job_id: int) -> None:
    item = {"job_id": job_id, "kind": "music_features", "content_hash": "h1", "code_version": "1"}
    with database.session() as session:
        (batch,) = batches.plan_batches(session)
        items.record(session, **item, error="song.ogg: is damaged")
        found = items.failures(session, batch.key, "music_features", "1")
        assert [f.error for f in found] == ["song.ogg: is damaged"]
        assert items.failures(session, batch.key, "video_features", "1") == []
        assert items.failures(session, batch.key, "music_features", "2") == []
        assert [(job.id, key) for _, job, key in items.open_failures(session)] == [(job_id, batch.key)]
    with database.session() as session:
        items.record(session, **item, object_key="features/x", seconds=1.5)
    with database.session() as session:
        (done,) = session.execute(select(ItemResult)).scalars()
        assert (done.status, done.object_key, done.seconds, done.error) == ("ok", "features/x", 1.5, None)
        assert items.failures(session, batch.key, "music_features", "1") == []
        assert items.open_failures(session) == []


@pytest.mark.parametrize("changed", [{"content_hash": "h2"}, {"code_version": "2"}])
def test_a_failure_is_done_with_when_a_newer_content_or_code_went_well(
    database: Database, job_id: int, changed: dict[str, str]
) -> None:
    item = {"job_id": job_id, "kind": "shared_features", "content_hash": "h1", "code_version": "1"}
    with database.session() as session:
        (batch,) = batches.plan_batches(session)
        items.record(session, **item, error="too few shots")
        items.record(session, **{**item, "params_hash": "other"}, error="another item's")
    with database.session() as session:
        items.record(session, **{**item, **changed})
    with database.session() as session:
        assert [row.error for row, _, _ in items.open_failures(session)] == ["another item's"]
        found = items.failures(session, batch.key, "shared_features", "1")
        assert [row.error for row in found] == ["another item's"]


def test_a_vector_is_stored_once_a_content_and_version(database: Database, job_id: int) -> None:
    key = {"job_id": job_id, "user_id": "yamada", "clip_kind": "mix", "content_hash": "h1", "feature_version": "1"}
    with database.session() as session:
        features.record(session, **key, vec=np.zeros(160, np.float32), stats={})
        features.record(session, **key, vec=np.full(160, 0.1, np.float32), stats={"lufs": -math.inf, "a": [math.nan]})
    with database.session() as session:
        (row,) = session.execute(select(FeatureRow)).scalars()
    assert row.n_dim == 160
    np.testing.assert_array_equal(np.asarray(row.vec, np.float32), np.full(160, 0.1, np.float32))
    assert row.stats == {"lufs": None, "a": [None]}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_vector_that_is_not_finite_is_refused(database: Database, job_id: int, bad: float) -> None:
    vec = np.array([0.0, bad], np.float32)
    with pytest.raises(IntegrityError, match="ck_features_store_finite"), database.session() as session:
        features.record(
            session, job_id=job_id, user_id="u", clip_kind="mix", vec=vec, stats={}, content_hash="h",
            feature_version="1",
        )  # fmt: skip


def test_a_new_plan_takes_the_old_rendering_with_it(database: Database, job_id: int) -> None:
    with database.session() as session:
        edits.save_plan(session, job_id, "dynamic", "plan-1")
        edits.save_render(session, job_id, "dynamic", "render-1")
        edits.save_quality(session, job_id, "dynamic", {"sync": 0.9, "semantic": math.nan})
        edits.save_plan(session, job_id, "dynamic", "plan-1")
    with database.session() as session:
        (same,) = edits.of_job(session, job_id)
    assert (same.render_key, same.quality) == ("render-1", {"sync": 0.9, "semantic": None})
    with database.session() as session:
        edits.save_plan(session, job_id, "dynamic", "plan-2")
    with database.session() as session:
        (new,) = edits.of_job(session, job_id)
    assert (new.plan_key, new.render_key, new.quality) == ("plan-2", None, None)
