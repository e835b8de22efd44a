"""What lies in a job's results folder: which files, whose work each is, and opening one without being led elsewhere.

Who may read it is left to the caller; who writes it, to each system.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from pipelines.errors import NotFound
from pipelines.settings import Settings

System = Literal["editing", "mastering", "composing", "scoring"]
Kind = Literal[
    "video",
    "timeline",
    "report",
    "figures",
    "master",
    "preview",
    "picture",
    "peaks",
    "midi",
    "project",
    "sound",
    "sheet",
    "other",
]

MOST = 5000  # files that are listed

MEDIA_TYPES = {
    "mp4": "video/mp4",
    "m4a": "audio/mp4",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "mp3": "audio/mpeg",
    "mid": "audio/midi",
    "png": "image/png",
    "jpg": "image/jpeg",
    "svg": "image/svg+xml",
    "html": "text/html; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "edl": "text/plain; charset=utf-8",
    "rpp": "text/plain; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "otio": "application/json",
    "xml": "application/xml",
    "fcpxml": "application/xml",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
# By the name's end; the first that fits. A melody's and a piece's name may hold anything.
_KINDS: tuple[tuple[str, System, Kind], ...] = (
    (r"\.master\.wav", "mastering", "master"),
    (r"\.master\.json", "mastering", "figures"),
    (r"\.preview\.m4a", "mastering", "preview"),
    (r"\.(before-after|alignment|waveform)\.png", "mastering", "picture"),
    (r"\.peaks\.json", "mastering", "peaks"),
    (r"\.(chorale|pop)(-\d+)?\.mid", "composing", "midi"),
    (r"\.(chorale|pop)(-\d+)?\.rpp", "composing", "project"),
    (r"\.(chorale|pop)(-\d+)?\.png", "composing", "picture"),
    (r"\.(chorale|pop)(-\d+)?\.m4a", "composing", "preview"),
    (r"\.(chorale|pop)(-\d+)?\.wav", "composing", "sound"),
    (r"\.(chorale|pop)\.html", "composing", "report"),
    (r"\.(chorale|pop)\.arrangement\.json", "composing", "figures"),
    (r"\.scored\.(csv|tsv|xlsx|parquet)", "scoring", "sheet"),
    (r"^report\.html", "editing", "report"),
    (r"^quality\.json", "editing", "figures"),
    (r"\.mp4", "editing", "video"),
    (r"\.(otio|edl|xml|fcpxml|json)", "editing", "timeline"),
)
_PATTERNS = tuple((re.compile(f"{end}$"), system, kind) for end, system, kind in _KINDS)


@dataclass(frozen=True, slots=True)
class Found:
    """``path`` is relative to the folder, with slashes."""

    path: str
    system: System | None
    kind: Kind
    media_type: str
    size: int  # bytes


def folder_of(settings: Settings, job: str) -> Path:
    return settings.home_path / "results" / job


def listed(folder: Path) -> list[Found]:
    """Its files by path, at most ``MOST``. Links, and what is hidden or half written, are none: a job's ``media`` are
    links to originals, which are not to be had this way."""
    return sorted(_walk(folder, ""), key=lambda found: found.path)[:MOST]


def described(path: str, size: int) -> Found:
    """What a file of this name is."""
    for pattern, system, kind in _PATTERNS:
        if pattern.search(path):
            return Found(path, system, kind, media_type_of(path), size)
    return Found(path, None, "other", media_type_of(path), size)


def media_type_of(name: str) -> str:
    return MEDIA_TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")


def opened(folder: Path, path: str) -> BinaryIO:
    """The file ``path`` of the folder, to be closed by the caller. Every step of the way is opened as what it is, so
    that neither ``..`` nor a link that somebody puts there meanwhile leads out. NotFound for all but a plain file."""
    missing = NotFound(path[:200], "is none of the results", "list them for those that there are")
    parts = path.split("/")
    if any(not part or part.startswith(".") or "\\" in part or "\0" in part for part in parts):
        raise missing
    with contextlib.ExitStack() as stack:
        try:
            at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            stack.callback(os.close, at)
            for part in parts[:-1]:
                at = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
                stack.callback(os.close, at)
            # A pipe in a file's place would be waited for.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(parts[-1], flags, dir_fd=at)
        except OSError as error:
            raise missing from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise missing
    return os.fdopen(descriptor, "rb", buffering=0)


def _walk(folder: Path, before: str, depth: int = 0) -> Iterator[Found]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith(".part"):
                continue
            if entry.is_dir(follow_symlinks=False) and depth < 3:
                yield from _walk(Path(entry.path), f"{before}{entry.name}/", depth + 1)
            elif entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    yield described(before + entry.name, entry.stat(follow_symlinks=False).st_size)
