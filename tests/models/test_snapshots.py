"""Training snapshots: exact, verified by their hash, and gone when one of their persons withdraws."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sqlalchemy import update

from pipelines.errors import BadInput, Unavailable
from pipelines.governance.people import pseudonym
from pipelines.models import snapshots
from pipelines.models.training_set import TrainingSet
from pipelines.settings import Settings
from pipelines.storage import audit, jobs
from pipelines.storage import snapshots as table
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewJob
from pipelines.storage.objects import Objects
from pipelines.storage.tables import Consent, Withdrawal
from pipelines.studio import Studio

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    return Studio(settings, database, objects, Cache(objects))


def made(*owners: str, n: int = 30, task: str = "master_reg", seed: int = 0) -> TrainingSet:
    rng = np.random.default_rng(seed)
    regression = task == "master_reg"
    return TrainingSet(
        task=task,
        X=rng.normal(size=(n, 3)).astype(np.float32),
        y=rng.normal(size=(n, 4)).astype(np.float32) if regression else None,
        labels=None if regression else np.array([("loud", "温かい")[i % 2] for i in range(n)], np.str_),
        weights=rng.uniform(0.3, 3, n).astype(np.float32),
        recordings=np.array([f"春#{i % 4}" for i in range(n)], np.str_),
        users=np.array([pseudonym((owners or ("yamada",))[i % max(len(owners), 1)]) for i in range(n)], np.str_),
        row_ids=np.arange(n, dtype=np.int64) * 7,
        feature_version="audio-1",
        names=("lufs", "crest", "mel_mean_00"),
        content_hashes=np.array([f"{i:064x}" for i in range(n)], np.str_) if regression else None,
    )


def same(one: TrainingSet, other: TrainingSet) -> bool:
    pairs = ((getattr(one, f.name), getattr(other, f.name)) for f in fields(TrainingSet))
    return all(
        np.array_equal(a, b) and a.dtype.kind == b.dtype.kind if isinstance(a, np.ndarray) else a == b for a, b in pairs
    )


def withdraw(database: Database, owner: str, at: datetime) -> None:
    with database.session() as session:
        session.add(Withdrawal(user_id=owner, keep_originals=False, requested_by="op", requested_at=at, due_at=at))


@pytest.mark.parametrize("task", ["master_reg", "preset_cls"])
def test_what_is_loaded_is_what_was_saved(studio: Studio, task: str) -> None:
    data = made(task=task)
    row = snapshots.save(studio, data, {"generated": 30}, NOW)
    assert (row.n_rows, row.task, row.users, row.provenance) == (30, task, [pseudonym("yamada")], {"generated": 30})
    assert same(snapshots.load(studio, row), data)
    assert same(snapshots.load(studio, row.id), data)


@given(arrays(np.float32, (4, 3)), st.lists(st.text(st.characters(codec="utf-8"), max_size=9), min_size=4, max_size=4))
@hypothesis_settings(max_examples=40)
def test_any_values_survive_parquet_bit_for_bit(values: np.ndarray, names: list[str]) -> None:
    names = [name.rstrip("\0") for name in names]  # numpy's own text drops them
    rows = made(n=4)
    data = TrainingSet(
        "master_reg", values, values.copy(), None, rows.weights, np.array(names, np.str_), rows.users, rows.row_ids,
        "audio-1", ("a", "b", "c"),
    )  # fmt: skip
    content = snapshots.to_parquet(data)
    again = snapshots.from_parquet(content)
    assert again.X.tobytes() == data.X.tobytes() and again.recordings.tolist() == names
    assert snapshots.to_parquet(again) == content


def test_equal_sets_are_one_snapshot_and_unequal_ones_are_two(studio: Studio) -> None:
    first = snapshots.save(studio, made(), {}, NOW)
    again = snapshots.save(studio, made(), {"other": "words"}, NOW + timedelta(days=7))
    other = snapshots.save(studio, made(seed=1), {}, NOW)
    assert (again.id, again.created_at) == (first.id, first.created_at)
    assert other.sha256 != first.sha256
    with studio.database.session() as session:
        assert [row.id for row in table.of_task(session, "master_reg")] == [other.id, first.id]


def test_changed_or_lost_bytes_are_refused_and_stored_again(studio: Studio) -> None:
    row = snapshots.save(studio, made(), {}, NOW)
    studio.objects.put_named(row.uri, snapshots.to_parquet(made(seed=1)))
    with pytest.raises(BadInput, match="other bytes than were stored"):
        snapshots.load(studio, row)
    studio.objects.delete(row.uri)
    with pytest.raises(BadInput, match="has lost its bytes"):
        snapshots.load(studio, row)
    assert snapshots.save(studio, made(), {}, NOW).id == row.id
    assert same(snapshots.load(studio, row), made())
    with pytest.raises(BadInput, match="does not exist"):
        snapshots.load(studio, 10**6)


def test_bytes_that_are_no_training_set_are_bad_input() -> None:
    with pytest.raises(BadInput, match="no training set in Parquet"):
        snapshots.from_parquet(b"PAR1 but not really PAR1")


def test_a_persons_snapshots_are_erased_and_say_so(studio: Studio) -> None:
    theirs = snapshots.save(studio, made("yamada", "sato"), {}, NOW)
    others = snapshots.save(studio, made("sato"), {}, NOW)
    person = pseudonym("yamada")
    assert snapshots.erase(studio, person, "consent withdrawn", NOW) == [theirs.id]
    assert snapshots.erase(studio, person, "consent withdrawn", NOW) == []
    assert not studio.objects.exists(theirs.uri)
    with pytest.raises(BadInput, match=r"was erased on 2026-11-22 \(consent withdrawn\)"):
        snapshots.load(studio, theirs)
    assert same(snapshots.load(studio, others), made("sato"))
    with studio.database.session() as session:
        (entry,) = audit.of_subject(session, f"snapshot:{theirs.id}")
        assert entry.detail["user"] == person
        assert table.holding(session, person) == []
    with pytest.raises(BadInput, match="was erased"):  # the same rows do not come back
        snapshots.save(studio, made("yamada", "sato"), {}, NOW)
    assert not studio.objects.exists(theirs.uri)


def test_who_withdraws_between_assembling_and_saving_is_not_stored(studio: Studio) -> None:
    withdraw(studio.database, "yamada", NOW)
    data = made("yamada", "sato")
    with pytest.raises(BadInput, match=f"1 who withdrew meanwhile .{pseudonym('yamada')}"):
        snapshots.save(studio, data, {}, NOW)
    with studio.database.session() as session:
        (row,) = table.of_task(session, "master_reg")
    assert row.erased_at is not None and not studio.objects.exists(row.uri)


def test_who_withdrew_and_came_back_is_not_stored_with_what_was_read_before(studio: Studio) -> None:
    withdraw(studio.database, "yamada", NOW)
    with studio.database.session() as session:
        job_id, _ = jobs.add(session, NewJob("back", "content", owner="yamada"))
        jobs.give_consent(session, job_id, "yamada", quality=False, training=True)
        session.execute(update(Consent).values(granted_at=NOW + timedelta(hours=1)))
    with pytest.raises(BadInput, match="withdrew meanwhile"):
        snapshots.save(studio, made("yamada"), {}, NOW, assembled_at=NOW - timedelta(minutes=5))
    assert (
        snapshots.save(studio, made("yamada", seed=1), {}, NOW, assembled_at=NOW + timedelta(hours=2)).erased_at is None
    )


def test_a_store_that_fails_leaves_a_row_whose_bytes_come_with_the_next_try(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Objects, key: str, data: bytes) -> None:
        raise Unavailable(key, "the disk is full", 60)

    with monkeypatch.context() as patched:
        patched.setattr(Objects, "put_named", full)
        with pytest.raises(Unavailable):
            snapshots.save(studio, made(), {}, NOW)
    row = snapshots.save(studio, made(), {}, NOW)
    assert same(snapshots.load(studio, row), made())


def test_an_empty_set_is_refused(studio: Studio) -> None:
    with pytest.raises(BadInput, match="has no rows"):
        snapshots.save(studio, made().take(np.arange(0)), {}, NOW)
