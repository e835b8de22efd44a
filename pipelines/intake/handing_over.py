"""What was submitted on a machine whose disk no sensor sees: taken in here, into the database and the bucket, and gone
from this disk then. How a folder is taken is scan.py's; with a local object store all is one disk, and nothing is done.

A submission is safe at every moment: its row and its folder wait for the next look, whoever is stopped meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from pathlib import Path

from pipelines.errors import BadInput
from pipelines.intake import folder as folders
from pipelines.intake import receiving, scan, submitting
from pipelines.storage import jobs, submissions
from pipelines.studio import Studio

GONE = ".handed-over-"  # a folder that was taken, on its way out: no other scan is to see it half empty
log = logging.getLogger(__name__)


def hand_over(studio: Studio) -> int:
    """One look at this inbox: takes what was submitted here and removes what was taken, refused ones with it, and what
    was withdrawn meanwhile. How many are left to the next look. Unavailable when a store is away."""
    if not studio.objects.remote or not studio.settings.inbox.is_dir():
        return 0
    submitting.finish(studio)
    waiting = _sent(studio.settings.inbox)
    with studio.database.session() as session:
        wanted = submissions.wanted(session, waiting)
    if wanted:
        found = scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings, only=wanted)
        if found.bad or found.bad_files:  # counts only: a log outlives what a person takes back
            refused = f"{len(found.bad)} jobs, {len(found.bad_files)} files"
            log.warning("refused of what was submitted: %s; `orimono status` names them", refused)
        if found.stopped:
            log.warning("what was submitted waits: %s", found.stopped)
    _remove_taken(studio, waiting)
    return len(_sent(studio.settings.inbox))


def drop_unknown(studio: Studio) -> None:
    """Pieces of uploads lie where they came in, and whoever carries out a withdrawal elsewhere sees rows alone: bytes
    whose row is gone, or whose time is up, go."""
    if studio.objects.remote:
        receiving.drop_expired(studio)


def _sent(inbox: Path) -> list[str]:
    if not inbox.is_dir():
        return []
    return sorted(p.name for p in inbox.iterdir() if not p.name.startswith(".") and (p / submitting.SENT).is_file())


def _remove_taken(studio: Studio, names: list[str]) -> None:
    inbox = studio.settings.inbox
    with studio.database.session() as session:
        wanted = submissions.wanted(session, names)
        known = jobs.fingerprints(session, names)
    with folders.housekeeping(inbox):  # no scan begins meanwhile
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                if name not in wanted or _fingerprint(inbox / name) == known.get(name):
                    (inbox / name).rename(inbox / f"{GONE}{name}")
        for path in [p for p in inbox.iterdir() if p.name.startswith(GONE)]:
            shutil.rmtree(path, ignore_errors=True)


def _fingerprint(path: Path) -> str:
    try:
        return folders.read(path).fingerprint
    except BadInput:
        return "unreadable"  # no fingerprint
