"""Where a source lies, in the words of editing programs: a file's URL and the name of its reel.

Which frames of it are used is clocks.py's.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

REEL_LENGTH = 8  # characters that CMX3600 has for a reel's name


def file_url(path: str) -> str:
    """Percent-encoded; links are kept, since the name that a person gave is the one to be found again."""
    return Path(os.path.normpath(Path(path).absolute())).as_uri()


def reel_names(paths: Iterable[str]) -> dict[str, str]:
    """A reel name a file: its stem's letters and digits, at most eight, numbered where two would be the same."""
    reels: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        plain = unicodedata.normalize("NFKD", Path(path).stem).encode("ascii", "ignore").decode()
        reel = re.sub(r"[^A-Z0-9]", "", plain.upper())[:REEL_LENGTH] or "CLIP"
        number = 1
        while reel in reels.values() or reel in ("AX", "BL"):
            number += 1
            reel = f"{reel[: REEL_LENGTH - len(str(number))]}{number}"
        reels[path] = reel
    return reels
