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
