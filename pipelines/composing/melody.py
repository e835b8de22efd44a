"""Finds the melody in a piece: which track, as one voice, with its key and its grid, and says what was done.

Nothing of the notes is changed; how notes become frames is grid.py's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipelines.composing import key as keys
from pipelines.composing import pickups
from pipelines.composing.grid import Grid
from pipelines.composing.key import KeyEstimate
from pipelines.composing.piece import Key, Metre, Note, Part, Piece
from pipelines.errors import BadInput

_NAMED_MELODY = re.compile(
    r"melod|lead|vocal|vox|voice|sopran|solo|sing|tune|theme|メロディ|旋律|主旋|歌|ボーカル|ヴォーカル", re.I
)
_NAMED_OTHER = re.compile(
    r"bass|drum|perc|pad|chord|string|comp|rhythm|arp|left|tenor|alto|fx|ベース|ドラム|和音|伴奏", re.I
)
_SINGABLE = (55, 84)  # G3..C6: where a lead line's middle lies
_FAR_BELOW = 14  # semitones under the middle of the top line: in a track of two hands the left one, heard in a rest
_WRITTEN = 1e6  # above all that can be told by listening
_ONE_VOICE = 0.9  # share of notes that begin when nothing else sounds on


@dataclass(frozen=True, slots=True)
class Melody:
    """``part``: the melody's notes as they were, one at a time (legato may overlap a little), role melody; ``track``:
    its place in ``piece.parts`` from 0; ``notes``: sentences about what was done.
    """

    piece: Piece
    part: Part
    key: KeyEstimate
    grid: Grid
    notes: tuple[str, ...]
    track: int

    @property
    def metres(self) -> tuple[Metre, ...]:
        """The piece's metres as the grid counts bars: those of the file, or with a pick-up that is only heard as a
        short first one. What is written and drawn has these, so that bars have one number everywhere."""
        if not self.grid.n_beats or self.grid.bar[-1] < 2:
            return self.piece.metres
        return pickups.shown(self.piece, int(self.grid.beat_ticks[int((self.grid.bar == 1).sum())]))


def of_file(data: bytes, name: str, track: int | str | None = None) -> Melody:
    """The melody in a MIDI file's bytes; BadInput, which calls the file ``name``, when there is none."""
    from pipelines.composing import midi_reading

    piece = midi_reading.parse(data, name)
    try:
        return find(piece, track)
    except BadInput as error:
        raise BadInput(name if error.what == piece.name else error.what, error.reason, error.remedy) from error


def find(piece: Piece, track: int | str | None = None) -> Melody:
    """The melody of ``piece``: in the track of that number (from 1) or name, else in the one that is most like a melody
    by name, by playing one note at a time, by range and by how much it plays. Of chords the top line is taken.

    Raises BadInput when there are no notes, only percussion, or no such track.
    """
    playing = [number for number, part in enumerate(piece.parts) if part.notes]
    if not playing:
        raise BadInput(piece.name, "has no notes", "give a MIDI file with a melody in it")
    pitched = [number for number in playing if not piece.parts[number].drums]
    if not pitched:
        raise BadInput(piece.name, "has only percussion", "give a file with a melody on a channel other than 10")
    said: list[str] = []
    if track is None:
        chosen = max(pitched, key=lambda number: (_likeness(piece, piece.parts[number]), -number))
        if len(pitched) > 1:
            said.append(
                f"Track {chosen + 1} {piece.parts[chosen].name!r} was taken as the melody, "
                f"of {len(pitched)} that play notes."
            )
    else:
        chosen = _told(piece, track)
        if chosen not in pitched:
            what = "is percussion" if piece.parts[chosen].drums else "has no notes"
            raise BadInput(f"track {piece.parts[chosen].name!r}", what, _name_one(piece, pitched))
    part = piece.parts[chosen]
    line, dropped = one_voice(part.notes, piece.ticks_per_quarter)
    if dropped:
        said.append(
            f"{part.name!r} plays several notes at once: its top line was taken, "
            f"{dropped} of {len(part.notes)} notes lie below it."
        )
    given = piece.keys[0].key if piece.keys[0].key != Key(0) else None  # C major is also what programs write unasked
    estimate = keys.estimate([note.pitch for note in line], [note.duration for note in line], given)
    grid = Grid.of(piece, line)
    found = Melody(piece, replace(part, notes=line, role="melody"), estimate, grid, tuple(said), chosen)
    if found.metres != piece.metres:
        beats = "beat" if grid.pickup == 1 else "beats"
        pick_up = (
            f"The melody begins with a pick-up of {grid.pickup} {beats}, unlike the file's bars: bar 1 is taken as "
            "incomplete, and the arrangement's bar lines lie accordingly."
        )
        found = replace(found, notes=(*said, pick_up))
    return found


