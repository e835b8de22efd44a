"""What of an earlier arrangement stays, note for note, while the rest is made anew: voices, bars, all but a span.

Which notes are made beside it is chorale.py's and pop.py's, which are told the frames or chords that stay.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import chords
from pipelines.composing.grid import Grid
from pipelines.composing.melody import Melody
from pipelines.composing.piece import ROLES, ChordSpan, Key, Note, Part, Piece, Role
from pipelines.composing.tokens import REST, UNKNOWN
from pipelines.composing.wishes import VOICES, Wishes
from pipelines.errors import BadInput

LEAST_SHARED = 0.5  # of the melody's notes: half of it may be written anew between two arrangements, another tune not
_FOR_EVER = 1 << 62
_HARMONY: frozenset[Role] = frozenset({"bass", "chords", "pad", "arpeggio"})
_WORDS: tuple[tuple[str, Role], ...] = (
    ("melody", "melody"), ("soprano", "melody"), ("lead", "melody"), ("vocal", "melody"), ("alto", "alto"),
    ("tenor", "tenor"), ("bass", "bass"), ("arp", "arpeggio"), ("pad", "pad"), ("string", "pad"), ("chord", "chords"),
    ("comp", "chords"), ("piano", "chords"), ("guitar", "chords"), ("drum", "drums"), ("perc", "drums"),
)  # in a part's name, the first that is found  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """``parts``: of the earlier arrangement by role; ``stretches``: by role the ticks (start, end) that stay, in order,
    not overlapping. A role without a part stays silent there."""

    parts: Mapping[Role, Part]
    stretches: Mapping[Role, tuple[tuple[int, int], ...]]
    written: tuple[ChordSpan, ...] = ()  # the earlier arrangement's chords, if it says them

    def stays(self, role: Role, tick: int) -> bool:
        """Whether what begins at ``tick`` is the earlier arrangement's."""
        held = self.stretches.get(role, ())
        place = bisect_right(held, (tick, _FOR_EVER)) - 1
        return place >= 0 and tick < held[place][1]

    def notes(self, role: Role) -> tuple[Note, ...]:
        """Those that stay."""
        part = self.parts.get(role)
        return () if part is None else tuple(note for note in part.notes if self.stays(role, note.start))

    def merged(self, role: Role, made: Sequence[Note]) -> tuple[Note, ...]:
        """What stays, and ``made`` notes beside it: cut where a stretch begins, in the bass where a kept note ends."""
        old = self.notes(role)
        heard = _Sounding.of(old)
        starts = [start for start, _ in self.stretches.get(role, ())]
        new = []
        for note in made:
            if self.stays(role, note.start):
                continue
            place = bisect_right(starts, note.start)
            end = min(note.end, starts[place]) if place < len(starts) else note.end
            begin = note.start
            for held in heard.between(note.start, max(end, note.start + 1)):
                same = role == "bass" or held.pitch == note.pitch
                if same and held.start <= begin < held.end:
                    begin = held.end
            if begin < end:
                new.append(replace(note, start=begin, duration=end - begin))
        return tuple(sorted([*old, *new], key=lambda note: (note.start, note.pitch)))

    def frames(self, grid: Grid, roles: Sequence[Role]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """int64[T, 1 + n]: the pitches that stay of ``roles`` (behind the melody's column), -1 a rest, -2 free; and
        bool[T, 1 + n]: where they are. A note that stays is in it to its end."""
        locked = np.full((grid.n_frames, 1 + len(roles)), UNKNOWN, np.int64)
        begins = grid.frame_ticks[:-1]
        for column, role in enumerate(roles, 1):
            stays = np.array([self.stays(role, int(tick)) for tick in begins], bool)
            pitches, _ = grid.soprano(self.notes(role))
            after = stays | (pitches != REST)
            locked[after, column] = pitches[after]
        return locked, locked != UNKNOWN

    def harmony(self, grid: Grid, key: Key) -> tuple[ChordSpan, ...]:
        """Chords of the earlier arrangement wherever one of its parts that tell chords stays: as they are written in
        it, or else told from the notes, beat by beat."""
        found: list[ChordSpan] = []
        if self.written:
            telling = [one for role in _HARMONY & self.parts.keys() for one in self.stretches.get(role, ())]
            return tuple(
                replace(span, start=max(span.start, start), end=min(span.end, end))
                for start, end in _union(telling)
                for span in (self.written[place] for place in chords.within(self.written, start, end))
            )
        telling_parts = {role: _Sounding.of(self.parts[role].notes) for role in sorted(_HARMONY & self.parts.keys())}
        for start, end in zip(grid.beat_ticks[:-1].tolist(), grid.beat_ticks[1:].tolist(), strict=True):
            if not any(self.stays(role, start) for role in _HARMONY if role in self.parts):
                continue
            sounding = [
                note.pitch
                for role, part in telling_parts.items()
                for note in part.between(start, end)
                if role == "arpeggio" or note.start <= start
            ]
            if not sounding:
                continue
            chord = chords.identify(sorted({pitch % 12 for pitch in sounding}), min(sounding) % 12, key)
            if found and found[-1].end == start and found[-1].chord == chord:
                found[-1] = replace(found[-1], end=end)
            else:
                found.append(ChordSpan(start, end, chord))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Sounding:
    """Notes by their beginnings, with what is the latest end of all up to each of them."""

    notes: tuple[Note, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, notes: Sequence[Note]) -> _Sounding:
        return cls(tuple(notes), tuple(accumulate((note.end for note in notes), max)))

    def between(self, start: int, end: int) -> list[Note]:
        """Those that are heard between two ticks, in order."""
        first = bisect_right(self.ends, start)
        until = bisect_left(self.notes, end, key=lambda note: note.start)
        return [note for note in self.notes[first:until] if note.end > start]


def recognised(piece: Piece, melody: Sequence[Note] = ()) -> Piece:
    """With a role for each part: the one that it has, melody for the one that plays the notes of ``melody``, else what
    its name tells. A file that was written here has them all."""
    place, sung = _melody_part(piece, melody), _sung(melody)
    return replace(
        piece,
        parts=tuple(
            replace(part, role="melody" if number == place or (sung and _sung(part.notes) == sung) else _role(part))
            for number, part in enumerate(piece.parts)
        ),
    )


def kept(wishes: Wishes, melody: Melody) -> Kept | None:
    """None when nothing stays. BadInput when the earlier arrangement has no such voice, is one of another tune, or has
    ticks that the melody's piece has not."""
    if wishes.earlier is None or not wishes.locks:
        return None
    grid, sung = melody.grid, melody.part.notes
    earlier = _in_ticks(wishes.earlier, melody.piece.ticks_per_quarter)
    if _melody_part(earlier, sung) is None:
        reason = "is no arrangement of this melody: none of its parts plays it"
        raise BadInput(f"the earlier arrangement {earlier.name}", reason, "give one that was made of this file")
    earlier = recognised(earlier, sung)
    parts: dict[Role, Part] = {}
    for part in earlier.parts:
        if part.notes:
            parts.setdefault(part.role, part)
    for role in sorted(wishes.locked_voices - {"melody"}):
        if role not in parts:
            remedy = f"it has {', '.join(role for role in ROLES if role in parts)}"
            raise BadInput(f"locked voice {role}", "is not in the earlier arrangement", remedy)
    bars = set(wishes.locked_bars)
    if wishes.span is not None:
        first, last = wishes.span
        bars |= {int(bar) for bar in np.unique(grid.bar) if not first <= bar <= last}
    here = _stretches(grid, bars)
    whole = ((-_FOR_EVER, _FOR_EVER),)
    stretches = {role: whole if role in wishes.locked_voices else here for role in VOICES[wishes.style]}
    return Kept(parts, stretches, earlier.chords)


def _melody_part(piece: Piece, melody: Sequence[Note]) -> int | None:
    """The place of the part that plays most of ``melody``, at least LEAST_SHARED of it."""
    wanted = _sung(melody)
    shared = [len(wanted & _sung(part.notes)) for part in piece.parts]
    best = max(range(len(shared)), key=shared.__getitem__, default=None)
    if best is None or not wanted:
        return None
    # Of two that double each other, the one that says that it is the melody.
    best = next((n for n, each in enumerate(piece.parts) if each.role == "melody" and shared[n] == shared[best]), best)
    return best if shared[best] >= LEAST_SHARED * len(wanted) else None


def _sung(notes: Sequence[Note]) -> set[tuple[int, int]]:
    return {(note.start, note.pitch) for note in notes}


def _in_ticks(piece: Piece, ticks_per_quarter: int) -> Piece:
    """Its parts and chords in other ticks, as a DAW may have written it anew, when no note moves by that."""
    if piece.ticks_per_quarter == ticks_per_quarter:
        return piece

    def there(tick: int) -> int:
        moved, rest = divmod(tick * ticks_per_quarter, piece.ticks_per_quarter)
        if rest:
            reason = f"has {piece.ticks_per_quarter} ticks in a quarter note, the melody {ticks_per_quarter}"
            raise BadInput(piece.name, reason, "export the arrangement and the melody with the same resolution")
        return moved

    parts = tuple(
        replace(
            part,
            notes=tuple(replace(note, start=there(note.start), duration=there(note.duration)) for note in part.notes),
        )
        for part in piece.parts
    )
    chords = tuple(replace(span, start=there(span.start), end=there(span.end)) for span in piece.chords)
    return replace(piece, ticks_per_quarter=ticks_per_quarter, parts=parts, chords=chords)


def _stretches(grid: Grid, bars: set[int]) -> tuple[tuple[int, int], ...]:
    """The bars as ticks, neighbours joined; the last bar's goes on, as its last note may."""
    found: list[tuple[int, int]] = []
    last = int(grid.bar[-1]) if grid.n_beats else 0
    for bar in sorted(bars):
        beats = np.flatnonzero(grid.bar == bar)
        if not len(beats):
            continue
        start = int(grid.beat_ticks[beats[0]])
        end = _FOR_EVER if bar == last else int(grid.beat_ticks[beats[-1] + 1])
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return tuple(found)


def _union(stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(set(stretches)):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _role(part: Part) -> Role:
    if part.role != "other":
        return part.role
    name = re.sub(r"[^a-z ]", " ", part.name.casefold())
    return next((role for word, role in _WORDS if word in name), "other")
