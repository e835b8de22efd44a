"""Embeddings: a sync by phase, a night with few changes, the rollback, the index of 200,000 videos, loading row by row
under a live index, and searches with 500 videos excluded."""

from __future__ import annotations

import logging
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from benchmarks.measure import Figure, write
from pipelines import clock
from pipelines.recommending import embedding, syncing
from pipelines.recommending.embedding import Batch
from pipelines.recommending.syncing import Synced
from pipelines.settings import Settings
from pipelines.storage import embedded, embedding_loads, embeddings
from pipelines.storage.recommending_tables import DIMENSIONS
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio

VIDEOS, MANY, USERS = 32_304, 200_000, 1_000
INPUTS = 64
EXCLUDED, LIMIT = 500, 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tower:
    """Stands for a real one: two layers of its size, and a length of 1."""

    first: NDArray[np.float32]
    second: NDArray[np.float32]

    @classmethod
    def made(cls) -> Tower:
        rng = np.random.default_rng(0)
        shapes = ((INPUTS, 256), (256, DIMENSIONS))
        return cls(*(rng.normal(size=shape).astype(np.float32) / shape[0] ** 0.5 for shape in shapes))

    def __call__(self, inputs: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        found = np.maximum(np.stack(inputs) @ self.first, 0) @ self.second
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def ids(n: int, kind: str) -> list[uuid.UUID]:
    data = np.random.default_rng(len(kind)).bytes(16 * n)
    return [uuid.UUID(bytes=data[at : at + 16], version=4) for at in range(0, 16 * n, 16)]


def inputs(n: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, INPUTS)) * np.linspace(1, 0.2, INPUTS)).astype(np.float32)


def batches(tower: Tower, keys: list[uuid.UUID], rows: NDArray[np.float32]) -> Iterator[Batch]:
    return embedding.generate(zip(keys, rows, strict=True), tower, version="bench", row_bytes=8192)


def catalogue(session: Session, n: int) -> ModelVersion:
    viewers = text("insert into viewers (user_id, pseudonym) select id, id::text from unnest(cast(:ids as uuid[])) id")
    videos = """
        insert into videos (id, external_id, genres) select id, id::text, array['genre ' || n % 20]
        from unnest(cast(:ids as uuid[])) with ordinality as t (id, n)
    """
    session.execute(viewers, {"ids": ids(USERS, "user")})
    session.execute(text(videos), {"ids": ids(n, "video")})
    session.execute(text("analyze videos"))
    row = ModelVersion(
        name="two_tower",
        version="v20261121.1",
        uri="bench.onnx",
        framework="onnx",
        input_dim=INPUTS,
        output_dim=DIMENSIONS,
        metrics={},
        sha256="0" * 64,
        feature_version="1",
        code_version="1",
        created_by="bench",
    )
    session.add(row)
    session.flush()
    return row


