"""SoundFont files (SF2, and SF3 whose samples are Ogg Vorbis): which sample sounds for a key, and how. Read only.

Follows the SoundFont Technical Specification 2.04 as far as notes need it: all generators but effects, modulators by
velocity and key. Playing is sampler.py's, writing sf2_writing.py's.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.sf2_zones import DEFAULT_MODULATORS, MODULATED, PACKED, SAMPLE_ID, Zone, resolve
from pipelines.composing.sf2_zones import INSTRUMENT as ZONE_INSTRUMENT
from pipelines.errors import BadInput

PRESET = np.dtype([("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("unused", "<u4", 3)])
INSTRUMENT = np.dtype([("name", "S20"), ("bag", "<u2")])
BAG = np.dtype([("generator", "<u2"), ("modulator", "<u2")])
GENERATOR = np.dtype([("kind", "<u2"), ("amount", "<i2")])
MODULATOR = np.dtype([("source", "<u2"), ("target", "<u2"), ("amount", "<i2"), ("by", "<u2"), ("curve", "<u2")])
SAMPLE = np.dtype(
    [("name", "S20"), *((n, "<u4") for n in ("start", "end", "loop_start", "loop_end", "rate")), ("root", "u1"),
     ("correction", "i1"), ("link", "<u2"), ("kind", "<u2")]
)  # fmt: skip
DRUM_BANK = 128
MOST_BYTES = 4 << 30
_CACHED = 96 << 20  # bytes of samples kept as numbers
_REMEDY = "set ORIMONO_SOUND_FONT to a sound SF2 or SF3 file, or unset it"


class SoundFont:
    """An opened file. `zones` tells what sounds, `samples` gives the numbers. Raises BadInput when it is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if not 64 <= path.stat().st_size <= MOST_BYTES:
                raise BadInput(path, "has not the size of a sound font", _REMEDY)
            self._bytes = np.memmap(path, np.uint8, "r")
            chunks = _chunks(self._bytes, path)
            self._tables = {
                name: np.frombuffer(self._bytes[slice(*chunks[name])], dtype)
                for name, dtype in (
                    ("phdr", PRESET), ("pbag", BAG), ("pgen", GENERATOR), ("inst", INSTRUMENT), ("ibag", BAG),
                    ("igen", GENERATOR), ("shdr", SAMPLE), ("pmod", MODULATOR), ("imod", MODULATOR),
                )
            }  # fmt: skip
            self._data = chunks["smpl"]
        except OSError as error:
            raise BadInput(path, f"cannot be read ({error.strerror})", _REMEDY) from error
        except (KeyError, ValueError) as error:
            raise BadInput(path, "is no SF2 or SF3 sound font, or a damaged one", _REMEDY) from error
        presets = self._tables["phdr"][:-1]
        self._presets = {(int(p["bank"]), int(p["program"])): i for i, p in reversed(list(enumerate(presets)))}
        if not self._presets:
            raise BadInput(path, "is a sound font without any instrument", _REMEDY)
        self._zones: dict[int, tuple[Zone, ...]] = {}
        self._cache: OrderedDict[tuple[int, int, int], NDArray[np.float32]] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    @cached_property
    def programs(self) -> frozenset[tuple[int, int]]:
        """(bank, program) of every instrument; drums are in DRUM_BANK."""
        return frozenset(self._presets)

    def name(self, program: int, *, drums: bool = False) -> str:
        index = self._preset(program, drums)
        raw = b"" if index is None else bytes(self._tables["phdr"]["name"][index])
        return raw.split(b"\0")[0].decode("latin-1").strip()

    def zones(self, program: int, pitch: int, velocity: int, *, drums: bool = False) -> list[Zone]:
        """What sounds together for one note; empty when the font has nothing for it.

        A program that is not there is played by the first of its General MIDI family that is, or by any.
        """
        index = self._preset(program, drums)
        if index is None:
            return []
        if index not in self._zones:
            try:
                self._zones[index] = tuple(self._resolve(index))
            except (IndexError, ValueError) as error:
                raise BadInput(self.path, "is a damaged sound font", _REMEDY) from error
        return [
            zone
            for zone in self._zones[index]
            if zone.keys[0] <= pitch <= zone.keys[1] and zone.velocities[0] <= velocity <= zone.velocities[1]
        ]

    def samples(self, zone: Zone) -> NDArray[np.float32]:
        """float32 [n], full scale 1, from the zone's start to its end (or its loop's, the further)."""
        key = (zone.sample, zone.start, zone.end)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        if self._tables["shdr"]["kind"][zone.sample] & PACKED:
            wave = self._decoded(zone.sample)[zone.start : zone.end]
        else:
            raw = self._bytes[self._data[0] + 2 * zone.start : self._data[0] + 2 * zone.end]
            wave = np.frombuffer(raw.tobytes(), "<i2").astype(np.float32) / np.float32(32768)
        with self._lock:
            self._cache[key] = wave
            self._held += wave.nbytes
            while self._held > _CACHED and len(self._cache) > 1:
                self._held -= self._cache.popitem(last=False)[1].nbytes
        return wave

    def _preset(self, program: int, drums: bool) -> int | None:
        if drums:
            kits = [(DRUM_BANK, program), (DRUM_BANK, program // 8 * 8), (DRUM_BANK, 0)]
            kits += sorted(p for p in self._presets if p[0] == DRUM_BANK)
            return next((self._presets[kit] for kit in kits if kit in self._presets), None)
        family = [(0, program), *((0, program // 8 * 8 + i) for i in range(8)), (0, 0)]
        family += sorted(p for p in self._presets if p[0] != DRUM_BANK)
        return next((self._presets[one] for one in family if one in self._presets), None)

    def _resolve(self, preset: int) -> list[Zone]:
        """The preset's and its instruments' zones put together (specification, 9.4)."""
        found: list[Zone] = []
        for added, more in self._gathered("p", preset, ZONE_INSTRUMENT):
            for own, given in self._gathered("i", added[ZONE_INSTRUMENT] & 0xFFFF, SAMPLE_ID):
                amounts = {**DEFAULT_MODULATORS, **given}
                amounts |= {key: amounts.get(key, 0) + amount for key, amount in more.items()}
                modulators = tuple((*key, amount) for key, amount in amounts.items() if amount)
                zone = resolve(own, added, modulators, self._tables["shdr"][:-1], (self._data[1] - self._data[0]) // 2)
                if zone is not None:
                    found.append(zone)
        return found

    def _gathered(self, level: str, index: int, last: int) -> list[tuple[dict[int, int], dict[tuple[int, int], int]]]:
        """Generators and modulators of each local zone over the global one's; without ``last`` it is global or idle."""
        head = self._tables["phdr" if level == "p" else "inst"]
        bag, gen, mod = (self._tables[level + name] for name in ("bag", "gen", "mod"))
        if index + 1 >= len(head):
            raise ValueError("no such record")
        shared: tuple[dict[int, int], dict[tuple[int, int], int]] = ({}, {})
        zones = []
        first, end = int(head["bag"][index]), int(head["bag"][index + 1])
        for b in range(first, end):
            rows = gen[int(bag["generator"][b]) : int(bag["generator"][b + 1])]
            one = dict(zip(rows["kind"].tolist(), rows["amount"].tolist(), strict=True))
            moved = {
                (int(m["source"]), int(m["target"])): int(m["amount"])
                for m in mod[int(bag["modulator"][b]) : int(bag["modulator"][b + 1])]
                if m["by"] == 0 and int(m["source"]) & 0xFF in (2, 3) and m["target"] in MODULATED
            }
            if last in one:
                zones.append(({**shared[0], **one}, {**shared[1], **moved}))
            elif b == first:
                shared = (one, moved)
        return zones

    def _decoded(self, index: int) -> NDArray[np.float32]:
        """The whole sample of an SF3 file; several zones may share it."""
        key = (index, -1, -1)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        import av

        sample = self._tables["shdr"][index]
        raw = self._bytes[self._data[0] + int(sample["start"]) : self._data[0] + int(sample["end"])].tobytes()
        try:
            with av.open(io.BytesIO(raw), "r") as container:
                blocks = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
        except (av.error.FFmpegError, IndexError) as error:
            raise BadInput(self.path, "holds a sample that cannot be decoded", _REMEDY) from error
        wave = np.concatenate(blocks).astype(np.float32) if blocks else np.zeros(0, np.float32)
        with self._lock:
            self._cache[key] = wave
            self._held += wave.nbytes
        return wave


def _chunks(data: NDArray[np.uint8], path: Path) -> dict[str, tuple[int, int]]:
    """Where each chunk's content begins and ends."""
    if bytes(data[:4]) != b"RIFF" or bytes(data[8:12]) != b"sfbk":
        raise BadInput(path, "is no SF2 or SF3 sound font", _REMEDY)
    found: dict[str, tuple[int, int]] = {}
    at, inside = 12, len(data)
    while at + 8 <= len(data):
        name, size = bytes(data[at : at + 4]), int.from_bytes(bytes(data[at + 4 : at + 8]), "little")
        if at + 8 + size > len(data):
            raise BadInput(path, "is a sound font that was cut off", _REMEDY)
        if name == b"LIST":
            inside = at + 8 + size
            at += 12  # its members follow
            continue
        found[name.decode("latin-1")] = (at + 8, at + 8 + size)
        # SF3 files as MuseScore writes them do not pad a chunk of odd length, which RIFF asks for.
        at = min(at + 8 + size + size % 2, inside) if at + 8 + size <= inside else at + 8 + size
    return found
