from __future__ import annotations

import pytest

from pipelines.composing import instruments, suggesting
from pipelines.composing.piece import ROLES, Role
from pipelines.composing.suggesting import record_choice, suggest
from pipelines.errors import BadInput
from pipelines.storage import plugins
from pipelines.storage.composing_tables import ARRANGEMENT_STYLES
from pipelines.storage.database import Database
from pipelines.storage.plugins import Described

SYNTH = Described(
    "clap", "org.example.bass", "Deep", "instrument", "Example", tags=("instrument", "bass", "synth"), path="/p"
)
HALL = Described("vst3", "0" * 32, "Hall", "effect", tags=("reverb",), path="/h")


@pytest.mark.parametrize("style", ARRANGEMENT_STYLES)
@pytest.mark.parametrize("role", ROLES)
def test_without_anything_learned_the_usual_choice_comes_first(role: Role, style: str) -> None:
    found = suggest(None, role, style)
    assert len(found) == 5
    assert suggesting.program_of(found, role, style) == instruments.default_program(role, style)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert sum(one.score for one in suggest(None, role, style, limit=1000)) == pytest.approx(1.0)
    assert all(role in one.reason for one in found)


def test_it_learns_from_what_the_owner_chose(database: Database) -> None:
    with database.session() as session:
        for _ in range(3):
            record_choice(session, "Anna", "bass", "pop", "gm", "38")
        first, *_ = suggest(session, "bass", "pop", "Anna")
        assert (first.plugin.identifier, first.reason) == ("38", "you chose it 3 times for bass in pop")
        assert suggest(session, "bass", "pop", "Bo")[0].plugin.identifier == "33"  # of Anna, who was not asked
        assert suggest(session, "pad", "pop", "Anna")[0].plugin.identifier == "89"  # another role
        chorale = {one.plugin.identifier: one for one in suggest(session, "bass", "chorale", "Anna", 200)}
        assert chorale["38"].reason == "you chose it 3 times for bass in another style"


def test_each_choice_raises_the_score(database: Database) -> None:
    scores = []
    with database.session() as session:
        for _ in range(4):
            (one,) = (s for s in suggest(session, "pad", "pop", "Anna", 500) if s.plugin.identifier == "50")
            scores.append(one.score)
            record_choice(session, "Anna", "pad", "pop", "gm", "50")
    assert scores == sorted(set(scores))


def test_a_plugin_that_is_installed_is_suggested_and_a_failed_one_is_not(database: Database) -> None:
    with database.session() as session:
        plugins.replace(session, "/p", [SYNTH], fingerprint="1")
        plugins.replace(session, "/h", [HALL], fingerprint="1")
        found = suggest(session, "bass", "pop", limit=500)
        assert {"Deep"} == {one.plugin.name for one in found if one.plugin.format != "gm"}
        record_choice(session, "Anna", "bass", "pop", "clap", SYNTH.identifier)
        first = suggest(session, "bass", "pop", "Anna")[0]
        assert (first.plugin.name, first.reason) == ("Deep", "you chose it once for bass in pop")
        assert suggesting.program_of(suggest(session, "bass", "pop", "Anna"), "bass", "pop") == 33
        plugins.failed(session, SYNTH, "crashed", fingerprint="2")
        assert all(one.plugin.name != "Deep" for one in suggest(session, "bass", "pop", "Anna", 500))
        with pytest.raises(BadInput, match="could not be loaded: crashed"):
            record_choice(session, "Anna", "bass", "pop", "clap", SYNTH.identifier)


@pytest.mark.parametrize("pitches", [(30, 50), (60, 80), (90, 100)], ids=["low", "middle", "high"])
def test_an_instrument_that_does_not_reach_the_part_comes_behind(pitches: tuple[int, int]) -> None:
    first, *_ = suggest(None, "melody", "chorale", pitches=pitches)
    found = instruments.named(first.plugin.identifier)
    assert found.low <= pitches[0]
    assert pitches[1] <= found.high
    assert (first.plugin.name == "Choir Aahs") == (pitches == (60, 80))


@pytest.mark.parametrize(
    ("role", "style", "format", "identifier", "sentence"),
    [
        ("lute", "pop", "gm", "0", "role 'lute': is not known"),
        ("bass", "polka", "gm", "0", "style 'polka': is not known"),
        ("bass", "pop", "gm", "200", "instrument '200': is not in General MIDI"),
        ("bass", "pop", "gm", "kit:0", "instrument 'kit:0': does not suit bass"),
        ("drums", "pop", "gm", "0", "instrument '0': does not suit drums"),
        ("bass", "pop", "clap", "nobody", "clap plug-in 'nobody': is not in the registry"),
        ("bass", "pop", "vst3", HALL.identifier, "vst3 plug-in 'Hall': is an effect"),
    ],
    ids=["role", "style", "program", "kit", "program for drums", "plug-in", "effect"],
)
def test_a_choice_that_is_none(
    database: Database, role: Role, style: str, format: str, identifier: str, sentence: str
) -> None:
    with database.session() as session:
        plugins.replace(session, "/h", [HALL], fingerprint="1")
        with pytest.raises(BadInput, match=sentence):
            record_choice(session, "Anna", role, style, format, identifier)
        with pytest.raises(BadInput, match="owner"):
            record_choice(session, " ", "bass", "pop", "gm", "0")
