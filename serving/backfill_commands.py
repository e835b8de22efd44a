"""Commands of backfills: which batches hold results of older code, and making them anew. Arguments are cli.py's."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipelines.errors import BadInput
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.studio import Studio

Answer = tuple[dict[str, Any], str]
# Work that fills all cores: such runs wait for each other (see resources/instance.py).
TAGS = {"orimono/heavy": "yes"}
MOST_LISTED = 12  # keys in a sentence


def stale(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines import staleness
    from pipelines.studio import Studio

    studio = Studio.open(settings)
    try:
        found = staleness.find(studio, arguments.step)
    finally:
        studio.database.close()
    lines = [
        f"{one.step}: {one.items} items of {len(one.batches)} batches by version {', '.join(one.by)}, "
        f"now {one.version}: {_keys(one.batches)}"
        for one in found
    ]
    if found:
        lines.append(f"`orimono backfill {found[0].step} --stale --downstream` makes them anew")
    return {"steps": [asdict(one) for one in found]}, "\n".join(lines) or "All was made by the present code."


def backfill(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines import staleness
    from pipelines.studio import Studio

    steps = staleness.downstream(arguments.step) if arguments.downstream else (staleness.named(arguments.step).name,)
    studio = Studio.open(settings)
    try:
        keys = _chosen(studio, steps, arguments)
        result: dict[str, Any] = {"steps": list(steps), "batches": list(keys)}
        if not keys:
            return result, f"{arguments.step}: all was made by the present code; nothing to do."
        wanted = f"{', '.join(steps)} of {len(keys)} batches: {_keys(keys)}"
        if arguments.dry_run:
            return result, f"would make {wanted}"
        done = None if arguments.here else _in_dagster(settings, steps, keys, wait=arguments.wait)
        told, lines = done or _here(studio, steps, keys)
    finally:
        studio.database.close()
    return result | told, "\n".join([wanted, *lines])


def _chosen(studio: Studio, steps: Sequence[str], arguments: Namespace) -> tuple[str, ...]:
    from pipelines import staleness

    if arguments.batches:
        return staleness.chosen(studio, arguments.batches)
    if arguments.all:
        return staleness.every(studio)
    # What is stale in any of the steps: a step that follows may read what is not.
    found = {key for one in staleness.find(studio, steps) for key in one.batches}
    return tuple(key for key in staleness.every(studio) if key in found)


def _in_dagster(
    settings: Settings, steps: Sequence[str], keys: Sequence[str], *, wait: bool
) -> tuple[dict[str, Any], list[str]] | None:
    """None when no Dagster answers."""
    from assets.partitions import BACKFILL_OF
    from serving.backfills import Backfills

    with Backfills(settings) as dagster:
        if not dagster.running():
            return None
        dagster.add_partitions(keys)
        title = f"{steps[0]}{' and what follows' if len(steps) > 1 else ''}: {len(keys)} batches"
        backfill = dagster.launch(steps, keys, title, {**TAGS, BACKFILL_OF: steps[0]})
        page = dagster.page(backfill)
        told: dict[str, Any] = {"backfill": backfill, "page": page}
        if not wait:
            return told, [f"asked for; follow it at {page}"]
        state = dagster.follow(backfill)
        told |= {"status": state.status, "made": {step: asdict(counts) for step, counts in state.steps.items()}}
        told["exit_code"] = 0 if state.succeeded else 1
        lines = [f"  {step}: {c.made} of {c.wanted} made, {c.failed} failed" for step, c in state.steps.items()]
        end = "done" if state.succeeded else f"ended as {state.status}{f': {state.error}' if state.error else ''}"
        return told, [*lines, f"{end}; see {page}"]


def _here(studio: Studio, steps: Sequence[str], keys: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """In this process, as Dagster's own runs, so that its UI shows them later: no daemon is needed."""
    import dagster as dg

    from resources import instance

    if not keys:
        raise BadInput("--batches", "names no batch", "give keys")
    os.environ.update(instance.prepare(studio.settings, studio.database))
    with dg.DagsterInstance.get() as dagster:
        made, errors = _run_all(dagster, steps, keys)
    failed = {step: [key for key in keys if key not in theirs] for step, theirs in made.items()}
    told = {
        "made": {step: {"wanted": len(keys), "made": len(made[step]), "failed": len(failed[step])} for step in steps},
        "errors": errors,
        "exit_code": 1 if any(failed.values()) else 0,
    }
    lines = [f"  {step}: {len(made[step])} of {len(keys)} made here" for step in steps]
    return told, [*lines, *(f"  {error}" for error in errors)]


def _run_all(dagster: Any, steps: Sequence[str], keys: Sequence[str]) -> tuple[Mapping[str, set[str]], list[str]]:
    """Which batches each step made, and why others were not. A batch that failed at a step goes no further."""
    import dagster as dg

    from assets.partitions import BACKFILL_OF, FIRST, LAST, batches
    from definitions import build_defs
    from pipelines import staleness

    name = batches.name
    assert name is not None
    known = dagster.get_dynamic_partitions(name)
    dagster.add_dynamic_partitions(name, [key for key in keys if key not in known])
    order = {key: number for number, key in enumerate(dagster.get_dynamic_partitions(name))}
    found = build_defs()
    graph, job = found.resolve_asset_graph(), found.resolve_implicit_global_asset_job_def()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    made: dict[str, set[str]] = {}
    errors: list[str] = []
    for step in steps:
        policy = graph.get(dg.AssetKey(step)).backfill_policy
        most = policy.max_partitions_per_run if policy is not None else 1
        before = [made[read] for read in staleness.named(step).reads if read in made]
        due = sorted((key for key in keys if all(key in theirs for theirs in before)), key=order.__getitem__)
        made[step] = set()
        for group in _spans(due, order, most or len(due)):
            tags = {**TAGS, BACKFILL_OF: steps[0], FIRST: group[0], LAST: group[-1]}
            done = job.execute_in_process(
                instance=dagster,
                asset_selection=[dg.AssetKey(step)],
                run_config=quiet,
                tags=tags,
                raise_on_error=False,
            )
            # From the log: the run itself does not count what it made beside a batch that failed.
            of_type = dg.DagsterEventType.ASSET_MATERIALIZATION
            for record in dagster.get_records_for_run(done.run_id, of_type=of_type).records:
                made[step].add(record.partition_key)
            errors += [_reason(event) for event in done.all_events if event.is_step_failure]
    return made, errors


def _reason(event: Any) -> str:
    said, error = event.step_failure_data.user_failure_data, event.step_failure_data.error
    return str(said.description if said is not None else error.message if error is not None else event.message)


def _spans(due: Sequence[str], order: Mapping[str, int], most: int) -> list[list[str]]:
    """Neighbours, at most so many together: a run is told its first and its last batch."""
    spans: list[list[str]] = []
    for key in due:
        if spans and len(spans[-1]) < most and order[key] == order[spans[-1][-1]] + 1:
            spans[-1].append(key)
        else:
            spans.append([key])
    return spans


def _keys(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - MOST_LISTED} more" if len(keys) > MOST_LISTED else ""
    return ", ".join(keys[:MOST_LISTED]) + more
