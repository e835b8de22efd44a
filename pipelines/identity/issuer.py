"""The public keys of an OpenID Connect issuer: found by its discovery document, kept, and fetched anew when it rotates.

What they prove is tokens.py's.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipelines.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from jwt import PyJWK

FRESH = 600.0  # s that what was fetched counts
AGAIN = 30.0  # s between two fetches, at least
KEPT = 24 * 3600.0  # s that keys count while the issuer is away
PATIENCE = 5.0  # s for one of the two documents
MAX_BYTES = 1 << 20
MAX_KEYS = 100
RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
CURVES = {("EC", "P-256"): "ES256", ("EC", "P-384"): "ES384", ("EC", "P-521"): "ES512"}
CURVES |= {("OKP", "Ed25519"): "EdDSA", ("OKP", "Ed448"): "EdDSA"}
ALGORITHMS = (*RSA, *dict.fromkeys(CURVES.values()))  # asymmetric ones only: a public key is no shared secret
MIN_RSA_BITS = 2048
LOOPBACK = ("127.0.0.1", "::1", "localhost")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Fetched:
    at: float
    keys: tuple[tuple[str | None, str, PyJWK], ...]  # kid, the one algorithm it is for, key

    def fitting(self, kid: str | None, algorithm: str) -> PyJWK | None:
        """The key of this name for this algorithm; without a name the only one there is for it."""
        same = [key for name, alg, key in self.keys if alg == algorithm and (kid is None or name == kid)]
        return same[0] if len(same) == 1 else None

    def has(self, kid: str | None) -> bool:
        return kid is None or any(name == kid for name, _, _ in self.keys)


class Issuer:
    """Any number of threads may use it; one of them fetches. BadInput for an address that keys may not come from."""

    def __init__(self, url: str, *, seconds: Callable[[], float] = time.monotonic) -> None:
        _checked(url)
        self.url = url
        self._seconds = seconds
        self._lock = threading.Lock()
        self._fetched: _Fetched | None = None
        self._tried: float | None = None
        self._failed: str | None = None  # why the last try did

    def key(self, kid: str | None, algorithm: str) -> PyJWK | None:
        """The issuer's key of this name, if it is for this algorithm; None when there is none. Unavailable while that
        cannot be known: there are no keys, or none of this name and the issuer does not answer."""
        fetched = self._current(kid)
        if not fetched.has(kid) and self._failed is not None:
            raise self._away()
        return fetched.fitting(kid, algorithm)

    def _current(self, kid: str | None) -> _Fetched:
        found = self._usable()
        if found is not None and found.has(kid) and self._seconds() - found.at < FRESH:
            return found
        # Whoever has keys does not wait for another's fetch.
        if self._lock.acquire(blocking=found is None):
            try:
                found = self._usable()
                old = found is None or not found.has(kid) or self._seconds() - found.at >= FRESH
                if old and (self._tried is None or self._seconds() - self._tried >= AGAIN):
                    self._fetch()
            finally:
                self._lock.release()
        found = self._usable()
        if found is None:
            raise self._away()
        return found

    def _usable(self) -> _Fetched | None:
        found = self._fetched
        return found if found is not None and self._seconds() - found.at < KEPT else None

    def _away(self) -> Unavailable:
        since = self._seconds() - self._tried if self._tried is not None else 0.0
        return Unavailable(f"issuer {self.url}", self._failed or "gave no keys", round(max(1.0, AGAIN - since)))

    def _fetch(self) -> None:
        import httpx

        self._tried = self._seconds()
        try:
            with httpx.Client(timeout=PATIENCE, follow_redirects=False, trust_env=False) as client:
                found = _document(client, f"{self.url.rstrip('/')}/.well-known/openid-configuration")
                if found.get("issuer") != self.url:
                    raise ValueError("its discovery document is another issuer's")
                address = str(found.get("jwks_uri", ""))
                _checked(address, loopback=urlsplit(self.url).hostname in LOOPBACK)
                keys = tuple(_keys(_document(client, address)))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError, BadInput) as error:
            self._failed = str(error) or type(error).__name__
            log.warning("issuer %s: its keys could not be fetched: %s", self.url, self._failed)
            return
        if not keys:
            self._failed = "has no key that tokens may be signed with"
            log.warning("issuer %s: %s", self.url, self._failed)
            return
        self._failed = None
        self._fetched = _Fetched(self._tried, keys)


def _checked(url: str, *, loopback: bool = True) -> None:
    """Keys come by TLS, or from this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    near = loopback and parts.scheme == "http" and host in LOOPBACK
    if host is None or not (parts.scheme == "https" or near) or parts.query or parts.fragment:
        raise BadInput("ORIMONO_OIDC_ISSUER", f"leads to {url!r}, which is no https address", "give the issuer's own")


def _document(client: Any, url: str) -> dict[str, Any]:
    """JSON at this address; ValueError for anything else, httpx.HTTPError when it is away."""
    started, data = time.monotonic(), b""
    with client.stream("GET", url, headers={"Accept": "application/json"}) as answer:
        if answer.status_code != 200:
            raise ValueError(f"answers {answer.status_code}")
        for piece in answer.iter_bytes():
            data += piece
            if len(data) > MAX_BYTES or time.monotonic() - started > PATIENCE:
                raise ValueError("its answer is too large or too slow")
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("its answer is no JSON object")
    return found


def _keys(document: Mapping[str, Any]) -> list[tuple[str | None, str, PyJWK]]:
    """Those that sign; others are passed over, as RFC 7517 (5) says of those one does not understand."""
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    found = []
    listed = document.get("keys")
    for data in listed[:MAX_KEYS] if isinstance(listed, list) else ():
        if not isinstance(data, dict) or data.get("use", "sig") != "sig" or "d" in data:
            continue
        if "key_ops" in data and "verify" not in (data["key_ops"] or ()):
            continue
        kind, kid = data.get("kty"), data.get("kid")
        fitting = RSA if kind == "RSA" else (CURVES.get((str(kind), str(data.get("crv"))), ""),)
        for algorithm in fitting:
            if not algorithm or data.get("alg", algorithm) != algorithm:
                continue
            try:
                key = PyJWK(data, algorithm)
            except (PyJWTError, ValueError, TypeError, KeyError):
                log.warning("a key of the issuer cannot be read")
                continue
            if kind == "RSA" and key.key.key_size < MIN_RSA_BITS:
                log.warning("an RSA key of the issuer has %d bits and is passed over", key.key.key_size)
                continue
            found.append((kid if isinstance(kid, str) else None, algorithm, key))
    return found
