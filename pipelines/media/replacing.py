"""Writing files so that a reader sees the old one or the whole new one, never a part; a full disk as one sentence.

Leaves what is written to the caller.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines import processes
from pipelines.errors import Unavailable

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_numbers = itertools.count()


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` (same ending) that takes its place when the block ends well.

    The name holds this process's number, so what a killed process left behind is known and swept the next time.
    Without ``durable`` a power cut may lose the file, which is good enough for what can be made again.
    Raises Unavailable when there is no room.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{next(_numbers)}.part{path.suffix}")
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise Unavailable(path, "there is no room left on its disk", retry_after=60) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def replace_bytes(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _sweep(path: Path) -> None:
    start, end = f".{path.stem}.", f".part{path.suffix}"
    # A glob would compile a pattern for every name, which takes longer than writing a small file.
    left = [name for name in os.listdir(path.parent) if name.startswith(start) and name.endswith(end)]  # noqa: PTH208
    for name in left:
        owner, dash, _ = name.removesuffix(end).rsplit(".", 1)[-1].partition("-")
        if dash and owner.isdigit() and not processes.lives(int(owner)):
            path.with_name(name).unlink(missing_ok=True)
