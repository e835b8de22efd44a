"""Any melody in, four voices out: what must hold whatever the model thinks, with the model that ships."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.composing import chorale, corpus, sonorities, tokens, voice_leading
from pipelines.composing.chords import parse_chord
from pipelines.composing.piece import Key
from pipelines.composing.weights import ARRANGED
from pipelines.errors import BadInput

_SCALE = [60, 62, 64, 65, 67, 69, 71, 72, 74, 76]
_TUNE = np.repeat([67, 69, 71, 72, 74, 72, 71, 69, 67, 66, 67, 67, 69, 71, 69, 67], 4)
_melodies = st.lists(st.tuples(st.sampled_from([-1, *_SCALE]), st.integers(1, 9)), max_size=10).map(
    lambda notes: np.array([pitch for pitch, length in notes for _ in range(length)], np.int64)
)
_few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_few
@given(_melodies)
def test_any_melody_keeps_its_notes_and_gets_three_voices(melody: np.ndarray) -> None:
    made = chorale.complete(melody)

    assert made.shape == (len(melody), 4)
    assert made.dtype == np.int64
    assert (made[:, 0] == melody).all()
    assert ((made >= -1) & (made <= 127)).all()
    sung = melody >= 0
    assert (made[sung] >= 0).all()
    assert (chorale.complete(melody) == made).all()


_quick = st.lists(
    st.tuples(st.integers(60, 77), st.sampled_from([2, 4, 4, 8])),
    min_size=1,
    max_size=10,
).map(lambda notes: np.array([pitch for pitch, length in notes for _ in range(length)], np.int64))


@_few
@given(_quick, st.booleans(), st.integers(0, 11))
def test_no_chord_holds_a_false_relation_and_no_voice_sings_above_the_melody(
    melody: np.ndarray, minor: bool, tonic: int
) -> None:
    (voiced,) = chorale.harmonize(melody, key=Key(tonic, minor))

    # In eighths: a chromatic melody's sixteenths come faster than the voices move.
    relative = tokens.pitch_class_set((voiced.pitches - tonic) % 12)
    assert not sonorities.false_relations(minor)[relative].any()
    assert (voiced.pitches[:, 1:].max(axis=1) <= melody).all()


@pytest.mark.parametrize("number", [0, 7, 20])
def test_the_voices_are_led_as_the_school_says(number: int) -> None:
    soprano = corpus.load().valid[number].frames[:, 0]
    made = chorale.complete(soprano)

    assert voice_leading.parallels(made, 4).sum() == 0
    assert voice_leading.parallels(made, 2).sum() <= 1
    assert voice_leading.crossings(made).any(axis=1).mean() <= 0.02
    assert voice_leading.out_of_range(made)[:, 1:].mean() <= 0.01
    assert np.abs(np.diff(made[:, 1:3], axis=0)).max() <= 12


@pytest.mark.parametrize("transposed", [-5, 3, 6])
def test_a_melody_in_another_key_gets_the_same_voices_in_that_key(transposed: int) -> None:
    here = chorale.complete(_TUNE)
    there = chorale.complete(_TUNE + transposed)

    # Not all of them: the ranges of the voices stay where they are, and the network knows them.
    assert ((here + transposed) % 12 == there % 12).mean() > 0.5


def test_a_low_melody_takes_the_voices_down_and_a_high_one_leaves_them() -> None:
    middle = chorale.complete(_TUNE)

    assert (chorale.complete(_TUNE - 12) == middle - 12).all()
    assert (chorale.complete(_TUNE + 24)[:, 1:] == middle[:, 1:]).all()
    deepest = chorale.complete(_TUNE - 48)
    assert deepest[:, 1:].min() >= 24
    assert (chorale.complete(np.array([127] * 8))[:, 0] == 127).all()


def test_the_voices_rest_in_long_rests_and_go_on_in_short_ones() -> None:
    melody = np.concatenate([[-1] * 4, _TUNE[:16], [-1] * 2, _TUNE[18:32], [-1] * 8, _TUNE[40:], [-1] * 3])
    made = chorale.complete(melody)

    long_rest = slice(36, 44)
    assert (made[:4] == -1).all()
    assert (made[long_rest] == -1).all()
    assert (made[-3:] == -1).all()
    assert (made[20:22, 1:] >= 0).all()
    assert (chorale.complete(np.full(9, -1)) == -1).all()


@_few
@given(st.integers(0, 10**6), st.sampled_from([13, 16, 30]))
def test_locked_notes_come_back_exactly(seed: int, n_frames: int) -> None:
    rng = np.random.default_rng(seed)
    locked = np.full((n_frames, 4), -2)
    cells = rng.random((n_frames, 3)) < 0.2
    locked[:, 1:][cells] = rng.integers(-1, 128, cells.sum())

    (voiced,) = chorale.harmonize(_TUNE[:n_frames], locked=locked)

    assert (voiced.pitches[:, 1:][cells] == locked[:, 1:][cells]).all()
    assert (voiced.pitches[:, 0] == _TUNE[:n_frames]).all()


def test_a_whole_locked_voice_and_locked_bars_are_lived_with() -> None:
    first = chorale.complete(_TUNE)
    locked = np.full((64, 4), -2)
    locked[:, 3] = np.repeat([55, 54, 55, 57, 59, 57, 55, 54, 52, 50, 43, 43, 48, 50, 50, 43], 4)
    locked[16:32] = first[16:32]

    (voiced,) = chorale.harmonize(_TUNE, key=Key(7), locked=locked)

    assert (voiced.pitches[16:32] == first[16:32]).all()
    assert (voiced.pitches[:, 3] == locked[:, 3]).all()
    outside = np.r_[0:12, 36:60]
    assert voice_leading.crossings(voiced.pitches[outside]).any(axis=1).mean() <= 0.1


def test_given_chords_are_sung_on_their_beats() -> None:
    given = [parse_chord(symbol) for symbol in ("G", "D/F#", "G", "Am7", "G/B", "Am7", "Em", "D7")] + [None] * 8
    found = chorale.harmonize(_TUNE, chords=given, candidates=3, seed=5)

    for voiced in found:
        for beat, chord in enumerate(given):
            if chord is not None:
                assert {int(pitch) % 12 for pitch in voiced.pitches[4 * beat, 1:]} <= set(chord.pitch_classes)
                assert voiced.pitches[4 * beat, 3] % 12 == chord.bass
                assert voiced.chords[beat] == chord


def test_candidates_differ_audibly_and_the_seed_decides() -> None:
    found = chorale.harmonize(_TUNE, candidates=4, seed=1)
    again = chorale.harmonize(_TUNE, candidates=4, seed=1)
    others = chorale.harmonize(_TUNE, candidates=4, seed=2)

    assert (found[0].pitches == others[0].pitches).all()
    assert all((one.pitches == other.pitches).all() for one, other in zip(found, again, strict=True))
    assert any((one.pitches != other.pitches).any() for one, other in zip(found, others, strict=True))
    for number, one in enumerate(found):
        assert np.isfinite(one.log_likelihood)
        assert voice_leading.parallels(one.pitches, 4).sum() <= 1
        for other in found[:number]:
            assert (one.pitches[::4, 1:] != other.pitches[::4, 1:]).any(axis=1).mean() >= 0.2


def test_chords_and_onsets_of_every_beat_are_told() -> None:
    (voiced,) = chorale.harmonize(_TUNE[:62], key=Key(7), level=np.array(([3, 1, 2, 1] * 4), np.int8))

    assert len(voiced.chords) == 16
    for beat, chord in enumerate(voiced.chords):
        sounding = {int(pitch) % 12 for pitch in voiced.pitches[4 * beat]}
        assert chord.bass == voiced.pitches[4 * beat].min() % 12
        assert len(sounding - set(chord.pitch_classes)) <= 1
    assert voiced.onsets.shape == (62, 4)
    assert voiced.onsets[0].all()
    assert not voiced.onsets[1].any()


@pytest.mark.parametrize(
    ("soprano", "wishes"),
    [
        pytest.param(np.array([60, 128]), {}, id="too-high"),
        pytest.param(np.array([60, -2]), {}, id="below-a-rest"),
        pytest.param(np.array([60.5]), {}, id="no-whole-numbers"),
        pytest.param(np.zeros((4, 2), np.int64), {}, id="two-columns"),
        pytest.param(_TUNE, {"candidates": 0}, id="no-candidate"),
        pytest.param(_TUNE, {"chords": [None]}, id="too-few-chords"),
        pytest.param(_TUNE, {"locked": np.full((64, 4), 200)}, id="locked-beyond"),
        pytest.param(_TUNE, {"locked": np.full((8, 4), -2)}, id="locked-too-short"),
        pytest.param(_TUNE, {"onsets": np.ones(3, bool)}, id="onsets-too-short"),
        pytest.param(_TUNE, {"level": np.ones(64, np.int8)}, id="levels-by-frame"),
    ],
)
def test_what_is_no_melody_is_said_in_a_sentence(soprano: np.ndarray, wishes: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        chorale.harmonize(soprano, **wishes)  # type: ignore[arg-type]


def test_nothing_in_nothing_out() -> None:
    assert chorale.complete(np.empty(0, np.int64)).shape == (0, 4)


def test_a_tune_begins_and_ends_at_home() -> None:
    (voiced,) = chorale.harmonize(_TUNE, key=Key(7))

    assert (voiced.chords[0].symbol, voiced.chords[-1].symbol) == ("G", "G")
    assert voiced.chords[-2].symbol in ("D", "D7", "D/F#", "D7/F#")
    assert voiced.pitches[:, 3].min() >= 40


def test_arrangements_end_in_minor_what_is_in_minor() -> None:
    tune = np.repeat([69, 71, 72, 74, 76, 74, 72, 71, 69, 72, 71, 68, 69, 69, 69, 69], 4)
    (voiced,) = chorale.harmonize(tune, key=Key(9, True), weights=ARRANGED)

    assert voiced.chords[-1].symbol == "Am"
    assert 1 not in voiced.pitches[48:] % 12


def test_a_chord_that_is_heard_late_in_its_beat_is_named_by_what_sounds() -> None:
    melody = np.concatenate([[-1, -1, -1], [69], _TUNE[:32]])
    (voiced,) = chorale.harmonize(melody, key=Key(7))

    assert (voiced.pitches[:3] == -1).all()
    assert set(voiced.chords[0].pitch_classes) >= {int(pitch) % 12 for pitch in voiced.pitches[3]}
