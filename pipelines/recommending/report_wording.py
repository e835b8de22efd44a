"""What the report says: names, explanations, sentences made of figures. What speaks against a model is gates.py's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipelines.recommending.gates import BAR, CANDIDATE, LIVE

NAMES = {
    CANDIDATE: "Two towers",
    LIVE: "Live version",
    "popularity": "Popularity",
    "recent_popularity": "Recent popularity",
    "item_knn": "ItemKNN",
    "ease": "EASE",
    "ials": "iALS",
    "decayed_ridge": "Ridge on history",
}
SCORERS = {
    CANDIDATE: "the candidate that this report decides about.",
    LIVE: "the version in service. It stands here only if it learned nothing of what is asked.",
    "popularity": "what was chosen most often, the same list for everybody.",
    "recent_popularity": "the same, but choices lose their weight with time; how fast was chosen on earlier data.",
    "item_knn": "items chosen by the same people are neighbours, and a viewer's items vote for theirs.",
    "ease": "one matrix from item to item that best rebuilds everybody's choices.",
    "ials": "viewers and items as short vectors, found by alternating least squares.",
    "decayed_ridge": "a linear step from the latest choices to the next; it knows their order and little else.",
}
SPLITS = {
    "leave_last_out": (
        "The next choice",
        "Each viewer's last new choice was hidden; the scorers saw everything before it. This asks how well a viewer's "
        "own taste is understood. Other viewers' later choices were seen, so it flatters every scorer a little.",
    ),
    "leave_last_two": (
        "The next choice, on validation",
        "Each viewer's last choice was left out and the one before it hidden: what settings are chosen by.",
    ),
    "global_time": (
        "The days that followed",
        "Everything after one moment was hidden for everybody. This is how a version works in service: the newest "
        "trends are unknown to it, and what is popular just now is hard to beat.",
    ),
}
EXPLAINED = (
    ("Recall@20", "The share of what a viewer went on to choose that was among the 20 shown. Higher is better."),
    ("NDCG@20", "The same, but a hit counts more the higher it stands in the list; 1 is a perfect list."),
    (
        "95 % interval",
        "Other viewers of the same kind would give another mean. In 95 of 100 such draws it lies in this range, found "
        "by drawing the viewers again a thousand times.",
    ),
    (
        "Difference",
        "The candidate minus the other scorer, viewer by viewer. It is clear when its whole interval is on one side of "
        "zero; else chance may have made it.",
    ),
    ("Coverage", "The share of the catalogue that is in at least one viewer's list. Low: everybody is shown the same."),
    (
        "Novelty",
        "How rare the shown items are, in bits: 0 was chosen by everybody, each bit more by half as many. More is not "
        "better by itself; beside a high recall it is.",
    ),
    (
        "Sampled AUC-PR",
        "How well the choices are told from 100 items drawn by chance. It is here because it was promised; it ordered "
        "models wrongly in trials and decides nothing.",
    ),
    ("Cold viewers, cold items", "Viewers without any history, and items nobody had chosen, before the hidden part."),
    (
        "How lists are judged",
        "Every item of the catalogue is ranked, what a viewer has seen is taken out, and equal scores are put in an "
        "order by lot, so that nobody gains by them.",
    ),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    allowed: bool
    words: str
    reason: str


@dataclass(frozen=True, slots=True)
class Difference:
    value: str
    between: str
    words: str
    sign: int  # 1 clearly better, -1 clearly worse, 0 within the noise


def verdict(evaluations: Mapping[str, Mapping[str, Any]], problems: Sequence[str]) -> Verdict:
    if problems:
        count = "One thing stands" if len(problems) == 1 else f"{len(problems)} things stand"
        return Verdict(False, "Not to be promoted", f"{count} against it:")
    if not evaluations:
        return Verdict(False, "Nothing was judged", "There is no evaluation to decide on.")
    told = (
        "It is clearly better than recent popularity at the next choice, and level with it or better in the days that "
    )
    told += "followed. Nothing shows it to be worse than a version in service."
    return Verdict(True, "May be promoted", told)


def summary(one: Mapping[str, Any], candidate: str) -> str:
    """One split in a sentence or two; empty when the candidate was not judged in it."""
    scorers = one["scorers"]
    if candidate not in scorers or scorers[candidate]["recall"]["mean"] is None:
        return ""
    n, k = one["n_warm_users"], one["k"]
    others = [name for name in dict.fromkeys([LIVE, BAR, one["best_simple"]]) if name in scorers]
    held = ", ".join(f"{share(scorers[name]['recall']['mean'])} with {_inside(name)}" for name in others)
    ours = share(scorers[candidate]["recall"]["mean"])
    if one["split"] == "global_time":
        said = f"Of what {n:,} viewers chose in the days that followed, {ours} was among the {k} it showed them"
    else:
        said = f"Of {n:,} viewers' next choices, {ours} were among the {k} it showed them"
    best = one["best_simple"]
    pair = one["differences"].get(candidate, {}).get(best)
    if pair is None:
        return f"{said}; {held}."
    words = {1: "clearly better than", -1: "clearly worse than", 0: "not to be told apart from"}
    recall, ndcg = words[_sign(pair["recall"])], words[_sign(pair["ndcg"])]
    told = f"It is {ndcg} the best simple scorer, {_inside(best)}"
    if recall != ndcg:
        told = f"By NDCG it is {ndcg} the best simple scorer, {_inside(best)}; by recall {recall} it"
    return f"{said}; {held}. {told}."


def numbers(one: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the judgement rests on, as label and value."""
    found = [
        ("viewers with a history", f"{one['n_warm_users']:,}"),
        ("viewers without one", f"{one['n_cold_users']:,}"),
        ("hidden choices", f"{one['n_targets']:,}"),
        ("events learned from", f"{one['n_learned']:,}"),
        ("items ranked", f"{one['n_items']:,}"),
    ]
    if one["at"] is not None:
        found.append(("hidden from", moment(one["at"])))
    return found


