"""Which files were delivered under a name, so that they are told from a composer's own: those stay as they are.

NAME.arrangement.json lists them with their hashes. What they are and how they are written is delivering.py's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput
from pipelines.media.hashing import content_hash
from pipelines.media.replacing import replace_bytes

ENDING = ".arrangement.json"
_FORMAT = "orimono arrangement 1"
_MOST_BYTES = 1 << 20
_MOVE = "move it away, or give another name"


@dataclass(frozen=True, slots=True)
class Manifest:
    """``candidates``: names of the MIDI files, the best first; none while files are being exchanged. ``files``: the
    SHA-256 that each one has or, while they are exchanged, may have."""

    candidates: tuple[str, ...] = ()
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def path_of(out: Path) -> Path:
    """Where the list of what belongs to ``out``, the first candidate's file, lies."""
    return out.with_suffix(ENDING)


def belongs(stem: str, name: str) -> bool:
    """Whether a file of this name may have been delivered with a first candidate of that stem, or lists those."""
    return name == stem + ENDING or _files_of(stem).fullmatch(name) is not None


def read(out: Path) -> Manifest | None:
    """What was delivered as ``out`` the last time. BadInput when a file of the list's name is none."""
    path = path_of(out)
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return _parsed(json.loads(file.read(_MOST_BYTES)), out.stem)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadInput(path, "does not list the files of an arrangement", _MOVE) from error


def check(out: Path, targets: Collection[Path], inputs: Mapping[str, Path] | None = None) -> None:
    """BadInput when writing ``targets``, and removing what is left of the last time, would take anything from the
    composer: ``inputs`` (what each is called -> its file), and files that were not delivered or were changed since."""
    known = read(out) or Manifest()
    touched = {*targets, path_of(out), *(out.with_name(name) for name in known.files)}
    for called, path in (inputs or {}).items():
        for target in sorted(touched):
            if target.exists() and path.exists() and target.samefile(path):
                raise BadInput(target, f"is {called} itself and would be written over", "give another --out")
    for target in sorted(targets):
        if target.is_dir():
            raise BadInput(target, "is a folder", "give the name of a file")
        if not (target.is_symlink() or target.exists()):
            continue
        if target.name not in known.files:
            raise BadInput(target, "is there already and is not of an earlier arrangement under this name", _MOVE)
        if not _unchanged(target, known):
            raise BadInput(target, "was changed since it was delivered", _MOVE)


def exchange(out: Path, folder: Path, candidates: Sequence[str]) -> None:
    """Moves all files of ``folder`` beside ``out`` and removes what was delivered there before and is not among them.

    Each comes whole. Killed in between, the list knows the files of both times. ``candidates``: names of their MIDI
    files. BadInput as `check` gives it, before the first one is moved; OSError where one cannot be written.
    """
    new = {path.name: (content_hash(path),) for path in sorted(folder.iterdir())}
    check(out, [out.with_name(name) for name in new])
    before = read(out) or Manifest()
    both = {name: (*before.files.get(name, ()), *new.get(name, ())) for name in {*before.files, *new}}
    _write(out, Manifest((), both))
    for name in new:
        (folder / name).replace(out.with_name(name))
    for name in sorted({*before.files} - {*new}):
        if _unchanged(former := out.with_name(name), before):
            former.unlink()
    _write(out, Manifest(tuple(candidates), new))


def _unchanged(path: Path, known: Manifest) -> bool:
    return path.is_file() and not path.is_symlink() and content_hash(path) in known.files[path.name]


def _write(out: Path, listed: Manifest) -> None:
    told = {"format": _FORMAT, "candidates": listed.candidates, "files": dict(sorted(listed.files.items()))}
    replace_bytes(path_of(out), (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode())


def _files_of(stem: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(stem)}(-\d+)?\.(midi?|rpp|png|m4a|wav|html)", re.IGNORECASE)


def _parsed(told: Any, stem: str) -> Manifest:
    """Raises ValueError, TypeError or KeyError for anything else than `_write` writes; names stay within the folder."""
    files = {str(name): tuple(map(str, hashes)) for name, hashes in told["files"].items()}
    candidates = tuple(map(str, told["candidates"]))
    if told["format"] != _FORMAT or not {*candidates} <= {*files} or not all(map(_files_of(stem).fullmatch, files)):
        raise ValueError("no list of an arrangement's files")
    return Manifest(candidates, files)
