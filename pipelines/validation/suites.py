"""What is expected of each data set before anything downstream may read it. Running a suite is gate.py's task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.validation.gate import Verdict, validate

if TYPE_CHECKING:
    import pandas as pd

# Ranges that sound cannot leave: 0 dB is full scale, and 24-bit silence lies near -144 dB.
LOUDNESS_RANGE = (-150.0, 20.0)


def check_feature_store(frame: pd.DataFrame, names: Sequence[str], docs: Path | None = None) -> Verdict:
    """Rows of ``features_store``, one column a dimension (``names``) beside job_id, content_hash, clip_kind, n_dim.

    Every dimension is present and finite, n_dim is that of the feature version, kinds are the known three and no
    (job, content) stands twice.
    """
    import great_expectations.expectations as gxe

    rules = [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        gxe.ExpectColumnValuesToBeInSet(column="clip_kind", value_set=["inst", "vocal", "mix"]),
        gxe.ExpectColumnValuesToBeInSet(column="n_dim", value_set=[len(names)]),
        gxe.ExpectColumnValuesToMatchRegex(column="content_hash", regex="^[0-9a-f]{64}$"),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["job_id", "content_hash"]),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in names),
        *(
            gxe.ExpectColumnValuesToBeBetween(column=name, min_value=LOUDNESS_RANGE[0], max_value=LOUDNESS_RANGE[1])
            for name in names
            if name.startswith("mel_mean") or "lufs" in name
        ),
    ]
    return validate(frame, "feature_store", rules, docs)


def check_shared_features(frame: pd.DataFrame, docs: Path | None = None) -> Verdict:
    """One row a job, as ``pipelines.editing.shared.summary`` gives it: enough material, heads within 0..1, no gap."""
    import great_expectations.expectations as gxe

    rules = [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        gxe.ExpectColumnValuesToBeUnique(column="job"),
        gxe.ExpectColumnValuesToBeBetween(column="n_slots", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="n_windows", min_value=2),
        gxe.ExpectColumnValuesToBeBetween(column="head_min", min_value=0.0),
        gxe.ExpectColumnValuesToBeBetween(column="head_max", max_value=1.0),
        gxe.ExpectColumnValuesToBeInSet(column="n_nan", value_set=[0]),
        gxe.ExpectColumnValuesToBeBetween(column="shortest_slot", min_value=0.0, strict_min=True),
        gxe.ExpectColumnValuesToBeBetween(column="confidence", min_value=0.0, max_value=1.0),
    ]
    return validate(frame, "shared_features", rules, docs)


def check_interactions(frame: pd.DataFrame, n_users: int, n_items: int, docs: Path | None = None) -> Verdict:
    """Events that a recommender learns from: ``user`` and ``item`` (rows of their ids), ``time`` (s), ``wanted``,
    ``in_order`` (not before the same viewer's event above).

    Every event has its viewer, its item and a time since 1970, no viewer decides twice about an item, each viewer's
    events are in order, several viewers and items are there, and something is wanted.
    """
    import great_expectations.expectations as gxe

    rules = [
        gxe.ExpectTableRowCountToBeBetween(min_value=2),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in ("user", "item", "time", "wanted")),
        gxe.ExpectColumnValuesToBeBetween(column="user", min_value=0, max_value=n_users - 1),
        gxe.ExpectColumnValuesToBeBetween(column="item", min_value=0, max_value=n_items - 1),
        gxe.ExpectColumnValuesToBeBetween(column="time", min_value=0),
        gxe.ExpectColumnValuesToBeInSet(column="in_order", value_set=[True]),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["user", "item"]),
        gxe.ExpectColumnUniqueValueCountToBeBetween(column="user", min_value=2),
        gxe.ExpectColumnUniqueValueCountToBeBetween(column="item", min_value=2),
        gxe.ExpectColumnMaxToBeBetween(column="wanted", min_value=1),
    ]
    return validate(frame, "interactions", rules, docs)
