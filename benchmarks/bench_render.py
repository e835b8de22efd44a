"""Rendering against one plain encode of the same frames, one changed shot against the whole, and the timelines' share.

The plain encode is what a script would do with PyAV: one process, one encoder, the segments in order, for each a seek
to the key frame before and decoding on. Same sources, filters, encoder settings and song.
"""

from __future__ import annotations

import random
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av

from benchmarks.measure import Figure, write
from pipelines.editing.plan import Edit, Segment, Source
from pipelines.editing.render import render, times_of
from pipelines.editing.timelines import write as write_timelines
from pipelines.media.encoding import Preset, add_picture_stream, encode_sound
from pipelines.media.fitting import Fitter
from pipelines.media.hashing import content_hash
from pipelines.media.probe import probe
from pipelines.media.soundtrack import cut_song
from pipelines.settings import PROJECT

MEDIA = PROJECT / "sample" / "media"
SECONDS = 16
REPEATS = 3


def source(name: str) -> Source:
    info = probe(MEDIA / name)
    film = info.video
    if film is None:
        return Source(str(MEDIA / name), content_hash(MEDIA / name), info.duration)
    fps = (film.fps.numerator, film.fps.denominator)
    frames = round(film.duration * film.fps)
    return Source(str(MEDIA / name), content_hash(MEDIA / name), film.duration, fps, frames, film.width, film.height)


def edit(seconds: int = SECONDS, seed: int = 0) -> Edit:
    """Cuts of half a second to two seconds from all four sample clips, in random order."""
    clips = tuple(source(name) for name in ("big_buck_bunny_0_30.webm", "car-detection.mp4", "big_buck_bunny_5s.mp4"))
    clips += (source("one-by-one-person-detection.mp4"),)
    rng = random.Random(seed)
    rate, segments, at = Fraction(25), [], 0
    while at < seconds * rate:
        length = min(rng.choice((12, 24, 36, 48)), int(seconds * rate) - at)
        clip = rng.choice((0, 0, 1, 1, 2, 3))
        start = rng.uniform(0, clips[clip].duration - 2.5)
        segments.append(Segment(at, at + length, clip, 0, start))
        at += length
    return Edit("dynamic", (25, 1), at, 1280, 720, source("vibe_ace.ogg"), 5.0, clips, tuple(segments), seed, {}, 1.0)


def plain_encode(edit: Edit, out: Path) -> None:
    containers = [av.open(clip.path) for clip in edit.clips]
    fitters = [Fitter(edit.width, edit.height) for _ in edit.clips]
    origins = []
    for container in containers:
        container.streams.video[0].codec_context.thread_count = 1
        origins.append(next(container.decode(video=0)).pts)
    sound = out.with_suffix(".m4a")
    encode_sound(cut_song(Path(edit.music.path), edit.music_start, edit.n_frames / edit.rate), sound, Preset())
    with av.open(str(out), "w", format="mp4", container_options={"movflags": "+faststart"}) as output:
        stream = add_picture_stream(output, edit.width, edit.height, edit.rate, Preset())
        with av.open(str(sound)) as music:
            track = output.add_stream_from_template(music.streams.audio[0])
            number = 0
            for segment in edit.segments:
                container, origin = containers[segment.clip], origins[segment.clip]
                film = container.streams.video[0]
                stamps = [origin + int((t + 1e-3) / film.time_base) for t in times_of(edit, segment)]
                container.seek(stamps[0], stream=film)
                shown = None
                for frame in container.decode(film):
                    while stamps and shown is not None and frame.pts > stamps[0]:
                        fitted = fitters[segment.clip].fit(shown)
                        fitted.pts, fitted.time_base, fitted.pict_type = number, 1 / edit.rate, 0
                        output.mux(stream.encode(fitted))
                        stamps.pop(0)
                        number += 1
                    if not stamps:
                        break
                    shown = frame
            output.mux(stream.encode(None))
            for packet in music.demux(audio=0):
                if packet.size:
                    packet.stream = track
                    output.mux(packet)
    assert number == edit.n_frames, (number, edit.n_frames)


def timed(call: object, *args: object, **options: object) -> tuple[float, float]:
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    call(*args, **options)  # type: ignore[operator]
    return time.process_time() - cpu, time.perf_counter() - wall


def run() -> dict[str, Figure]:
    whole = edit()
    changed = list(whole.segments)
    middle = len(changed) // 2
    changed[middle] = replace(changed[middle], source_time=max(0.0, changed[middle].source_time - 0.4))
    one_changed = replace(whole, segments=tuple(changed))
    cpu, wall, again, lists = [], [], [], []
    frames_a_second = 0.0
    folder = Path(tempfile.mkdtemp(prefix="orimono-bench-"))
    try:
        plain_encode(whole, folder / "warm.mp4")
        for number in range(REPEATS):
            cache, out = folder / f"cache{number}", folder / "ours.mp4"
            direct = timed(plain_encode, whole, folder / "plain.mp4")
            ours = timed(render, whole, out, cache_dir=cache)
            second = timed(render, one_changed, out, cache_dir=cache)
            timelines = timed(write_timelines, whole, folder / "timelines", "edit")
            cpu.append(ours[0] / direct[0])
            wall.append(ours[1] / direct[1])
            again.append(second[0] / ours[0])
            lists.append(timelines[0] / ours[0])
            frames_a_second = max(frames_a_second, whole.n_frames / ours[1])
    finally:
        shutil.rmtree(folder)
    note = f"{whole.n_frames} frames 1280x720, {len(whole.segments)} segments of 4 clips, cold cache"
    return {
        "render_cpu_to_plain_encode": Figure(statistics.median(cpu), "ratio", at_most=1.2, note=note),
        "render_wall_to_plain_encode": Figure(statistics.median(wall), "ratio", note="plain on one core, ours on all"),
        "rerender_one_shot_to_whole": Figure(statistics.median(again), "ratio", at_most=0.3, note="CPU"),
        "timelines_to_render": Figure(statistics.median(lists), "ratio", at_most=0.05, note="all five files, CPU"),
        "render_speed": Figure(frames_a_second, "frames a second", note="wall, best of the runs"),
    }


if __name__ == "__main__":
    print(write("render", run()).read_text())
