"""What was arranged and which candidate a person took: written down, so that the ranking learns from it.

The tables are storage/arrangements.py's, what is learned taste.py's, who may withdraw what governance's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pipelines import clock
from pipelines.composing.wishes import Wishes, wish_hash
from pipelines.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.composing.arranging import Candidate
    from pipelines.studio import Studio


@dataclass(frozen=True, slots=True)
class Recorded:
    """A candidate's row. ``object_key``: of its MIDI file in the store."""

    id: int
    candidate: int
    object_key: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What was taken. ``among``: how many candidates there were. ``candidate``: its number as the last making has it; 0
    for one of an earlier making that the last one did not make again."""

    id: int
    name: str  # of the melody
    candidate: int
    among: int
    style: str


def record(
    studio: Studio,
    owner: str,
    candidates: Sequence[Candidate],
    wishes: Wishes,
    *,
    content_hash: str,
    name: str,
    job_id: int | None = None,
    upload_id: int | None = None,
    now: datetime | None = None,
) -> list[Recorded]:
    """Keeps the candidates' MIDI files and writes them down, in their order. The same again (owner, job,
    ``content_hash`` of the melody's file, wish, notes) is the same rows, numbered as they are ranked now. ``name``: of
    the melody; ``job_id``, ``upload_id``: of the inbox.

    BadInput for an empty owner; Unavailable when the store is away.
    """
    from pipelines.composing.midi_writing import to_bytes
    from pipelines.governance import vault
    from pipelines.governance.people import pseudonym
    from pipelines.storage import arrangements
    from pipelines.storage.arrangements import Melody, NewArrangement

    pseudonym(owner)
    melody = Melody(owner.strip(), name, content_hash, wishes.style, wish_hash(wishes), job_id, upload_id)
    files = [to_bytes(candidate.piece) for candidate in candidates]
    with studio.database.session() as session:
        new = []
        for candidate, data in zip(candidates, files, strict=True):
            key = studio.objects.put_bytes(data, ".mid")
            measures = {k: float(v) for k, v in candidate.measures.items()}
            about = (candidate.number, candidate.seed, measures, candidate.rating, candidate.made_by)
            new.append(NewArrangement(*about, object_key=key))
            if job_id is not None:
                digest = key.split("/")[-1].removesuffix(".mid")
                vault.keep(session, job_id, melody.owner, "arrangement", key, digest, len(data), now or clock.now())
        ids, replaced = arrangements.record(session, melody, new)
        for key in arrangements.unneeded(session, replaced):
            studio.objects.delete(key)  # before the commit: a row without its object is made again
    return [Recorded(i, one.candidate, one.object_key) for i, one in zip(ids, new, strict=True)]


def choose(studio: Studio, owner: str, which: int | str, now: datetime | None = None) -> Choice:
    """Writes down that ``owner`` took this candidate and none of those beside it. ``which``: its id, or the SHA-256 of
    its MIDI file. Again, or of another candidate: the last word counts. BadInput when there is none of theirs."""
    from pipelines.governance.people import pseudonym
    from pipelines.storage import arrangements, audit, withdrawals

    person = pseudonym(owner)
    with studio.database.session() as session:
        names = withdrawals.spellings(session, person)
        row = None
        if isinstance(which, int):
            row = arrangements.get(session, which, names)
        elif re.fullmatch(r"[0-9a-f]{64}", which):
            row = arrangements.of_object(session, which, names)
        if row is None:
            what = f"arrangement {which}" if isinstance(which, int) else "this file"
            remedy = "give the file as it was written, and the owner's name that it was made under"
            raise BadInput(what, f"is no arrangement made for {owner.strip()}", remedy)
        beside = arrangements.of_wish(session, row)
        arrangements.choose(session, row, now or clock.now())
        among = sum(1 for one in beside if one.candidate != arrangements.FORMER or one.id == row.id)
        detail = {"style": row.style, "candidate": row.candidate, "among": among}
        audit.write(session, actor=person, action="arrangement.choose", subject=f"arrangement:{row.id}", detail=detail)
        return Choice(row.id, row.name, row.candidate, among, row.style)
