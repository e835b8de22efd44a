"""The demo: every sample job through the same intake, batch and assets as any upload, in one process."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput, OrimonoError
from pipelines.intake import batches, ingest, scan
from pipelines.settings import Settings
from pipelines.studio import Studio
from resources import instance


def demo(settings: Settings, samples: Path) -> tuple[dict[str, Any], str]:
    """Ingests each folder of ``samples`` that holds a job.yaml, runs its batch and says what came of it."""
    began = time.monotonic()
    folders = sorted(p.parent for p in samples.glob("*/job.yaml"))
    if not folders:
        raise BadInput(samples, "holds no job folder", "give a folder of folders with a job.yaml each")
    studio = Studio.open(settings)
    os.environ.update(instance.prepare(settings, studio.database))
    names = [ingest.ingest(folder, settings.inbox, settings).name for folder in folders]
    time.sleep(settings.number("settle_seconds"))
    scan.scan(settings.inbox, studio.database, studio.objects, settings)
    now = datetime.now(UTC)
    with studio.database.session() as session:
        batches.plan_batches(session, now, settings.whole("batch_jobs"))
        keys = [b.key for b in batches.listed(session, "planned", "requested", "failed")]
    for key in keys:
        _run(studio, key)
    return _answer(settings, names, keys, time.monotonic() - began)


def _run(studio: Studio, key: str) -> None:
    import dagster as dg

    from definitions import build_defs

    with dg.DagsterInstance.get() as dagster:
        dagster.add_dynamic_partitions("batches", [key])
        with studio.database.session() as session:
            batches.mark_requested(session, key)
        job = build_defs().resolve_job_def("batch")
        quiet = {"loggers": {"console": {"config": {"log_level": "WARNING"}}}}
        result = job.execute_in_process(instance=dagster, partition_key=key, run_config=quiet, raise_on_error=False)
        with studio.database.session() as session:
            if result.success:
                batches.mark_finished(session, key)
            else:
                batches.mark_failed(session, key, f"its run {result.run_id} failed; see its log in the Dagster UI")
    if not result.success:
        raise OrimonoError(f"batch {key}: its run {result.run_id} failed; `make dev` shows its log")


def _answer(settings: Settings, names: list[str], keys: list[str], seconds: float) -> tuple[dict[str, Any], str]:
    import json

    missing = [name for name in names if not (settings.home_path / "results" / name / "quality.json").is_file()]
    if missing:
        raise OrimonoError(f"{', '.join(missing)}: nothing came of it; `orimono status` says why")
    jobs = {}
    lines = [f"Made in {seconds:.0f} s" if keys else "Everything had been made before:", ""]
    for name in names:
        out = settings.home_path / "results" / name
        quality = json.loads((out / "quality.json").read_text())
        judged = quality["patterns"]
        scores = {p: q["aggregateConfidence"] for p, q in judged.items()}
        capped = {p: "  (as sure as its inputs)" for p, q in judged.items() if scores[p] >= q["inputCap"]}
        jobs[name] = {"folder": str(out), "report": str(out / "report.html"), "confidence": scores}
        lines += [f"{name}", f"  report     {out / 'report.html'}"]
        lines += [f"  {p:10} {out / p}.mp4   confidence {c:.2f}{capped.get(p, '')}" for p, c in scores.items()]
        lines += [f"  timelines  {out}/*.otio *.edl *.xml *.fcpxml", ""]
    lines += ["`make dev` opens the Dagster UI with these runs, their pictures and checks."]
    return {"seconds": round(seconds, 1), "batches": keys, "jobs": jobs}, "\n".join(lines)
