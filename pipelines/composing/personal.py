"""A composer's own style, learned from a folder of their MIDI files: a version each time, for them alone.

What is taken from a piece is own_pieces.py's. A style is kept under its composer's pseudonym, needs their consent, and
goes with it: with a withdrawal (governance/withdrawal.py), or when training is taken back.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import BadInput

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pipelines.composing.own_pieces import PersonalStyle, Taken
    from pipelines.studio import Studio

ENDINGS = (".mid", ".midi", ".smf")
MOST_FILES = 1000
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Learned:
    """What became of a folder. ``skipped``: names of files with why nothing was taken of them."""

    version: int
    pieces: int
    four_part: int  # of the pieces: those that the chorale style remembers
    chord_changes: int  # counted for the pop style
    skipped: tuple[tuple[str, str], ...]
    style: PersonalStyle


def learn(studio: Studio, owner: str, folder: str | Path, *, consent: bool = False) -> Learned:
    """Learns ``owner``'s style from the MIDI files of ``folder`` (not of folders in it), as their next version.

    It needs their consent to training, by a job of theirs or, with ``consent``, by word for this folder; which of them
    is in the audit trail. A file that cannot be read is skipped. BadInput without consent, while a withdrawal of theirs
    is carried out, and for a folder of which nothing can be learned.
    """
    from pipelines.composing.own_pieces import style_of
    from pipelines.governance.people import pseudonym
    from pipelines.storage import audit, composer_styles, withdrawals
    from pipelines.storage.arrays import pack

    person = pseudonym(owner)
    with studio.database.session() as session:
        _permit(session, owner, consent=consent)  # before hundreds of files are read
    taken, skipped = _read(Path(folder))
    with studio.database.session() as session:
        withdrawals.lock_person(session, person)  # a withdrawal that is asked for now waits, and then finds the row
        by_job = _permit(session, owner, consent=consent)
        version = composer_styles.next_version(session, withdrawals.spellings(session, person))
        style = style_of(taken, version)
        data = pack(style)
        metrics = {"four_part": len(style.chorales), "chord_changes": style.chord_changes, "skipped": len(skipped)}
        row = composer_styles.add(
            session,
            owner=owner.strip(),
            version=version,
            content_hash=hashlib.sha256(data).hexdigest(),
            pieces=style.pieces,
            metrics=metrics,
        )
        detail = {"version": version, "pieces": style.pieces, "consent": "job" if by_job else "word"}
        audit.write(session, actor=person, action="style.learn", subject=f"user:{person}", detail=detail)
        studio.objects.put_named(row.object_key, data)
    return Learned(version, style.pieces, len(style.chorales), style.chord_changes, tuple(skipped), style)


def current(studio: Studio, owner: str) -> PersonalStyle | None:
    """The newest version that may be used; None when there is none, and from the moment on in which its composer
    withdraws or takes training back."""
    from pipelines.governance.people import pseudonym
    from pipelines.storage import composer_styles, consents, withdrawals

    person = pseudonym(owner)
    with studio.database.session() as session:
        row = composer_styles.newest(session, withdrawals.spellings(session, person))
        taken_back = consents.taken_back_at(session, person)
        if row is None or withdrawals.of_person(session, person) is not None:
            return None
        if taken_back is not None and taken_back >= row.created_at:
            return None
        version, key = row.version, row.object_key
    data = studio.objects.get_named(key)
    if data is None:
        log.warning("version %d of the style of user:%s has lost its bytes; it is not used", version, person)
        return None
    from pipelines.composing.own_pieces import PersonalStyle
    from pipelines.storage.arrays import unpack

    return unpack(PersonalStyle, data)


def forget(studio: Studio, owner: str) -> int:
    """Deletes every version of ``owner``'s style; returns how many there were."""
    from pipelines.governance.people import pseudonym
    from pipelines.storage import audit, composer_styles, withdrawals

    person = pseudonym(owner)
    with studio.database.session() as session:
        withdrawals.lock_person(session, person)
        rows = composer_styles.of_owners(session, withdrawals.spellings(session, person))
        ids = [row.id for row in rows]
        _delete(studio, session, {row.object_key for row in rows}, ids)
        if ids:
            detail = {"versions": len(ids)}
            audit.write(session, actor=person, action="style.forget", subject=f"user:{person}", detail=detail)
    return len(ids)


def erase_taken_back(studio: Studio) -> int:
    """Deletes the styles of all who took training back since they were learned; returns how many."""
    from pipelines.governance.people import pseudonym
    from pipelines.storage import audit, composer_styles

    with studio.database.session() as session:
        rows = composer_styles.taken_back(session)
        _delete(studio, session, {row.object_key for row in rows}, [row.id for row in rows])
        for row in rows:
            person = pseudonym(row.owner)
            detail = {"version": row.version, "reason": "consent to training taken back"}
            audit.write(session, actor="system", action="style.forget", subject=f"user:{person}", detail=detail)
    return len(rows)


def _delete(studio: Studio, session: Session, keys: set[str], ids: list[int]) -> None:
    from pipelines.storage import composer_styles

    for key in sorted(
        keys
    ):  # before the commit: a row without its object is found again, an object without a row is not
        studio.objects.delete(key)
        (studio.objects.folder / key).unlink(missing_ok=True)
    composer_styles.forget(session, ids)


def _permit(session: Session, owner: str, *, consent: bool) -> bool:
    """Whether a job's consent allows it; BadInput when neither that nor their word does."""
    from pipelines.governance.people import pseudonym
    from pipelines.storage import composer_styles, withdrawals

    person = pseudonym(owner)
    if withdrawals.of_person(session, person) is not None:
        raise BadInput(owner.strip(), "withdrew, which is being carried out", "learn again when that is done")
    by_job = composer_styles.allowed(session, withdrawals.spellings(session, person))
    if not by_job and not consent:
        remedy = "allow training in a job.yaml, or say that they consent to it for this folder"
        raise BadInput(owner.strip(), "has allowed nothing to be learned from", remedy)
    return by_job


def _read(folder: Path) -> tuple[list[Taken], list[tuple[str, str]]]:
    from pipelines.composing import midi_reading
    from pipelines.composing.own_pieces import take

    remedy = "give a folder with MIDI files of your own pieces"
    if not folder.is_dir():
        raise BadInput(folder, "is no folder", remedy)
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    if len(files) > MOST_FILES:
        raise BadInput(folder, f"holds {len(files)} MIDI files", f"give at most {MOST_FILES}")
    taken, skipped = [], []
    for path in files:
        try:
            taken.append(take(midi_reading.read(path)))
        except BadInput as error:
            skipped.append((path.name, error.reason))
    if not taken:
        raise BadInput(folder, "holds no MIDI file of which a style can be learned", remedy)
    return taken, skipped
