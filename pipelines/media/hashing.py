"""The identity of a file's content. Where content is kept by that name is left to storage/objects.py."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipelines.errors import BadInput


def content_hash(path: Path) -> str:
    """SHA-256 of the bytes, 64 hexadecimal digits, read in blocks. BadInput when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise BadInput(path, "does not exist", "check the path") from error
    except IsADirectoryError as error:
        raise BadInput(path, "is a folder", "give a file") from error
    except PermissionError as error:
        raise BadInput(path, "may not be read", "allow its reading") from error
