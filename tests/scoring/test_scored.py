from __future__ import annotations

from dataclasses import asdict

from pipelines.scoring.scored import FLAGS, Tally


def test_flags_are_counted_and_add_up():
    tally = Tally(refused=1)
    for flag in FLAGS:
        tally.count(flag)
    tally.add(Tally(too_long=3))
    assert tally == Tally(fallbacks=1, refused=2, too_long=4)


def test_what_was_written_before_a_count_was_kept_is_read():
    before = asdict(Tally(rows=3, requests=4, fallbacks=1))
    del before["refused"], before["too_long"]
    assert Tally(**before) == Tally(rows=3, requests=4, fallbacks=1)
