from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.recommending import evaluation as judging
from pipelines.recommending import gates, splits
from pipelines.recommending.evaluation import Evaluation, evaluate
from pipelines.recommending.linear_models import decayed_ridge
from pipelines.recommending.popularity import Scorer, popularity, recent_popularity
from pipelines.recommending.splits import Split
from tests.recommending.generated_events import events, tastes

Scores = NDArray[np.float32]


def constant(n_items: int) -> Scorer:
    return lambda users: np.ones((len(users), n_items), np.float32)


def all_knowing(split: Split) -> Scorer:
    def score(users: NDArray[np.int32]) -> Scores:
        out = np.zeros((len(users), split.train.n_items), np.float32)
        for j, user in enumerate(users):
            out[j, split.targets(int(np.searchsorted(split.users, user)))] = 1
        return out

    return score


def scorers(split: Split) -> Mapping[str, Scorer]:
    return {
        "popularity": popularity(split.train),
        "recent_popularity": recent_popularity(split.train),
        "two_tower": decayed_ridge(split.train, tau=1.0, regularisation=1.0),
    }


@pytest.fixture(scope="module")
def both() -> dict[str, Evaluation]:
    made = tastes(n_users=300)
    return {s.name: evaluate(s, scorers(s)) for s in (splits.leave_last_out(made), splits.global_time(made))}


def test_who_knows_everything_is_perfect_and_who_knows_nothing_is_at_chance() -> None:
    split = splits.leave_last_out(tastes(n_users=600, n_items=100, length=10))
    found = evaluate(split, {"perfect": all_knowing(split), "constant": constant(100)}, k=10)
    assert found.judged["perfect"].recall.mean == 1
    assert found.judged["perfect"].ndcg.mean == 1
    flat = found.judged["constant"]
    assert abs(flat.recall.mean - 10 / 91) < 4 * flat.recall.se  # 9 seen ones cannot be shown
    assert flat.coverage == 1
    assert found.differences["perfect"]["constant"][0].clear == 1


def test_nothing_seen_is_shown_and_every_list_is_the_scorers_own() -> None:
    split = splits.leave_last_out(tastes())
    found = evaluate(split, scorers(split))
    for lists in found.lists.values():
        for user, shown in zip(split.users, lists, strict=True):
            seen = split.train.items[split.train.users == user]
            assert not np.isin(shown, seen).any()


def test_blocks_do_not_change_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    split = splits.global_time(tastes(), share=0.5)
    whole = evaluate(split, {"popularity": popularity(split.train)})
    monkeypatch.setattr(judging, "_ELEMENTS", 7 * 80)
    sizes: list[int] = []

    def watched(users: NDArray[np.int32]) -> Scores:
        sizes.append(len(users))
        return popularity(split.train)(users)

    parts = evaluate(split, {"popularity": watched})
    assert max(sizes) == 7
    assert np.array_equal(whole.lists["popularity"], parts.lists["popularity"])
    assert whole.judged["popularity"].ndcg.mean == pytest.approx(parts.judged["popularity"].ndcg.mean)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(bad: float) -> None:
    split = splits.leave_last_out(tastes())

    def broken(users: NDArray[np.int32]) -> Scores:
        scores = np.zeros((len(users), 80), np.float32)
        scores[-1, 5] = bad
        return scores

    with pytest.raises(BadInput, match=r"'mine': 1 of 9,600 scores are NaN or infinite, first item 5"):
        evaluate(split, {"mine": broken})
    with pytest.raises(BadInput, match=r"shape \(120, 79\), not \(120, 80\)"):
        evaluate(split, {"mine": constant(79)})
    with pytest.raises(BadInput, match="no scorer"):
        evaluate(split, {})


def test_a_scorers_own_array_is_left_as_it_was() -> None:
    split = splits.leave_last_out(tastes())
    table = np.zeros((120, 80), np.float32)
    evaluate(split, {"mine": lambda users: table[: len(users)]})
    assert np.isfinite(table).all()


def test_cold_viewers_and_cold_items_stand_apart() -> None:
    rows = [(0, 0, 1), (0, 1, 2), (1, 0, 3), (0, 2, 60), (0, 3, 61), (2, 0, 62), (1, 3, 70)]
    split = splits.global_time(events(rows, n_items=6), at=50)
    only_new = np.array([0, 0, 0, 1, 0, 0], np.float32)
    found = evaluate(split, {"new": lambda users: np.tile(only_new, (len(users), 1))}, k=1)
    new = found.judged["new"]
    assert (found.n_warm, found.n_cold) == (2, 1)
    assert new.recall.mean == pytest.approx((0.5 + 1) / 2)
    assert new.cold_users[0].n == 1
    assert new.cold_users[0].mean == 0
    assert new.cold_items.n == 2  # both warm viewers chose item 3 or 2, which nobody had before
    assert new.cold_items.mean == pytest.approx((0.5 + 1) / 2)


