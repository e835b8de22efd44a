"""Puts a person's folder into the inbox as a job: checked first, then copied whole or not at all.

Taking jobs from the inbox is left to scan.py.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import unicodedata
from pathlib import Path

from pipelines.errors import BadInput, Unavailable
from pipelines.intake import content, job_file
from pipelines.intake.folder import INCOMING, REPLACED, housekeeping, lock_incoming
from pipelines.intake.job_file import MARKER, NAME, JobFile
from pipelines.media.hashing import content_hash
from pipelines.settings import Settings


def ingest(source: Path, inbox: Path, settings: Settings | None = None) -> Path:
    """The job's folder in the inbox, named like ``source``, complete with its marker.

    Media may lie elsewhere (``../../media/x.ogg``): they are copied beside the job file, which is rewritten. A job of
    the same name is replaced in one step. Raises BadInput for whatever a scan would refuse, Unavailable on a full disk.
    """
    source = source.resolve()
    job, files = _checked(source, settings or Settings())
    with housekeeping(inbox):
        work = Path(tempfile.mkdtemp(prefix=INCOMING, dir=inbox))
        lock = lock_incoming(work)
    assert lock is not None
    try:
        _copy(job, files, work / "job")
        return _publish(work / "job", inbox, source.name)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable(inbox, "the disk is full, free some space", 60) from error
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(lock)


def _checked(source: Path, settings: Settings) -> tuple[JobFile, dict[str, Path]]:
    """The job file and, by its names there, the files."""
    if not source.is_dir():
        raise BadInput(source, "is not a folder", f"give a folder with {NAME} and media")
    if source.name.startswith(".") or not job_file.sayable(source.name) or len(os.fsencode(source.name)) > 200:
        raise BadInput(source, "has a name that no job can have", "rename it to something short and visible")
    description = source / NAME
    if description.is_symlink() or not description.is_file():
        raise BadInput(source, f"has no {NAME}", "add one as the README shows")
    if description.stat().st_size > job_file.MAX_BYTES:
        raise BadInput(description, f"is larger than {job_file.MAX_BYTES // 1024} KB", job_file.REMEDY)
    job = job_file.parse(description.read_bytes(), description)
    files: dict[str, Path] = {}
    for item in job.files:
        path = source / item.file
        if path.is_symlink():
            raise BadInput(path, "is a symbolic link", "list the file itself")
        if not path.is_file():
            raise BadInput(description, f"lists {item.file}, which is not there", "copy the file there or unlist it")
        try:
            content.check(path, item.kind, settings)
        except BadInput as error:
            raise BadInput(path, error.reason, error.remedy) from error
        files[item.file] = path
    content.check_job(source.name, [item.kind for item in job.files], ())
    return job, files


def _copy(job: JobFile, files: dict[str, Path], target: Path) -> None:
    """Flat and under unique names, the marker with its manifest last."""
    target.mkdir()
    taken = {NAME.casefold(), MARKER.casefold()}
    items, manifest = [], {}
    for item in job.files:
        name = unique(files[item.file].name, taken)
        shutil.copyfile(files[item.file], target / name)
        manifest[name] = {"size": (target / name).stat().st_size, "sha256": content_hash(target / name)}
        items.append(item.model_copy(update={"file": name}))
    (target / NAME).write_bytes(job_file.dump(job.model_copy(update={"files": tuple(items)})))
    manifest[NAME] = {"size": (target / NAME).stat().st_size, "sha256": content_hash(target / NAME)}
    (target / MARKER).write_text(json.dumps({"files": manifest}, ensure_ascii=False, indent=1))


def unique(name: str, taken: set[str]) -> str:
    """The name, or ``name-2.ogg`` and so on; unique for file systems that ignore case or composition, too."""
    path = Path(unicodedata.normalize("NFC", name))
    candidate, number = path.name, 2
    while candidate.casefold() in taken:
        candidate, number = f"{path.stem}-{number}{path.suffix}", number + 1
    taken.add(candidate.casefold())
    return candidate


def _publish(made: Path, inbox: Path, name: str) -> Path:
    target = inbox / name
    with housekeeping(inbox):
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise BadInput(target, "is in the way and is no job folder", "move it away")
        if (target / MARKER).is_file() and (target / MARKER).read_bytes() == (made / MARKER).read_bytes():
            return target
        if not target.exists():
            return made.rename(target)
        former = inbox / f"{REPLACED}{name}"
        target.rename(former)
        made.rename(target)
        shutil.rmtree(former)
    return target
