"""A piece as sound: its notes played through a sound font into a room, at an even loudness, as WAV and as a preview.

Which font is sound_font.py's, a single note sampler.py's, encoding pipelines/mastering/encoders.py's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.loudness import Loudness, LoudnessMeter
from pipelines.composing.piece import Part, Piece, Role
from pipelines.composing.sampler import Sampler
from pipelines.composing.sf2 import SoundFont
from pipelines.errors import BadInput, Unavailable
from pipelines.media.replacing import NO_ROOM, replacing

SAMPLE_RATE = 44_100
TARGET = -18.0  # LUFS: the level at which sketches are compared; a master is mastering's matter
CEILING = -1.0  # dBTP
LONGEST = 900.0  # s of a piece that are rendered; what follows is left out, and `Rendered.whole` says so
SILENCE = 60.0  # s before the first note that are rendered, so that the sound lies under its notes; more are left out
_PREVIEW_RATE = 128_000  # bit/s
_BLOCK = 1 << 16
_TUNED_AT = 90  # velocity at which the instruments' loudness is made even

# dB of each role against the melody, for a whole part of equal loudness; drums are measured at their strokes.
_LEVEL: dict[Role, float] = {
    "melody": 0, "alto": -2.5, "tenor": -2.5, "bass": -1, "chords": -2, "pad": -4.5, "arpeggio": -2.5, "drums": -2.5,
    "other": -4,
}  # fmt: skip
_PAN: dict[Role, float] = {"alto": -0.25, "tenor": 0.25, "chords": -0.2, "arpeggio": 0.3}
_ROOM: dict[Role, float] = {"bass": 0.05, "drums": 0.10, "pad": 0.28, "alto": 0.3, "tenor": 0.3}  # share of the sound


@dataclass(frozen=True, slots=True)
class Rendered:
    wav: Path | None
    preview: Path | None
    seconds: float
    lufs: float
    true_peak: float  # dBTP
    whole: bool  # False: longer than LONGEST, its end left out
    begins: float = 0.0  # s of the piece at which the sound begins

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences for who listens."""
        found = []
        if self.begins:
            minutes, seconds = divmod(int(self.begins), 60)
            found.append(f"The sound begins with the first note, {minutes}:{seconds:02d} into the piece.")
        if not self.whole:
            found.append(f"Only the first {LONGEST / 60:.0f} minutes are to be heard; the files hold all notes.")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Event:
    start: int  # samples
    part: int
    pitch: int
    velocity: int
    seconds: float
    cut: float | None


