"""Training, export, the served model and ``fit``, on data that trains in seconds. Only these tests load TensorFlow."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.errors import BadInput
from pipelines.models import sessions
from pipelines.recommending import prefixes, recommender, splits
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.recipe import Recipe
from pipelines.recommending.training import Epoch, Trained, train
from pipelines.recommending.two_tower import TwoTower
from tests.recommending.generated_events import tastes

TINY = Recipe(epochs=3, batch=128, id_width=16, feature_width=8, hidden=(32, 16), taus=(0.7, 5.0, float("inf")))


def items_of(data: Interactions) -> pd.DataFrame:
    n = data.n_items
    genres = [["even" if i % 2 else "odd"] for i in range(n)]
    return pd.DataFrame({"item_id": data.item_ids, "title": [f"film {i // 5}" for i in range(n)], "genres": genres})


@pytest.fixture(scope="module")
def data() -> Interactions:
    return tastes(n_users=60, n_items=40, length=15)


@pytest.fixture(scope="module")
def trained(data: Interactions) -> Trained:
    return train(data, items_of(data), recipe=TINY)


def test_what_comes_next_is_learned() -> None:
    data = tastes(n_users=150, n_items=60, length=15)
    split = splits.leave_last_out(data)
    targets = [split.targets(row) for row in range(len(split))]
    found = train(
        split.train, items_of(data), recipe=replace(TINY, epochs=8, batch=64), validation=(split.users, targets)
    )
    assert found.curves[-1].recall is not None and found.curves[-1].recall > 0.6  # by chance 20 of 45: 0.44
    assert found.curves[-1].loss < found.curves[0].loss


def test_towers_answer_unit_vectors_in_onnx_as_in_keras(trained: Trained, data: Interactions) -> None:
    model = trained.model
    assert trained.parity < 1e-5
    for onnx in (model.user_onnx, model.item_onnx):
        assert sessions.warm(onnx, "tower", output_dim=768).output_dim == 768
    users = model.user_vectors(model.user_inputs(data))
    items = model.item_vectors(model.item_inputs(items_of(data)))
    assert users.shape == (data.n_users, 768) and items.shape == (data.n_items, 768)
    for vectors in (users, items):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_one_viewer_now_is_described_as_in_a_batch(trained: Trained, data: Interactions) -> None:
    model = trained.model
    together = model.user_inputs(data)
    assert together.shape[1] == len(model.input_names)
    for user in (0, 7):
        mine = data.users == user
        names = data.item_ids[data.items[mine]].tolist()
        one = model.user_input_of(names, data.times[mine], data.ratings[mine], data.wanted[mine])
        np.testing.assert_allclose(one, together[user], atol=1e-5)
    assert all(not model.input_names[column].startswith("pool") for column in model.monitored)


def test_unknown_videos_and_viewers_without_events_get_vectors(trained: Trained) -> None:
    model = trained.model
    fresh = pd.DataFrame({"item_id": ["never met"], "title": [None], "genres": [["odd"]]})
    vector = model.item_vectors(model.item_inputs(fresh))
    np.testing.assert_allclose(np.linalg.norm(vector, axis=1), 1, atol=1e-5)
    none = np.zeros(0, np.int64)
    cold = model.user_input_of([], none, none.astype(np.float32), none.astype(bool))
    odd = model.user_input_of(
        ["never met"], np.array([1_700_000_000]), np.array([np.nan], np.float32), np.array([True])
    )
    assert np.isfinite(model.user_vectors(np.stack([cold, odd]))).all()
    assert model.unknown(["never met", model.item_ids[0]]) == 1


def test_a_model_is_the_same_after_bytes_and_damage_is_noticed(trained: Trained, data: Interactions) -> None:
    stored = trained.model.to_bytes()
    again = TwoTower.from_bytes(stored)
    assert again.to_bytes() == stored
    np.testing.assert_array_equal(again.user_inputs(data), trained.model.user_inputs(data))
    broken = bytearray(stored)
    broken[len(stored) // 2] ^= 0xFF
    for damaged in (b"", stored[:-50], bytes(broken)):
        with pytest.raises(BadInput, match="recommender"):
            TwoTower.from_bytes(damaged)


def test_killed_after_an_epoch_it_resumes_to_the_same_model(
    trained: Trained, data: Interactions, tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def kill(epoch: Epoch) -> None:
        if epoch.number == 1:
            raise Killed

    with pytest.raises(Killed):
        train(data, items_of(data), recipe=TINY, checkpoints=tmp_path, on_epoch=kill)
    seen: list[int] = []
    resumed = train(
        data, items_of(data), recipe=TINY, checkpoints=tmp_path, on_epoch=lambda epoch: seen.append(epoch.number)
    )
    assert seen == [2, 3]
    assert [epoch.loss for epoch in resumed.curves] == [epoch.loss for epoch in trained.curves]
    assert resumed.model.to_bytes() == trained.model.to_bytes()


def test_another_process_trains_the_same_bytes(trained: Trained) -> None:
    code = (
        "import hashlib\n"
        "from tests.recommending.test_training import TINY, items_of, tastes, train\n"
        "data = tastes(n_users=60, n_items=40, length=15)\n"
        "print(hashlib.sha256(train(data, items_of(data), recipe=TINY).model.to_bytes()).hexdigest())\n"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.split()[-1] == hashlib.sha256(trained.model.to_bytes()).hexdigest()


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "sampled_softmax", "candidates": 16, "prior_bins": 6, "prior_now": 0.5},
        {"loss": "bce", "optimizer": "adam", "schedule": "plateau", "patience": 1, "item_dropout": 0.2},
    ],
    ids=["sampled, with the prior", "pairs"],
)
def test_other_recipes_learn_too(data: Interactions, changes: dict[str, object]) -> None:
    unwanted = replace(data, wanted=np.arange(len(data)) % 7 != 3)
    users, _ = prefixes.whole(unwanted)
    targets = [np.array([user % 40]) for user in users]
    recipe = replace(TINY, **changes)  # type: ignore[arg-type]
    found = train(unwanted, items_of(data), recipe=recipe, validation=(users, targets))
    assert 1 <= found.epochs <= 3 and np.isfinite([epoch.loss for epoch in found.curves]).all()
    vectors = found.model.user_vectors(found.model.user_inputs(unwanted))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert TwoTower.from_bytes(found.model.to_bytes()).to_bytes() == found.model.to_bytes()


def test_serving_needs_no_tensorflow(trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(trained.model.to_bytes())
    code = (
        "import sys, pathlib, numpy as np\n"
        "from pipelines.recommending.two_tower import TwoTower\n"
        f"model = TwoTower.from_bytes(pathlib.Path({str(path)!r}).read_bytes())\n"
        "none = np.zeros(0, np.int64)\n"
        "x = model.user_input_of([], none, none.astype(np.float32), none.astype(bool))\n"
        "assert model.user_vectors(x[None]).shape == (1, 768)\n"
        "assert not {'tensorflow', 'keras', 'pandas'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_fit_takes_anybodys_frames() -> None:
    rng = np.random.default_rng(0)
    events = pd.DataFrame(
        {
            "user_id": rng.integers(1, 8, 80),
            "item_id": rng.integers(100, 120, 80),
            "timestamp": rng.integers(1_500_000_000, 1_600_000_000, 80),
        }
    )
    found = recommender.fit(events, pd.DataFrame({"item_id": range(100, 125)}), recipe=TINY)
    scores = found.score([1, 2])
    assert scores.shape == (2, 25) and scores.dtype == np.float32
    assert sorted(found.item_ids) == list(range(100, 125))
    seen = set(events.item_id[events.user_id == 1])
    listed = [item for item, _ in found.recommend(1, 25)]
    assert not seen & set(listed) and len(listed) == 25 - len(seen)
    assert len(found.recommend("nobody", 5)) == 5
    with pytest.raises(BadInput, match="'nobody'"):
        found.score(["nobody"])


@pytest.mark.parametrize("rows", [[(1, 1, 5)], [(1, 1, 5), (1, 2, 6)], [(1, 1, 5), (2, 2, 5)]])
def test_fit_of_next_to_nothing_answers(rows: list[tuple[int, int, int]]) -> None:
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    found = recommender.fit(events, None, recipe=TINY)
    assert np.isfinite(found.score([1])).all()
    assert found.recommend("somebody", 2)


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(BadInput):
        recommender.fit(pd.DataFrame({"user_id": [], "item_id": [], "timestamp": []}), None)
