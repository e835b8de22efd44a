"""What was computed once from (content, code version, parameters) is read again, by whichever process asks.

It lives in the object store alone, so that the command line shares it without a database. How a value becomes bytes
is left to arrays.py.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pipelines import work_folders
from pipelines.errors import BadInput
from pipelines.storage.arrays import pack, unpack
from pipelines.storage.objects import Objects

logger = logging.getLogger(__name__)

T = TypeVar("T")


def params_hash(params: Mapping[str, Any]) -> str:
    """16 hexadecimal digits; equal for equal parameters in any order. TypeError for what JSON cannot say."""
    text = json.dumps(dict(params), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Cache:
    """Counts what it spared: ``hits`` and ``misses``."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.hits = 0
        self.misses = 0

    @staticmethod
    def key(kind: str, version: str, content_hash: str, params: Mapping[str, Any], suffix: str = ".safetensors") -> str:
        if not re.fullmatch(r"[\w.+@-]{1,60}", version, re.ASCII):  # plugins have a say in it
            version = hashlib.sha256(version.encode()).hexdigest()[:16]
        return f"features/{kind}/{version}/{content_hash}-{params_hash(params)}{suffix}"

    def get_or_none(
        self, kind: str, version: str, content_hash: str, params: Mapping[str, Any], type_: type[T]
    ) -> T | None:
        """The stored value (arrays mapped from the file), or None. A damaged one is deleted and counts as absent."""
        key = self.key(kind, version, content_hash, params)
        path = self.objects.local_named(key)
        if path is None:
            return None
        try:
            return unpack(type_, path)
        except BadInput as error:
            logger.warning("%s; it will be computed again", error)
            self.objects.delete(key)
            return None

    def get_or_compute(
        self,
        kind: str,
        version: str,
        content_hash: str,
        params: Mapping[str, Any],
        compute: Callable[[], T],
        type_: type[T],
    ) -> T:
        """The stored value, or ``compute()``'s, which is then stored."""
        found = self.get_or_none(kind, version, content_hash, params, type_)
        if found is not None:
            self.hits += 1
            return found
        self.misses += 1
        value = compute()
        self.objects.put_named(self.key(kind, version, content_hash, params), pack(value))
        return value

    def get_or_put(
        self,
        kind: str,
        version: str,
        content_hash: str,
        params: Mapping[str, Any],
        compute: Callable[[], bytes],
        suffix: str,
    ) -> bytes:
        """As ``get_or_compute`` for something that is bytes already: a picture, a plan."""
        key = self.key(kind, version, content_hash, params, suffix)
        found = self.objects.get_named(key)
        if found is not None:
            self.hits += 1
            return found
        self.misses += 1
        data = compute()
        self.objects.put_named(key, data)
        return data

    def get_or_make_file(
        self,
        kind: str,
        version: str,
        content_hash: str,
        params: Mapping[str, Any],
        make: Callable[[Path], object],
        suffix: str,
    ) -> Path:
        """As ``get_or_put`` for what is too large for memory: ``make`` writes the file. The result is read-only."""
        key = self.key(kind, version, content_hash, params, suffix)
        found = self.objects.local_named(key)
        if found is not None:
            self.hits += 1
            return found
        self.misses += 1
        with work_folders.opened() as folder:
            made = folder / f"made{suffix}"
            make(made)
            self.objects.put_named(key, made)
        return self.objects.local(key)
