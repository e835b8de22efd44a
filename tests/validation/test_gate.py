"""Suites catch what they name, say it in a sentence and leave a page to read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.validation import suites

NAMES = ["mel_mean_00", "mel_std_00", "lufs", "crest"]


def features(n: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(-20, 1, (n, len(NAMES))), columns=NAMES)
    frame["job_id"] = np.arange(n)
    frame["content_hash"] = [f"{i:064x}" for i in range(n)]
    frame["clip_kind"] = "mix"
    frame["n_dim"] = len(NAMES)
    return frame


def shared() -> pd.DataFrame:
    row = {"job": "a", "n_slots": 60, "n_windows": 40, "head_min": 0.0, "head_max": 1.0, "n_nan": 0}
    return pd.DataFrame([{**row, "shortest_slot": 0.4, "confidence": 0.9}])


def test_good_features_pass_and_leave_docs(tmp_path: Path) -> None:
    verdict = suites.check_feature_store(features(), NAMES, tmp_path / "docs")
    assert verdict.passed, verdict.failures
    assert verdict.docs is not None
    assert "feature_store" in verdict.docs.read_text()


def test_what_is_the_same_on_every_site_is_kept_once(tmp_path: Path) -> None:
    for site in ("20260101-0001", "20260101-0002", "20260101-0001"):  # one of them anew
        suites.check_feature_store(features(), NAMES, tmp_path / site)
    first, second = tmp_path / "20260101-0001" / "static", tmp_path / "20260101-0002" / "static"
    files = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
    assert Path("styles/data_docs_default_styles.css") in files
    assert all((first / file).samefile(second / file) and (first / file).stat().st_size for file in files)
    assert sum((first / file).stat().st_size for file in files) < 1_500_000


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("lufs", np.nan, "lufs"),
        ("mel_mean_00", 900.0, "mel_mean_00"),
        ("clip_kind", "drums", "clip_kind"),
        ("n_dim", 3, "n_dim"),
        ("content_hash", "not a hash", "content_hash"),
    ],
)
def test_a_bad_row_is_named(column: str, value: object, words: str) -> None:
    frame = features()
    frame[column] = frame[column].astype(object)
    frame.loc[2, column] = value
    verdict = suites.check_feature_store(frame, NAMES)
    assert not verdict.passed
    assert any(words in f and "1 rows" in f for f in verdict.failures), verdict.failures


def test_the_same_item_twice_is_refused() -> None:
    frame = features()
    assert not suites.check_feature_store(pd.concat([frame, frame.iloc[:1]]), NAMES).passed


def test_no_row_is_refused() -> None:
    assert not suites.check_feature_store(features(0), NAMES).passed


@pytest.mark.parametrize(("column", "value"), [("n_nan", 1), ("head_max", 1.5), ("n_windows", 0), ("confidence", 2.0)])
def test_bad_shared_features_are_refused(column: str, value: float) -> None:
    frame = shared()
    assert suites.check_shared_features(frame).passed
    frame[column] = value
    assert not suites.check_shared_features(frame).passed
