"""The words of a song and when they are sung, from LRC, SRT or plain text. Bytes to characters is charset.py's.

What is broken is mended where the words around it say how, and skipped where they do not, with a warning either way:
lyrics are typed by hand and found on the net.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise, zip_longest
from operator import itemgetter
from pathlib import Path

from pipelines.errors import BadInput
from pipelines.lyrics.charset import decode

MAX_BYTES = 1 << 20  # the longest operas' libretti are a fifth of this
MAX_PHRASES = 4000
MAX_CHARACTERS = 1000  # a phrase; a paragraph pasted as one line is cut here
MAX_LINE = 4000  # with its stamps
MAX_HOURS = 10

# A phrase that no later stamp ends lasts as long as the song's usual ones, within these bounds (s); one before an
# interlude ends after LONG usual phrases, so that nothing counts as sung in the interlude.
SHORTEST, LONGEST, LONG = 1.5, 8.0, 2.5

_STAMP = r"[\[［]\s*(\d{1,4})\s*[:：;]\s*(\d{1,3})(?:[.,:：．]\s*(\d{1,3}))?(?:[.,．](\d{1,3}))?\s*[\]］]"
_LINE_STAMP = re.compile(r"\s*" + _STAMP)
_WORD_STAMP = re.compile(_STAMP.replace(r"[\[［]", r"[<\[]").replace(r"[\]］]", r"[>\]]"))
_BROKEN_STAMP = re.compile(r"\s*[\[［][\d:：.,;\sOoIl+-]*(?:[\]］]|(?<=\d)(?=\s)|$)")
_LRC_TAG = re.compile(r"\s*\[\s*([A-Za-z#]+)\s*[:：](.*)\]\s*$")
_CUE = re.compile(r"\s*(?:(\d+):)?(\d+):(\d+)(?:[.,](\d+))?\s*--?>\s*(?:(\d+):)?(\d+):(\d+)(?:[.,](\d+))?")
_MARKUP = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")
# [Chorus], (Verse 2), 【サビ】, "Bridge:" alone on a line: what the page says about the song, which nobody sings.
_HEADING = re.compile(
    r"[\[(【（〈《]?\s*(?:(?:pre|post)[- ]?)?"
    r"(?:verse|chorus|refrain|hook|bridge|intro|outro|interlude|instrumental|solo|coda"
    r"|[A-Z]メロ|サビ|大サビ|間奏|前奏|後奏|イントロ|アウトロ|[一二三四五六七八九\d]番)"
    r"\s*(?:\d{1,2}|[A-D]|[x×]\s?\d)?\s*[\])】）〉》]?\s*[:：]?",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"\[[^\[\]]*\]|【[^【】]*】")


@dataclass(frozen=True, slots=True)
class Phrase:
    """One sung line. ``words`` holds (s, text) where the file stamps single words."""

    text: str
    start: float  # s; NaN in plain text
    end: float
    words: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Lyrics:
    """Phrases in order of time, or of the page when ``timed`` is False."""

    kind: str  # "lrc", "srt" or "plain"
    encoding: str
    phrases: tuple[Phrase, ...]
    metadata: dict[str, str] = field(default_factory=dict)  # LRC's tags: ti, ar, al, by, length ...
    warnings: tuple[str, ...] = ()

    @property
    def timed(self) -> bool:
        return self.kind != "plain"


def read(path: str | Path) -> Lyrics:
    """Lyrics from a file; raises BadInput when it is missing, empty, no text, or too long to be a song's."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(path, "is not a file", "give lyrics as .lrc, .srt or plain text")
    if path.stat().st_size > MAX_BYTES:
        raise BadInput(path, f"is longer than {MAX_BYTES >> 20} MB, too long for lyrics", "give one song's words")
    return parse(path.read_bytes(), path)


def parse(data: bytes, name: object) -> Lyrics:
    """Lyrics from a file's bytes; the format is seen from the content, whatever ``name`` ends with.

    Raises BadInput as ``read`` does.
    """
    if not data.strip(b"\0 \t\r\n"):
        raise BadInput(name, "is empty", "give lyrics as .lrc, .srt or plain text")
    if len(data) > MAX_BYTES:
        raise BadInput(name, f"is longer than {MAX_BYTES >> 20} MB, too long for lyrics", "give one song's words")
    text, encoding, warning = decode(data, name)
    warnings = [warning] if warning else []
    lines = [_cut(line, MAX_LINE, warnings) for line in text.split("\n")]
    metadata: dict[str, str] = {}
    if any(_CUE.match(line) for line in lines):
        kind, phrases = "srt", _parse_srt(lines, warnings)
    elif any(_LINE_STAMP.match(line) for line in lines):
        kind, phrases = "lrc", _parse_lrc(lines, metadata, warnings)
    else:
        kind, phrases = "plain", _parse_plain(lines, metadata)
    phrases = [replace(p, text=_cut(p.text, MAX_CHARACTERS, warnings)) for p in phrases[: MAX_PHRASES + 1]]
    if not phrases:
        raise BadInput(name, "holds no words", "give lyrics with at least one line that is sung")
    if len(phrases) > MAX_PHRASES:
        raise BadInput(name, f"has more than {MAX_PHRASES} lines", "give one song's words")
    return Lyrics(kind, encoding, tuple(phrases), metadata, tuple(warnings))


