from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import BadInput
from pipelines.recommending import splits
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.splits import Split
from tests.recommending.generated_events import events, tastes

rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 9)), min_size=2, max_size=40)


def seen(interactions: Interactions, user: int) -> list[int]:
    return interactions.items[interactions.users == user].tolist()


def test_the_last_new_item_is_held_out_and_nothing_after_it_is_learned() -> None:
    made = events([(0, 1, 10), (0, 2, 20), (0, 3, 30), (1, 5, 10), (1, 6, 20), (1, 5, 30)])
    split = splits.leave_last_out(made)
    assert split.users.tolist() == [0, 1]
    assert split.target_items.tolist() == [3, 6]  # the second viewer only went back to what was seen
    assert seen(split.train, 0) == [1, 2]
    assert seen(split.train, 1) == [5]


def test_a_dislike_is_history_and_never_a_target() -> None:
    made = events([(0, 1, 10), (0, 2, 20), (0, 3, 30)], unwanted={1, 2})
    with pytest.raises(BadInput, match="several decisions"):
        splits.leave_last_out(made)
    made = events([(0, 1, 10), (0, 2, 20), (0, 3, 30), (0, 4, 40)], unwanted={1, 3})
    split = splits.leave_last_out(made)
    assert split.target_items.tolist() == [3]
    assert seen(split.train, 0) == [1, 2]


def test_a_viewer_with_one_event_is_learned_from_but_not_judged() -> None:
    split = splits.leave_last_out(events([(0, 1, 10), (1, 1, 10), (1, 2, 20)]))
    assert split.users.tolist() == [1]
    assert seen(split.train, 0) == [1]


def test_leaving_two_out_is_leaving_one_out_twice() -> None:
    made = tastes()
    once = splits.leave_last_out(made)
    twice = splits.leave_last_two(made)
    assert twice.name == "leave_last_two"
    assert np.array_equal(twice.target_items, splits.leave_last_out(once.train).target_items)
    assert np.array_equal(twice.target_items, splits.validation(once).target_items)
    assert len(twice.train) < len(once.train) < len(made)


def test_the_split_by_time_knows_who_is_cold() -> None:
    made = events([(0, 1, 10), (0, 2, 20), (0, 3, 60), (0, 1, 70), (0, 4, 70), (1, 3, 65), (2, 1, 15)], n_items=9)
    split = splits.global_time(made, at=50)
    assert split.users.tolist() == [0, 1]
    assert split.cold.tolist() == [False, True]
    assert split.targets(0).tolist() == [3, 4]  # item 1 had been seen
    assert split.targets(1).tolist() == [3]
    assert split.at == 50
    assert split.train.times.max() < 50


def test_a_share_of_the_events_comes_later() -> None:
    made = tastes()
    split = splits.global_time(made, share=0.25)
    assert abs(len(split.train) / len(made) - 0.75) < 0.01


def test_events_of_one_moment_cannot_be_divided() -> None:
    with pytest.raises(BadInput, match="several days"):
        splits.global_time(events([(0, 1, 5), (1, 2, 5)]))
    with pytest.raises(BadInput, match="there are none"):
        splits.global_time(events([]))


@given(rows)
def test_prefixes_targets_and_what_is_learned_never_overlap(drawn: list[tuple[int, int, int]]) -> None:
    made = events(drawn)
    found: list[Split] = []
    for cut in (splits.leave_last_out, splits.leave_last_two, splits.global_time):
        try:
            found.append(cut(made))
        except BadInput:
            continue
    for split in found:
        assert np.all(np.diff(split.users) > 0)
        offsets, learned = made.offsets, split.train.offsets
        for user in range(made.n_users):  # a prefix of each history, so that lengths mean the same in both
            n = int(learned[user + 1] - learned[user])
            assert np.array_equal(seen(split.train, user), made.items[offsets[user] : offsets[user] + n])
        for j, user in enumerate(split.users):
            targets = split.targets(j)
            assert len(targets) == len(set(targets.tolist())) > 0
            assert not set(targets.tolist()) & set(seen(split.train, int(user)))
            assert split.lengths[j] == len(seen(split.train, int(user)))


def test_fewer_viewers_keep_their_own_targets() -> None:
    split = splits.global_time(tastes(), share=0.5)
    some = np.arange(len(split)) % 3 == 1
    part = split.rows(some)
    for j, row in enumerate(np.flatnonzero(some)):
        assert part.targets(j).tolist() == split.targets(int(row)).tolist()
