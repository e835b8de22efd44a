"""The sample library is whole: every file a job names is there, attributed, small, and truly what the job says."""

from __future__ import annotations

import csv
import gzip
import io
import re
from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.intake.job_file import JobFile, Kind, parse
from pipelines.lyrics.formats import read
from pipelines.lyrics.keywords import language

SAMPLE = Path("sample")
JOBS = sorted(path.parent for path in SAMPLE.glob("jobs/*/job.yaml") if "kind: clip" in path.read_text("utf-8"))
MOVIELENS = SAMPLE / "jobs/movielens"
SHEETS = sorted(path.parent for path in SAMPLE.glob("jobs/*/job.yaml") if "kind: sheet" in path.read_text("utf-8"))
MELODIES = sorted(path.parent for path in SAMPLE.glob("jobs/*/job.yaml") if "kind: melody" in path.read_text("utf-8"))
MASTERING = sorted({path.parent for path in SAMPLE.glob("jobs/*/job.yaml")} - {*JOBS, *SHEETS, *MELODIES, MOVIELENS})
MEDIA = sorted(path for path in (SAMPLE / "media").iterdir() if path.suffix != ".md")
LYRICS = sorted(SAMPLE.glob("jobs/*/*.lrc"))


def load(job: Path) -> JobFile:
    return parse((job / "job.yaml").read_bytes(), job / "job.yaml")


def paths(job: Path, kind: Kind) -> list[Path]:
    return [job / item.file for item in load(job).files if item.kind == kind]


def duration(job: Path) -> float:
    wanted = load(job).edit.duration
    assert wanted is not None
    return wanted


def seconds(path: Path) -> float:
    with av.open(str(path)) as media:
        return media.duration / 1e6


def test_there_is_a_mix_and_a_pair_of_stems() -> None:
    kinds = [sorted(item.kind for item in load(job).files) for job in MASTERING]
    assert sorted(kinds) == [["inst", "vocal"], ["mix"]]
    for job in MASTERING:
        assert not load(job).consents.training  # the generated corpus is made of the same recordings
        assert all((job / item.file).is_file() for item in load(job).files)


def test_there_is_an_english_and_a_japanese_job() -> None:
    spoken = [language([p.text for p in read(path).phrases]) for job in JOBS for path in paths(job, "lyrics")]
    assert sorted(spoken) == ["en", "ja"]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_names_files_that_exist_and_tags_its_clips(job: Path) -> None:
    assert len(paths(job, "music")) == len(paths(job, "lyrics")) == 1
    assert len(paths(job, "clip")) >= 3
    for item in load(job).files:
        assert (job / item.file).is_file(), item.file
        assert item.kind != "clip" or len(item.tags) >= 3


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_the_edit_fits_the_music_and_the_clips(job: Path) -> None:
    (music,) = paths(job, "music")
    assert duration(job) <= seconds(music)
    assert 2 * duration(job) < sum(seconds(clip) for clip in paths(job, "clip"))


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_lyrics_lie_within_the_music_without_a_warning(job: Path) -> None:
    (music,), (words,) = paths(job, "music"), paths(job, "lyrics")
    lyrics = read(words)
    assert lyrics.timed
    assert lyrics.warnings == ()
    assert lyrics.phrases[-1].end < seconds(music)
    sung = [p for p in lyrics.phrases if p.end <= duration(job)]
    assert len(sung) >= 8


def test_phrases_begin_on_the_bars_of_a_steady_song() -> None:
    job = SAMPLE / "jobs/haru-no-ogawa"
    bpm = load(job).bpm
    assert bpm is not None
    bar = 4 * 60 / bpm
    starts = np.array([p.start for p in read(paths(job, "lyrics")[0]).phrases])
    bars = (starts - starts[0]) / bar
    assert np.abs(bars - bars.round()).max() < 0.15


@pytest.mark.parametrize("path", [*MEDIA, *LYRICS], ids=lambda path: path.name)
def test_each_file_is_attributed_beside_it(path: Path) -> None:
    folder = path.parent if path in MEDIA else path.parent.parent
    name = path.relative_to(folder).as_posix()
    rows = [line for line in (folder / "ATTRIBUTION.md").read_text("utf-8").splitlines() if f"`{name}`" in line]
    (row,) = rows
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == 5
    assert all(cells)
    assert re.search(r"Creative Commons Attribution|public domain|Japan: .* United States:", row)


