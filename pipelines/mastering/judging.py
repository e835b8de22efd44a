"""What two witnesses are worth: the evidence as one vector, a confidence by formula, and ok, warn or fail in words.

The witnesses are matching.py (sound that both stems hold) and warping.py (music they make together). A trained model
over `EVIDENCE` (task ``align_conf``) may replace the formula; the reasons stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.mastering.drift import Line
from pipelines.mastering.matching import Matched
from pipelines.mastering.warping import WARP_RATE, Warped

Verdict = Literal["ok", "warn", "fail"]
OK, FAIL = 0.85, 0.3  # confidence from which a pair is ok, and below which it fails
_APART = 0.15  # s that the warping path may lie from the line: its grid is 0.1 s
_TOGETHER = 0.12  # s between rhythm and warping that still name the same lag
_DRIFT = 15.0  # ppm: 3.6 ms in 4 minutes, where doubled consonants begin to be heard
_REPEATS = 0.9  # of the strength at the line, found at another lag: a click, a loop
_RHYTHM = 10.0  # s of sounding vocal from which its rhythm is a witness
_BLURRED = 0.002  # s between arrivals of like strength
_SHORT = 5.0  # s of common sound below which no verdict is better than "warn"

EVIDENCE = (
    "peak",  # log2 of all windows' capped peak, standard deviations
    "margin",  # log2 of peak over the next best lag
    "agreement",  # share of windows within 3 ms of the line
    "windows",  # log2 of their number
    "window_peak",  # log2 of the median window's peak over chance
    "spread",  # ms, of windows about the line
    "response",  # log2 of the impulse response's peak over its median
    "coherence",  # 0..1
    "drift",  # |ppm| / 100
    "warp_straight",  # share of the warping path at one lag
    "warp_gap",  # s between path and line, at most 1
    "warp_gain",  # log2
    "rhythm_peak",  # standard deviations / 10
    "rhythm_margin",  # log2
    "rhythm_gap",  # s between rhythm and line, at most 1
    "overlap",  # log2 of s
)


@dataclass(frozen=True, slots=True)
class Judgement:
    line: Line
    confidence: float
    verdict: Verdict
    reasons: tuple[str, ...]
    evidence: NDArray[np.float32]
    by_rhythm: bool  # the line comes from the rhythm, not from common sound


def judge(matched: Matched, warped: Warped, *, inst_s: float, vocal_s: float, max_lag_s: float) -> Judgement:
    """Weighs both witnesses; ``inst_s`` and ``vocal_s`` are the stems' lengths in s."""
    evidence = _evidence(matched, warped)
    said = dict(zip(EVIDENCE, (float(v) for v in evidence), strict=True))
    sound = _by_sound(said)
    together = abs(warped.lag - warped.rhythm_lag) <= _TOGETHER and warped.straight >= 0.75
    enough = matched.heard * vocal_s >= _RHYTHM
    music = enough and together and warped.rhythm_peak >= 4 and warped.rhythm_margin >= 1.1
    if sound < 0.5 and music:
        strength = min(warped.rhythm_margin - 1.1, 1.0) / 4 + min(warped.rhythm_peak - 4, 10) / 100
        reasons = (
            "the stems share no sound; the lag is that of their rhythm and chords, good to 10 or 20 ms",
            *_warnings(matched, Line(warped.rhythm_lag, 0.0), max_lag_s, said, drifts=False),
        )
        line = Line(warped.rhythm_lag, 0.0)
        return Judgement(line, round(0.4 + strength, 4), "warn", reasons, evidence, True)
    line = matched.line
    against = music and said["rhythm_gap"] > _TOGETHER and said["warp_gap"] > _APART
    confidence = sound * (0.6 if against else 1.0)
    if _repeats(matched):
        confidence = min(confidence, 0.5)
    if matched.overlap < _SHORT:
        confidence = min(confidence, OK - 0.01) * (1.0 if matched.overlap >= 2 else 0.6)
    if confidence < FAIL:
        return Judgement(line, confidence, "fail", _failure(matched, warped, said, inst_s, vocal_s), evidence, False)
    reasons = _warnings(matched, line, max_lag_s, said, drifts=True)
    if against:
        reasons += (f"rhythm and chords point to {warped.rhythm_lag:+.2f} s instead: a repeated passage?",)
    if not reasons and confidence < OK:
        reasons = (f"only {said['agreement']:.0%} of the windows agree on this lag, or faintly: listen to it",)
    if reasons:
        return Judgement(line, confidence, "warn", reasons, evidence, False)
    n = len(matched.windows.times)
    agree = int(matched.windows.agrees.sum())
    return Judgement(line, confidence, "ok", (f"{agree} of {n} windows agree within 3 ms",), evidence, False)


def _repeats(matched: Matched) -> bool:
    return matched.repetition is not None and matched.repetition.share >= _REPEATS


