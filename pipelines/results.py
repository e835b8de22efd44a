"""What lies in a job's results folder: which files, whose work each is, and opening one without being led elsewhere.

The folder is one of the home or, where the object store is a bucket, the objects below ``results/``: whoever reads may
be on another machine than who wrote. Who may read is left to the caller; how a folder is written, to result_folders.py.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from pipelines.errors import BadInput, NotFound
from pipelines.settings import Settings

if TYPE_CHECKING:  # the API's wire names what is here, and starts without the stores' libraries
    from pipelines.storage.objects import Objects

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
PLACE = "results"  # of the home, and of a bucket
ORIGINALS = "media"  # in a job's folder: what an edit was made of, for its timelines alone, links or copies put back
SEGMENT = 240  # characters of a key between two slashes; stores that keep files take 255

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
    return settings.home_path / PLACE / job


def place_of(settings: Settings, objects: Objects, job: str, path: str | None = None) -> str:
    """Where a job's results lie, or one of them, for people."""
    if objects.remote:
        return f"{objects.name.rstrip('/')}/{prefix_of(job) if path is None else key_of(job, path)}"
    folder = folder_of(settings, job)
    return str(folder if path is None else folder / path)


def prefix_of(job: str) -> str:
    """The folder of a bucket that holds the job's results."""
    return f"{PLACE}/{_said(job)}"


def key_of(job: str, path: str) -> str:
    """Of the object that is the file ``path`` of the job's results."""
    return "/".join((prefix_of(job), *map(_said, path.split("/"))))


def path_of(job: str, key: str) -> str:
    """``key_of`` backwards."""
    return heard(key.removeprefix(f"{prefix_of(job)}/"))


def heard(said: str) -> str:
    """The names that a part of a key, cut between any two of them, stands for."""
    return "/".join(map(_heard, said.replace("=/", "").split("/")))


def is_original(path: str) -> bool:
    """Whether what lies there is no result: originals have rules of their own for who may have them."""
    return path.partition("/")[0] == ORIGINALS


def listed_of(settings: Settings, objects: Objects, job: str) -> list[Found]:
    """``listed``, wherever the job's results lie. Unavailable when the store is away."""
    if not objects.remote:
        return listed(folder_of(settings, job))
    return sorted(in_bucket(objects, job), key=lambda found: found.path)[:MOST]


def in_bucket(objects: Objects, job: str) -> Iterator[Found]:
    for key, size in objects.below(prefix_of(job)):
        if not is_original(path := path_of(job, key)):
            yield described(path, size)


def opened_of(settings: Settings, objects: Objects, job: str, path: str) -> BinaryIO:
    """``opened``, wherever the job's results lie. Unavailable when the store is away."""
    if not objects.remote:
        return opened(folder_of(settings, job), path)
    if not _sound(path):
        raise _none(path)
    try:
        return objects.opened(key_of(job, path))
    except BadInput as error:
        raise _none(path) from error


def listed(folder: Path) -> list[Found]:
    """Its files by path, at most ``MOST``. Links, originals, and what is hidden or half written, are none."""
    return written(folder)[:MOST]


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
    if not _sound(path):
        raise _none(path)
    parts = path.split("/")
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
            raise _none(path) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _none(path)
    return os.fdopen(descriptor, "rb", buffering=0)


def written(folder: Path) -> list[Found]:
    """``listed`` without an end."""
    return sorted(_walk(folder, ""), key=lambda found: found.path)


def _sound(path: str) -> bool:
    return not is_original(path) and not any(
        not p or p.startswith(".") or "\\" in p or "\0" in p for p in path.split("/")
    )


def _none(path: str) -> NotFound:
    return NotFound(path[:200], "is none of the results", "list them for those that there are")


def _said(name: str) -> str:
    """A name of any script as a part of a key: as it is where keys may be so, with + for a space; else = and Base64
    (RFC 4648, 5) of its UTF-8. What is too long goes on behind =/, as lines of quoted-printable do."""
    plain = name.replace(" ", "+")
    if "+" not in name and len(plain) <= SEGMENT and re.fullmatch(r"[\w@+-][\w.@+-]*", plain, re.ASCII):
        return plain
    coded = "=" + base64.urlsafe_b64encode(name.encode("utf-8", "surrogateescape")).decode().rstrip("=")
    return "=/".join(coded[first : first + SEGMENT] for first in range(0, len(coded), SEGMENT))


def _heard(said: str) -> str:
    if not said.startswith("="):
        return said.replace("+", " ")
    return base64.urlsafe_b64decode(said[1:] + "=" * (-(len(said) - 1) % 4)).decode("utf-8", "surrogateescape")


def _walk(folder: Path, before: str, depth: int = 0) -> Iterator[Found]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith(".part") or is_original(before + entry.name):
                continue
            if entry.is_dir(follow_symlinks=False) and depth < 3:
                yield from _walk(Path(entry.path), f"{before}{entry.name}/", depth + 1)
            elif entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    yield described(before + entry.name, entry.stat(follow_symlinks=False).st_size)
