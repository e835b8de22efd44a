"""Mastering: the loudness meter on EBU's cases, every sample file through every preset, speed and memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Figure, cpu_seconds, peak_rss_mb, write
from pipelines.audio.loudness import measure
from pipelines.errors import BadInput
from pipelines.mastering import mastering, presets
from pipelines.mastering.previews import preview
from pipelines.media.audio import decode
from tests.media import soundfiles

RATE = 48_000
MEDIA = Path(__file__).parent.parent / "sample" / "media"
SONG = MEDIA / "vibe_ace.ogg"
LOSSY = (".m4a", ".mp3", ".ogg")


def tones(*parts: tuple[float, float], rate: int = RATE) -> NDArray[np.float32]:
    """Stereo 1 kHz sine of (dBFS, seconds) one after another, as Tech 3341 and 3342 define their signals."""
    level = np.concatenate([np.full(round(seconds * rate), 10 ** (dbfs / 20)) for dbfs, seconds in parts])
    wave = level * np.sin(2 * np.pi * 1000 * np.arange(len(level)) / rate)
    return np.tile(wave.astype(np.float32), (2, 1))


def meter_errors() -> dict[str, tuple[float, float]]:
    """(lowest, highest) error of the meter over the generated cases: integrated in LU, range in LU, true peak in dB."""
    integrated = [
        ([(-23, 20)], -23.0),
        ([(-33, 20)], -33.0),
        ([(-36, 10), (-23, 60), (-36, 10)], -23.0),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
    ]
    ranges = [([-20, -30], 10.0), ([-20, -15], 5.0), ([-40, -20], 20.0), ([-50, -35, -20, -35, -50], 15.0)]
    first = [
        measure(tones(*parts, rate=rate), rate, true_peak=False).integrated - expected
        for parts, expected in integrated
        for rate in (48_000, 44_100)
    ]
    surround = [-28, -28, -24, -6, -30, -30]  # case 6; the LFE does not count
    first.append(measure(np.concatenate([tones((db, 20))[:1] for db in surround]), RATE).integrated + 23)
    second = [
        measure(tones(*[(level, 20.0) for level in levels]), RATE, true_peak=False).range - expected
        for levels, expected in ranges
    ]
    third = []
    for part, degrees, amplitude, dbtp in (
        (4, 0, 0.5, -6),
        (4, 45, 0.5, -6),
        (6, 60, 0.5, -6),
        (8, 67.5, 0.5, -6),
        (4, 45, 1.41, 3),
    ):
        n = np.arange(RATE)
        fade = np.clip(np.minimum(n, n[::-1]) / (0.05 * RATE), 0, 1)
        wave = amplitude * fade * np.sin(2 * np.pi * n / part + np.radians(degrees))
        third.append(measure(wave.astype(np.float32)[None, :], RATE).true_peak - dbtp)
    return {name: (min(errors), max(errors)) for name, errors in (("i", first), ("lra", second), ("tp", third))}


def sample_files() -> list[Path]:
    """Every file of the sample library that has sound in it."""
    found = []
    for path in sorted(MEDIA.iterdir()):
        try:
            if np.isfinite(mastering.measure_file(path).integrated):
                found.append(path)
        except BadInput:
            continue
    return found


def masters(folder: Path, files: list[Path]) -> dict[str, Figure]:
    """Every file through every preset as 24-bit WAV, and through one preset in every lossy format, measured as written
    by the product's meter and by FFmpeg's."""
    off, over, ours_over, gains = [], [], [], []
    for path in files:
        for name in presets.names():
            made = mastering.master(path, folder / "out.wav", name)
            lufs, peak = by_ffmpeg(made.path)
            off += [abs(made.after.lufs - made.preset.target_lufs), abs(lufs - made.preset.target_lufs)]
            ours_over.append(made.after.true_peak_dbtp - made.preset.ceiling_dbtp)
            over.append(peak - made.preset.ceiling_dbtp)
            gains.append(made.gain_db)
    lossy_off, lossy_over = [], []
    for path in files:
        for ending in LOSSY:
            try:
                made = mastering.master(path, folder / f"out{ending}", "loud")
            except BadInput:  # six channels in MP3
                continue
            lossy_off.append(abs(made.after.lufs - made.preset.target_lufs))
            lossy_over.append(made.after.true_peak_dbtp - made.preset.ceiling_dbtp)
    n = len(files) * len(presets.names())
    note = f"{len(files)} sample files x {len(presets.names())} presets = {n} masters"
    note += f", gains {min(gains):.0f} to {max(gains):.0f} dB"
    return {
        "loudness_off_target_max": Figure(
            max(off), "LU", at_most=0.2, note=f"{note}; the worse of our meter and FFmpeg's"
        ),
        "loudness_off_target_mean": Figure(float(np.mean(off)), "LU"),
        "true_peak_over_ceiling_max": Figure(max(ours_over), "dB", at_most=0.0, note="of the written WAV"),
        "true_peak_over_ceiling_max_ffmpeg": Figure(max(over), "dB", at_most=0.05, note="the same by FFmpeg's ebur128"),
        "lossy_loudness_off_target_max": Figure(
            max(lossy_off), "LU", at_most=0.2, note=f"{len(lossy_off)} files: AAC, MP3, Opus"
        ),
        "lossy_true_peak_over_ceiling_max": Figure(max(lossy_over), "dB", at_most=0.0, note="decoded again"),
    }


def by_ffmpeg(path: Path) -> tuple[float, float]:
    """(LUFS, dBTP) by FFmpeg's ebur128 filter, a meter that shares nothing with ours."""
    import av

    graph, last, peaks = av.filter.Graph(), 0.0, [0.0]
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        source, sink = graph.add_abuffer(template=stream), graph.add("abuffersink")
        meter = graph.add("ebur128", "metadata=1:peak=true")
        source.link_to(meter)
        meter.link_to(sink)
        graph.configure()
        for frame in (*container.decode(stream), None):
            graph.push(frame)
            while True:
                try:
                    out = graph.pull()
                except (av.error.BlockingIOError, av.error.EOFError):
                    break
                last = float(out.metadata.get("lavfi.r128.I", last))
                peaks += [float(v) for key, v in out.metadata.items() if "true_peaks_ch" in key]
    return last, float(20 * np.log10(max(peaks)))


