"""A results folder in a bucket: names that come back, files that are read from anywhere, and writers on other disks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import result_folders, results
from pipelines.composing import manifest
from pipelines.errors import NotFound, Unavailable
from pipelines.settings import Settings
from pipelines.storage.objects import Objects, _checked

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=80)
JOB = "春の歌 k3xq"
PROJECT = Path(__file__).resolve().parents[1]


def elsewhere(settings: Settings, name: str) -> Settings:
    """Another machine: an empty disk, the same bucket."""
    return replace(settings, home=str(settings.home_path.parent / name))


def write(settings: Settings, files: dict[str, bytes], writer: str = "a writer", **more: object) -> None:
    objects = Objects.open(settings)
    with result_folders.opened(settings, objects, JOB, writer, **more) as folder:  # type: ignore[arg-type]
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)


def read(settings: Settings, job: str = JOB) -> dict[str, bytes]:
    objects = Objects.open(settings)
    found = {}
    for one in results.listed_of(settings, objects, job):
        with results.opened_of(settings, objects, job, one.path) as file:
            found[one.path] = file.read()
        assert len(found[one.path]) == one.size
    return found


def on_disk(settings: Settings) -> list[str]:
    return [str(p) for p in settings.home_path.rglob("*") if p.is_file()]


@given(NAMES, st.lists(NAMES, min_size=1, max_size=3))
def test_every_name_is_a_key_and_comes_back(job: str, parts: list[str]) -> None:
    path = "/".join(parts)
    key = results.key_of(job, path)
    assert _checked(key) == key and results.path_of(job, key) == path
    assert results.heard(key.removeprefix("results/")) == f"{job}/{path}"
    assert max(map(len, key.split("/"))) <= 255


@given(NAMES, NAMES)
def test_the_results_of_no_job_lie_below_those_of_another(one: str, other: str) -> None:
    if one != other:
        assert not f"{results.prefix_of(one)}/".startswith(f"{results.prefix_of(other)}/")


def test_plain_names_are_as_they_are_and_long_ones_go_on() -> None:
    assert (
        results.key_of("spring song-k3xq", "mix by Aoi.master.wav") == "results/spring+song-k3xq/mix+by+Aoi.master.wav"
    )
    assert results.key_of("..", ".x") == "results/=Li4/=Lng"
    long = "春" * 66  # as long as a job's name may be
    key = results.key_of(long, "夏" * 80)
    assert results.path_of(long, key) == "夏" * 80 and len(key) < 1024


def test_what_one_machine_writes_another_reads_and_neither_keeps(bucket: Settings) -> None:
    writer, reader = elsewhere(bucket, "run"), elsewhere(bucket, "api")
    files = {"夏 1.master.wav": b"sound", "sub/inner.txt": b"inner", "quality.json": b"{}"}
    with result_folders.opened(writer, Objects.open(writer), JOB, "a writer") as folder:
        assert folder.name == JOB and list(folder.iterdir()) == []
        write_here = {**files, ".hidden": b"x", "half.part": b"x"}
        (folder / "sub").mkdir()
        for path, data in write_here.items():
            (folder / path).write_bytes(data)
        (folder / "media").symlink_to("/etc")
    assert read(reader) == files
    assert on_disk(writer) == on_disk(reader) == []
    objects = Objects.open(reader)
    assert results.listed_of(reader, objects, "春の歌") == [], "nor is another's beginning a job"
    for path in ("none.wav", "../x", "sub", ".hidden", "夏 1.master.wav/x", "a\\b", ""):
        with pytest.raises(NotFound):
            results.opened_of(reader, objects, JOB, path)


@pytest.mark.parametrize("where", ["home", "bucket"])
def test_originals_beside_the_results_are_none_of_them(
    settings: Settings, where: str, request: pytest.FixtureRequest
) -> None:
    here = settings if where == "home" else request.getfixturevalue("bucket")
    objects = Objects.open(here)
    for path in ("media/clip.mp4", "media/deep/clip.mp4", "sub/media/own.mp4", "media.mp4"):
        if objects.remote:
            objects.put_named(results.key_of(JOB, path), b"x")
        else:
            (results.folder_of(here, JOB) / path).parent.mkdir(parents=True, exist_ok=True)
            (results.folder_of(here, JOB) / path).write_bytes(b"x")
    assert read(here) == {"sub/media/own.mp4": b"x", "media.mp4": b"x"}
    for path in ("media/clip.mp4", "media/deep/clip.mp4"):
        with pytest.raises(NotFound):
            results.opened_of(here, objects, JOB, path)


def test_a_large_file_is_read_from_anywhere_and_ends_when_it_is_replaced(bucket: Settings) -> None:
    data = os.urandom(5 << 20)
    write(bucket, {"film.mp4": data})
    objects = Objects.open(bucket)
    with results.opened_of(bucket, objects, JOB, "film.mp4") as file:
        assert file.seek(0, 2) == len(data)
        for first, n in ((0, 10), (3_000_000, 70_000), (len(data) - 5, 100), (2, 3)):
            file.seek(first)
            assert file.read(n) == data[first : first + n]
        file.seek(0)
        write(bucket, {"film.mp4": data[::-1]})
        assert file.read(1 << 22) in (b"", data[: 1 << 21]), "never of two states"
    assert read(bucket) == {"film.mp4": data[::-1]}
    assert on_disk(bucket) == []


def test_a_store_that_is_away_is_no_empty_folder(bucket: Settings) -> None:
    away = replace(bucket, s3_endpoint="http://127.0.0.1:9")
    objects = Objects.open(away)
    with pytest.raises(Unavailable):
        results.listed_of(away, objects, JOB)
    with pytest.raises(Unavailable):
        results.opened_of(away, objects, JOB, "a.mid")
    with pytest.raises(Unavailable), result_folders.opened(away, objects, JOB, "w"):
        pytest.fail("nothing can be told of what is there")
    assert on_disk(away) == []


def test_what_fails_or_is_killed_shares_nothing_or_is_shared_again(
    bucket: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ZeroDivisionError), result_folders.opened(bucket, Objects.open(bucket), JOB, "w") as folder:
        (folder / "a.mid").write_bytes(b"a")
        raise ZeroDivisionError
    assert read(bucket) == {} and on_disk(bucket) == []
    put, told = Objects.put_named, "a.json"

    def cut_off(self: Objects, key: str, data: bytes | Path) -> None:
        if key.endswith("b.mid"):
            raise Unavailable("the bucket", "went away", 1)
        put(self, key, data)

    first = {"a.mid": b"a", "b.mid": b"b", told: b"{}"}
    write(bucket, first, last=told)
    second = {"a.mid": b"A", "b.mid": b"B", told: b"{ }"}
    with monkeypatch.context() as patch, pytest.raises(Unavailable):
        patch.setattr(Objects, "put_named", cut_off)
        write(bucket, second, last=told)
    assert told not in read(bucket), "what tells of the others does not tell of a mixture"
    with result_folders.opened(bucket, Objects.open(bucket), JOB, "w", bring=bool, last=told) as folder:
        assert list(folder.iterdir()) == [], "nor is a mixture brought"
    write(bucket, second, last=told)
    assert read(bucket) == second


KILLED = """
import os, signal, sys
from pipelines import result_folders
from pipelines.settings import load
from pipelines.storage.objects import Objects

