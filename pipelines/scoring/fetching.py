"""A video from a link to a file: over http(s), never from a private network, within limits of size, time and redirects.

What becomes of the file is left to video.py. No message names the link, for it is a person's data.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipelines.errors import BadInput, Unavailable
from pipelines.media.replacing import NO_ROOM
from pipelines.scoring.provider import Lost, Refused
from pipelines.scoring.statuses import retry_after
from pipelines.texts import sayable

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from yarl import URL

logger = logging.getLogger(__name__)

T = TypeVar("T")

CONNECT, SILENCE = 20.0, 30.0  # s to a connection, and between two pieces of an answer
AWAY = 20.0  # s until a host that is away is tried again: long enough for other rows' hosts to show that they are not
BLOCK = 1 << 20  # bytes written at once
HEAD = 4096  # bytes that tell what a file is
REDIRECTS = (301, 302, 303, 307, 308)
LATER = (408, 425, 429, 500, 502, 503, 504)  # what may be different the next time; every other status will not
MAX_LINK = 4000  # characters
HEADERS = {"Accept": "video/*,*/*;q=0.5", "Accept-Encoding": "identity", "User-Agent": "orimono"}
NOT_PUBLIC = "its address is on a private network"

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Limits:
    size: int = 2 * 1024**3  # bytes, as much as Gemini takes
    seconds: float = 600.0  # from the first connection to the last byte
    redirects: int = 3


@dataclass(frozen=True, slots=True)
class Fetched:
    size: int  # bytes
    kind: str  # MIME type by its content, in Gemini's words


async def fetch(link: str, path: Path, *, hosts: frozenset[str] = frozenset(), limits: Limits | None = None) -> Fetched:
    """Writes what ``link`` leads to into ``path``; on failure the caller removes what lies there.

    ``hosts``: what ``known_hosts`` made of ORIMONO_VIDEO_HOSTS; these may be on a private network.
    Raises Refused for what will stay as it is (no http(s) link, private, gone, no video, too large, too slow), Lost
    for a host that is away, Unavailable for a full disk.
    """
    limits = limits or Limits()
    url: URL = _address(link)
    try:
        async with asyncio.timeout(limits.seconds) as time:
            for _ in range(limits.redirects + 1):
                found = await _hop(url, path, hosts, limits)
                if isinstance(found, Fetched):
                    break
                url = found
            else:
                raise Refused(f"it leads on more than {limits.redirects} times")
    except TimeoutError as error:
        if time.expired():
            raise Refused(f"it does not arrive within {limits.seconds:g} s") from error
        raise Lost("the video's host does not answer", retry_after=AWAY) from error
    await finished(_check_film, path)
    return found


async def _hop(url: URL, path: Path, hosts: frozenset[str], limits: Limits) -> Fetched | URL:
    """What is there, or where it leads."""
    import aiohttp

    guard = _Guard(_name(url) in hosts)
    # A connector and a session of its own for each: the guard belongs to this hop, and no cookie or connection is to
    # be carried from one host to the next.
    connector = aiohttp.TCPConnector(socket_factory=guard, force_close=True)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=SILENCE)
    session = aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        headers=HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
    try:
        async with session, session.get(url, allow_redirects=False) as answer:
            if answer.status in REDIRECTS:
                return _next(url, answer)
            _check_status(answer)
            return await _save(answer, path, limits)
    except aiohttp.ClientConnectorCertificateError as error:
        # Perhaps it is this machine's clock: no row is to be written off for that.
        raise Lost("the video's host cannot prove who it is", retry_after=AWAY) from error
    except aiohttp.ClientConnectorDNSError as error:
        raise Lost("the video's host is not found", retry_after=AWAY) from error
    except aiohttp.InvalidURL as error:
        raise Refused("it is no http or https address") from error
    except aiohttp.ClientError as error:
        if guard.barred and not guard.passed:
            raise Refused(NOT_PUBLIC) from error
        raise Lost("the video's host is away", retry_after=AWAY) from error


async def _save(answer: ClientResponse, path: Path, limits: Limits) -> Fetched:
    expected = answer.content_length or 0
    if expected > limits.size:
        raise Refused(_too_large(limits))
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused("its host sends it packed")
    size, kind, waiting = 0, "", bytearray()
    try:
        if expected > shutil.disk_usage(path.parent).free:
            raise OSError(errno.ENOSPC, "too small")
        # Unbuffered, so that closing writes nothing and cannot fail.
        with path.open("xb", buffering=0) as file:
            async for piece in answer.content.iter_any():
                size += len(piece)
                if size > limits.size:
                    raise Refused(_too_large(limits))
                waiting += piece
                if not kind and len(waiting) >= HEAD:
                    kind = _kind(bytes(waiting[:HEAD]))
                if len(waiting) >= BLOCK:
                    await finished(_write, file, bytes(waiting))
                    waiting.clear()
            kind = kind or _kind(bytes(waiting[:HEAD]))
            await finished(_write, file, bytes(waiting))
    except OSError as error:
        if error.errno in NO_ROOM:
            raise Unavailable("a video to score", "there is no room left on the disk for it", 60) from error
        raise
    return Fetched(size, kind)


def _write(file: Any, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _too_large(limits: Limits) -> str:
    return f"it is larger than {limits.size / 1024**3:.3g} GB"


def _check_status(answer: ClientResponse) -> None:
    if answer.status == 200:
        return
    if answer.status in LATER:
        raise Lost(f"the video's host says {answer.status}", retry_after=retry_after(answer.headers) or AWAY)
    raise Refused(f"its host says {answer.status}")


def _next(url: URL, answer: ClientResponse) -> URL:
    from yarl import URL

    where = answer.headers.get("Location", "")
    try:
        return _checked(url.join(URL(where))) if where else _checked(None)
    except ValueError as error:
        raise Refused("it leads on to what is no http or https address") from error


def _address(link: str) -> URL:
    from yarl import URL

    text = link.strip()
    try:
        if len(text) > MAX_LINK or not sayable(text) or any(c.isspace() for c in text):
            return _checked(None)
        return _checked(URL(text))
    except ValueError as error:
        raise Refused("it is no http or https address") from error


def _checked(url: URL | None) -> URL:
    if url is None or url.scheme not in ("http", "https") or not url.host or not url.port:
        raise Refused("it is no http or https address")
    labels = (url.raw_host or "").removesuffix(".").split(".")
    if ":" not in url.host and not (all(0 < len(label) < 64 for label in labels) and len(url.host) < 254):
        raise Refused("it is no http or https address")
    return url


def known_hosts(setting: str) -> frozenset[str]:
    """``host:port`` of each in ORIMONO_VIDEO_HOSTS; without a port, 80 and 443. BadInput for what is no host."""
    from yarl import URL

    found: set[str] = set()
    for entry in filter(None, (part.strip() for part in setting.split(","))):
        try:
            url = URL(f"http://{entry}")
            plain = bool(url.host) and url.path in ("", "/") and not url.query_string and url.user is None
        except ValueError:
            plain = False
        if not plain:
            remedy = "write hosts with their ports, such as nas.local:8080"
            raise BadInput("ORIMONO_VIDEO_HOSTS", f"holds {entry!r}, which is no host", remedy)
        ports = (80, 443) if url.explicit_port is None else (url.explicit_port,)
        found |= {f"{(url.host or '').casefold()}:{port}" for port in ports}
    return frozenset(found)


def _name(url: URL) -> str:
    return f"{(url.host or '').casefold()}:{url.port}"


class _Guard:
    """Makes the sockets of one hop. It sees the very address that is connected to, so that no name can resolve to one
    address when it is looked at and to another when it is used."""

    def __init__(self, trusted: bool) -> None:
        self.trusted = trusted
        self.barred = self.passed = 0

    def __call__(self, address: Any) -> socket.socket:
        family, type_, protocol, _, where = address
        if not self.trusted and not public(where[0]):
            self.barred += 1
            raise OSError(errno.EACCES, NOT_PUBLIC)
        self.passed += 1
        return socket.socket(family, type_, protocol)


def public(address: str) -> bool:
    """Whether an IP address belongs to the internet, seen through the forms that wrap IPv4 in IPv6."""
    found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is None and int(found) >> 32 == 0:  # the old IPv4-compatible form
            return False
        found = inner or found
    return found.is_global and not found.is_multicast and not found.is_reserved


# What begins how, and what Gemini calls it.
_MPEG = (b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")
_ASF = bytes.fromhex("3026b2758e66cf11")
_NO_FILMS = (b"M4A ", b"M4B ", b"M4P ", b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"crx ", b"jp2 ")


def _kind(head: bytes) -> str:
    """MIME type by the first bytes; Refused for what is none that Gemini takes, before the rest is fetched."""
    if head[4:8] == b"ftyp" and head[8:12] not in _NO_FILMS:
        return {b"qt": "video/mov", b"3g": "video/3gpp"}.get(head[8:10], "video/mp4")
    if head[4:8] in (b"moov", b"mdat", b"wide"):
        return "video/mov"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "video/webm" if b"webm" in head[:80] else "video/x-matroska"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "video/avi"
    if head[:4] in _MPEG or (head[:1] == b"G" and head[188:189] == b"G" and head[376:377] == b"G"):
        return "video/mpeg"
    if head[:4] == b"FLV\x01":
        return "video/x-flv"
    if head[:8] == _ASF:
        return "video/wmv"
    raise Refused("it is no video" if head else "it is empty")


def _check_film(path: Path) -> None:
    from pipelines.media.probe import film_stream, open_media

    try:
        with open_media(path) as container:
            if film_stream(container) is None:
                raise Refused("it holds no moving picture")
    except BadInput as error:
        raise Refused("it is a damaged video, or none") from error


async def finished(work: Callable[..., T], *arguments: Any) -> T:
    """``work`` in a thread; when this task is cancelled meanwhile, the thread has ended before that is passed on, so
    that nobody closes or deletes under it what it works on."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if not running.done():
            await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # seen
        raise
