"""What becomes a version and what does not: bytes, shapes, origins, and whoever is killed or comes at once."""

from __future__ import annotations

import hashlib
import resource
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, external_data_helper, helper, load_model_from_string
from sqlalchemy import func, select

from pipelines import clock
from pipelines.errors import BadInput, Unavailable
from pipelines.governance.people import pseudonym
from pipelines.models import artefacts, drift, registry, sessions, snapshots
from pipelines.models.training_set import TrainingSet
from pipelines.settings import Settings
from pipelines.storage import audit, models
from pipelines.storage.database import Database
from pipelines.storage.tables import Consent, Job, ModelVersion, TrainingSnapshot, Withdrawal
from pipelines.studio import Studio
from tests.models import built
from tests.models.built import FEATURES, NAME, START, D, K, registered

PROJECT = Path(__file__).parent.parent.parent


def versions(studio: Studio) -> list[str]:
    with studio.database.session() as session:
        return [row.version for row in reversed(models.listed(session))]


def kept(studio: Studio) -> list[Path]:
    return [path for path in studio.objects.folder.rglob("*") if path.is_file()]


def test_a_version_names_its_bytes_and_where_they_come_from(studio: Studio) -> None:
    data = built.linear(1.0)
    row = registered(studio, data, metrics={"mae": 0.25, "nothing": float("nan")})
    with studio.database.session() as session:
        found = registry.find(session, NAME)
        (line,) = audit.of_subject(session, f"model:{NAME}")
        assert registry.find(session, NAME, "v20261122").id == models.latest(session, NAME).id == row.id  # type: ignore[union-attr]
        assert models.of_ids(session, [row.id, 99]).keys() == {row.id} and models.names(session) == [NAME]
    assert (found.name, found.version, found.input_dim, found.output_dim) == (NAME, "v20261122", D, K)
    assert (found.feature_version, found.code_version, found.licences) == (FEATURES, "1", ["CC0-1.0"])
    assert found.metrics == {"mae": 0.25, "nothing": None}
    assert found.sha256 == hashlib.sha256(data).hexdigest() and artefacts.load(studio.objects, found) == data
    assert found.created_at == START
    assert (line.action, line.detail["version"], line.detail["sha256"]) == ("model.register", row.version, row.sha256)
    warm = registry.verify(studio.objects, found)
    np.testing.assert_allclose(warm.run(np.ones((2, D), np.float32)), 2.0, rtol=1e-6)


def test_versions_are_days_and_a_repeated_run_finds_its_own(studio: Studio) -> None:
    made = [registered(studio, built.linear(float(i))).version for i in range(3)]
    assert made == ["v20261122", "v20261122.2", "v20261122.3"]
    assert registered(studio, built.linear(1.0)).version == "v20261122.2"  # its run was killed, and came again
    assert registered(studio, built.linear(1.0), code_version="2").version == "v20261122.4"
    later = START + timedelta(days=7)
    assert registered(studio, built.linear(1.0), now=later).version == "v20261129"
    assert registered(studio, built.linear(1.0), name="align_conf").version == "v20261122"
    with studio.database.session() as session:
        assert models.latest(session, NAME).version == "v20261129"  # type: ignore[union-attr]


