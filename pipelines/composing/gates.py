"""What stands against a harmoniser's release, as sentences with the figures in them. It reads evaluations' JSON alone.

The check that blocks and the report word it from here, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.composing.evaluation import LIVE, NAME, WORDS

SPLIT = "valid"  # what decides; the test split is reported and decides nothing
# Parallel fifths and octaves in 100 chord changes, and the share of sixteenths with crossed voices, that are allowed.
# Bach himself: 1.85, .30 and 2.0 %.
MOST = {"parallels_beats": 2.0, "parallels_eighths": 1.0, "crossing": 0.02}
LEAST_PIECES = 10
_SAID = {
    "parallels_beats": "parallel fifths and octaves on beats are {0:.2f} in 100 chord changes",
    "parallels_eighths": "parallel fifths and octaves on eighths are {0:.2f} in 100 chord changes",
    "crossing": "voices cross in {0:.1%} of the sixteenths",
}
_BOUND = {"crossing": "{0:.0%}"}

Evaluations = Mapping[str, Mapping[str, Any]]  # Evaluation.to_json() by split


def problems(evaluations: Evaluations, live: Evaluations | None = None, *, candidate: str = NAME) -> list[str]:
    """Why the candidate must not be released; empty when nothing stands against it.

    On the validation pieces: it must have clearly more right sixteenths than the best simple reference (the interval of
    the paired difference above 0), voices led within ``MOST``, and not clearly fewer right sixteenths than the live
    version: paired, where that was judged in the same run, else by its own figures in ``live`` from when it was.
    """
    evaluation = evaluations.get(SPLIT)
    if evaluation is None or candidate not in evaluation["scorers"]:
        return ["It was not judged on the validation pieces, so nothing is known of it."]
    if evaluation["n"]["all"] < LEAST_PIECES:
        return [
            f"There are only {evaluation['n']['all']} validation pieces (at least {LEAST_PIECES}): too few to tell."
        ]
    figures = evaluation["scorers"][candidate]["all"]
    return [
        *_clearly_above(evaluation, candidate),
        *_voices_led(figures),
        *_not_below_live(evaluation, (live or {}).get(SPLIT), candidate),
    ]


def doubts(evaluations: Evaluations, *, candidate: str = NAME) -> list[str]:
    """What a person should look at, though it stands against nobody: the same asked of the test pieces."""
    evaluation = evaluations.get("test")
    if evaluation is None or candidate not in evaluation["scorers"]:
        return ["It was not judged on the test pieces."]
    found = [*_clearly_above(evaluation, candidate), *_voices_led(evaluation["scorers"][candidate]["all"])]
    return [f"On the test pieces: {sentence[0].lower()}{sentence[1:]}" for sentence in found]


def _clearly_above(evaluation: Mapping[str, Any], candidate: str) -> list[str]:
    best = evaluation["best_simple"]
    if best is None:
        return ["No simple reference was judged beside it, so there is nothing to compare."]
    value, low, high = evaluation["differences"][best]["all"]["frames"]
    if low is not None and low > 0:
        return []
    ours, theirs = (evaluation["scorers"][name]["all"]["frames"][0] for name in (candidate, best))
    return [
        f"It has {_share(ours)} of the sixteenths right, not clearly above the {_share(theirs)} of "
        f"{_named(best)}: the difference is {_between(value, low, high)}."
    ]


def _voices_led(figures: Mapping[str, Any]) -> list[str]:
    found = []
    for key, most in MOST.items():
        value = figures[key][0]
        if value is None:
            found.append(f"It has no chord changes, so its {key.replace('_', ' ')} are unknown.")
        elif value > most:
            said = _SAID[key].format(value)
            bound = _BOUND.get(key, "{0:.2f}").format(most)
            found.append(f"{said[0].upper()}{said[1:]}, more than the {bound} that are allowed.")
    return found


def _not_below_live(evaluation: Mapping[str, Any], live: Mapping[str, Any] | None, candidate: str) -> list[str]:
    paired = evaluation["differences"].get(LIVE)
    ours = evaluation["scorers"][candidate]["all"]["frames"]
    if paired is not None:
        value, low, high = paired["all"]["frames"]
        if high is None or high >= 0:
            return []
        theirs = evaluation["scorers"][LIVE]["all"]["frames"][0]
        return [
            f"It has {_share(ours[0])} of the sixteenths right, clearly fewer than the live version's "
            f"{_share(theirs)}: the difference is {_between(value, low, high)}."
        ]
    if live is None or NAME not in live["scorers"]:
        return []
    theirs = live["scorers"][NAME]["all"]["frames"][0]
    if theirs is None or ours[2] is None or theirs <= ours[2]:
        return []
    return [
        f"It has {_share(ours[0])} of the sixteenths right (95 % up to {_share(ours[2])}), and the live version had "
        f"{_share(theirs)} when it was judged."
    ]


def _named(name: str) -> str:
    return name if name not in WORDS else WORDS[name] if WORDS[name] == "LightGBM" else f"the {WORDS[name]}"


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _between(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return "unknown"
    return f"{value:+.3f} (95 % between {low:+.3f} and {high:+.3f})"
