"""`orimono harmonize` and its neighbours as a person or a program types them: every wish, every bad input."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.composing import delivering, manifest, midi_reading, midi_writing
from pipelines.composing.bars import bars
from pipelines.composing.piece import Key, KeyChange, Metre, Note, Part, Piece, Tempo
from serving import cli, demo
from tests.serving.test_model_and_governance_commands import home as home
from tests.serving.test_model_and_governance_commands import run

TUNES = Path(__file__).resolve().parents[2] / "sample" / "tunes"
GRACE = TUNES / "amazing_grace.mid"
ALL = sorted(TUNES.glob("*.mid"))


def melody(path: Path) -> list[tuple[int, int, int, int]]:
    """The notes of the part called as the source's only one."""
    piece = midi_reading.read(path)
    return [(n.start, n.duration, n.pitch, n.velocity) for n in piece.parts[0].notes]


def harmonize(capsys: pytest.CaptureFixture[str], tune: Path, out: Path, *more: str, code: int = 0) -> dict[str, Any]:
    return run(capsys, "harmonize", str(tune), "--out", str(out), "--silent", *more, code=code)


def test_there_are_ten_tunes() -> None:
    assert len(ALL) == 10


@pytest.mark.parametrize("style", ["chorale", "pop"])
@pytest.mark.parametrize("tune", ALL, ids=lambda tune: tune.stem)
def test_a_tune_comes_back_untouched_among_its_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tune: Path, style: str
) -> None:
    out = tmp_path / "out.mid"
    told = harmonize(capsys, tune, out, "--style", style)
    before, after = midi_reading.read(tune), midi_reading.read(out)
    assert melody(out) == melody(tune)
    assert after.ticks_per_quarter == before.ticks_per_quarter
    assert (after.tempos, after.metres) == (before.tempos, before.metres)
    roles = [part["role"] for part in told["candidates"][0]["parts"]]
    assert roles[0] == "melody"
    assert set(roles[1:]) >= ({"alto", "tenor", "bass"} if style == "chorale" else {"bass", "chords", "drums"})
    assert all(part.name for part in after.parts)
    assert all(part.notes for part in after.parts)
    assert Path(told["report"]).is_file()
    assert told["candidates"][0]["reasons"]


def test_candidates_differ_and_a_seed_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = harmonize(capsys, GRACE, tmp_path / "a.mid", "--candidates", "3", "--seed", "5")
    files = [Path(one["file"]) for one in first["candidates"]]
    assert [file.name for file in files] == ["a.mid", "a-2.mid", "a-3.mid"]
    assert len({file.read_bytes() for file in files}) == 3
    assert [one["rating"] for one in first["candidates"]] == sorted(
        (one["rating"] for one in first["candidates"]), reverse=True
    )
    harmonize(capsys, GRACE, tmp_path / "b.mid", "--candidates", "3", "--seed", "5")
    again = [tmp_path / name for name in ("b.mid", "b-2.mid", "b-3.mid")]
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files]


@pytest.mark.parametrize("style", ["chorale", "pop"])
def test_another_seed_draws_others(tmp_path: Path, capsys: pytest.CaptureFixture[str], style: str) -> None:
    drawn = []
    for seed in ("0", "1"):
        wish = ("--style", style, "--candidates", "3", "--seed", seed)
        told = harmonize(capsys, GRACE, tmp_path / f"{seed}.mid", *wish)
        drawn.append({Path(one["file"]).read_bytes() for one in told["candidates"]})
    assert all(len(one) == 3 for one in drawn)
    # As the help says: a chorale's most likely setting is drawn whatever the seed, and nothing else is.
    assert len(drawn[0] & drawn[1]) == (1 if style == "chorale" else 0)


