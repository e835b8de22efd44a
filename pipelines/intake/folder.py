"""A folder of the inbox as it lies there: its entries, whether it is complete, and the inbox's own housekeeping.

A job is complete when it holds ``_COMPLETE``. An empty marker means: all is here. A marker with a manifest
(``{"files": {name: {"size": bytes, "sha256": hex}}}``, as ``orimono ingest`` writes it) also says what "all" is.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput
from pipelines.intake.job_file import MARKER

MAX_ENTRIES = 2000
MAX_MARKER_BYTES = 1 << 20
INCOMING = ".incoming-"  # a copy in the making; removed when its maker is gone
REPLACED = ".replaced-"  # the former content while the new one takes its place


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    size: int
    stamp: str  # changes whenever the content may have
    ordinary: bool  # a file, no link, folder, pipe or device
    link: bool


@dataclass(frozen=True, slots=True)
class Folder:
    path: Path
    entries: dict[str, Entry]
    fingerprint: str
    changed: float  # when anything last changed here, s since the epoch

    def find(self, name: str) -> Entry | None:
        """The entry of this name, however its accents and kana marks are composed (macOS writes them apart)."""
        if name in self.entries:
            return self.entries[name]
        wanted = unicodedata.normalize("NFC", name)
        return next((e for e in self.entries.values() if unicodedata.normalize("NFC", e.name) == wanted), None)


def read(path: Path) -> Folder:
    """Looks at names, sizes and times only. Raises BadInput for a link or an overfull folder, FileNotFoundError when
    it went away."""
    if path.is_symlink():
        raise BadInput(path.name, "is a symbolic link", "copy the folder itself into the inbox")
    entries: dict[str, Entry] = {}
    own = path.stat()
    changed = own.st_mtime_ns
    digest = hashlib.sha256(str(own.st_ino).encode())
    with os.scandir(path) as listing:
        for item in listing:
            if len(entries) >= MAX_ENTRIES:
                raise BadInput(path.name, f"holds more than {MAX_ENTRIES} files", "make several jobs of it")
            facts = item.stat(follow_symlinks=False)
            stamp = f"{facts.st_size}-{facts.st_mtime_ns}-{facts.st_ctime_ns}-{facts.st_ino}"
            mode = facts.st_mode
            entries[item.name] = Entry(item.name, facts.st_size, stamp, stat.S_ISREG(mode), stat.S_ISLNK(mode))
            # The change time, not the modification time, which a copy may set back.
            changed = max(changed, facts.st_ctime_ns)
    for name in sorted(entries):
        digest.update(os.fsencode(name) + b"\0" + entries[name].stamp.encode() + b"\0")
    return Folder(path, entries, digest.hexdigest(), changed / 1e9)


def waiting_for(folder: Folder, now: float, settle: float) -> str | None:
    """Why the folder is to be left alone for now; None when it is complete."""
    marker = folder.entries.get(MARKER)
    if marker is None:
        return f"it has no {MARKER} yet; add an empty file of that name when all is there"
    if 0 <= now - folder.changed < settle:
        return "was changed a moment ago"
    manifest = read_manifest(folder)
    if manifest is None:
        return f"its {MARKER} is not whole yet"
    for name, facts in manifest.items():
        entry = folder.find(name)
        if entry is None:
            return f"{name} has not arrived yet"
        if entry.size != facts.get("size"):
            return f"{name} has another size than {MARKER} says; wait for the copy, or empty {MARKER} if you changed it"
    return None


def read_manifest(folder: Folder) -> dict[str, dict[str, Any]] | None:
    """File name -> size and sha256; empty for a plain marker, None for one that is half written."""
    marker = folder.entries[MARKER]
    if not marker.ordinary or marker.size > MAX_MARKER_BYTES:
        return {}
    text = (folder.path / MARKER).read_bytes()
    if not text.lstrip().startswith(b"{"):
        return {}
    try:
        files = json.loads(text)["files"]
        return {
            str(name): {"size": int(facts["size"]), "sha256": str(facts["sha256"])} for name, facts in files.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@contextlib.contextmanager
def housekeeping(inbox: Path) -> Iterator[None]:
    """The inbox to ourselves, tidied of what killed processes left: a replaced job without successor comes back."""
    inbox.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(inbox / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for path in [p for p in inbox.iterdir() if p.name.startswith(REPLACED)]:
            target = inbox / path.name.removeprefix(REPLACED)
            if target.exists():
                shutil.rmtree(path)
            else:
                path.rename(target)
        for path in [p for p in inbox.iterdir() if p.name.startswith(INCOMING)]:
            if (lock := lock_incoming(path)) is not None:
                shutil.rmtree(path)
                os.close(lock)
        yield
    finally:
        os.close(descriptor)


def lock_incoming(path: Path) -> int | None:
    """Holds a copy in the making as ours as long as this process lives; None when another one has it."""
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
