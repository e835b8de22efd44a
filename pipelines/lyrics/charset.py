"""From the bytes of a lyrics file to its characters, whatever program wrote it. What they mean is formats.py's.

Lyrics come as UTF-8, as UTF-16 from Windows' Notepad, and as Shift_JIS or EUC-JP from twenty years of Japanese sites;
no file says which. A byte order mark decides; else valid UTF-8 is UTF-8; else the reading that looks most like words.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

from pipelines.errors import BadInput

MARKS = (  # the longer first: UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# A reading below this is no language: random bytes score below 0, a real page in the right encoding above 0.5.
LEGIBLE = 0.25
SAMPLE = 20_000  # characters of a reading that are looked at

_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufffd]")
_BREAKS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")


def decode(data: bytes, name: object) -> tuple[str, str, str]:
    """(text, encoding, warning): lines end in ``\\n``, no control characters, NFC; the warning is "" when all was sure.

    Raises BadInput for bytes that are no text in any of the encodings.
    """
    encoding, errors = judged(data)
    if not encoding:
        raise BadInput(name, "is not text", "give lyrics as .lrc, .srt or plain text, best in UTF-8")
    decoded = data.decode(encoding, errors)
    text = unicodedata.normalize("NFC", _CONTROL.sub("", _BREAKS.sub("\n", decoded)))
    lost = decoded.count("\ufffd")
    warning = ""
    if lost:
        warning = f"{lost} characters could not be read as {encoding} and are left out"
    elif encoding not in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        warning = f"read as {encoding}, the encoding that fits best; save as UTF-8 to be sure"
    return text, encoding, warning


def judged(data: bytes) -> tuple[str, str]:
    """(encoding, how to treat its errors); ("", "") when the bytes are no text."""
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return (encoding, "replace") if _score(data.decode(encoding, "replace")) > LEGIBLE else ("", "")
    if b"\0" in data:
        # In UTF-16 every ASCII sign has its zero on the same side; in other bytes zeros lie anywhere.
        even, odd = data[::2].count(0), data[1::2].count(0)
        if min(even, odd) > 0.1 * max(even, odd):
            return "", ""
        candidates = ["utf-16-le" if odd > even else "utf-16-be"]
    elif b"\x1b$" in data or b"\x1b(" in data:
        candidates = ["iso2022_jp"]
    else:
        if _decodes(data, "utf-8"):
            return ("utf-8", "strict") if _score(data.decode()) > LEGIBLE else ("", "")
        candidates = ["utf-8", "cp932", "euc_jp", "cp1252"]
    scored = [(_score(data.decode(c, "replace"), western=c == "cp1252"), -i) for i, c in enumerate(candidates)]
    best, index = max(scored)
    return (candidates[-index], "replace") if best > LEGIBLE else ("", "")


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _score(text: str, *, western: bool = False) -> float:
    """How much a reading looks like words, at most 1: the mean worth of its characters, the broken ones far below 0.

    ASCII reads the same in every encoding, so it weighs a tenth.
    """
    sample = text[:SAMPLE]
    kana = any("\u3040" <= character <= "\u30ff" for character in sample)
    telling = [c for c in sample if c > "\x7f" or c in _CONTROLS]
    ascii_weight = (len(sample) - len(telling)) / 10
    worth = sum(_western_worth(c) if western else _worth(c, kana) for c in telling)
    return (worth + ascii_weight) / (len(telling) + ascii_weight) if sample else 1.0


_CONTROLS = frozenset(chr(c) for c in range(32)) - frozenset("\t\n\v\f\r\x1b")


def _worth(character: str, kana: bool) -> float:
    if character in _CONTROLS:
        return -8.0
    if character == "\ufffd":
        return -4.0
    if "\u3040" <= character <= "\u30ff" or "\u3000" <= character <= "\u301f":  # kana and Japanese punctuation
        return 1.0
    if "\u4e00" <= character <= "\u9fff":  # kanji; alone, they may be two Western letters read as Shift_JIS
        return 0.8 if kana else 0.3
    if "\uff61" <= character <= "\uff9f":  # half-width katakana: what EUC-JP looks like when read as Shift_JIS
        return -0.5
    return 0.6 if unicodedata.category(character)[0] in "LMNPSZ" or character in "\ufeff\u200b\u200d" else -4.0


def _western_worth(character: str) -> float:
    """Every byte is some sign of Windows-1252, so only letters and quotation marks speak for it."""
    if character in _CONTROLS or character == "\ufffd":
        return -8.0
    if character.isalpha() or character in "‘’“”–—…":
        return 0.3 if character.isupper() else 0.6
    return -0.4
