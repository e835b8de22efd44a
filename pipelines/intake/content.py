"""What each kind of upload must hold, and what a job needs to be worked on. Analysis is left to the systems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.composing import melody
from pipelines.errors import BadInput
from pipelines.lyrics import charset
from pipelines.recommending import blocks, headings, reading
from pipelines.scoring import opening
from pipelines.settings import Settings

SOUND = ("music", "inst", "vocal", "mix")
TABLES = headings.KINDS
_MB = 1 << 20
_LIMITS = {"lyrics": 1 * _MB, "melody": 16 * _MB, "sheet": 512 * _MB}  # bytes
_LIMITS |= dict.fromkeys(TABLES, blocks.MAX_BYTES)
_MEDIA_LIMIT = 64 << 30  # bytes: four hours at 35 Mbit/s
_MOST_PIXELS = 8192 * 8192  # of a frame: four times 4K either way; a few bytes can say more, and be that when unpacked
_MOST_RATE, _MOST_CHANNELS = 768_000, 32  # Hz; of sound, for the same reason


def limit(kind: str) -> int:
    """Bytes that a file of this kind may have."""
    return _LIMITS.get(kind, _MEDIA_LIMIT)


def check(path: Path, kind: str, settings: Settings) -> None:
    """Raises BadInput, naming the file, when it cannot be what ``kind`` says."""
    size = path.stat().st_size
    check_size(path.name, kind, size)
    if kind in SOUND or kind == "clip":
        _check_media(path, kind, settings.number("max_media_hours"))
    elif kind == "melody":
        melody.of_file(path.read_bytes(), path.name)
    elif kind == "lyrics":
        data = path.read_bytes()
        if not data.strip(b"\x00 \t\r\n\xef\xbb\xbf\xff\xfe"):
            raise BadInput(path.name, "holds no words", "leave it out or give the lyrics (.lrc, .srt, .txt)")
        charset.decode(data, path.name)
    elif kind in TABLES:
        reading.check(path, kind)
    elif kind == "sheet":
        opening.check(path, None)


def check_size(name: str, kind: str, size: int) -> None:
    """Raises BadInput for a size (bytes) that no file of this kind may have."""
    if size == 0:
        raise BadInput(name, "is empty (0 bytes)", "copy the file again")
    if size > (most := limit(kind)):
        reason = f"is {size / _MB:,.0f} MB, more than the {most / _MB:,.0f} MB that {kind} may have"
        raise BadInput(name, reason, "give a smaller file")


def _check_media(path: Path, kind: str, max_hours: float) -> None:
    from pipelines.media.probe import probe

    try:
        info = probe(path)
    except BadInput as error:
        raise BadInput(path.name, error.reason, error.remedy) from error
    if kind in SOUND and info.audio is None:
        raise BadInput(
            path.name, f"has no sound, but is listed as {kind}", "give a file with sound, or list it as clip"
        )
    if kind == "clip" and info.video is None:
        raise BadInput(path.name, "has no picture, but is listed as clip", "give a video, or list it as music")
    if info.video is not None and info.video.width * info.video.height > _MOST_PIXELS:
        reason = f"has frames of {info.video.width} x {info.video.height} pixels, more than can be worked on"
        raise BadInput(path.name, reason, "scale it down, to 8192 x 8192 at most")
    if info.audio is not None and (info.audio.sample_rate > _MOST_RATE or info.audio.channels > _MOST_CHANNELS):
        reason = f"says {info.audio.channels} channels at {info.audio.sample_rate} Hz, more than can be worked on"
        raise BadInput(path.name, reason, f"give at most {_MOST_CHANNELS} channels at {_MOST_RATE} Hz")
    if info.duration > max_hours * 3600:
        reason = f"is {info.duration / 3600:.1f} hours long, more than {max_hours:g}"
        raise BadInput(path.name, reason, "cut it, or raise ORIMONO_MAX_MEDIA_HOURS")


def check_job(name: str, kinds: Sequence[str], refused: Sequence[str]) -> None:
    """Raises BadInput when the sound files (their ``kinds``) are not enough for any work, or for what they begin;
    ``refused``: sentences on the others."""
    because = f" ({refused[0]})" if refused else ""
    if not set(kinds) & {"music", "clip", "lyrics", "mix", "inst", "vocal", "melody", "sheet", *TABLES}:
        reason = f"has nothing to work on{because}"
        remedy = (
            "give a song with clips, a mix, stems (inst and vocal), tables (videos, decisions), a melody or a sheet"
        )
        raise BadInput(name, reason, remedy)
    if "tags" in kinds and "videos" not in kinds:
        # They are kept with the videos, so that whoever takes the catalogue back takes them back, too.
        raise BadInput(name, f"has tags, but no usable catalogue{because}", "give tags with their file of kind videos")
    for kind in ("music", "lyrics", "inst", "vocal"):
        if kinds.count(kind) > 1:
            raise BadInput(name, f"has more than one file of kind {kind}", "list one; make a job for each")
    whole = (
        {"music", "clip"} <= set(kinds)
        or {"mix", "melody", "sheet", *TABLES} & set(kinds)
        or {"inst", "vocal"} <= set(kinds)
    )
    if whole and refused:
        return  # what a refused file belonged to is left out, and the refusal is told; the rest is worked on
    if {"music", "clip", "lyrics"} & set(kinds):
        if "music" not in kinds:
            raise BadInput(name, f"has no usable song{because}", "an edit needs one file of kind music")
        if "clip" not in kinds:
            raise BadInput(name, f"has no usable clip{because}", "an edit needs at least one file of kind clip")
    for kind, other in (("inst", "vocal"), ("vocal", "inst")):
        if kind in kinds and other not in kinds:
            reason = f"has {kind}, but no usable {other}{because}"
            raise BadInput(name, reason, "stems come as one inst and one vocal; list a finished mix as mix")
