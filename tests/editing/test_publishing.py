"""The results folder of a job, from one publication to the next."""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.editing.publishing import drop_former


def test_files_of_a_pattern_that_is_not_wanted_any_more_go_and_no_others(tmp_path: Path) -> None:
    drop_former(tmp_path, ["dynamic"])  # a first publication
    for name in ("dynamic.mp4", "narrative.mp4", "narrative.otio", "report.html", "notes.txt", "narrative.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "quality.json").write_text(json.dumps({"patterns": {"dynamic": {}, "narrative": {}}}))
    drop_former(tmp_path, ["dynamic", "hybrid"])
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"dynamic.mp4", "report.html", "notes.txt", "narrative.txt", "quality.json"}