def test_bars_are_made_anew_and_the_rest_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    harmonize(capsys, GRACE, tmp_path / "first.mid", "--style", "pop")
    again = ("--earlier", str(tmp_path / "first.mid"), "--bars", "5-8", "--seed", "3", "--style", "pop")
    harmonize(capsys, GRACE, tmp_path / "second.mid", *again)
    one, two = midi_reading.read(tmp_path / "first.mid"), midi_reading.read(tmp_path / "second.mid")
    changed: set[int] = set()
    for part, other in zip(one.parts, two.parts, strict=True):
        assert part.name == other.name
        for bar in bars(one):
            ours, theirs = ([n for n in p.notes if bar.start <= n.start < bar.end] for p in (part, other))
            changed |= {bar.number} if ours != theirs else set()
    assert changed == {5, 6, 7, 8}
    assert one.parts[0].notes == two.parts[0].notes, "the melody"

    keep = ("--earlier", str(tmp_path / "first.mid"), "--keep-voices", "bass", "--seed", "9", "--style", "pop")
    harmonize(capsys, GRACE, tmp_path / "third.mid", *keep)
    three = midi_reading.read(tmp_path / "third.mid")
    assert [p.notes for p in three.parts if p.name == "Bass"] == [p.notes for p in one.parts if p.name == "Bass"]


def test_given_chords_key_and_instruments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wish = (
        "--style",
        "pop",
        "--chords",
        "G | G7 | C | G",
        "--instrument",
        "bass=33",
        "--instrument",
        "chords=Church Organ",
    )
    told = harmonize(capsys, GRACE, tmp_path / "a.mid", *wish, "--section", "verse:1-8:0.2:0.2", "--groove", "waltz")
    chords = told["candidates"][0]["chords"]
    assert chords[(chords[0] != "G") :][:4] == ["G", "G7", "C", "G"], chords  # a pick-up has a chord of its own
    programs = {part["role"]: part["program"] for part in told["candidates"][0]["parts"]}
    assert (programs["bass"], programs["chords"]) == (33, 19)
    assert harmonize(capsys, GRACE, tmp_path / "b.mid", "--key", "E minor")["key"] == "E minor"


def test_it_can_be_heard(tmp_path: Path, capsys: pytest.CaptureFixture[str], home: Path) -> None:
    import av

    told = run(capsys, "harmonize", str(GRACE), "--out", str(tmp_path / "a.mid"), "--wav")
    assert told["font"]
    assert Path(told["candidates"][0]["wav"]).read_bytes().startswith(b"RIFF")
    with av.open(told["candidates"][0]["preview"]) as sound:
        seconds = sound.duration / 1e6
    piece = midi_reading.read(tmp_path / "a.mid")
    assert piece.seconds(piece.length) - 1 < seconds < piece.seconds(piece.length) + 6


def test_what_is_chosen_ranks_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str], home: Path) -> None:
    owner = ("--owner", "Mina")
    first = harmonize(capsys, GRACE, tmp_path / "a.mid", "--candidates", "4", *owner)
    assert all(one["arrangement"] for one in first["candidates"])
    last = first["candidates"][-1]["file"]
    told = run(capsys, "choose", last, *owner)
    assert (told["candidate"], told["among"]) == (4, 4)
    for seed in range(6):
        made = harmonize(capsys, GRACE, tmp_path / "b.mid", "--candidates", "4", "--seed", str(seed), *owner)
        wanted = min(made["candidates"], key=lambda one: one["measures"].get("passing", 0))
        run(capsys, "choose", wanted["file"], *owner)
    then = harmonize(capsys, GRACE, tmp_path / "c.mid", "--candidates", "4", *owner)
    assert any("chose" in reason for one in then["candidates"] for reason in one["reasons"])
    assert "no arrangement made for Ken" in str(run(capsys, "choose", last, "--owner", "Ken", code=2))


