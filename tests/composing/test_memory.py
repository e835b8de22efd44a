"""The memory: whose melody runs alike votes, and what is known counts."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.composing import corpus, tokens
from pipelines.composing.memory import Kernel, Memory, Mixing, Passages, Votes


@pytest.fixture(scope="module")
def pieces() -> tuple[corpus.Chorale, ...]:
    return corpus.load().train[:30]


@pytest.fixture(scope="module")
def vocabulary(pieces: tuple[corpus.Chorale, ...]) -> tokens.ChordVocabulary:
    return tokens.ChordVocabulary.of([piece.relative for piece in pieces])


def _votes(
    memory: Memory, piece: corpus.Chorale, vocabulary: tokens.ChordVocabulary, known: np.ndarray | None = None
) -> Votes:
    chords = vocabulary.classes(memory.frames[:, 0])
    passages = memory.passages(piece.relative[:, 0], piece.minor, Kernel())
    return memory.votes(passages, chords, len(vocabulary), Kernel(), known)


def _unknown(piece: corpus.Chorale) -> np.ndarray:
    return np.full((piece.n_beats, 3), tokens.UNKNOWN)


def test_a_melody_that_it_knows_is_harmonised_as_it_was(
    pieces: tuple[corpus.Chorale, ...], vocabulary: tokens.ChordVocabulary
) -> None:
    memory, piece = Memory.of(pieces), pieces[4]
    votes = _votes(memory, piece, vocabulary)
    sung = tokens.pitch_of(votes.voices.argmax(-1))
    assert (sung == piece.relative[::4, 1:]).mean() > 0.9
    assert (votes.chords.argmax(-1) == vocabulary.classes(piece.relative[::4])).mean() > 0.9
    assert votes.match[8:-8].min() > 6


def test_votes_are_probabilities_and_the_same_in_every_key(
    pieces: tuple[corpus.Chorale, ...], vocabulary: tokens.ChordVocabulary
) -> None:
    memory, piece = Memory.of(pieces[:20]), pieces[25]
    votes = _votes(memory, piece, vocabulary)
    np.testing.assert_allclose(votes.voices.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(votes.chords.sum(-1), 1, rtol=1e-5)
    moved = corpus.chorale(tokens.absolute(piece.frames, 3))
    again = _votes(memory, moved, vocabulary)
    np.testing.assert_array_equal(again.voices, votes.voices)


def test_what_is_known_draws_the_votes_to_itself(
    pieces: tuple[corpus.Chorale, ...], vocabulary: tokens.ChordVocabulary
) -> None:
    memory, piece = Memory.of(pieces[:20]), pieces[25]
    true = tokens.index_of(piece.relative[::4, 1:])

    def found(known: np.ndarray) -> float:
        votes = _votes(memory, piece, vocabulary, known)
        return float(np.take_along_axis(votes.voices, true[..., None], -1)[:, 0].mean())

    known = _unknown(piece)
    known[:, 2] = piece.relative[::4, 3]
    assert found(known) > found(_unknown(piece)) + 0.02


def test_ornaments_move_from_what_was_decided(pieces: tuple[corpus.Chorale, ...]) -> None:
    memory, piece = Memory.of(pieces), pieces[4]
    beats = piece.relative.reshape(-1, 4, 4).copy()
    true = beats[:, 1:, 1:].copy()
    beats[:, 1:, 1:] = tokens.UNKNOWN
    passages = memory.passages(piece.relative[:, 0], piece.minor, Kernel())
    votes = memory.moves(passages, beats, Kernel())
    assert (tokens.pitch_of(votes.argmax(-1)) == true).mean() > 0.9


def test_a_composers_own_pieces_count_by_their_weight(
    pieces: tuple[corpus.Chorale, ...], vocabulary: tokens.ChordVocabulary
) -> None:
    piece = pieces[25]
    own = corpus.chorale(np.concatenate([piece.frames[:, :1], piece.frames[:, 1:] - 1], 1), key=piece.key)
    chorales = Memory.of(pieces)
    shares = []
    for weight in (0.01, 1.0, 100.0):
        both = chorales.and_also(Memory.of([own], weight))
        votes = _votes(both, piece, vocabulary)
        theirs = tokens.index_of(own.relative[::4, 1:])
        shares.append(float(np.take_along_axis(votes.voices, theirs[..., None], -1).mean()))
    assert shares[0] < shares[1] - 0.1 < shares[2] - 0.3, shares


def test_pieces_do_not_run_into_one_another(pieces: tuple[corpus.Chorale, ...]) -> None:
    memory = Memory.of(pieces[:2])
    melody = np.concatenate([pieces[0].relative[-32:, 0], pieces[1].relative[:32, 0]])
    found, alone = (memory.passages(part, pieces[0].minor, Kernel()) for part in (melody, melody[32:]))
    start = pieces[0].n_beats

    def run(passages: Passages, beat: int, place: int) -> float:
        (length,) = passages.run[(passages.beat == beat) & (passages.place == place)]
        return float(length)

    assert run(found, 8, start) == pytest.approx(run(alone, 0, start))
    assert run(found, 7, start - 1) < 6


def test_a_melody_that_was_never_heard_is_voted_on_by_all(pieces: tuple[corpus.Chorale, ...]) -> None:
    memory = Memory.of(pieces[:2])
    passages = memory.passages(np.full(12, 89), False, Kernel())
    assert len(passages.run) == 3 * len(memory.first)
    assert passages.run.max() <= 0


def test_a_piece_kept_apart_does_not_vote_for_itself(
    pieces: tuple[corpus.Chorale, ...], vocabulary: tokens.ChordVocabulary
) -> None:
    whole, others, piece, kernel = Memory.of(pieces[:20]), Memory.of(pieces[:19]), pieces[19], Kernel()
    start, found = sum(other.n_beats for other in pieces[:19]), []
    for memory, apart in ((whole, slice(start, None)), (others, None)):
        passages = memory.passages(piece.relative[:, 0], piece.minor, kernel, apart)
        chords = vocabulary.classes(memory.frames[:, 0])
        found.append(memory.votes(passages, chords, len(vocabulary), kernel))
    np.testing.assert_allclose(found[0].match, found[1].match)
    np.testing.assert_allclose(found[0].voices, found[1].voices, atol=1e-6)


def test_the_memory_speaks_louder_where_it_ran_alike_and_where_notes_are_known() -> None:
    mixing, match = Mixing(), np.array([1, 4, 9, 9, 9, 9, 9], np.float32)
    known = np.zeros((7, 3), bool)
    known[5:] = True
    share = mixing.share(match, known)
    assert share[0] < share[1] < share[2] < mixing.most < share[5]
    assert share[6] <= mixing.known
    far = Votes(np.ones((7, 3, 4), np.float32), np.ones((7, 2), np.float32), match)
    near = Votes(far.voices * 0, far.chords * 0, match)
    both = mixing.both(near, far, known)
    np.testing.assert_allclose(both.voices[:3], 0.5)
    assert both.chords[6].max() < 0.2
    assert mixing.share(match[:1], known[:1]).shape == (1,)
