"""Jobs of tables: catalogues, decisions and tags through the inbox."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from pipelines.editing import batch as editing
from pipelines.errors import BadInput
from pipelines.governance import retention
from pipelines.intake import batches, content, ingest
from pipelines.intake.job_file import parse
from pipelines.mastering import batch as mastering
from pipelines.settings import Settings
from pipelines.storage.cache import Cache
from pipelines.storage.tables import UPLOAD_KINDS, Job, VaultItem
from pipelines.studio import Studio
from tests.intake.conftest import Inbox

FILMS = "video_id,title\na,First\nb,Second\n"
SAID = "user_id,video_id,decision,decided_at\nann,a,like,2026-01-01\n"
JOB = """\
owner: studio
consents: {training: true}
files:
  - {file: films.csv, kind: videos}
  - {file: said.csv.gz, kind: decisions}
"""


def put(folder: Path, text: str = JOB, films: str = FILMS, said: bytes = b"") -> Path:
    folder.mkdir(parents=True)
    (folder / "films.csv").write_text(films, encoding="utf-8")
    (folder / "said.csv.gz").write_bytes(said or gzip.compress(SAID.encode(), mtime=0))
    (folder / "job.yaml").write_text(text, encoding="utf-8")
    return folder


def test_a_job_of_tables_is_whole_and_no_other_system_touches_it(inbox: Inbox, tmp_path: Path) -> None:
    ingest.ingest(put(tmp_path / "decisions"), inbox.path, inbox.settings)
    inbox.settle()
    report = inbox.scan()
    assert (report.new, report.problems) == (["decisions"], [])
    studio = Studio(inbox.settings, inbox.database, inbox.objects, Cache(inbox.objects))
    with inbox.database.session() as session:
        (planned,) = batches.plan_batches(session)
        job = session.execute(select(Job)).scalar_one()
        assert [upload.kind for upload in job.uploads] == ["videos", "decisions"]
        kept = session.execute(select(VaultItem.kind, VaultItem.expires_at)).all()
        assert [tuple(row) for row in kept] == [("videos", None), ("decisions", None)]
    assert editing.load(studio, planned.key) == [] and mastering.load(studio, planned.key) == []
    assert [result.error for result in editing.uploads(studio, planned.key)] == [None, None]


def test_one_bad_table_leaves_the_other(inbox: Inbox) -> None:
    folder = put(inbox.path / "decisions", said=gzip.compress(b"a,b\n1,2\n", mtime=0))
    (folder / "_COMPLETE").touch()
    inbox.settle()
    report = inbox.scan()
    assert report.new == ["decisions"]
    (said,) = report.bad_files
    assert said.startswith("decisions/said.csv.gz: has no header line: its first line holds no column that is known")
    assert "; decisions need the columns user_id, video_id, decided_at, decision or rating" in said


@pytest.mark.parametrize(
    ("films", "said", "message"),
    [
        ("title\nFirst\n", b"", "has no column video_id"),
        (FILMS, b"\x1f\x8b\x08nonsense", "is damaged gzip"),
        (FILMS, b"PAR1" + bytes(50), "is damaged Parquet"),
        ("", b"", "is empty"),
        (FILMS, gzip.compress(b"", mtime=0), "has no header"),
    ],
)
def test_ingest_refuses_what_a_scan_would(
    tmp_path: Path, films: str, said: bytes, message: str, settings: Settings
) -> None:
    with pytest.raises(BadInput, match=message):
        ingest.ingest(put(tmp_path / "job", films=films, said=said), tmp_path / "inbox", settings)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (["videos"], None),
        (["decisions"], None),
        (["decisions", "decisions"], None),
        (["videos", "tags"], None),
        (["music", "clip", "decisions"], None),
        (["tags"], "has tags, but no usable catalogue"),
        (["music", "decisions"], "has no usable clip"),
        ([], r"has nothing to work on.*tables \(videos, decisions\), a melody or a sheet"),
    ],
)
def test_what_a_job_of_tables_needs(kinds: Sequence[str], message: str | None) -> None:
    if message is None:
        content.check_job("job", kinds, ())
        return
    with pytest.raises(BadInput, match=message):
        content.check_job("job", kinds, ())


def test_every_kind_has_its_period() -> None:
    assert {*UPLOAD_KINDS, "master", "preview", "scored", "arrangement"} == set(retention.PERIODS)
    for kind in UPLOAD_KINDS:
        parse(f"owner: x\nfiles: [{{file: a.b, kind: {kind}}}]\nscore: {{categories: [joy]}}".encode(), "job.yaml")
