"""A composer's style is learned from their own files, with their consent, and changes what is made for them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pipelines.composing import corpus, functions, midi_writing, personal
from pipelines.composing.arranging import arrange
from pipelines.composing.chords import parse_chord
from pipelines.composing.own_pieces import style_of, take
from pipelines.composing.piece import Key, KeyChange, Metre, Note, Part, Piece, Tempo
from pipelines.composing.wishes import Wishes
from pipelines.errors import BadInput
from pipelines.governance import withdrawal
from pipelines.governance.people import Actor
from pipelines.settings import Settings
from pipelines.storage import storage_use
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio
from tests.governance.house import give

AOI = "Aoi <aoi@example.org>"
Q = 480
chorales = cache(corpus.load)


@pytest.fixture
def studio(settings: Settings, database: Database) -> Studio:
    objects = Objects.open(settings)
    return Studio(replace(settings, database_url=database.settings.database_url), database, objects, Cache(objects))


def piece_of(parts: tuple[Part, ...], bars: int) -> Piece:
    return Piece("song", Q, bars * 4 * Q, (Tempo(0, 500_000),), (Metre(0, 4, 4),), (KeyChange(0, Key(0)),), parts)


def song(symbols: list[str], times: int = 4) -> Piece:
    """A melody in C over a bar of each chord, played as block chords with a bass."""
    melody, keys, bass = [], [], []
    for bar, symbol in enumerate(symbols * times):
        chord, at = parse_chord(symbol), bar * 4 * Q
        tones = sorted(60 + pitch for pitch in chord.pitch_classes)
        melody += [Note(at + i * Q, Q, 12 + tones[i % len(tones)]) for i in range(4)]
        keys += [Note(at, 4 * Q, pitch, 60) for pitch in tones]
        bass.append(Note(at, 4 * Q, 36 + chord.bass, 70))
    parts = (
        Part("Lead", "other", tuple(melody), 73),
        Part("Keys", "other", tuple(keys)),
        Part("Bass", "other", tuple(bass)),
    )
    return piece_of(parts, len(symbols) * times)


def hymn(number: int) -> Piece:
    """A chorale of the validation split as four tracks."""
    frames = chorales().valid[number].frames
    parts = []
    for voice, name in enumerate(("S", "A", "T", "B")):
        line = frames[:, voice]
        starts = np.flatnonzero(np.concatenate([[True], line[1:] != line[:-1]]))
        ends = np.append(starts[1:], len(line))
        notes = tuple(
            Note(int(a) * Q // 4, int(b - a) * Q // 4, int(line[a]))
            for a, b in zip(starts, ends, strict=True)
            if line[a] >= 0
        )
        parts.append(Part(name, "other", notes))
    return piece_of(tuple(parts), len(frames) // 16 + 1)


def folder_of(tmp_path: Path, **pieces: Piece) -> Path:
    folder = tmp_path / "own"
    folder.mkdir(exist_ok=True)
    for name, piece in pieces.items():
        midi_writing.write(piece, folder / f"{name}.mid")
    return folder


def test_chord_changes_of_own_songs_are_counted_and_move_the_model() -> None:
    style = style_of([take(song(["C", "Bb", "F", "C"]))])
    names = [state.numeral for state in functions.states(False)]
    counts = style.changes[0]
    assert counts[names.index("I"), names.index("bVII")] >= 3
    assert counts[names.index("bVII"), names.index("IV")] >= 3
    assert counts.sum() == style.chord_changes <= 16
    transitions = style.transitions()
    assert transitions is not None
    mine, shipped = (one.log_probabilities(False)[0] for one in (transitions, functions.shipped_transitions()))
    assert mine[names.index("bVII")] > shipped[names.index("bVII")] + 0.5
    assert mine[names.index("V")] < shipped[names.index("V")]
    assert style.chorales == () and style.density is not None and style.energy is not None


def test_four_part_pieces_are_remembered_as_they_are() -> None:
    style = style_of([take(hymn(3)), take(song(["C", "F", "G", "C"]))])
    (voices,) = style.chorales
    truth = chorales().valid[3]
    n = min(len(truth.frames), len(voices.frames))
    assert (voices.frames[:n] == truth.frames[:n]).mean() > 0.97
    assert style.pieces == 2


def test_own_songs_change_the_pop_style() -> None:
    source = song(["C", "F", "G", "C"], 2)
    melody = replace(source, parts=source.parts[:1])
    style = style_of(
        [
            take(
                song(["C", "Bb", "F", "C"]),
            )
            for _ in range(20)
        ]
    )
    made = arrange(melody, Wishes(style="pop", candidates=3), style=style)
    assert made.candidates[0].made_by.endswith("style 1")
    plain = arrange(melody, Wishes(style="pop", candidates=3))
    assert {c.piece.parts for c in made.candidates} != {c.piece.parts for c in plain.candidates}


def test_a_remembered_piece_is_sung_as_its_composer_set_it() -> None:
    own = hymn(5)
    melody = replace(own, parts=own.parts[:1])
    truth = chorales().valid[5].frames
    style = style_of([take(own)], version=4)

    def alike(made: Piece) -> float:
        lines = []
        for column, role in enumerate(("alto", "tenor", "bass"), 1):
            part = made.part(role)  # type: ignore[arg-type]
            assert part is not None
            sounding = np.full(len(truth), -1)
            for note in part.notes:
                sounding[note.start * 4 // Q : note.end * 4 // Q] = note.pitch
            lines.append((sounding == truth[:, column]).mean())
        return float(np.mean(lines))

    plain, coloured = arrange(melody), arrange(melody, style=style)
    assert "style 4" in coloured.candidates[0].made_by
    assert alike(coloured.candidates[0].piece) > max(0.7, alike(plain.candidates[0].piece) + 0.1)


def test_versions_are_kept_used_and_forgotten(studio: Studio, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, one=song(["C", "Bb", "F", "C"]), two=hymn(1))
    (folder / "notes.txt").write_text("no music")
    (folder / "broken.mid").write_bytes(b"MThd but no more")
    assert personal.current(studio, AOI) is None
    with pytest.raises(BadInput, match="allowed nothing"):
        personal.learn(studio, AOI, folder)
    learned = personal.learn(studio, AOI, folder, consent=True)
    assert (learned.version, learned.pieces, learned.four_part) == (1, 2, 1) and learned.chord_changes > 4
    assert [name for name, _ in learned.skipped] == ["broken.mid"]
    current = personal.current(studio, AOI.upper())
    assert current is not None and current.version == 1
    assert (current.changes == learned.style.changes).all()
    assert (current.chorales[0].frames == learned.style.chorales[0].frames).all()
    give(studio, "hers", AOI, {"melody-hers.mid": b"a tune"}, cached=False)
    assert personal.learn(studio, AOI, folder).version == 2, "a job's consent is enough"
    assert personal.current(studio, "Ren") is None
    assert len(list(storage_use.stored(studio.objects, "styles"))) == 2
    assert personal.forget(studio, AOI) == 2
    assert personal.current(studio, AOI) is None and list(storage_use.stored(studio.objects, "styles")) == []


def test_nothing_is_learned_of_somebody_who_withdraws(studio: Studio, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, one=song(["C", "G"]))
    personal.learn(studio, AOI, folder, consent=True)
    withdrawal.request(studio, AOI, Actor(AOI, "viewer"))
    assert personal.current(studio, AOI) is None
    with pytest.raises(BadInput, match="withdrew"):
        personal.learn(studio, AOI, folder, consent=True)
    assert withdrawal.carry_out(studio)[0].done
    assert list(storage_use.stored(studio.objects, "styles")) == []
    assert personal.learn(studio, AOI, folder, consent=True).version == 1, "given anew"


@pytest.mark.parametrize("what", ["nothing", "a file", "an empty folder", "a folder without music"])
def test_a_folder_without_pieces_is_refused(studio: Studio, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "own"
    if what == "a file":
        folder.write_bytes(b"MThd")
    elif what != "nothing":
        folder.mkdir()
    if what == "a folder without music":
        midi_writing.write(piece_of((Part("Kit", "drums", (Note(0, 10, 36),)),), 1), folder / "drums.mid")
    with pytest.raises(BadInput):
        personal.learn(studio, AOI, folder, consent=True)
