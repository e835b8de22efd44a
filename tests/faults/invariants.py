"""What must hold when a round is over: nothing lost, nothing twice, nothing half written, and every state true."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pipelines import results, status
from pipelines.governance import audit
from pipelines.storage.objects import Objects
from pipelines.storage.scoring_tables import ScoreChunk, ScoreJob, ScoreRow
from pipelines.storage.tables import BatchRow, ItemResult, Job, Upload
from pipelines.studio import Studio
from tests.faults import material
from tests.faults.material import Material
from tests.faults.whole import fault_of
from tests.faults.world import World
from tests.scoring.llm_server import expected

# What a finished job leaves in its folder, and the steps whose outcomes it has.
LEAVES: dict[material.System, tuple[str, ...]] = {
    "edit": (
        "dynamic.mp4",
        "dynamic.otio",
        "dynamic.edl",
        "dynamic.xml",
        "dynamic.fcpxml",
        "dynamic.json",
        "quality.json",
        "report.html",
    ),
    "master": (".master.wav", ".master.json", ".preview.m4a", ".peaks.json", ".waveform.png"),
    "melody": (".pop.mid", ".pop.arrangement.json", ".pop.m4a"),
    "decisions": (),
    "sheet": (".scored.csv",),
}
# Rows that must not be there twice, whatever the constraints of their tables say: one a thing that was computed.
ONCE = {
    "item_results": "job_id, upload_id, kind, content_hash, params_hash",
    "features_store": "job_id, clip_kind, content_hash",
    "edits": "job_id, pattern",
    "labels": "job_id, task, clip_kind, content_hash",
    "arrangements": "job_id, upload_id, style, candidate",
    "score_jobs": "job_id, upload_id, fingerprint",
    "score_chunks": "score_job_id, number",
    "uploads": "job_id, name",
    "jobs": "name, content_hash",
    "user_video_decisions": "user_id, video_id, decision, decided_at",
}


def unsettled(world: World, jobs: Mapping[str, Material]) -> list[str]:
    """What the house still has to do, or says that it cannot; nothing when it is done."""
    with world.studio() as studio:
        report = status.report(studio)
        told = [f"batch {b.key} {b.status}: {b.error or ''}" for b in (*report.open_batches, *report.failed_batches)]
        told += [f"{f.job}: {f.step}: {f.error}" for f in report.failed_items]
        told += [f"{r.job}: refused: {r.error}" for r in (*report.bad_jobs, *report.refused_files)]
        told += [f"{w.job} waits: {w.reason}" for w in report.waiting_jobs]
        told += [f"sheet: {json.dumps(s.to_dict(), default=str)}" for s in report.sheets]
        with studio.database.session() as session:
            batches = select(Job.name, BatchRow.status).join(BatchRow, BatchRow.id == Job.batch_id, isouter=True)
            known = {row[0]: row[1] for row in session.execute(batches)}
            told += [f"{name}: is not taken in" for name in jobs if name not in known]
            told += [f"{name}: is in no batch" for name in jobs if name in known and known[name] is None]
            sheets = [name for name, made in jobs.items() if made.system == "sheet"]
            scored = set(
                session.execute(select(Job.name).join(ScoreJob).where(ScoreJob.finished_at.is_not(None))).scalars()
            )
            told += [f"{name}: its sheet is not scored" for name in sheets if name not in scored]
    return told


def violations(world: World, jobs: Mapping[str, Material], disturbances: int) -> list[str]:
    """Each in a sentence. ``disturbances``: faults that may have cost an answer of the model that was in flight."""
    with world.studio() as studio, studio.database.session() as session:
        found = [
            *_twice(session),
            *_states(session),
            *_objects(session, studio.objects),
            *_sheets(world, studio, jobs, disturbances),
            *(str(verdict) for verdict in [audit.verify(session)] if not verdict.ok),
        ]
        for name, made in jobs.items():
            found += _job(session, name, made)
            found += _folder(studio, name, made)
    return [*found, *_runs(world)]


def _twice(session: Session) -> Iterator[str]:
    for table, columns in ONCE.items():
        query = f"select {columns}, count(*) from {table} group by {columns} having count(*) > 1 limit 5"
        for row in session.execute(text(query)):
            yield f"{table} holds {row[-1]} rows of {tuple(row[:-1])}"


def _states(session: Session) -> Iterator[str]:
    for key, state in session.execute(select(BatchRow.key, BatchRow.status).where(BatchRow.status != "finished")):
        yield f"batch {key} is {state}"
    for chunk in session.execute(select(ScoreChunk)).scalars():
        width = (chunk.row_range.upper or 0) - (chunk.row_range.lower or 0)
        query = select(ScoreRow.row).where(ScoreRow.score_job_id == chunk.score_job_id)
        query = query.where(ScoreRow.row >= chunk.row_range.lower, ScoreRow.row < chunk.row_range.upper)
        rows = len(session.execute(query).all())
        if chunk.status != "finished" or chunk.rows_done != width or rows != width:
            yield f"chunk {chunk.chunk_id} says {chunk.status}, {chunk.rows_done} of {width} rows; {rows} are there"


def _objects(session: Session, objects: Objects) -> Iterator[str]:
    """What the tables name is there, and an upload's bytes are its own."""
    for name, key, digest in session.execute(select(Upload.name, Upload.object_key, Upload.content_hash)):
        if key is None or not objects.exists(key):
            yield f"upload {name}: {key} is not in the store"
        elif hashlib.sha256(objects.get(key)).hexdigest() != digest:
            yield f"upload {name}: {key} holds other bytes"
    for kind, key in session.execute(
        select(ItemResult.kind, ItemResult.object_key).where(ItemResult.object_key.is_not(None))
    ):
        if not objects.exists(key):
            yield f"{kind}: {key} is not in the store"


