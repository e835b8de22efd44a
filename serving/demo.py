"""The demo: every sample job through the same intake, batch and assets as any upload, then the weekly training, in one
process."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from pipelines import result_folders, results
from pipelines.composing import delivering, manifest
from pipelines.errors import BadInput, OrimonoError
from pipelines.intake import batches, ingest, scan
from pipelines.settings import Settings
from pipelines.studio import Studio
from resources import instance

EPOCHS = "2"
_WHERE = "`make dev` shows its log"
VIEWER = "15"  # of the sample's decisions
Answer = tuple[dict[str, Any], list[str]]


def demo(settings: Settings, samples: Path) -> tuple[dict[str, Any], str]:
    """Ingests each folder of ``samples`` that holds a job.yaml, runs its batch, trains, and says what came of it."""
    began = time.monotonic()
    folders = sorted(p.parent for p in samples.glob("*/job.yaml"))
    if not folders:
        raise BadInput(samples, "holds no job folder", "give a folder of folders with a job.yaml each")
    # A demo is to be short: the schedule's training takes three times as long and ranks a little better.
    epochs = os.environ.setdefault("ORIMONO_RECOMMENDER_EPOCHS", EPOCHS)
    settings = replace(settings, recommender_epochs=epochs)
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
        _run_batch(studio, key)
    _score(studio)
    found, lines = _results(studio, names)
    if keys or _untrained(studio):
        _train()
    models, told = _models(studio)
    listed, shown = _lists(studio)
    seconds = time.monotonic() - began
    head = f"Made in {seconds:.0f} s" if keys else "Everything had been made before:"
    tail = "`make dev` opens the Dagster UI with these runs, their pictures and checks."
    result = {"seconds": round(seconds, 1), "batches": keys, "jobs": found, "models": models, "lists": listed}
    return result, "\n".join([head, "", *lines, *told, *shown, tail])


def _run_batch(studio: Studio, key: str) -> None:
    import dagster as dg

    with dg.DagsterInstance.get() as dagster:
        dagster.add_dynamic_partitions("batches", [key])
        with studio.database.session() as session:
            batches.mark_requested(session, key)
        run_id, success = _execute(dagster, "batch", key)
        with studio.database.session() as session:
            if success:
                batches.mark_finished(session, key)
            else:
                batches.mark_failed(session, key, f"its run {run_id} failed; see its log in the Dagster UI")
    if not success:
        raise OrimonoError(f"batch {key}: its run {run_id} failed; {_WHERE}")


def _score(studio: Studio) -> None:
    """What the sensor does for sheets: their chunks, twenty a run, then the batches that hold them."""
    import dagster as dg

    from assets.partitions import FIRST, LAST, SHEET_TAG
    from pipelines import clock
    from pipelines.scoring import chunks

    with dg.DagsterInstance.get() as dagster:
        with studio.database.session() as session:
            by_sheet = groupby(chunks.due(session, clock.now()), key=lambda c: c.score_job_id)
            groups = [[c.chunk_id for c in group] for _, due in by_sheet for group in chunks.grouped(list(due))]
        for group in groups:
            dagster.add_dynamic_partitions("score_chunks", group)
            with studio.database.session() as session:
                chunks.request(session, group, clock.now())
            sheet = group[0].rpartition("-")[0]
            tags = {FIRST: group[0], LAST: group[-1], SHEET_TAG: sheet}
            run_id, success = _execute(dagster, "scoring_chunks", tags=tags)
            if not success:
                raise OrimonoError(f"chunks {group[0]} to {group[-1]}: their run {run_id} failed; {_WHERE}")
        with studio.database.session() as session:
            ready = list(chunks.unwritten(session))
        for batch in ready:
            run_id, success = _execute(dagster, "scoring_sheets", batch)
            if not success:
                raise OrimonoError(f"the sheets of batch {batch}: their run {run_id} failed; {_WHERE}")


def _train() -> None:
    """What the schedule does on Sundays."""
    import dagster as dg

    with dg.DagsterInstance.get() as dagster:
        run_id, success = _execute(dagster, "weekly_retraining")
    if not success:
        raise OrimonoError(f"the training's run {run_id} failed; {_WHERE}")


def _execute(
    dagster: Any, job: str, partition: str | None = None, tags: Mapping[str, str] | None = None
) -> tuple[str, bool]:
    from definitions import build_defs

    quiet = {"loggers": {"console": {"config": {"log_level": "WARNING"}}}}
    found = build_defs().resolve_job_def(job)
    done = found.execute_in_process(
        instance=dagster, partition_key=partition, run_config=quiet, tags=dict(tags or {}), raise_on_error=False
    )
    return done.run_id, done.success


def _results(studio: Studio, names: Sequence[str]) -> Answer:
    jobs: dict[str, Any] = {}
    lines: list[str] = []
    missing = []
    for name in names:
        place = results.place_of(studio.settings, studio.objects, name)
        # Of a bucket, what is read to say what came of it; it is gone from here afterwards.
        with result_folders.opened(studio.settings, studio.objects, name, "demo", bring=_is_read) as out:
            found, told = _lying(out)
            found = _put(found, str(out), place)
            told = [line.replace(str(out), place) for line in told]
        if not found:
            found, told = _sheets(studio, name)
        if not found:
            found, told = _decisions(studio, name)
        if not found:
            missing.append(name)
        jobs[name] = {"folder": place, **found}
        lines += [name, *told, ""]
    if missing:
        raise OrimonoError(f"{', '.join(missing)}: nothing came of it; `orimono status` says why")
    return jobs, lines


def _lying(out: Path) -> Answer:
    found, told = _edits(out)
    for master in sorted(out.glob("*.master.json")):
        facts, said = _master(out, master)
        found.setdefault("masters", {})[master.name.removesuffix(".master.json")] = facts
        told += said
    for listed in sorted(out.glob(f"*{manifest.ENDING}")):
        facts, said = _arrangements(listed)
        if facts:
            found.setdefault("arrangements", {})[listed.name.removesuffix(manifest.ENDING)] = facts
            told += said
    return found, told


def _is_read(path: str) -> bool:
    return results.described(path, 0).kind not in ("video", "master", "preview", "sound", "sheet")


def _put(found: Any, here: str, place: str) -> Any:
    """With the paths of one folder as those of another."""
    if isinstance(found, dict):
        return {key: _put(value, here, place) for key, value in found.items()}
    if isinstance(found, list):
        return [_put(value, here, place) for value in found]
    return found.replace(here, place) if isinstance(found, str) else found


def _edits(out: Path) -> Answer:
    if not (out / "quality.json").is_file():
        return {}, []
    judged = json.loads((out / "quality.json").read_text())["patterns"]
    scores = {p: q["aggregateConfidence"] for p, q in judged.items()}
    capped = {p: "  (as sure as its inputs)" for p, q in judged.items() if scores[p] >= q["inputCap"]}
    lines = [f"  report     {out / 'report.html'}"]
    lines += [f"  {p:10} {out / p}.mp4   confidence {c:.2f}{capped.get(p, '')}" for p, c in scores.items()]
    lines += [f"  timelines  {out}/*.otio *.edl *.xml *.fcpxml"]
    return {"report": str(out / "report.html"), "confidence": scores}, lines


def _master(out: Path, file: Path) -> Answer:
    facts = json.loads(file.read_text())
    stem = file.name.removesuffix(".master.json")
    before, after, preset = facts["before"], facts["after"], facts["preset"]
    lines = [
        f"  master     {out / stem}.master.wav   {preset['name']} (chosen by {_chooser(preset['chosen_by'])}, "
        f"confidence {preset['confidence']:.2f})",
        f"  loudness   {before['lufs']:.1f} -> {after['lufs']:.1f} LUFS (target {facts['settings']['target_lufs']:g}), "
        f"true peak {before['true_peak_dbtp']:.1f} -> {after['true_peak_dbtp']:.1f} dBTP",
        f"  listen     {out / stem}.preview.m4a, look at {stem}.before-after.png",
    ]
    if found := facts.get("alignment"):
        lines.insert(
            0, f"  alignment  {found['verdict']}: the vocal lies {found['lag_s']:+.3f} s in, {found['reasons'][0]}"
        )
    return {"file": str(out / f"{stem}.master.wav"), **facts}, lines


def _arrangements(listed: Path) -> Answer:
    """Of one melody in one style: the report beside its candidates."""
    stem = listed.name.removesuffix(manifest.ENDING)
    files = [one.midi for one in delivering.delivered(listed.with_name(f"{stem}.mid"))]
    if not files:
        return {}, []
    page = listed.with_name(f"{stem}.html")
    lines = [f"  arranged   {files[0]}   {len(files)} candidates, best first", f"  listen     {page}"]
    return {"report": str(page), "files": [str(file) for file in files]}, lines


def _sheets(studio: Studio, name: str) -> Answer:
    """Of the job's newest content: what was scored, how fast, and how far it agrees with people where they scored."""
    from pipelines.scoring import agreement, chunks
    from pipelines.scoring.batch import lying, wish_of
    from pipelines.storage import jobs, score_jobs

    found: dict[str, Any] = {}
    lines: list[str] = []
    with studio.database.session() as session:
        job = jobs.latest(session, name)
        sheets = [row for row in score_jobs.of_job(session, job.id) if row.finished_at] if job else []
        states = {row.id: chunks.state(session, row.id) for row in sheets}
    for row in sheets:
        wish, place, state = wish_of(studio, row), row.written["place"], states[row.id]
        lines.append(f"  scored     {place}   {state.rows:,} rows by {', '.join(wish.rubric.categories)}")
        figures = {"place": place, "rows": state.rows, "provider": wish.asking.provider}
        with lying(studio, row) as file:
            read = str(file or place)
            people = agreement.of_place(read, wish.rubric, studio.settings, wish.asking.column)
        if people is not None:
            said = f"{people.accuracy} the very score (the commonest for all: {people.baseline_accuracy:.2f})"
            f1 = f"macro F1 {people.macro_f1} (the highest for all: {people.baseline_macro_f1:.2f})"
            lines.append(f"  agreement  with people on {people.rows:,} rows: {said}, {f1}")
            figures["agreement"] = people.to_dict()
        found.setdefault("sheets", []).append(figures)
    return found, lines


