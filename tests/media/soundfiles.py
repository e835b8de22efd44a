"""Sound files made by code, in any container and layout that FFmpeg writes."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def sine(
    seconds: float = 1.0, *, sample_rate: int = 48000, channels: int = 2, hz: float = 440.0
) -> NDArray[np.float32]:
    """[channels, n] at half of full scale, each channel an octave above the one before."""
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    return np.stack([0.5 * np.sin(2 * np.pi * hz * 2**i * t) for i in range(channels)]).astype(np.float32)


def write(
    path: Path,
    samples: NDArray[np.float32],
    sample_rate: int = 48000,
    *,
    codec: str = "pcm_f32le",
    container: str | None = None,
    layout: str | None = None,
) -> Path:
    """Encodes ``samples`` [n_channels, n] and returns the path."""
    layout = layout or {1: "mono", 2: "stereo", 6: "5.1"}[len(samples)]
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=sample_rate, layout=layout)
        chunk = 1024
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout=layout, rate=sample_rate, frame_size=chunk
        )
        for start in range(0, samples.shape[1], chunk):
            part = np.ascontiguousarray(samples[:, start : start + chunk], np.float32)
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = sample_rate, start
            for converted in resampler.resample(frame):
                out.mux(stream.encode(converted))
        for converted in resampler.resample(None):
            out.mux(stream.encode(converted))
        out.mux(stream.encode(None))
    return path
