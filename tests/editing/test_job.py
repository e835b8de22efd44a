"""What a stage's result is stored under: everything that decides it, and nothing that does not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from pipelines.editing import job as stages
from pipelines.editing import render, solver
from pipelines.editing.job import EditJob
from pipelines.errors import BadInput
from pipelines.media.files import MediaFile
from pipelines.media.hashing import content_hash
from pipelines.storage.cache import Cache
from pipelines.storage.objects import Objects

MEDIA = Path(__file__).resolve().parents[2] / "sample" / "media"


@pytest.fixture
def job() -> EditJob:
    def media(name: str) -> MediaFile:
        return MediaFile(MEDIA / name, content_hash(MEDIA / name), name)

    clips = (media("big_buck_bunny_5s.mp4"),)
    return EditJob(media("vibe_ace.ogg"), clips, duration=2, patterns=("dynamic",))


def renamed(job: EditJob, folder: Path) -> EditJob:
    def copy(file: MediaFile) -> MediaFile:
        name = f"別の名前 {file.name}"
        return replace(file, path=Path(shutil.copy(file.path, folder / name)), name=name)

    return replace(job, music=copy(job.music), clips=tuple(copy(c) for c in job.clips))


def test_jobs_of_equal_files_share_all_but_the_files_names(job: EditJob, objects: Objects, tmp_path: Path) -> None:
    cache, other = Cache(objects), renamed(job, tmp_path)
    first = stages.plan(job, "dynamic", cache)
    video = stages.render(job, "dynamic", cache, tmp_path / "segments")
    computed = cache.misses
    second = stages.plan(other, "dynamic", cache)
    assert stages.render(other, "dynamic", cache, tmp_path / "segments") == video
    assert cache.misses == computed
    assert [s.path for s in (first.music, *first.clips)] == ["vibe_ace.ogg", "big_buck_bunny_5s.mp4"]
    assert [s.path for s in (second.music, *second.clips)] == [
        "別の名前 vibe_ace.ogg",
        "別の名前 big_buck_bunny_5s.mp4",
    ]
    assert stages.plan(replace(job, fps=Fraction(30)), "dynamic", cache).rate == Fraction(30)


@pytest.mark.parametrize(
    ("module", "steps"), [(render, ("edit_renders", "edit_quality")), (solver, ("edit_patterns",))]
)
def test_another_version_of_a_stage_is_another_result_of_those_that_read_it(
    module: object, steps: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [stages.version_of(step) for step in steps]
    monkeypatch.setattr(module, "VERSION", "newer")
    assert all(old != stages.version_of(step) for old, step in zip(before, steps, strict=True))


@pytest.mark.parametrize("analyse", ["music", "clip", "lyrics"])
def test_a_broken_file_is_called_by_its_owners_name(analyse: str, objects: Objects, tmp_path: Path) -> None:
    cut_off = (MEDIA / "big_buck_bunny_5s.mp4").read_bytes()[:40_000]
    kept = objects.local(objects.put_bytes(cut_off, ".mp4"))
    file = MediaFile(kept, "0" * 64, "壊れた 📼.mp4")
    work = {
        "music": lambda: stages.analyse_music(file, None, Cache(objects)),
        "clip": lambda: stages.analyse_clip(file, Cache(objects)),
        "lyrics": lambda: stages.analyse_lyrics(file, Cache(objects)),
    }
    with pytest.raises(BadInput) as raised:
        work[analyse]()
    assert raised.value.what == "壊れた 📼.mp4"
    assert kept.stem not in str(raised.value)
