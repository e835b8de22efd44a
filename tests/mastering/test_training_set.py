"""Training sets: only what may be learned from, of the present features, checked; corrections count for more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from pipelines import clock
from pipelines.errors import BadInput
from pipelines.governance.people import pseudonym
from pipelines.mastering import training_set
from pipelines.mastering.labelling import TARGETS
from pipelines.mastering.training_set import CORPUS_OWNER, FEATURE_VERSION, assemble, check, feature_names
from pipelines.models.training_set import TrainingSet
from pipelines.storage import audit, features, jobs, labels
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewJob
from pipelines.storage.tables import Consent, Label

DIMS = len(feature_names("master_reg"))


def add_job(database: Database, owner: str, *, training: bool, n: int = 3, version: str = FEATURE_VERSION) -> int:
    with database.session() as session:
        job_id, _ = jobs.add(session, NewJob(f"job of {owner}", f"content of {owner}", owner=owner))
        jobs.give_consent(session, job_id, owner, quality=True, training=training)
        for i in range(n):
            row = {
                "job_id": job_id,
                "user_id": owner,
                "clip_kind": "mix",
                "content_hash": f"{owner}-{i}",
                "feature_version": version,
            }
            features.record(session, **row, vec=np.full(DIMS, i, np.float32), stats={})
            recorded = {**row, "recording": f"{owner}-{i}"}
            labels.record(session, **recorded, task="master_reg", answer=[i, -i, 0.5 * i, -14 - i])
            labels.record(session, **recorded, task="preset_cls", answer=("loud", "warm")[i % 2], quality="low")
    return job_id


def assembled(database: Database, task: str = "master_reg") -> TrainingSet:
    with database.session() as session:
        return assemble(session, task, now=clock.now())


def test_labels_meet_their_features(database: Database) -> None:
    add_job(database, "yamada", training=True)
    regression, classes = assembled(database), assembled(database, "preset_cls")
    assert regression.X.dtype == np.float32 and regression.X.shape == (3, DIMS)
    assert regression.y is not None and regression.y.tolist() == [[i, -i, 0.5 * i, -14 - i] for i in range(3)]
    assert regression.names == feature_names("master_reg") and regression.feature_version == FEATURE_VERSION
    assert set(regression.users.tolist()) == {pseudonym("yamada")}
    assert classes.labels is not None and classes.labels.tolist() == ["loud", "warm", "loud"]
    assert classes.weights.tolist() == pytest.approx([0.3] * 3)
    assert training_set.feature_version("align_conf") == training_set.ALIGNMENT_VERSION


def test_only_who_allows_it_is_learned_from(database: Database) -> None:
    add_job(database, "yamada", training=True)
    add_job(database, "sato", training=False)
    assert set(assembled(database).users.tolist()) == {pseudonym("yamada")}
    with database.session() as session:
        session.execute(update(Consent).where(Consent.owner == "yamada").values(withdrawn_at=clock.now()))
    with pytest.raises(BadInput, match="somebody who allows training"):
        assembled(database)


def test_features_of_another_version_are_left_out(database: Database) -> None:
    add_job(database, "yamada", training=True, version="audio-0")
    with pytest.raises(BadInput, match="no row with features"):
        assembled(database)


def test_a_correction_is_a_new_row_that_no_rule_overwrites_and_is_audited(database: Database) -> None:
    job_id = add_job(database, "yamada", training=True)
    with database.session() as session:
        label = labels.find(session, job_id, "preset_cls", "yamada-1")
        assert label is not None
        newest = max(row.id for row in labels.of_task(session, "preset_cls"))
        corrected = labels.correct(session, label.id, "club", "Hanako Sato")
        assert labels.newer_than(session, "preset_cls", newest, FEATURE_VERSION) == 1
        labels.record(
            session,
            job_id=job_id,
            user_id="yamada",
            task="preset_cls",
            content_hash="yamada-1",
            clip_kind="mix",
            feature_version=FEATURE_VERSION,
            recording="yamada-1",
            answer="warm",
        )
        row = session.get_one(Label, corrected)
        assert (row.y_cls, row.quality, row.author) == ("club", "human", "Hanako Sato")
        (entry,) = audit.of_subject(session, f"label:{corrected}")
        assert entry.actor == pseudonym("Hanako Sato") and "Hanako" not in str(entry.detail)
    data = assembled(database, "preset_cls")
    assert data.labels is not None and data.labels.tolist() == ["loud", "club", "loud"]
    assert data.weights.tolist() == pytest.approx([0.3, 3.0, 0.3])


def test_a_rule_may_change_its_own_mind(database: Database) -> None:
    job_id = add_job(database, "yamada", training=True)
    with database.session() as session:
        before = labels.find(session, job_id, "preset_cls", "yamada-0")
        assert before is not None
        same = {"user_id": "yamada", "task": "preset_cls", "content_hash": "yamada-0", "clip_kind": "mix"}
        labels.record(
            session,
            job_id=job_id,
            **same,
            feature_version=FEATURE_VERSION,
            recording="yamada-0",
            answer="bass",
            quality="auto",
        )
        session.expire_all()
        after = labels.find(session, job_id, "preset_cls", "yamada-0")
        assert after is not None and (after.id, after.y_cls, after.quality) == (before.id, "bass", "auto")


@pytest.mark.parametrize(
    ("task", "answer", "words"),
    [
        ("preset_cls", [1.0, 2.0, 3.0, 4.0], "takes a class"),
        ("master_reg", "loud", "takes numbers"),
        ("master_reg", [1.0], "takes 4 numbers"),
        ("master_reg", [1.0, 2.0, 3.0, float("nan")], "not a number"),
    ],
)
def test_a_correction_of_the_wrong_kind_changes_nothing(
    database: Database, task: str, answer: str | list[float], words: str
) -> None:
    job_id = add_job(database, "yamada", training=True)
    with database.session() as session:
        label = labels.find(session, job_id, task, "yamada-1")
        assert label is not None
        with pytest.raises(BadInput, match=words):
            labels.correct(session, label.id, answer, "sato")
        with pytest.raises(BadInput, match="does not exist"):
            labels.correct(session, 10**9, "loud", "sato")
        assert labels.find(session, job_id, task, "yamada-1") is label


def made(task: str = "master_reg", n: int = 40) -> TrainingSet:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(n, 4)).astype(np.float32) if task == "master_reg" else None
    return TrainingSet(
        task=task,
        X=rng.normal(size=(n, DIMS)).astype(np.float32),
        y=y,
        labels=None if y is not None else np.array(["loud", "warm"] * (n // 2), np.str_),
        weights=np.ones(n, np.float32),
        recordings=np.array([f"song#{i % 5}" for i in range(n)], np.str_),
        users=np.array([pseudonym(CORPUS_OWNER)] * n, np.str_),
        row_ids=np.arange(n),
        feature_version=FEATURE_VERSION,
        names=feature_names(task),
    )


def spoilt(data: TrainingSet, what: str) -> TrainingSet:
    X, n = data.X.copy(), len(data)
    if what == "nan":
        X[3, 7] = np.nan
        return replace(data, X=X)
    if what == "few":
        return data.take(np.arange(10))
    if what == "one recording":
        return replace(data, recordings=np.array(["song#1"] * n, np.str_))
    if what == "one class":
        return replace(data, labels=np.array(["loud"] * n, np.str_))
    if what == "unknown class":
        return replace(data, labels=np.array(["loud", "polka"] * (n // 2), np.str_))
    assert data.y is not None
    y = data.y.copy()
    y[:, 2] = 1.0 if what == "constant target" else y[:, 2]
    if what == "target nan":
        y[0, 1] = np.nan
    return replace(data, y=y)


@pytest.mark.parametrize(
    ("task", "what", "words"),
    [
        ("master_reg", "nan", "1 rows have features that are not numbers"),
        ("master_reg", "few", "10 rows, 20 are the least"),
        ("master_reg", "one recording", "all rows are of one recording"),
        ("master_reg", "constant target", f"{TARGETS[2]} is the same in every row"),
        ("master_reg", "target nan", f"{TARGETS[1]} has values that are not numbers"),
        ("preset_cls", "one class", r"one class only \(loud\)"),
        ("preset_cls", "unknown class", "unknown classes polka"),
    ],
)
def test_what_cannot_be_learned_from_is_told_in_a_sentence(task: str, what: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        check(spoilt(made(task), what))


def test_the_suite_sees_the_same_and_leaves_its_docs(tmp_path: Path) -> None:
    for task in ("master_reg", "preset_cls"):
        check(made(task))
        assert training_set.problems(made(task), tmp_path) == []
    assert "training_preset_cls" in (tmp_path / "index.html").read_text()
    for task, what in (("master_reg", "nan"), ("master_reg", "constant target"), ("preset_cls", "one class")):
        assert training_set.problems(spoilt(made(task), what)), what


def test_constant_features_are_allowed_and_listed() -> None:
    data = made()
    data.X[:, 5] = 1.0
    check(data)
    assert training_set.constant_features(data) == (data.names[5],)
    assert training_set.provenance(data)["constant_features"] == [data.names[5]]


def test_provenance_tells_generated_rows_from_peoples_own() -> None:
    data = made("preset_cls")
    users = data.users.copy()
    users[:10] = pseudonym("yamada")
    names = np.array(["vibe_ace#1+lets_go_fishin#2"] * len(data), np.str_)
    facts = training_set.provenance(replace(data, users=users, recordings=names))
    assert (facts["rows"], facts["generated"], facts["own"], facts["people"]) == (40, 30, 10, 1)
    assert [s["title"] for s in facts["sources"]] == ["Let's Go Fishin'", "Vibe Ace"]
    assert facts["classes"] == {"loud": 20, "warm": 20}


def test_grouping_by_piece_puts_what_shares_a_piece_together() -> None:
    data = made().take(np.arange(6))
    names = np.array(["a#1", "a#2", "b#1+c#1", "c#2", "d#1", "f" * 64], np.str_)
    groups = training_set.by_piece(replace(data, recordings=names)).recordings.tolist()
    assert groups[0] == groups[1] and groups[2] == groups[3] and len(set(groups)) == 4
