"""What counts as drift: nothing for the same population, something for another."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipelines.errors import BadInput
from pipelines.models import drift
from tests.models.registered import REFERENCE, population

FINITE = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


def summary(inputs: np.ndarray, outputs: np.ndarray) -> drift.Drift:
    input_edges, output_edges = drift.edges(REFERENCE)
    return drift.summarise(REFERENCE, drift.count(input_edges, inputs), drift.count(output_edges, outputs))


@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 4)), elements=FINITE))
def test_a_reference_describes_its_own_rows(values: np.ndarray) -> None:
    """Edges rise, shares are those of the very rows, and nothing is lost in JSON."""
    made = json.loads(json.dumps(drift.reference(values, values[:, :1])))
    input_edges, output_edges = drift.edges(made)
    assert input_edges.shape == (values.shape[1], 9) and output_edges.shape == (1, 19)
    assert (np.diff(input_edges, axis=1) >= 0).all() and (np.diff(output_edges, axis=1) >= 0).all()
    counts = drift.count(input_edges, values)
    assert counts.sum() == values.size
    np.testing.assert_allclose(counts.reshape(-1, 10) / len(values), made["input_shares"], atol=1e-8)
    found = drift.summarise(made, counts, drift.count(output_edges, values[:, :1]))
    assert (found.input_psi, found.output_psi) == (0.0, 0.0)
    assert found.output_ks == pytest.approx(0, abs=1e-8)


@given(
    arrays.arrays(np.float32, (7, 3), elements=FINITE),
    arrays.arrays(np.float32, (3, 5), elements=FINITE),
)
def test_counting_row_by_row_or_at_once_is_the_same(values: np.ndarray, cuts: np.ndarray) -> None:
    edges = np.sort(cuts, axis=1)
    together = drift.count(edges, values)
    assert (sum(drift.count(edges, row) for row in values) == together).all()
    for column, row in enumerate(edges):
        plain = np.bincount(np.searchsorted(row, values[:, column], side="right"), minlength=6)
        assert (together.reshape(3, 6)[column] == plain).all()


@settings(max_examples=50)
@given(st.lists(st.integers(0, 1000), min_size=10, max_size=10), st.integers(1, 5000))
def test_both_measures_are_bounded_and_never_negative(counts: list[int], n: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = float(drift.psi([0.1] * 10, counts, n))
        distance = float(drift.ks(np.cumsum([0.1] * 10), counts))
    if sum(counts) == 0:
        assert np.isnan(value) and np.isnan(distance)
    else:
        assert 0 <= value < 30
        assert 0 <= distance <= 1


@pytest.mark.parametrize("n", [100, 300, 2000])
def test_the_same_population_does_not_drift(n: int) -> None:
    for seed in range(1, 6):
        found = summary(*population(n, seed=seed))
        assert found.input_psi is not None and found.input_psi < 0.2
        assert found.output_psi is not None and found.output_psi < 0.25
        assert found.output_ks is not None and found.output_ks < 0.2
        assert found.moved == 0


def test_psi_of_one_population_is_nought_on_average_however_few_rows() -> None:
    rng = np.random.default_rng(0)
    for n in (30, 100, 1000):
        raw = drift.psi(np.full((400, 10), 0.1), rng.multinomial(n, [0.1] * 10, 400), 1000)
        assert float(raw.mean()) < 12 / n  # 9 (1/n + 1/m) uncorrected would be above, with what is cut at nought


def test_the_textbook_value() -> None:
    """Shares .5 .5 become .6 .4: .1 ln 1.2 - .1 ln .8 = .0405."""
    assert float(drift.psi([0.5, 0.5], [600_000, 400_000], 1_000_000)) == pytest.approx(0.040547, abs=1e-4)
    assert float(drift.ks([0.5, 1.0], [600_000, 400_000])) == pytest.approx(0.1)


def test_another_population_drifts_and_the_features_are_named() -> None:
    inputs, outputs = population(500, seed=3)
    inputs[:, 4] += 1
    found = summary(inputs, outputs)
    assert found.worst[0][0] == "f4" and found.worst[0][1] > 0.5
    assert found.input_psi == found.worst[0][1]
    assert found.moved == pytest.approx(1 / 6)
    everything = summary(*population(500, shift=1.5))
    assert everything.moved == 1
    assert everything.output_psi is not None and everything.output_psi > 0.25
    assert everything.output_ks is not None and everything.output_ks > 0.3


def test_a_constant_feature_drifts_when_it_changes_and_not_by_rounding() -> None:
    values = np.full((50, 2), 0.1, np.float32)
    values[:20, 1] = 0  # a value that is frequent, not constant
    made = drift.reference(values, values[:, :1], ["constant", "two values"])
    edges, outputs = drift.edges(made)
    answers = drift.count(outputs, values[:, :1])

    def psi(column: int, value: float) -> float:
        changed = values.copy()
        changed[:, column] = value
        return drift.summarise(made, drift.count(edges, changed), answers).input_psi or 0.0

    assert psi(0, np.nextafter(np.float32(0.1), np.float32(1))) == 0
    assert psi(0, 0.11) > 1 and psi(0, 0.09) > 1
    assert psi(1, 0.05) > 1


def test_values_that_are_no_numbers_are_in_no_bin() -> None:
    edges = np.array([[0.0, 1.0]], np.float32)
    assert drift.count(edges, np.array([[np.nan], [0.5], [np.inf], [-np.inf]], np.float32)).tolist() == [1, 1, 1]


def test_without_traffic_there_is_no_figure() -> None:
    found = drift.summarise(REFERENCE, np.zeros(60, int), np.zeros(60, int))
    assert (found.n, found.input_psi, found.moved, found.output_ks, found.worst) == (0, None, None, None, ())


def test_counts_of_another_layout_are_refused() -> None:
    with pytest.raises(BadInput, match="59 counts of its inputs, where its reference has 6 x 10"):
        drift.summarise(REFERENCE, np.zeros(59, int), np.zeros(60, int))


@pytest.mark.parametrize(
    ("inputs", "outputs", "match"),
    [
        (np.zeros((0, 3)), np.zeros((0, 1)), "has the shape"),
        (np.array([[np.nan]]), np.array([[1.0]]), "not finite"),
        (np.zeros((3, 2)), np.zeros((2, 1)), "3 rows of 2 features, 2 answers"),
    ],
)
def test_a_reference_needs_rows(inputs: np.ndarray, outputs: np.ndarray, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        drift.reference(inputs, outputs)


@given(st.lists(st.floats(0.011, 9000), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_percentile_is_read_off_to_within_a_bucket(times: list[float], share: float) -> None:
    counts = np.bincount(np.searchsorted(drift.LATENCY_EDGES_MS, times, side="right"), minlength=drift.LATENCY_BINS)
    exact = float(np.quantile(times, share, method="inverted_cdf"))
    found = drift.percentile(counts, share)
    assert found is not None and exact / 1.34 <= found <= exact * 1.34


def test_percentiles_at_both_ends() -> None:
    counts = np.zeros(drift.LATENCY_BINS, int)
    assert drift.percentile(counts, 0.95) is None
    counts[0] = 1
    assert drift.percentile(counts, 0.95) == pytest.approx(0.01)
    counts[-1] = 100
    assert drift.percentile(counts, 0.95) == pytest.approx(10_000)


def test_of_a_wide_model_some_columns_are_counted() -> None:
    rng = np.random.default_rng(0)
    inputs, outputs = rng.normal(0, 1, (800, 9)), rng.normal(0, 1, (800, 30))
    names = [f"f{i}" for i in range(9)]
    made = json.loads(json.dumps(drift.reference(inputs, outputs, names, input_columns=[7, 2], output_columns=[29])))
    assert made["names"] == ["f7", "f2"] and (made["input_columns"], made["output_columns"]) == ([7, 2], [29])
    input_edges, output_edges = drift.edges(made)
    assert input_edges.shape == (2, 9) and output_edges.shape == (1, 19)
    whole = drift.reference(inputs, outputs, names)
    np.testing.assert_array_equal(input_edges, drift.edges(whole)[0][[7, 2]])
    moved = inputs[:, [7, 2]] + [0, 3]
    found = drift.summarise(made, drift.count(input_edges, moved), drift.count(output_edges, outputs[:, 29]))
    assert found.worst[0][0] == "f2" and found.worst[0][1] > 1 and found.output_psi == 0


@pytest.mark.parametrize("columns", [[], [3], [-1], [0, 0], [0.5], [True]])
def test_columns_that_do_not_exist_are_refused(columns: list[int]) -> None:
    with pytest.raises(BadInput, match="names output_columns that are not columns of 3"):
        drift.columns({"output_columns": columns}, drift.OUTPUT_COLUMNS, 3)
    assert drift.columns({}, drift.OUTPUT_COLUMNS, 3) is None
