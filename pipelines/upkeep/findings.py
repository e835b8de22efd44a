"""What is not as upkeep promises, one sentence each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from pipelines import clock
from pipelines.errors import BadInput
from pipelines.storage import dumps, references, storage_use
from pipelines.studio import Studio
from pipelines.upkeep import manifests, pool, tables

STALE = timedelta(days=2)


def missing_objects(studio: Studio) -> Sequence[str]:
    """How many objects are named by rows and not in the store. No key is told, which would be a hash of somebody's
    content in records that outlive them; ``orimono gc --dry-run`` names them."""
    with studio.database.session() as session:
        promised = references.promised(session)
    missing = promised - {item.key for item in storage_use.stored(studio.objects) if not item.copy}
    remedy = "`orimono gc --dry-run` names them; restore them or compute their jobs again"
    return [f"{len(missing)} objects that tables name are not in the store; {remedy}"] if missing else []


def bloated_tables(studio: Studio) -> Sequence[str]:
    return tables.bloated(studio)


def broken_backup(studio: Studio) -> Sequence[str]:
    """Nothing where no folder is set. The content's bytes are not read again here: ``orimono backup --check`` does."""
    if not studio.settings.backup_folder:
        return []
    folder = Path(studio.settings.backup_folder).expanduser().resolve()
    known = manifests.names(folder)
    if not known:
        return [f"{folder} holds no finished backup"]
    try:
        manifest = manifests.read(folder / known[-1])
        manifests.check(folder, manifest)
        for dump in manifest.databases.values():
            dumps.contents(folder / manifest.name / dump.file)
        entries = manifests.read_entries(folder / manifest.name / manifests.ENTRIES)
        gone = sum(not pool.has(folder, entry.sha256, entry.size) for entry in entries)
    except BadInput as error:
        return [str(error)]
    found = [f"the content of {gone} files of {manifest.name} is gone"] if gone else []
    if clock.now() - manifest.made_at > STALE:
        found.append(f"the newest backup is of {manifest.made_at:%Y-%m-%d %H:%M} UTC")
    return found
