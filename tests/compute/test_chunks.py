"""Chunks of a sheet that are scored on a real cluster: all rows, each once, as of this machine."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import select

from pipelines import results
from pipelines.errors import BadInput
from pipelines.intake import batches, scan
from pipelines.scoring import batch
from pipelines.settings import Settings
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.storage.scoring_tables import ScoreChunk, ScoreRow
from pipelines.studio import Studio

pytestmark = [pytest.mark.xdist_group("daemon"), pytest.mark.timeout(420)]
ROWS = 2600  # six chunks, two parts


@pytest.fixture
def studio(far: Settings, database: Database, server_url: str) -> Iterator[Studio]:
    settings = replace(far, database_url=server_url.replace("/postgres?", "/orimono?"))
    objects = Objects.open(settings)
    yield Studio(settings, database, objects, Cache(objects))


def taken(studio: Studio) -> str:
    """A job with one sheet, cut into chunks; its batch."""
    folder = studio.settings.inbox / "opinions"
    folder.mkdir(parents=True)
    with (folder / "said.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["utterance"], *([f"what a day, number {n}"] for n in range(ROWS))])
    said = "owner: tester@example.com\nfiles: [{file: said.csv, kind: sheet}]\nscore: {categories: [joy, anger]}\n"
    (folder / "job.yaml").write_text(said)
    (folder / "_COMPLETE").touch()
    time.sleep(studio.settings.number("settle_seconds") * 2)
    scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)
    with studio.database.session() as session:
        (made,) = batches.plan_batches(session)
    assert [result.error for result in batch.register(studio, made.key)] == [None]
    return made.key


def test_every_chunk_is_scored_on_the_cluster(studio: Studio) -> None:
    key = taken(studio)
    with studio.database.session() as session:
        partitions = session.execute(select(ScoreChunk.chunk_id).order_by(ScoreChunk.id)).scalars().all()
    assert len(partitions) == 6
    ran = batch.run(studio, partitions)
    assert set(ran.finished) == set(partitions)
    assert not ran.failed
    with studio.database.session() as session:
        assert len(session.execute(select(ScoreRow)).scalars().all()) == ROWS
    (published,) = batch.publish(studio, key)
    assert published.error is None
    with results.opened_of(studio.settings, studio.objects, "opinions", "said.scored.csv") as file:
        written = list(csv.DictReader(io.TextIOWrapper(file, "utf-8", newline="")))
    assert len(written) == ROWS
    assert all(1 <= float(row["joy"]) <= 5 for row in written)


def test_the_embedded_server_is_out_of_reach(studio: Studio) -> None:
    taken(studio)
    alone = replace(studio, settings=replace(studio.settings, database_url=""))
    with studio.database.session() as session:
        partitions = session.execute(select(ScoreChunk.chunk_id)).scalars().all()
    with pytest.raises(BadInput, match="set ORIMONO_DATABASE_URL"):
        batch.run(alone, partitions)
