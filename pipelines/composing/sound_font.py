"""Which sound font arrangements are heard with: the one that is set, one that is installed, or the built-in one.

The built-in font is made of timbres.py and drum_sounds.py once and kept in the home. Playing is rendering.py's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.composing.sf2 import DRUM_BANK, SoundFont
from pipelines.errors import BadInput
from pipelines.media.replacing import replace_bytes
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.composing.sf2_writing import WrittenZone
    from pipelines.composing.timbres import Timbre

# Where distributions put them, and the names of those that hold all of General MIDI under a free licence, best first.
PLACES = (
    Path("/usr/share/sounds/sf2"),
    Path("/usr/share/sounds/sf3"),
    Path("/usr/share/soundfonts"),
    Path("/usr/local/share/soundfonts"),
    Path("/opt/homebrew/share/soundfonts"),
)
NAMES = (
    "MuseScore_General.sf3", "MuseScore_General_Lite.sf3", "MuseScore_General.sf2", "FluidR3_GM.sf2", "FluidR3_GM.sf3",
    "FluidR3_GM2-2.sf2", "default-GM.sf3", "default-GM.sf2", "default.sf3", "default.sf2", "TimGM6mb.sf2",
    "GeneralUser-GS.sf2",
)  # fmt: skip
BUILT_IN = "Orimono's built-in sounds"
MOST_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class Font:
    """``notice``: a sentence for who listens, where there is something to know; empty otherwise."""

    path: Path
    name: str
    built_in: bool
    notice: str

    def open(self) -> SoundFont:
        """The font to play with; the same one each time while the file is, so that samples are decoded once."""
        about = self.path.stat()
        return _opened(self.path, about.st_mtime_ns, about.st_size)


def find(settings: Settings, *, places: tuple[Path, ...] = PLACES) -> Font:
    """The font to listen with. Raises BadInput when the one that is set is missing or is no sound font."""
    if settings.sound_font:
        path = Path(settings.sound_font).expanduser()
        if not path.is_file():
            reason = f"names {path}, which is {'not a file' if path.exists() else 'not there'}"
            raise BadInput("ORIMONO_SOUND_FONT", reason, "set it to an SF2 or SF3 file, or unset it")
        SoundFont(path)
        return Font(path, path.stem, False, "")
    for name in NAMES:
        for place in places:
            path = place / name
            if path.is_file() and _sound(path):
                return Font(path, path.stem, False, "")
    return built_in(settings.home_path)


def built_in(home: Path) -> Font:
    """The font made here, kept in ``home``; making it takes some five seconds, once."""
    path = home / "sound_fonts" / f"built-in-{_recipe()}.sf2"
    if not path.is_file() or not _sound(path):
        replace_bytes(path, make())
    notice = (
        "No sound font is installed, so this is heard with simple built-in sounds; install one such as "
        "fluid-soundfont-gm, or set ORIMONO_SOUND_FONT, for real instruments."
    )
    return Font(path, BUILT_IN, True, notice)


def make() -> bytes:
    """The built-in font as an SF2 file: 128 programs and a drum kit, under MOST_BYTES, the same each time."""
    from pipelines.composing import drum_sounds, timbres
    from pipelines.composing.sf2_writing import Preset, Wave, WrittenZone, to_bytes

    zones = {timbre.name: _zones(timbre) for timbre in timbres.TIMBRES}
    presets = [Preset(name, 0, program, zones[name]) for program, name in enumerate(timbres.PROGRAMS)]
    kit = []
    for drum in drum_sounds.KIT:
        wave = Wave(drum.name, drum_sounds.sound(drum), drum_sounds.RATE, drum.key)
        # Held or not, a drum rings as long as it does.
        ring = {38: _timecents(6.0), 57: drum.exclusive}
        kit.append(WrittenZone(wave, (drum.key, drum.key), {k: v for k, v in ring.items() if v}))
    presets.append(Preset("Standard Kit", DRUM_BANK, 0, tuple(kit)))
    data = to_bytes(BUILT_IN, presets)
    assert len(data) <= MOST_BYTES
    return data


def _zones(timbre: Timbre) -> tuple[WrittenZone, ...]:
    from pipelines.composing.sf2_writing import Wave, WrittenZone
    from pipelines.composing.timbres import RATE, wave

    cents, hz, delay = timbre.vibrato
    shared = {
        34: _timecents(timbre.attack),
        38: _timecents(timbre.release * 100 / 60),  # its stages are told as times to -100 dB
    }
    if timbre.decay:
        # It dies by 60 dB in `decay` at middle C, an octave higher in three quarters of it.
        shared |= {36: _timecents(timbre.decay * 100 / 60), 37: 1000, 40: 40}
    if cents:
        shared |= {6: round(cents), 24: round(1200 * np.log2(hz / 8.176)), 23: _timecents(delay)}
    found = []
    for i, root in enumerate(timbre.roots):
        samples, f0, loop = wave(timbre, root)
        exact = 69 + 12 * float(np.log2(f0 / 440))  # the key that the sample really has
        key = round(exact)
        # A sample serves up to half way to the next one's key.
        low = 0 if i == 0 else (timbre.roots[i - 1] + root) // 2 + 1
        high = 127 if i == len(timbre.roots) - 1 else (root + timbre.roots[i + 1]) // 2
        sample = Wave(f"{timbre.name[:14]} {root}", samples, RATE, key, round(100 * (key - exact)), loop)
        found.append(WrittenZone(sample, (low, high), shared))
    return tuple(found)


def _sound(path: Path) -> bool:
    """Whether a font that was found, not set, can be used; else the next one is."""
    try:
        SoundFont(path)
    except BadInput:
        return False
    return True


@lru_cache(maxsize=2)
def _opened(path: Path, changed: int, size: int) -> SoundFont:
    return SoundFont(path)


def _timecents(seconds: float) -> int:
    return round(1200 * float(np.log2(max(seconds, 1e-3))))


def _recipe() -> str:
    """Changes whenever the sounds do, so that a font kept from before is not taken for today's."""
    folder = Path(__file__).parent
    names = ("timbres.py", "drum_sounds.py", "sf2_writing.py", "sound_font.py")
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in names)).hexdigest()[:12]