def render(piece: Piece, font: SoundFont, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
    """float32 [n, 2] at about TARGET LUFS, never above CEILING dBTP. Raises BadInput for a piece without notes."""
    whole = np.concatenate(list(blocks(piece, font, sample_rate)), axis=1)
    meter = LoudnessMeter(sample_rate, 2)
    meter.push(whole)
    return np.ascontiguousarray((whole * _gain(meter.finish())).T)


def write(
    piece: Piece, wav: Path | None, font: SoundFont, *, preview: Path | None = None, sample_rate: int = SAMPLE_RATE
) -> Rendered:
    """Writes ``wav`` (24 bit) and ``preview`` (by its ending: m4a, mp3, ogg, opus), each whole or not at all; None is
    not written.

    Memory does not grow with the piece: it goes through a temporary file beside them. Raises BadInput for a piece
    without notes, Unavailable when there is no room.
    """
    from pipelines.mastering.encoders import encode, format_of

    paths = [path for path in (wav, preview) if path is not None]
    if not paths:
        raise ValueError("nothing to write")
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    meter, n = LoudnessMeter(sample_rate, 2), 0
    with _room(paths[0]), tempfile.TemporaryFile(dir=paths[0].parent) as raw:
        for block in blocks(piece, font, sample_rate):
            meter.push(block)
            n += block.shape[1]
            raw.write(np.ascontiguousarray(block.T).tobytes())
        heard = meter.finish()
        gain = _gain(heard)

        def again() -> Iterator[NDArray[np.float32]]:
            raw.seek(0)
            while data := raw.read(8 * _BLOCK):
                yield np.ascontiguousarray(np.frombuffer(data, np.float32).reshape(-1, 2).T) * gain

        for path in paths:
            form = format_of(path)
            bit_rate = _PREVIEW_RATE if form.lossy else None
            with replacing(path, durable=False) as temporary:
                encode(again(), temporary, sample_rate, ("FL", "FR"), form, bit_rate=bit_rate)
    level = 20 * float(np.log10(gain))
    begins, last = _first_and_last(piece)
    return Rendered(wav, preview, n / sample_rate, heard.integrated + level, heard.true_peak + level,
                    last - begins < LONGEST, begins)  # fmt: skip


def _first_and_last(piece: Piece) -> tuple[float, float]:
    """s of the piece at which its sound begins and at which its last note does."""
    starts = np.array([note.start for part in piece.parts for note in part.notes], np.int64)
    if not len(starts):
        return 0.0, 0.0
    first, last = moments(piece, np.array([starts.min(), starts.max()])).tolist()
    return first if first > SILENCE else 0.0, last


@contextmanager
def _room(path: Path) -> Iterator[None]:
    """A full disk as one sentence, for the temporary file, too."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise Unavailable(path, "there is no room left on its disk", retry_after=60) from error
        raise


def blocks(piece: Piece, font: SoundFont, sample_rate: int = SAMPLE_RATE) -> Iterator[NDArray[np.float32]]:
    """The piece as float32 [2, n] in blocks, instruments evened out, before the gain to TARGET."""
    sampler = Sampler(font, sample_rate)
    events = _events(piece, sampler, sample_rate)
    if not events:
        raise BadInput(piece.name or "the piece", "has no notes that could be heard", "give one with notes")
    gains = [_part_gain(part, sampler) for part in piece.parts]
    sends = [_ROOM.get(part.role, 0.2) for part in piece.parts]
    room = _Room(sample_rate)
    dry, wet = _Ahead(2), _Ahead(2)
    at, position = 0, 0
    while at < len(events) or dry.n:
        while at < len(events) and events[at].start < position + _BLOCK:
            event = events[at]
            part = piece.parts[event.part]
            wave = sampler.note(
                part.program, event.pitch, event.velocity, event.seconds, drums=part.drums, cut=event.cut
            )
            wave = wave * gains[event.part]
            dry.add(event.start - position, wave)
            wet.add(event.start - position, wave * np.float32(sends[event.part]))
            at += 1
        n = _BLOCK if at < len(events) else min(_BLOCK, dry.n)
        yield dry.take(n) + room.push(wet.take(n))
        position += n
    yield room.finish()


def moments(piece: Piece, ticks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Seconds of ``ticks``, all at once (Piece.seconds for many)."""
    at = np.array([tempo.tick for tempo in piece.tempos], np.float64)
    pace = np.array([tempo.quarter_us for tempo in piece.tempos]) / piece.ticks_per_quarter / 1e6
    reached = np.concatenate([[0.0], np.cumsum(np.diff(at) * pace[:-1])])
    index = np.maximum(np.searchsorted(at, ticks, side="right") - 1, 0)
    return np.asarray(reached[index] + (ticks - at[index]) * pace[index])


def _events(piece: Piece, sampler: Sampler, sample_rate: int) -> list[_Event]:
    events: list[_Event] = []
    begins, _ = _first_and_last(piece)
    for number, part in enumerate(piece.parts):
        if not part.notes:
            continue
        starts = moments(piece, np.array([note.start for note in part.notes], np.int64)) - begins
        ends = moments(piece, np.array([note.end for note in part.notes], np.int64)) - begins
        follows: dict[int, float] = {}  # class -> when its next note begins
        classes = {p: sampler.classes(part.program, p, drums=part.drums) for p in {n.pitch for n in part.notes}}
        for i in range(len(part.notes) - 1, -1, -1):
            note, start = part.notes[i], float(starts[i])
            own = classes[note.pitch]
            after = [follows[c] - start for c in own if c in follows and follows[c] > start]
            follows |= dict.fromkeys(own, start)
            if start < LONGEST:
                cut = min(after) if after else None
                seconds = max(0.01, float(ends[i]) - start)
                events.append(_Event(round(start * sample_rate), number, note.pitch, note.velocity, seconds, cut))
    return sorted(events, key=lambda event: (event.start, event.part, event.pitch))


def _part_gain(part: Part, sampler: Sampler) -> NDArray[np.float32]:
    """float32 [2, 1]: brings the part's instrument to its role's level, whatever the font made of it, and places it.

    Velocities stay what they are: the instrument is measured at one velocity, on the pitches that the part uses.
    """
    pitches = sorted({note.pitch for note in part.notes})
    chosen = [pitches[round(i)] for i in np.linspace(0, len(pitches) - 1, min(7, len(pitches)))] if pitches else []
    span = int(0.12 * sampler.rate if part.drums else 0.6 * sampler.rate)
    meter = [
        _weighted_power(sampler.note(part.program, pitch, _TUNED_AT, 0.6, drums=part.drums)[:, :span], sampler.rate)
        for pitch in chosen
    ]
    heard = [power for power in meter if power > 0]
    # Chords are louder than their notes by how many of them sound together.
    edges = [(note.start, note.end) for note in part.notes]
    together = 1.0 if part.drums or not edges else sum(b - a for a, b in edges) / _covered(edges)
    level = 10 * np.log10(np.mean(heard) * together) if heard else -20.0
    gain = 10 ** ((np.clip(-20.0 - level, -24, 24) + _LEVEL[part.role]) / 20)
    angle = (_PAN.get(part.role, 0.0) + 1) * np.pi / 4
    return np.array([[gain * np.cos(angle)], [gain * np.sin(angle)]], np.float32) * np.float32(np.sqrt(2))


def _covered(spans: list[tuple[int, int]]) -> int:
    """Ticks in which at least one sounds; ``spans`` in order of their starts, none empty."""
    total, reached = 0, spans[0][0]
    for start, end in spans:
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _weighted_power(wave: NDArray[np.float32], sample_rate: int) -> float:
    from scipy.signal import sosfilt

    from pipelines.audio.loudness import k_weighting

    if not wave.shape[1]:
        return 0.0
    return float(np.square(sosfilt(k_weighting(sample_rate), wave)).sum(axis=0).mean())


def _gain(heard: Loudness) -> np.float32:
    if not np.isfinite(heard.integrated):
        return np.float32(1.0)
    return np.float32(10 ** (min(TARGET - heard.integrated, CEILING - heard.true_peak) / 20))


class _Ahead:
    """Sound that has been laid down and not yet given out."""

    def __init__(self, channels: int) -> None:
        self._wave = np.zeros((channels, 4 * _BLOCK), np.float32)
        self.n = 0

    def add(self, at: int, wave: NDArray[np.float32]) -> None:
        end = at + wave.shape[1]
        if end > self._wave.shape[1]:
            self._wave = np.pad(self._wave, ((0, 0), (0, 2 * end - self._wave.shape[1])))
        self._wave[:, at:end] += wave
        self.n = max(self.n, end)

    def take(self, n: int) -> NDArray[np.float32]:
        out = self._wave[:, :n].copy()
        self._wave[:, : max(0, self.n - n)] = self._wave[:, n : max(n, self.n)].copy()
        self._wave[:, max(0, self.n - n) : self.n] = 0
        self.n = max(0, self.n - n)
        return out


class _Room:
    """A small hall: noise that dies away within a second, highs first, another for each ear; block by block."""

    def __init__(self, sample_rate: int) -> None:
        rng = np.random.default_rng(11)
        n = int(1.3 * sample_rate)
        t = np.arange(n) / sample_rate
        noise = rng.standard_normal((2, n))
        spectrum = np.fft.rfft(noise, axis=1)
        hz = np.fft.rfftfreq(n, 1 / sample_rate)
        dark = np.fft.irfft(spectrum / (1 + (hz / 1800) ** 2), n, axis=1)
        bright = np.fft.irfft(spectrum / (1 + (hz / 7000) ** 2), n, axis=1)
        wave = dark * 10 ** (-60 * t / 1.25 / 20) + bright * 10 ** (-60 * t / 0.5 / 20)
        wave *= np.clip((t - 0.012) / 0.008, 0, 1)  # the walls are some metres off
        # The lows would boom.
        wave = np.fft.irfft(np.fft.rfft(wave, axis=1) * (hz**2 / (hz**2 + 180**2)), n, axis=1)
        self._wave = (wave / np.sqrt(np.square(wave).sum(axis=1, keepdims=True))).astype(np.float32)
        self._rest = np.zeros((2, n - 1), np.float32)

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        from scipy.signal import oaconvolve

        if not block.any():
            wet = np.zeros((2, block.shape[1] + self._rest.shape[1]), np.float32)
        else:
            wet = oaconvolve(block, self._wave, axes=1).astype(np.float32)
        wet[:, : self._rest.shape[1]] += self._rest
        self._rest = wet[:, block.shape[1] :].copy()
        return np.asarray(wet[:, : block.shape[1]])

    def finish(self) -> NDArray[np.float32]:
        return self._rest
