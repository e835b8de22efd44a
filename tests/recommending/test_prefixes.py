"""Prefixes, pools, moments, the prior and batches: nothing of a prefix knows what came after it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.recommending import checkpoints, moments, pools, prefixes, prior
from pipelines.recommending.batches import Batches
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.recipe import Recipe


def events(rng: np.random.Generator, n_users: int = 6, n_items: int = 9, n: int = 60) -> Interactions:
    users = np.sort(rng.integers(0, n_users, n)).astype(np.int32)
    times = 1_700_000_000 + rng.integers(0, 10_000_000, n)
    order = np.lexsort((times, users))
    return Interactions(
        users,
        rng.integers(0, n_items, n).astype(np.int32),
        times[order].astype(np.int64),
        rng.integers(1, 6, n).astype(np.float32),
        rng.random(n) < 0.8,
        np.array([f"u{i}" for i in range(n_users)]),
        np.array([f"i{i}" for i in range(n_items)]),
    )


def test_every_wanted_event_but_the_first_is_a_sample_of_the_events_before_it() -> None:
    data = events(np.random.default_rng(1))
    samples = prefixes.samples_of(data)
    offsets = data.offsets
    at = offsets[samples.users] + samples.lengths
    assert (samples.lengths >= 1).all()
    assert data.wanted[at].all()
    np.testing.assert_array_equal(data.items[at], samples.targets)
    np.testing.assert_array_equal(data.users[at], samples.users)
    firsts = np.isin(np.arange(len(data)), offsets[:-1])
    assert len(samples) == int((data.wanted & ~firsts).sum())


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_who_returns_is_given_what_was_before_and_asked_for_anything_since(seed: int) -> None:
    data = events(np.random.default_rng(seed))
    found = prefixes.returning(data, 100, 0)
    assert len(found) > 0
    offsets = data.offsets
    at = offsets[found.users] + found.lengths
    np.testing.assert_array_equal(data.times[at], found.asked)
    assert (found.asked - data.times[at - 1] >= prefixes.AWAY).all()
    for row in range(len(found)):
        later = slice(at[row], offsets[found.users[row] + 1])
        assert found.targets[row] in data.items[later][data.wanted[later]]


def test_nobody_returns_within_a_sitting_and_newcomers_have_no_history() -> None:
    data = events(np.random.default_rng(2))
    sitting = replace(data, times=1_700_000_000 + np.arange(len(data)))
    assert len(prefixes.returning(sitting, 100, 0)) == 0
    new = prefixes.newcomers(data)
    assert (new.lengths == 0).all() and set(np.unique(new.users)) <= set(range(data.n_users))
    assert len(prefixes.joined(new, prefixes.samples_of(data))) == len(new) + len(prefixes.samples_of(data))


def test_who_comes_back_is_not_told_the_date_but_how_long_it_was() -> None:
    frame = moments.Moments(0, 10_000_000)
    times = np.array([5_000_000, 5_000_100])
    now, soon, late = (frame.of_events(times, asked) for asked in (None, 5_000_200, 7_000_000))
    np.testing.assert_array_equal(now, soon)
    place, away = moments.NAMES.index("last_event_time"), moments.NAMES.index("away")
    assert now[place] == pytest.approx(0.50001, rel=1e-4) and now[away] == 0
    assert late[place] == 0 and late[away] == 1


@given(seed=st.integers(0, 10_000), window=st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_a_history_is_its_newest_events_oldest_first(seed: int, window: int) -> None:
    data = events(np.random.default_rng(seed))
    samples = prefixes.samples_of(data)
    found = prefixes.histories(data, samples.users, samples.lengths, window)
    for row in range(min(len(samples), 5)):
        start = data.offsets[samples.users[row]]
        expected = data.items[start : start + samples.lengths[row]][-window:]
        mine = found.rows == row
        np.testing.assert_array_equal(found.items[mine], expected)
        np.testing.assert_array_equal(found.ages[mine], np.arange(len(expected))[::-1])


@given(seed=st.integers(0, 10_000), unwanted=st.booleans())
@settings(max_examples=30, deadline=None)
def test_one_history_is_pooled_as_in_a_batch(seed: int, unwanted: bool) -> None:
    rng = np.random.default_rng(seed)
    data = events(rng)
    taus = (0.7, 3.0, float("inf"))
    table = rng.normal(size=(data.n_items, 4)).astype(np.float32)
    users, lengths = prefixes.whole(data)
    past = prefixes.histories(data, users, lengths, 50)
    bad = ~data.wanted[past.events] if unwanted else None
    weights = pools.matrix(past.n, past.rows, past.items, past.ages, taus, data.n_items, bad)
    together = pools.side_by_side(np.asarray(weights @ table), past.n)
    for user in users:
        mine = data.users == user
        one = pools.pooled(table[data.items[mine]], taus, ~data.wanted[mine] if unwanted else None)
        np.testing.assert_allclose(together[user], one, atol=1e-5)


def test_the_last_item_weighs_most_in_the_shortest_pool_and_as_the_others_in_the_longest() -> None:
    table = np.eye(5, dtype=np.float32)
    short, plain = pools.pooled(table, (0.7, float("inf")), None).reshape(2, 5)
    assert short.argmax() == 4 and short[4] > 0.7
    np.testing.assert_allclose(plain, 0.2)


def test_the_prior_as_of_a_moment_knows_nothing_later() -> None:
    rng = np.random.default_rng(3)
    items = rng.integers(0, 20, 500).astype(np.int32)
    times = np.sort(rng.integers(0, 90 * 86_400, 500))
    whole = prior.prior_of(items, times, 20, bins=10, days=7)
    for moment in (times[100], times[321]):
        row = int(whole.bins(np.array([moment]))[0])
        edge = whole.edges[row - 1]
        before = times < edge
        age = (times[before] - edge) / (7 * 86_400)
        expected = prior.popularity(np.bincount(items[before], np.exp(age), minlength=20))
        np.testing.assert_allclose(whole.table[row], expected, rtol=1e-4, atol=1e-6)
    assert whole.now.shape == (20,) and (whole.now >= 0).all() and (whole.now < 1).all()


def test_moments_of_one_history_are_those_of_the_batch_and_time_stands_still_after_training() -> None:
    data = events(np.random.default_rng(4))
    frame = moments.Moments(int(data.times.min()), int(data.times.max()))
    users, lengths = prefixes.whole(data)
    together = frame.of_prefixes(data, users, lengths)
    for user in users:
        np.testing.assert_array_equal(together[user], frame.of_events(data.times[data.users == user]))
    empty = frame.of_prefixes(data, users[:1], np.zeros(1, np.int32))[0]
    np.testing.assert_array_equal(empty, frame.of_events(np.zeros(0, np.int64)))
    late = frame.of_events(np.array([int(data.times.max()) + 10**8]))
    place = moments.NAMES.index("last_event_time")
    assert late[place] == 1.0


def cut(data: Interactions, recipe: Recipe, epoch: int = 0) -> Batches:
    samples = prefixes.samples_of(data)
    return Batches(data, samples, np.zeros((len(samples), 1), np.float32), recipe, None, 0)


@pytest.mark.parametrize("loss", ["softmax", "sampled_softmax", "bce"])
def test_an_epoch_holds_every_sample_once_and_is_the_same_each_time(loss: str) -> None:
    data = events(np.random.default_rng(5), n=200)
    recipe = Recipe(loss=loss, batch=32, candidates=4)  # type: ignore[arg-type]
    batches = cut(data, recipe)
    found = list(batches.epoch(0))
    targets = np.concatenate([batch.candidates[batch.columns] for batch in found])
    np.testing.assert_array_equal(np.sort(targets), np.sort(batches.samples.targets))
    for one, again in zip(found, batches.epoch(0), strict=True):
        np.testing.assert_array_equal(one.candidates, again.candidates)
        np.testing.assert_array_equal(one.columns, again.columns)
        np.testing.assert_array_equal(one.negatives, again.negatives)
    others = np.concatenate([batch.candidates[batch.columns] for batch in batches.epoch(1)])
    assert not np.array_equal(targets, others)
    for batch in found:
        target_column = batch.columns[batch.seen[:, 0]]
        assert (batch.seen[:, 1] != target_column).all()


def test_negatives_are_items_that_somebody_had_chosen_by_then_and_the_viewer_had_not() -> None:
    rng = np.random.default_rng(6)
    data = events(rng, n_users=8, n_items=200, n=300)
    data = replace(data, items=np.sort(data.times).searchsorted(data.times).astype(np.int32) % 200)
    first = np.full(200, np.iinfo(np.int64).max)
    np.minimum.at(first, data.items, data.times)
    batches = cut(data, Recipe(loss="bce", batch=len(data)))
    samples = batches.samples
    (batch,) = batches.epoch(0)
    order = np.random.default_rng([0, 0]).permutation(len(samples))
    assert batch.negatives.shape == (len(samples), 2)
    wrong = 0
    for row, sample in enumerate(order):
        start = data.offsets[samples.users[sample]]
        had = data.items[start : start + samples.lengths[sample] + 1]
        drawn = batch.candidates[batch.negatives[row]]
        assert (first[drawn] <= samples.times[sample]).all()
        wrong += int(np.isin(drawn, had).sum())
    assert wrong <= 4  # where nearly everything that existed had been seen


def test_a_recipe_is_the_same_after_json() -> None:
    recipe = Recipe(taus=(1.0, float("inf")), hidden=(8, 4), prior_bins=3)
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert Recipe.from_json({"epochs": 2, "unheard_of": 1}) == Recipe(epochs=2)
    assert Recipe().loss_for(1_000) == "softmax"
    assert Recipe().loss_for(50_000) == "sampled_softmax"


def test_a_damaged_or_foreign_state_is_passed_over(tmp_path: Path) -> None:
    data = events(np.random.default_rng(7))
    items = pd.DataFrame({"item_id": data.item_ids})
    mark = checkpoints.fingerprint(data, items, Recipe(), 0, None)
    assert mark != checkpoints.fingerprint(data, items, Recipe(), 1, None)
    users, targets = np.arange(5_000, dtype=np.int32), [np.array([n], np.int32) for n in range(5_000)]
    judged = checkpoints.fingerprint(data, items, Recipe(), 0, (users, targets))
    users[2_500], others = 7, [*targets[:2_500], np.array([7], np.int32), *targets[2_501:]]
    assert checkpoints.fingerprint(data, items, Recipe(), 0, (users, targets)) != judged, "beyond what is shown of it"
    users[2_500] = 2_500
    assert checkpoints.fingerprint(data, items, Recipe(), 0, (users, others)) != judged
    assert checkpoints.fingerprint(data, items, Recipe(), 0, (users, targets)) == judged
    assert checkpoints.newest(tmp_path, mark) is None
    for epoch in (1, 2, 3):
        checkpoints.save(tmp_path, epoch, mark, {"done": epoch}, [np.arange(epoch)])
    assert len(list(tmp_path.glob("epoch-*"))) == 2
    found = checkpoints.newest(tmp_path, mark)
    assert found is not None and found[0]["done"] == 3
    newest = tmp_path / "epoch-0003.npz"
    newest.write_bytes(newest.read_bytes()[:100])
    found = checkpoints.newest(tmp_path, mark)
    assert found is not None and found[0]["done"] == 2
    assert checkpoints.newest(tmp_path, "another") is None