def _decisions(studio: Studio, name: str) -> Answer:
    from pipelines.storage import decisions

    with studio.database.session() as session:
        n, viewers = decisions.of_job(session, name)
    if not n:
        return {}, []
    return {"decisions": n, "viewers": viewers}, [f"  decisions  {n:,} of {viewers:,} viewers, in user_video_decisions"]


def _lists(studio: Studio) -> Answer:
    """The recommender's report and one viewer's list, as `orimono recommend` gives it."""
    from pipelines.recommending import judging
    from pipelines.recommending.serving import LiveRecommender

    try:
        page = studio.objects.local_named(judging.judged(studio).report_key)
    except BadInput:  # the samples held no decisions
        return {}, []
    with LiveRecommender(studio) as recommender:
        found = recommender.recommend(VIEWER, 5)
    lines = [f"recommendations for viewer {VIEWER} ({found.path}, {found.version}, {found.latency_ms:.0f} ms)"]
    lines += [f"  {rank}. {item.title}  ({item.reason})" for rank, item in enumerate(found.items, start=1)]
    lines += [f"  report     {page}", f"  ask        orimono recommend {VIEWER}", ""]
    items = [{"title": item.title, "score": item.score, "reason": item.reason} for item in found.items]
    return {"viewer": VIEWER, "path": found.path, "version": found.version, "items": items, "report": str(page)}, lines


