"""What the picture of before and after says of the chain, where a figure is close to nothing."""

from __future__ import annotations

import pytest

from pipelines.mastering import pictures


@pytest.mark.parametrize(
    ("mean", "most", "told"),
    [
        (0.0, 0.04, ("idle", "")),
        (0.01, 0.3, ("0.0 dB on average", "at most -0.3 dB")),
        (0.42, 0.9, ("-0.4 dB on average", "at most -0.9 dB")),
    ],
)
def test_what_was_taken_away_is_told_without_a_minus_before_nothing(
    mean: float, most: float, told: tuple[str, str]
) -> None:
    assert pictures._reduced(mean, most) == told
