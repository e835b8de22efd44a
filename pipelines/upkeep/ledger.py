"""Who has taken their consent back, all of it or a job's, noted beside the backups as it happens: what an older backup
puts back is excluded again at once, and deleted within a day."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput, NotFound, OrimonoError
from pipelines.governance import consent, withdrawal
from pipelines.governance.people import Actor, pseudonym
from pipelines.media.replacing import replace_bytes
from pipelines.storage import consents, viewers, withdrawals
from pipelines.studio import Studio

FILE = "withdrawals.json"  # pseudonyms only
CONSENTS = "consents.json"  # numbers of jobs and pseudonyms
LOCK = "withdrawals.lock"
_PARTS = {FILE: {"person", "requested_at", "keep"}, CONSENTS: {"subject", "owner", "at", "allowed"}}
RESTORER = Actor("restore", "operator")
Noted = list[dict[str, Any]]
log = logging.getLogger(__name__)


def tell(studio: Studio) -> None:
    """``note`` beside the nightly backups, if there are any. A disk that is away keeps nobody from taking their consent
    back: it is logged, and noted by the next hourly run that finds the folder."""
    if not studio.settings.backup_folder:
        return
    try:
        note(studio, Path(studio.settings.backup_folder).expanduser())
    except (OrimonoError, OSError) as error:
        log.error("what was taken back is not noted beside the backups, and is tried again within the hour: %s", error)


def note(studio: Studio, folder: Path) -> None:
    """Adds what the database knows to what the folder, which exists, knew."""
    with _alone(folder):
        gone = {(str(w["person"]), str(w["requested_at"])): w for w in read(folder)}
        less = {(str(c["subject"]), str(c["owner"])): c for c in read(folder, CONSENTS)}
        with studio.database.session() as session:
            for row in withdrawals.listed(session):
                person = row.user_id if row.completed_at is not None else pseudonym(row.user_id)
                at = row.requested_at.isoformat()
                gone[person, at] = {"person": person, "requested_at": at, "keep": row.keep_originals}
            for said in consents.newest_said(session):
                owner = str(said.detail.get("owner", ""))
                facts = {"subject": said.subject, "owner": owner, "at": said.at.isoformat()}
                less[said.subject, owner] = facts | {"allowed": said.detail["after"]}
        _write(folder, FILE, [gone[key] for key in sorted(gone)])
        _write(folder, CONSENTS, [less[key] for key in sorted(less)])


def read(folder: Path, name: str = FILE) -> Noted:
    """Oldest first of each person. BadInput for a file that cannot be read: nobody would be excluded again."""
    try:
        found: Noted = json.loads((folder / name).read_text())
        if not isinstance(found, list) or not all(isinstance(w, dict) and w.keys() >= _PARTS[name] for w in found):
            raise ValueError
        return found
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise BadInput(folder / name, "cannot be read", "mend it from another copy of the backups") from error


def apply(studio: Studio, folder: Path, since: datetime) -> list[str]:
    """Repeats in a house that was put back what was taken back since that moment; pseudonyms of who withdrew."""
    for said in read(folder, CONSENTS):
        if datetime.fromisoformat(said["at"]) > since:
            _take_back(studio, said)
    later = [w for w in read(folder) if datetime.fromisoformat(w["requested_at"]) > since]
    done = []
    for person in dict.fromkeys(w["person"] for w in later):
        keep = all(w["keep"] for w in later if w["person"] == person)
        with studio.database.session() as session:
            names = withdrawals.spellings(session, person)  # a viewer has none: their id says who
            names += [str(row.user_id) for row in viewers.of_pseudonyms(session, [person])]
        for name in names:  # the first one that is theirs covers all the others
            try:
                withdrawal.request(studio, name, RESTORER, keep_originals=keep)
                done.append(person)
                break
            except NotFound:
                log.info("user:%s gave nothing that this backup holds", person)
    return done


def _take_back(studio: Studio, said: dict[str, Any]) -> None:
    """Of a job, only where it is still the same owner's: after a restoring, numbers are given out again. What was given
    since the backup is not given here."""
    allowed: dict[str, bool] = said["allowed"]
    kind, _, whose = said["subject"].partition(":")
    with studio.database.session() as session:
        if kind == "job":
            row = consents.of_job(session, int(whose))
            if row is not None and row.withdrawn_at is None and pseudonym(row.owner) == said["owner"]:
                kept = {name: getattr(row, name) and allowed[name] for name in ("quality", "training")}
                consent.give(session, RESTORER, row.job_id, **kept)
        elif not allowed["training"]:
            for viewer in viewers.of_pseudonyms(session, [whose]):
                if viewer.withdrawn_at is None:
                    at = datetime.fromisoformat(said["at"])
                    viewers.consent(session, viewer.user_id, training=False, actor=RESTORER.pseudonym, now=at)


def _write(folder: Path, name: str, noted: Noted) -> None:
    if noted != read(folder, name):
        replace_bytes(folder / name, json.dumps(noted, indent=1).encode())


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody adds between another's reading and writing, who would be lost."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
