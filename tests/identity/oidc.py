"""An OpenID Connect issuer on loopback: discovery, keys that rotate, outages. Tokens are signed with its real keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

AUDIENCE = "orimono"


@dataclass(frozen=True)
class SigningKey:
    kid: str
    algorithm: str
    private: Any

    @classmethod
    def make(cls, kid: str, algorithm: str = "RS256", *, bits: int = 2048) -> SigningKey:
        if algorithm[:2] in ("RS", "PS"):
            return cls(kid, algorithm, rsa.generate_private_key(public_exponent=65537, key_size=bits))
        if algorithm == "EdDSA":
            return cls(kid, algorithm, ed25519.Ed25519PrivateKey.generate())
        curve = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}[algorithm]
        return cls(kid, algorithm, ec.generate_private_key(curve()))

    @property
    def jwk(self) -> dict[str, Any]:
        from jwt.algorithms import get_default_algorithms

        algorithm: Any = get_default_algorithms()[self.algorithm]
        public = json.loads(algorithm.to_jwk(self.private.public_key()))
        public.pop("key_ops", None)
        return public | {"kid": self.kid, "use": "sig", "alg": self.algorithm}

    @property
    def pem(self) -> bytes:
        """Of the public key."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def part(value: Any) -> str:
    """A part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], claims: Any, secret: bytes | None = None) -> str:
    """A token with whatever header, signed by HMAC-SHA256 or not at all: libraries refuse to make such ones."""
    body = f"{part(header)}.{part(claims)}"
    signature = hmac.new(secret, body.encode(), hashlib.sha256).digest() if secret is not None else b""
    return f"{body}.{part(signature) if signature else ''}"


@dataclass
class Oidc:
    url: str
    keys: list[SigningKey]
    asked: list[str] = field(default_factory=list)  # paths, in order
    away: bool = False
    discovery: dict[str, Any] = field(default_factory=dict)  # what is otherwise there
    jwks: Any = None  # in place of the keys
    delay: float = 0.0  # s

    def claims(self, **other: Any) -> dict[str, Any]:
        """Of an editor, ada, now; None leaves a claim out."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300, "orimono_role": "editor"}
        return {name: value for name, value in (usual | other).items() if value is not None}

    def token(self, key: SigningKey | None = None, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        key = key or self.keys[0]
        return jwt.encode(
            self.claims(**claims), key.private, algorithm=key.algorithm, headers={"kid": key.kid, **(headers or {})}
        )

    def rotate(self, algorithm: str = "RS256") -> SigningKey:
        """New keys in place of the old ones."""
        self.keys[:] = [SigningKey.make(f"key-{len(self.asked)}-{time.monotonic_ns()}", algorithm)]
        return self.keys[0]


@contextmanager
def issuer(*keys: SigningKey) -> Iterator[Oidc]:
    found: Oidc

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            time.sleep(found.delay)
            if found.away:
                self.send_error(503)
                return
            if self.path == "/.well-known/openid-configuration":
                body = {"issuer": found.url, "jwks_uri": f"{found.url}/jwks"} | found.discovery
            elif self.path == "/jwks":
                body = {"keys": [key.jwk for key in found.keys]} if found.jwks is None else found.jwks
            else:
                self.send_error(404)
                return
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Oidc(f"http://127.0.0.1:{server.server_port}", list(keys))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
