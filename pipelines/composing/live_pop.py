"""The pop style, live: which chord the next beat has, and what bass, chords, pad, arpeggio and drums play in it.

The chord is the likeliest under the harmony model (progressions.py) filtered up to now and told what the melody will
probably sing next; the players are those of the finished arrangements (bass_line.py, comping.py, drum_part.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import comping
from pipelines.composing.bar_plan import PlannedBar
from pipelines.composing.bass_line import bass_line
from pipelines.composing.colouring import coloured
from pipelines.composing.drum_part import drum_part
from pipelines.composing.foresight import REACH
from pipelines.composing.functions import QUALITIES, shipped_transitions, states
from pipelines.composing.grooves import groove_named, groups, suited
from pipelines.composing.live import Decided, Situation
from pipelines.composing.live_melody import EARLY, LONGEST, TICKS_PER_QUARTER, PlayedNote, Pulse
from pipelines.composing.piece import Chord, ChordSpan, Key, Note, Role
from pipelines.composing.progressions import CHOSEN, HarmonyWeights, Slot, SungNote, note_log_probabilities, scores
from pipelines.composing.strokes import performed, velocity

WINDOW = 16  # beats that are looked back at
OPEN = 2  # beats before the one that sounds, whose notes may still come in late or go on
EXPECTED = 3.0  # weight, in quarters, of the note that is expected on the beat
PAD_QUIETER = -18  # than the bass
HEARD_ON = 0.25  # how much what was played last speaks for what follows it, beside what should have been played
_MIDDLE = HarmonyWeights(home=0.0, ending=0.0)  # in the middle of things nothing begins and nothing ends


class PopBand:
    def __init__(
        self, pulse: Pulse, tempo: float, seed: int, groove: str | None, density: float | None, energy: float | None
    ) -> None:
        metre = pulse.metre
        self.pulse = pulse
        self.groove = groove_named(groove or suited(metre.numerator, metre.denominator, tempo * pulse.quarters))
        self.seed = seed
        self.density, self.energy = density, energy
        roles: tuple[Role, ...] = ("bass", "chords", "pad", "arpeggio", "drums")
        self.names: dict[Role, tuple[str, int]] = {
            role: (role.capitalize(), self.groove.programs.get(role, 0)) for role in roles
        }
        self._levels = pulse.levels
        self._chords: dict[int, tuple[Chord, int, Key]] = {}  # by beat: the chord, its state, its key
        self._voiced: comping.Voicing | None = None
        self._pad: frozenset[int] = frozenset()  # what it holds
        # The first question takes longer than all others: it is asked before anybody waits for the answer.
        for minor in (False, True):
            shipped_transitions().log_probabilities(minor)
            scores([Slot((SungNote(0, 1.0, True, False),), 2, 0)], minor, _MIDDLE)
        self._settled: tuple[int, Key, NDArray[np.float64]] | None = None  # the last beat that is not heard again

    def stopped(self) -> None:
        self._pad = frozenset()

    def decide(self, situation: Situation) -> Decided:
        target, key = situation.target, situation.key
        before = self._chords.get(target - 1)
        state = self._state(situation, before)
        melody = self._melody(situation)
        first = target // self.pulse.beats * self.pulse.beats
        start, end = target * self.pulse.ticks, (first + self.pulse.beats) * self.pulse.ticks
        if before is not None and before[1:] == (state, key):
            chord = before[0]
        else:
            plain = ChordSpan(start, end, states(key.minor)[state].chord(key))
            chord = coloured((plain, plain), (), self.groove.colour, key, melody, TICKS_PER_QUARTER)[0].chord
        self._chords[target] = chord, state, key
        self._chords.pop(target - WINDOW - self.pulse.beats, None)
        changed = before is None or before[0] != chord
        bar = self._bar(situation, first)
        spans = self._spans(first, target, end)
        if changed or self._voiced is None:
            [self._voiced] = comping.voicings((ChordSpan(start, end, chord),), melody, before=self._voiced)
        starts = self._notes(bar, spans, key, melody, start)
        held, begun = self._held_pad(bar, melody, start, changed)
        pad: Role = "pad"
        kept = frozenset((pad, pitch) for pitch in held)
        return Decided(chord, (*starts, *((pad, note) for note in begun)), changed, kept)

    def _held_pad(
        self, bar: PlannedBar, melody: list[Note], start: int, changed: bool
    ) -> tuple[frozenset[int], list[Note]]:
        """Pitches of the pad that go on, and those that begin: it moves only when the chord does."""
        if bar.number < 1 or bar.density < self.groove.begins["pad"]:
            self._pad = frozenset()
            return self._pad, []
        if self._pad and not changed:
            return self._pad, []
        assert self._voiced is not None
        end = start + self.pulse.bar_ticks
        wanted = frozenset(comping.clear_of(self._voiced, melody, start, end, TICKS_PER_QUARTER))
        held, self._pad = self._pad & wanted, wanted
        loud = velocity(bar, PAD_QUIETER)
        return held, [Note(start, end - start, pitch, loud) for pitch in sorted(wanted - held)]

    def _state(self, situation: Situation, before: tuple[Chord, int, Key] | None) -> int:
        """The likeliest function of the target beat."""
        key, target = situation.key, situation.target
        moves = shipped_transitions().log_probabilities(key.minor)
        belief = self._filtered(situation, moves)
        if belief is None:  # before the first note: the tonic, whatever comes
            return 0 if before is None or before[2] != key else before[1]
        ahead = self._onwards(belief, target, moves)
        if before is not None and before[2] == key:
            known = np.full(len(ahead), -12.0)
            known[before[1]] = 0.0
            ahead = (1 - HEARD_ON) * ahead + HEARD_ON * self._onwards(_normal(known), target, moves)
        return int((ahead + EXPECTED * self._expected(situation)).argmax())

    def _filtered(self, situation: Situation, moves: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """float64[N_STATES]: log-probabilities of the function of the beat that sounds, from all that was heard; what
        is OPEN beats old is settled and not heard again, unless the key has changed since."""
        key, target = situation.key, situation.target
        settled, belief = target - WINDOW - 1, None
        if self._settled is not None and self._settled[1] == key and settled < self._settled[0] < target:
            settled, _, belief = self._settled
        past = [beat for beat in range(max(target - WINDOW, settled - OPEN), target) if beat in situation.played]
        found = scores([self._slot(situation, beat) for beat in past], key.minor, _MIDDLE)
        for beat, seen in zip(past, found, strict=True):
            if beat <= settled:
                continue
            belief = _normal(seen if belief is None else self._onwards(belief, beat, moves) + seen)
            if beat == target - 1 - OPEN:
                self._settled = beat, key, belief
        return belief

    def _onwards(self, belief: NDArray[np.float64], beat: int, moves: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[N_STATES] of ``beat``, in nats, from those of the beat before."""
        change = CHOSEN.change[self._levels[beat % self.pulse.beats]]
        here = np.exp(belief)
        return np.asarray(np.log((1 - change) * here + change * (here @ np.exp(moves)) + 1e-12))

    def _expected(self, situation: Situation) -> NDArray[np.float64]:
        """What the notes that the melody may sing on the target beat say, weighed by how likely they are."""
        key, pitch = situation.key, situation.foresight.pitch
        vocabulary = states(key.minor)
        if pitch is None:
            return np.zeros(len(vocabulary))
        chances = situation.foresight.look(key)[:-1]
        degrees = np.bincount((pitch + np.arange(-REACH, REACH + 1) - key.tonic) % 12, chances, minlength=12)
        table = note_log_probabilities()[:, 1].mean(axis=1)
        said = [degrees @ table[QUALITIES.index(one.quality), (np.arange(12) - one.offset) % 12] for one in vocabulary]
        return np.array(said)

    def _slot(self, situation: Situation, beat: int) -> Slot:
        notes = situation.melody.between(beat - EARLY, beat + 1 - EARLY)
        sung = tuple(
            self._sung(note, notes[place + 1] if place + 1 < len(notes) else None, beat, situation)
            for place, note in enumerate(notes)
            if note.ended(situation.now) > beat + EARLY / 2 or note.start >= beat - EARLY
        )
        return Slot(sung, self._levels[beat % self.pulse.beats], 0)

    def _sung(self, note: PlayedNote, following: PlayedNote | None, beat: int, situation: Situation) -> SungNote:
        length = min(note.ended(max(situation.now, beat + 1)), beat + 1) - max(note.start, beat)
        interval = 0 if following is None else abs(following.pitch - note.pitch)
        on_bar = beat % self.pulse.beats == 0 and note.start <= beat + EARLY
        weight = float(np.clip(length * self.pulse.quarters, 0.1, 2.0)) * (1.25 if on_bar else 1.0)
        degree = (note.pitch - situation.key.tonic) % 12
        return SungNote(degree, weight, note.start <= beat + EARLY, 0 < interval <= 2)

    def _melody(self, situation: Situation) -> list[Note]:
        """What is and probably will be sung, in ticks: the other parts keep out of its way."""
        now, ticks = situation.now, self.pulse.ticks
        found = []
        for note in situation.melody.between(situation.target - self.pulse.beats - 1, now + 1):
            end = now + 0.5 if note.end is None else note.end
            start = round(note.start * ticks)
            length = max(1, round(min(end, note.start + LONGEST) * ticks) - start)
            found.append(Note(start, length, note.pitch, note.velocity))
        pitch = situation.foresight.pitch
        if pitch is not None:
            chances = situation.foresight.look(situation.key)
            likeliest = int(chances.argmax())
            if likeliest < len(chances) - 1 and chances[likeliest] > 0.4:
                guess = int(np.clip(pitch + likeliest - REACH, 0, 127))
                found.append(Note(situation.target * ticks, ticks, guess))
        return sorted(found)

    def _bar(self, situation: Situation, first: int) -> PlannedBar:
        number = first // self.pulse.beats + 1
        start, metre = first * self.pulse.ticks, self.pulse.metre
        unit = TICKS_PER_QUARTER * 4 // metre.denominator
        sizes = np.cumsum([0, *groups(metre.numerator, metre.denominator)])[:-1]
        loud, busy = self._playing(situation)
        return PlannedBar(
            number,
            start,
            start + self.pulse.bar_ticks,
            metre.numerator,
            metre.denominator,
            tuple(int(start + size * unit) for size in sizes),
            busy if self.density is None else self.density,
            loud if self.energy is None else self.energy,
            opens=number % 8 == 1,
            closes=number % 8 == 0,
            phrase_ends=number % 4 == 0,
            last=False,
        )

    def _playing(self, situation: Situation) -> tuple[float, float]:
        """Energy and density, 0..1, of how loud the player is and how much there is to play to."""
        lately = situation.melody.between(situation.target - 8, situation.target)
        if not lately:
            return 0.45, 0.45
        loud = float(np.clip((np.mean([note.velocity for note in lately]) - 36) / 76, 0.15, 0.95))
        return round(loud, 2), round(0.3 + 0.4 * loud, 2)

    def _spans(self, first: int, target: int, end: int) -> list[ChordSpan]:
        """The bar's chords: those that were played, and the one that is decided, to the bar's end."""
        spans: list[ChordSpan] = []
        for beat in range(first, target + 1):
            held = self._chords.get(beat)
            if held is None:
                continue
            start = beat * self.pulse.ticks
            if spans and spans[-1].chord == held[0]:
                continue
            if spans:
                spans[-1] = ChordSpan(spans[-1].start, start, spans[-1].chord)
            spans.append(ChordSpan(start, end, held[0]))
        return spans

    def _notes(
        self, bar: PlannedBar, spans: list[ChordSpan], key: Key, melody: list[Note], start: int
    ) -> list[tuple[Role, Note]]:
        if bar.number < 1:  # nobody plays in a pick-up
            return []
        assert self._voiced is not None
        bars, voiced, quarter = (bar,), [self._voiced] * len(spans), TICKS_PER_QUARTER
        played: dict[Role, list[Note]] = {
            "bass": bass_line(bars, spans, self.groove, key, quarter, melody),
            "chords": comping.comp(bars, spans, voiced, self.groove, quarter, melody),
            "arpeggio": comping.arpeggio(bars, spans, voiced, self.groove, quarter, melody),
            "drums": drum_part(bars, self.groove, quarter),
        }
        found: list[tuple[Role, Note]] = []
        for number, (role, notes) in enumerate(played.items()):
            here = [note for note in notes if start <= note.start < start + self.pulse.ticks]
            found += [(role, note) for note in performed(here, bars, quarter, self.seed * 8 + number)]
        return found


def _normal(nats: NDArray[np.float64]) -> NDArray[np.float64]:
    highest = nats.max()
    return np.asarray(nats - highest - np.log(np.exp(nats - highest).sum()))
