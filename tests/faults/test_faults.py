"""The harness itself: that it sees what does not hold; and two rounds with fixed faults through a whole house, which
`make faults` plays before its fifty, since they take minutes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import results
from pipelines.settings import Settings
from pipelines.storage.objects import Objects
from tests.faults import kinds, rounds, world
from tests.faults.kinds import Fault
from tests.faults.proxy import Proxy
from tests.faults.whole import Watcher, fault_of
from tests.faults.world import World

group = pytest.mark.xdist_group("daemon")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world.opened(tmp_path_factory.mktemp("faults")) as found:
        yield found


@group
@pytest.mark.rounds
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("seed", "faults"),
    [
        (
            1001,
            [
                Fault("API", 1.0, 0),
                Fault("S3 refusing", 3.0, 3.0),
                Fault("run", 6.0, 0),
                Fault("code server", 12.0, 0),
            ],
        ),
        (
            1002,
            [Fault("PostgreSQL", 2.0, 0), Fault("disk full", 5.0, 3.0), Fault("worker", 9.0, 0), Fault("up", 12.0, 0)],
        ),
    ],
)
def test_all_is_done_and_nothing_twice_whatever_dies(house: World, seed: int, faults: list[Fault]) -> None:
    outcome = rounds.play(house, seed, faults, recovery_seconds=600)
    assert outcome.violations == (), f"{outcome}\n{house.log()[-3000:]}"
    assert outcome.files > 10


def test_a_seed_names_its_faults() -> None:
    import random

    first, second = kinds.drawn(random.Random(7)), kinds.drawn(random.Random(7))
    assert first == second and 3 <= len(first) <= 5
    assert {fault.kind for seed in range(200) for fault in kinds.drawn(random.Random(seed))} == set(kinds.KINDS)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.json", b'{"a": 1'),
        ("a.xml", b"<a><b>"),
        ("a.html", b"<html><body>"),
        ("a.csv", b"id,text\n1,x\n2"),
        ("a.wav", b"RIFF\x24\x00\x00\x00WAVEfmt "),
        ("a.mp4", b"\x00\x00\x00\x18ftypmp42"),
        ("a.mid", b"MThd\x00\x00\x00\x06"),
        ("a.png", b"\x89PNG\r\n\x1a\n"),
        ("a.txt", b""),
    ],
)
def test_half_a_file_is_seen(name: str, data: bytes) -> None:
    assert fault_of(name, data) is not None


@pytest.fixture(params=["a folder", "a bucket"])
def where(request: pytest.FixtureRequest) -> Settings:
    found: Settings = request.getfixturevalue("settings" if request.param == "a folder" else "bucket")
    return found


def test_the_watcher_sees_what_was_there_only_for_a_moment(where: Settings) -> None:
    objects = Objects.open(where)

    def put(name: str, text: str) -> None:
        if objects.remote:
            objects.put_named(results.key_of("job", name), text.encode())
        else:
            folder = results.folder_of(where, "job")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)

    with Watcher(where, objects, ["job"]) as watcher:
        put("good.json", "{}")
        put("half.json", "{")
        end = time.monotonic() + 60
        while watcher.read < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
        put("half.json", "{}")
    (seen,) = watcher.seen
    assert seen.startswith("job/half.json was to be seen but")


def test_a_proxy_that_is_cut(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_echo, args=(server,), daemon=True).start()
        proxy = Proxy("127.0.0.1", server.getsockname()[1])
        try:
            assert _said(proxy.port) == b"hello"
            proxy.cut("refusing")
            assert _said(proxy.port) == b""
            proxy.cut("silent")
            assert _said(proxy.port) is None
            proxy.mend()
            assert _said(proxy.port) == b"hello"
        finally:
            proxy.close()
            server.shutdown(socket.SHUT_RDWR)


def _echo(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            if data := connection.recv(100):
                connection.sendall(data)


def _said(port: int) -> bytes | None:
    """The answer to a greeting; empty: the connection ended, None: nothing came."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
            client.sendall(b"hello")
            return client.recv(100)
    except TimeoutError:
        return None
    except ConnectionError:
        return b""