def server_cpu(home: Path) -> float:
    """CPU seconds of the database server so far, with its processes that ended."""
    parent = int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(process.name) == parent:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == parent:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def timed(call: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    return call(), time.perf_counter() - start


def by_phase(name: str, done: Synced, seconds: float, cpu: float, at_most: float | None) -> dict[str, Figure]:
    note = f"{done.videos} x {DIMENSIONS} and {done.users} viewers"
    phases = {f"{name}_{phase}": Figure(taken, "s") for phase, taken in done.seconds.items()}
    work = {
        f"{name}_database_cpu": Figure(cpu, "CPU s", note="whatever else the machine does; three processes share it")
    }
    return {name: Figure(seconds, "s", at_most=at_most, note=note), **phases, **work}


def searches(studio: Studio, set_id: int, n: int, name: str) -> dict[str, Figure]:
    """Each query excludes what is nearest to it, which is the hardest that can be excluded."""
    tower = Tower.made()
    keys, found = ids(n, "video"), tower(list(inputs(n, 1)))
    queries = tower(list(inputs(110, 9)))
    quick, exact, right = [], [], []
    for number, query in enumerate(queries):
        nearest = np.argpartition(-(found @ query), EXCLUDED)[:EXCLUDED]
        exclude = [keys[k] for k in nearest]
        with studio.database.session() as session:
            listed, taken = timed(
                lambda query=query, exclude=exclude, session=session: embeddings.nearest(
                    session, set_id, query, LIMIT, exclude=exclude, indexed=n >= embedding_loads.INDEXED_FROM
                )
            )
            if number < 10:
                continue  # the cache is warm then
            quick.append(taken)
            if number >= 50:
                continue
            truth, taken = timed(
                lambda query=query, exclude=exclude, session=session: embeddings.nearest(
                    session, set_id, query, LIMIT, exclude=exclude, indexed=False
                )
            )
            exact.append(taken)
            right.append(len({one.video_id for one in listed} & {one.video_id for one in truth}) / LIMIT)
    note = f"{n} videos, the {EXCLUDED} nearest excluded, through the session"
    figures = {}
    for how, taken in (("search", quick), ("exact_search", exact)):
        figures[f"{how}_{name}_p50"] = Figure(statistics.median(taken) * 1e3, "ms", note=note)
        figures[f"{how}_{name}_p99"] = Figure(float(np.quantile(taken, 0.99)) * 1e3, "ms", note=note)
    figures[f"search_{name}_recall"] = Figure(float(np.mean(right)), "share", at_least=0.99, note="of the exact 20")
    return figures


def row_by_row(studio: Studio, set_id: int, rows: int = 400) -> float:
    """Rows a second of upserts, one statement each, into the live set."""
    found = Tower.made()(list(inputs(rows, 5)))
    digests = embedding_loads.digests(found)
    query = text(f"""
        insert into video_embeddings_{set_id} (set_id, video_id, embedding, model_version, digest)
        values ({set_id}, :id, cast(:vector as vector), 'bench', :digest)
        on conflict (set_id, video_id) do update set embedding = excluded.embedding, digest = excluded.digest
    """)
    with studio.database.session() as session:
        start = time.perf_counter()
        for key, vector, digest in zip(ids(VIDEOS, "video")[:rows], found, digests, strict=True):
            given = {"id": key, "vector": embeddings.written(vector), "digest": digest.tobytes()}
            session.execute(query, given)
        seconds = time.perf_counter() - start
        session.rollback()
    return rows / seconds


def flips(studio: Studio, model: ModelVersion) -> list[float]:
    return [
        timed(lambda: syncing.roll_back(studio, model, clock.now(), actor="bench", reason="to and fro"))[1]
        for _ in range(50)
    ]


def at_size(home: Path, n: int, name: str) -> dict[str, Figure]:
    tower = Tower.made()
    settings = Settings(home=str(home))
    studio = Studio.open(settings)
    try:
        with studio.database.session() as session:
            model = catalogue(session, n)

        def sync(rows: NDArray[np.float32]) -> Synced:
            users = batches(tower, ids(USERS, "user"), inputs(USERS, 2))
            return syncing.sync(studio, model, users, batches(tower, ids(n, "video"), rows), clock.now())

        rows = inputs(n, 1)
        before = server_cpu(home)
        done, seconds = timed(lambda: sync(rows))
        small = n == VIDEOS
        figures = by_phase(f"sync_{name}", done, seconds, server_cpu(home) - before, 10 if small else None)
        figures |= searches(studio, done.set_id, n, name)
        if not small:
            return figures
        figures["nothing_changed"] = Figure(timed(lambda: sync(rows))[1], "s")
        changed = rows.copy()
        changed[:: n // (n // 100)][: n // 100] = inputs(n // 100, 4)
        before = server_cpu(home)
        night, seconds = timed(lambda: sync(changed))
        assert night.moved == n // 100 and not night.new_set
        figures |= by_phase("night_1_percent", night, seconds, server_cpu(home) - before, None)
        figures["row_by_row"] = Figure(row_by_row(studio, done.set_id), "rows/s")
        written = done.videos / (done.seconds["write"] + done.seconds["index"] + done.seconds["flip"])
        note = "COPY, then the index, then the flip; a statement a row under the live index beside it"
        figures["at_once"] = Figure(written, "rows/s", note=note)
        figures["at_once_over_row_by_row"] = Figure(written / figures["row_by_row"].value, "x", at_least=10)
        sync(inputs(n, 3))
        taken = flips(studio, model)
        figures["rollback_p50"] = Figure(statistics.median(taken) * 1e3, "ms", at_most=100)
        figures["rollback_max"] = Figure(max(taken) * 1e3, "ms", at_most=100, note="of 50")
        return figures
    finally:
        studio.database.dispose()
        embedded.stop(home, force=True)


def run(*, many: bool = True) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for n, name in ((VIDEOS, "32k"), (MANY, "200k")) if many else ((VIDEOS, "32k"),):
        with tempfile.TemporaryDirectory(prefix="orimono-bench-") as folder:
            figures |= at_size(Path(folder), n, name)
    return figures


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    results = run(many="--small" not in sys.argv)
    for name, figure in results.items():
        print(f"{name}: {figure.value:.3f} {figure.unit}  {'' if figure.met else 'NOT MET'}  {figure.note}")
    write("embeddings", results)
