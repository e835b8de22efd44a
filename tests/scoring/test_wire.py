"""Answers as servers of many makes send them, byte by byte; the usual ones are in test_openai_chat.py."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import ipaddress
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pipelines.errors import BadInput
from pipelines.scoring.provider import Lost
from pipelines.scoring.wire import MAX_BODY, Heard, Wire, estimated

SMALL = b'{"a": 1}'


async def exchanged(
    answer: bytes, posts: int = 1, context: ssl.SSLContext | None = None, closes: bool = True
) -> list[Heard]:
    """What is heard from a server that answers each request with these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                writer.write(answer)
                await writer.drain()
                if closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
        address = f"{'https' if context else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        wire = await stack.enter_async_context(Wire(address, {}, 5.0))
        return [await wire.post(b"{}") for _ in range(posts)]


def heard(answer: bytes, **options: object) -> Heard:
    return asyncio.run(exchanged(answer, **options))[0]


def test_a_body_in_chunks():
    found = heard(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n4\r\n: 1}\r\n0\r\n\r\n')
    assert (found.status, found.body) == (200, SMALL)


def test_a_body_that_ends_with_its_connection():
    assert heard(b"HTTP/1.0 200 OK\r\n\r\n" + SMALL).body == SMALL


def test_an_interim_answer_before_the_answer():
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"
    assert heard(answer + SMALL).body == SMALL


def packed(body: bytes) -> bytes:
    small = gzip.compress(body, mtime=0)
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(small) + small


def test_a_compressed_body_that_nobody_asked_for():
    assert heard(packed(SMALL)).body == SMALL


@pytest.mark.parametrize(
    "answer",
    [
        packed(b" " * 30_000_000),
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + b" " * 5_000_000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (MAX_BODY + 1),
    ],
    ids=["gzip", "length", "endless"],
)
def test_no_more_is_read_than_an_answer_can_need(answer):
    with pytest.raises(Lost, match="more than 1 MB"):
        heard(answer)


def test_a_redirect_is_not_followed():
    found = heard(b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n")
    assert found.status == 302


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + SMALL]
)
def test_what_is_no_whole_answer(answer):
    with pytest.raises(Lost) as caught:
        heard(answer)
    assert caught.value.usage == estimated(2)


def test_a_connection_is_used_again():
    answers = asyncio.run(exchanged(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + SMALL, posts=5, closes=False))
    assert [found.body for found in answers] == [SMALL] * 5


def test_a_server_that_cannot_prove_who_it_is(tmp_path: Path):
    with pytest.raises(BadInput, match=r"127\.0\.0\.1: has a certificate that does not prove"):
        heard(b"", context=self_signed(tmp_path))


def self_signed(folder: Path) -> ssl.SSLContext:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    named = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = made.add_extension(named, critical=False).sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "certificate").write_bytes(certificate.public_bytes(pem))
    (folder / "key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate", folder / "key")
    return context
