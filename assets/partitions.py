"""The unit of orchestration: a batch of jobs, named by a slug such as 20261121-0001."""

from __future__ import annotations

import dagster as dg

batches = dg.DynamicPartitionsDefinition(name="batches")
