"""Real plug-ins, built from plugin.c by the machine's C compiler: good ones, and each kind of bad one."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.composing import module_info, plugin_scan
from pipelines.composing.plugin_scan import Failure, ask, modules, scan
from pipelines.errors import BadInput
from pipelines.settings import Settings
from pipelines.storage import plugins
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio

SOURCE = Path(__file__).with_name("plugin.c")
COMPILER = shutil.which("cc") or shutil.which("gcc")
BUNDLE = f"Contents/{platform.machine()}-linux"
compiled = pytest.mark.skipif(
    COMPILER is None or sys.platform != "linux", reason="builds real plug-ins, which needs Linux and a C compiler"
)


def build(path: Path, **defined: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = [f"-D{name}={value}" for name, value in defined.items()]
    assert COMPILER is not None
    subprocess.run([COMPILER, "-w", "-shared", "-fPIC", *flags, "-o", path, SOURCE], check=True)
    return path


def asked(path: Path, seconds: float = 20.0) -> list[plugins.Described] | Failure:
    (module,) = (one for one in modules(path.parent) if one.path == path)
    return ask(module, seconds)


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    return Studio(settings, database, objects, Cache(objects))


@compiled
def test_a_clap_file_tells_what_it_holds(tmp_path: Path) -> None:
    found = asked(build(tmp_path / "tiny.clap"))
    assert isinstance(found, list)
    piano, room = found
    assert (piano.format, piano.identifier, piano.name, piano.vendor) == (
        "clap", "org.example.tiny-piano", "Tiny Piano", "Example",
    )  # fmt: skip
    assert (piano.version, piano.kind, piano.path) == ("1.4.2", "instrument", str(tmp_path / "tiny.clap"))
    assert set(piano.tags) >= {"instrument", "synthesizer", "piano", "synth"}
    # A name that is not UTF-8 and holds a control character is made fit for a table.
    assert (room.name, room.kind, room.vendor) == ("Tiny \ufffd Room", "effect", "")


@compiled
@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("CRASH", "crashed when it was asked what it is (SIGSEGV)"),
        ("LEAVE", "ended the process that asked it what it is (exit 3)"),
        ("REFUSE", "refuses to be initialised"),
        ("HANG", "did not tell within 1 s what it is"),
        ("SPIN", "did not tell within 1 s what it is"),
    ],
)
def test_a_broken_one_is_told_and_hurts_nobody(tmp_path: Path, behaviour: str, reason: str) -> None:
    path = build(tmp_path / "bad.clap", BEHAVIOUR=behaviour)
    assert asked(path, 1.0) == Failure(str(path), reason)


@compiled
def test_one_that_kills_what_asked_it_is_a_failure_or_cannot(tmp_path: Path) -> None:
    found = asked(build(tmp_path / "bad.clap", BEHAVIOUR="KILL_PARENT"))
    if isinstance(found, Failure):  # a kernel without Landlock lets it
        assert found.reason == "crashed when it was asked what it is (SIGKILL)"
    else:
        assert found[0].name == "Tiny Piano"


@compiled
def test_what_it_prints_is_not_its_answer_and_it_sees_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    found = asked(build(tmp_path / "loud.clap", BEHAVIOUR="FLOOD"))
    assert isinstance(found, list)
    assert found[0].name == "Tiny Piano"
    assert capfd.readouterr() == ("", "")


@compiled
def test_one_that_babbles_is_cut_short(tmp_path: Path) -> None:
    path = build(tmp_path / "bad.clap", BEHAVIOUR="BABBLE")
    assert asked(path) == Failure(str(path), "tells more than a plug-in can have to tell")


def has_landlock() -> bool:
    import ctypes

    return int(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1)) >= 3


@compiled
@pytest.mark.skipif(sys.platform != "linux" or not has_landlock(), reason="this kernel has no Landlock (5.13, 6.2)")
def test_it_writes_and_deletes_nothing(tmp_path: Path) -> None:
    place = tmp_path / "victim"
    for name in ("victim", "victim.kept"):
        (tmp_path / name).write_text("before")
    found = asked(build(tmp_path / "writes.clap", BEHAVIOUR="WRITE", PLACE=f'"{place}"'))
    assert isinstance(found, list)
    assert place.read_text() == "before"
    assert (tmp_path / "victim.kept").exists()
    assert not (tmp_path / "victim.folder").exists()


@compiled
def test_what_it_leaves_running_is_ended(tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    found = asked(build(tmp_path / "daemon.clap", BEHAVIOUR="DAEMON", PLACE=f'"{mark}"'))
    assert isinstance(found, list)
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path)]
    assert not [line for line in lines if mark.encode() in line and b"sleep 60" in line]


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


@compiled
def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    asked(build(tmp_path / "bad.clap", BEHAVIOUR="CRASH"))
    assert not list((tmp_path / "scratch").iterdir())


@compiled
@pytest.mark.parametrize("old", [False, True], ids=["factory 2", "factory 1"])
def test_a_vst3_bundle_without_moduleinfo_is_loaded(tmp_path: Path, old: bool) -> None:
    defined = {"VST3": "1", **({"OLD": "1"} if old else {})}
    build(tmp_path / "Tiny.vst3" / BUNDLE / "Tiny.so", **defined)
    found = asked(tmp_path / "Tiny.vst3")
    assert isinstance(found, list)
    (piano,) = found  # its editor's class is none of ours
    assert (piano.identifier, piano.name, piano.vendor) == ("00102030405060708090A0B0C0D0E0F0", "Tiny Piano", "Example")
    assert (piano.kind, piano.version) == (("effect", "") if old else ("instrument", "2.0"))


MODULE_INFO = """\ufeff{ // as the SDK's tool writes it, and a little worse
  "Name": "Tiny", 'Version': '1.0 "beta"', /* a comment, with "quotes" and a } */
  "Factory Info": {"Vendor": "Example", "Flags": {"Unicode": true,},},
  Classes: [
    {"CID": "84E8DE5F92554F5396FAE4133C935A18", "Category": "Audio Module Class", "Name": "Tiny http://Strings",
     "Version": "1.0", "Sub Categories": ["Instrument", "Sampler",], "Cardinality": 2147483647,},
    {"CID": "D39D5B65D7AF42FA843F4AC841EB04F0", "Category": "Component Controller Class", "Name": "its editor",},
  ],
}
"""


def bundle(folder: Path, info: str | bytes, place: str = "Contents/Resources") -> Path:
    for inner in (BUNDLE, place):
        (folder / "Told.vst3" / inner).mkdir(parents=True, exist_ok=True)
    (folder / "Told.vst3" / BUNDLE / "Told.so").write_bytes(b"never loaded")
    (folder / "Told.vst3" / place / "moduleinfo.json").write_bytes(info.encode() if isinstance(info, str) else info)
    return folder / "Told.vst3"


@pytest.mark.skipif(sys.platform != "linux", reason="a bundle for Linux")
@pytest.mark.parametrize("place", ["Contents", "Contents/Resources"])
def test_moduleinfo_is_believed_without_loading(tmp_path: Path, place: str) -> None:
    found = asked(bundle(tmp_path, MODULE_INFO, place))
    assert isinstance(found, list)
    (one,) = found
    assert (one.identifier, one.name) == ("84E8DE5F92554F5396FAE4133C935A18", "Tiny http://Strings")
    assert (one.vendor, one.kind) == ("Example", "instrument")
    assert {"strings", "sampled"} <= set(one.tags)


@pytest.mark.skipif(sys.platform != "linux", reason="a bundle for Linux")
@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ("", "moduleinfo.json is not readable (JSONDecodeError)"),
        ("{" * 100_000, "moduleinfo.json is not readable (JSONDecodeError)"),
        ("[" * 100_000, "moduleinfo.json is not readable (RecursionError)"),
        (b"\xff\xfe\x00", "moduleinfo.json is not readable (UnicodeDecodeError)"),
        (" " * (1 << 20) + "{}", "moduleinfo.json is too long"),
        ("{}", "moduleinfo.json names no classes"),
        ('{"Classes": [{"Category": "Audio Module Class", "CID": "x"}]}',
         "moduleinfo.json has a class whose CID is not 32 hexadecimal digits"),
        ('{"Classes": [{"Category": "Audio Module Class", "CID": "' + "A" * 32 + '"}]}',
         "describes a plug-in without an identifier or a name"),
    ],
    ids=["empty", "braces", "brackets", "bytes", "long", "no classes", "no id", "no name"],
)  # fmt: skip
def test_a_bad_moduleinfo_is_a_failure(tmp_path: Path, info: str | bytes, reason: str) -> None:
    path = bundle(tmp_path, info)
    assert asked(path) == Failure(str(path), reason)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values, st.booleans())
def test_json_is_json5_too(value: object, indented: bool) -> None:
    text = json.dumps(value, indent=2 if indented else None, ensure_ascii=False)
    assert json.loads(module_info._strict(text)) == value


@given(st.binary(max_size=200) | st.text(alphabet="{}[]:,\"'/*\\ aCles\n").map(str.encode))
def test_whatever_is_in_moduleinfo_it_is_classes_or_a_sentence(data: bytes) -> None:
    try:
        assert isinstance(module_info.classes(data), list)
    except ValueError as error:
        assert str(error).startswith("moduleinfo.json")


def test_a_bundle_for_another_machine(tmp_path: Path) -> None:
    (tmp_path / "Other.vst3" / "Contents" / "x86_64-beos").mkdir(parents=True)
    found = asked(tmp_path / "Other.vst3")
    assert isinstance(found, Failure)
    assert found.reason.startswith("holds nothing for this machine")


def test_a_file_that_is_no_library(tmp_path: Path) -> None:
    path = tmp_path / "text.clap"
    path.write_text("not a library")
    found = asked(path)
    assert isinstance(found, Failure)
    assert "text.clap" in found.reason


def test_links_in_a_circle_and_links_to_nowhere_are_passed_by(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "circle").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "lost.clap").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a" / "b" / "One.CLAP").write_text("")
    (tmp_path / "a" / "linked.clap").symlink_to(tmp_path / "a" / "b" / "One.CLAP")
    assert [one.path.name for one in modules(tmp_path)] == ["linked.clap", "One.CLAP"]


@compiled
def test_a_scan_remembers(studio: Studio, tmp_path: Path) -> None:
    folder = tmp_path / "plug-ins"
    good = build(folder / "deep" / "good.clap")
    bad = build(folder / "bad.clap", BEHAVIOUR="CRASH", ID='"org.example.other"')
    first = scan(studio, [folder])
    assert (first.files, first.asked, first.plugins, first.gone) == (2, 2, 2, 0)
    assert first.failures == (Failure(str(bad), "crashed when it was asked what it is (SIGSEGV)"),)
    again = scan(studio, [folder])
    assert (again.files, again.asked, again.plugins, again.failures) == (2, 0, 2, first.failures)
    assert scan(studio, [folder], again=True).asked == 1  # the one that failed
    with studio.database.session() as session:
        rows = {row.identifier: row for row in plugins.listed(session, format="clap")}
        assert rows["org.example.tiny-piano"].status == "ok"
        assert (rows[f"file:{bad}"].status, rows[f"file:{bad}"].name) == ("failed", "bad")
        assert len(plugins.listed(session, format="gm", status="ok")) == 136
    build(bad, ID='"org.example.other"')  # an update that mends it
    good.unlink()
    third = scan(studio, [folder])
    assert (third.files, third.asked, third.plugins, third.failures, third.gone) == (1, 1, 2, (), 1)
    with studio.database.session() as session:
        rows = {row.identifier: row for row in plugins.listed(session, format="clap")}
        assert {key: row.status for key, row in rows.items()} == {
            "org.example.tiny-piano": "gone",
            "org.example.tiny-piano.room": "gone",
            "org.example.other": "ok",
            "org.example.other.room": "ok",
        }
    build(bad, BEHAVIOUR="CRASH", ID='"org.example.other"')  # and one that breaks it again
    assert len(scan(studio, [folder]).failures) == 1
    with studio.database.session() as session:
        assert {row.status for row in plugins.listed(session, format="clap")} == {"gone", "failed"}


@compiled
def test_of_two_files_with_one_plugin_the_first_keeps_it(studio: Studio, tmp_path: Path) -> None:
    one, two = build(tmp_path / "a" / "one.clap"), build(tmp_path / "b" / "two.clap", NAME='"Another"')
    for _ in range(2):
        scan(studio, [one.parent, two.parent])
        with studio.database.session() as session:
            row = plugins.find(session, "clap", "org.example.tiny-piano")
            assert row is not None
            assert (row.path, row.name) == (str(one), "Tiny Piano")


def test_folders(settings: Settings, studio: Studio, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a folder"):
        scan(studio, [tmp_path / "missing"])
    with pytest.raises(BadInput, match="is not a folder"):
        plugin_scan.search_folders(f"{tmp_path}:/no/such/place")
    (tmp_path / "b").mkdir()
    assert plugin_scan.search_folders(f"{tmp_path / 'b'}:{tmp_path}:{tmp_path / 'b'}") == [tmp_path / "b", tmp_path]
    for folder in plugin_scan.search_folders(""):
        assert folder.is_dir()
    assert scan(studio, []) == plugin_scan.ScanSummary((), 0, 0, 0, (), 0)
