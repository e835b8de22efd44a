"""What stands against a promotion, as sentences with the figures in them. It reads evaluations' JSON and no more.

The check that blocks and the report word it from here, so that they cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pipelines.recommending.dataset import NAME

BAR = "recent_popularity"
CANDIDATE = NAME
LIVE = "live"
LEAST_USERS = 20
_NAMES = {"recall": "Recall", "ndcg": "NDCG"}
_SPLITS = {"leave_last_out": "leave-last-out", "global_time": "the split by time"}

Evaluations = Mapping[str, Mapping[str, Any]]  # Evaluation.to_json() by the name of its split


def problems(evaluations: Evaluations, live: Evaluations | None = None, *, candidate: str = CANDIDATE) -> list[str]:
    """Why the candidate must not be promoted; empty when nothing stands against it.

    It must be clearly above recent popularity on leave-last-out (the interval of the paired difference above 0), not
    below it by more than recent popularity's own standard error on the split by time, and not below the live version
    beyond the noise. The live version is taken from the same run where a scorer "live" is in it (paired, the sharper
    test), else from its own evaluations in ``live``, made when it was registered. Leave-last-out is always asked for;
    a split by time with too few viewers to tell anything stands against nobody (see ``doubts``): a young studio has no
    viewers yet who came back.
    """
    found: list[str] = []
    for split in _SPLITS:
        evaluation = evaluations.get(split)
        unknown = _unknown(split, evaluation)
        if unknown is not None:
            found += [unknown] if split == "leave_last_out" else []
            continue
        assert evaluation is not None
        missing = [name for name in (candidate, BAR) if name not in evaluation["scorers"]]
        if missing:
            found.append(f"On {_SPLITS[split]} {' and '.join(missing)} was not judged, so there is nothing to compare.")
            continue
        found += _clearly_above(evaluation, candidate) if split == "leave_last_out" else _level(evaluation, candidate)
        found += _against_live(evaluation, (live or {}).get(split), candidate)
    return found


def doubts(evaluations: Evaluations) -> list[str]:
    """What could not be told, though it stands against nobody."""
    unknown = [_unknown(split, evaluations.get(split)) for split in _SPLITS if split != "leave_last_out"]
    return [sentence for sentence in unknown if sentence is not None]


def _unknown(split: str, evaluation: Mapping[str, Any] | None) -> str | None:
    """Why nothing can be told on this split."""
    if evaluation is None:
        return f"There is no evaluation on {_SPLITS[split]}, so nothing is known of it."
    n = evaluation["n_warm_users"]
    if n >= LEAST_USERS:
        return None
    return (
        f"On {_SPLITS[split]} there are only {n} viewers with a history to judge by (at least {LEAST_USERS}): too few "
        "to tell any two models apart."
    )


def _clearly_above(evaluation: Mapping[str, Any], candidate: str) -> list[str]:
    k = evaluation["k"]
    return [
        f"On leave-last-out {_NAMES[key]}@{k} is {_mean(evaluation, candidate, key)}, not clearly above recent "
        f"popularity's {_mean(evaluation, BAR, key)}: the difference is {_interval(pair)}."
        for key, pair in evaluation["differences"][candidate][BAR].items()
        if not (pair["low"] is not None and pair["low"] > 0)
    ]


def _level(evaluation: Mapping[str, Any], candidate: str) -> list[str]:
    k = evaluation["k"]
    out = []
    for key, name in _NAMES.items():
        ours, bar = evaluation["scorers"][candidate][key], evaluation["scorers"][BAR][key]
        if not ours["mean"] >= bar["mean"] - bar["se"]:
            short = f"{bar['mean'] - ours['mean']:.3f} below recent popularity's {bar['mean']:.3f}"
            out.append(
                f"On the split by time {name}@{k} is {ours['mean']:.3f}, {short}, which is more than its standard "
                f"error of {bar['se']:.3f} over {bar['n']} viewers."
            )
    return out


def _against_live(evaluation: Mapping[str, Any], live: Mapping[str, Any] | None, candidate: str) -> list[str]:
    k, where = evaluation["k"], _SPLITS[evaluation["split"]]
    paired = evaluation["differences"].get(candidate, {}).get(LIVE)
    if paired is not None:
        return [
            f"On {where} {_NAMES[key]}@{k} is {_mean(evaluation, candidate, key)}, clearly below the live version's "
            f"{_mean(evaluation, LIVE, key)}: the difference is {_interval(pair)}."
            for key, pair in paired.items()
            if pair["high"] is not None and pair["high"] < 0
        ]
    # On other days and another catalogue the figures themselves say little: what counts is the lead over the same bar.
    leads = [(one or {}).get("differences", {}).get(candidate, {}).get(BAR) for one in (evaluation, live)]
    if leads[0] is None or leads[1] is None:
        return []
    out = []
    for key, name in _NAMES.items():
        ours, theirs = leads[0][key], leads[1][key]
        if theirs["mean"] is None or theirs["se"] is None:
            continue
        noise = 1.96 * math.hypot(ours["se"], theirs["se"])
        if ours["mean"] < theirs["mean"] - noise:
            out.append(
                f"On {where} {name}@{k} is {ours['mean']:+.3f} from recent popularity's, the live version's was "
                f"{theirs['mean']:+.3f} when it was judged: {theirs['mean'] - ours['mean']:.3f} less, and chance "
                f"explains at most {noise:.3f}."
            )
    return out


def _mean(evaluation: Mapping[str, Any], scorer: str, key: str) -> str:
    return f"{evaluation['scorers'][scorer][key]['mean']:.3f}"


def _interval(pair: Mapping[str, Any]) -> str:
    return f"{pair['mean']:+.3f} (95 % between {pair['low']:+.3f} and {pair['high']:+.3f})"