def _job(session: Session, name: str, made: Material) -> Iterator[str]:
    rows = session.execute(select(Job).where(Job.name == name)).scalars().all()
    if len(rows) != 1:
        yield f"{name} has {len(rows)} rows"
        return
    bad = [u.name for u in rows[0].uploads if u.status != "ok"]
    if rows[0].status != "ready" or bad:
        yield f"{name} is {rows[0].status}, {bad} refused"
    outcomes = session.execute(select(ItemResult).where(ItemResult.job_id == rows[0].id)).scalars().all()
    for outcome in outcomes:
        if outcome.status != "ok":
            yield f"{name}: {outcome.kind} {outcome.status}: {outcome.error}"
    if made.system == "decisions":
        counted = session.execute(
            text("select count(*) from user_video_decisions d where d.job_id = :job"), {"job": rows[0].id}
        ).scalar_one()
        if counted != material.VIEWERS * 4:
            yield f"{name}: {counted} decisions of {material.VIEWERS * 4}"
    elif not outcomes and made.system != "sheet":
        yield f"{name}: nothing was computed"


def _folder(studio: Studio, name: str, made: Material) -> Iterator[str]:
    files = [found.path for found in results.listed_of(studio.settings, studio.objects, name)]
    for end in LEAVES[made.system]:
        if not any(path.endswith(end) for path in files):
            yield f"{name}: no {end} among {files}"
    for path in files:
        if (fault := fault_of(path, _read(studio, name, path))) is not None:
            yield f"{name}/{path} {fault}"


def _read(studio: Studio, name: str, path: str) -> bytes:
    with results.opened_of(studio.settings, studio.objects, name, path) as file:
        return file.read()


def _sheets(world: World, studio: Studio, jobs: Mapping[str, Material], disturbances: int) -> Iterator[str]:
    for name, made in jobs.items():
        if made.system != "sheet":
            continue
        with made.file.open(encoding="utf-8", newline="") as file:
            given = [row["utterance"] for row in csv.DictReader(file)]
        for out in results.listed_of(studio.settings, studio.objects, name):
            if not out.path.endswith(".scored.csv"):
                continue
            rows = list(csv.DictReader(io.StringIO(_read(studio, name, out.path).decode("utf-8-sig"), newline="")))
            if [row["utterance"] for row in rows] != given:
                yield f"{out.path}: holds {len(rows)} rows of {len(given)}, or others"
            for row in rows:
                wanted = expected(row["utterance"], material.CATEGORIES)
                if {category: row[category] for category in wanted} != {c: str(v) for c, v in wanted.items()}:
                    yield f"{out.path}: row {row['id']} has {row}"
        asked = Counter({t: n for t, n in world.llm.asked.items() if t in set(given)})
        if len(asked) != len(given):
            yield f"{name}: {len(given) - len(asked)} rows were never asked"
        often = [n for n in asked.values() if n > 1 + disturbances]
        if often:
            yield f"{name}: rows were asked {max(often)} times in {disturbances} disturbances"


def _runs(world: World) -> Sequence[str]:
    return [f"a run goes on: {run}" for run in world.runs_in_progress()]
