"""One suite over a local folder and over a real S3 API on loopback."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import BadInput, Unavailable
from pipelines.settings import Settings
from pipelines.storage import objects as objects_module
from pipelines.storage.objects import Objects


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Objects:
    home = str(tmp_path / "家 home")
    if request.param == "local":
        return Objects.open(Settings(home=home))
    endpoint = request.getfixturevalue("s3_endpoint")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return Objects.open(Settings(home=home, objects_url=f"s3://studio/{tmp_path.name}/media", s3_endpoint=endpoint))


def test_a_file_is_kept_by_its_content(store: Objects, tmp_path: Path) -> None:
    song = tmp_path / "歌 🎵.OGG"
    song.write_bytes(b"la" * 1000)
    copy = tmp_path / "other name.ogg"
    copy.write_bytes(song.read_bytes())
    key = store.put_file(song)
    assert key == store.put_file(copy)
    assert key.endswith(hashlib.sha256(song.read_bytes()).hexdigest() + ".ogg")
    assert store.get(key) == song.read_bytes()
    assert store.local(key).read_bytes() == song.read_bytes()
    assert store.local(key).suffix == ".ogg"
    assert store.exists(key)


def test_a_large_file_goes_in_parts(store: Objects, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(os.urandom(1 << 20) * 40)
    key = store.put_file(clip)
    assert hashlib.sha256(store.local(key).read_bytes()).hexdigest() in key


def test_an_empty_object_is_an_object(store: Objects) -> None:
    key = store.put_bytes(b"", ".txt")
    assert store.exists(key)
    assert store.get(key) == b""
    assert store.local(key).read_bytes() == b""


def test_what_is_not_there(store: Objects) -> None:
    assert not store.exists("media/00/none.ogg")
    assert store.get_named("features/none") is None
    assert store.local_named("features/none") is None
    for read in (store.get, store.local):
        with pytest.raises(BadInput, match="is not in the object store"):
            read("media/00/none.ogg")
    store.delete("media/00/none.ogg")


def test_named_objects_are_replaced(store: Objects) -> None:
    store.put_named("features/a/1/x.bin", b"old")
    path = store.local_named("features/a/1/x.bin")
    assert path is not None and path.read_bytes() == b"old"
    store.put_named("features/a/1/x.bin", b"new")
    assert store.get_named("features/a/1/x.bin") == b"new"
    path = store.local_named("features/a/1/x.bin")
    assert path is not None and path.read_bytes() == b"new"
    store.delete("features/a/1/x.bin")
    assert store.local_named("features/a/1/x.bin") is None


def test_a_signed_url_is_read_by_anybody(store: Objects) -> None:
    key = store.put_bytes(b"a master", ".wav")
    url = store.sign(key, 60)
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"a master"
    if store.remote:
        assert "X-Amz-Expires=60" in url
        assert "X-Amz-Signature=" in url


@pytest.mark.parametrize("key", ["../secret", "/etc/passwd", "a/../../b", "a//b", "", "a/b\n", "日本"])
def test_no_key_leads_out_of_the_store(store: Objects, key: str) -> None:
    for use in (store.get, store.local, store.exists, store.delete, lambda k: store.put_named(k, b"")):
        with pytest.raises(BadInput, match="is no key"):
            use(key)


def test_a_store_goes_to_another_process(store: Objects) -> None:
    key = store.put_bytes(b"x", ".bin")
    assert pickle.loads(pickle.dumps(store)).get(key) == b"x"


def test_readers_see_a_whole_object_or_none(store: Objects) -> None:
    old, new = b"a" * 3_000_000, b"b" * 3_000_000
    seen: set[bytes | None] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            data = store.get_named("features/k/1/big.bin")
            seen.add(data if data is None else hashlib.sha256(data).digest())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(8):
        store.put_named("features/k/1/big.bin", old)
        store.put_named("features/k/1/big.bin", new)
    stop.set()
    reader.join()
    assert seen <= {None, hashlib.sha256(old).digest(), hashlib.sha256(new).digest()}


def _put(store: Objects, path: Path, times: int) -> None:
    for _ in range(times):
        store.put_file(path)


def test_many_put_the_same_file_at_once(store: Objects, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(os.urandom(1 << 20))
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_put, args=(store, clip, 5)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    key = store.put_file(clip)
    assert store.get(key) == clip.read_bytes()
    assert not [p for p in store.folder.rglob("*") if p.is_file() and p != store.local(key)]


def test_a_store_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    url = "s3://studio"
    away = Objects.open(Settings(home=str(tmp_path), objects_url=url, s3_endpoint="http://127.0.0.1:9"))
    with pytest.raises(Unavailable, match="s3://studio: could not be reached") as caught:
        away.get("media/x")
    assert "very-secret" not in str(caught.value)


def test_a_bucket_that_is_not_there(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    lost = Objects.open(Settings(home=str(tmp_path), objects_url="s3://no-such-bucket", s3_endpoint=s3_endpoint))
    with pytest.raises(BadInput, match="no-such-bucket: does not exist; create the bucket"):
        lost.put_bytes(b"x", ".bin")
    with pytest.raises(BadInput, match="create the bucket"):
        lost.put_named("features/x", b"x")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], capture_output=True)


@pytest.mark.parametrize("megabytes", [3, 40])
def test_a_full_disk_is_said_and_leaves_nothing(small_disk: Path, tmp_path: Path, megabytes: int) -> None:
    store = Objects.open(Settings(home=str(small_disk / "home")))
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(os.urandom(1 << 20) * megabytes)
    with pytest.raises(Unavailable, match="the disk is full, free some space"):
        store.put_file(clip)
    with pytest.raises(Unavailable, match="the disk is full, free some space"):
        store.put_named("features/x", clip.read_bytes())
    # Parts of a large put that were in flight hold the unlinked file, and so its space, a moment longer than the put.
    for left in reversed(range(100)):
        try:
            key = store.put_bytes(b"small", ".txt")
            break
        except Unavailable:
            if not left:
                raise
            time.sleep(0.1)
    assert store.get(key) == b"small"
    assert [p for p in store.folder.rglob("*") if p.is_file()] == [store.local(key)]


def test_a_full_disk_under_the_copies_of_s3(
    small_disk: Path, s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    home = str(small_disk / "home")
    store = Objects.open(Settings(home=home, objects_url="s3://studio/full", s3_endpoint=s3_endpoint))
    key = store.put_bytes(os.urandom(3 << 20), ".mp4")
    with pytest.raises(Unavailable, match="the disk is full, free some space"):
        store.local(key)
    assert not [p for p in store.folder.rglob("*") if p.is_file()]


def test_a_file_that_changes_while_it_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Objects.open(Settings(home=str(tmp_path / "home")))
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"a" * 1000)
    real = objects_module.content_hash

    def changed_after(path: Path) -> str:
        digest = real(path)
        if path == clip:
            clip.write_bytes(b"b" * 1000)
        return digest

    monkeypatch.setattr(objects_module, "content_hash", changed_after)
    with pytest.raises(Unavailable, match="was changed while it was being stored"):
        store.put_file(clip)
    assert not [p for p in store.folder.rglob("*") if p.is_file()]


@pytest.mark.parametrize("url", ["ftp://x", "s3://", "nonsense"])
def test_another_kind_of_store_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="ORIMONO_OBJECTS_URL"):
        Objects.open(Settings(home=str(tmp_path), objects_url=url))
