"""Live mode: notes go in as they are played, the accompaniment comes out a beat ahead and is never taken back.

The melody is live_melody.py's to hold, its key live_key.py's to guess, its next note foresight.py's; what is played to
it is live_pop.py's and live_chorale.py's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from pipelines.composing.foresight import REST, Foresight
from pipelines.composing.live_key import KeyTracker
from pipelines.composing.live_melody import LATEST_BEAT, TICKS_PER_QUARTER, PlayedMelody, Pulse
from pipelines.composing.piece import Chord, Key, KeyChange, Note, Part, Piece, Role, Tempo
from pipelines.errors import BadInput

if TYPE_CHECKING:
    from pipelines.composing.harmonizer import Harmonizer

Style = Literal["pop", "chorale"]
PATIENCE = 8  # beats of silence after which the accompaniment stops until somebody plays again


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """A note of one part begins (``velocity`` 1..127) or ends (0). ``tick``: 480 a quarter, beat 0 is 0."""

    tick: int
    velocity: int
    role: Role
    pitch: int


@dataclass(frozen=True, slots=True)
class Committed:
    """All that happens in one beat, in order of time; notes that go on are ended by a later one."""

    beat: int
    events: tuple[Event, ...]
    chord: Chord | None  # None when nothing is played any more
    key: Key


@dataclass(slots=True)
class Situation:
    """What is known when beat ``target`` is decided: everything up to ``now``, a beat before."""

    melody: PlayedMelody
    pulse: Pulse
    foresight: Foresight
    key: Key
    target: int
    now: float
    played: dict[int, int] = field(default_factory=dict)  # beat -> the pitch it began with, for the beats kept


@dataclass(frozen=True, slots=True)
class Decided:
    """``starts``: notes that begin in the beat, with the length that is meant; ``changed``: held notes of pitched parts
    end here unless they are in ``kept``."""

    chord: Chord
    starts: tuple[tuple[Role, Note], ...]
    changed: bool
    kept: frozenset[tuple[Role, int]] = frozenset()


class Band(Protocol):
    """Who accompanies. ``names``: part names and programs by role."""

    names: dict[Role, tuple[str, int]]

    def decide(self, situation: Situation) -> Decided: ...

    def stopped(self) -> None:
        """Nothing sounds any more."""


class Accompanist:
    """Accompanies one player for as long as they play, in bounded memory.

    ``note_on`` and ``note_off`` take what is played; ``advance``, once a beat and after the notes that fall on it,
    gives what to play in the beat after. Beats are counted from 0, a bar's first, as the metre is counted
    (live_melody.Pulse); a pick-up has numbers below 0. ``tempo``: beats a minute. ``key`` is guessed as it goes when
    None. ``density`` and ``energy`` (0..1, pop) follow the player when None. Raises BadInput for a metre, tempo, style
    or groove that is none.
    """

    def __init__(
        self,
        key: Key | None = None,
        metre: tuple[int, int] = (4, 4),
        tempo: float = 100.0,
        style: Style = "pop",
        seed: int = 0,
        *,
        groove: str | None = None,
        density: float | None = None,
        energy: float | None = None,
        harmonizer: Harmonizer | None = None,
    ) -> None:
        if not 10 <= tempo <= 500:
            raise BadInput("tempo", f"is {tempo} beats a minute", "give one from 10 to 500")
        self.pulse = Pulse.of(*metre)
        self.tempo = tempo
        self.melody = PlayedMelody()
        self._keys = KeyTracker(key)
        self._foresight = Foresight(self.pulse.beats)
        self._target: int | None = None
        self._counted = -math.inf  # beats whose notes the key has heard
        self._held: dict[tuple[Role, int], int] = {}  # what sounds, and the tick at which it is meant to end
        self._played: dict[int, int] = {}
        self._band = _band(style, self.pulse, tempo, seed, groove, density, energy, harmonizer)

    @property
    def names(self) -> dict[Role, tuple[str, int]]:
        """Name and General MIDI program of each part that may play."""
        return self._band.names

    def note_on(self, beat: float, pitch: int, velocity: int = 80) -> None:
        """Somebody strikes a note. One that comes late still counts for what is decided from now on."""
        self.melody.note_on(beat, pitch, velocity)

    def note_off(self, beat: float, pitch: int) -> None:
        self.melody.note_off(beat, pitch)

    def advance(self, beat: float) -> Committed | None:
        """It is ``beat`` now: what is played in the next one. None when that is decided already, or while nobody has
        played yet (in a given key, it begins at once). Beats that were passed over are not made up for."""
        if not -LATEST_BEAT < beat < LATEST_BEAT:
            raise BadInput("advance", f"is at beat {beat}", "give a number of beats from the start")
        target = math.floor(beat + 1e-6) + 1
        if self._target is not None and target <= self._target:
            return None
        key = self._look(target - 1, max(beat, target - 1))
        if key is None:
            return None
        passed = self._target is not None and target > self._target + 1
        self._target = target
        if beat - self.melody.last_heard > PATIENCE and self.melody.notes:
            self._band.stopped()
            ends = tuple(sorted(self._ends(target, everything=True)))
            return Committed(target, ends, None, key) if ends else None
        now = max(beat, target - 1)
        known = Situation(self.melody, self.pulse, self._foresight, key, target, now, self._played)
        decided = self._band.decide(known)
        events = self._ends(target, changed=decided.changed or passed, kept=decided.kept)
        events += self._starts(decided.starts, target)
        return Committed(target, tuple(sorted(events)), decided.chord, key)

    def _look(self, beat: int, now: float) -> Key | None:
        """Takes in what was played up to ``beat``, which begins now."""
        for one in (beat - 1, beat):  # the beat before is told again: its notes may have come late
            pitch = self.melody.at(one, now)
            if self._played or pitch != REST:
                if one == beat or one in self._played:
                    self._foresight.heard(one, pitch)
                self._played[one] = pitch
        for old in [one for one in self._played if one < beat - 64]:
            del self._played[old]
        sounding = None
        for note in self.melody.notes:
            if note.start <= self._counted:
                continue
            if note.end is None and now - note.start < 16 and note is self.melody.notes[-1]:
                sounding = (note.pitch, max(now - note.start, 0.25) * self.pulse.quarters)
            else:
                self._keys.heard(note.pitch, max(note.ended(now) - note.start, 0.1) * self.pulse.quarters)
                self._counted = note.start
        return self._keys.look(sounding)

    def _starts(self, starts: Iterable[tuple[Role, Note]], target: int) -> list[Event]:
        events = []
        first, end = target * self.pulse.ticks, (target + 1) * self.pulse.ticks
        for role, note in sorted(starts, key=lambda one: (one[1].start, one[0], one[1].pitch)):
            if not first <= note.start < end:
                continue
            sounding = self._held.get((role, note.pitch))
            if sounding is not None:  # struck again
                events.append(Event(note.start, 0, role, note.pitch))
            events.append(Event(note.start, note.velocity, role, note.pitch))
            if note.end < end:
                events.append(Event(note.end, 0, role, note.pitch))
                self._held.pop((role, note.pitch), None)
            else:
                self._held[role, note.pitch] = note.end
        return events

    def _ends(
        self,
        target: int,
        *,
        changed: bool = False,
        everything: bool = False,
        kept: frozenset[tuple[Role, int]] = frozenset(),
    ) -> list[Event]:
        """Of what sounded before the beat: what ends in it."""
        first, end = target * self.pulse.ticks, (target + 1) * self.pulse.ticks
        events = []
        for (role, pitch), meant in list(self._held.items()):
            over = everything or (changed and role != "drums" and (role, pitch) not in kept)
            tick = first if over else max(meant, first)
            if tick < end and not ((role, pitch) in kept and not everything):
                events.append(Event(tick, 0, role, pitch))
                del self._held[role, pitch]
        return events


def parts_of(commits: Iterable[Committed], names: dict[Role, tuple[str, int]], until: int) -> tuple[Part, ...]:
    """What was committed, as parts; notes that never ended do so at tick ``until``. Ticks below 0 are left out."""
    open_notes: dict[tuple[Role, int], Event] = {}
    found: dict[Role, list[Note]] = {}
    for event in (event for commit in commits for event in commit.events):
        begun = open_notes.pop((event.role, event.pitch), None)
        if begun is not None and event.tick > begun.tick >= 0:
            found.setdefault(event.role, []).append(
                Note(begun.tick, event.tick - begun.tick, event.pitch, begun.velocity)
            )
        if event.velocity:
            open_notes[event.role, event.pitch] = event
    for (role, pitch), begun in open_notes.items():
        if until > begun.tick >= 0:
            found.setdefault(role, []).append(Note(begun.tick, until - begun.tick, pitch, begun.velocity))
    return tuple(
        Part(name, role, tuple(sorted(found[role])), program)
        for role, (name, program) in names.items()
        if found.get(role)
    )


def recorded(accompanist: Accompanist, commits: Iterable[Committed], melody: Part, name: str = "live") -> Piece:
    """A session as a piece, for writing and for listening."""
    commits = list(commits)
    end = max((commit.beat + 1 for commit in commits), default=0) * accompanist.pulse.ticks
    end = max([end, 1, *(note.end for note in melody.notes)])
    key = commits[-1].key if commits else Key(0)
    quarter_us = round(60e6 / (accompanist.tempo * accompanist.pulse.quarters))
    parts = (melody, *parts_of(commits, accompanist.names, end))
    maps = ((Tempo(0, quarter_us),), (accompanist.pulse.metre,), (KeyChange(0, key),))
    return Piece(name, TICKS_PER_QUARTER, end, *maps, parts)


def _band(
    style: str,
    pulse: Pulse,
    tempo: float,
    seed: int,
    groove: str | None,
    density: float | None,
    energy: float | None,
    harmonizer: Harmonizer | None,
) -> Band:
    if style == "pop":
        from pipelines.composing.live_pop import PopBand

        return PopBand(pulse, tempo, seed, groove, density, energy)
    if style == "chorale":
        from pipelines.composing.live_chorale import ChoraleBand

        return ChoraleBand(pulse, harmonizer)
    raise BadInput(f"style {style!r}", "is not known", "choose one of pop, chorale")
