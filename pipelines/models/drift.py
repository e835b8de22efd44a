"""How far what reaches a model, and what it answers, has moved from what it learned on: population stability index
and Kolmogorov-Smirnov distance over counts in fixed bins.

The bins' layout is defined here; who counts in them is traffic.py's business, what follows is rules.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipelines.errors import BadInput

INPUT_BINS = 10
OUTPUT_BINS = 20
INPUT_COLUMNS, OUTPUT_COLUMNS = "input_columns", "output_columns"
# 0.01 ms to 10 s, eight a decade: a percentile is read off to within 15 %. Bucket i lies below edge i.
LATENCY_EDGES_MS: NDArray[np.float64] = 10.0 ** (np.arange(-16, 33) / 8)
LATENCY_BINS = len(LATENCY_EDGES_MS) + 1
WORST = 5  # features that are named
MOVED = 0.25  # the usual bound of PSI for "another population"
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_PSEUDO_COUNT = 0.5  # a bin that one side never saw costs much, not infinitely much (Jeffreys' prior)
_ROWS = 512  # counted at a time: 512 rows x 164 features x 9 edges are 0.8 MB


@dataclass(frozen=True, slots=True)
class Drift:
    """``input_psi`` and ``output_psi`` are the worst feature's and the worst output's; None: nothing was counted."""

    n: int  # rows whose inputs were counted
    input_psi: float | None
    input_psi_mean: float | None
    moved: float | None  # share of the features, 0..1, whose PSI is above 0.25
    worst: tuple[tuple[str, float], ...]  # features by falling PSI
    output_n: int
    output_psi: float | None
    output_ks: float | None


def reference(
    X: ArrayLike,
    outputs: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    input_columns: Sequence[int] | None = None,
    output_columns: Sequence[int] | None = None,
) -> dict[str, Any]:
    """What later traffic is compared with, to be stored as JSON beside the model.

    ``X`` float32[n, d] are the training set's inputs, ``outputs`` float32[n, k] (or [n]) what the model answers to
    them (out of fold, if at hand). ``input_edges`` [d][9] and ``output_edges`` [k][19] are quantiles, with the shares
    of the n rows that fall between them in ``input_shares`` [d][10] and ``output_shares`` [k][20].

    ``input_columns`` and ``output_columns`` say which are counted, of a wide model, instead of all: d and k are their
    numbers then, and ``names`` (of all inputs) is cut to them. BadInput for no rows, values that are not finite, and
    columns that do not exist.
    """
    rows, answers = _table(X, "the training set"), _table(outputs, "the model's answers")
    names = [f"feature {i}" for i in range(rows.shape[1])] if names is None else [str(name) for name in names]
    if len(rows) != len(answers) or len(names) != rows.shape[1]:
        reason = f"{len(rows)} rows of {rows.shape[1]} features, {len(answers)} answers and {len(names)} names"
        raise BadInput("drift reference", reason, "give an answer a row and a name a feature")
    chosen: dict[str, Any] = {}
    for key, wanted, width in (
        (INPUT_COLUMNS, input_columns, rows.shape[1]),
        (OUTPUT_COLUMNS, output_columns, answers.shape[1]),
    ):
        if wanted is not None:
            chosen[key] = [int(column) for column in wanted]
            columns(chosen, key, width)
    if INPUT_COLUMNS in chosen:
        rows, names = rows[:, chosen[INPUT_COLUMNS]], [names[column] for column in chosen[INPUT_COLUMNS]]
    if OUTPUT_COLUMNS in chosen:
        answers = answers[:, chosen[OUTPUT_COLUMNS]]
    input_edges, output_edges = _quantile_edges(rows, INPUT_BINS), _quantile_edges(answers, OUTPUT_BINS)
    return {
        "n": len(rows),
        "names": names,
        "input_edges": _plain(input_edges),
        "input_shares": _shares(count(input_edges, rows), INPUT_BINS),
        "output_edges": _plain(output_edges),
        "output_shares": _shares(count(output_edges, answers), OUTPUT_BINS),
        "output_quantiles": {f"{q:g}": _plain(np.quantile(answers, q, axis=0)) for q in _QUANTILES},
        **chosen,
    }


def columns(reference: Mapping[str, Any], key: str, width: int) -> NDArray[np.intp] | None:
    """Which of ``width`` inputs or outputs the reference counts (``key``: ``INPUT_COLUMNS`` or ``OUTPUT_COLUMNS``);
    None: all, as in every reference without the key. BadInput for columns that do not exist or recur."""
    found = reference.get(key)
    if found is None:
        return None
    plain = isinstance(found, list | tuple) and all(type(c) is int and 0 <= c < width for c in found)
    if not plain or not found or len(set(found)) != len(found):
        raise BadInput("drift reference", f"names {key} that are not columns of {width}", "name each one once, from 0")
    return np.asarray(found, np.intp)


def edges(reference: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The edges to count in: of the inputs float32[d, 9], of the outputs float32[k, 19]; see ``columns``."""
    return np.asarray(reference["input_edges"], np.float32), np.asarray(reference["output_edges"], np.float32)


