"""Video analysis: CPU against plain decoding and against one pass per analyser, memory, and the shots it finds."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from benchmarks.measure import Figure, cpu_ratio, peak_rss_mb, write
from pipelines.media.frames import THREADS
from pipelines.video.analysers import built_in
from pipelines.video.analysis import analyse
from pipelines.video.shots import boundaries_of

MEDIA = Path(__file__).parent.parent / "sample" / "media"
BUNNY = MEDIA / "big_buck_bunny_0_30.webm"
SMALL = ("big_buck_bunny_5s.mp4", "car-detection.mp4", "one-by-one-person-detection.mp4")
CUTS = [283, 376, 551]
ANALYSE = "import sys\nfrom pipelines.video.analysis import analyse\nanalyse(sys.argv[1])"


def decode(path: Path) -> None:
    """Every frame by PyAV and nothing else, with as many threads as the product uses; loop filter as it comes."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = THREADS
        for _ in container.decode(stream):
            pass


def pass_per_analyser(path: Path) -> None:
    for analyser in built_in():
        analyse(path, analysers=[analyser])


def looped(path: Path, times: int, out: Path) -> Path:
    """The clip's packets over and over, without encoding again."""
    with av.open(str(path)) as source, av.open(str(out), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        packets = [p for p in source.demux(stream) if p.dts is not None]
        step = max(p.dts for p in packets) + packets[1].dts - packets[0].dts
        for k in range(times):
            source.seek(0, stream=stream)
            for packet in source.demux(stream):
                if packet.dts is not None:
                    packet.pts, packet.dts = packet.pts + k * step, packet.dts + k * step
                    packet.stream = copy
                    target.mux(packet)
    return out


def noisy_edit(folder: Path) -> tuple[Path, list[int]]:
    """Real shots cut hard at known frames, 25 fps, slower sources held."""
    rng = np.random.default_rng(3)
    cuts, n, pictures = [], 0, []
    for k in range(8):
        with av.open(str(MEDIA / [BUNNY.name, *SMALL][k % 4])) as container:
            stream = container.streams.video[0]
            frames = []
            for frame in container.decode(stream):
                frames.append(frame.reformat(320, 180, format="rgb24").to_ndarray())
                if len(frames) == 60 + 20 * k:
                    break
        rate = float(stream.average_rate or 25)
        length = int(rng.integers(12, 30))
        start = len(frames) - 1 - int(length / 25 * rate) - 1
        pictures += [frames[start + int(i / 25 * rate)] for i in range(length)]
        n += length
        cuts.append(n)
    path = folder / "edit.mp4"
    with av.open(str(path), "w") as target:
        out = target.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        out.width, out.height, out.pix_fmt = 320, 180, "yuv420p"
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            target.mux(out.encode(frame))
        target.mux(out.encode())
    return path, cuts[:-1]


def run() -> dict[str, Figure]:
    figures = {
        "one_pass_over_decoding": Figure(
            cpu_ratio(lambda: analyse(BUNNY), lambda: decode(BUNNY), repeats=3),
            "CPU of analyse / CPU of decoding, 1280x720 24 fps VP8",
            at_most=1.6,
        ),
        "pass_per_analyser_over_one_pass": Figure(
            cpu_ratio(lambda: pass_per_analyser(BUNNY), lambda: analyse(BUNNY), repeats=3),
            "CPU of five passes / CPU of one",
            at_least=2.5,
        ),
    }
    for name in SMALL:
        clip = MEDIA / name
        key = "one_pass_over_decoding_" + clip.stem.replace("-", "_")
        ratio = cpu_ratio(lambda clip=clip: analyse(clip), lambda clip=clip: decode(clip), repeats=3)  # type: ignore[misc]
        figures[key] = Figure(ratio, "CPU of analyse / CPU of decoding", at_most=1.6)
    shots = cpu_ratio(lambda: boundaries_of(BUNNY), lambda: decode(BUNNY), repeats=3)
    figures["shots_alone_over_decoding"] = Figure(shots, "CPU of boundaries_of / CPU of decoding")
    with tempfile.TemporaryDirectory() as folder:
        long = looped(BUNNY, 8, Path(folder) / "long.webm")
        short_mb, long_mb = peak_rss_mb(ANALYSE, str(BUNNY)), peak_rss_mb(ANALYSE, str(long))
        note = "peak RSS of a fresh process, imports included"
        figures["peak_memory_30_s"] = Figure(short_mb, "MB", at_most=150, note=note)
        figures["peak_memory_4_min"] = Figure(long_mb, "MB", at_most=150, note=note)
        figures["memory_growth"] = Figure(
            (long_mb - short_mb) / 3.5, "MB a minute of clip", note="a few floats a frame"
        )
        edit, cuts = noisy_edit(Path(folder))
        found = boundaries_of(edit).tolist()
    exact = boundaries_of(BUNNY).tolist() == CUTS
    figures["hand_checked_cuts_exact"] = Figure(float(exact), "1 when exactly 283, 376, 551", at_least=1)
    hits = sum(any(abs(cut - f) <= 1 for f in found) for cut in cuts)
    wrong = sum(all(abs(cut - f) > 1 for cut in cuts) for f in found)
    figures["edit_cuts_found"] = Figure(
        hits / len(cuts), "share within one frame", at_least=1, note=f"{len(cuts)} cuts"
    )
    figures["edit_false_cuts"] = Figure(wrong, "false cuts", at_most=0)
    return figures


if __name__ == "__main__":
    results = run()
    for name, figure in results.items():
        print(f"{name:48s} {figure.value:8.3f} {figure.unit} {'met' if figure.met else 'MISSED'}")
    print(write("video", results))
