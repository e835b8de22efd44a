"""Whose token is believed: only the issuer's, for us, in time, signed with one of its keys. The issuer is real."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from pipelines.identity.callers import scopes_of
from pipelines.identity.issuer import ALGORITHMS
from pipelines.identity.tokens import LEEWAY, MAX_BYTES, Tokens
from pipelines.settings import Settings
from tests.identity.oidc import Oidc, SigningKey, by_hand, issuer, part

DEEP = b"[" * 5000


def tokens(oidc: Oidc, **settings: str) -> Tokens:
    return Tokens(Settings(oidc_issuer=oidc.url, **settings))


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_each_algorithm_that_is_taken(algorithm: str) -> None:
    with issuer(SigningKey.make("one", algorithm)) as oidc:
        found = tokens(oidc).verify(oidc.token())
    assert found is not None
    assert (found.caller.name, found.caller.actor.role) == ("ada", "editor")
    assert found.caller.scopes == scopes_of("editor")
    assert found.caller.label == f"token:{found.caller.actor.pseudonym}" and found.caller.key_id is None


def test_a_token_for_several_audiences_with_scopes_of_ours(oidc: Oidc) -> None:
    found = tokens(oidc).verify(oidc.token(aud=["other", "orimono"], scope="openid infer jobs:read"))
    assert found is not None and found.caller.scopes == {"infer", "jobs:read"}
    plain = tokens(oidc).verify(oidc.token(scope="openid profile"))
    assert plain is not None and plain.caller.scopes == scopes_of("editor")
    beyond = tokens(oidc).verify(oidc.token(scope="audit"))
    assert beyond is not None and beyond.caller.scopes == set(), "an editor's token cannot be for the audit"


def test_claims_are_named_by_the_settings(oidc: Oidc) -> None:
    asked = tokens(oidc, oidc_name_claim="email", oidc_role_claim="groups_role", oidc_audience="studio")
    found = asked.verify(oidc.token(aud="studio", email="ada@example.org", groups_role="operator", orimono_role=None))
    assert found is not None
    assert (found.caller.name, found.caller.actor.role) == ("ada@example.org", "operator")


def test_clocks_may_differ_by_the_leeway(oidc: Oidc) -> None:
    now = int(time.time())
    late = tokens(oidc).verify(oidc.token(exp=now - LEEWAY + 15))
    assert late is not None and now < late.expires_at.timestamp() < now + LEEWAY
    assert tokens(oidc).verify(oidc.token(iat=now + 10, nbf=now + 10)) is not None


def wrong(oidc: Oidc) -> dict[str, str]:
    now, first = int(time.time()), oidc.keys[0]
    good = oidc.token()
    head, body, signature = good.split(".")
    other = SigningKey.make(first.kid)
    elliptic = SigningKey.make(first.kid, "ES256")
    ours = {"alg": "HS256", "kid": first.kid, "typ": "JWT"}
    return {
        "expired": oidc.token(exp=now - LEEWAY - 60),
        "not yet": oidc.token(nbf=now + LEEWAY + 60),
        "from the future": oidc.token(iat=now + LEEWAY + 60),
        "foreign issuer": oidc.token(iss="https://elsewhere.example"),
        "almost the issuer": oidc.token(iss=f"{oidc.url}/"),
        "wrong audience": oidc.token(aud="another"),
        "audiences without us": oidc.token(aud=["another", "third"]),
        "no audience": oidc.token(aud=None),
        "no issuer": oidc.token(iss=None),
        "no expiry": oidc.token(exp=None),
        "no name": oidc.token(sub=None),
        "empty name": oidc.token(sub="  "),
        "name with a line feed": oidc.token(sub="ada\nroot"),
        "very long name": oidc.token(sub="a" * 201),
        "no role": oidc.token(orimono_role=None),
        "a role there is not": oidc.token(orimono_role="root"),
        "roles as a list": oidc.token(orimono_role=["administrator"]),
        "none algorithm": by_hand({"alg": "none"}, oidc.claims()),
        "none with our kid": by_hand({"alg": "none", "kid": first.kid}, oidc.claims()),
        "None in capitals": by_hand({"alg": "NONE", "kid": first.kid}, oidc.claims()),
        "none and the old signature": f"{part({'alg': 'none', 'kid': first.kid})}.{body}.{signature}",
        "HS256 with the public key": by_hand(ours, oidc.claims(), first.pem),
        "HS256 with the public key as one line": by_hand(ours, oidc.claims(), first.pem.strip()),
        "HS256 with the modulus": by_hand(ours, oidc.claims(), first.jwk["n"].encode()),
        "HS256 with nothing": by_hand(ours, oidc.claims(), b""),
        "algorithm is a list": by_hand({"alg": ["RS256"], "kid": first.kid}, oidc.claims(), b"x"),
        "another's key, our kid": oidc.token(other),
        "another kind of key, our kid": oidc.token(elliptic),
        "the key's other algorithm": oidc.token(SigningKey(first.kid, "PS256", first.private)),
        "a kid there is not": oidc.token(SigningKey("../../etc/passwd", "RS256", other.private)),
        "a kid that is SQL": oidc.token(SigningKey("' or 1=1 --", "RS256", other.private)),
        "kid is a number": by_hand({"alg": "RS256", "kid": 7}, oidc.claims(), b"x"),
        "its own key in the header": oidc.token(other, {"jwk": other.jwk}),
        "an address for its keys": oidc.token(other, {"jku": f"{oidc.url}/evil", "kid": "evil"}),
        "certificates in the header": oidc.token(other, {"x5u": f"{oidc.url}/evil", "x5c": ["AAAA"]}),
        "critical extension": oidc.token(headers={"crit": ["exp2"], "exp2": 1}),
        "detached payload": oidc.token(headers={"b64": False}),
        "a logout token": oidc.token(headers={"typ": "logout+jwt"}),
        "claims changed": f"{head}.{part(oidc.claims(orimono_role='administrator'))}.{signature}",
        "signature cut": f"{head}.{body}.{signature[:-8]}",
        "signature gone": f"{head}.{body}.",
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.AAAA",
        "encrypted": f"{part({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}.AA.AA.AA.AA",
        "only dots": "..",
        "nothing": "",
        "no base64": "§§.§§.§§",
        "header is a list": f"{part([1])}.{body}.{signature}",
        "header nested deep": f"{part(DEEP)}.{body}.{signature}",
        "claims are a list": by_hand({"alg": "RS256", "kid": first.kid}, [1], b"x"),
        "huge": oidc.token(padding="a" * MAX_BYTES),
        "huge and unsigned": "a" * 10_000_000,
        "lone surrogate": "\ud800.a.b",
    }


def test_whatever_is_not_the_issuers_word_for_us_is_refused(oidc: Oidc, caplog: pytest.LogCaptureFixture) -> None:
    asked = tokens(oidc)
    cases = wrong(oidc)
    with caplog.at_level(logging.DEBUG):
        believed = [name for name, token in cases.items() if asked.verify(token) is not None]
    assert believed == []
    assert asked.verify(oidc.token()) is not None, "and the right one still is"
    for token in cases.values():
        assert len(token) < 40 or token not in caplog.text, "no token in the log"
    assert "/evil" not in " ".join(oidc.asked), "nobody follows an address from a token"


@pytest.mark.parametrize("value", ["soon", 1e400, -1, None, True, [1]])
def test_odd_expiries(oidc: Oidc, value: Any) -> None:
    import jwt

    claims = oidc.claims() | {"exp": value}
    first = oidc.keys[0]
    body = f"{part({'alg': 'RS256', 'kid': first.kid})}.{part(claims)}"
    signature = jwt.get_algorithm_by_name("RS256").sign(body.encode(), first.private)
    assert tokens(oidc).verify(f"{body}.{part(signature)}") is None
