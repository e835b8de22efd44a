"""Live mode: how long a commit takes, over real and random melodies, and how good it is beside who hears all of a tune.

Times are of one thread on one core: its processor time, which other programs on the machine do not add to, has the
target; the time on the wall stands beside it. Quality is on the test chorales, whose melodies are played beat by beat.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Figure, write
from pipelines.composing import chorale, corpus, foresight, live_key, metrics, midi_reading
from pipelines.composing.corpus import Chorale
from pipelines.composing.foresight import Foresight
from pipelines.composing.functions import shipped_transitions, states
from pipelines.composing.harmonizer import Harmonizer
from pipelines.composing.harmony_counts import reduce
from pipelines.composing.live import Accompanist, Committed, Style
from pipelines.composing.live_melody import Pulse
from pipelines.composing.live_training import BEGINNINGS, beginnings
from pipelines.composing.progressions import CHOSEN, Slot, SungNote, decode, scores

TUNES = sorted((Path(__file__).parent.parent / "sample" / "tunes").glob("*.mid"))
BEAT = 4  # frames
RANDOM_BEATS = {"pop": 3000, "chorale": 1000}
Event = tuple[float, int, int]  # beat, 1 on or 0 off, pitch


def of_frames(line: NDArray[np.int64]) -> list[Event]:
    events: list[Event] = []
    before = -1
    for frame, pitch in enumerate([*line.tolist(), -1]):
        if pitch != before:
            events += [(frame / BEAT, 0, before)] if before >= 0 else []
            events += [(frame / BEAT, 1, pitch)] if pitch >= 0 else []
        before = pitch
    return events


def of_tune(path: Path) -> tuple[list[Event], tuple[int, int]]:
    piece = midi_reading.read(path)
    metre = piece.metres[0]
    beat = piece.ticks_per_quarter * Pulse.of(metre.numerator, metre.denominator).quarters
    notes = piece.parts[0].notes
    events = [(n.start / beat, 1, n.pitch) for n in notes] + [(n.end / beat, 0, n.pitch) for n in notes]
    return sorted(events), (metre.numerator, metre.denominator)


def wandering(seed: int) -> Iterator[Event]:
    """A player without a tune: steps and leaps, late and early, some notes wrong, some never let go, some silence."""
    rng, pitch, beat = random.Random(seed), 67, 0.0
    while True:
        pitch = min(86, max(52, pitch + rng.choice([-7, -5, -3, -2, -2, -1, 0, 1, 2, 2, 3, 5, 7])))
        length = rng.choice([0.25, 0.5, 0.5, 1.0, 1.0, 1.0, 2.0])
        yield beat + rng.uniform(-0.05, 0.05), 1, pitch
        if rng.random() < 0.97:
            yield beat + length * 0.95, 0, pitch
        beat += length + (12.0 if rng.random() < 0.005 else 0.0)


def played(player: Accompanist, events: list[Event], beats: int) -> tuple[list[Committed], list[tuple[float, float]]]:
    """What was committed, and how long each took: processor time of the thread, and on the wall (s)."""
    commits, seconds, place = [], [], 0
    for beat in range(beats):
        while place < len(events) and events[place][0] <= beat:
            at, on, pitch = events[place]
            player.note_on(at, pitch) if on else player.note_off(at, pitch)
            place += 1
        start, start_cpu = time.perf_counter(), time.thread_time()
        commit = player.advance(beat)
        seconds.append((time.thread_time() - start_cpu, time.perf_counter() - start))
        if commit is not None:
            commits.append(commit)
    return commits, seconds


def speed(style: Style, harmonizer: Harmonizer) -> dict[str, Figure]:
    seconds: list[tuple[float, float]] = []
    for path in TUNES:
        events, metre = of_tune(path)
        seconds += played(Accompanist(None, metre, style=style, harmonizer=harmonizer), events, int(events[-1][0]) + 1)[
            1
        ]
    beats = RANDOM_BEATS[style]
    events = list(islice(wandering(1), 4 * beats))
    long = Accompanist(style=style, harmonizer=harmonizer, density=1.0 if style == "pop" else None)
    seconds += played(long, events, beats)[1]
    taken, wall = np.array(seconds).T * 1e3
    note = f"{len(taken)} beats: ten tunes, and a player who wanders for {beats} beats; one thread"
    return {
        f"{style}_commit_p50": Figure(float(np.median(taken)), "ms", note=note),
        f"{style}_commit_p99": Figure(float(np.quantile(taken, 0.99)), "ms", at_most=20, note=note),
        f"{style}_commit_longest": Figure(float(taken.max()), "ms"),
        f"{style}_commit_p99_wall": Figure(float(np.quantile(wall, 0.99)), "ms", note="whatever else ran meanwhile"),
    }


def choir(pieces: tuple[Chorale, ...], harmonizer: Harmonizer) -> dict[str, Figure]:
    """Live beside the whole melody known."""
    made = []
    for piece in pieces:
        player = Accompanist(piece.key, style="chorale", harmonizer=harmonizer)
        commits, _ = played(player, of_frames(piece.frames[:, 0]), piece.n_beats)
        frames = np.full(piece.frames.shape, -1)
        frames[:, 0] = piece.frames[:, 0]
        sounding: dict[str, int] = {}
        for commit in commits:
            for event in commit.events:
                if event.velocity:
                    sounding[event.role] = event.pitch
                elif sounding.get(event.role) == event.pitch:
                    del sounding[event.role]
            for voice, role in enumerate(("alto", "tenor", "bass"), 1):
                frames[commit.beat * BEAT : (commit.beat + 1) * BEAT, voice] = sounding.get(role, -1)
        made.append(frames)
    truth = [piece.frames for piece in pieces]
    whole = [chorale.harmonize(one[:, 0], harmonizer=harmonizer)[0].pitches for one in truth]
    live, offline = metrics.judge(truth, made), metrics.judge(truth, whole)
    note = f"{len(pieces)} test chorales, key given; live: no beat's melody is known when its voices are decided"
    found = {}
    for name, unit in (("frames", "share"), ("beat_chords", "share"), ("parallels_beats", "per 100")):
        found[f"chorale_live_{name}"] = Figure(live[name], unit, note=note)
        found[f"chorale_offline_{name}"] = Figure(offline[name], unit)
    return found


def band(pieces: tuple[Chorale, ...]) -> dict[str, Figure]:
    """The roots and the chord tones of the pop style's chords over chorale melodies, beat by beat."""
    right: dict[str, list[bool]] = {"live": [], "offline": [], "tonic": []}
    tones: dict[str, list[bool]] = {"live": [], "offline": [], "tonic": []}
    for piece in pieces:
        bach, vocabulary, tonic = reduce(piece), states(piece.minor), piece.key.tonic
        line = piece.frames[:, 0]
        commits, _ = played(Accompanist(piece.key), of_frames(line), piece.n_beats)
        live = {commit.beat: commit.chord for commit in commits}
        slots = [_slot(line, beat, tonic) for beat in range(piece.n_beats)]
        levels = np.array([slot.level for slot in slots])
        moves = shipped_transitions().log_probabilities(piece.minor)
        path = decode(scores(slots, piece.minor), levels, moves, None, CHOSEN.change)
        for beat in range(1, piece.n_beats):
            said = {
                "live": live.get(beat),
                "offline": vocabulary[path[beat]].chord(piece.key),
                "tonic": vocabulary[0].chord(piece.key),
            }
            for who, chord in said.items():
                if chord is None:
                    continue
                if bach[beat] >= 0:
                    right[who].append((tonic + vocabulary[bach[beat]].offset) % 12 == chord.root)
                if line[beat * BEAT] >= 0:
                    tones[who].append(line[beat * BEAT] % 12 in chord.pitch_classes)
    note = "live: the melody's note is not known yet; offline: all of it is (Viterbi); tonic: one chord throughout"
    found = {f"pop_{who}_roots": Figure(float(np.mean(rows)), "share", note=note) for who, rows in right.items()}
    return found | {f"pop_{who}_melody_in_chord": Figure(float(np.mean(rows)), "share") for who, rows in tones.items()}


