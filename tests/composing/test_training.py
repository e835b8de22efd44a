"""The chorale model from its lessons to the file, on a few pieces: it answers what it learned, and comes back whole."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from pipelines.composing import corpus, encoding, lessons, masks, tokens, training
from pipelines.composing.harmonizer import MEMBERS, Harmonizer, orderless_nll
from pipelines.composing.memory import Kernel, Memory
from pipelines.errors import BadInput

SMALL = training.Recipe(members=2, epochs=3, width=32, layers=1, batch=4, crop=32, rate=5e-3, warm_up=2, average=0.5)


@pytest.fixture(scope="module")
def few() -> corpus.Corpus:
    pieces = corpus.load()
    return corpus.Corpus(pieces.train[:12], pieces.valid[:2], ())


@pytest.fixture(scope="module")
def trained(few: corpus.Corpus) -> training.Trained:
    return training.train(few, seed=1, recipe=SMALL, version="small")


def test_learning_loses_fewer_nats_and_says_so(trained: training.Trained) -> None:
    assert [(epoch.member, epoch.number) for epoch in trained.curves] == [(m, n) for m in (0, 1) for n in (1, 2, 3)]
    assert trained.curves[2].train < trained.curves[0].train
    assert np.isfinite(trained.curves[-1].valid)
    assert trained.parity < 1e-3
    assert trained.cpu_seconds > 0


def test_a_model_comes_back_from_its_file_and_from_its_folder(trained: training.Trained, tmp_path: Path) -> None:
    harmonizer = trained.harmonizer
    data = harmonizer.to_bytes()
    assert data == harmonizer.to_bytes()
    (tmp_path / "model.zip").write_bytes(data)
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in harmonizer.members().items():
        (folder / name).write_bytes(content)
    piece = corpus.load().valid[0]
    expected = harmonizer.skeleton(piece.relative[:, 0], piece.minor)
    for back in (Harmonizer.from_bytes(data), Harmonizer.load(tmp_path / "model.zip"), Harmonizer.load(folder)):
        assert back.version == "small"
        found = back.skeleton(piece.relative[:, 0], piece.minor)
        np.testing.assert_array_equal(found.voices, expected.voices)
        np.testing.assert_array_equal(found.chords, expected.chords)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_damaged_file_is_refused_in_a_sentence(trained: training.Trained, name: str) -> None:
    members = trained.harmonizer.members()
    members[name] = members[name][:-40] + b"\x55" * 40
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    with pytest.raises(BadInput, match="harmonizer: its file is damaged"):
        Harmonizer.from_bytes(buffer.getvalue())
    with pytest.raises(BadInput, match="harmonizer: its file is damaged"):
        Harmonizer.from_bytes(buffer.getvalue()[:-30])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="harmonizer: nowhere does not open"):
        Harmonizer.load(tmp_path / "nowhere")


def test_nothing_to_learn_from_is_refused(few: corpus.Corpus) -> None:
    with pytest.raises(BadInput, match="holds no piece to learn from"):
        training.train(replace(few, train=()), recipe=SMALL)


def test_hidden_notes_are_hidden_and_the_soprano_never(few: corpus.Corpus) -> None:
    rng = np.random.default_rng(0)
    frames = few.train[0].relative
    shares = []
    for _ in range(60):
        known = masks.hide(frames, rng)
        np.testing.assert_array_equal(known[:, 0], frames[:, 0])
        kept = known != tokens.UNKNOWN
        np.testing.assert_array_equal(known[kept], frames[kept])
        first = kept.reshape(-1, 4, 4)[:, 0, 1:]
        # what comes after a beat's first note is never known without it
        assert (first[:, None] | ~kept.reshape(-1, 4, 4)[:, 1:, 1:]).all()
        shares.append(first.mean())
    assert min(shares) == 0
    assert max(shares) > 0.6


def test_batches_point_at_what_was_hidden(few: corpus.Corpus) -> None:
    vocabulary = tokens.ChordVocabulary.of([piece.relative for piece in few.train])
    memory = Memory.of(few.train)
    taken = lessons.lessons_of(few.train[:3], memory, vocabulary, Kernel(), remembered=True)
    batch = lessons.Batch.of(taken, 500, 0.0, 0.5, np.random.default_rng(0))
    for at, piece in enumerate(few.train[:3]):
        n = piece.n_beats
        assert batch.present[at].sum() == n
        sung = tokens.pitch_of(batch.pitches[at, :n].astype(np.int64))
        np.testing.assert_array_equal(sung, piece.relative[::4, 1:])
        moved = sung[:, None] + batch.moves[at, :n] - encoding.MOVE
        assert (moved == piece.relative.reshape(-1, 4, 4)[:, 1:, 1:]).mean() > 0.99  # but for rests and wide leaps
        # from a note that is not known nobody knows how far it goes
        assert not (batch.moving[at] * batch.hidden[at, :, None]).any()
        assert not batch.hidden[at, n:].any()
        assert not batch.moving[at, n:].any()
    assert 0 < batch.hidden.sum() < batch.present.sum() * 3


def test_opinions_are_probabilities_and_know_what_is_known(trained: training.Trained) -> None:
    harmonizer, piece = trained.harmonizer, corpus.load().valid[1]
    known = np.where(np.arange(piece.n_beats)[:, None] % 2, tokens.UNKNOWN, piece.relative[::4, 1:])
    known[0, 0] = tokens.REST
    opinion = harmonizer.skeleton(piece.relative[:, 0], piece.minor, known, piece.shift)
    np.testing.assert_allclose(np.exp(opinion.voices).sum(-1), 1, rtol=1e-3)
    np.testing.assert_allclose(np.exp(opinion.chords).sum(-1), 1, rtol=1e-3)
    said = tokens.pitch_of(opinion.voices.argmax(-1))
    np.testing.assert_array_equal(said[::2], known[::2])
    frames = np.full((piece.n_beats, 4, 4), tokens.UNKNOWN)
    frames[..., 0], frames[:, 0] = piece.relative[:, 0].reshape(-1, 4), piece.relative[::4]
    inside = harmonizer.inside(frames.reshape(-1, 4), piece.minor, piece.shift)
    assert inside.shape == (len(piece.frames), 3, tokens.N_PITCHES)
    np.testing.assert_allclose(np.exp(inside).sum(-1), 1, rtol=1e-3)
    np.testing.assert_array_equal(tokens.pitch_of(inside[::4].argmax(-1)), piece.relative[::4, 1:])


@pytest.mark.parametrize("beats", [0, 1, 2])
def test_a_beat_or_two_or_none_are_answered(trained: training.Trained, beats: int) -> None:
    soprano = np.full(4 * beats, 67)
    opinion = trained.harmonizer.skeleton(soprano, False)
    assert opinion.voices.shape == (beats, 3, tokens.N_PITCHES)
    assert opinion.chords.shape == (beats, len(trained.harmonizer.vocabulary))
    frames = np.full((4 * beats, 4), 60)
    assert trained.harmonizer.inside(frames, True).shape == (4 * beats, 3, tokens.N_PITCHES)


def test_a_melody_of_rests_or_far_away_is_answered(trained: training.Trained) -> None:
    for soprano in (np.full(16, tokens.REST), np.full(16, 120), np.arange(0, 16)):
        assert np.isfinite(trained.harmonizer.skeleton(soprano, False).voices).all()


def test_nats_fall_when_the_memory_holds_the_very_pieces(trained: training.Trained, few: corpus.Corpus) -> None:
    without = replace(trained.harmonizer, memory=trained.harmonizer.memory.of(()))
    assert orderless_nll(trained.harmonizer, few.train[:3], rounds=1) < orderless_nll(without, few.train[:3], rounds=1)
