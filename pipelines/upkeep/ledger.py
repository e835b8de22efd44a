"""Who has taken their consent back, noted beside the backups: what an older backup puts back is excluded again at
once, and deleted within a day."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput, NotFound
from pipelines.governance import withdrawal
from pipelines.governance.people import Actor, pseudonym
from pipelines.storage import viewers, withdrawals
from pipelines.studio import Studio

FILE = "withdrawals.json"  # pseudonyms only
RESTORER = Actor("restore", "operator")
log = logging.getLogger(__name__)


def note(studio: Studio, folder: Path) -> None:
    """Adds what the database knows to what the folder knew."""
    known = {(str(w["person"]), str(w["requested_at"])): w for w in read(folder)}
    with studio.database.session() as session:
        for row in withdrawals.listed(session):
            person = row.user_id if row.completed_at is not None else pseudonym(row.user_id)
            at = row.requested_at.isoformat()
            known[person, at] = {"person": person, "requested_at": at, "keep": row.keep_originals}
    part = folder / f".{FILE}.new"
    part.write_text(json.dumps([known[key] for key in sorted(known)], indent=1))
    part.replace(folder / FILE)


def read(folder: Path) -> list[dict[str, Any]]:
    """Oldest first of each person. BadInput for a file that cannot be read: nobody would be excluded again."""
    try:
        found: list[dict[str, Any]] = json.loads((folder / FILE).read_text())
        return found
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise BadInput(folder / FILE, "cannot be read", "mend it from another copy of the backups") from error


def apply(studio: Studio, folder: Path, since: datetime) -> list[str]:
    """Repeats in a house that was put back what was withdrawn since that moment; pseudonyms of whom."""
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