def test_viewers_may_be_drawn_but_items_never() -> None:
    split = splits.leave_last_out(tastes(n_users=300))
    found = evaluate(split, scorers(split), most_users=50)
    assert found.n_warm == 50
    assert found.n_items == 80


def test_the_json_is_plain_and_keeps_what_could_not_be_measured_empty(both: dict[str, Evaluation]) -> None:
    told = json.loads(json.dumps(both["leave_last_out"].to_json(), allow_nan=False))
    assert told["scorers"]["two_tower"]["cold_users"]["recall"] == {
        "mean": None,
        "se": None,
        "low": None,
        "high": None,
        "n": 0,
    }
    assert told["scorers"]["two_tower"]["simple"] is False
    assert told["best_simple"] in ("popularity", "recent_popularity")
    assert set(told["differences"]["two_tower"]) == {"popularity", "recent_popularity"}
    assert set(told["differences"]) == {"two_tower"}


def told(both: dict[str, Evaluation]) -> dict[str, dict]:  # type: ignore[type-arg]
    return json.loads(json.dumps({name: one.to_json() for name, one in both.items()}))


def test_nothing_stands_against_a_model_that_is_better(both: dict[str, Evaluation]) -> None:
    assert gates.problems(told(both)) == []
    assert gates.problems(told(both), live=told(both)) == []


def test_a_model_that_is_recent_popularity_is_not_promoted() -> None:
    made = tastes(n_users=300)
    found = {}
    for split in (splits.leave_last_out(made), splits.global_time(made)):
        recent = recent_popularity(split.train)
        found[split.name] = evaluate(split, {"recent_popularity": recent, "two_tower": recent}).to_json()
    said = gates.problems(found)
    assert len(said) == 2  # recall and NDCG of leave-last-out; level on the split by time is enough
    assert all("not clearly above recent popularity's" in one and "leave-last-out" in one for one in said)


def test_the_split_by_time_forgives_one_standard_error(both: dict[str, Evaluation]) -> None:
    figures = told(both)
    bar = figures["global_time"]["scorers"]["recent_popularity"]
    ours = figures["global_time"]["scorers"]["two_tower"]
    ours["ndcg"]["mean"] = bar["ndcg"]["mean"] - 0.99 * bar["ndcg"]["se"]
    assert gates.problems(figures) == []
    ours["ndcg"]["mean"] = bar["ndcg"]["mean"] - 1.01 * bar["ndcg"]["se"]
    (said,) = gates.problems(figures)
    assert f"below recent popularity's {bar['ndcg']['mean']:.3f}" in said


def test_too_few_viewers_are_said(both: dict[str, Evaluation]) -> None:
    figures = told(both)
    assert gates.doubts(figures) == []
    figures["global_time"]["n_warm_users"] = 7
    (said,) = gates.doubts(figures)
    assert "only 7 viewers" in said
    assert gates.problems(figures) == []  # nobody came back yet: judged by last choices alone
    del figures["global_time"]
    (said,) = gates.doubts(figures)
    assert "no evaluation on the split by time" in said
    assert gates.problems(figures) == []
    figures["leave_last_out"]["n_warm_users"] = 7
    (said,) = gates.problems(figures)
    assert "only 7 viewers" in said


def test_what_was_not_judged_is_not_promoted(both: dict[str, Evaluation]) -> None:
    figures = told(both)
    del figures["leave_last_out"]["scorers"]["recent_popularity"]
    assert any("recent_popularity was not judged" in one for one in gates.problems(figures))
    del figures["leave_last_out"]
    assert any("no evaluation on leave-last-out" in one for one in gates.problems(figures))


def test_a_model_below_the_live_version_is_not_promoted(both: dict[str, Evaluation]) -> None:
    figures, live = told(both), told(both)
    theirs = live["leave_last_out"]["differences"]["two_tower"]["recent_popularity"]["ndcg"]
    theirs["mean"] += theirs["se"]
    assert gates.problems(figures, live) == []  # within the noise
    theirs["mean"] += 3 * theirs["se"]
    (said,) = gates.problems(figures, live)
    assert f"the live version's was {theirs['mean']:+.3f}" in said
    for one in ("two_tower", "recent_popularity"):  # harder days: both are worse, the lead is the same
        figures["leave_last_out"]["scorers"][one]["ndcg"]["mean"] -= 0.03
    theirs["mean"] = figures["leave_last_out"]["differences"]["two_tower"]["recent_popularity"]["ndcg"]["mean"]
    assert gates.problems(figures, live) == []


def test_the_live_version_in_the_same_run_is_compared_in_pairs() -> None:
    made = tastes(n_users=300)
    found = {}
    for split in (splits.leave_last_out(made), splits.global_time(made)):
        live = decayed_ridge(split.train, tau=1.0, regularisation=1.0)
        worse = decayed_ridge(split.train, tau=30.0, regularisation=3000.0)
        bars = {"recent_popularity": recent_popularity(split.train)}
        found[split.name] = evaluate(split, {**bars, "two_tower": worse, "live": live}).to_json()
    assert any("clearly below the live version's" in one for one in gates.problems(found))
