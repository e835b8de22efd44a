"""Sound: the feature vector against librosa, a pass over a file against decoding it, and how exact the beat is."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Figure, cpu_ratio, cpu_seconds, write
from pipelines.audio import features, loudness
from pipelines.audio.spectrum import Spectrum
from pipelines.media.audio import decode
from tests.audio.generated import drums
from tests.media import soundfiles

RATE, SECONDS = 48_000, 60
SONG = Path(__file__).parent.parent / "sample" / "media" / "vibe_ace.ogg"


def clip() -> NDArray[np.float32]:
    """[2, 2,880,000]: a minute of a real song, taken to be at 48 kHz."""
    samples = decode(SONG).samples
    return np.ascontiguousarray(np.tile(samples, 2)[:, : RATE * SECONDS])


def by_librosa(mono: NDArray[np.float32], *, loud: bool) -> Callable[[], None]:
    import librosa
    import pyloudnorm

    def call() -> None:
        mel = librosa.power_to_db(librosa.feature.melspectrogram(y=mono, sr=RATE, n_mels=64))
        series = [
            librosa.feature.rms(y=mono),
            librosa.feature.zero_crossing_rate(y=mono),
            librosa.feature.spectral_centroid(y=mono, sr=RATE),
            librosa.feature.spectral_rolloff(y=mono, sr=RATE),
            librosa.onset.onset_strength(y=mono, sr=RATE),
        ]
        for values in [mel, *series]:
            values.mean(axis=-1), values.std(axis=-1)
        if loud:
            librosa.feature.chroma_stft(y=mono, sr=RATE, tuning=0.0)
            meter = pyloudnorm.Meter(RATE)
            meter.integrated_loudness(mono), meter.loudness_range(mono)

    return call


def spectral_part(mono: NDArray[np.float32]) -> None:
    """The 138 dimensions that librosa has, without loudness."""
    spectrum = Spectrum(RATE)
    spectrum.push(mono)
    frames = spectrum.finish()
    mel_db = frames.mel_db
    for values in (mel_db, frames.rms, frames.zero_crossings, frames.centroid, frames.rolloff, features.flux(mel_db)):
        values.mean(axis=0), values.std(axis=0)


def decode_and_bare_rfft(path: Path) -> None:
    """What the whole pass is held against: the samples, and one transform of every frame of their mean."""
    from scipy.fft import rfft

    mono = np.pad(decode(path).mono, 1024)
    frames = np.lib.stride_tricks.sliding_window_view(mono, 2048)[::512]
    for start in range(0, len(frames), 128):
        rfft(frames[start : start + 128], axis=1)


def memory_above_samples() -> float:
    """MB by which the vector of the clip raises the peak of a fresh process that holds its samples.

    VmHWM begins anew with a process's program, where ``ru_maxrss`` begins with its parent's size.
    """
    code = """
import re, sys
import numpy as np
from pathlib import Path
from pipelines.audio.features import vectorize
samples = np.random.default_rng(0).random((2, 2_880_000), dtype=np.float32)
vectorize(samples[:, :100], 48000)
def peak(): return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before = peak()
vectorize(samples, 48000)
print(peak() - before)
"""
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def tempo_errors() -> tuple[float, float]:
    """Median relative error of the tempo over generated pieces: (ours, librosa's), octaves forgiven."""
    import librosa

    from pipelines.audio.beats import track
    from pipelines.audio.onsets import envelope

    ours, theirs = [], []
    for i, bpm in enumerate(np.linspace(70, 180, 8)):
        piece = drums(float(bpm), seed=i, jitter=0.004, seconds=25, sample_rate=22_050)
        spectrum = Spectrum(piece.sample_rate)
        spectrum.push(piece.samples)
        frames = spectrum.finish()
        for found, errors in (
            (track(frames, envelope(frames)).bpm, ours),
            (float(np.ravel(librosa.beat.beat_track(y=piece.samples, sr=piece.sample_rate)[0])[0]), theirs),
        ):
            errors.append(min(abs(found * k / bpm - 1) for k in (0.5, 1, 2)))
    return float(np.median(ours)), float(np.median(theirs))


def run() -> dict[str, Figure]:
    from threadpoolctl import threadpool_limits

    # OpenBLAS threads spin for up to 30 ms after a product, on the bill of whoever is measured next.
    with threadpool_limits(1):
        return _run()


def _run() -> dict[str, Figure]:
    samples = clip()
    mono = np.ascontiguousarray(samples.mean(axis=0, dtype=np.float32))
    figures: dict[str, Figure] = {}

    ratio = 1 / cpu_ratio(lambda: spectral_part(mono), by_librosa(mono, loud=False), repeats=9)
    note = "the 138 dimensions that librosa has: log-mel, RMS, ZCR, centroid, rolloff, flux"
    figures["features_librosa_over_ours"] = Figure(ratio, "x", at_least=8, note=note)
    ratio = 1 / cpu_ratio(lambda: features.vectorize(mono, RATE), by_librosa(mono, loud=True), repeats=9)
    note = "all 164 dimensions; librosa with chroma, and pyloudnorm's loudness (it has no true peak)"
    figures["vector_librosa_and_pyloudnorm_over_ours"] = Figure(ratio, "x", at_least=8, note=note)
    figures["memory_above_samples"] = Figure(memory_above_samples(), "MB", at_most=20)

    with tempfile.TemporaryDirectory() as folder:
        for codec in ("pcm_s16le", "pcm_f32le"):
            path = soundfiles.write(Path(folder) / f"{codec}.wav", samples, RATE, codec=codec)
            ratio = cpu_ratio(lambda path=path: features.extract(path), lambda path=path: decode_and_bare_rfft(path))
            note = f"decode, features and loudness of a stereo minute ({codec}) over its decode and one bare rfft pass"
            figures[f"file_over_decode_and_rfft_{codec}"] = Figure(ratio, "x", at_most=3, note=note)

    meter = min(cpu_seconds(lambda: loudness.measure(samples, RATE)) for _ in range(3))
    figures["loudness_stereo_minute"] = Figure(
        meter * 1e3, "ms", note="integrated, range, momentary, short-term, true peak"
    )
    ours, theirs = tempo_errors()
    figures["tempo_error"] = Figure(ours * 100, "%", at_most=0.2, note="median over 8 generated pieces, 70 to 180 BPM")
    figures["tempo_error_librosa"] = Figure(
        theirs * 100, "%", note="librosa.beat.beat_track on the same, octaves forgiven"
    )
    return figures


if __name__ == "__main__":
    import warnings

    warnings.filterwarnings("ignore")
    results = run()
    for name, figure in results.items():
        print(f"{name}: {figure.value:.3f} {figure.unit}  {'' if figure.met else 'NOT MET'}")
    write("audio", results)
