"""Finding the melody of the tunes: its track, its key, its grid."""

from __future__ import annotations

import pytest

from pipelines.composing import melody
from pipelines.composing.midi_reading import read
from pipelines.errors import BadInput
from tests.composing.tunes import FOLDER, TUNES


@pytest.mark.parametrize("tune", TUNES, ids=lambda tune: tune.file)
def test_a_tune_is_its_own_melody_in_its_key(tune) -> None:
    found = melody.find(read(FOLDER / f"{tune.file}.mid"))
    assert found.part.notes == tune.piece.parts[0].notes
    assert found.key.key == tune.signature
    pitches, onsets = found.grid.soprano(found.part.notes)
    assert onsets.sum() == len(found.part.notes)
    assert len(pitches) == 4 * found.grid.n_beats
    assert [int(pitches[found.grid.frame(note.start)]) for note in found.part.notes] == [
        note.pitch for note in found.part.notes
    ]


def test_a_track_that_is_not_there_is_named() -> None:
    piece = read(FOLDER / f"{TUNES[0].file}.mid")
    with pytest.raises(BadInput, match="Ode to Joy"):
        melody.find(piece, "Trumpet")