def _parse_plain(lines: Sequence[str], metadata: dict[str, str]) -> list[Phrase]:
    phrases = []
    for line in lines:
        if tag := _LRC_TAG.match(line):  # an LRC that was never stamped
            metadata[tag[1].lower()] = tag[2].strip()
        elif text := _sung(line):
            phrases.append(Phrase(text, math.nan, math.nan))
    return phrases


def _parse_lrc(lines: Sequence[str], metadata: dict[str, str], warnings: list[str]) -> list[Phrase]:
    """LRC and its "enhanced" form. A tag ``[offset:+500]`` makes all words come half a second sooner."""
    stamped: list[Phrase] = []  # an empty text marks the end of what came before
    unstamped: list[tuple[int, str, int]] = []  # (index in stamped that it precedes, text, line number)
    for number, line in enumerate(lines, 1):
        if tag := _LRC_TAG.match(line):
            metadata[tag[1].lower()] = tag[2].strip()
            continue
        times, rest = _leading_stamps(line, number, warnings)
        if times:
            stamped += _stamped_phrases(times, rest)
        elif text := _sung(rest):
            unstamped.append((len(stamped), text, number))
    stamped = _shift(_between_neighbours(stamped, unstamped, warnings), metadata, warnings)
    return _with_ends(sorted(stamped, key=lambda p: p.start))


def _leading_stamps(line: str, number: int, warnings: list[str]) -> tuple[list[float], str]:
    """The stamps at the head of a line, in s, and what follows them."""
    times: list[float] = []
    while True:
        if match := _LINE_STAMP.match(line):
            time, odd = _seconds(match)
            if time > MAX_HOURS * 3600:
                warnings.append(f"line {number}: {match[0].strip()} is later than any song lasts; skipped")
            else:
                times.append(time)
            if odd:
                warnings.append(f"line {number}: {match[0].strip()} is no usual stamp; read as {time:.2f} s")
        elif (match := _BROKEN_STAMP.match(line)) and any(c.isdigit() for c in match[0]):
            warnings.append(f"line {number}: cannot read the stamp {match[0].strip()}")
        else:
            return times, line
        line = line[match.end() :]


def _seconds(match: re.Match[str]) -> tuple[float, bool]:
    """(s, whether the stamp is odd). [m:s], [m:s.xx], [m:s:xx] and [h:m:s.xx] are all in use."""
    first, second, third, fourth = match.groups()
    if fourth is not None:
        minutes, seconds, fraction = int(first) * 60 + int(second), int(third), fourth
    else:
        minutes, seconds, fraction = int(first), int(second), third or ""
    return minutes * 60 + seconds + _fraction(fraction), seconds >= 60 or ";" in match[0]


def _fraction(digits: str | None) -> float:
    return int(digits) / 10 ** len(digits) if digits else 0.0


def _stamped_phrases(times: list[float], rest: str) -> list[Phrase]:
    """One phrase a stamp; word stamps belong to the first of them and are moved along for the others."""
    marks = list(_WORD_STAMP.finditer(rest))
    text = _sung(_WORD_STAMP.sub("", rest))
    words = [
        (_seconds(mark)[0], rest[mark.end() : following.start() if following else None].strip())
        for mark, following in zip_longest(marks, marks[1:])
    ]
    end = words[-1][0] if words and not words[-1][1] else math.nan  # a stamp with no word after it ends the line
    sung = [(time, word) for time, word in words if word]
    phrases = []
    for time in times:
        moved = time - times[0]
        phrases.append(Phrase(text, time, end + moved, tuple((t + moved, w) for t, w in sung)))
    return phrases