def difference(pair: Mapping[str, Any]) -> Difference | None:
    if pair["mean"] is None:
        return None
    sign = _sign(pair)
    words = {1: "clearly better", -1: "clearly worse", 0: "within the noise"}[sign]
    return Difference(signed(pair["mean"]), f"{signed(pair['low'])} to {signed(pair['high'])}", words, sign)


def facts(given: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Label and value of everything worth reading; mappings are laid flat, keys of stored bytes left out."""
    found: list[tuple[str, str]] = []
    for key, value in given.items():
        label = f"{before}{'version in service' if key == 'live' else key.replace('_', ' ')}"
        if isinstance(value, Mapping):
            found += facts(value, "" if key == "snapshot" else f"{label}, ")
        elif key in ("key", "sha256", "uri"):
            continue
        elif key == "newest_event" and isinstance(value, int):
            found.append((label, moment(value)))
        elif value is None or value in ("", [], ()):
            found.append((label, "none"))
        elif isinstance(value, list | tuple):
            found.append((label, " ".join(str(one) for one in value)))
        elif isinstance(value, float):
            found.append((label, f"{value:,.4g}"))
        else:
            found.append((label, f"{value:,}" if isinstance(value, int) else str(value)))
    return found


def moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def share(value: float) -> str:
    return f"{100 * value:.1f} %"


def signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _inside(name: str) -> str:
    """A name as it reads within a sentence."""
    shown = NAMES.get(name, name)
    return shown if name in ("ease", "ials", "item_knn") else f"the {shown.lower()}" if name == LIVE else shown.lower()


def _sign(pair: Mapping[str, Any]) -> int:
    if pair["low"] is None:
        return 0
    return 1 if pair["low"] > 0 else -1 if pair["high"] < 0 else 0