def _told(piece: Piece, track: int | str) -> int:
    everyone = list(range(len(piece.parts)))
    if isinstance(track, int) or track.strip().isdecimal():
        number = int(track) - 1
        if 0 <= number < len(piece.parts):
            return number
        raise BadInput(f"track {track}", "is not in the file", _name_one(piece, everyone))
    wanted = track.strip().casefold()
    names = [part.name.casefold() for part in piece.parts]
    for matches in (
        [n for n in everyone if names[n] == wanted],
        [n for n in everyone if wanted and wanted in names[n]],
    ):
        if matches:
            return max(matches, key=lambda n: (bool(piece.parts[n].notes) and not piece.parts[n].drums, -n))
    raise BadInput(f"track {track!r}", "is not in the file", _name_one(piece, everyone))


def _name_one(piece: Piece, numbers: Sequence[int]) -> str:
    listed = ", ".join(f"{number + 1} {piece.parts[number].name!r}" for number in numbers[:8])
    return f"give one of {listed}" + (" ..." if len(numbers) > 8 else "")


def _likeness(piece: Piece, part: Part) -> float:
    starts = np.array([note.start for note in part.notes])
    ends = np.array([note.end for note in part.notes])
    pitches = np.array([note.pitch for note in part.notes])
    alone = _alone(part.notes, piece.ticks_per_quarter)
    middle = float(np.median(pitches))
    out_of_range = max(_SINGABLE[0] - middle, middle - _SINGABLE[1], 0.0)
    span = max(piece.length, int(ends.max()))
    beats = max(span / piece.ticks_per_quarter, 1.0)
    busy = min(len(np.unique(starts)) / beats, 1.0) + min(float((ends - starts).sum()) / span, 1.0)
    variety = min(len(np.unique(pitches)) / 5, 1.0)
    if part.role == "melody":  # as a file of ours says
        return _WRITTEN
    named = 2.5 * bool(_NAMED_MELODY.search(part.name)) - 1.5 * bool(_NAMED_OTHER.search(part.name))
    return named + 2 * alone + busy + variety + (middle - 60) / 24 - out_of_range / 6


def _alone(notes: Sequence[Note], ticks_per_quarter: int) -> float:
    """The share of notes that begin when no other sounds on, beyond a legato's overlap."""
    alone, end, before = 0, -1, -1
    for note in notes:
        overlap = end - note.start
        alone += note.start != before and overlap <= _legato(note.duration, ticks_per_quarter)
        end, before = max(end, note.end), note.start
    return alone / len(notes)


def _legato(duration: int, ticks_per_quarter: int) -> int:
    return max(ticks_per_quarter // 4, duration // 2)


def one_voice(notes: Sequence[Note], ticks_per_quarter: int) -> tuple[tuple[Note, ...], int]:
    """The top line of ``notes`` (in order of start), each as it was, and how many were left out.

    Left out are notes under a higher one that begins with them or sounds on for longer than a legato would, and, where
    the track is clearly no single voice, those far below the line.
    """
    line: list[Note] = []
    together = ticks_per_quarter // 16
    for note in sorted(notes, key=lambda note: (note.start, -note.pitch, -note.duration)):
        if line:
            top = line[-1]
            overlap = top.end - note.start
            if note.start - top.start <= min(together, top.duration // 2) and overlap > 0:
                if note.pitch > top.pitch:
                    line[-1] = note
                continue
            if note.pitch <= top.pitch and overlap > _legato(min(note.duration, top.duration), ticks_per_quarter):
                continue
        line.append(note)
    if _alone(notes, ticks_per_quarter) < _ONE_VOICE:
        floor = float(np.median([note.pitch for note in line])) - _FAR_BELOW
        line = [note for note in line if note.pitch >= floor]
    return tuple(line), len(notes) - len(line)
