"""For whom a request was meant: its Host, by which a browser shows that no other site's name led it here.

A page of evil.example may have that name lead to 127.0.0.1 a moment later (DNS rebinding); then it speaks to this
server as if it were its own. An address cannot be led elsewhere: all addresses are taken, and of names only ours.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from pipelines.settings import Settings
from serving.api.problems import Refused

ONCE = (b"host", b"authorization", b"cookie")  # of two, one part of us might read the first and another the last
_FORM = re.compile(rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::[0-9]{1,5})?")
_REMEDY = "call it by its address, or set ORIMONO_API_URL to the name that people use"


class Hosts:
    """Of one server. Beyond loopback any name is taken: nobody can list what others call a machine."""

    def __init__(self, settings: Settings) -> None:
        named = (urlsplit(settings.api_url).hostname or "").lower()
        self._ours = {"localhost", settings.api_host.lower(), named} if _near(settings.api_host) else None
        self._fits = lru_cache(maxsize=64)(self._judge)

    def check(self, headers: dict[bytes, bytes], pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """``headers``: of ``pairs``, by name. Refused (400) for a head that can be read in two ways, Refused (421) for
        one that was meant for somebody else."""
        if len(headers) != len(pairs):
            names = Counter(name for name, _ in pairs)
            for name in ONCE:
                if names[name] > 1:
                    raise Refused(400, f"the request: has {name.decode()} more than once; send one")
        status = self._fits(headers.get(b"host", b"")[:300])
        if status == 400:
            raise Refused(400, "the request: its Host is missing or none; send the server's name or address")
        if status == 421:
            raise Refused(421, f"the request: its Host is not this server's; {_REMEDY}")

    def _judge(self, host: bytes) -> int:
        """0 for one that fits, else the status."""
        found = _FORM.fullmatch(host)
        if found is None or (found[1] is not None and not _address(found[1].decode())):
            return 400
        if self._ours is None or found[1] is not None:
            return 0
        name = found[2].decode().lower().rstrip(".")
        return 0 if name in self._ours or _address(name) else 421


def _address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _near(host: str) -> bool:
    """Whether only this machine can connect there."""
    if host == "localhost":
        return True
    return _address(host) and ipaddress.ip_address(host).is_loopback
