"""Clips made by code for the tests: known cuts, rates, sizes and faults."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]


def write_clip(
    path: Path,
    pictures: Iterable[Rgb],
    fps: Fraction | int | float = 25,
    *,
    codec: str = "libx264",
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    pix_fmt: str = "yuv420p",
) -> Path:
    """Encodes RGB pictures; ``pts`` in ``time_base`` units makes the frame rate variable."""
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w") as container:
        stream = None
        for k, picture in enumerate(pictures):
            if stream is None:
                stream = container.add_stream(codec, rate=rate)
                stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], pix_fmt
                if codec == "libx264":
                    stream.options = {"preset": "ultrafast", "crf": "20"}
                if time_base is not None:
                    stream.codec_context.time_base = time_base
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = pts[k] if pts is not None else k
            frame.time_base = time_base or 1 / rate
            container.mux(stream.encode(frame))
        assert stream is not None
        container.mux(stream.encode())
    return path


def write_sound(path: Path, codec: str, *, cover: bool = False) -> Path:
    """One second of silence, with a cover picture on request."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream(codec, rate=44100)
        picture = None
        if cover:
            picture = container.add_stream("png", rate=1)
            picture.width = picture.height = 64
            picture.pix_fmt = "rgb24"
            picture.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16p", layout="mono")
        frame.sample_rate = 44100
        for k in range(38):
            frame.pts = k * 1152
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
        if picture is not None:
            art = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
            container.mux(picture.encode(art))
            container.mux(picture.encode())
    return path


def texture(seed: int, width: int = 400, height: int = 240) -> Rgb:
    """Discs on a ground, each seed with its own colours."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
    for _ in range(40):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(picture, centre, int(rng.integers(6, 45)), [int(c) for c in rng.integers(0, 256, 3)], -1)
    return picture


def pan(seed: int, n: int, fps: float, *, speed: float = 40, held: float | None = None, size=(192, 108)) -> list[Rgb]:
    """``n`` frames of a camera that sweeps over a texture at ``speed`` pixels a second, with a moving ball.

    ``held``: the frame rate of the source inside; frames of ``fps`` repeat it, as in a render of slower material.
    """
    ground, (width, height) = texture(seed), size
    room = ground.shape[1] - width
    out = []
    for k in range(n):
        time = k / fps
        if held:
            time = np.floor(time * held + 1e-6) / held
        x = room - abs((speed * time) % (2 * room) - room)
        picture = ground[40 : 40 + height, int(x) : int(x) + width].copy()
        ball = (int(width * (0.5 + 0.35 * np.sin(3 * time))), int(height * (0.5 + 0.3 * np.cos(2 * time))))
        cv2.circle(picture, ball, height // 8, (250, 250, 250), -1)
        out.append(picture)
    return out


def rotate_header(path: Path, degrees: int) -> Path:
    """Writes the display matrix for ``degrees`` clockwise into the video track of an MP4."""
    one = 1 << 16
    matrix = {90: (0, one, -one, 0), 180: (-one, 0, 0, -one), 270: (0, -one, one, 0)}[degrees]
    a, b, c, d = matrix
    rows = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], ">i4").tobytes()
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8  # version 0: flags, times and ids, reserved, layer to volume
    data[start : start + 36] = rows
    path.write_bytes(data)
    return path
