from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.composing import instruments
from pipelines.composing.piece import ROLES
from pipelines.errors import BadInput
from pipelines.storage import plugins
from pipelines.storage.composing_tables import ARRANGEMENT_STYLES
from pipelines.storage.database import Database


def test_general_midi_is_whole() -> None:
    assert [one.program for one in instruments.programs()] == list(range(128))
    assert len({one.name for one in instruments.programs()}) == 128
    assert len({one.family for one in instruments.programs()}) == 16
    for one in (*instruments.programs(), *instruments.kits()):
        assert 0 <= one.low < one.high <= 127
        assert one.tags
        assert instruments.named(one.identifier) is one


@pytest.mark.parametrize(
    ("program", "name"),
    [(0, "Acoustic Grand Piano"), (19, "Church Organ"), (33, "Electric Bass (finger)"), (40, "Violin"), (56, "Trumpet"),
     (73, "Flute"), (89, "Pad 2 (warm)"), (105, "Banjo"), (127, "Gunshot")],
)  # fmt: skip
def test_names_stand_at_their_numbers(program: int, name: str) -> None:
    assert instruments.programs()[program].name == name


@pytest.mark.parametrize("style", ARRANGEMENT_STYLES)
@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_a_first_choice_that_suits_it(style: str, role: str) -> None:
    assert role in ROLES
    number = instruments.default_program(role, style)
    first = instruments.named(f"kit:{number}" if role == "drums" else str(number))
    assert sum(instruments.wanted(role, style).get(tag, 0) for tag in first.tags) > 0


def test_what_does_not_exist() -> None:
    with pytest.raises(BadInput, match="General MIDI"):
        instruments.named("128")
    with pytest.raises(BadInput, match="choose one of chorale, pop"):
        instruments.default_program("bass", "polka")


@pytest.mark.parametrize(
    ("said", "tags"),
    [
        (["Instrument", "Piano"], {"piano"}),
        (["instrument", "drum-machine"], {"drums", "kit", "electronic"}),
        (["Instrument|Synth", "Warm Analog Strings!"], {"synth", "warm", "strings", "retro"}),
        (["My Rhodes"], {"electric-piano", "keys"}),
        (["", "\u30d4\u30a2\u30ce", "zzz"], set()),
    ],
    ids=["VST", "CLAP", "name", "brand", "nothing"],
)
def test_tags_of_what_a_plugin_says(said: list[str], tags: set[str]) -> None:
    found = instruments.tags_of(said)
    assert set(found) >= tags
    assert bool(found) == bool(tags)


@pytest.mark.parametrize(
    "text", ["", "[]", "programs: 3", "programs: []\nkits: []\ndefaults: {}\nsuits: {}\nwords: {}", "a: ["]
)
def test_a_file_that_is_not_whole(tmp_path: Path, text: str) -> None:
    path = tmp_path / "instruments.yaml"
    path.write_text(text)
    with pytest.raises(BadInput, match="correct the file"):
        instruments.load(path)


def test_they_are_registered_once(database: Database) -> None:
    for _ in range(2):
        with database.session() as session:
            instruments.register(session)
    with database.session() as session:
        rows = plugins.listed(session, kind="instrument", format="gm")
    assert len(rows) == len(instruments.programs()) + len(instruments.kits())
    row = next(row for row in rows if row.identifier == "32")
    assert (row.name, row.vendor, row.path, row.status) == ("Acoustic Bass", "General MIDI", None, "ok")
    assert "double-bass" in row.tags
