"""How good the edits are: the golden job against its threshold, the sample jobs as they are.

The same stages as ``orimono edit`` and the assets, from files to judged MP4s.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measure import Figure, write
from pipelines.editing import publishing
from pipelines.editing.job import EditJob
from pipelines.media.files import MediaFile
from pipelines.media.hashing import content_hash
from pipelines.settings import Settings
from pipelines.storage.cache import Cache
from pipelines.storage.objects import Objects

SAMPLES = Path(__file__).parent.parent / "sample" / "jobs"
THRESHOLD = 0.88


def run() -> dict[str, Figure]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        cache = Cache(Objects.open(Settings(home=folder)))
        figures = _figures("golden", _judged(_golden(home), home, cache), THRESHOLD)
        for path in sorted(SAMPLES.glob("*/job.yaml")):
            figures |= _figures(path.parent.name, _judged(_sample(path), home, cache), None)
    return figures


def _figures(name: str, result: dict[str, Any], threshold: float | None) -> dict[str, Figure]:
    patterns = result["quality"]["patterns"]
    figures = {
        f"{name}_{pattern}": Figure(
            quality["aggregateConfidence"],
            "confidence",
            at_least=threshold,
            note=f"input cap {quality['inputCap']}; "
            + ("every gate passed" if quality["passed"] else "failed a gate")
            + "; "
            + ", ".join(f"{k} {s['value']}" for k, s in quality["scores"].items() if s["applies"]),
        )
        for pattern, quality in patterns.items()
    }
    figures[f"{name}_patterns_differ"] = Figure(result["quality"]["difference"], "mean 1 - Jaccard", at_least=0.3)
    return figures


def _judged(job: EditJob, home: Path, cache: Cache) -> dict[str, Any]:
    return publishing.publish(job, home / "out" / job.content_hash()[:8], cache, home / "segments")


def _golden(home: Path) -> EditJob:
    from tests.editing import golden

    made = golden.make_job(home / "golden")
    clips = tuple(_file(p, t) for p, t in zip(made.clips, made.clip_tags, strict=True))
    return EditJob(_file(made.music), clips, _file(made.lyrics))


def _sample(path: Path) -> EditJob:
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    files: dict[str, list[MediaFile]] = {}
    for item in said["files"]:
        files.setdefault(item["kind"], []).append(_file(path.parent / item["file"], item.get("tags", ())))
    (music,), (words,) = files["music"], files["lyrics"]
    return EditJob(music, tuple(files["clip"]), words, duration=said["edit"]["duration"], bpm=said.get("bpm"))


def _file(path: Path, tags: Any = ()) -> MediaFile:
    return MediaFile(path.resolve(), content_hash(path), path.name, tuple(tags))


if __name__ == "__main__":
    write("scores", run())
