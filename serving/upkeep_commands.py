"""Commands of upkeep: garbage, backups, putting one back. Arguments are cli.py's."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput
from pipelines.settings import Settings

Answer = tuple[dict[str, Any], str]


def gc(arguments: Namespace, settings: Settings) -> Answer:
    """Objects that nothing refers to, and files of the home that were of use once."""
    from pipelines.studio import Studio
    from pipelines.upkeep import garbage, leftovers

    studio = Studio.open(settings)
    try:
        found = garbage.collect(studio, dry_run=arguments.dry_run)
        cleared = leftovers.clear(studio, dry_run=arguments.dry_run)
    finally:
        studio.database.close()
    result = {
        "dry_run": found.dry_run,
        "looked_at": found.looked_at,
        "deleted": list(found.deleted),
        "freed": found.freed,
        "waiting": found.waiting,
        "waiting_bytes": found.waiting_size,
        "by_reason": found.by_reason,
        "missing": list(found.missing),
        "files": cleared.files,
        "files_freed": cleared.freed,
    }
    return result, "\n".join([*found.lines(), *cleared.lines()])


def backup(arguments: Namespace, settings: Settings) -> Answer:
    """Makes one, lists them, or reads one through."""
    from pipelines.upkeep import manifests

    place = arguments.folder or settings.backup_folder
    if not place:
        raise BadInput("orimono backup", "was given no folder", "name one, or set ORIMONO_BACKUP_FOLDER")
    folder = Path(place).expanduser().resolve()
    if arguments.list:
        rows = [_told(manifests.read(folder / name)) for name in manifests.names(folder)]
        lines = [f"{r['name']}  {r['files']} files, {r['MB']:.1f} MB, tables of {r['revision']}" for r in rows]
        return {"folder": str(folder), "backups": rows}, "\n".join(lines) or "no backup yet"
    if arguments.check:
        return _checked(folder)
    return _made(settings, folder, arguments.keep)


def restore(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.upkeep import restoring

    into = Path(arguments.into) if arguments.into else None
    done = restoring.restore(settings, Path(arguments.folder), arguments.backup, into)
    result = {
        "home": str(done.home),
        "backup": done.name,
        "files": done.files,
        "bytes": done.size,
        "rows": done.rows,
        "migrated_from": done.migrated,
        "missing": done.missing,
        "excluded_again": len(done.withdrawn),
    }
    lines = [
        f"{done.name} is restored and verified in {done.home}: {done.rows} rows, {done.files} files, "
        f"{done.size / 1e6:.1f} MB",
        *([f"its tables were brought up to date from {done.migrated}"] if done.migrated else []),
        *([f"{len(done.withdrawn)} withdrew since, are excluded, and deleted within a day"] if done.withdrawn else []),
        *([f"{done.missing} objects were missing when the backup was made"] if done.missing else []),
    ]
    return result, "\n".join(lines)


def _made(settings: Settings, folder: Path, keep: int | None) -> Answer:
    from pipelines.studio import Studio
    from pipelines.upkeep import backup as backups

    studio = Studio.open(settings)
    try:
        made = backups.make(studio, folder, keep=keep or settings.whole("backups_kept"))
    finally:
        studio.database.close()
    result = {
        "folder": str(folder),
        "backup": made.name,
        "files": made.files,
        "bytes": made.size,
        "copied_bytes": made.copied,
        "removed": list(made.removed),
        "freed_bytes": made.freed,
        "missing": list(made.missing),
        "damaged": list(made.damaged),
        "exit_code": 1 if made.damaged else 0,
    }
    lines = [
        f"{made.name}: {made.files} files, {made.size / 1e6:.1f} MB, of which {made.copied / 1e6:.1f} MB were new",
        *(f"removed {name}" for name in made.removed),
        *(f"missing in the store: {key}" for key in made.missing[:10]),
        *(f"damaged in the store: {key}" for key in made.damaged[:10]),
    ]
    return result, "\n".join(lines)


def _checked(folder: Path) -> Answer:
    from pipelines.storage import dumps
    from pipelines.upkeep import manifests

    known = manifests.names(folder)
    if not known:
        raise BadInput(folder, "holds no finished backup", "make one with `orimono backup FOLDER`")
    manifest = manifests.read(folder / known[-1])
    manifests.check(folder, manifest)
    for dump in manifest.databases.values():
        dumps.contents(folder / manifest.name / dump.file)
    entries = manifests.read_entries(folder / manifest.name / manifests.ENTRIES)
    wrong = list(manifests.check_content(folder, entries))
    result = {"backup": manifest.name, "whole": not wrong, "damaged": wrong, "exit_code": 1 if wrong else 0}
    return result, "\n".join(wrong[:20]) or f"{manifest.name} is whole: {manifest.files} files, read through"


def _told(manifest: Any) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "made_at": manifest.made_at.isoformat(),
        "files": manifest.files,
        "MB": round(manifest.size / 1e6, 3),
        "revision": manifest.databases["orimono"].revision,
        "release": manifest.release,
    }
