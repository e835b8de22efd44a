"""Videos fetched from a real HTTP server: what arrives whole, and what is turned away, with why."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import BadInput, Unavailable
from pipelines.scoring import fetching
from pipelines.scoring.fetching import Fetched, Limits, fetch, known_hosts, public
from pipelines.scoring.provider import Lost, Refused
from tests.scoring.files_server import VideoHost, serving
from tests.scoring.test_wire import self_signed

MEDIA = Path(__file__).resolve().parents[2] / "sample" / "media"
MP4, WEBM = MEDIA / "big_buck_bunny_5s.mp4", MEDIA / "big_buck_bunny_0_30.webm"
SOON = Limits(seconds=20)


@pytest.fixture(scope="module")
def host() -> Iterator[VideoHost]:
    server = VideoHost()
    with serving(server):
        yield server


def get(link: str, path: Path, host: VideoHost | None = None, limits: Limits = SOON) -> Fetched:
    hosts = known_hosts(host.host) if host else frozenset()
    return asyncio.run(fetch(link, path, hosts=hosts, limits=limits))


def why(link: str, path: Path, host: VideoHost | None = None, limits: Limits = SOON) -> str:
    with pytest.raises(Refused) as caught:
        get(link, path, host, limits)
    said = str(caught.value)
    assert "http://" not in said
    assert "127.0.0.1" not in said
    return said


@pytest.mark.parametrize(("file", "kind"), [(MP4, "video/mp4"), (WEBM, "video/webm")])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_video_arrives_whole(host: VideoHost, file: Path, kind: str, chunked: bool, tmp_path: Path) -> None:
    link = host.put("/a video.bin", file, headers={"Content-Type": "text/plain"}, chunked=chunked)
    assert get(f" {link.replace(' ', '%20')}?x=1&y=ü#part ", tmp_path / "v", host) == Fetched(file.stat().st_size, kind)
    assert (tmp_path / "v").read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("", "no http or https"),
        ("a film about ducks", "no http or https"),
        ("film.mp4", "no http or https"),
        ("file:///etc/passwd", "no http or https"),
        ("ftp://example.org/a.mp4", "no http or https"),
        ("javascript:alert(1)", "no http or https"),
        ("http://", "no http or https"),
        ("http:///a.mp4", "no http or https"),
        ("http://[::1/a.mp4", "no http or https"),
        ("http://a.example:99999/", "no http or https"),
        ("http://a.example/a b", "no http or https"),
        ("http://a.example/" + "a" * 5000, "no http or https"),
        ("https://\0.example/", "no http or https"),
        ("http://a..example/", "no http or https"),
        ("http://.../", "no http or https"),
        (f"http://{'a' * 64}.example/", "no http or https"),
        (f"http://{'a.' * 150}example/", "no http or https"),
        ("http://127.0.0.1:0/", "no http or https"),
    ],
)
def test_what_is_no_address_is_refused(link: str, reason: str, tmp_path: Path) -> None:
    assert reason in why(link, tmp_path / "v")


@given(st.text(max_size=60) | st.text(max_size=40).map("http://{}".format))
def test_no_text_is_fetched_nor_breaks_it(text: str) -> None:
    try:
        url = fetching._address(text)
    except Refused:
        return
    assert url.scheme in ("http", "https")
    assert url.host


PRIVATE = ("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0")


@pytest.mark.parametrize("name", PRIVATE)
def test_a_private_address_is_refused_however_it_is_written(host: VideoHost, name: str, tmp_path: Path) -> None:
    host.put("/private.mp4", MP4)
    before = host.asked["/private.mp4"]
    port = host.host.rpartition(":")[2]
    said = why(f"http://{name}:{port}/private.mp4", tmp_path / "v")
    assert "private network" in said or "no http" in said
    assert host.asked["/private.mp4"] == before


def test_a_redirect_into_the_private_network_is_refused(host: VideoHost, tmp_path: Path) -> None:
    other = VideoHost()
    with serving(other):
        inside = other.put("/secret.mp4", MP4)
        link = host.put("/away", b"", status=302, headers={"Location": inside})
        assert "private network" in why(link, tmp_path / "v", host)
        assert other.asked.total() == 0
        link = host.put("/away", b"", status=302, headers={"Location": "file:///etc/passwd"})
        assert "no http" in why(link, tmp_path / "v", host)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::10.0.0.1", False),
        ("2002:a00:1::", False),  # 6to4 of 10.0.0.1
        ("64:ff9b::7f00:1", False),  # NAT64 of 127.0.0.1
        ("64:ff9b::5db8:d70e", True),
        ("ff02::1", False),
    ],
)
def test_public_addresses(address: str, found: bool) -> None:
    assert public(address) is found


def test_redirects_are_followed_three_times(host: VideoHost, tmp_path: Path) -> None:
    host.put("/4", MP4)
    for number, where in ((1, "/2"), (2, host.url + "/3"), (3, "4")):
        host.put(f"/{number}", b"", status=302 if number < 3 else 308, headers={"Location": where})
    host.put("/0", b"", status=301, headers={"Location": "/1"})
    assert get(host.url + "/1", tmp_path / "v", host).kind == "video/mp4"
    assert "more than 3 times" in why(host.url + "/0", tmp_path / "w", host)
    assert "no http" in why(host.put("/nowhere", b"", status=302), tmp_path / "w", host)


@pytest.mark.parametrize("status", [204, 206, 300, 400, 401, 403, 404, 410, 451])
def test_what_is_gone_or_forbidden_is_refused(host: VideoHost, status: int, tmp_path: Path) -> None:
    assert f"says {status}" in why(host.put("/gone", b"", status=status), tmp_path / "v", host)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_host_in_trouble_is_asked_again_later(host: VideoHost, status: int, tmp_path: Path) -> None:
    link = host.put("/busy", b"", status=status, headers={"Retry-After": "7"})
    with pytest.raises(Lost, match=f"says {status}") as caught:
        get(link, tmp_path / "v", host)
    assert caught.value.retry_after == 7


def test_a_host_that_is_away_or_cuts_is_asked_again_later(host: VideoHost, tmp_path: Path) -> None:
    away = VideoHost()
    with serving(away):
        pass
    for link, known in ((away.url + "/a", away), (host.put("/cut", MP4, claims=9_000_000), host)):
        with pytest.raises(Lost, match="is away"):
            get(link, tmp_path / "v", known)
        (tmp_path / "v").unlink(missing_ok=True)
    with pytest.raises(Lost, match="is not found"):
        get("https://nobody.invalid/a.mp4", tmp_path / "v")
    with pytest.raises(Lost, match="is away"):
        get(host.url.replace("http:", "https:"), tmp_path / "v", host)


@pytest.mark.parametrize(
    ("answer", "certain"),
    [
        (b"", False),
        (b"SSH-2.0-server\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10_000, False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", False),
        (b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe:x/\r\n\r\n", True),
        (b"HTTP/1.1 302 Found\r\nLocation: http://a..b/\r\n\r\n", True),
    ],
)
def test_a_host_that_speaks_nonsense(answer: bytes, certain: bool, tmp_path: Path) -> None:
    async def one() -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            writer.close()

        async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
            where = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(Refused if certain else Lost):
                await fetch(f"http://{where}/a.mp4", tmp_path / "v", hosts=frozenset([where]))

    asyncio.run(one())


def test_a_host_that_cannot_prove_who_it_is(tmp_path: Path) -> None:
    async def one() -> None:
        async with await asyncio.start_server(
            lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=self_signed(tmp_path)
        ) as server:
            where = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(Lost, match="cannot prove who it is"):
                await fetch(f"https://{where}/a.mp4", tmp_path / "v", hosts=frozenset([where]))

    asyncio.run(one())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>Sign in to see this video</html>", "no video"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/secret\n", "no video"),
        (MEDIA / "fishin_inst.m4a", "no video"),
        (MEDIA / "vibe_ace.ogg", "no video"),
        (MP4.read_bytes()[:200], "damaged"),
        (b"\x00\x00\x00\x20ftypisom" + bytes(5000), "damaged"),
        (b"\x1a\x45\xdf\xa3" + b"webm" * 2000, "damaged"),
    ],
)
def test_what_is_no_video_is_refused_by_its_content(
    host: VideoHost, body: bytes | Path, reason: str, tmp_path: Path
) -> None:
    link = host.put("/film.mp4", body, headers={"Content-Type": "video/mp4"})
    assert reason in why(link, tmp_path / "v", host)


def test_a_file_with_sound_only_is_refused(host: VideoHost, tmp_path: Path) -> None:
    # Renamed to what films are called, as some shops do with songs.
    body = bytearray((MEDIA / "fishin_inst.m4a").read_bytes())
    body[8:12] = b"isom"
    assert "no moving picture" in why(host.put("/song.mp4", bytes(body)), tmp_path / "v", host)


def test_what_is_no_video_is_not_fetched_to_its_end(host: VideoHost, tmp_path: Path) -> None:
    link = host.put("/endless", b"<html>" + bytes(70_000), repeat=10_000, chunked=True)
    assert "no video" in why(link, tmp_path / "v", host)


def test_too_large_is_refused_before_and_while_it_comes(host: VideoHost, tmp_path: Path) -> None:
    small = Limits(size=1_000_000, seconds=20)
    assert "larger than" in why(host.put("/large", MP4), tmp_path / "v", host, small)
    assert not (tmp_path / "v").exists()
    assert "larger than" in why(host.put("/large", MP4, chunked=True), tmp_path / "v", host, small)
    assert "larger than 2 GB" in why(host.put("/claims", MP4, claims=3 * 1024**3), tmp_path / "w", host)
    packed = host.put("/packed", MP4, headers={"Content-Encoding": "gzip"})
    assert "packed" in why(packed, tmp_path / "x", host)


def test_too_slow_is_refused(host: VideoHost, tmp_path: Path) -> None:
    link = host.put("/slow", MP4, pause=0.2)
    assert "within 0.5 s" in why(link, tmp_path / "v", host, Limits(seconds=0.5))


def test_silence_is_asked_again_later(host: VideoHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SILENCE", 0.2)
    with pytest.raises(Lost, match="host"):
        get(host.put("/silent", MP4, hang=True), tmp_path / "v", host)


def test_a_full_disk_is_one_sentence(host: VideoHost, tmp_path: Path) -> None:
    link = host.put("/film.mp4", MP4, chunked=True)
    code = f"""