settings, put, count = load(), Objects.put_named, []

def dying(self, key, data):
    count.append(key)
    if len(count) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    put(self, key, data)

Objects.put_named = dying
with result_folders.opened(settings, Objects.open(settings), sys.argv[1], "w", last="a.json") as folder:
    for name in ("a.json", "a.mid", "b.mid"):
        (folder / name).write_text("half of the new")
"""


def test_a_writer_killed_while_it_shares_is_followed_by_one_that_finds_no_mixture(bucket: Settings) -> None:
    files = {"a.json": b"{}", "a.mid": b"old", "b.mid": b"old"}
    write(bucket, files, last="a.json")
    said = {f"ORIMONO_{name.upper()}": getattr(bucket, name) for name in ("home", "objects_url", "s3_endpoint")}
    done = subprocess.run([sys.executable, "-c", KILLED, JOB], env={**os.environ, **said}, cwd=PROJECT)
    assert done.returncode == -signal.SIGKILL
    assert read(bucket) == {"a.mid": b"half of the new", "b.mid": b"old"}
    assert len(on_disk(bucket)) == 3, "it could not tidy up"
    with result_folders.opened(bucket, Objects.open(bucket), JOB, "w", bring=bool, own=bool, last="a.json") as folder:
        assert list(folder.iterdir()) == []
        for name, data in files.items():
            (folder / name).write_bytes(data + b" again")
    assert read(bucket) == {name: data + b" again" for name, data in files.items()}
    assert on_disk(bucket) == []


def test_a_writer_takes_away_its_own_alone(bucket: Settings) -> None:
    def own(path: str) -> bool:
        return manifest.belongs("tune.pop", path)

    told = "tune.pop.arrangement.json"
    others = {"tune.chorale.mid": b"x", "tune.pop.master.wav": b"y"}
    write(bucket, others)
    write(bucket, {"tune.pop.mid": b"1", "tune.pop-2.mid": b"2", told: b"{}"}, own=own, last=told)
    with result_folders.opened(bucket, Objects.open(bucket), JOB, "another", bring=own, own=own, last=told) as folder:
        assert sorted(p.name for p in folder.iterdir()) == ["tune.pop-2.mid", told, "tune.pop.mid"]
        (folder / "tune.pop-2.mid").unlink()
        (folder / told).write_bytes(b"{1}")
    assert read(bucket) == {**others, "tune.pop.mid": b"1", told: b"{1}"}


def test_what_was_only_looked_at_is_not_shared_again(bucket: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    write(bucket, {"a.mid": b"a", "a.json": b"{}"}, last="a.json")
    monkeypatch.setattr(Objects, "put_named", None)
    monkeypatch.setattr(Objects, "delete", None)
    with result_folders.opened(bucket, Objects.open(bucket), JOB, "w", bring=bool, own=bool, last="a.json") as folder:
        assert (folder / "a.mid").read_bytes() == b"a"


def test_what_a_killed_writer_left_goes_with_the_next(bucket: Settings) -> None:
    objects = Objects.open(bucket)
    left = bucket.home_path / result_folders.PLACE / "0123456789abcdef" / JOB
    left.mkdir(parents=True)
    (left / "half.wav").write_bytes(b"half")
    with result_folders.opened(bucket, objects, JOB, "w") as folder:
        assert not left.exists()
        result_folders.sweep(bucket)
        assert folder.is_dir(), "but nothing of who lives"
    assert on_disk(bucket) == []


def test_with_a_local_store_it_is_the_homes_folder_and_nothing_else(settings: Settings) -> None:
    objects = Objects.open(settings)
    write(settings, {"a.mid": b"a"}, own=bool, last="b")
    place = settings.home_path / "results" / JOB
    assert results.place_of(settings, objects, JOB) == str(place)
    assert on_disk(settings) == [str(place / "a.mid")]
    assert read(settings) == {"a.mid": b"a"}