def _between_neighbours(
    stamped: list[Phrase], unstamped: list[tuple[int, str, int]], warnings: list[str]
) -> list[Phrase]:
    """Lines that lost their stamp, spread evenly between the neighbouring lines that kept theirs."""
    found = list(stamped)
    for place, lines in groupby(unstamped, key=itemgetter(0)):
        lost = [(text, number) for _, text, number in lines]
        before = stamped[place - 1].start if place else 0.0
        after = stamped[place].start if place < len(stamped) else before + LONGEST / 2 * (len(lost) + 1)
        if place == 0 or after <= before:
            warnings += [f"line {number}: has no stamp, nor a place by its neighbours; skipped" for _, number in lost]
            continue
        for k, (text, number) in enumerate(lost, 1):
            time = before + (after - before) * k / (len(lost) + 1)
            found.append(Phrase(text, time, math.nan))
            warnings.append(f"line {number}: has no stamp; put between its neighbours at {time:.2f} s")
    return found


def _shift(phrases: list[Phrase], metadata: dict[str, str], warnings: list[str]) -> list[Phrase]:
    text = metadata.get("offset", "").replace(" ", "")
    if not text:
        return phrases
    if not re.fullmatch(r"[+-]?\d{1,7}", text):
        warnings.append(f"[offset:{text[:40]}] is not a number of milliseconds; not applied")
        return phrases
    shift = int(text) / 1000
    return [
        replace(
            p,
            start=max(0.0, p.start - shift),
            end=p.end if math.isnan(p.end) else max(0.0, p.end - shift),
            words=tuple((max(0.0, time - shift), word) for time, word in p.words),
        )
        for p in phrases
    ]


def _with_ends(phrases: list[Phrase]) -> list[Phrase]:
    """Phrases in order, each ended by its own end stamp, the next start, or the song's usual length."""
    gaps = [b.start - a.start for a, b in pairwise(phrases) if a.text and b.start > a.start]
    usual = min(max(statistics.median(gaps), SHORTEST), LONGEST) if gaps else LONGEST / 2
    ended: list[Phrase] = []
    later = following = math.inf  # start of the next phrase that does not share this one's stamp
    for phrase in reversed(phrases):
        if phrase.start < following:
            later, following = following, phrase.start
        end = min(later, phrase.start + (usual if later == math.inf else LONG * usual))
        if phrase.start < phrase.end <= later:
            end = phrase.end
        if phrase.text:
            ended.append(replace(phrase, end=end))
    return ended[::-1]


def _parse_srt(lines: Sequence[str], warnings: list[str]) -> list[Phrase]:
    """SRT, and WebVTT as far as it is the same."""
    phrases: list[Phrase] = []
    for i, line in enumerate(lines):
        cue = _CUE.match(line)
        if cue is None:
            if "-->" in line:
                warnings.append(f"line {i + 1}: cannot read the times {line.strip()[:60]!r}; the cue is skipped")
            continue
        text = _sung(" ".join(_MARKUP.sub("", words) for words in _cue_lines(lines, i + 1)))
        start, end = _cue_seconds(cue, 1), _cue_seconds(cue, 5)
        if start > MAX_HOURS * 3600:
            warnings.append(f"line {i + 1}: begins later than any song lasts; the cue is skipped")
            continue
        if not text:
            continue
        if not start < end <= MAX_HOURS * 3600:
            warnings.append(f"line {i + 1}: ends before it begins; ended by the next cue")
            end = math.nan
        phrases.append(Phrase(text, start, end))
    phrases.sort(key=lambda p: p.start)
    guessed = _with_ends([replace(p, end=math.nan) for p in phrases])
    return [p if p.end > p.start else g for p, g in zip(phrases, guessed, strict=True)]


def _cue_lines(lines: Sequence[str], first: int) -> list[str]:
    """Down to the blank line, or to the next cue (less its number) where the blank line was lost."""
    found: list[str] = []
    for line in lines[first:]:
        if "-->" in line:
            return found[:-1] if found and found[-1].strip().isdigit() else found
        if not line.strip():
            break
        found.append(line)
    return found


def _cue_seconds(cue: re.Match[str], group: int) -> float:
    hours, minutes, seconds, fraction = cue.group(group, group + 1, group + 2, group + 3)
    return int((hours or "0")[:6]) * 3600 + int(minutes[:6]) * 60 + int(seconds[:6]) + _fraction(fraction)


def _sung(line: str) -> str:
    """The words of a line in one-space spelling; "" when it has none (headings, notes, rules)."""
    text = " ".join(line.split())
    if not any(c.isalnum() for c in text) or _BRACKETED.fullmatch(text) or _HEADING.fullmatch(text):
        return ""
    return text


def _cut(text: str, longest: int, warnings: list[str]) -> str:
    if len(text) <= longest:
        return text
    warnings.append(f"{text[:20]}...: is cut at {longest} characters")
    return text[:longest].rstrip()