def test_no_attribution_is_left_of_a_file_that_went() -> None:
    for folder in (SAMPLE / "media", SAMPLE / "jobs"):
        for name in re.findall(r"^\| `([^`]+)`", (folder / "ATTRIBUTION.md").read_text("utf-8"), re.MULTILINE):
            assert (folder / name).is_file(), name


def test_the_library_stays_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) <= 13.25 * 2**20


def test_the_decisions_are_movielens_with_its_terms_beside_them() -> None:
    job = load(MOVIELENS)
    assert {item.kind: item.file for item in job.files} == {
        "videos": "movies.csv.gz", "decisions": "ratings.csv.gz", "tags": "tags.csv.gz"
    }  # fmt: skip
    assert job.consents.training
    terms = (MOVIELENS / "README.txt").read_text("utf-8")
    assert "100004 ratings and 1296 tag applications across 9125 movies" in terms
    assert "any commercial or revenue-bearing purposes" in terms
    lines = {item.kind: gzip.decompress((MOVIELENS / item.file).read_bytes()).splitlines()[1:] for item in job.files}
    assert {kind: len(rows) for kind, rows in lines.items()} == {"videos": 9125, "decisions": 100_004, "tags": 1296}
    assert len({row.split(b",")[0] for row in lines["decisions"]}) == 671
    assert "removes the folder `sample/jobs/movielens`" in (SAMPLE / "jobs/ATTRIBUTION.md").read_text("utf-8")


def sheet(job: Path) -> list[dict[str, str]]:
    (item,) = load(job).files
    text = gzip.decompress((job / item.file).read_bytes()).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_the_comments_are_partly_scored_by_people_and_the_rest_can_be_compared_with_them() -> None:
    comments = SAMPLE / "jobs/comments"
    wish, rows = load(comments).score, sheet(comments)
    assert wish.provider == "local"
    assert len({row[wish.column or ""] for row in rows}) == 1500
    scored = [[row[name] for name in wish.categories] for row in rows]
    people = [[row[f"human_{name}"] for name in wish.categories] for row in rows]
    assert sum(all(cells) for cells in scored) == 500
    assert all(
        bool(all(a)) != bool(all(b)) and bool(any(a)) != bool(any(b)) for a, b in zip(scored, people, strict=True)
    )
    given = [a if all(a) else b for a, b in zip(scored, people, strict=True)]
    assert {cell for cells in given for cell in cells} == {"1", "5"}
    for column in zip(*given, strict=True):
        assert 0.05 < column.count("5") / 1500 < 0.5
    assert "Apache License" in (comments / "LICENSE").read_text("utf-8")


def test_the_captions_are_japanese_and_scored_by_nobody() -> None:
    rows = sheet(SAMPLE / "jobs/captions")
    assert len(rows) == 200
    assert all(list(row) == ["utterance"] for row in rows)
    assert language([row["utterance"] for row in rows]) == "ja"


@pytest.mark.parametrize("job", SHEETS, ids=lambda job: job.name)
def test_a_sheet_says_whose_it_is_and_on_what_terms(job: Path) -> None:
    (item,) = load(job).files
    assert item.kind == "sheet"
    rows = (SAMPLE / "jobs/ATTRIBUTION.md").read_text("utf-8").splitlines()
    (row,) = [line for line in rows if line.startswith(f"| `{job.name}/{item.file}`")]
    assert re.search(r"Apache License 2\.0|Attribution-ShareAlike 4\.0", row)


@pytest.mark.parametrize("path", sorted(SAMPLE.glob("jobs/*/*.gz")), ids=lambda path: path.name)
def test_the_packed_tables_are_the_same_wherever_they_are_made(path: Path) -> None:
    head = path.read_bytes()[:10]
    assert head[3] == 0 and head[4:8] == bytes(4), "no name, no time"


def test_a_melody_is_arranged_in_both_styles() -> None:
    (job,) = MELODIES
    assert set(load(job).compose.styles) == {"chorale", "pop"}
    assert all(path.is_file() for path in paths(job, "melody"))


def test_tunes_and_chorales_say_whose_they_are() -> None:
    for folder in ("tunes", "chorales"):
        assert "public domain" in (SAMPLE / folder / "ATTRIBUTION.md").read_text("utf-8")
