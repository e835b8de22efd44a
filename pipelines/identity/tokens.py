"""Tokens of an OpenID Connect issuer (RFC 7519, 9068): who comes with one, with which role. The keys are issuer.py's.

The issuer is trusted with names: two that differ only in case are one person here, as everywhere in the product.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from pipelines import clock
from pipelines.governance.people import ROLES, Actor, Role
from pipelines.identity.callers import MAX_NAME, SCOPES, Caller, plain, scopes_of
from pipelines.identity.issuer import ALGORITHMS, Issuer
from pipelines.settings import Settings

MAX_BYTES = 8192
LEEWAY = 30.0  # s that clocks may differ
TYPES = (None, "jwt", "at+jwt", "application/jwt", "application/at+jwt")  # others are not for calling somebody's API
_LONGEST = timedelta(days=1)  # that a token is believed without another look
log = logging.getLogger(__name__)


class _Refused(Exception):
    """Why a token is none for us."""


@dataclass(frozen=True, slots=True)
class Verified:
    """Who the issuer says comes, and until when it says so."""

    caller: Caller
    expires_at: datetime


class Tokens:
    """Of the issuer in the settings. Any number of threads may use it."""

    def __init__(self, settings: Settings, issuer: Issuer | None = None) -> None:
        self._settings = settings
        self._issuer = issuer or Issuer(settings.oidc_issuer)

    def verify(self, token: str) -> Verified | None:
        """None for what is no token of this issuer for us, at this moment; why stands in the log, the token does not.
        Unavailable while the issuer's keys cannot be had."""
        import jwt

        try:
            return self._caller(self._claims(token))
        except _Refused as refused:
            log.info("a token is refused: %s", refused)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            log.info("a token is refused: %s", type(error).__name__)
        return None

    def _claims(self, token: str) -> dict[str, Any]:
        import jwt

        if len(token) > MAX_BYTES or not token.isascii():
            raise _Refused("it is too long, or no token at all")
        header = jwt.get_unverified_header(token)
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ")
        if algorithm not in ALGORITHMS:
            raise _Refused("its algorithm is not taken")
        if (kind.lower() if isinstance(kind, str) else kind) not in TYPES or header.get("b64", True) is not True:
            raise _Refused("it is of another type")
        key = self._issuer.key(kid, algorithm)
        if key is None:
            raise _Refused("the issuer has no such key")
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._settings.oidc_audience,
            issuer=self._issuer.url,
            leeway=LEEWAY,
            options={"require": ["exp", "iss", "aud"]},
        )

    def _caller(self, claims: dict[str, Any]) -> Verified:
        name, role = claims.get(self._settings.oidc_name_claim), claims.get(self._settings.oidc_role_claim)
        if not isinstance(name, str) or not name.strip() or not plain(name, MAX_NAME):
            raise _Refused(f"its claim {self._settings.oidc_name_claim} names nobody")
        if role not in ROLES:
            raise _Refused(f"its claim {self._settings.oidc_role_claim} is no role")
        actor = Actor(name.strip(), cast(Role, role))
        scopes, scope = scopes_of(actor.role), claims.get("scope")
        # A token may be for less than its role: then it names scopes of ours, beside openid and the like.
        if isinstance(scope, str) and (named := set(SCOPES) & set(scope.split())):
            scopes &= named
        now = clock.now()
        until = datetime.fromtimestamp(min(float(claims["exp"]) + LEEWAY, (now + _LONGEST).timestamp()), UTC)
        return Verified(Caller(actor, scopes, f"token:{actor.pseudonym}"), until)
