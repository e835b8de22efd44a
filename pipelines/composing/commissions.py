"""An arrangement for somebody: by the model of their rollout, coloured and ranked by what is known of them, recorded.

Who may learn from what is personal.py's and taste.py's; without an owner, arranging.py is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from pipelines.composing import arranging, personal, recording, serving, suggesting, taste
from pipelines.composing.arranging import Arranged
from pipelines.composing.piece import Piece, Role
from pipelines.composing.suggesting import Suggestion
from pipelines.composing.wishes import Wishes
from pipelines.studio import Studio

Suggestions = Mapping[Role, list[Suggestion]]


@dataclass(frozen=True, slots=True)
class Source:
    """Whose melody it is: ``name`` of its file, ``content_hash`` of its bytes; ids of the inbox's job and upload."""

    owner: str
    name: str
    content_hash: str
    job_id: int | None = None
    upload_id: int | None = None


def arrange(studio: Studio, source: Source, piece: Piece, wishes: Wishes) -> tuple[Arranged, list[int]]:
    """The arrangements and the ids of their rows, in order. Again with the same models: the same rows."""
    style = personal.current(studio, source.owner)
    with serving.LiveHarmonizers(studio) as models, models.of(source.owner) as served:
        made = arranging.arrange(
            piece, wishes, harmonizer=served.harmonizer, taste=taste.of(studio, source.owner), style=style
        )
    rows = recording.record(
        studio,
        source.owner,
        made.candidates,
        wishes,
        content_hash=source.content_hash,
        name=source.name,
        job_id=source.job_id,
        upload_id=source.upload_id,
    )
    return made, [row.id for row in rows]


def suggestions(session: Session | None, made: Arranged, style: str, owner: str | None = None) -> Suggestions:
    """Instruments for each part of the best candidate; without a database, by their tags alone."""
    found: dict[Role, list[Suggestion]] = {}
    for part in made.candidates[0].piece.parts:
        pitches = [note.pitch for note in part.notes]
        reach = (min(pitches), max(pitches)) if pitches and not part.drums else None
        found[part.role] = suggesting.suggest(session, part.role, style, owner, pitches=reach)
    return found
