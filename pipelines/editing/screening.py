"""Watching and hearing a rendered edit once: cuts, motion, light, fingerprints and where its song lies.

One decode pass of the picture, with the same shot detector that the clips went through, and one of the sound.
Judging what was seen is left to gates.py and scores.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.editing.plan import Edit
from pipelines.media.frames import FrameInfo
from pipelines.media.picture import Picture

PRINT_WIDTH, PRINT_HEIGHT = 48, 27
THUMBNAIL_WIDTH = 160
_RATE = 4000  # Hz: enough to place a song within a fraction of a frame
_WINDOW = 10.0  # s of sound compared at a time
_SEARCH = 1.5  # s to either side


class Watcher:
    """An analyser of video.analysers: keeps a small grey print of every frame and a thumbnail of some."""

    name = "screening"
    version = "1"

    def __init__(self, thumbnail_frames: set[int]) -> None:
        self._wanted = thumbnail_frames
        self.prints: list[NDArray[np.uint8]] = []
        self.highlights: list[float] = []
        self.thumbnails: dict[int, NDArray[np.uint8]] = {}

    def start(self, info: FrameInfo) -> None: ...

    def frame(self, index: int, time: float, image: Picture) -> None:
        import cv2

        size = (PRINT_WIDTH, PRINT_HEIGHT)
        self.prints.append(np.asarray(cv2.resize(image.luma, size, interpolation=cv2.INTER_AREA), np.uint8).reshape(-1))
        self.highlights.append(float(np.percentile(self.prints[-1], 98)))
        if index in self._wanted:
            height = round(THUMBNAIL_WIDTH * image.rgb.shape[0] / image.rgb.shape[1])
            small = cv2.resize(image.rgb, (THUMBNAIL_WIDTH, height), interpolation=cv2.INTER_AREA)
            self.thumbnails[index] = np.asarray(small, np.uint8)

    def finish(self) -> dict[str, NDArray[np.float32]]:
        return {}


@dataclass(frozen=True, slots=True)
class Sound:
    """Where the song lies in the rendered file, over a few windows from its start to its end."""

    start: float  # s, the stream's first sample
    seconds: float
    lags: NDArray[np.float64]  # [n_windows] s by which the song comes late
    likeness: NDArray[np.float64]  # [n_windows] correlation at that lag, 0..1
    silent: bool  # the song has no sound here: nothing to compare


@dataclass(frozen=True, slots=True)
class Screening:
    n_frames: int
    fps: Fraction
    video_seconds: float
    cuts: NDArray[np.int64]
    motion: NDArray[np.float32]  # [n_frames] diagonal fractions a second
    prints: NDArray[np.uint8]  # [n_frames, PRINT_WIDTH * PRINT_HEIGHT] grey
    highlights: NDArray[np.float32]  # [n_frames] 98th percentile of the print, 0..255
    sample_frames: NDArray[np.int64]
    histograms: NDArray[np.float32]
    thumbnails: NDArray[np.uint8]  # [n_segments, h, w, 3]
    sound: Sound


def middle_frames(edit: Edit) -> list[int]:
    return [(s.record_start + s.record_end) // 2 for s in edit.segments]


def screen(edit: Edit, rendered: Path) -> Screening:
    """Watches ``rendered``; raises BadInput when it cannot be decoded."""
    from pipelines.video.analysis import analyse
    from pipelines.video.colour import Colour
    from pipelines.video.motion import Motion
    from pipelines.video.shots import Shots

    middles = middle_frames(edit)
    watcher = Watcher(set(middles))
    seen = analyse(rendered, analysers=[Shots(), Motion(), Colour(), watcher])
    blank = next(iter(watcher.thumbnails.values()), np.zeros((90, THUMBNAIL_WIDTH, 3), np.uint8)) * 0
    return Screening(
        n_frames=seen.n_frames,
        fps=Fraction(*seen.fps_fraction),
        video_seconds=seen.duration,
        cuts=seen.shot_boundaries,
        motion=seen.motion,
        prints=np.array(watcher.prints, np.uint8).reshape(-1, PRINT_WIDTH * PRINT_HEIGHT),
        highlights=np.array(watcher.highlights, np.float32),
        sample_frames=seen.sample_frames,
        histograms=seen.histograms,
        thumbnails=np.stack([watcher.thumbnails.get(k, blank) for k in middles]),
        sound=listen(edit, rendered),
    )


def listen(edit: Edit, rendered: Path) -> Sound:
    """Finds the planned piece of the song in the rendered file by normalised cross-correlation."""
    import av

    from pipelines.media.audio import decode

    with av.open(str(rendered)) as container:
        streams = container.streams
        if not streams.audio:
            return Sound(0.0, 0.0, np.zeros(0), np.zeros(0), silent=False)
        begins = [float((s.start_time or 0) * s.time_base) for s in (streams.audio[0], streams.video[0]) if s.time_base]
        sound = streams.audio[0]
        played = float(sound.duration * sound.time_base) if sound.duration and sound.time_base else math.inf
    heard, song = decode(rendered), decode(Path(edit.music.path))
    # AAC comes in blocks of 1024 samples; what the file says is played of the last one is what a player plays.
    seconds = min(played, heard.samples.shape[1] / heard.sample_rate)
    a = _reduce(heard.samples, heard.sample_rate)
    first = round((edit.music_start - _SEARCH) * song.sample_rate)
    last = round((edit.music_start + edit.duration + _SEARCH) * song.sample_rate)
    b = _reduce(_padded(song.samples, first, last), song.sample_rate)  # the planned start lies _SEARCH into it
    size = min(_WINDOW, edit.duration, seconds)
    lags, likeness = [], []
    for begin in np.unique([0.0, (edit.duration - size) / 2, max(0.0, min(edit.duration, seconds) - size)]):
        piece = a[round(begin * _RATE) : round((begin + size) * _RATE)]
        found = _place(piece, b[round(begin * _RATE) : round((begin + size + 2 * _SEARCH) * _RATE)])
        if found is not None:
            # A piece that lies early in the song is heard late in the edit, hence the sign.
            lags.append(_SEARCH - found[0] / _RATE)
            likeness.append(found[1])
    silent = not lags and float(np.abs(b).max(initial=0.0)) < 1e-4
    return Sound(begins[0] - begins[-1], seconds, np.array(lags), np.array(likeness), silent)


def _padded(samples: NDArray[np.float32], first: int, last: int) -> NDArray[np.float32]:
    """Samples [first, last), silent where the song has not begun or is over."""
    n = samples.shape[1]
    piece = samples[:, min(max(first, 0), n) : max(min(last, n), 0)]
    return np.pad(piece, ((0, 0), (max(0, -first), max(0, last - max(n, first)))))


def _reduce(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    from scipy.signal import resample_poly

    ratio = Fraction(_RATE, rate)
    mono = samples.mean(axis=0, dtype=np.float32)
    return np.asarray(resample_poly(mono, ratio.numerator, ratio.denominator), np.float32)


def _place(piece: NDArray[np.float32], among: NDArray[np.float32]) -> tuple[int, float] | None:
    """Sample at which ``piece`` lies within ``among``, and the correlation there; None where all is silent."""
    from scipy.signal import correlate

    if len(piece) < _RATE // 4 or len(among) < len(piece):
        return None
    energy = np.concatenate([[0.0], np.cumsum(among.astype(np.float64) ** 2)])
    local = energy[len(piece) :] - energy[: -len(piece)]
    own = float(np.sum(piece.astype(np.float64) ** 2))
    if local.max() < 1e-6 * len(piece):
        return None
    likeness = correlate(among, piece, mode="valid") / np.sqrt(np.maximum(local, 1e-6 * len(piece)) * max(own, 1e-9))
    best = int(np.argmax(likeness))
    # Music repeats itself: of equally good places the one nearest to the plan's (the middle of the search) counts.
    good = np.flatnonzero(likeness >= 0.98 * likeness[best])
    peaks = [int(k) for k in good if likeness[k] >= likeness[max(0, k - 1) : k + 2].max()] or [best]
    middle = (len(among) - len(piece)) / 2
    nearest = min(peaks, key=lambda k: abs(k - middle))
    return nearest, float(max(0.0, likeness[nearest]))