def _by_sound(said: dict[str, float]) -> float:
    """0..1, a logistic formula; its weights were set by hand.

    0.5 lies between what songs that have nothing to do with each other reach (benchmarks/bench_alignment.py) and what
    separated stems do in noise as loud as themselves.
    """
    logit = (
        -2.0
        + 2.5 * np.clip(said["response"] - np.log2(5.0), -1, 3)
        + 4.0 * (said["agreement"] - 0.4)
        + 1.5 * np.clip(said["peak"] - np.log2(7.0), -1, 2)
        + 1.0 * np.clip(said["margin"] - np.log2(1.5), -1, 2)
        + 0.5 * (said["warp_gap"] <= _APART and said["warp_straight"] >= 0.75)
        + 0.5 * (said["rhythm_gap"] <= 0.02)
    )
    return float(1 / (1 + np.exp(-logit)))


def _evidence(matched: Matched, warped: Warped) -> NDArray[np.float32]:
    times = warped.start + (np.arange(len(warped.lags)) + 0.5) / WARP_RATE
    apart = warped.lags - matched.line.lag - matched.line.slope * times
    gap = abs(float(np.nanmedian(apart))) if np.isfinite(apart).any() else 1.0
    at = float(times[len(times) // 2]) if len(times) else 0.0
    peaks = matched.windows.peaks
    values = [
        np.log2(max(matched.peak, 0.5)),
        np.log2(np.clip(matched.margin, 0.5, 1024)),
        matched.windows.agrees.mean() if len(peaks) else 0.0,
        np.log2(1 + len(peaks)),
        np.log2(max(float(np.median(peaks)), 0.5)) if len(peaks) else 0.0,
        min(matched.fit.spread * 1e3, 40.0),
        np.log2(max(matched.response_peak, 1.0)),
        matched.coherence,
        abs(matched.line.slope) * 1e4,
        warped.straight,
        min(gap, 1.0),
        np.log2(max(warped.gain, 0.5)),
        warped.rhythm_peak / 10,
        np.log2(np.clip(warped.rhythm_margin, 0.5, 1024)),
        min(abs(warped.rhythm_lag - matched.line.at(at)), 1.0),
        np.log2(1 + matched.overlap),
    ]
    return np.nan_to_num(np.array(values, np.float32), nan=0.0, posinf=10.0, neginf=-10.0)


def _warnings(
    matched: Matched, line: Line, max_lag_s: float, said: dict[str, float], *, drifts: bool
) -> tuple[str, ...]:
    out = []
    ppm = line.slope * 1e6
    if drifts and abs(ppm) >= _DRIFT:
        out.append(f"the clocks drift by {ppm:+.0f} ppm, {abs(ppm) * 60e-3:.1f} ms a minute: correct it when mixing")
    if drifts and matched.arrivals > _BLURRED:
        several = f"the vocal arrives several times within {matched.arrivals * 1e3:.0f} ms"
        out.append(f"{several} (reverb, doubling, widening): listen whether the first was taken")
    again = matched.repetition
    if drifts and again is not None and _repeats(matched):
        out.append(f"a lag of {again.lag:+.3f} s fits as well: the sound repeats itself exactly")
    stray = matched.stray
    if drifts and stray is not None:
        span = f"{_clock(stray.start)} to {_clock(stray.end)}"
        out.append(f"from {span} the vocal fits at {stray.lag:+.3f} s instead: was one stem cut?")
    if drifts and said["agreement"] < 0.5 and len(matched.windows.times) >= 4:
        out.append(f"only {said['agreement']:.0%} of the windows agree on one lag")
    if matched.overlap < _SHORT:
        out.append(f"only {matched.overlap:.0f} s of the vocal lie within the instrumental")
    if abs(line.lag) > max_lag_s - 0.05:
        out.append(f"the lag lies at the edge of what was searched, {max_lag_s:g} s")
    return tuple(out)


def _failure(
    matched: Matched, warped: Warped, said: dict[str, float], inst_s: float, vocal_s: float
) -> tuple[str, ...]:
    n = len(matched.windows.times)
    out = [
        f"no common sound: {int(matched.windows.agrees.sum())} of {n} windows agree on a lag, as chance would have it"
    ]
    if warped.straight < 0.75:
        out.append(f"their chords and rhythm follow no common time ({warped.straight:.0%} of it at one lag)")
    else:
        out.append("their rhythms fit no lag clearly better than another")
    if min(inst_s, vocal_s) < 20:
        out.append(f"{min(inst_s, vocal_s):.0f} s are little to tell by: give longer stems")
    elif matched.heard < 0.2:
        out.append(f"the vocal sounds in only {matched.heard:.0%} of its time")
    else:
        out.append("are they from the same song, and within the lag that was searched?")
    return tuple(out)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(round(seconds), 0), 60)
    return f"{minutes}:{rest:02d}"
