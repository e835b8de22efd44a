"""Which candidate comes first, and why, in a composer's words.

A rating is a weighted sum of measures (measures.py); the weights here are the house's, to which a composer's own
choices are set off (taste.py). They are rules, not learned: chosen by looking at and comparing arrangements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pipelines.composing.taste import Taste
    from pipelines.composing.wishes import Style

MOST_REASONS = 4
NOTABLE = 0.35  # spreads by which a candidate must lead the next one for it to be said


@dataclass(frozen=True, slots=True)
class Measure:
    """``spread``: about the standard deviation among six candidates for one melody, over the sample's tunes (what is
    heard, where that is next to nothing). ``weight``: of the house's rating, for one spread more. ``most``, ``least``:
    what is said of the candidate that has the most, or the least, of it."""

    spread: float
    weight: float
    most: str | None = None
    least: str | None = None


MEASURES: Mapping[Style, Mapping[str, Measure]] = {
    "chorale": {
        "likelihood": Measure(0.06, 1.0, "most like Bach in the model's eyes"),
        "parallels": Measure(1.0, -1.0),
        "bass_motion": Measure(0.55, -0.2, "boldest bass", "smoothest bass"),
        "inner_motion": Measure(0.25, -0.3, None, "smoothest inner voices"),
        "contrary": Measure(0.07, 0.3, "most contrary motion between the outer voices"),
        "suspensions": Measure(0.3, 0.3, "most suspensions"),
        "passing": Measure(0.6, 0.1, "most movement inside the beats", "calmest inner movement"),
        "variety": Measure(1.1, 0.1, "most varied harmony", "plainest harmony"),
        "tension": Measure(0.03, 0.0, "most sevenths", "purest triads"),
        "colour": Measure(0.015, 0.0, "most chromatic", "stays in the key the most"),
        "spread": Measure(0.5, 0.0, "widest spacing", "closest spacing"),
        "cadence": Measure(0.5, 0.5),
    },
    "pop": {
        "fit": Measure(0.05, 0.8, "its chords fit the melody's strong beats best"),
        "clashes": Measure(0.02, -0.6),
        "bass_motion": Measure(1.1, -0.2, "boldest bass", "smoothest bass"),
        "variety": Measure(1.0, 0.1, "most varied harmony", "plainest harmony"),
        "rhythm": Measure(0.13, -0.1, "harmony moves fastest", "harmony moves slowest"),
        "tension": Measure(0.12, 0.0, "richest chords", "plainest triads"),
        "colour": Measure(0.015, 0.0, "most borrowed notes", "stays in the key the most"),
        "busy": Measure(0.8, 0.0, "busiest accompaniment", "sparsest accompaniment"),
        "usual": Measure(0.27, 0.5, "most familiar progression", "most surprising progression"),
        "suited": Measure(0.4, 0.5),
        "cadence": Measure(0.5, 0.5),
    },
}


def features(style: Style, measures: Mapping[str, float]) -> list[float]:
    """In the order of the style's table, each in its spreads; 0 for a measure that is missing or no number."""
    found = []
    for name, one in MEASURES[style].items():
        value = measures.get(name, 0.0)
        found.append(float(value) / one.spread if np.isfinite(value) else 0.0)
    return found


def rating(style: Style, measures: Mapping[str, float], weights: Mapping[str, float] | None = None) -> float:
    """Higher is better; by the house's weights unless others are given. Ratings of two melodies do not compare."""
    table = MEASURES[style]
    held = [one.weight if weights is None else weights.get(name, one.weight) for name, one in table.items()]
    return float(np.dot(held, features(style, measures)))


def order(style: Style, offered: Sequence[Mapping[str, float]], taste: Taste | None = None) -> list[int]:
    """Indices, the best first; equals stay in the order in which they came."""
    ratings = [rated(style, measures, taste) for measures in offered]
    return sorted(range(len(ratings)), key=lambda i: -ratings[i])


def reasons(style: Style, offered: Sequence[Mapping[str, float]], taste: Taste | None = None) -> list[tuple[str, ...]]:
    """For each candidate what speaks for it or sets it apart, the weightiest first; at least one each."""
    said: list[list[str]] = [[] for _ in offered]
    if taste is not None and taste.knows(style) and len(offered) > 1:
        nearest = max(range(len(offered)), key=lambda i: taste.rating(style, offered[i]))
        said[nearest].append("closest to what you chose before")
    leads: list[tuple[float, int, str]] = []
    for name, one in MEASURES[style].items():
        values = [measures.get(name, 0.0) / one.spread for measures in offered]
        for phrase, sign in ((one.most, 1.0), (one.least, -1.0)):
            signed = sorted(((sign * value, i) for i, value in enumerate(values)), reverse=True)
            if phrase and len(signed) > 1 and signed[0][0] - signed[1][0] > NOTABLE:
                leads.append((signed[0][0] - signed[1][0], signed[0][1], phrase))
    for _, index, phrase in sorted(leads, key=lambda lead: -lead[0]):
        said[index].append(phrase)
    return [
        tuple([*leading[: MOST_REASONS - 1], *_facts(style, measures)][:MOST_REASONS])
        for leading, measures in zip(said, offered, strict=True)
    ]


def rated(style: Style, measures: Mapping[str, float], taste: Taste | None) -> float:
    """By a composer's taste if there is one, else by the house."""
    return rating(style, measures) if taste is None else taste.rating(style, measures)


def _facts(style: Style, measures: Mapping[str, float]) -> list[str]:
    """What holds of it whatever the others are."""
    beats = measures.get("beats", 0.0)
    if style == "chorale":
        clean = measures.get("parallels", 0.0) == 0
        held = round(measures.get("suspensions", 0.0) * beats / 16)
        facts = [f"{held} suspension{'s' if held != 1 else ''}"] if held else []
        facts.insert(0, "no parallel fifths or octaves" if clean else "some parallel fifths or octaves")
        return [*facts, *(["ends on the tonic"] if measures.get("cadence") else [])]
    share = round(100 * measures.get("fit", 0.0))
    facts = [f"{share} % of the melody's strong beats are chord tones"]
    if measures.get("clashes", 0.0) == 0:
        facts.append("nothing rubs against the melody")
    return [*facts, *(["ends on the tonic"] if measures.get("cadence") else [])]
