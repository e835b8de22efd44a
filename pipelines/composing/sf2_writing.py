"""Writes SoundFont 2 files: instruments with zones of samples, as much of the format as the built-in font needs.

What sounds is timbres.py's and drum_sounds.py's; reading is sf2.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.sf2 import BAG, GENERATOR, INSTRUMENT, MODULATOR, PRESET, SAMPLE

_GAP = 46  # zeros after each sample that the specification (7.10) asks for


@dataclass(frozen=True, slots=True)
class Wave:
    name: str
    samples: NDArray[np.float32]  # [n], full scale 1
    rate: int
    root: int  # key at which it sounds as it is
    correction: int = 0  # cents
    loop: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class WrittenZone:
    """``generators``: by their numbers in the specification (8.1.2), in its own units."""

    wave: Wave
    keys: tuple[int, int]
    generators: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preset:
    name: str
    bank: int
    program: int
    zones: tuple[WrittenZone, ...]


def to_bytes(name: str, presets: Sequence[Preset]) -> bytes:
    """The file. Presets with the very same zones share an instrument, zones with the same wave its samples."""
    presets = sorted(presets, key=lambda p: (p.bank, p.program))
    waves = list({id(zone.wave): zone.wave for preset in presets for zone in preset.zones}.values())
    numbers = {id(wave): i for i, wave in enumerate(waves)}
    instruments = list({id(preset.zones): preset for preset in presets}.values())
    positions = {id(one.zones): i for i, one in enumerate(instruments)}

    data: list[bytes] = []
    headers: list[tuple[bytes | int, ...]] = []
    at = 0
    for wave in waves:
        whole = np.round(np.clip(wave.samples, -1, 1) * 32767).astype("<i2")
        loop = (at, at) if wave.loop is None else (at + wave.loop[0], at + wave.loop[1])
        end = at + len(whole)
        headers.append((_name(wave.name), at, end, *loop, wave.rate, wave.root, wave.correction, 0, 1))
        data += [whole.tobytes(), bytes(2 * _GAP)]
        at = end + _GAP
    headers.append((b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0))

    inst: list[tuple[bytes, int]] = []
    ibag: list[tuple[int, int]] = []
    igen: list[tuple[int, int]] = []
    for one in instruments:
        inst.append((_name(one.name), len(ibag)))
        for zone in one.zones:
            ibag.append((len(igen), 0))
            low, high = zone.keys
            igen.append((43, low | high << 8))  # the key range stands first,
            igen += sorted(zone.generators.items())
            igen += [(54, int(zone.wave.loop is not None)), (53, numbers[id(zone.wave)])]  # the sample last
    inst.append((b"EOI", len(ibag)))
    ibag.append((len(igen), 0))
    igen.append((0, 0))

    phdr = [(_name(p.name), p.program, p.bank, i, (0, 0, 0)) for i, p in enumerate(presets)]
    phdr.append((b"EOP", 0, 0, len(presets), (0, 0, 0)))
    pbag = [(i, 0) for i in range(len(presets) + 1)]
    pgen = [*((41, positions[id(p.zones)]) for p in presets), (0, 0)]

    info = [_chunk(b"ifil", b"\2\0\4\0"), _chunk(b"isng", b"EMU8000\0"), _chunk(b"INAM", _even(name.encode()))]
    tables: list[tuple[str, np.dtype[np.void], Sequence[tuple[object, ...]]]] = [
        ("phdr", PRESET, phdr), ("pbag", BAG, pbag), ("pmod", MODULATOR, [(0,) * 5]), ("pgen", GENERATOR, pgen),
        ("inst", INSTRUMENT, inst), ("ibag", BAG, ibag), ("imod", MODULATOR, [(0,) * 5]), ("igen", GENERATOR, igen),
        ("shdr", SAMPLE, headers),
    ]  # fmt: skip
    hydra = b"".join(_chunk(tag.encode(), np.array(rows, dtype).tobytes()) for tag, dtype, rows in tables)
    body = b"sfbk" + _chunk(b"LIST", b"INFO" + b"".join(info))
    body += _chunk(b"LIST", b"sdta" + _chunk(b"smpl", b"".join(data))) + _chunk(b"LIST", b"pdta" + hydra)
    return _chunk(b"RIFF", body)


def _chunk(tag: bytes, content: bytes) -> bytes:
    return tag + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)


def _even(text: bytes) -> bytes:
    return text + bytes(2 - len(text) % 2)


def _name(text: str) -> bytes:
    return text.encode("ascii", "replace")[:19]
