"""Queries and the built-in patterns."""

from __future__ import annotations

import pytest

from pipelines.editing.patterns import BUILT_IN, CuttingStyle, Query, patterns

STYLE = CuttingStyle(shortest=1, longest=8, calm=4, intense=2)


@pytest.mark.parametrize(
    ("name", "head", "weight"),
    [("dynamic", "sync", 0.38), ("narrative", "semantic", 0.30), ("hybrid", "balance", 0.25)],
)
def test_the_promised_weights(name: str, head: str, weight: float) -> None:
    query = patterns()[name]
    assert query.weights[head] == pytest.approx(weight) == max(query.weights.values())
    assert sum(query.weights.values()) == pytest.approx(1)


def test_weights_are_normalised() -> None:
    assert Query("x", {"sync": 3, "flow": 1}, STYLE).weights == {"flow": 0.25, "sync": 0.75}


@pytest.mark.parametrize("weights", [{}, {"sync": 0.0}, {"sync": -1.0, "flow": 3.0}, {"sync": float("nan")}])
def test_weights_must_weigh_something(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="pattern x: weights"):
        Query("x", weights, STYLE)


def test_a_style_must_be_possible() -> None:
    with pytest.raises(ValueError, match="shortest"):
        CuttingStyle(shortest=4, longest=8, calm=2, intense=2)


def test_bands_grow_from_dynamic_to_narrative() -> None:
    bands = {q.name: q.band(0.5) for q in BUILT_IN}
    assert bands["dynamic"][0] < bands["hybrid"][0] < bands["narrative"][0]
    assert bands["dynamic"][1] < bands["hybrid"][1] < bands["narrative"][1]
    assert BUILT_IN[0].band(0.3)[0] >= 0.4


def test_the_fingerprint_changes_with_every_part() -> None:
    a = Query("x", {"sync": 1}, STYLE)
    assert a.fingerprint() == Query("x", {"sync": 2}, STYLE).fingerprint()
    assert a.fingerprint() != Query("x", {"flow": 1}, STYLE).fingerprint()
    assert a.fingerprint() != Query("x", {"sync": 1}, CuttingStyle(1, 8, 4, 3)).fingerprint()
