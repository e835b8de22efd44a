"""Runs a suite of expectations (Great Expectations) on a data frame and leaves its Data Docs to be read.

What is expected of which data set stands in suites.py; when a verdict blocks is the assets' business.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

STATIC = "static"  # of a site
SHARED = ".static"  # beside the sites


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of one suite on one data frame."""

    suite: str
    passed: bool
    n_rows: int
    n_expectations: int
    failures: tuple[str, ...]  # one sentence each, naming the column and how many rows
    docs: Path | None  # the page to open


def validate(frame: pd.DataFrame, suite: str, expectations: Sequence[Any], docs: Path | None = None) -> Verdict:
    """Validates ``frame`` against ``expectations`` and writes Data Docs into the folder ``docs``, replacing older ones.

    The context is ephemeral: suites live in code, results in the orchestrator's record, nothing in hidden YAML.
    """
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    sites = {} if docs is None else {"docs": _site(docs)}
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        analytics_enabled=False,  # nothing leaves the machine
        data_docs_sites=sites,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    context = gx.get_context(project_config=config, mode="ephemeral")
    asset = context.data_sources.add_pandas("frame").add_dataframe_asset(suite)
    definition = gx.ValidationDefinition(
        name=suite,
        data=asset.add_batch_definition_whole_dataframe("whole"),
        suite=context.suites.add(gx.ExpectationSuite(name=suite, expectations=list(expectations))),
    )
    result = context.validation_definitions.add(definition).run(batch_parameters={"dataframe": frame})
    if docs is not None:
        shutil.rmtree(docs / STATIC, ignore_errors=True)  # written over, the copy of all others would be torn
        context.build_data_docs()
        _share_static(docs)
    return Verdict(
        suite=suite,
        passed=bool(result.success),
        n_rows=len(frame),
        n_expectations=len(result.results),
        failures=tuple(_sentence(r) for r in result.results if not r.success),
        docs=None if docs is None else docs / "index.html",
    )


def _site(folder: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }


def _share_static(site: Path) -> None:
    """Every site brings the same 4 MB, and there is one for each batch: films that no page shows go, the rest becomes
    links to one copy. Where links cannot be had, it stays."""
    for path in [path for path in (site / STATIC).rglob("*") if path.is_file()]:
        if path.suffix == ".gif":  # they belong to the buttons that are not shown
            path.unlink()
            continue
        one = site.parent / SHARED / path.relative_to(site / STATIC)
        link = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        with contextlib.suppress(OSError):
            if one.is_file() and one.stat().st_size == path.stat().st_size:
                os.link(one, link)
                link.replace(path)
            else:
                one.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, link)
                link.replace(one)


def _sentence(result: Any) -> str:
    config = result.expectation_config
    column = config.kwargs.get("column", "the table")
    rule = config.type.removeprefix("expect_").replace("_", " ")
    bounds = {k: v for k, v in config.kwargs.items() if k in ("min_value", "max_value", "value_set", "regex", "value")}
    message = (result.exception_info or {}).get("exception_message")
    if message:
        return f"{column}: {rule} could not be checked ({message})"
    count = result.result.get("unexpected_count")
    seen = f"{count} rows do not" if count is not None else f"observed {result.result.get('observed_value')}"
    return f"{column}: {rule} {bounds or ''}: {seen}".replace("  ", " ")
