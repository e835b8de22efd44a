"""Who answers: the user's version, the one before it, or the rule; while versions come, go, fail, hang and are lost."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import onnxruntime
import pytest
from moto.server import ThreadedMotoServer
from numpy.typing import NDArray

from pipelines import clock
from pipelines.errors import BadInput, Unavailable
from pipelines.mastering import tasks
from pipelines.models import artefacts, drift, rollout, versions
from pipelines.models.inference import Prediction, Predictor
from pipelines.models.training import train
from pipelines.models.training_set import TrainingSet
from pipelines.settings import Settings
from pipelines.storage import embedded, flags
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.storage.tables import ModelVersion
from pipelines.storage.traffic import Traffic
from pipelines.studio import Studio
from tests.models import built
from tests.models.built import FEATURES, NAME, START, D, K, begun, rows, user_of

PROJECT = Path(__file__).parent.parent.parent
FIRST, LAST = user_of(5), user_of(0)  # whom a candidate serves at 5 %, and whom only at 100 %


def rule(x: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.full((len(x), K), -1.0)


@contextmanager
def predictor(studio: Studio, **changed: Any) -> Iterator[Predictor]:
    """One whose thread does nothing for a while, unless asked to."""
    values: dict[str, Any] = {"feature_version": FEATURES, "fallback": rule, "refresh_s": 60.0}
    with Predictor(studio, NAME, **(values | changed)) as made:
        yield made


def total(studio: Studio, row: ModelVersion) -> Traffic:
    return built.counted(studio.database, row.id)


def promote(studio: Studio) -> None:
    with studio.database.session() as session:
        rollout.promote(session, NAME, rollout.current(session, NAME), clock.now(), "test", "a test")


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.01)


# -- routing


def test_each_user_is_answered_by_the_version_of_their_stage(studio: Studio) -> None:
    live, candidate = begun(studio, built.linear(0.0)), begun(studio, built.linear(10.0))
    x = rows(1)
    with predictor(studio) as asked:
        first, last = asked.predict(FIRST, x), asked.predict(LAST, x[0])
        assert (first.version, first.model_id, first.fell_back, first.reasons) == (
            candidate.version,
            candidate.id,
            False,
            (),
        )
        assert (last.version, last.model_id, last.fell_back) == (live.version, live.id, False)
        np.testing.assert_allclose(first.outputs, np.full((1, K), x.mean() + 10), rtol=1e-5)
        np.testing.assert_allclose(last.outputs, np.full((1, K), x.mean()), rtol=1e-5)
        assert first.outputs.dtype == np.float32 and first.latency_ms > 0
        shares = np.mean([asked.predict(f"u{i}", x).version == candidate.version for i in range(1000)])
        assert 0.02 < shares < 0.09
        promote(studio)
        promote(studio)
        assert asked.predict(LAST, x).version == live.version  # not seen yet
        asked.refresh()
        assert asked.predict(LAST, x).version == asked.predict(FIRST, x).version == candidate.version


def test_many_rows_are_one_call(studio: Studio) -> None:
    row = begun(studio, built.linear(2.0))
    x = rows(700)
    with predictor(studio) as asked:
        answer = asked.predict("u", x[:, ::-1])  # not contiguous
        asked.predict("u", x.astype(np.float64).tolist())
    np.testing.assert_allclose(answer.outputs, np.repeat(x.mean(axis=1, keepdims=True) + 2, K, axis=1), rtol=1e-5)
    assert total(studio, row).n == 2


def test_a_classifier_names_its_classes(studio: Studio) -> None:
    begun(studio, built.linear(classes=["loud", "warm", "wide"]))
    with predictor(studio, fallback_classes=("loud", "warm", "wide")) as asked:
        assert asked.predict("u", rows(1)).classes == ("loud", "warm", "wide")


def test_before_the_first_version_the_rule_answers(studio: Studio) -> None:
    with predictor(studio, fallback_classes=("a", "b", "c")) as asked:
        answer = asked.predict("u", rows(2))
        assert (answer.version, answer.fell_back, answer.classes) == ("rule", True, ("a", "b", "c"))
        assert answer.outputs.shape == (2, K) and (answer.outputs == -1).all()
        assert asked.problems == ()
    with predictor(studio, fallback=None) as asked, pytest.raises(Unavailable, match="no version is rolled out"):
        asked.predict("u", rows(1))


def test_an_operator_switches_the_models_off(studio: Studio) -> None:
    begun(studio, built.linear())
    with predictor(studio) as asked:
        assert asked.enabled
        with studio.database.session() as session:
            flags.switch(session, "enable_cpu_ml", False, by="operator")
        asked.refresh()
        assert not asked.enabled
        assert asked.predict("u", rows(1)).version == "rule"


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((2, D + 1)), r"have the shape \[2, 7\]; give float32 \[n, 6\]"),
        (np.zeros(0), "have the shape"),
        (np.zeros((0, D)), "with at least one row"),
        (np.zeros((1, 1, D)), "have the shape"),
        (3.0, "have the shape"),
        (np.array([np.nan, 0, 0, 0, 0, 0]), "hold NaN or infinity"),
        (np.full(D, 1e300), "hold NaN or infinity"),
        (["a"] * D, "no table of numbers"),
        ([[1.0], [1.0, 2.0]], "no table of numbers"),
    ],
)
def test_unfit_inputs_are_the_callers_and_no_versions_fault(x: Any, words: str, studio: Studio) -> None:
    row = begun(studio, built.linear())
    with predictor(studio) as asked, pytest.raises(BadInput, match=words):
        asked.predict("u", x)
    assert total(studio, row).n == 0


# -- versions that fail a call

FAILING = {
    "nan": (built.nan_below_zero, "answered with NaN or infinity"),
    "shape": (built.loses_rows_below_zero, r"answered with the shape \[0, 3\] instead of \[1, 3\]"),
    "raises": (built.raises_below_zero, "fails \\("),
    "slow": (built.slow_below_zero, r"took more than 1 s"),
}


@pytest.mark.parametrize("how", FAILING)
def test_the_live_version_answers_for_a_candidate_that_fails(how: str, studio: Studio) -> None:
    make, words = FAILING[how]
    live, candidate = begun(studio, built.linear(5.0)), begun(studio, make())
    with predictor(studio, timeout_s=1.0 if how == "slow" else 30.0) as asked:
        sound = asked.predict(FIRST, rows(1))
        assert (sound.version, sound.fell_back) == (candidate.version, False)
        answer = asked.predict(FIRST, -rows(1))
        assert (answer.version, answer.model_id, answer.fell_back) == (live.version, live.id, True)
        (reason,) = answer.reasons
        assert re.search(words, reason) and reason.startswith(f"{candidate.version}: ")
    failed, served = total(studio, candidate), total(studio, live)
    assert (failed.n, failed.errors, failed.retries, failed.last_error) == (2, 1, 0, reason)
    assert (served.n, served.errors) == (1, 0)
    assert failed.latency_counts.sum() == 2 and served.latency_counts.sum() == 1
    assert failed.output_counts.sum() == K and served.output_counts.sum() == K  # no answer, no output


def test_the_version_before_the_live_one_then_the_rule(studio: Studio) -> None:
    old = begun(studio, built.linear(1.0))
    live = begun(studio, built.nan_below_zero())
    promote(studio)
    promote(studio)
    begun(studio, built.raises_below_zero())
    with predictor(studio) as asked:
        answer = asked.predict(FIRST, -rows(1))
        assert answer.version == old.version and len(answer.reasons) == 2
        assert asked.predict(LAST, -rows(1)).version == old.version
        assert asked.predict(LAST, rows(1)).version == live.version
    assert (total(studio, live).n, total(studio, live).errors) == (3, 2)


def test_the_rule_answers_when_no_version_does(studio: Studio) -> None:
    begun(studio, built.nan_below_zero())
    with predictor(studio) as asked:
        answer = asked.predict("u", -rows(3))
        assert (answer.version, answer.fell_back, answer.model_id, answer.outputs.shape) == ("rule", True, None, (3, K))
    with predictor(studio, fallback=None) as asked, pytest.raises(Unavailable, match="answered with NaN"):
        asked.predict("u", -rows(1))


def test_a_call_that_was_left_alone_ends_by_itself(studio: Studio) -> None:
    """A loop of minutes is ended at its next node, so that it does not keep a core."""
    begun(studio, built.slow_below_zero())
    with predictor(studio, timeout_s=0.5) as asked:
        before = set(threading.enumerate())
        assert asked.predict("u", -rows(1)).version == "rule"
        until(lambda: not [t for t in threading.enumerate() if t.name == "orimono-model" and t not in before])
        assert asked.predict("u", rows(1)).version != "rule"


class Stubborn(onnxruntime.InferenceSession):
    """Its calls with a negative first feature do not come back until they may, and nothing can end them."""

    may = threading.Event()

    def run(self, names: Any, inputs: Any, options: Any = None) -> Any:
        if inputs["features"][0, 0] < 0:
            self.may.wait(30)
        return super().run(names, inputs, options)


def test_a_version_whose_calls_never_come_back_is_left_alone(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    live = begun(studio, built.linear())
    candidate = begun(studio, built.linear(1.0))
    monkeypatch.setattr(Stubborn, "may", threading.Event())
    monkeypatch.setattr(onnxruntime, "InferenceSession", Stubborn)
    with predictor(studio, timeout_s=0.5) as asked:
        answers = [asked.predict(FIRST, -rows(1)) for _ in range(4)]  # the live one is as stubborn
        assert {answer.version for answer in answers} == {"rule"}
        assert all("took more than" in reason for answer in answers[:2] for reason in answer.reasons)
        assert all("2 earlier calls have not" in reason for answer in answers[2:] for reason in answer.reasons)
        answer = asked.predict(FIRST, rows(1))
        assert answer.version == "rule" and "2 earlier calls have not come back" in answer.reasons[0]
        Stubborn.may.set()
        until(lambda: asked.predict(FIRST, rows(1)).version == candidate.version)
    counted = total(studio, candidate)
    assert counted.errors == 2 and counted.retries >= 3 and counted.n > 5
    assert total(studio, live).errors == 2


# -- inputs that each version makes for itself


def test_inputs_may_be_made_for_the_version_that_is_asked(studio: Studio) -> None:
    live, candidate = begun(studio, built.linear(1.0)), begun(studio, built.linear(2.0))
    asked_for: list[int] = []

    def made(row: ModelVersion) -> NDArray[np.float32]:
        asked_for.append(row.id)
        if row.id == candidate.id:
            raise BadInput("features", "cannot be made", "wait")
        return rows(1)[0]

    with predictor(studio) as asked:
        assert [row.id for row in asked.routed(FIRST)] == [candidate.id, live.id]
        answer = asked.predict(FIRST, made)
        assert (answer.version, answer.fell_back) == (live.version, True)
        assert answer.reasons == (f"{candidate.version}: features: cannot be made; wait",)
        assert asked_for == [candidate.id, live.id]
        np.testing.assert_allclose(answer.outputs, np.full((1, K), rows(1).mean() + 1), rtol=1e-5)
    assert (total(studio, candidate).n, total(studio, candidate).errors) == (1, 1)
    assert (total(studio, live).n, total(studio, live).errors) == (1, 0)


def test_inputs_made_wrongly_are_that_versions_fault_and_no_rule_answers(studio: Studio) -> None:
    row = begun(studio, built.linear())
    with predictor(studio) as asked:  # has a rule
        with pytest.raises(Unavailable, match=r"have the shape \[2, 7\]; give float32 \[n, 6\]"):
            asked.predict("u", lambda _: np.zeros((2, D + 1)))
        with pytest.raises(Unavailable, match="hold NaN"):
            asked.predict("u", lambda _: np.full(D, np.nan))
        with pytest.raises(ZeroDivisionError):  # a bug is a bug
            asked.predict("u", lambda _: np.zeros(1 // 0))
    assert total(studio, row).errors == 2


def test_what_belongs_to_a_version_is_prepared_before_it_serves(studio: Studio) -> None:
    live = begun(studio, built.linear(1.0))
    prepared: list[int] = []

    def prepare(row: ModelVersion) -> None:
        if row.id != live.id:
            raise BadInput("its bundle", "is gone", "train again")
        prepared.append(row.id)

    with predictor(studio, prepare=prepare) as asked:
        candidate = begun(studio, built.linear(2.0))
        asked.refresh()
        answer = asked.predict(FIRST, rows(1))
        assert answer.version == live.version and "its bundle: is gone" in answer.reasons[0]
        assert prepared == [live.id] and asked.problems == answer.reasons
    assert total(studio, candidate).errors == 1


# -- versions that cannot be loaded


def corrupt(studio: Studio, row: ModelVersion) -> None:
    path = studio.objects.folder / row.uri
    path.write_bytes(path.read_bytes()[:-7] + b"garbage")


def lose(studio: Studio, row: ModelVersion) -> None:
    studio.objects.delete(row.uri)


@pytest.mark.parametrize(("harm", "words"), [(corrupt, "has other bytes"), (lose, "has lost its bytes")])
def test_lost_bytes_leave_the_old_version_serving(
    harm: Callable[[Studio, ModelVersion], None], words: str, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, candidate = begun(studio, built.linear()), begun(studio, built.linear(1.0))
    data = artefacts.load(studio.objects, candidate)
    harm(studio, candidate)
    with predictor(studio) as asked:
        answer = asked.predict(FIRST, rows(1))
        assert (answer.version, answer.fell_back) == (live.version, True)
        assert words in answer.reasons[0] and answer.reasons == asked.problems
        assert total(studio, candidate).n == 0  # not handed over yet
        asked.refresh()  # a broken file is not read every five seconds
        studio.objects.put_named(candidate.uri, data)  # restored
        asked.refresh()
        assert asked.predict(FIRST, rows(1)).fell_back
        monkeypatch.setattr(versions, "AGAIN_S", 0.0)
        asked.refresh()
        assert asked.predict(FIRST, rows(1)).version == candidate.version and asked.problems == ()
    counted = total(studio, candidate)
    assert (counted.n, counted.errors, counted.retries) == (3, 2, 0)
    assert words in (counted.last_error or "")


def test_a_live_version_whose_bytes_are_gone_serves_on_from_memory(studio: Studio) -> None:
    live = begun(studio, built.linear())
    with predictor(studio) as asked:
        lose(studio, live)
        asked.refresh()
        assert asked.predict("u", rows(1)).version == live.version
    with predictor(studio) as asked:  # a new process cannot
        assert asked.predict("u", rows(1)).version == "rule"


def test_a_version_of_other_features_is_refused(studio: Studio) -> None:
    live = begun(studio, built.linear())
    begun(studio, built.linear(d=D + 2), feature_version="audio-2", reference={})
    with predictor(studio) as asked:
        answer = asked.predict(FIRST, rows(1))
        assert answer.version == live.version
        assert "wants features 'audio-2', this program makes 'audio-1'" in answer.reasons[0]


def test_a_version_of_another_width_is_refused(studio: Studio) -> None:
    begun(studio, built.linear(d=D + 2), reference={})
    with predictor(studio, input_dim=D) as asked:
        answer = asked.predict("u", rows(1))
        assert answer.version == "rule" and "wants 8 features, this program makes 6" in answer.reasons[0]


def test_a_row_that_lies_about_its_file_is_refused(studio: Studio) -> None:
    row = begun(studio, built.linear())
    with studio.database.session() as session:
        lie = ModelVersion(
            **{c: getattr(row, c) for c in ("name", "uri", "framework", "input_dim", "sha256", "feature_version")},
            version="v20261123", output_dim=K + 1, metrics={}, code_version="1", created_by="test",
        )  # fmt: skip
        session.add(lie)
        session.flush()
        rollout.begin(session, NAME, lie.id, START, "test", "a test")
    with predictor(studio) as asked:
        answer = asked.predict(FIRST, rows(1))
        assert answer.version == row.version and "has 3 outputs, not 4" in answer.reasons[0]


def test_a_store_that_is_away_for_a_moment_is_no_fault_of_the_version(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = begun(studio, built.linear())
    with predictor(studio) as asked:
        candidate = begun(studio, built.linear(1.0))

        def away(*_: object) -> bytes:
            raise Unavailable("s3://bucket", "could not be reached", 10)

        with monkeypatch.context() as patched:
            patched.setattr(artefacts, "load", away)
            asked.refresh()
            assert asked.predict(FIRST, rows(1)).version == live.version
            assert asked.problems == ("s3://bucket: could not be reached; try again in 10 s",)
        asked.refresh()
        assert asked.predict(FIRST, rows(1)).version == candidate.version
    counted = total(studio, candidate)
    assert (counted.n, counted.errors, counted.retries) == (2, 0, 1)


def s3(port: int) -> tuple[ThreadedMotoServer, str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    host, found = server.get_host_and_port()
    with urlopen(Request(f"http://{host}:{found}/models", method="PUT"), timeout=10) as answer:
        assert answer.status == 200
    return server, f"http://{host}:{found}"


def test_an_object_store_that_is_away_and_comes_back(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    server, endpoint = s3(0)
    objects = Objects.open(replace(settings, objects_url="s3://models/x", s3_endpoint=endpoint))
    studio = Studio(settings, database, objects, Cache(objects))
    row = begun(studio, built.linear())
    with predictor(studio) as warm:
        server.stop()
        warm.refresh()
        assert warm.predict("u", rows(1)).version == row.version
        with predictor(studio) as cold:
            answer = cold.predict("u", rows(1))
            assert answer.version == "rule" and "could not be reached" in answer.reasons[0]
            server, _ = s3(int(endpoint.rpartition(":")[2]))
            cold.refresh()
            assert cold.predict("u", rows(1)).version == row.version and cold.problems == ()
    server.stop()
    counted = total(studio, row)
    assert (counted.n, counted.errors, counted.retries) == (3, 0, 1)


# -- while it serves


def test_versions_are_exchanged_under_load_and_no_call_notices(studio: Studio) -> None:
    begun(studio, built.linear(0.0))
    bias = {}
    stop, wrong, n = threading.Event(), [], [0] * 4
    x = rows(1)

    def ask(asked: Predictor, worker: int) -> None:
        while not stop.is_set():
            answer: Prediction = asked.predict(LAST, x)
            n[worker] += 1
            if answer.fell_back or abs(float(answer.outputs[0, 0] - x.mean()) - bias[answer.model_id]) > 1e-4:
                wrong.append(answer)

    with predictor(studio, refresh_s=0.02) as asked:
        answer = asked.predict(LAST, x)
        bias[answer.model_id] = 0.0
        threads = [threading.Thread(target=ask, args=(asked, i)) for i in range(4)]
        [t.start() for t in threads]
        for i in (1.0, 2.0, 3.0):
            row = begun(studio, built.linear(i))
            bias[row.id] = i
            promote(studio)
            promote(studio)
            until(lambda row=row: asked.predict(LAST, x).model_id == row.id)
        with studio.database.session() as session:
            rollout.roll_back(session, NAME, rollout.current(session, NAME), clock.now(), "test", "a test")
        until(lambda: bias[asked.predict(LAST, x).model_id] == 2.0)
        stop.set()
        [t.join() for t in threads]
    assert not wrong and min(n) > 5


def test_counts_are_exact_from_many_threads(studio: Studio) -> None:
    row = begun(studio, built.nan_below_zero())
    with predictor(studio, refresh_s=0.03) as asked:  # handed over many times meanwhile

        def ask(worker: int) -> None:
            for i in range(90):
                asked.predict("u", -rows(1) if i % 10 == 0 else rows(1, seed=worker))

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
        [t.start() for t in threads]
        [t.join() for t in threads]
    counted = total(studio, row)
    assert (counted.n, counted.errors, counted.retries) == (540, 54, 0)
    assert counted.latency_counts.sum() == 540 and counted.latency_ms > 0
    assert counted.input_counts.shape == (D * 10,) and counted.output_counts.shape == (K * 20,)
    assert counted.input_counts.sum() == 486 * D and counted.output_counts.sum() == 486 * K


def test_no_call_is_lost_when_its_version_leaves_and_returns(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "KEPT", 2)
    first = begun(studio, built.linear(0.0))
    with predictor(studio) as asked:
        asked.predict("u", rows(1))
        for bias in (1.0, 2.0):
            begun(studio, built.linear(bias))
            promote(studio)
            promote(studio)
            asked.refresh()
            asked.predict("u", rows(1))
        with studio.database.session() as session:
            for _ in range(2):
                seen = rollout.current(session, NAME)
                rollout.roll_back(session, NAME, seen, clock.now(), "test", "a test")
        asked.refresh()
        assert asked.predict("u", rows(1)).version == first.version
    assert total(studio, first).n == 2


def test_without_a_database_what_is_in_memory_serves_on_and_nothing_is_lost(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = Settings(
        home=str(home), database_url=embedded.start(home, durable=False).replace("/postgres?", "/orimono?")
    )
    studio = Studio.open(settings)
    try:
        row = begun(studio, built.linear())
        with predictor(studio) as asked:
            for _ in range(5):
                asked.predict("u", rows(1))
            embedded.stop(home, force=True)
            assert asked.predict("u", rows(1)).version == row.version
            with pytest.raises(Unavailable):
                asked.flush()
            asked.refresh()
            assert "database" in asked.problems[0]
            assert asked.predict("u", rows(1)).version == row.version
            embedded.start(home, durable=False)
            asked.flush()
            asked.refresh()
            assert asked.problems == () and total(studio, row).n == 7
    finally:
        studio.database.dispose()
        embedded.stop(home, force=True)


def test_one_that_starts_without_a_database_answers_by_the_rule(studio: Studio) -> None:
    lonely = Database(Settings(database_url="postgresql://nobody@127.0.0.1:9/x"))
    with predictor(Studio(studio.settings, lonely, studio.objects, studio.cache)) as asked:
        assert asked.predict("u", rows(1)).version == "rule"
        assert "127.0.0.1:9" in asked.problems[0]


CHILD = """
import os, signal, sys, time
from pipelines.settings import Settings
from pipelines.models.inference import Predictor
from pipelines.studio import Studio
from tests.models import built