def speed(folder: Path) -> dict[str, Figure]:
    """Multiples of real time, in CPU seconds of one core, for a stereo minute at 48 kHz."""
    audio = np.ascontiguousarray(np.tile(decode(SONG).samples, 2)[:, : RATE * 60])
    source = soundfiles.write(folder / "minute.wav", audio, RATE, codec="pcm_s16le")
    figures = {}
    for name in ("streaming", "club"):
        seconds = min(cpu_seconds(lambda name=name: mastering.master(source, folder / "m.wav", name)) for _ in range(3))
        note = "decode, chain, gain found, 24-bit WAV written and measured again"
        figures[f"master_{name}_times_real_time"] = Figure(60 / seconds, "x", at_least=20, note=note)
    seconds = min(cpu_seconds(lambda: mastering.master(source, folder / "m.m4a", "club")) for _ in range(2))
    figures["master_club_aac_times_real_time"] = Figure(
        60 / seconds, "x", note="encoded until the decoded file is low enough"
    )
    seconds = min(cpu_seconds(lambda: preview(source, folder / "p.m4a")) for _ in range(2))
    figures["preview_times_real_time"] = Figure(60 / seconds, "x")
    return figures


MASTER_LONG = """
import sys
from pathlib import Path
from pipelines.mastering.mastering import master
master(Path(sys.argv[1]), Path(sys.argv[1]).with_suffix(".flac"), "loud")
"""


def memory(folder: Path) -> dict[str, Figure]:
    song = decode(SONG).samples
    figures = {}
    for minutes, most in ((1, None), (10, 1500.0)):
        n = minutes * 60 * RATE
        source = folder / f"{minutes}.wav"
        soundfiles.write(source, np.tile(song, n // song.shape[1] + 1)[:, :n], RATE, codec="pcm_s16le")
        figures[f"memory_{minutes}_min"] = Figure(
            peak_rss_mb(MASTER_LONG, str(source)), "MB", at_most=most, note="whole process, stereo, 48 kHz, to FLAC"
        )
    return figures


def run() -> dict[str, Figure]:
    from threadpoolctl import threadpool_limits

    # OpenBLAS threads spin for up to 30 ms after a product, on the bill of whoever is measured next.
    with threadpool_limits(1), tempfile.TemporaryDirectory() as name:
        errors = meter_errors()
        figures = {
            "meter_integrated_error": Figure(
                max(abs(e) for e in errors["i"]), "LU", at_most=0.1, note="EBU Tech 3341 cases 1 to 6, two rates"
            ),
            "meter_range_error": Figure(
                max(abs(e) for e in errors["lra"]), "LU", at_most=1.0, note="EBU Tech 3342 cases 1 to 4"
            ),
            "meter_true_peak_lowest": Figure(errors["tp"][0], "dB", at_least=-0.4, note="EBU Tech 3341 cases 15 to 19"),
            "meter_true_peak_highest": Figure(errors["tp"][1], "dB", at_most=0.2),
        }
        folder = Path(name)
        figures |= speed(folder)
        figures |= memory(folder)
        figures |= masters(folder, sample_files())
    return figures


if __name__ == "__main__":
    import warnings

    warnings.filterwarnings("ignore")
    results = run()
    for key, figure in results.items():
        print(f"{key}: {figure.value:.3f} {figure.unit}  {'' if figure.met else 'NOT MET'}")
    write("mastering", results)
