from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from safetensors.numpy import load

from pipelines.errors import BadInput
from pipelines.storage.arrays import pack, unpack


@dataclass(frozen=True, slots=True)
class Inner:
    curve: NDArray[np.float32]
    label: str


@dataclass(frozen=True, slots=True)
class Everything:
    times: NDArray[np.float64]
    flags: NDArray[np.bool_]
    count: int
    level: float
    silent: bool
    title: str
    rate: Fraction
    path: Path
    size: tuple[int, int]
    tags: tuple[tuple[str, ...], ...]
    note: str | None
    inner: Inner
    inners: tuple[Inner, ...]
    weights: dict[str, float]
    extra: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def arrays(dtype: object) -> st.SearchStrategy[NDArray[np.generic]]:
    return hnp.arrays(np.dtype(dtype), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))


inners = st.builds(Inner, curve=arrays("f4"), label=st.text())
values = st.builds(
    Everything,
    times=arrays("f8"),
    flags=arrays("?"),
    count=st.integers(),
    level=st.floats(),
    silent=st.booleans(),
    title=st.text(),
    rate=st.fractions(),
    path=st.just(Path("音楽/a b.wav")),
    size=st.tuples(st.integers(), st.integers()),
    tags=st.lists(st.lists(st.text()).map(tuple), max_size=3).map(tuple),
    note=st.none() | st.text(),
    inner=inners,
    inners=st.lists(inners, max_size=3).map(tuple),
    weights=st.dictionaries(st.text(), st.floats(), max_size=3),
    extra=st.dictionaries(st.text(), arrays("f4"), max_size=3),
)


def assert_same(a: object, b: object) -> None:
    if isinstance(a, np.ndarray):
        assert isinstance(b, np.ndarray)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, Everything | Inner):
        assert type(a) is type(b)
        for each in fields(a):
            assert_same(getattr(a, each.name), getattr(b, each.name))
    elif isinstance(a, tuple):
        assert isinstance(b, tuple)
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, dict):
        assert isinstance(b, dict)
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    else:
        assert type(a) is type(b)
        assert a == b or (a != a and b != b)


@given(values)
def test_a_value_comes_back_and_packs_to_the_same_bytes(value: Everything) -> None:
    data = pack(value)
    again = unpack(Everything, data)
    assert_same(value, again)
    assert pack(again) == data


@given(values)
def test_the_bytes_are_a_safetensors_file(value: Everything) -> None:
    loaded = load(pack(value))
    np.testing.assert_array_equal(loaded["/times"], value.times)


def test_a_file_is_mapped_and_its_arrays_are_read_only(tmp_path: Path) -> None:
    value = Inner(np.arange(1_000_000, dtype=np.float32), "大きい")
    path = tmp_path / "値.safetensors"
    path.write_bytes(pack(value))
    again = unpack(Inner, path)
    assert_same(value, again)
    assert not again.curve.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        again.curve[0] = 1
    path.unlink()
    assert again.curve[-1] == 999_999  # still mapped


def test_any_memory_layout_gives_the_same_bytes() -> None:
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    expected = pack(Inner(base, ""))
    assert pack(Inner(np.asfortranarray(base), "")) == expected
    assert pack(Inner(base.astype(">f4"), "")) == expected  # type: ignore[arg-type]
    assert pack(Inner(np.repeat(base, 2, axis=1)[:, ::2], "")) == expected


def test_dictionaries_pack_alike_in_any_order() -> None:
    a, b = {"x": np.zeros(2, np.float32), "y/z": np.ones(1, np.float32)}, {}
    b["y/z"], b["x"] = a["y/z"], a["x"]
    assert pack(a) == pack(b)
    assert list(unpack(dict[str, NDArray[np.float32]], pack(b))) == ["x", "y/z"]


@given(st.data())
def test_changed_or_cut_bytes_are_noticed(data: st.DataObject) -> None:
    packed = pack(Inner(np.linspace(0, 1, 50, dtype=np.float32), "loud"))
    if data.draw(st.booleans()):
        damaged = packed[: data.draw(st.integers(0, len(packed) - 1))]
    else:
        at = data.draw(st.integers(len(packed) - 200, len(packed) - 1))
        damaged = packed[:at] + bytes([packed[at] ^ (1 << data.draw(st.integers(0, 7)))]) + packed[at + 1 :]
    with pytest.raises(BadInput, match="is not a stored Inner"):
        unpack(Inner, damaged)


@given(st.binary(max_size=300))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        unpack(Inner, data)


def test_another_class_is_refused() -> None:
    with pytest.raises(BadInput, match="is not a stored Everything"):
        unpack(Everything, pack(Inner(np.zeros(1, np.float32), "")))


def test_an_absent_or_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        unpack(Inner, tmp_path / "none")
    (tmp_path / "empty").touch()
    with pytest.raises(BadInput, match="it is empty"):
        unpack(Inner, tmp_path / "empty")


@pytest.mark.parametrize("odd", [object(), np.array(["a"]), {1: "x"}, {"a": 1j}, np.array([object()])])
def test_what_cannot_be_stored_is_said_at_once(odd: object) -> None:
    with pytest.raises(TypeError, match=r"cannot be stored|must be text"):
        pack({"value": odd})


def test_the_other_contracts_of_the_product_come_back() -> None:
    from pipelines.audio.analysis import MusicFeatures

    music = MusicFeatures(
        duration=1.0, sample_rate=48000, bpm=0, bpm_confidence=0.0, beats=np.zeros(0), downbeats=np.zeros(0),
        beats_per_bar=4, section_boundaries=np.array([0.0, 1.0]), section_labels=("A",),
        energy=np.zeros(10, np.float32), energy_rate=10.0, onsets=np.zeros(0), onset_strengths=np.zeros(0, np.float32),
        vector=np.zeros(3, np.float32), names=("a", "b", "c"), loudness_lufs=float("-inf"), loudness_range=0.0,
        true_peak_dbtp=float("-inf"),
    )  # fmt: skip
    again = unpack(MusicFeatures, pack(music))
    assert again.loudness_lufs == float("-inf")
    assert (again.names, again.section_labels) == (music.names, music.section_labels)
    assert json.dumps(again.bpm) == "0.0"


@dataclass(frozen=True)
class Judged:
    verdict: Literal["ok", "fail"]


def test_one_of_a_few_words(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(pack(Judged("ok")))
    assert unpack(Judged, path) == Judged("ok")
    path.write_bytes(pack(Judged("perhaps")))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="'perhaps' where one of"):
        unpack(Judged, path)
