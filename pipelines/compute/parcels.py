"""Values on their way between machines: pickled, with each file in them named by its object, which the other side
fetches. Who may unpack one has the code's trust: a cluster belongs to those who run it."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from pipelines.storage.objects import Objects


class Stranded(TypeError):
    """A defect: a value holds a place that exists on one machine only."""


def pack(value: object, objects: Objects, known: dict[Path, str] | None = None) -> bytes:
    """``value`` for another machine. Files outside the object store are stored in it; ``known`` remembers them for
    the next value. Raises Stranded for a folder, or a file that does not exist."""
    file = io.BytesIO()
    _Packer(file, objects, {} if known is None else known).dump(value)
    return file.getvalue()


def unpack(parcel: bytes, objects: Objects) -> Any:
    """The value, its files at hand. Raises what the object store does: BadInput for one that is gone, Unavailable."""
    return _Unpacker(io.BytesIO(parcel), objects).load()


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO, objects: Objects, known: dict[Path, str]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._objects, self._known = objects, known

    def persistent_id(self, obj: Any) -> str | None:
        if not isinstance(obj, Path):
            return None
        path = obj.absolute()
        if path.is_relative_to(self._objects.folder):
            return path.relative_to(self._objects.folder).as_posix()
        if path not in self._known:
            if not path.is_file():
                raise Stranded(f"{path} is a place on this machine, and was to be sent to another")
            self._known[path] = self._objects.put_file(path)
        return self._known[path]


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, objects: Objects) -> None:
        super().__init__(file)
        self._objects = objects

    def persistent_load(self, pid: Any) -> Path:
        return self._objects.local(str(pid))
