"""Links that are a right in themselves: whoever has one may read one file, or one job's results, for two minutes.

What a link leads to is read by serving/api/routes/files.py; who may have one is decided where it is made.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pipelines import clock
from pipelines.errors import BadInput, NotAllowed
from pipelines.settings import Settings

SECONDS = 120
PREFIX = "/v1/files/"
_CONTEXT = b"orimono link 1\n"  # what the secret signs here, and nowhere else
_LONGEST = 4096  # characters of a token
_REMEDY = "ask for a new link"

Place = Literal["results", "object"]


class Expired(NotAllowed):
    """The link was good once."""


@dataclass(frozen=True, slots=True)
class Link:
    """``place`` results: ``key`` is a job's name, and ``path`` the one file of its results that may be read, or None
    for all of them (a report shows the files beside it). object: ``key`` is that of an object, ``path`` the name that
    it is given. ``purpose`` says what for (``results``, ``original:17``), ``who`` is a pseudonym."""

    place: Place
    key: str
    path: str | None
    purpose: str
    who: str
    expires: int  # s since 1970


class Signer:
    """Makes and reads links; any number of threads may use it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def of(cls, settings: Settings) -> Signer:
        """With the secret of the settings, or the one that is kept in the home and made when there is none."""
        return cls(secret_of(settings))

    def link_file(
        self, job: str, path: str, *, who: str, whole: bool = False, seconds: int = SECONDS, now: datetime | None = None
    ) -> str:
        """The URL's path of one file of a job's results; ``whole``: those beside it may be read by it, too."""
        link = Link("results", job, None if whole else path, "results", who, _end(seconds, now))
        return f"{PREFIX}{self.token(link)}/{quote(path)}"

    def link_object(
        self, key: str, *, purpose: str, who: str, name: str, seconds: int = SECONDS, now: datetime | None = None
    ) -> str:
        """The URL's path of an object, which is handed out under ``name``."""
        link = Link("object", key, name, purpose, who, _end(seconds, now))
        return f"{PREFIX}{self.token(link)}/{quote(name)}"

    def token(self, link: Link) -> str:
        said = [link.place, link.key, link.path, link.purpose, link.who, link.expires]
        payload = json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
        return f"{_text(payload)}.{_text(self._sign(payload))}"

    def read(self, token: str, path: str, now: datetime | None = None) -> Link:
        """The link of this token, asked about the file ``path``. NotAllowed for one that was not made here or is for
        another file, Expired when its time is over."""
        payload, _, signature = token.partition(".")
        said, signed = _bytes(payload), _bytes(signature)
        if len(token) > _LONGEST or said is None or signed is None or not hmac.compare_digest(self._sign(said), signed):
            raise NotAllowed("this link", "was not made here, or was changed", _REMEDY)
        place, key, only, purpose, who, expires = json.loads(said)
        if (now or clock.now()).timestamp() >= expires:
            raise Expired("this link", f"was good for {SECONDS} s, which are over", _REMEDY)
        if only is not None and only != path:
            raise NotAllowed("this link", "is for another file", _REMEDY)
        return Link(place, key, only, purpose, who, expires)

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._secret, _CONTEXT + payload, hashlib.sha256)


def secret_of(settings: Settings) -> bytes:
    """ORIMONO_API_SECRET, or 32 random bytes that are made once and kept in the home, for its owner's eyes only.
    BadInput for a secret that is too short to be one."""
    if settings.api_secret:
        if len(settings.api_secret) < 32:
            raise BadInput("ORIMONO_API_SECRET", "has less than 32 characters", "set a longer one, or unset it")
        return hashlib.sha256(settings.api_secret.encode()).digest()
    place = settings.home_path / "api-secret"
    try:
        return _kept(place)
    except FileNotFoundError:
        pass
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.{secrets.token_hex(8)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_hex(32).encode())
    try:
        os.link(part, place)  # whole or not at all; of two processes that make one, the first one's stays
    except FileExistsError:
        pass
    finally:
        part.unlink()
    return _kept(place)


def _kept(place: Path) -> bytes:
    text = place.read_bytes().strip()
    try:
        secret = binascii.unhexlify(text)
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise BadInput(place, "holds no secret any more", "delete it; the next start makes another")
    return secret


def _end(seconds: int, now: datetime | None) -> int:
    return int(((now or clock.now()) + timedelta(seconds=seconds)).timestamp())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes | None:
    """None for what ``_text`` did not make: one link has one spelling."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if _text(data) == text else None
