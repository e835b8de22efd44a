"""Upkeep assets: what a house that runs for months does every night. The rules are pipelines/upkeep's; of Dagster's own
records run_history.py's."""

import dagster as dg

from assets.presentation import cell
from assets.retrying import failures_told_apart
from pipelines.studio import Studio

GROUP = "operation"
OWNERS = ["team:studio"]


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"dagster"},
    code_version="1",
    description="Deletes Dagster's runs with their events and logs after ORIMONO_RUN_DAYS, ticks and backfills with "
    "them, and partitions older than 90 days. The run that made what an asset or a partition is now stays, and each "
    "that something still asks for.",
)
def run_history(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from assets import run_history as history
    from pipelines.upkeep import periods

    with failures_told_apart():
        pruned_batches, living_chunks, under_way = periods.partitions(studio)
        partitions = history.prune_partitions(context.instance, pruned_batches, living_chunks)
        gone = history.prune(context.instance, periods.runs_before(studio), under_way)
    return dg.MaterializeResult(
        metadata={
            "runs_deleted": gone.runs,
            "runs_still_needed": gone.kept,
            "runs_left": gone.left,
            "ticks_deleted": gone.ticks,
            "backfills_deleted": gone.backfills,
            "partitions_deleted": partitions,
            "log_folders_deleted": gone.logs,
        }
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    code_version="1",
    description="Looks at every object and every table, and deletes objects that nothing has referred to for "
    "ORIMONO_OBJECT_GRACE_DAYS; also encoded segments, copies, Data Docs and checkpoints of no more use. "
    "`orimono gc --dry-run` lists what would go.",
)
def object_garbage(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.upkeep import garbage, leftovers

    with failures_told_apart():
        found = garbage.collect(studio)
        cleared = leftovers.clear(studio)
    # No key: a record outlives a withdrawal, and an object's key is the hash of somebody's content.
    return dg.MaterializeResult(
        metadata={
            "objects": found.looked_at,
            "deleted": len(found.deleted),
            "MB_freed": found.freed / 1e6,
            "waiting": found.waiting,
            "MB_waiting": found.waiting_size / 1e6,
            "missing": len(found.missing),
            "files": dg.MetadataValue.md("\n".join(f"- {cell(line)}" for line in cleared.lines()) or "none"),
        }
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    code_version="1",
    description="Puts the API's traffic of long ago together by the hour, makes the room of deleted rows usable again "
    "(VACUUM) and the planner's statistics true (ANALYZE), in the product's database and in Dagster's.",
)
def database_upkeep(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.upkeep import tables

    with failures_told_apart():
        kept = tables.keep(studio)
    return dg.MaterializeResult(
        metadata={
            "database_MB": kept.product.after / 1e6,
            "dagster_MB": kept.dagster.after / 1e6,
            "vacuumed": len(kept.product.vacuumed) + len(kept.dagster.vacuumed),
            "analysed": len(kept.product.analysed) + len(kept.dagster.analysed),
            "rows_put_together": sum(kept.condensed.values()),
        }
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    code_version="1",
    description="A copy of the house in ORIMONO_BACKUP_FOLDER: both databases, objects and files; only what is new is "
    "copied, and the newest ORIMONO_BACKUPS_KEPT stay. `orimono restore` puts one back. Without that folder, nothing.",
)
def house_backup(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pathlib import Path

    from pipelines.upkeep import backup

    if not studio.settings.backup_folder:
        return dg.MaterializeResult(metadata={"backup": "none: ORIMONO_BACKUP_FOLDER is not set"})
    with failures_told_apart():
        made = backup.make(studio, Path(studio.settings.backup_folder), keep=studio.settings.whole("backups_kept"))
    return dg.MaterializeResult(
        metadata={
            "backup": made.name,
            "files": made.files,
            "MB": made.size / 1e6,
            "MB_copied": made.copied / 1e6,
            "removed": len(made.removed),
            "missing": len(made.missing),
            "damaged": len(made.damaged),
        }
    )
