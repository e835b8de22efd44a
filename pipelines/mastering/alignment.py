"""Where a vocal stem lies in its instrumental: lag, drift, and how far to believe them.

Two witnesses are heard: matching.py (common sound, to well below a millisecond) and warping.py (common music);
judging.py weighs them, alignment_picture.py draws them. Moving the sound is left to mastering.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.mastering.judging import EVIDENCE, Verdict, judge
from pipelines.mastering.matching import Windows

__all__ = ["EVIDENCE", "VERSION", "Alignment", "align", "align_samples", "picture"]

VERSION = "1"  # raise it when the same stems give another result or evidence


@dataclass(frozen=True, slots=True)
class Alignment:
    """``vocal[t]`` lies at ``inst[t + lag_s + drift_ppm * 1e-6 * t]``, t in s from the start of the vocal's file.

    A positive lag: the vocal's file begins later in the song than the instrumental's, so the vocal is moved right by
    it. A vocal with 3 s of extra silence in front has a lag of -3. ``drift_ppm`` is 0 unless it is told with
    certainty. ``evidence`` [n] belongs to `EVIDENCE` and is always finite.
    """

    lag_s: float
    drift_ppm: float
    confidence: float  # 0..1 that the lag is right to 5 ms
    verdict: Verdict
    reasons: tuple[str, ...]  # at least one sentence
    evidence: NDArray[np.float32]
    windows: Windows  # what each window of the vocal said
    path: NDArray[np.float32]  # [n] s: the warping path's lag, ten a second from path_start; NaN where silent
    path_start: float  # s of the vocal
    inst_s: float  # lengths of the files
    vocal_s: float
    by_rhythm: bool  # no common sound: the lag is the rhythm's, good to 10 or 20 ms


def align(inst: Path | str, vocal: Path | str, *, max_lag_s: float = 10.5, max_hours: float = 4) -> Alignment:
    """Finds the lag of two stems (or a mix and a stem) of one song, within +-``max_lag_s``.

    Any rates and channels. Stems that do not belong together get the verdict ``fail``; their lag means nothing.
    Raises BadInput for a file without sound, silent, shorter than a second or longer than ``max_hours``.
    """
    from pipelines.mastering.listening import hear

    return _align(hear(inst, max_hours=max_hours), hear(vocal, max_hours=max_hours), max_lag_s)


def align_samples(
    inst: NDArray[np.float32], vocal: NDArray[np.float32], sample_rate: int, *, max_lag_s: float = 10.5
) -> Alignment:
    """The same for mono samples [n] in memory, both at ``sample_rate`` Hz."""
    from pipelines.mastering.listening import hear_samples

    there = hear_samples(inst, sample_rate, "the instrumental")
    return _align(there, hear_samples(vocal, sample_rate, "the vocal"), max_lag_s)


def picture(alignment: Alignment, title: str = "") -> bytes:
    """PNG, 1600 x 620: the lag over time that each window gave, the line through them, the path, and the verdict."""
    from pipelines.mastering.alignment_picture import draw

    return draw(alignment, title)


def _align(inst: NDArray[np.float32], vocal: NDArray[np.float32], max_lag_s: float) -> Alignment:
    from pipelines.mastering.gcc import RATE
    from pipelines.mastering.matching import match
    from pipelines.mastering.warping import warp

    if not 0.1 <= max_lag_s <= 120:
        raise BadInput(f"a lag of {max_lag_s:g} s", "is outside what can be searched", "give 0.1 to 120 s")
    matched, warped = match(inst, vocal, max_lag_s), warp(inst, vocal, max_lag_s)
    inst_s, vocal_s = len(inst) / RATE, len(vocal) / RATE
    judged = judge(matched, warped, inst_s=inst_s, vocal_s=vocal_s, max_lag_s=max_lag_s)
    return Alignment(
        lag_s=judged.line.lag,
        drift_ppm=judged.line.slope * 1e6,
        confidence=judged.confidence,
        verdict=judged.verdict,
        reasons=judged.reasons,
        evidence=judged.evidence,
        windows=matched.windows,
        path=warped.lags,
        path_start=warped.start,
        inst_s=inst_s,
        vocal_s=vocal_s,
        by_rhythm=judged.by_rhythm,
    )