def count(edges: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.int64]:
    """int64[d * bins], row by row a feature, of ``values`` [n, d] or [d] in the bins between ``edges`` [d, bins - 1].

    A value's bin is the number of edges that are not above it; NaN is in none. About 15 µs for one row of 164.
    """
    rows = values.reshape(-1, len(edges))
    bins = edges.shape[1] + 1
    first = np.arange(len(edges)) * bins
    total = np.zeros(len(edges) * bins, np.int64)
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        found = np.count_nonzero(part[:, :, None] >= edges, axis=2) + first
        if np.isnan(part).any():
            found = found[~np.isnan(part)]
        total += np.bincount(found.ravel(), minlength=len(total))
    return total


def psi(expected: ArrayLike, counts: ArrayLike, n_expected: int) -> NDArray[np.float64]:
    """Population stability index of each row: sum of (a - e) ln(a / e) over the bins, 0 or more; NaN without counts.

    ``expected`` [..., bins] are shares of ``n_expected`` rows, ``counts`` [..., bins] what was seen. Usual reading:
    below 0.1 nothing, above 0.25 another population. Two samples of one population differ too, by
    (bins - 1)(1/n + 1/m) on average (B. Yurdakul, Statistical properties of population stability index, 2018), which
    is taken off, so that a quiet day is no drift.
    """
    seen = np.asarray(counts, np.float64)
    before = np.asarray(expected, np.float64) * n_expected
    n, m = seen.sum(axis=-1), before.sum(axis=-1)
    used = (seen > 0) | (before > 0)  # bins between equal edges can hold nothing
    bins = used.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (seen + _PSEUDO_COUNT) / (n + _PSEUDO_COUNT * bins)[..., None]
        e = (before + _PSEUDO_COUNT) / (m + _PSEUDO_COUNT * bins)[..., None]
        raw = np.where(used, (a - e) * np.log(a / e), 0.0).sum(axis=-1)
        corrected = np.maximum(0.0, raw - (bins - 1) * (1 / n + 1 / m))
    return np.asarray(np.where(n > 0, corrected, np.nan), np.float64)


