"""Jobs: which assets a run makes. When it runs is cadences.py's and sensors.py's."""

from __future__ import annotations

import dagster as dg

editing = dg.define_asset_job(
    "editing",
    selection=dg.AssetSelection.groups("intake", "analysis", "editing"),
    description="A batch of jobs from uploads to finished, judged edits.",
)
