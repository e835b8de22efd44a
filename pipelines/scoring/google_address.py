"""How people name a Google Sheet: its address in a browser, or the .gsheet file that Google Drive leaves on a disk."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pipelines.errors import BadInput

REMEDY = "copy the address from the browser, such as https://docs.google.com/spreadsheets/d/ID/edit#gid=0"
KEY = r"[A-Za-z0-9_-]{1,200}"
PATH = re.compile(rf"/spreadsheets(?:/u/\d+)?/d/(?P<key>{KEY})(?:/.*)?")
HOST = "docs.google.com"
MAX_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Address:
    """Spreadsheet ``key`` and its worksheet ``gid``; None: the first one."""

    key: str
    gid: int | None = None

    @property
    def url(self) -> str:
        return f"https://{HOST}/spreadsheets/d/{self.key}/edit#gid={self.gid or 0}"


def names_google(place: str) -> bool:
    """Whether ``place`` is meant as a Google Sheet; ``address`` says whether it is one."""
    parts = urlsplit(place)
    return (parts.scheme in ("http", "https") and parts.hostname == HOST) or place.lower().endswith(".gsheet")


def address(place: str) -> Address:
    """Raises BadInput for what is no sheet's address, and for one that is published to read only."""
    if not urlsplit(place).scheme.startswith("http"):
        return _of_file(Path(place))
    parts = urlsplit(place)
    found = PATH.fullmatch(parts.path)
    if parts.hostname != HOST or found is None:
        raise BadInput(place, "is not the address of a Google Sheet", REMEDY)
    if found["key"] == "e":
        raise BadInput(place, "is a published copy, which nobody can write to", REMEDY)
    gid = (parse_qs(parts.fragment).get("gid") or parse_qs(parts.query).get("gid") or [""])[0]
    if gid and not re.fullmatch(r"[0-9]{1,10}", gid):
        raise BadInput(place, "names a worksheet (gid) that is no number", REMEDY)
    return Address(found["key"], int(gid) if gid else None)


def _of_file(path: Path) -> Address:
    try:
        with path.open("rb") as file:
            held = json.loads(file.read(MAX_BYTES))
    except OSError as error:
        raise BadInput(path, f"cannot be read ({error.strerror})", "give a file that is there") from None
    except ValueError:
        raise BadInput(path, "is not a file of Google Drive's", REMEDY) from None
    if isinstance(held, dict):
        key = str(held.get("doc_id") or str(held.get("resource_id", "")).removeprefix("spreadsheet:"))
        if re.fullmatch(KEY, key):
            return Address(key)
        if isinstance(held.get("url"), str) and held["url"].startswith("http"):
            return address(held["url"])
    raise BadInput(path, "does not name a Google Sheet", REMEDY)
