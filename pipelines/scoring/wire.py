"""One HTTP session to one language model's endpoint: where it may go, how long it waits, how much it reads.

What a status means is statuses.py's, what is sent openai_chat.py's and gemini.py's. Nothing is tried again here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from pipelines.errors import BadInput
from pipelines.scoring.provider import Lost, Usage

if TYPE_CHECKING:
    import aiohttp

MAX_BODY = 1 << 20  # bytes of an answer that are read
CONNECT = 10.0  # s, to connect
IDLE = 4.0  # s that a connection is kept; many servers close theirs after 5, and to be first saves a lost request
BYTES_A_TOKEN = 4  # a rule of thumb of OpenAI's and Google's for English; three bytes of Japanese are about one, too


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Whose model is asked, and the names of the settings that say so. Made by ``of``, which checks it."""

    base: str  # without a slash at its end
    host: str  # for messages
    key: str = field(repr=False)
    key_setting: str
    base_setting: str
    own: bool  # the address is the provider's own, and not somebody's who speaks as it does

    @classmethod
    def of(cls, base: str, key: str, *, key_setting: str, base_setting: str, needs_key: bool) -> Endpoint:
        """``needs_key``: of the provider's own address. Raises BadInput for an address that is none, a key that is
        none, and a key that would travel unencrypted."""
        base, key = base.strip().rstrip("/"), key.strip()
        try:
            parts = urlsplit(base)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            parts, host, port = urlsplit(""), "", None
        plain = base.isascii() and base.isprintable() and " " not in base
        if not plain or parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
            remedy = "give one such as https://api.openai.com/v1"
            raise BadInput(base_setting, "is not the address of an endpoint", remedy)
        if parts.username is not None:
            raise BadInput(base_setting, "holds a user's name or password", f"set {key_setting} instead")
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            raise BadInput(key_setting, "holds characters that no key has", "copy it again, without quotes and breaks")
        if needs_key and not key:
            raise BadInput(key_setting, f"is not set, and {host} answers nobody without a key", "set it to your key")
        if key and parts.scheme == "http" and not is_loopback(host):
            reason = f"would send a key unencrypted to {host}"
            names = dict.fromkeys((key_setting, key_setting.removeprefix("ORIMONO_")))  # it is read from either
            raise BadInput(base_setting, reason, f"use https://, or unset {' and '.join(names)}")
        return cls(base, f"{host}:{port}" if port else host, key, key_setting, base_setting, needs_key)

    def named(self, kind: str) -> str:
        """What answers of this endpoint are kept under: ``kind``, and where it is unless it is the provider's own."""
        return kind if self.own else f"{kind}@{place(self.base)}"


def place(address: str) -> str:
    """host:port/path of an http(s) address, written in one way: equal for addresses that lead to the same. No
    credentials. ValueError for a port that is none."""
    parts = urlsplit(address.strip())
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    port = parts.port or (80 if parts.scheme == "http" else 443)
    return f"{host}:{port}{parts.path.rstrip('/')}"


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer over HTTP, whatever its status."""

    status: int
    headers: Mapping[str, str]  # names in any case
    body: bytes


class Wire:
    """``async with Wire(url, headers, timeout) as wire``, in the loop that asks. Redirects are not followed: a key
    stays where it was meant for."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float) -> None:
        self._address = url
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "orimono"}
        self._headers |= headers
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp
        from yarl import URL

        self._url = URL(self._address)  # read once: each request would read a string again
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE, ttl_dns_cache=300),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=min(CONNECT, self._timeout)),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept",),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, body: bytes) -> Heard:
        """Raises Lost, with what the try is thought to have cost, when there is no whole answer; BadInput when the
        other side cannot prove who it is."""
        import aiohttp

        if self._session is None:
            raise RuntimeError("the session is not open")
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._session.post(self._url, data=body, allow_redirects=False)
            length = response.content_length
            if length is not None and length <= MAX_BODY and "Content-Encoding" not in response.headers:
                payload = await response.read()
            else:
                payload = await _read(response, sent=len(body))
            return Heard(response.status, response.headers, payload)
        except aiohttp.ClientConnectorCertificateError as error:
            reason = "has a certificate that does not prove who it is"
            raise BadInput(error.host, reason, "check the address, or the date of this machine") from None
        except aiohttp.ClientConnectorError as error:
            raise Lost(f"no connection ({error.os_error.strerror or 'refused'})") from None
        except aiohttp.ConnectionTimeoutError:
            raise Lost("no connection") from None
        except TimeoutError:
            raise Lost(f"no answer within {self._timeout:g} s", estimated(len(body))) from None
        except aiohttp.ClientError:
            raise Lost("the connection ended early", estimated(len(body))) from None
        finally:
            if response is not None and not response.content.at_eof():
                response.close()


async def _read(response: aiohttp.ClientResponse, sent: int) -> bytes:
    """A body that does not say its length, or is compressed."""
    parts, size = [], 0
    while part := await response.content.readany():
        parts.append(part)
        size += len(part)
        if size > MAX_BODY:
            raise Lost(f"an answer of more than {MAX_BODY >> 20} MB", estimated(sent, size))
    return b"".join(parts)


def estimated(sent: int, received: int = 0) -> Usage:
    """Tokens of a try that did not live to tell, from the bytes of its request and its answer."""
    return Usage(-(-sent // BYTES_A_TOKEN), -(-received // BYTES_A_TOKEN), estimated=True)