studio = Studio.open(Settings(database_url=sys.argv[1], home=sys.argv[2]))
predictor = Predictor(studio, built.NAME, feature_version=built.FEATURES, refresh_s=0.1)
for _ in range(40):
    predictor.predict("u", built.rows(1))
if sys.argv[3] == "killed":
    print("asked", flush=True)
    while True:
        time.sleep(0.01)
"""


@pytest.mark.parametrize("end", ["killed", "plain"])
def test_the_counts_outlive_their_process(end: str, studio: Studio) -> None:
    """One that ends hands over its last counts by itself; one that is killed has done so up to the last interval."""
    row = begun(studio, built.linear())
    url = studio.database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", CHILD, url, str(studio.settings.home_path), end]
    child = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if end == "killed":
        until(lambda: total(studio, row).n == 40, 60)
        child.send_signal(signal.SIGKILL)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == (-signal.SIGKILL if end == "killed" else 0), errors
    assert total(studio, row).n == 40 and not errors


def test_closing_ends_every_thread(studio: Studio) -> None:
    begun(studio, built.linear())
    before = set(threading.enumerate())
    with predictor(studio) as asked:
        threads = [threading.Thread(target=asked.predict, args=("u", rows(1))) for _ in range(12)]
        [t.start() for t in threads]
        [t.join() for t in threads]
    until(lambda: not set(threading.enumerate()) - before)
    asked.close()


def test_a_defect_in_the_background_does_not_freeze_the_rollout(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun(studio, built.linear())
    with predictor(studio, refresh_s=0.02) as asked:
        with monkeypatch.context() as patched:
            patched.setattr(rollout, "current", lambda *_: 1 / 0)
            until(lambda: "defect in refresh" in caplog.text)
        candidate = begun(studio, built.linear(1.0))
        until(lambda: asked.predict(FIRST, rows(1)).version == candidate.version)


def test_what_training_makes_is_registered_served_and_watched(studio: Studio) -> None:
    """From rows to answers: a classifier, its classes, and its own drift reference."""
    rng = np.random.default_rng(3)
    X = rng.normal(0, 1, (240, D)).astype(np.float32)
    data = TrainingSet(
        task="preset_cls",
        X=X,
        y=None,
        labels=np.where(X[:, 0] > 0, "loud", "warm"),
        weights=np.ones(240, np.float32),
        recordings=np.array([f"r{i % 12}" for i in range(240)]),
        users=np.array(["0" * 16] * 240),
        row_ids=np.arange(240),
        feature_version=FEATURES,
        names=tuple(f"f{i}" for i in range(D)),
    )
    trained = train(data, tasks.get("preset_cls"), estimators=("linear",))
    row = begun(studio, trained.onnx, name="preset_cls", reference=trained.reference, metrics=trained.metrics)
    with Predictor(studio, "preset_cls", feature_version=FEATURES) as asked:
        answer = asked.predict("u", X[:100])
        assert (answer.version, answer.classes) == (row.version, ("loud", "warm"))
        assert np.mean((answer.outputs[:, 0] > 0.5) == (X[:100, 0] > 0)) > 0.9
        for x in X[100:]:
            asked.predict("u", x)
    counted = total(studio, row)
    found = drift.summarise(trained.reference, counted.input_counts, counted.output_counts)
    assert (counted.n, found.n) == (141, 240)
    assert found.input_psi is not None and found.input_psi < 0.1
