from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.storage.cache import Cache
from pipelines.storage.objects import Objects


@dataclass(frozen=True, slots=True)
class Curve:
    values: NDArray[np.float32]


def compute() -> Curve:
    return Curve(np.arange(5, dtype=np.float32))


def forbidden() -> Curve:
    raise AssertionError("computed twice")


def test_a_value_is_computed_once(objects: Objects) -> None:
    cache = Cache(objects)
    first = cache.get_or_compute("curve", "1", "ab" * 32, {"rate": 10}, compute, Curve)
    again = Cache(objects).get_or_compute("curve", "1", "ab" * 32, {"rate": 10}, forbidden, Curve)
    np.testing.assert_array_equal(first.values, again.values)
    assert (cache.hits, cache.misses) == (0, 1)


@pytest.mark.parametrize(
    "other",
    [("curve2", "1", "ab", {"rate": 10}), ("curve", "2", "ab", {"rate": 10}), ("curve", "1", "cd", {"rate": 10}),
     ("curve", "1", "ab", {"rate": 11}), ("curve", "1", "ab", {})],
)  # fmt: skip
def test_whatever_differs_is_computed_anew(objects: Objects, other: tuple[str, str, str, dict[str, int]]) -> None:
    cache = Cache(objects)
    cache.get_or_compute("curve", "1", "ab", {"rate": 10}, compute, Curve)
    assert cache.get_or_none(*other, Curve) is None


def test_the_order_of_parameters_does_not_matter() -> None:
    assert Cache.key("k", "1", "h", {"a": 1, "b": 2}) == Cache.key("k", "1", "h", {"b": 2, "a": 1})


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_value_is_noticed_and_computed_again(objects: Objects, damage: str) -> None:
    cache = Cache(objects)
    cache.get_or_compute("curve", "1", "ab", {}, compute, Curve)
    path = objects.local_named(Cache.key("curve", "1", "ab", {}))
    assert path is not None
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-3], "flip": data[:-1] + bytes([data[-1] ^ 1]), "empty": b""}[damage])
    again = cache.get_or_compute("curve", "1", "ab", {}, compute, Curve)
    np.testing.assert_array_equal(again.values, compute().values)
    assert cache.misses == 2
    assert cache.get_or_compute("curve", "1", "ab", {}, forbidden, Curve) is not None


def test_a_failed_computation_leaves_nothing(objects: Objects, tmp_path: Path) -> None:
    cache = Cache(objects)
    with pytest.raises(AssertionError):
        cache.get_or_compute("curve", "1", "ab", {}, forbidden, Curve)
    assert not [p for p in objects.folder.rglob("*") if p.is_file()]


def test_a_version_with_plugins_in_it_is_still_a_key(objects: Objects) -> None:
    cache = Cache(objects)
    assert cache.get_or_put("video", "1+tilt-0.1,grain-2", "a" * 64, {}, lambda: b"x", ".bin") == b"x"
    assert cache.get_or_put("video", "1+tilt-0.2,grain-2", "a" * 64, {}, lambda: b"y", ".bin") == b"y"
