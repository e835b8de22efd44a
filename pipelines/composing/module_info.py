"""Reads a VST 3 bundle's moduleinfo.json, which tells what is inside without running any of it.

The file is JSON5 (comments, commas before a closing bracket, names without quotes). What the rest of a scan does with
it is plugin_scan.py's.
"""

from __future__ import annotations

import json
import re
from typing import Any

MOST_BYTES = 1 << 20
_EFFECT = "Audio Module Class"  # the others are editors
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<mark>[{}\[\]:,])
    | (?P<word>[^\s{}\[\]:,"'/]+)""",
    re.VERBOSE | re.DOTALL,
)
_HEX = re.compile(r"[0-9A-Fa-f]{32}")


def classes(data: bytes) -> list[dict[str, object]]:
    """One entry a class that makes or treats sound: ``identifier``, ``name``, ``vendor``, ``version``, ``features``.

    Raises ValueError, with what is wrong, when the file is none.
    """
    if len(data) > MOST_BYTES:
        raise ValueError("moduleinfo.json is too long")
    try:
        said = json.loads(_strict(data.decode("utf-8-sig")))
    except (UnicodeDecodeError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError(f"moduleinfo.json is not readable ({type(error).__name__})") from error
    listed = said.get("Classes") if isinstance(said, dict) else None
    if not isinstance(listed, list):
        raise ValueError("moduleinfo.json names no classes")
    factory = said.get("Factory Info")
    vendor = _text(factory.get("Vendor")) if isinstance(factory, dict) else ""
    found: list[dict[str, object]] = []
    for entry in listed:
        if not isinstance(entry, dict) or entry.get("Category") != _EFFECT:
            continue
        identifier = _text(entry.get("CID")).replace("-", "")
        if not _HEX.fullmatch(identifier):
            raise ValueError("moduleinfo.json has a class whose CID is not 32 hexadecimal digits")
        features = entry.get("Sub Categories")
        found.append(
            {
                "identifier": identifier.upper(),
                "name": _text(entry.get("Name")),
                "vendor": _text(entry.get("Vendor")) or vendor,
                "version": _text(entry.get("Version")),
                "features": [_text(one) for one in features] if isinstance(features, list) else [],
            }
        )
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _strict(text: str) -> str:
    """JSON5 as JSON: without comments and last commas, every name and text in double quotes."""
    out: list[str] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise json.JSONDecodeError("no token", text, at)
        at, kind, what = token.end(), token.lastgroup, token.group()
        if kind == "space":
            continue
        if what in ("}", "]") and out and out[-1] == ",":
            out.pop()
        if kind == "text" and what[0] == "'":
            inner = what[1:-1].replace("\\'", "'")
            what = '"' + re.sub(r'(\\.)|"', lambda m: m.group(1) or '\\"', inner, flags=re.DOTALL) + '"'
        if what == ":" and out and out[-1][0] not in '"{}[]:,':  # a name without quotes
            out[-1] = json.dumps(out[-1])
        out.append(what)
    return "".join(f" {part}" if part[0] not in "{}[]:," else part for part in out)