def _slot(line: NDArray[np.int64], beat: int, tonic: int) -> Slot:
    frames = line[beat * BEAT : (beat + 1) * BEAT]
    starts = [0, *(np.flatnonzero(np.diff(frames)) + 1).tolist(), BEAT]
    sung = tuple(
        SungNote(int(frames[a] - tonic) % 12, (b - a) / BEAT, a == 0, False)
        for a, b in pairwise(starts)
        if frames[a] >= 0
    )
    return Slot(sung, (2, 0, 1, 0)[beat % 4], beat)


def guesses(pieces: tuple[Chorale, ...]) -> dict[str, Figure]:
    """How well the key and the next beat's note are guessed."""
    seen, keys, beats = beginnings(pieces)
    model = live_key.shipped()
    marks = np.einsum("nftd,mfd->nmt", live_key.turned(seen), model.key)
    marks[:, 1] += model.minor - live_key.MAJOR
    right = marks.reshape(len(keys), 24).argmax(axis=1) == keys
    found = {f"key_after_{n}_beats": Figure(float(right[beats == n].mean()), "share") for n in BEGINNINGS if n >= 4}
    hits = []
    for piece in pieces:
        heard = Foresight(4)
        for beat, pitch in enumerate(piece.frames[::BEAT, 0].tolist()):
            if heard.pitch is not None:
                hits.append(heard.look(piece.key).argmax() == foresight.outcome(heard.pitch, pitch))
            heard.heard(beat, pitch)
    return found | {"next_note_right": Figure(float(np.mean(hits)), "share", note="of the note on the next beat")}


def run(pieces: int | None = None) -> dict[str, Figure]:
    from threadpoolctl import threadpool_limits

    test = corpus.load().test[:pieces]
    with threadpool_limits(1):
        harmonizer = Harmonizer.load()
        figures = speed("pop", harmonizer) | speed("chorale", harmonizer)
        return figures | guesses(test) | band(test) | choir(test, harmonizer)


if __name__ == "__main__":
    results = run()
    for name, figure in results.items():
        print(f"{name}: {figure.value:.3f} {figure.unit}  {'' if figure.met else 'NOT MET'}", file=sys.stderr)
    write("live", results)
