"""The issuer's keys: found, kept, fetched anew, and kept on while it is away."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pipelines.errors import BadInput, Unavailable
from pipelines.identity.issuer import AGAIN, FRESH, KEPT, MAX_BYTES, Issuer
from pipelines.identity.tokens import Tokens
from pipelines.settings import Settings
from tests.identity.conftest import Seconds
from tests.identity.oidc import Oidc, SigningKey

BOTH = ["/.well-known/openid-configuration", "/jwks"]


def test_keys_are_fetched_once_and_kept(oidc: Oidc, seconds: Seconds) -> None:
    found = Issuer(oidc.url, seconds=seconds)
    for _ in range(50):
        assert found.key("first", "RS256") is not None
    assert oidc.asked == BOTH
    seconds.now += FRESH + 1
    assert found.key("first", "RS256") is not None
    assert oidc.asked == BOTH * 2


def test_rotated_keys_are_found_by_their_new_name(oidc: Oidc, seconds: Seconds) -> None:
    found = Issuer(oidc.url, seconds=seconds)
    old = oidc.keys[0]
    asked = Tokens(Settings(oidc_issuer=oidc.url), found)
    assert asked.verify(oidc.token()) is not None
    oidc.rotate()
    seconds.now += AGAIN
    assert asked.verify(oidc.token()) is not None
    assert asked.verify(oidc.token(old)) is None, "the old key is the issuer's no more"


def test_made_up_names_of_keys_are_no_way_to_keep_us_fetching(oidc: Oidc, seconds: Seconds) -> None:
    found = Issuer(oidc.url, seconds=seconds)
    for number in range(200):
        assert found.key(f"made-up-{number}", "RS256") is None
    assert oidc.asked == BOTH
    seconds.now += AGAIN
    for number in range(200):
        assert found.key(f"made-up-{number}", "RS256") is None
    assert oidc.asked == BOTH * 2


def test_known_keys_go_on_while_the_issuer_is_away(oidc: Oidc, seconds: Seconds) -> None:
    found = Issuer(oidc.url, seconds=seconds)
    assert found.key("first", "RS256") is not None
    oidc.away = True
    seconds.now += FRESH + 1
    asked = len(oidc.asked)
    for _ in range(50):
        assert found.key("first", "RS256") is not None
    assert len(oidc.asked) == asked + 1, "one look, then none for half a minute"
    with pytest.raises(Unavailable) as error:
        found.key("new", "RS256")
    assert 0 < error.value.retry_after <= AGAIN
    oidc.away = False
    seconds.now += AGAIN
    assert found.key("new", "RS256") is None
    oidc.away = True
    seconds.now += KEPT + 1
    with pytest.raises(Unavailable):
        found.key("first", "RS256")


def test_an_issuer_that_was_never_there(oidc: Oidc, seconds: Seconds) -> None:
    oidc.away = True
    found = Issuer(oidc.url, seconds=seconds)
    for _ in range(5):
        with pytest.raises(Unavailable, match="503"):
            found.key("first", "RS256")
    assert len(oidc.asked) == 1
    oidc.away = False
    seconds.now += AGAIN
    assert found.key("first", "RS256") is not None


def test_many_threads_fetch_once(oidc: Oidc, seconds: Seconds) -> None:
    oidc.delay = 0.05
    found, seen = Issuer(oidc.url, seconds=seconds), []
    threads = [threading.Thread(target=lambda: seen.append(found.key("first", "RS256"))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 12 and None not in seen
    assert oidc.asked == BOTH


@pytest.mark.parametrize(
    ("discovery", "jwks"),
    [
        ({"issuer": "https://elsewhere.example"}, None),
        ({"jwks_uri": "http://keys.example/jwks"}, None),
        ({"jwks_uri": "file:///etc/passwd"}, None),
        ({"jwks_uri": "http://[broken"}, None),
        ({"jwks_uri": None}, None),
        ({}, b"<html>"),
        ({}, b"[" * 100_000),
        ({}, b"[1]"),
        ({}, {"keys": "many"}),
        ({}, {"keys": [1, None, {}, {"kty": "RSA"}, {"kty": "EC", "crv": "P-256", "x": "?", "y": "?"}]}),
        ({}, b'{"keys": []}' + b" " * MAX_BYTES),
    ],
)
def test_documents_that_are_none(oidc: Oidc, seconds: Seconds, discovery: dict[str, Any], jwks: Any) -> None:
    oidc.discovery, oidc.jwks = discovery, jwks
    with pytest.raises(Unavailable):
        Issuer(oidc.url, seconds=seconds).key("first", "RS256")


def test_keys_that_are_not_for_signatures_are_passed_over(oidc: Oidc, seconds: Seconds) -> None:
    good, small = SigningKey.make("good", "ES256"), SigningKey.make("small", bits=1024)
    rsa = oidc.keys[0].jwk
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "secret", "alg": "HS256", "use": "sig"}
    oidc.jwks = {
        "keys": [
            rsa | {"kid": "for encryption", "use": "enc"},
            rsa | {"kid": "for wrapping", "key_ops": ["wrapKey"]},
            rsa | {"kid": "published by mistake", "d": "AQAB"},
            rsa | {"kid": "two"},
            rsa | {"kid": "two"},
            small.jwk,
            secret,
            {name: value for name, value in good.jwk.items() if name != "alg"},
        ]
    }
    found = Issuer(oidc.url, seconds=seconds)
    assert found.key("good", "ES256") is not None
    assert found.key(None, "ES256") is not None, "the only one there is"
    for kid in ("for encryption", "for wrapping", "published by mistake", "small", "two"):
        assert found.key(kid, "RS256") is None
    assert found.key("secret", "HS256") is None
    assert found.key("good", "RS256") is None and found.key("good", "ES384") is None
    assert found.key(None, "RS256") is None, "two of them: which one is meant?"


@pytest.mark.parametrize(
    "url", ["http://issuer.example", "ftp://127.0.0.1", "issuer", "https://a.example/?q", "http://["]
)
def test_keys_come_by_tls_or_from_this_machine(url: str) -> None:
    with pytest.raises(BadInput, match="ORIMONO_OIDC_ISSUER"):
        Issuer(url)
