"""Live mode, played through its public face: real tunes, and players who are late, wrong, silent or without end."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from pipelines.composing import corpus, foresight, live_key, live_training, midi_reading, midi_writing
from pipelines.composing.corpus import Corpus
from pipelines.composing.foresight import Foresight
from pipelines.composing.grooves import grooves
from pipelines.composing.harmonizer import Harmonizer
from pipelines.composing.live import Accompanist, Committed, Style, parts_of, recorded
from pipelines.composing.live_key import KeyTracker
from pipelines.composing.live_melody import TICKS_PER_QUARTER, PlayedMelody, Pulse
from pipelines.composing.piece import Key, Note, Part
from pipelines.composing.voice_leading import crossings
from pipelines.errors import BadInput

Tune = list[tuple[float, float, int]]  # start, end, pitch
TUNES = sorted((Path(__file__).parents[2] / "sample" / "tunes").glob("*.mid"))
METRES = ((4, 4), (3, 4), (2, 2), (6, 8), (9, 8), (12, 8), (5, 4), (7, 8), (5, 8), (1, 4), (3, 8))
STYLES: tuple[Style, ...] = ("pop", "chorale")
# Ode to Joy in quarters, C major.
JOY: Tune = [
    (float(n), n + 1.0, pitch)
    for n, pitch in enumerate([64, 64, 65, 67, 67, 65, 64, 62, 60, 60, 62, 64, 64, 62, 62, 62] * 2)
]


@pytest.fixture(scope="module")
def harmonizer() -> Harmonizer:
    return Harmonizer.load()


@pytest.fixture(scope="module")
def chorales() -> Corpus:
    return corpus.load()


def play(accompanist: Accompanist, tune: Iterable[tuple[float, float, int]], beats: int) -> list[Committed]:
    moments = sorted([(start, 1, pitch) for start, _, pitch in tune] + [(end, 0, pitch) for _, end, pitch in tune])
    commits = []
    for beat in range(beats):
        while moments and moments[0][0] <= beat:
            at, on, pitch = moments.pop(0)
            if on:
                accompanist.note_on(at, pitch, 90)
            else:
                accompanist.note_off(at, pitch)
        committed = accompanist.advance(beat)
        if committed is not None:
            commits.append(committed)
    return commits


def sound(accompanist: Accompanist, commits: Iterable[Committed]) -> None:
    """Every beat's events lie in it and are in order; nothing ends that has not begun; no note is MIDI's no note."""
    sounding: set[tuple[str, int]] = set()
    before = -(10**9)
    for commit in commits:
        assert commit.beat > before
        before = commit.beat
        first = commit.beat * accompanist.pulse.ticks
        assert list(commit.events) == sorted(commit.events)
        for event in commit.events:
            assert first <= event.tick <= first + accompanist.pulse.ticks
            assert 0 <= event.pitch <= 127
            assert 0 <= event.velocity <= 127
            key = (event.role, event.pitch)
            if event.velocity:
                assert key not in sounding
                sounding.add(key)
            else:
                assert key in sounding
                sounding.remove(key)


@pytest.mark.parametrize("style", STYLES)
def test_a_tune_is_accompanied_a_beat_ahead(style: Style, harmonizer: Harmonizer) -> None:
    player = Accompanist(None, (4, 4), 100, style, harmonizer=harmonizer)
    commits = play(player, JOY, 32)
    assert [commit.beat for commit in commits] == list(range(1, 33))
    sound(player, commits)
    parts = parts_of(commits, player.names, 33 * player.pulse.ticks)
    roles = {part.role for part in parts}
    assert roles >= ({"bass", "chords", "drums"} if style == "pop" else {"alto", "tenor", "bass"})
    assert commits[-1].key == Key(0)
    sung = {n: pitch for n, (_, _, pitch) in enumerate(JOY)}
    fits = [sung[c.beat] % 12 in c.chord.pitch_classes for c in commits if c.beat in sung and c.chord is not None]
    assert np.mean(fits) > 0.55


@pytest.mark.parametrize("path", TUNES, ids=lambda path: path.stem)
def test_the_tunes(path: Path) -> None:
    piece = midi_reading.read(path)
    metre = piece.metres[0]
    pulse = Pulse.of(metre.numerator, metre.denominator)
    ticks = piece.ticks_per_quarter * pulse.quarters
    tune = [(note.start / ticks, note.end / ticks, note.pitch) for note in piece.parts[0].notes]
    player = Accompanist(None, (metre.numerator, metre.denominator))
    commits = play(player, tune, int(tune[-1][1]) + 1)
    sound(player, commits)
    assert len({commit.chord.symbol for commit in commits if commit.chord}) >= 3


def test_the_same_playing_is_accompanied_alike(harmonizer: Harmonizer) -> None:
    for style in STYLES:
        one, other = (play(Accompanist(style=style, seed=3, harmonizer=harmonizer), JOY, 10) for _ in range(2))
        assert one == other
    assert play(Accompanist(seed=4), JOY, 20) != play(Accompanist(seed=3), JOY, 20)


@pytest.mark.parametrize("style", STYLES)
def test_what_is_committed_does_not_hang_on_what_comes_later(style: Style, harmonizer: Harmonizer) -> None:
    other = [*JOY[:9], *((start, end, pitch + 5) for start, end, pitch in JOY[9:])]
    one = play(Accompanist(style=style, harmonizer=harmonizer), JOY, 9)
    assert play(Accompanist(style=style, harmonizer=harmonizer), other, 9) == one


@pytest.mark.parametrize("style", STYLES)
def test_nobody_plays_until_somebody_does_and_it_stops_when_they_stop(style: Style, harmonizer: Harmonizer) -> None:
    player = Accompanist(style=style, harmonizer=harmonizer)
    assert [player.advance(beat) for beat in range(4)] == [None] * 4
    player.note_on(4, 67)
    commits: list[Committed | None] = [player.advance(4)]
    player.note_off(5, 67)
    commits += [player.advance(beat) for beat in range(5, 30)]
    made = [commit for commit in commits if commit is not None]
    sound(player, made)
    assert max(commit.beat for commit in made) < 20
    sounding = {(event.role, event.pitch): event.velocity for commit in made for event in commit.events}
    assert not any(sounding.values())  # all is let go
    player.note_on(30, 60)
    again = player.advance(30)
    assert again is not None
    assert any(event.velocity for event in again.events)


def test_in_a_given_key_it_begins_at_once_and_stays_in_it() -> None:
    player = Accompanist(Key(2, True))
    first = player.advance(0)
    assert first is not None
    assert (first.key, first.chord.root if first.chord else None) == (Key(2, True), 2)
    commits = play(Accompanist(Key(2, True)), JOY, 16)
    assert {commit.key for commit in commits} == {Key(2, True)}


def test_it_is_decided_once() -> None:
    player = Accompanist(Key(0))
    assert player.advance(3.0) is not None
    assert player.advance(3.5) is None
    assert player.advance(1.0) is None
    later = player.advance(9.0)  # beats in between are not made up for
    assert later is not None
    assert later.beat == 10


@pytest.mark.parametrize(
    ("metre", "style"),
    [(metre, "pop") for metre in METRES] + [(metre, "chorale") for metre in ((3, 4), (7, 8))],
    ids=lambda value: value if isinstance(value, str) else f"{value[0]}-{value[1]}",
)  # fmt: skip
def test_any_metre(metre: tuple[int, int], style: Style, harmonizer: Harmonizer) -> None:
    player = Accompanist(None, metre, style=style, harmonizer=harmonizer)
    beats = 9 * player.pulse.beats if style == "pop" else 8
    tune = [(float(n), n + 0.9, 60 + [0, 2, 4, 5, 7, 5, 4, 2][n % 8]) for n in range(beats)]
    commits = play(player, tune, beats)
    assert len(commits) == beats
    sound(player, commits)


@pytest.mark.parametrize("groove", list(grooves()))
def test_any_groove(groove: str) -> None:
    player = Accompanist(groove=groove, density=1.0, energy=1.0)
    sound(player, play(player, JOY, 32))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["on", "off", "advance"]),
            st.floats(-4, 40, allow_nan=False),
            st.integers(0, 127),
            st.integers(0, 127),
        ),
        max_size=60,
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_played_whenever(actions: list[tuple[str, float, int, int]]) -> None:
    player = Accompanist()
    commits = []
    for action, beat, pitch, velocity in actions:
        if action == "on":
            player.note_on(beat, pitch, velocity)
        elif action == "off":
            player.note_off(beat, pitch)
        elif (committed := player.advance(beat)) is not None:
            commits.append(committed)
    sound(player, commits)


def test_the_choir_with_a_careless_player(harmonizer: Harmonizer) -> None:
    rng = random.Random(1)
    player = Accompanist(style="chorale", harmonizer=harmonizer)
    commits, sung = [], []
    for beat in range(-2, 16):
        for _ in range(rng.choice([0, 1, 1, 2])):
            player.note_on(beat + rng.uniform(-0.4, 0.1), rng.randint(40, 100), rng.randint(0, 127))
        committed = player.advance(beat)
        if committed is not None:
            commits.append(committed)
            sung.append([e.pitch for e in committed.events if e.velocity])
    sound(player, commits)
    assert all(24 <= pitch <= 90 for pitch in itertools.chain(*sung))


def test_voices_do_not_cross(harmonizer: Harmonizer) -> None:
    player = Accompanist(style="chorale", harmonizer=harmonizer)
    parts = parts_of(play(player, JOY, 32), player.names, 33 * player.pulse.ticks)
    at = [[_at(part, beat * TICKS_PER_QUARTER) for part in parts] for beat in range(2, 32)]
    chords = np.array([[JOY[beat][2], *below] for beat, below in zip(range(2, 32), at, strict=True)])
    assert (chords >= 0).all()
    assert crossings(chords)[:, 1:].mean() < 0.02


def _at(part: Part, tick: int) -> int:
    return next((note.pitch for note in part.notes if note.start <= tick < note.end), -1)


def test_a_low_melody_has_its_voices_below_it(harmonizer: Harmonizer) -> None:
    low = [(start, end, pitch - 24) for start, end, pitch in JOY]
    player = Accompanist(style="chorale", harmonizer=harmonizer)
    pitches = [event.pitch for commit in play(player, low, 24)[2:] for event in commit.events if event.velocity]
    assert np.mean(pitches) < 46


def test_late_notes_still_count() -> None:
    late = [(start + 0.12, end + 0.1, pitch) for start, end, pitch in JOY]
    commits = play(Accompanist(), late, 32)
    assert commits[-1].key == Key(0)
    assert len(commits) >= 30


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight, "MOST_RUNS", 50)
    rng, player, pitch = random.Random(0), Accompanist(), 67
    melody = player.melody
    melody.notes = type(melody.notes)(maxlen=40)
    for beat in range(120):
        for part in range(2):
            pitch = min(84, max(55, pitch + rng.choice([-4, -2, -1, 0, 1, 2, 4])))
            player.note_on(beat + part / 2, pitch)
        player.advance(beat)
    held = [melody.notes, melody._sounding, player._played, player._held, player._foresight._runs]
    assert [len(one) <= most for one, most in zip(held, (40, 128, 70, 40, 50), strict=True)] == [True] * 5


def test_foresight_remembers_a_tune_and_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Foresight(4)
    for beat in range(64):
        heard.heard(beat, JOY[beat % 16][2])
    chances = heard.look(Key(0))
    assert chances.sum() == pytest.approx(1.0)
    assert chances.argmax() == foresight.outcome(JOY[15][2], JOY[0][2])
    monkeypatch.setattr(foresight, "MOST_RUNS", 10)
    heard.heard(64, 60)
    heard.heard(65, 60)
    assert len(heard._runs) <= 10


def test_foresight_takes_back_what_came_late() -> None:
    one, other = Foresight(4), Foresight(4)
    for beat, (_, _, pitch) in enumerate(JOY):
        other.heard(beat, foresight.REST)
        for told in (one, other):
            told.heard(beat, pitch)
    np.testing.assert_array_equal(one.look(Key(0)), other.look(Key(0)))


@given(st.integers(0, 127), st.integers(-1, 127))
def test_outcomes_are_indices(before: int, after: int) -> None:
    assert 0 <= foresight.outcome(before, after) < foresight.N_OUTCOMES


def test_the_key_of_what_was_played_so_far() -> None:
    tracker = KeyTracker()
    assert tracker.look() is None
    for pitch in (67, 69, 71, 72, 74, 71, 67):  # G major, as it goes
        tracker.heard(pitch, 1.0)
    assert tracker.look() == Key(7)
    tracker.heard(70, 0.2)  # one wrong note changes nothing
    assert tracker.look((67, 2.0)) == Key(7)
    assert KeyTracker(Key(3)).look() == Key(3)


def test_the_shipped_model_is_what_its_command_makes(chorales: Corpus) -> None:
    pieces = chorales
    shipped = live_key.shipped()
    first, second = live_training.count_melodies(pieces.train)
    np.testing.assert_array_equal(shipped.first, first)
    np.testing.assert_array_equal(shipped.second, second)
    seen, keys, beats = live_training.beginnings(pieces.valid[:40])
    scores = np.einsum("nftd,mfd->nmt", live_key.turned(seen), shipped.key)
    scores[:, 1] += shipped.minor
    right = scores.reshape(len(keys), 24).argmax(axis=1) == keys
    assert right[beats >= 16].mean() > 0.72


def test_fitting_the_key_learns(chorales: Corpus) -> None:
    pieces = chorales.train[:4]
    with threadpool_limits(1):  # tiny matrices: threads would wait for each other
        weights, minor = live_training.fit_key(pieces)
    seen, keys, beats = live_training.beginnings(pieces)
    scores = np.einsum("nftd,mfd->nmt", live_key.turned(seen), weights)
    scores[:, 1] += minor
    assert (scores.reshape(len(keys), 24).argmax(axis=1) == keys)[beats >= 8].mean() > 0.9


def test_a_session_is_a_piece(tmp_path: Path) -> None:
    player = Accompanist(tempo=96)
    commits = play(player, JOY, 32)
    notes = tuple(Note(round(start * 480), 480, pitch) for start, _, pitch in JOY)
    piece = recorded(player, commits, Part("Melody", "melody", notes))
    assert piece.seconds(480) == pytest.approx(60 / 96)
    midi_writing.write(piece, tmp_path / "live.mid")
    back = midi_reading.read(tmp_path / "live.mid")
    assert back.parts[0].notes == notes
    assert len(back.parts) == len(piece.parts)


def test_a_stuck_note_ends_some_time_and_a_note_struck_again_is_two() -> None:
    melody = PlayedMelody()
    melody.note_on(0, 60, 80)
    assert melody.at(12, 12) == 60
    assert melody.at(20, 20) == -1
    melody.note_on(21, 60, 80)
    melody.note_on(21, 64, 80)
    assert melody.at(21, 21) == 64  # the highest is the melody
    assert [note.pitch for note in melody.between(20, 22)] == [60, 64]
    melody.note_on(22, 64, 0)  # as MIDI lets go
    assert melody.at(23, 23) == 60


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Accompanist(metre=(0, 4)), "metre 0/4: is not one"),
        (lambda: Accompanist(metre=(4, 3)), "metre 4/3: is not one"),
        (lambda: Accompanist(tempo=0), "tempo: is 0 beats a minute"),
        (lambda: Accompanist(tempo=float("nan")), "tempo: is nan beats a minute"),
        (lambda: Accompanist(style="polka"), "style 'polka': is not known"),  # type: ignore[arg-type]
        (lambda: Accompanist(groove="polka"), "groove 'polka': is not known"),
        (lambda: Accompanist().note_on(0, 128), "has pitch 128"),
        (lambda: Accompanist().note_on(0, 60, 128), "has velocity 128"),
        (lambda: Accompanist().note_on(float("nan"), 60), "is at beat nan"),
        (lambda: Accompanist().note_off(float("inf"), 60), "is at beat inf"),
        (lambda: Accompanist().advance(float("nan")), "is at beat nan"),
    ],
    ids=["no beats", "thirds", "tempo 0", "no tempo", "style", "groove", "pitch", "velocity", "beat", "end", "now"],
)
def test_bad_input_is_one_sentence(call: object, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        call()  # type: ignore[operator]
