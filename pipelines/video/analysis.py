"""Everything the product knows about a clip, in one value and from one decode pass.

What is seen in the frames is left to the analysers (shots, motion, light, colour, faces and plugged-in ones).
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.media.frames import FrameInfo, Frames
from pipelines.video import analysers as _analysers
from pipelines.video import colour, faces, motion, shots, tags
from pipelines.video.analysers import Analyser

VERSION = "1"
OWN = ("shots", "motion", "light", "colour", "faces")  # analysers whose results are fields of VideoFeatures


@dataclass(frozen=True, slots=True)
class VideoFeatures:
    """Per frame, per sample (``sample_frames``: a few a second, where a value a frame would waste memory) and per shot.

    A shot boundary is the number of the first frame of the new shot, so frame 0 is none and
    ``n_shots == len(shot_boundaries) + 1``.
    """

    fps: float
    fps_fraction: tuple[int, int]
    n_frames: int
    duration: float  # s
    width: int  # as shown
    height: int
    frame_times: NDArray[np.float64]  # [n_frames], s from the first frame (variable frame rates are kept)
    shot_boundaries: NDArray[np.int64]  # [n_boundaries]
    shot_scores: NDArray[np.float32]  # [n_frames]: boundaries for any threshold come from this, without decoding
    motion: NDArray[np.float32]  # [n_frames], mean optical flow in fractions of the frame's diagonal a second
    brightness: NDArray[np.float32]  # [n_frames], 0..1
    sharpness: NDArray[np.float32]  # [n_frames], 0..1, relative to what is usual
    sample_frames: NDArray[np.int64]  # [n_samples] frame numbers
    histograms: NDArray[np.float32]  # [n_samples, n_bins] HSV, each row sums to 1
    flow_direction: NDArray[np.float32]  # [n_samples, 2] mean flow (x right, y down), diagonal fractions a second
    faces: NDArray[np.float32]  # [n_samples], share of the picture that faces cover
    shot_tags: tuple[tuple[str, ...], ...]  # [n_shots], visual tags in English: "dark", "blue", "fast", "face", ...
    extra: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # what plugged-in analysers found


def analyse(path: str | Path, *, analysers: Sequence[Analyser] | None = None) -> VideoFeatures:
    """Decodes the clip once and shows every frame to each analyser.

    ``analysers`` defaults to all: the built-in ones and those that other packages plug in. Fields whose analyser is
    left out are zero; histograms and samples are empty. Raises BadInput when no frame can be decoded.
    """
    import cv2

    chosen = list(analysers) if analysers is not None else [*_analysers.built_in(), *_analysers.plugged_in()]
    times = array("d")
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # pictures are so small that OpenCV's threads only cost
    try:
        with Frames(path) as frames:
            for analyser in chosen:
                analyser.start(frames.info)
            for frame in frames:
                times.append(frame.time)
                for analyser in chosen:
                    analyser.frame(frame.index, frame.time, frame.picture)
            results = {a.name: a.finish() for a in chosen}
    finally:
        cv2.setNumThreads(threads)
    return _features(frames.info, np.array(times), frames.duration, results)


def version() -> str:
    """VERSION and what is plugged in, for cache keys: another analyser means other ``extra``."""
    plugged = _analysers.signature(_analysers.plugged_in())
    return f"{VERSION}+{plugged}" if plugged else VERSION


def _features(
    info: FrameInfo, times: NDArray[np.float64], duration: float, results: Mapping[str, Mapping[str, NDArray[Any]]]
) -> VideoFeatures:
    n_frames = len(times)
    nothing: Mapping[str, NDArray[Any]] = {}
    none = np.zeros(n_frames, np.float32)
    scores = results.get("shots", nothing).get("scores", none)
    boundaries = shots.detect_shots(scores)
    light: dict[str, NDArray[Any]] = {"brightness": none, "sharpness": none, **results.get("light", nothing)}
    colours: dict[str, NDArray[Any]] = {
        "sample_frames": np.zeros(0, np.int64),
        "histograms": np.zeros((0, colour.N_BINS), np.float32),
        **results.get("colour", nothing),
    }
    speed, vector = none, np.zeros((n_frames, 2), np.float32)
    if "motion" in results:
        speed, vector = motion.per_frame(results["motion"], boundaries, n_frames)
    samples = colours["sample_frames"]
    fps = _rate(info, times, duration)
    features = VideoFeatures(
        fps=float(fps),
        fps_fraction=(fps.numerator, fps.denominator),
        n_frames=n_frames,
        duration=duration,
        width=info.width,
        height=info.height,
        frame_times=times,
        shot_boundaries=boundaries,
        shot_scores=scores,
        motion=speed,
        brightness=light["brightness"],
        sharpness=light["sharpness"],
        sample_frames=samples,
        histograms=colours["histograms"],
        flow_direction=vector[samples],
        faces=faces.at_samples(results.get("faces", nothing), boundaries, samples),
        shot_tags=(),
        extra=_extra(results),
    )
    return replace(features, shot_tags=tags.shot_tags(features, results.get("faces", nothing)))


def _rate(info: FrameInfo, times: NDArray[np.float64], duration: float) -> Fraction:
    """The file's own rate, unless the frames' times contradict it by more than a twentieth."""
    if len(times) > 1 and duration > 0:
        measured = len(times) / duration
        if abs(measured / float(info.fps) - 1) > 0.05:
            return Fraction(measured).limit_denominator(1001)
    return info.fps


def _extra(results: Mapping[str, Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[np.float32]]:
    extra = {}
    for name, found in results.items():
        if name in OWN:
            continue
        for key, value in found.items():
            try:
                extra[f"{name}.{key}"] = np.asarray(value, np.float32)
            except (TypeError, ValueError) as error:
                reason = f"gave {key!r}, which is not an array of numbers"
                raise BadInput(f"analyser {name}", reason, "mend or uninstall the plug-in") from error
    return extra