def test_a_style_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str], home: Path) -> None:
    owner = ("--owner", "Mina")
    assert run(capsys, "style", *owner)["version"] is None
    folder = tmp_path / "mine"
    folder.mkdir()
    for tune in ALL[:3]:
        harmonize(capsys, tune, folder / tune.name)
    assert "allowed nothing" in str(run(capsys, "style", *owner, "--learn", str(folder), code=2))
    learned = run(capsys, "style", *owner, "--learn", str(folder), "--consent")
    assert (learned["version"], learned["pieces"]) == (1, 3)
    assert run(capsys, "style", *owner)["version"] == 1
    harmonize(capsys, GRACE, tmp_path / "a.mid", *owner)
    assert run(capsys, "style", *owner, "--forget")["forgotten"] == 1
    assert run(capsys, "style", *owner)["version"] is None


def test_instruments_are_suggested_and_choices_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    before = run(capsys, "plugins", "bass", "--owner", "Mina")["suggestions"]
    wanted = before[3]
    for _ in range(4):
        run(capsys, "plugins", "bass", "--owner", "Mina", "--choose", f"{wanted['format']}:{wanted['identifier']}")
    assert run(capsys, "plugins", "bass", "--owner", "Mina")["suggestions"][0]["name"] == wanted["name"]
    scanned = run(capsys, "plugins", "--scan", str(tmp_path))
    assert (scanned["files"], scanned["plugins"]) == (0, 0)


def _piece(notes: list[Note], *, drums: bool = False) -> Piece:
    part = Part("Lead", "drums" if drums else "melody", tuple(sorted(notes)))
    length = max((n.end for n in notes), default=0)
    return Piece("odd", 480, length, (Tempo(0, 500_000),), (Metre(0, 4, 4),), (KeyChange(0, Key(0)),), (part,))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nothing.mid", "is an empty file"),
        ("words.mid", "is no MIDI file"),
        ("no_notes.mid", "has no notes"),
        ("drums.mid", "has only percussion"),
        ("short.mid", "ends in the middle of track 2"),
        ("missing.mid", "does not exist"),
    ],
)
def test_what_is_no_melody_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    (tmp_path / "nothing.mid").touch()
    (tmp_path / "words.mid").write_text("la la la")
    (tmp_path / "short.mid").write_bytes(GRACE.read_bytes()[:100])
    midi_writing.write(_piece([]), tmp_path / "no_notes.mid")
    midi_writing.write(_piece([Note(0, 100, 38)], drums=True), tmp_path / "drums.mid")
    told = harmonize(capsys, tmp_path / name, tmp_path / "out.mid", code=2)
    assert re.search(sentence, told["error"]["message"]), told
    assert name in told["error"]["message"]
    assert not (tmp_path / "out.mid").exists()


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (("--chords", "H"), "'H'"),
        (("--key", "X"), "is not a key"),
        (("--bars", "3-4"), "no arrangement to go on from"),
        (("--track", "9"), "track"),
        (("--section", "chorus"), "has no name or no bars"),
        (("--section", "chorus:1-4:x"), "is not readable"),
        (("--keep-bars", "5-3"), "bars '5-3': are not readable"),
        (("--instrument", "bass=Kazoo"), "is not known"),
        (("--instrument", "kazoo=3"), "is not known"),
        (("--density", "2", "--style", "pop"), "density"),
        (("--groove", "tango-metal", "--style", "pop"), "tango-metal"),
        (("--candidates", "1000"), "candidates"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_wish_that_cannot_be_had_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wish: tuple[str, ...], sentence: str
) -> None:
    told = harmonize(capsys, GRACE, tmp_path / "out.mid", *wish, code=2)
    assert sentence in told["error"]["message"]


