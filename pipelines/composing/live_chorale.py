"""The chorale style, live: alto, tenor and bass for the next beat, under a soprano that has not been sung yet.

The network and the memory (harmonizer.py) are asked for the last bars with the likeliest next notes set behind them; of
the voicings that come of it, the one that follows best on what the voices sing is taken. Inside the beat voices are
held: ornaments would have to know the melody's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import motion, tokens, voicings
from pipelines.composing.chords import identify
from pipelines.composing.foresight import N_OUTCOMES, REACH
from pipelines.composing.harmonizer import Harmonizer, Opinion
from pipelines.composing.live import Decided, Situation
from pipelines.composing.live_melody import EARLY, Pulse
from pipelines.composing.piece import Chord, Key, Note, Role
from pipelines.composing.tokens import BEAT, REST, UNKNOWN
from pipelines.composing.voice_leading import LOWEST
from pipelines.composing.weights import CHOSEN

WINDOW = 8  # beats that the network is shown; more cost time and tell little
GUESSES = 2  # of the next note; each is a question to the network
LEAST = 0.25  # probability that a guess must have beside the first
SILENCE = 2  # beats without the melody after which the voices rest
_MIDDLE, _LOW, _HIGH = 70.5, 57, 83  # of a soprano: half-way between the training melodies' means, lowest, highest
_ROLES: tuple[Role, ...] = ("alto", "tenor", "bass")
_QUIETER = 10  # than the melody, in velocity
_CHOIR = 52


class ChoraleBand:
    def __init__(self, pulse: Pulse, harmonizer: Harmonizer | None = None) -> None:
        self.pulse = pulse
        self.harmonizer = Harmonizer.load() if harmonizer is None else harmonizer
        self.names: dict[Role, tuple[str, int]] = {role: (role.capitalize(), _CHOIR) for role in _ROLES}
        self._sung: dict[int, NDArray[np.int64]] = {}  # by beat: alto, tenor, bass as MIDI pitches
        self._raised = 0  # octaves that the melody is shown higher by
        # The first question takes longer than all others: it is asked before anybody waits for the answer.
        self.harmonizer.skeleton(np.full(WINDOW * BEAT, 60), False, np.full((WINDOW, 3), UNKNOWN))

    def stopped(self) -> None:
        self._sung.clear()

    def decide(self, situation: Situation) -> Decided:
        target, key = situation.target, situation.key
        before = self._sung.get(target - 1)
        if self._rests(situation):
            self._sung.clear()
            return Decided(_named(np.array([key.tonic + 48]), key), (), changed=True)
        if before is not None and self.pulse.quick and not self.pulse.levels[target % self.pulse.beats]:
            sung = before
        else:
            sung = self._voices(situation)
        self._sung[target] = sung
        self._sung.pop(target - WINDOW - 1, None)
        return self._decided(situation, before, sung)

    def _decided(self, situation: Situation, before: NDArray[np.int64] | None, sung: NDArray[np.int64]) -> Decided:
        """Notes that stay are held, and struck again where a bar begins."""
        target, ticks = situation.target, self.pulse.ticks
        bar_begins = target % self.pulse.beats == 0
        lately = situation.melody.between(target - 4, target)
        loud = int(np.clip(np.mean([note.velocity for note in lately] or [74]) - _QUIETER, 30, 110))
        end = (target // self.pulse.beats + 1) * self.pulse.bar_ticks
        starts: list[tuple[Role, Note]] = []
        kept: set[tuple[Role, int]] = set()
        for voice, role in enumerate(_ROLES):
            pitch = int(sung[voice])
            if before is not None and not bar_begins and before[voice] == pitch:
                kept.add((role, pitch))
            else:
                starts.append((role, Note(target * ticks, end - target * ticks, pitch, loud)))
        expected = self._guesses(situation)[0][0]
        return Decided(_named(np.append(sung, expected), situation.key), tuple(starts), True, frozenset(kept))

    def _rests(self, situation: Situation) -> bool:
        beats = range(situation.target - SILENCE, situation.target)
        return all(situation.played.get(beat, REST) == REST for beat in beats)

    def _guesses(self, situation: Situation) -> list[tuple[int, float]]:
        """Pitches that the melody may sing on the target beat, the likeliest first; probabilities that sum to 1."""
        pitch = situation.foresight.pitch
        if pitch is None:
            return [(60 + situation.key.tonic + (12 if situation.key.tonic < 4 else 0), 1.0)]
        chances = situation.foresight.look(situation.key)[: N_OUTCOMES - 1]
        best = np.argsort(-chances, kind="stable")[:GUESSES]
        kept = [one for place, one in enumerate(best) if place == 0 or chances[one] > LEAST]
        whole = float(chances[kept].sum())
        return [(int(np.clip(pitch + one - REACH, 0, 127)), float(chances[one]) / whole) for one in kept]

    def _voices(self, situation: Situation) -> NDArray[np.int64]:
        """int64[3], MIDI pitches."""
        guesses = self._guesses(situation)
        line = self._line(situation)
        self._raised = _octaves(line, self._raised)
        lowered = 12 * max(self._raised, 0)
        shown = _shown(line, self._raised)
        shift = tokens.shift_of(shown, situation.key.tonic)
        first = situation.target - len(line) // BEAT
        known = np.full((len(line) // BEAT + 1, 3), UNKNOWN)
        for place in range(len(known) - 1):
            sung = self._sung.get(first + place)
            if sung is not None:
                known[place] = sung + lowered - shift
        opinions = []
        for pitch, _ in guesses:
            whole = np.append(shown, np.full(BEAT, _shown(np.array([pitch]), self._raised)[0]))
            opinions.append(self.harmonizer.skeleton(tokens.relative(whole, shift), situation.key.minor, known, shift))
        joint = _mixed(opinions, [chance for _, chance in guesses])
        soprano = np.array([_shown(np.array([guesses[0][0]]), self._raised)[0] - shift])
        chosen = self._followed(soprano, joint, known[-2] if len(known) > 1 else None, line, shown, shift)
        found = chosen + shift - lowered
        lowest = LOWEST[1:] - (12 if lowered else 0)
        return np.where(found < lowest - 12, found + 12, np.clip(found, 0, 127))

    def _followed(
        self,
        soprano: NDArray[np.int64],
        joint: Opinion,
        before: NDArray[np.int64] | None,
        line: NDArray[np.int64],
        shown: NDArray[np.int64],
        shift: int,
    ) -> NDArray[np.int64]:
        """The voicing, relative pitches int64[3], that is likely and follows well on ``before``."""
        free = voicings.Bounds.none(1)
        vocabulary = self.harmonizer.vocabulary
        found = voicings.voicings(soprano, joint.voices, joint.chords, vocabulary, free, shift, CHOSEN)
        worth = found.scores[0].copy()
        if before is not None and (before != UNKNOWN).all() and len(shown) and line[-BEAT] != REST:
            sung = np.array([shown[-BEAT] - shift, *before])
            pair = np.stack([np.tile(sung, (found.chords.shape[1], 1)), found.chords[0]])
            leaving = np.array([shown[-1] - shift, soprano[0]])
            step = motion.steps(pair, leaving, CHOSEN)
            worth += step.interval[0, 0] - CHOSEN.parallel * step.parallel[0, 0] - CHOSEN.contrary * step.contrary[0, 0]
        return np.asarray(found.chords[0, int(worth.argmax()), 1:])

    def _line(self, situation: Situation) -> NDArray[np.int64]:
        """int64[4 n] pitches a quarter of a beat, of the window up to the target; the beat that sounds is held."""
        first = max(situation.target - WINDOW, min(situation.played, default=situation.target - 1))
        beats = max(situation.target - first, 1)
        line = np.full(beats * BEAT, REST)
        for note in situation.melody.between(first - EARLY, situation.target):
            start = round((note.start - first) * BEAT) if note.start % 1 > EARLY else round(note.start - first) * BEAT
            if note.start % 1 > 1 - EARLY:
                start = round(note.start - first) * BEAT
            end = len(line) if note.end is None else round((note.end - first) * BEAT)
            line[max(start, 0) : max(end, start + 1, 1)] = note.pitch
        now = situation.played.get(situation.target - 1, REST)
        line[-BEAT:] = now if now != REST else line[-BEAT]
        return _filled(line)


def _filled(line: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rests are sung over by the note before; those before the first note by it."""
    sung = np.flatnonzero(line >= 0)
    if not len(sung):
        return np.full(len(line), 67)
    place = np.searchsorted(sung, np.arange(len(line)), side="right") - 1
    return line[sung[np.maximum(place, 0)]]


def _octaves(line: NDArray[np.int64], before: int) -> int:
    """By how many octaves the melody is shown higher, so that it is a soprano's; it changes only for a clear reason."""
    exact = (_MIDDLE - float(line.mean())) / 12
    return before if abs(exact - before) < 0.8 else round(exact)


def _shown(line: NDArray[np.int64], raised: int) -> NDArray[np.int64]:
    moved = line + 12 * raised
    return np.asarray(moved + 12 * ((moved < _LOW).astype(np.int64) - (moved > _HIGH)))


def _mixed(opinions: list[Opinion], shares: list[float]) -> Opinion:
    """Of the last beat: each opinion's probabilities by its share."""
    voices = sum(share * np.exp(one.voices[-1:]) for one, share in zip(opinions, shares, strict=True))
    chords = sum(share * np.exp(one.chords[-1:]) for one, share in zip(opinions, shares, strict=True))
    return Opinion(np.log(voices), np.log(chords))


def _named(pitches: NDArray[np.int64], key: Key) -> Chord:
    classes = tuple(sorted({int(pitch) % 12 for pitch in pitches}))
    lowest = int(pitches[:3].min())
    return identify(classes, lowest % 12, key)