import asyncio, pathlib, resource, sys
from pipelines.errors import Unavailable
from pipelines.scoring.fetching import fetch
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
try:
    asyncio.run(fetch({link!r}, pathlib.Path({str(tmp_path / "v")!r}), hosts=frozenset([{host.host!r}])))
except Unavailable as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "a video to score: there is no room left on the disk for it; try again in 60 s\n", done.stderr


def test_more_than_the_disk_has_is_not_begun(host: VideoHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(Unavailable, match="no room left"):
        get(host.put("/film.mp4", MP4), tmp_path / "v", host)
    assert not (tmp_path / "v").exists()


def test_hosts_of_the_setting() -> None:
    found = known_hosts(" NAS.local:8080, 10.0.0.5:80 ,, [fd00::1]:81, plain ")
    assert found == {"nas.local:8080", "10.0.0.5:80", "fd00::1:81", "plain:80", "plain:443"}
    for wrong in ("http://a:1", "a/b", "a:b", "u@a:1"):
        with pytest.raises(BadInput, match="ORIMONO_VIDEO_HOSTS"):
            known_hosts(wrong)


def test_a_cancelled_fetch_leaves_no_thread_at_the_file(host: VideoHost, tmp_path: Path) -> None:
    link = host.put("/slow.mp4", MP4, pause=0.05)

    async def cancelled() -> None:
        task = asyncio.create_task(fetch(link, tmp_path / "v", hosts=known_hosts(host.host)))
        while not (tmp_path / "v").exists():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