def test_where_it_may_not_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "b.mid"
    folder.mkdir()
    for out, sentence in (
        (tmp_path / "none" / "a.mid", "is not a folder"),
        (tmp_path / "a.wav", "does not end in .mid"),
        (GRACE, "is the melody itself"),
        (folder, "is a folder"),
        (Path("/proc/a.mid"), "/proc/a.mid: cannot be written"),
    ):
        told = harmonize(capsys, GRACE, out, code=2)["error"]["message"]
        assert sentence in told and str(out if out.parent.is_dir() else out.parent) in told and ".part" not in told
    assert list(tmp_path.rglob("*")) == [folder]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("name", "wish", "called"),
    [
        ("song-2.mid", ("--candidates", "2"), "the melody itself"),
        ("song-2.rpp", ("--candidates", "2"), "the melody itself"),
        ("song.html", (), "the melody itself"),
        ("song-3.mid", ("--candidates", "3", "--earlier", "song-3.mid", "--keep-bars", "1"), "to go on from itself"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_read_is_never_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, wish: tuple[str, ...], called: str
) -> None:
    shutil.copyfile(GRACE, tmp_path / name)
    before = contents(tmp_path)
    given = tuple(str(tmp_path / name) if one == name else one for one in wish)
    source = GRACE if "--earlier" in wish else tmp_path / name
    told = harmonize(capsys, source, tmp_path / "song.mid", *given, code=2)["error"]["message"]
    assert called in told and name in told
    assert contents(tmp_path) == before


def test_neither_by_another_name_nor_among_what_is_left_of_the_last_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "song.mid"
    harmonize(capsys, GRACE, out, "--candidates", "3")
    (tmp_path / "linked.mid").symlink_to(tmp_path / "song-3.mid")
    before = contents(tmp_path)
    again = ("--earlier", str(tmp_path / "linked.mid"), "--keep-bars", "1")
    told = harmonize(capsys, GRACE, out, *again, code=2)["error"]["message"]
    assert "song-3.mid: is the arrangement to go on from itself" in told
    assert contents(tmp_path) == before
    chords = tmp_path / "chords.txt"
    chords.write_text("G | G7 | C | G")
    (tmp_path / "b.png").hardlink_to(chords)
    told = harmonize(capsys, GRACE, tmp_path / "b.mid", "--chords", str(chords), "--style", "pop", code=2)
    assert "b.png: is the file of chords itself" in told["error"]["message"]


@pytest.mark.parametrize(
    ("own", "wish"),
    [
        ("song.mid", ()),
        ("song.rpp", ()),
        ("song.html", ()),
        ("song.arrangement.json", ()),
        ("song-2.png", ("--candidates", "2")),
        ("song.wav", ("--wav",)),
        ("song.m4a", ("--wav",)),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_files_of_ones_own_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own: str, wish: tuple[str, ...]
) -> None:
    (tmp_path / own).write_bytes(b"{}")
    code = ("--silent",) if not wish or "--wav" not in wish else ()
    told = run(capsys, "harmonize", str(GRACE), "--out", str(tmp_path / "song.mid"), *code, *wish, code=2)
    assert own in told["error"]["message"] and "move it away" in told["error"]["message"]
    assert contents(tmp_path) == {own: b"{}"}


def test_sounds_of_ones_own_are_in_nobodys_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("song.wav", "song.m4a", "song-2.mid"):
        (tmp_path / name).write_bytes(b"mine")
    for _ in range(2):
        told = harmonize(capsys, GRACE, tmp_path / "song.mid")
        assert (told["candidates"][0]["wav"], told["candidates"][0]["preview"]) == (None, None)
    assert {(tmp_path / name).read_bytes() for name in ("song.wav", "song.m4a", "song-2.mid")} == {b"mine"}


def test_the_last_arrangement_is_replaced_whole_unless_somebody_worked_on_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "song.mid"
    harmonize(capsys, GRACE, out, "--candidates", "4", "--style", "pop")
    assert [file.midi.name for file in delivering.delivered(out)] == [f"song{n}.mid" for n in ("", "-2", "-3", "-4")]
    (tmp_path / "song-4.rpp").write_text("mixed for a day")
    harmonize(capsys, ALL[1], out, "--candidates", "2")
    endings = {f"song{n}.{ending}" for n in ("", "-2") for ending in ("mid", "rpp", "png")}
    assert {*contents(tmp_path)} == endings | {"song.html", "song.arrangement.json", "song-4.rpp"}
    assert melody(out) == melody(ALL[1])
    assert [file.midi.name for file in delivering.delivered(out)] == ["song.mid", "song-2.mid"]
    (tmp_path / "song-3.mid").write_bytes(b"of somebody else")
    facts, _ = demo._arrangements(manifest.path_of(out))
    assert facts == {"report": str(out.with_suffix(".html")), "files": [str(out), str(tmp_path / "song-2.mid")]}

    (tmp_path / "song.rpp").write_text("mixed for another day")
    before = contents(tmp_path)
    told = harmonize(capsys, GRACE, out, code=2)["error"]["message"]
    assert "song.rpp: was changed since it was delivered" in told
    assert contents(tmp_path) == before
    (tmp_path / "song.rpp").unlink()
    assert delivering.delivered(out) == []
    harmonize(capsys, GRACE, out)
    assert len(delivering.delivered(out)) == 1


def test_a_melody_that_begins_late_is_heard_from_its_beginning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    import av

    late = 480 * 2 * 16 * 60  # of 120 beats a minute
    notes = [Note(late + 480 * i, 480, 60 + i % 5) for i in range(8)]
    midi_writing.write(_piece(notes), tmp_path / "in.mid")
    told = run(capsys, "harmonize", str(tmp_path / "in.mid"), "--out", str(tmp_path / "out.mid"))
    assert "The sound begins with the first note, 16:00 into the piece." in told["notes"]
    assert "16:00 into the piece" in Path(told["report"]).read_text()
    with av.open(told["candidates"][0]["preview"]) as sound:
        assert 4 < sound.duration / 1e6 < 12


def test_candidates_are_rendered_side_by_side_as_one_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "short.mid"
    midi_writing.write(_piece([Note(480 * i, 480, 60 + i % 5) for i in range(8)]), short)
    sounds = []
    for workers in ("1", "2"):
        monkeypatch.setenv("ORIMONO_WORKERS", workers)
        out = tmp_path / workers / "a.mid"
        out.parent.mkdir()
        told = run(capsys, "harmonize", str(short), "--out", str(out), "--candidates", "2", "--wav")
        sounds.append([Path(one["wav"]).read_bytes() for one in told["candidates"]])
        assert sorted(path.name for path in out.parent.iterdir() if path.name.startswith(".")) == []
    assert sounds[0] == sounds[1] and len(set(sounds[0])) == 2


@pytest.mark.parametrize("style", ["chorale", "pop"])
@pytest.mark.parametrize(
    "notes",
    [
        [Note(0, 480, 60)],
        [Note(480 * i, 480, p) for i in range(8) for p in (60 + i, 64 + i, 67 + i)],
        [Note(240 * i, 700, 60 + i % 12) for i in range(32)],
        [Note(240 * i, 240, (12, 120)[i % 2]) for i in range(16)],
        [Note(120 * i, 120, 60 + (i * 7) % 12) for i in range(10_000)],
    ],
    ids=["one note", "chords", "overlapping", "far out of range", "10000 notes"],
)
def test_odd_melodies_are_arranged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], notes: list[Note], style: str
) -> None:
    midi_writing.write(_piece(notes), tmp_path / "in.mid")
    harmonize(capsys, tmp_path / "in.mid", tmp_path / "out.mid", "--style", style)
    assert melody(tmp_path / "out.mid") == melody(tmp_path / "in.mid")


def test_people_read_words_not_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["harmonize", str(GRACE), "--out", str(tmp_path / "a.mid"), "--silent"]) == 0
    said = capsys.readouterr().out
    assert "The key is G major" in said
    assert f"1. {tmp_path / 'a.mid'}" in said
