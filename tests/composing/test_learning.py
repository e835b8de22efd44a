"""The life of a harmoniser from the chorales to a composer: a few pieces, one epoch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines import clock
from pipelines.composing import (
    candidate_models,
    chorale,
    corpus,
    encoding,
    evaluation,
    judging,
    learning,
    network_table,
    serving,
)
from pipelines.composing.evaluation import NAME
from pipelines.composing.harmonizer import Harmonizer
from pipelines.composing.network_export import BETWEEN, OUTPUT, ROWS, VOTES, between
from pipelines.errors import BadInput
from pipelines.models import registry, rollout, sessions, watching
from pipelines.settings import Settings
from pipelines.storage import metrics as traffic_sums
from pipelines.storage import models as registry_table
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio
from tests.composing import small_corpus

pytestmark = pytest.mark.xdist_group("harmonizer")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_corpus.write(tmp_path_factory.mktemp("corpus") / "chorales.parquet")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what was trained and judged is kept from one test to the next: the same pieces give the same snapshot."""
    return tmp_path_factory.mktemp("trained") / "candidate"


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A studio with nothing in it. Trees know pieces by heart that are judged by their own passages: left out here."""
    monkeypatch.delitem(evaluation.SIMPLE, "boosted_trees")
    found = replace(settings, database_url=database.settings.database_url, harmonizer_epochs="1")
    return Studio(found, database, objects, Cache(objects))


@pytest.fixture
def judged(studio: Studio, small: Path, kept: Path) -> Studio:
    learning.assemble(studio, small)
    folder = studio.objects.folder / "features" / "candidate"
    if kept.is_dir():
        shutil.copytree(kept, folder)
    learning.train(studio)
    learning.evaluate(studio)
    if not kept.is_dir():
        shutil.copytree(folder, kept)
    return studio


@pytest.fixture
def served(judged: Studio) -> Studio:
    """A version in use by everybody."""
    learning.release(judged)
    return judged


@pytest.fixture
def live(served: Studio) -> Iterator[serving.LiveHarmonizers]:
    with serving.LiveHarmonizers(served) as found:
        yield found


def melody() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([67, 67, 69, 69, 71, 71, 72, 72, 71, 71, 69, 69, 67, 67, 67, 67], np.int64).repeat(2)


def test_from_the_chorales_to_a_version(served: Studio) -> None:
    assert learning.parity_problems(served) == learning.release_problems(served) == []
    assert learning.corpus_problems(served) == learning.broken_artefacts(served) == []
    with served.database.session() as session:
        row = registry.find(session, NAME)
        routes = rollout.current(session, NAME)
    assert routes.live == row.id
    assert row.metrics["headline"]["measure"] == "frames"
    assert row.metrics["compared"]["frames"]["model"] > row.metrics["compared"]["frames"]["baseline"]
    assert row.reference["names"] == ["pitch", "pitch class", "length", "mode"]
    assert row.provenance["source"] == "chorales.parquet" and row.provenance["train"] == 24
    assert "serves already" in str(learning.register(served)["decision"])
    assert learning.begin(served)["decision"] == "was begun before and is live"


def test_what_was_made_before_is_not_made_again(judged: Studio, small: Path) -> None:
    folder = judged.objects.folder / "features" / "candidate"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    learning.assemble(judged, small)
    made = learning.train(judged)
    assert made.summary["epochs"] == 2 and made.pictures["training_curves"].startswith(b"\x89PNG")
    report = learning.evaluate(judged)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
    assert report.report is not None
    page = Path(report.report).read_text(encoding="utf-8")
    assert "May be rolled out" in page and "://" not in page
    assert 0 < float(report.summary["valid_frames"]) <= 1
    assert str(report.summary["test"]).count("\n") == 7  # the model, its network, three simple ones, Bach
    assert report.summary["test_orderless_nll"] == judging.judged(judged).evaluations["test"]["orderless_nll"]


def test_the_corpus_that_ships_is_whole(studio: Studio) -> None:
    summary = learning.assemble(studio)
    assert (summary["train"], summary["valid"], summary["test"]) == (229, 76, 77)
    assert summary["test_tunes_of_their_own"] == 25
    assert learning.corpus_problems(studio) == []


def test_steps_that_are_to_be_done_first_are_named(studio: Studio, small: Path) -> None:
    with pytest.raises(BadInput, match="materialize chorale_corpus"):
        learning.train(studio)
    learning.assemble(studio, small)
    with pytest.raises(BadInput, match="materialize harmonizer_model"):
        learning.evaluate(studio)
    with pytest.raises(BadInput, match="materialize harmonizer_report"):
        learning.register(studio)
    assert "no version" in str(learning.begin(studio)["decision"])


def test_a_candidate_with_something_against_it_is_not_registered(
    judged: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = (
        "Parallel fifths and octaves on eighths are 2.50 in 100 chord changes, more than the 1.00 that are allowed."
    )
    worse = replace(judging.judged(judged), problems=(problem,))
    monkeypatch.setattr(judging, "judged", lambda studio: worse)
    assert learning.release_problems(judged) == [problem]
    with pytest.raises(BadInput, match=r"2\.50 in 100 .* read the report"):
        learning.register(judged)
    with judged.database.session() as session:
        assert registry_table.listed(session, NAME) == []


def test_a_composer_is_served_by_their_version_and_the_call_counts(
    served: Studio, live: serving.LiveHarmonizers
) -> None:
    with live.of("a composer") as one:
        made = chorale.harmonize(melody(), harmonizer=one.harmonizer)[0].pitches
    assert one.registered and one.reasons == () and live.problems == ()
    candidate = candidate_models.trained(served).harmonizer
    assert (made == chorale.harmonize(melody(), harmonizer=candidate)[0].pitches).all()
    live.flush()
    with served.database.session() as session:
        row = registry.find(session, NAME)
        now = clock.now()
        seen = traffic_sums.traffic(session, row.id, now - watching.COOLING, now + watching.AHEAD)
    assert row.version == one.version == one.harmonizer.version
    assert (seen.n, seen.errors) == (1, 0)
    assert seen.input_counts.sum() == 4  # one beat, of which four columns are watched


def test_what_fails_while_a_version_serves_is_its_failure_and_bad_input_is_not(
    served: Studio, live: serving.LiveHarmonizers
) -> None:
    with pytest.raises(RuntimeError), live.of("a composer"):
        raise RuntimeError("no beat in Aoi's lullaby")
    with pytest.raises(BadInput), live.of("a composer") as one:
        chorale.harmonize(np.array([500]), harmonizer=one.harmonizer)
    live.flush()
    with served.database.session() as session:
        row, now = registry.find(session, NAME), clock.now()
        seen = traffic_sums.traffic(session, row.id, now - watching.COOLING, now + watching.AHEAD)
    assert (seen.n, seen.errors) == (1, 1)
    assert "RuntimeError in test_learning.py, line" in str(seen.last_error)
    assert "Aoi" not in str(seen.last_error), "no withdrawal looks for a name there"


def test_without_a_version_the_one_that_ships_serves(studio: Studio) -> None:
    with serving.LiveHarmonizers(studio) as live, live.of("a composer") as one:
        assert not one.registered
        assert one.version == Harmonizer.load().version
        assert chorale.harmonize(melody(), harmonizer=one.harmonizer)


def test_a_version_that_lost_its_bytes_does_not_serve(served: Studio) -> None:
    with served.database.session() as session:
        bundle = registry.find(session, NAME).provenance["bundle"]["key"]
    served.objects.delete(bundle)
    assert any("has lost its harmonizer" in found for found in learning.broken_artefacts(served))
    with serving.LiveHarmonizers(served) as live, live.of("a composer") as one:
        assert not one.registered
        assert "has lost its harmonizer" in one.reasons[0]


def test_a_model_of_other_code_begins_at_five_per_cent_and_is_held_against_the_live_one(
    served: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = candidate_models.trained(served)
    other = replace(first.harmonizer, network=_turned(first.harmonizer.network))
    monkeypatch.setattr(candidate_models, "code_version", lambda: "other")
    snapshot = candidate_models.chosen(served)
    for suffix, data in ((candidate_models.BUNDLE, other.to_bytes()), (".json", b'{"parity": 0, "curves": []}')):
        served.objects.put_named(candidate_models.key(served, snapshot, "trained", suffix), data)
    report = learning.evaluate(served)
    with served.database.session() as session:
        live = registry.find(session, NAME).version
    assert report.summary["held_against"] == live
    assert "the live version" in str(report.summary["valid"])
    assert learning.release(served)["stage"] == 5
    judging.judged(served)


def test_the_registrys_form_answers_as_the_network_does() -> None:
    model = Harmonizer.load()
    table = network_table.to_table(model.network, model.reach)
    assert table == network_table.to_table(model.network, model.reach)
    warm = sessions.warm(table, "the network")
    piece = corpus.load().valid[0]
    row, answer = serving.answer(warm, piece.relative[:, 0], piece.minor, piece.shift)
    frames = np.full(piece.relative.shape, -2)
    frames[:, 0] = piece.relative[:, 0]
    rows = encoding.encode(frames, piece.minor, piece.shift)
    silence = np.zeros((len(rows), encoding.N_VOTES), np.float32)
    given = {ROWS: rows, VOTES: silence, BETWEEN: between(len(rows), model.reach)}
    out = model._session.run([OUTPUT], given)[0].mean(axis=0)
    at = int(np.flatnonzero((rows == row).all(axis=1))[0])
    assert np.allclose(out[at], answer[0], atol=1e-4)
    for wrong in (b"no ONNX", b""):
        with pytest.raises(BadInput):
            network_table.to_table(wrong, 32)


def _turned(network: bytes) -> bytes:
    """The same network with one weight a little different."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model_from_string(network)
    weight = model.graph.initializer[0]
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] += values.dtype.type(0.01)
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    return bytes(model.SerializeToString(deterministic=True))
