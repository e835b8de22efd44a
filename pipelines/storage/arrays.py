"""Frozen dataclasses of arrays as bytes and back: one safetensors file, its metadata the rest of the value as JSON.

Equal values give equal bytes. Where the bytes are kept is left to objects.py and cache.py.
"""

from __future__ import annotations

import dataclasses
import json
import mmap
import types
import zlib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from pipelines.errors import BadInput

T = TypeVar("T")

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_WRITABLE = frozenset(np.dtype(d) for d in _DTYPES.values())


def pack(value: object) -> bytes:
    """Bytes of a dataclass whose fields are arrays, numbers, text, None, Path, Fraction, tuples, lists, dictionaries
    with text keys, or such dataclasses. Raises TypeError for anything else."""
    arrays: dict[str, NDArray[Any]] = {}
    tree = _encode(value, "", arrays)
    checksum = 0
    for name in sorted(arrays):
        checksum = zlib.crc32(arrays[name].data if arrays[name].size else b"", checksum)
    note = {"value": tree, "crc32": checksum}
    # One metadata key only: the library writes several in no fixed order.
    return save(arrays, {"orimono": json.dumps(note, sort_keys=True)})


def unpack(cls: type[T], data: bytes | Path) -> T:
    """The value again; its arrays are read-only views of ``data``, of the mapped file when that is a path.

    Raises BadInput when the bytes are cut short, changed, or of another class's fields.
    """
    name: object = data if isinstance(data, Path) else cls.__name__
    try:
        note, arrays = _read(_map(data) if isinstance(data, Path) else memoryview(data))
        value: T = _decode(cls, note["value"], arrays)
    except FileNotFoundError as error:
        raise BadInput(name, "does not exist", "compute it again") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise BadInput(name, f"is not a stored {cls.__name__} ({error})", "delete it, then compute it again") from error
    return value


def _encode(value: Any, path: str, arrays: dict[str, NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray):
        return _encode_array(value, path, arrays)
    if isinstance(value, np.generic):
        return _encode(value.item(), path, arrays)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _encode(getattr(value, f.name), f"{path}/{f.name}", arrays) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_encode(item, f"{path}/{i}", arrays) for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"{path}: a dictionary's keys must be text")
        # By position, since a key may hold a slash; sorted, so that the order of insertion does not change the bytes.
        ordered = sorted(value.items())
        return [[key, _encode(item, f"{path}/{i}", arrays)] for i, (key, item) in enumerate(ordered)]
    if isinstance(value, Fraction | Path):
        return str(value)
    raise TypeError(f"{path or 'value'}: {type(value).__name__} cannot be stored")


def _encode_array(value: NDArray[Any], path: str, arrays: dict[str, NDArray[Any]]) -> str:
    little = value.dtype.newbyteorder("<")
    if little not in _WRITABLE:
        raise TypeError(f"{path}: an array of {value.dtype} cannot be stored")
    arrays[path] = np.asarray(value, dtype=little, order="C")
    return path


def _map(path: Path) -> memoryview:
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            raise ValueError("it is empty")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _read(buffer: memoryview) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """https://github.com/huggingface/safetensors#format: header length (u64), header (JSON), data."""
    length = int.from_bytes(buffer[:8], "little")
    start = 8 + length
    if len(buffer) < 8 or start > len(buffer):
        raise ValueError("it is cut short")
    header: dict[str, Any] = json.loads(bytes(buffer[8:start]))
    note: dict[str, Any] = json.loads(header.pop("__metadata__")["orimono"])
    arrays: dict[str, NDArray[Any]] = {}
    checksum, end = 0, 0
    for name in sorted(header):
        first, last = header[name]["data_offsets"]
        end = max(end, last)
        part = buffer[start + first : start + last]
        checksum = zlib.crc32(part, checksum)
        arrays[name] = np.frombuffer(part, dtype=_DTYPES[header[name]["dtype"]]).reshape(header[name]["shape"])
        arrays[name].flags.writeable = False
    if start + end != len(buffer) or checksum != note["crc32"]:
        raise ValueError("its bytes were changed")
    return note, arrays


def _decode(hint: Any, node: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if node is None:
            return None
        return _decode(next(a for a in arguments if a is not type(None)), node, arrays)
    if hint is np.ndarray or origin is np.ndarray:
        return arrays[node]
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint)
        return hint(**{name: _decode(hints[name], item, arrays) for name, item in node.items()})
    if origin is tuple:
        kinds = [arguments[0]] * len(node) if arguments[-1:] == (Ellipsis,) else arguments
        return tuple(_decode(kind, item, arrays) for kind, item in zip(kinds, node, strict=True))
    if origin is list:
        return [_decode(arguments[0], item, arrays) for item in node]
    if origin in (dict, Mapping):
        return {key: _decode(arguments[1], item, arrays) for key, item in node}
    if hint in (Fraction, Path):
        return hint(node)
    if origin is Literal:
        if node not in arguments:
            raise TypeError(f"a stored {node!r} where one of {arguments} belongs")
        return node
    if hint is float and isinstance(node, int):
        return float(node)
    if hint not in (int, float, str, bool, type(None)) or not isinstance(node, hint):
        raise TypeError(f"a stored {type(node).__name__} where {hint} belongs")
    return node
