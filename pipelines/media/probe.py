"""What a media file holds, from its header: streams, lengths, sizes. Decoding is left to audio.py and frames.py."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AudioStream:
    codec: str
    sample_rate: int  # Hz
    channels: int
    duration: float  # s


@dataclass(frozen=True, slots=True)
class VideoStream:
    codec: str
    width: int  # as shown, after rotation and with square pixels
    height: int
    fps: Fraction  # average; the exact times are VideoFeatures.frame_times
    duration: float  # s
    rotation: int  # degrees clockwise: 0, 90, 180, 270


@dataclass(frozen=True, slots=True)
class MediaInfo:
    path: Path
    audio: AudioStream | None
    video: VideoStream | None
    duration: float  # s, the longer of the two
