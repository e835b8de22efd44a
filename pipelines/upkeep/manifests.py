"""What a backup says of itself: of which version and moment it is, its dumps and every file in it, by hash.

FOLDER/content/ab/<sha256>        bytes, shared by all backups of the folder
FOLDER/<name>/backup.json         written last: a folder without it is none
FOLDER/<name>/orimono.dump, dagster.dump, entries.jsonl.gz
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from pipelines.errors import BadInput
from pipelines.media.hashing import content_hash

FORMAT = 1
NAME = re.compile(r"\d{8}T\d{6}(\.\d+)?Z")
FILE, ENTRIES = "backup.json", "entries.jsonl.gz"
CONTENT = "content"
_REMEDY = "use another backup of this folder, or another copy of it"


@dataclass(frozen=True, slots=True)
class Dump:
    """One database: its file in the backup's folder, and how many rows each table had in that moment."""

    file: str
    sha256: str
    size: int  # bytes
    revision: str | None
    tables: dict[str, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """An object or a file: where it was, and which bytes it had. ``place``: objects, or a folder of the home."""

    place: str
    key: str
    size: int  # bytes
    modified_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """``missing``: objects that the database names and the store did not have, up to a hundred of them."""

    name: str
    made_at: datetime
    release: str
    dagster: str
    databases: dict[str, Dump]
    entries_sha256: str
    files: int
    size: int  # bytes
    audit_head: str
    missing: tuple[str, ...]

    def write(self, folder: Path) -> None:
        told = asdict(self) | {"format": FORMAT, "made_at": self.made_at.isoformat()}
        (folder / FILE).write_text(json.dumps(told, indent=1, ensure_ascii=False))


def read(folder: Path) -> Manifest:
    """BadInput when there is none, or one that this version cannot read."""
    try:
        told = json.loads((folder / FILE).read_text())
        version = told.pop("format")
        if version != FORMAT:
            remedy = "restore it with the version of Orimono that made it"
            raise BadInput(folder, f"is a backup of format {version}, and {FORMAT} is known here", remedy)
        told |= {"made_at": datetime.fromisoformat(told["made_at"]), "missing": tuple(told["missing"])}
        return Manifest(**told | {"databases": {name: Dump(**d) for name, d in told["databases"].items()}})
    except FileNotFoundError as error:
        raise BadInput(folder, "holds no finished backup", "see `orimono backup FOLDER --list`") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(folder / FILE, f"cannot be read ({type(error).__name__})", _REMEDY) from error


def names(folder: Path) -> list[str]:
    """Of the finished backups in a folder, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if NAME.fullmatch(p.name) and (p / FILE).is_file())


def write_entries(file: Path, entries: Iterable[Entry]) -> None:
    with gzip.open(file, "wt", encoding="utf-8", compresslevel=3) as lines:
        for e in entries:
            lines.write(json.dumps([e.place, e.key, e.size, e.modified_ns, e.sha256], ensure_ascii=False) + "\n")


def read_entries(file: Path) -> Iterator[Entry]:
    """BadInput where the file is damaged."""
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield Entry(*json.loads(line))
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise BadInput(file, f"cannot be read ({type(error).__name__})", _REMEDY) from error


def blob(folder: Path, sha256: str) -> Path:
    return folder / CONTENT / sha256[:2] / sha256


def check(folder: Path, manifest: Manifest) -> None:
    """Holds the dumps and the list of files against their hashes. BadInput names what is damaged."""
    own = folder / manifest.name
    wanted = {dump.file: dump.sha256 for dump in manifest.databases.values()} | {ENTRIES: manifest.entries_sha256}
    for file, sha256 in wanted.items():
        if content_hash(own / file) != sha256:
            raise BadInput(own / file, "has other bytes than were written", _REMEDY)


def check_content(folder: Path, entries: Iterable[Entry]) -> Iterator[str]:
    """A sentence for every entry whose bytes are gone or are others; reads all of them."""
    seen: set[str] = set()
    for entry in entries:
        if entry.sha256 in seen:
            continue
        seen.add(entry.sha256)
        path = blob(folder, entry.sha256)
        if not path.is_file():
            yield f"{entry.place}/{entry.key}: its bytes are gone"
        elif content_hash(path) != entry.sha256:
            yield f"{entry.place}/{entry.key}: its bytes were changed"
