"""What the checks of composing ask: of the corpus, the model and its release, and of a batch's arrangements.

Each finding is a sentence. Arrangements are read back from the files that their owner takes away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines import outcomes
from pipelines.composing import batch, melody, midi_reading
from pipelines.composing.piece import Piece
from pipelines.errors import BadInput
from pipelines.storage import arrangements, jobs
from pipelines.studio import Studio

MOST_PARALLELS = 2.0  # in 100 changes of chord


@dataclass(frozen=True, slots=True)
class Made:
    """One candidate as it was kept. ``source``: the melody's file, ``track`` its place there."""

    name: str
    style: str
    measures: dict[str, float]
    source: str
    track: str | None
    key: str | None


def failures(studio: Studio, key: str) -> list[str]:
    """Why melodies could not be arranged."""
    return outcomes.failures(studio, key, batch.KIND, batch.VERSION)


def melodies_changed(studio: Studio, key: str) -> list[str]:
    """Arrangements in which a note of the melody sounds at another time or pitch than in its upload."""
    found = []
    for made in _made(studio, key):
        if made.key is None:
            continue
        source = midi_reading.parse(studio.objects.local(made.source).read_bytes(), made.name)
        track = int(made.track) if made.track is not None and made.track.isdecimal() else made.track
        theirs = source.parts[melody.find(source, track).track].notes
        try:
            ours = midi_reading.parse(studio.objects.local(made.key).read_bytes(), made.name)
        except BadInput as error:
            found.append(str(error))
            continue
        if not _holds(ours, [(note.start, note.duration, note.pitch) for note in theirs]):
            found.append(f"{made.name}: the melody is not the one that came")
    return found


def parallels(studio: Studio, key: str) -> list[str]:
    """Chorales with too many parallel fifths and octaves, as they were measured when they were made."""
    return [
        f"{made.name}: {made.measures['parallels']:.1f} parallels in 100 changes of chord"
        for made in _made(studio, key)
        if made.style == "chorale" and made.measures.get("parallels", 0.0) > MOST_PARALLELS
    ]


def _holds(piece: Piece, notes: list[tuple[int, int, int]]) -> bool:
    wanted = sorted(notes)
    return any(wanted == sorted((n.start, n.duration, n.pitch) for n in part.notes) for part in piece.parts)


def _made(studio: Studio, key: str) -> Iterator[Made]:
    with studio.database.session() as session:
        for row in jobs.of_batch(session, key):
            sources = {u.id: u.object_key for u in row.uploads}
            for one in arrangements.of_job(session, row.id):
                source = sources.get(one.upload_id or 0)
                if source is not None and one.candidate != arrangements.FORMER:
                    name = f"{row.name}/{one.name} ({one.style} {one.candidate})"
                    yield Made(name, one.style, one.measures, source, row.compose.get("track"), one.object_key)