def test_many_at_once_are_versions_of_their_own(studio: Studio) -> None:
    start, failed = threading.Barrier(6), []

    def work(i: int) -> None:
        data = built.linear(float(i // 2))  # each model twice: one of the two finds the other's row
        start.wait()
        try:
            registered(studio, data)
        except Exception as error:  # noqa: BLE001 - asserted below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not failed
    assert sorted(versions(studio)) == ["v20261122", "v20261122.2", "v20261122.3"]


def test_a_row_is_never_changed(studio: Studio) -> None:
    from sqlalchemy.exc import DBAPIError

    row = registered(studio, built.linear())
    with pytest.raises(DBAPIError), studio.database.session() as session:
        session.get(ModelVersion, row.id).metrics = {}  # type: ignore[union-attr]


def beside(data: bytes) -> bytes:
    """The same model with its weights in a file beside it."""
    made = load_model_from_string(data)
    for tensor in made.graph.initializer:
        external_data_helper.set_external_data(tensor, location="weights.bin")
        tensor.ClearField("raw_data")
    return bytes(made.SerializeToString())


def identity(**shape: Any) -> bytes:
    return built.model([helper.make_node("Identity", ["features"], ["outputs"])], **({"k": D} | shape))


UNFIT: dict[str, tuple[Any, str]] = {
    "empty": (lambda: b"", "model master_reg"),
    "noise": (lambda: bytes(range(256)) * 40, "cannot be loaded"),
    "half of it": (lambda: built.linear()[:-60], "cannot be loaded"),
    "another format": (lambda: b"tree\nversion=v4\nnum_class=1\n", "cannot be loaded"),
    "weights elsewhere": (lambda: beside(built.linear()), "in other files"),
    "another name": (
        lambda: built.model([helper.make_node("Identity", ["X"], ["outputs"])], k=D, names=("X", "outputs")),
        r"X: tensor\(float\).*where one tensor 'features' belongs",
    ),
    "float64": (lambda: identity(dtype=TensorProto.DOUBLE), "where float32"),
    "one row only": (lambda: identity(rows=1), "only 1 rows at a time"),
    "any width": (lambda: identity(d="d", k="d"), "does not say how wide 'features' is"),
    "other features": (lambda: built.linear(feature_version="audio-0"), "'audio-0', not 'audio-1'"),
    "classes": (lambda: built.linear(classes=["a", "b"]), "for 3 outputs"),
    "nan for zeros": (
        lambda: built.model(
            [helper.make_node("Log", ["features"], ["l"]), helper.make_node("Neg", ["l"], ["outputs"])], k=D
        ),
        "answered with NaN or infinity to a row of zeros",
    ),
    "more rows than asked": (
        lambda: built.model([helper.make_node("Concat", ["features", "features"], ["outputs"], axis=0)], k=D),
        r"answered with the shape \[2, 6\] instead of \[1, 6\] to a row of zeros",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_an_unfit_model_is_one_sentence_and_leaves_nothing(case: str, studio: Studio) -> None:
    make, words = UNFIT[case]
    with pytest.raises(BadInput, match=words):
        registered(studio, make(), reference={})
    assert versions(studio) == [] and kept(studio) == []


def test_a_model_that_takes_for_ever_on_zeros_is_given_up(studio: Studio) -> None:
    with pytest.raises(BadInput, match=r"took more than 0\.3 s for one row of zeros"):
        sessions.warm(built.slow_below_zero(always=True), "model x", seconds=0.3)


@pytest.mark.parametrize("key", ["input_edges", "output_edges"])
def test_a_reference_of_another_model_is_refused(key: str, studio: Studio) -> None:
    other = built.reference(5, 2)
    with pytest.raises(BadInput, match=f"a reference of . {key} for a width of"):
        registered(studio, built.linear(), reference={key: other[key]})


def test_a_reference_of_some_columns(studio: Studio) -> None:
    whole = np.random.default_rng(0).normal(0, 1, (50, built.D))
    made = drift.reference(whole, whole[:, : built.K], input_columns=[5, 0], output_columns=[1])
    assert registered(studio, built.linear(), reference=made).reference["input_columns"] == [5, 0]
    with pytest.raises(BadInput, match="a reference of 2 input_edges for a width of 1"):
        registered(studio, built.linear(1.0), reference={**made, "input_columns": [5]})
    with pytest.raises(BadInput, match="comes with a reference that names output_columns that are not columns of 3"):
        registered(studio, built.linear(1.0), reference={**made, "output_columns": [3]})


def test_a_name_that_would_not_be_found_again_is_refused(studio: Studio) -> None:
    for name in ("", "a b", "../x", "a:b"):
        with pytest.raises(BadInput, match="is no name"):
            registered(studio, built.linear(), name=name)


def test_what_is_not_registered_is_said_with_what_is(studio: Studio) -> None:
    with studio.database.session() as session, pytest.raises(BadInput, match="train one first"):
        registry.find(session, NAME)
    registered(studio, built.linear())
    with studio.database.session() as session:
        with pytest.raises(BadInput, match="master_reg v1: is not registered; choose from v20261122"):
            registry.find(session, NAME, "v1")
        with pytest.raises(BadInput, match="model other: is not registered; choose from master_reg"):
            registry.find(session, "other")


# -- the snapshot it learned from


def snapshot(studio: Studio, people: list[str]) -> int:
    """Of data that each of these people allowed to learn from."""
    n = 4 * len(people)
    now = clock.now()
    with studio.database.session() as session:
        for i, person in enumerate(people):
            job = Job(name=f"job-{person}", revision=1, content_hash=f"h{i}", status="ready", owner=person)
            session.add(job)
            session.flush()
            session.add(Consent(job_id=job.id, owner=person, quality=True, training=True))
    data = TrainingSet(
        task=NAME,
        X=built.rows(n),
        y=built.rows(n)[:, :K],
        labels=None,
        weights=np.ones(n, np.float32),
        recordings=np.array([f"r{i}" for i in range(n)]),
        users=np.array([pseudonym(p) for p in people] * 4),
        row_ids=np.arange(n),
        feature_version=FEATURES,
        names=tuple(f"f{i}" for i in range(D)),
    )
    return snapshots.save(studio, data, {}, now).id


def withdraw(studio: Studio, person: str) -> None:
    now = clock.now()
    with studio.database.session() as session:
        session.add(
            Withdrawal(
                user_id=person,
                keep_originals=False,
                requested_by="operator",
                requested_at=now,
                due_at=now + timedelta(days=1),
            )
        )


def test_a_model_names_the_snapshot_that_it_learned_from(studio: Studio) -> None:
    number = snapshot(studio, ["aoki", "ueda"])
    assert registered(studio, built.linear(), snapshot_id=number).snapshot_id == number


def test_a_withdrawal_during_training_leaves_no_model(studio: Studio) -> None:
    number = snapshot(studio, ["aoki", "ueda"])
    before = kept(studio)
    withdraw(studio, "ueda")
    with pytest.raises(BadInput, match=f"of which 1 withdrew meanwhile \\({pseudonym('ueda')}\\)") as caught:
        registered(studio, built.linear(), snapshot_id=number)
    assert "ueda" not in str(caught.value)
    assert versions(studio) == [] and kept(studio) == before


def test_bytes_that_another_version_names_outlive_a_refusal(studio: Studio) -> None:
    number = snapshot(studio, ["aoki"])
    row = registered(studio, built.linear())
    withdraw(studio, "aoki")
    with pytest.raises(BadInput, match="withdrew"):
        registered(studio, built.linear(), snapshot_id=number)
    registry.verify(studio.objects, row)


def test_a_snapshot_that_was_erased_or_is_another_one_is_refused(studio: Studio) -> None:
    number = snapshot(studio, ["aoki"])
    with pytest.raises(BadInput, match="claims features 'audio-2', its training snapshot 1 holds 'audio-1'"):
        registered(studio, built.linear(), snapshot_id=number, feature_version="audio-2")
    with pytest.raises(BadInput, match="training snapshot 77, which does not exist"):
        registered(studio, built.linear(), snapshot_id=77)
    with studio.database.session() as session:
        row = session.get(TrainingSnapshot, number)
        assert row is not None
        row.erased_at, row.erased_reason = clock.now(), "withdrawn"
    with pytest.raises(BadInput, match="erased meanwhile"):
        registered(studio, built.linear(), snapshot_id=number)
    assert versions(studio) == []


def test_an_erasure_under_way_is_waited_for(studio: Studio) -> None:
    number = snapshot(studio, ["aoki"])
    locked, done = threading.Event(), threading.Event()

    def erase() -> None:
        with studio.database.session() as session:
            row = session.get(TrainingSnapshot, number, with_for_update=True)
            assert row is not None
            locked.set()
            done.wait(0.4)  # registering has come to the row by then
            row.erased_at, row.erased_reason = clock.now(), "withdrawn"

    thread = threading.Thread(target=erase)
    thread.start()
    assert locked.wait(10)
    with pytest.raises(BadInput, match="erased meanwhile"):
        registered(studio, built.linear(), snapshot_id=number)
    thread.join()


# -- bytes


@pytest.mark.parametrize("harm", ["gone", "changed", "half", "empty"])
def test_bytes_are_verified_on_every_load(harm: str, studio: Studio) -> None:
    row = registered(studio, built.linear())
    path = studio.objects.folder / row.uri
    data = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(
            {"changed": data[:-1] + bytes([data[-1] ^ 1]), "half": data[: len(data) // 2], "empty": b""}[harm]
        )
    words = "has lost its bytes" if harm == "gone" else "has other bytes"
    with pytest.raises(BadInput, match=f"model master_reg v20261122: {words}.*roll back"):
        registry.verify(studio.objects, row)


def test_registering_puts_a_damaged_object_right(studio: Studio) -> None:
    data = built.linear()
    row = registered(studio, data)
    (studio.objects.folder / row.uri).write_bytes(b"x" * len(data))
    assert registered(studio, data, code_version="2").uri == row.uri
    registry.verify(studio.objects, row)


def test_a_full_disk_leaves_no_version(studio: Studio) -> None:
    """The limit on a file's size stands in for the disk: writing fails in the same place."""
    data = built.linear(note="x" * 100_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(Unavailable):
            registered(studio, data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert versions(studio) == [] and kept(studio) == []
    registered(studio, data)


def test_without_a_database_nothing_is_registered(studio: Studio) -> None:
    away = Database(Settings(database_url="postgresql://nobody@127.0.0.1:9/x"))
    lonely = Studio(studio.settings, away, studio.objects, studio.cache)
    with pytest.raises(Unavailable, match="database"):
        registered(lonely, built.linear())


CHILD = """
import os, signal, sys
from pipelines.settings import Settings
from pipelines.storage import audit, models
from pipelines.models import artefacts
from pipelines.studio import Studio
from tests.models import built

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

module, name = {"stored": (models, "lock"), "row": (audit, "write")}[sys.argv[3]]
setattr(module, name, die)
built.registered(Studio.open(Settings(database_url=sys.argv[1], home=sys.argv[2])), built.linear())
"""


@pytest.mark.parametrize("moment", ["stored", "row"])
def test_a_killed_registration_leaves_no_half_version(moment: str, studio: Studio) -> None:
    url = studio.database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", CHILD, url, str(studio.settings.home_path), moment]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert versions(studio) == []
    assert registered(studio, built.linear()).version == "v20261122"
    with studio.database.session() as session:
        assert session.execute(select(func.count()).select_from(ModelVersion)).scalar_one() == 1
    assert len(kept(studio)) == 1


# -- the code


def test_the_code_version_is_of_the_sources_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = registry.code_version()
    command = [sys.executable, "-c", "from pipelines.models import registry; print(registry.code_version())"]
    assert subprocess.run(command, cwd=PROJECT, capture_output=True, text=True).stdout.strip() == ours

    package = tmp_path / "some_training_code"
    package.mkdir()
    (package / "__init__.py").write_text("A = 1\n")
    (package / "presets.yaml").write_text("loud: -9\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen = set()
    for content in ("A = 1\n", "A = 2\n"):
        (package / "__init__.py").write_text(content)
        (package / "__pycache__").mkdir(exist_ok=True)
        registry.code_version.cache_clear()
        seen.add(registry.code_version(("some_training_code",)))
    (package / "presets.yaml").write_text("loud: -8\n")
    registry.code_version.cache_clear()
    seen.add(registry.code_version(("some_training_code",)))
    registry.code_version.cache_clear()
    assert len(seen) == 3
