"""Alignment: the lag's error on stems of real songs, drift, songs that do not belong together, time and memory.

The stems are derived from the sample songs (a separator's or a mixer's are not free to pass on): the same mix twice,
harmonic and percussive parts, two bands that overlap, left and right, and two harder kinds that are reported apart.
"""

from __future__ import annotations

import sys
import tempfile
import wave
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Figure, cpu_seconds, peak_rss_mb, write
from pipelines.mastering.alignment import Alignment, align, align_samples
from pipelines.media.audio import decode
from tests.audio.generated import drums

RATE = 22_050
MEDIA = Path(__file__).parent.parent / "sample" / "media"
EASY = ("copy", "hpss", "bands", "left_right")
SONGS = ("vibe_ace.ogg", "lets_go_fishin.ogg", "hungarian_dance_5.ogg", "big_buck_bunny_0_30.webm")
LAGS = (-10.0, -3.2171, -0.0113, 0.0, 0.7317, 10.0)  # s
NOISES = (None, 0.0)  # dB of both stems over noise of their own
Sound = NDArray[np.float32]
Pair = tuple[Sound, Sound]


def load(name: str) -> tuple[Sound, Sound]:
    """(left, right) at 22,050 Hz."""
    from scipy.signal import resample_poly

    audio = decode(MEDIA / name)
    left, right = (resample_poly(c, 1, audio.sample_rate // RATE).astype(np.float32) for c in audio.samples[:2])
    return left, right


def stems(left: Sound, right: Sound) -> dict[str, Pair]:
    """Pairs (instrumental, vocal) that lie at lag 0."""
    import librosa
    from scipy.signal import butter, sosfilt

    mix = (left + right) / 2
    low, high = (
        sosfilt(butter(4, 800, kind, fs=RATE, output="sos"), mix).astype(np.float32) for kind in ("low", "high")
    )
    spectrum, hz = np.fft.rfft(mix), np.fft.rfftfreq(len(mix), 1 / RATE)
    below, above = (
        np.fft.irfft(np.where(keep, spectrum, 0), len(mix)).astype(np.float32) for keep in (hz < 800, hz >= 800)
    )
    return {
        "copy": (mix, mix),
        "hpss": librosa.effects.hpss(mix),
        "bands": (low, high),
        "left_right": (left, right),
        "mid_side": (mix, (left - right) / 2),
        "apart": (below, above),
    }


def noisy(sound: Sound, snr_db: float | None, seed: int) -> Sound:
    if snr_db is None:
        return sound
    noise = np.random.default_rng(seed).standard_normal(len(sound), dtype=np.float32)
    return sound + noise * np.float32(sound.std() * 10 ** (-snr_db / 20))


def shifted(pair: Pair, lag: float) -> tuple[Sound, Sound, float]:
    """The pair with what comes first cut away from one stem, and the lag to whole samples."""
    inst, vocal = pair
    k = round(abs(lag) * RATE)
    return (inst, vocal[k:], k / RATE) if lag >= 0 else (inst[k:], vocal, -k / RATE)


def drifting(sound: Sound, ppm: float) -> Sound:
    """What a recorder whose clock is ``ppm`` slow makes of it: sample t is the sound at t * (1 + ppm * 1e-6)."""
    at = np.arange(int((len(sound) - 40) / (1 + abs(ppm) * 1e-6))) * (1 + ppm * 1e-6)
    whole = at.astype(np.int64)
    part = at - whole
    out = np.zeros(len(at))
    for k in range(-15, 17):
        near = np.clip(whole + k, 0, len(sound) - 1)
        out += sound[near] * np.sinc(part - k) * np.cos(np.pi * (part - k) / 34) ** 2
    return out.astype(np.float32)


def related(songs: dict[str, dict[str, Pair]]) -> Iterator[tuple[str, float | None, float, Alignment]]:
    """(kind, noise, error in ms, alignment) over songs, kinds, lags and noises."""
    for seed, (name, pairs) in enumerate(songs.items()):
        for kind, pair in pairs.items():
            for lag in LAGS if kind in EASY else LAGS[1:4:2]:
                for snr in NOISES:
                    inst, vocal, true = shifted(pair, lag)
                    found = align_samples(noisy(inst, snr, seed), noisy(vocal, snr, seed + 100), RATE)
                    error = abs(found.lag_s - true) * 1e3
                    if error > 1 or found.verdict == "fail":
                        print(
                            f"  {name} {kind} lag {lag} noise {snr}: {error:.2f} ms, {found.verdict}", file=sys.stderr
                        )
                    yield kind, snr, error, found


def unrelated(songs: dict[str, dict[str, Pair]]) -> Iterator[tuple[str, Alignment]]:
    rng = np.random.default_rng(1)
    mixes = {name: pairs["copy"][0] for name, pairs in songs.items()}
    for a, b in permutations(mixes, 2):
        for snr in (None, 0.0):
            yield f"{a} {b} {snr}", align_samples(noisy(mixes[a], snr, 1), noisy(mixes[b], snr, 2), RATE)
        for kind in ("hpss", "left_right"):
            yield f"{a} {b} {kind}", align_samples(songs[a][kind][0], songs[b][kind][1], RATE)
    for name in ("lets_go_fishin.ogg", "hungarian_dance_5.ogg"):  # other passages of the same song
        half = len(mixes[name]) // 2
        yield f"{name} halves", align_samples(mixes[name][:half], mixes[name][half + 11 * RATE :], RATE)
    for name, mix in mixes.items():
        yield f"{name} noise", align_samples(mix, rng.standard_normal(len(mix), dtype=np.float32) * 0.1, RATE)
    for bpm in (90.0, 120.0, 140.0):  # other songs of exactly the same tempo
        one = drums(bpm, seed=1, jitter=0.003, seconds=40, sample_rate=RATE).samples
        two = drums(bpm, seed=2, jitter=0.003, seconds=40, sample_rate=RATE, chords=False).samples
        yield f"drums {bpm}", align_samples(one, two, RATE)


def _accuracy(songs: dict[str, dict[str, Pair]]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    found = list(related(songs))
    for kind in (*EASY, "mid_side", "apart"):
        for snr in NOISES:
            errors = [e for k, s, e, a in found if (k, s) == (kind, snr)]
            told = [e for k, s, e, a in found if (k, s) == (kind, snr) and a.verdict != "fail"]
            noise = "no_noise" if snr is None else f"{snr:.0f}_db"
            target = 1.0 if kind in EASY else None
            note = f"largest over {len(told)} of {len(errors)} pairs; the others were judged fail"
            figures[f"error_{kind}_{noise}"] = Figure(max(told, default=float("nan")), "ms", at_most=target, note=note)
    mine = [(e, a) for k, _, e, a in found if k in EASY]
    note = f"{len(mine)} pairs: 4 songs, 4 kinds of stems, 6 lags, without noise and at 0 dB"
    figures["error_median"] = Figure(float(np.median([e for e, _ in mine])), "ms", note=note)
    figures["within_1_ms"] = Figure(float(np.mean([e <= 1 for e, _ in mine])), "share", at_least=1, note=note)
    figures["judged_fail_though_right"] = Figure(
        float(np.mean([a.verdict == "fail" for _, a in mine])), "share", at_most=0, note=note
    )
    wrong = [a for _, _, e, a in found if e > 5 and a.verdict == "ok"]
    figures["wrong_but_ok"] = Figure(len(wrong), "pairs", at_most=0, note=f"over 5 ms off, of all {len(found)}")
    figures["drift_where_none_is"] = Figure(
        max(abs(a.drift_ppm) for _, a in mine), "ppm", at_most=10, note="the largest found in stems without drift"
    )
    return figures


def _drift(songs: dict[str, dict[str, Pair]]) -> dict[str, Figure]:
    errors: dict[float | None, list[float]] = {None: [], 0.0: []}
    lags = []
    for pairs in songs.values():
        for kind in ("copy", "hpss"):
            inst, vocal = pairs[kind]
            for ppm in (50.0, -50.0):
                for snr in errors:
                    found = align_samples(noisy(inst, snr, 1), noisy(drifting(vocal, ppm), snr, 2), RATE)
                    errors[snr].append(abs(found.drift_ppm - ppm))
                    lags.append(abs(found.lag_s) * 1e3)
    return {
        "drift_error_no_noise": Figure(max(errors[None]), "ppm", at_most=10, note="of +-50 ppm; songs of 30 to 133 s"),
        "drift_error_0_db": Figure(max(errors[0.0]), "ppm", note="the same with noise as loud as the stems"),
        "drift_detected_0_db": Figure(
            float(np.mean([e < 25 for e in errors[0.0]])), "share", at_least=0.8, note="within half of it"
        ),
        "error_of_drifting": Figure(max(lags), "ms", at_most=1, note="of the lag at the vocal's start"),
    }


def _unrelated(songs: dict[str, dict[str, Pair]]) -> dict[str, Figure]:
    judged = dict(unrelated(songs))
    for name, found in judged.items():
        if found.verdict != "fail":
            print(f"  {name}: {found.verdict} {found.confidence:.2f} {found.reasons}", file=sys.stderr)
    note = f"{len(judged)} pairs: other songs, their stems, other passages, noise, drums of the same tempo"
    return {
        "unrelated_judged_fail": Figure(
            float(np.mean([a.verdict == "fail" for a in judged.values()])), "share", at_least=1, note=note
        ),
        "unrelated_confidence": Figure(max(a.confidence for a in judged.values()), "0..1", note="the highest"),
    }


def _cost() -> dict[str, Figure]:
    song = MEDIA / "lets_go_fishin.ogg"
    align(song, song)
    seconds = min(cpu_seconds(lambda: align(song, song)) for _ in range(3))
    minutes = decode(song).duration / 60
    decoding = min(cpu_seconds(lambda: [decode(song), decode(song)]) for _ in range(3))
    figures = {
        "cpu_per_minute": Figure(
            seconds / minutes, "s", at_most=1, note="both stems from Ogg Vorbis, a minute of the song, one thread"
        ),
        "cpu_per_minute_decoding": Figure(decoding / minutes, "s", note="of which decoding both"),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.wav"
        rng = np.random.default_rng(0)
        with wave.open(str(path), "wb") as out:
            out.setnchannels(1), out.setsampwidth(2), out.setframerate(16_000)
            for _ in range(60):
                out.writeframes((3000 * rng.standard_normal(60 * 16_000)).astype("<i2").tobytes())
        code = "import sys\nfrom pipelines.mastering.alignment import align\nalign(sys.argv[1], sys.argv[1])"
        figures["memory_of_an_hour"] = Figure(
            peak_rss_mb(code, str(path)), "MB", at_most=1200, note="peak of a process that aligns two stems of an hour"
        )
    return figures


def run() -> dict[str, Figure]:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        songs = {name: stems(*load(name)) for name in SONGS}
        return {**_accuracy(songs), **_drift(songs), **_unrelated(songs), **_cost()}


if __name__ == "__main__":
    import warnings

    warnings.filterwarnings("ignore")
    results = run()
    for name, figure in results.items():
        print(f"{name}: {figure.value:.3f} {figure.unit}  {'' if figure.met else 'NOT MET'}")
    write("alignment", results)