def _chooser(by: str) -> str:
    return f"preset_cls {by}" if by.startswith("v") else by


def _versions(studio: Studio) -> list[str]:
    from pipelines.storage import models

    with studio.database.session() as session:
        return models.names(session)


def _untrained(studio: Studio) -> bool:
    """Whether a model is missing that the samples have something to learn from for."""
    from pipelines.mastering import tasks
    from pipelines.recommending.dataset import NAME
    from pipelines.storage import decisions

    with studio.database.session() as session:
        expected = {*tasks.TASKS, *([NAME] if decisions.count(session, trainable_only=True) else [])}
    return bool(expected - set(_versions(studio)))


def _models(studio: Studio) -> Answer:
    """Every model's figures on held-out recordings beside the best baseline's."""
    from pipelines.models import candidates
    from pipelines.models.registry import find

    found, lines = (
        {},
        ["models, on what they did not learn from (in brackets the best simple one: mean, majority, a ranker ...)"],
    )
    for name in _versions(studio):
        with studio.database.session() as session:
            row = find(session, name)
        told = candidates.told(row.metrics)
        found[name] = {"version": row.version, "framework": row.framework, "figures": told}
        lines.append(f"  {name:11}{row.version} {row.framework}: {told}")
    lines.append("  (those of sound learned mostly from a generated corpus: known changes to the sample's recordings)")
    return found, [*lines, ""]