def ks(expected_cdf: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Kolmogorov-Smirnov distance of each row, 0..1: the largest gap between the two distribution functions at the
    edges; NaN without counts. ``expected_cdf`` [..., bins] rises to 1. Too small by at most one bin's share."""
    seen = np.asarray(counts, np.float64)
    n = seen.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        gap = np.abs(np.cumsum(seen, axis=-1) / n[..., None] - np.asarray(expected_cdf, np.float64)).max(axis=-1)
    return np.asarray(np.where(n > 0, gap, np.nan), np.float64)


def summarise(reference: Mapping[str, Any], input_counts: ArrayLike, output_counts: ArrayLike) -> Drift:
    """The drift of flat counts, as ``model_traffic`` holds them, against a model's reference.

    BadInput when the counts have another layout than the reference.
    """
    inputs, outputs = np.asarray(reference["input_shares"]), np.asarray(reference["output_shares"])
    seen_in = _laid_out(input_counts, inputs.shape, "inputs")
    seen_out = _laid_out(output_counts, outputs.shape, "outputs")
    by_feature = psi(inputs, seen_in, reference["n"])
    by_output = psi(outputs, seen_out, reference["n"])
    distance = ks(np.cumsum(outputs, axis=-1), seen_out)
    known = np.isfinite(by_feature)
    order = [i for i in np.argsort(-by_feature, kind="stable") if known[i]][:WORST]
    return Drift(
        n=int(seen_in.sum(axis=1).max(initial=0)),
        input_psi=_largest(by_feature),
        input_psi_mean=float(by_feature[known].mean()) if known.any() else None,
        moved=float((by_feature[known] > MOVED).mean()) if known.any() else None,
        worst=tuple((str(reference["names"][i]), float(by_feature[i])) for i in order),
        output_n=int(seen_out.sum(axis=1).max(initial=0)),
        output_psi=_largest(by_output),
        output_ks=_largest(distance),
    )


def percentile(latency_counts: ArrayLike, share: float) -> float | None:
    """Milliseconds that ``share`` (0..1) of the calls stayed below, read off ``LATENCY_BINS`` buckets; None without
    calls. Inside a bucket it is interpolated on the logarithm; beyond the last edge it is that edge."""
    counts = np.asarray(latency_counts, np.float64)
    if (n := counts.sum()) <= 0:
        return None
    wanted = share * n
    above = np.cumsum(counts)
    bucket = int(np.argmax(above >= min(wanted, above[-1])))
    if bucket == 0:
        return float(LATENCY_EDGES_MS[0])
    if bucket >= len(LATENCY_EDGES_MS):
        return float(LATENCY_EDGES_MS[-1])
    inside = (wanted - above[bucket - 1]) / counts[bucket]
    low, high = LATENCY_EDGES_MS[bucket - 1 : bucket + 1]
    return float(low * (high / low) ** inside)


def _table(values: ArrayLike, what: str) -> NDArray[np.float32]:
    table = np.asarray(values, np.float32)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or table.size == 0:
        raise BadInput(what, f"has the shape {table.shape}", "give rows of numbers, at least one")
    if not np.isfinite(table).all():
        raise BadInput(what, "holds values that are not finite", "leave those rows out")
    return table


def _quantile_edges(values: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """[d, bins - 1] float32, rising. A value so frequent that several quantiles meet in it gets a bin of its own, with
    room for rounding on both sides: otherwise what lies above a constant could not be told from it."""
    cuts = np.quantile(values, np.arange(1, bins) / bins, axis=0, method="inverted_cdf").T.astype(np.float32)
    for column, row in enumerate(cuts):
        for frequent in {float(v) for v in row[1:][row[1:] == row[:-1]]}:
            others = values[:, column]
            below, above = others[others < frequent], others[others > frequent]
            room = max(1e-6, 1e-4 * abs(frequent))
            lower = frequent - min(room, (frequent - float(below.max())) / 2 if len(below) else room)
            upper = frequent + min(room, (float(above.min()) - frequent) / 2 if len(above) else room)
            run = np.flatnonzero(row == np.float32(frequent))
            row[run[0]] = np.float32(min(lower, frequent))
            row[run[1:]] = max(np.float32(upper), np.nextafter(np.float32(frequent), np.float32(np.inf)))
    return cuts


def _laid_out(counts: ArrayLike, shape: tuple[int, ...], what: str) -> NDArray[np.int64]:
    flat = np.asarray(counts, np.int64)
    if flat.size != shape[0] * shape[1]:
        reason = f"{flat.size} counts of its {what}, where its reference has {shape[0]} x {shape[1]}"
        raise BadInput("model traffic", reason, "its counts are left out of the drift")
    return flat.reshape(shape)


def _shares(counts: NDArray[np.int64], bins: int) -> list[list[float]]:
    table = counts.reshape(-1, bins)
    return [[round(float(v), 9) for v in row] for row in table / table.sum(axis=1, keepdims=True)]


def _plain(values: NDArray[Any]) -> list[Any]:
    """JSON numbers in their shortest form that is the same float32."""
    if values.ndim > 1:
        return [_plain(row) for row in values]
    return [float(str(np.float32(v))) for v in values]


def _largest(values: NDArray[np.float64]) -> float | None:
    return float(np.nanmax(values)) if np.isfinite(values).any() else None
