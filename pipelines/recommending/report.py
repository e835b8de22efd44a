"""The page on which a person decides about a promotion: verdict, figures, curves, examples. One file, no network.

Figures come from evaluation.py, sentences against it from gates.py; report_wording.py puts the rest into
words, report_drawings.py places what is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.recommending import report_drawings as drawings
from pipelines.recommending import report_wording as wording
from pipelines.recommending.evaluation import SIMPLE, Evaluation
from pipelines.recommending.gates import BAR, CANDIDATE
from pipelines.recommending.splits import Split

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path(__file__).parent
_SHOWN = 10  # places of an example's list
_HISTORY = 8
_FEW = 10  # viewers below which cold ones are not shown


@dataclass(frozen=True, slots=True)
class Shown:
    """One scorer's list for one viewer: titles in order, whether each was a hit, the first hit's place (or None)."""

    scorer: str
    titles: tuple[str, ...]
    hits: tuple[bool, ...]
    place: int | None


@dataclass(frozen=True, slots=True)
class Example:
    """A viewer without a name: what came before (newest first), what was chosen then, and who would have shown what."""

    history: tuple[str, ...]
    n_history: int
    chosen: tuple[str, ...]
    lists: tuple[Shown, ...]


def examples(
    split: Split, evaluation: Evaluation, items: pd.DataFrame, *, n: int = 4, seed: int = 0, candidate: str = CANDIDATE
) -> list[Example]:
    """Lists of a few viewers drawn from ``seed``: half of them where the candidate hit, half where it missed.

    ``items`` needs item_id and may have title; what has none is named by its id. ``split`` is the one evaluated, whole.
    """
    order = [candidate, *(s for s in (evaluation.best_simple, BAR) if s is not None)]
    names = [name for name in dict.fromkeys(order) if name in evaluation.lists]
    if candidate not in evaluation.lists or len(evaluation.lists[candidate]) != len(split):
        return []
    titled = dict(zip(items["item_id"].astype(str), items.get("title", items["item_id"]), strict=True))
    titles = [str(titled[i]) if isinstance(titled.get(str(i)), str) else str(i) for i in split.train.item_ids]
    hit = np.array([np.isin(row, split.targets(j)).any() for j, row in enumerate(evaluation.lists[candidate])])
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for wanted in (True, False):
        rows = np.flatnonzero(~split.cold & (hit == wanted))
        chosen += rng.permutation(rows)[: n // 2].tolist()
    return [_example(split, evaluation, titles, names, row) for row in chosen]


def html(
    evaluations: Mapping[str, Mapping[str, Any]],
    *,
    curves: Mapping[str, Sequence[Any]] | None = None,
    problems: Sequence[str] = (),
    examples: Sequence[Example] | None = None,
    facts: Mapping[str, Any] | None = None,
    candidate: str = CANDIDATE,
) -> str:
    """The page. ``evaluations``: Evaluation.to_json() by split; ``curves``: the epochs of each training by its name
    (training.Epoch or the same as a mapping); ``problems``: gates.problems' sentences; ``facts``: what else is to be
    known of the version, in plain values or mappings of them.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,  # titles come from strangers
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        style=Markup((FOLDER / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        verdict=wording.verdict(evaluations, problems),
        problems=problems,
        summary=[line for one in evaluations.values() if (line := wording.summary(one, candidate))],
        splits=[_section(one, candidate) for one in evaluations.values()],
        curves=[drawings.curves(name, epochs) for name, epochs in (curves or {}).items() if len(epochs)],
        examples=examples or (),
        facts=wording.facts(facts or {}),
        names=wording.NAMES,
        candidate=candidate,
        explained=wording.EXPLAINED,
        scorers_explained=wording.SCORERS,
    )


def _section(one: Mapping[str, Any], candidate: str) -> dict[str, Any]:
    """Everything that the page shows of one split, the best first."""
    scorers = one["scorers"]
    names = sorted(scorers, key=lambda name: -(scorers[name]["ndcg"]["mean"] or 0.0))
    compared = one["differences"].get(candidate, {})
    quality = {key: drawings.intervals({n: scorers[n][key] for n in names}, BAR) for key in ("recall", "ndcg")}
    cold = [("cold_users", "recall"), ("cold_users", "ndcg"), ("cold_items", "recall")]
    return {
        "title": wording.SPLITS[one["split"]][0],
        "asks": wording.SPLITS[one["split"]][1],
        "id": one["split"],
        "k": one["k"],
        "numbers": wording.numbers(one),
        "names": names,
        "scorers": scorers,
        "quality": quality,
        "best": {key: _best({n: scorers[n][key]["mean"] for n in names}) for key in ("recall", "ndcg")}
        | {key: _best({n: scorers[n][key] for n in names}) for key in ("coverage", "novelty_bits")},
        # A handful of cold items are no column.
        "cold_columns": [(g, key) for g, key in cold if scorers[names[0]][g][key]["n"] >= _FEW],
        "best_cold": {(group, key): _best({n: scorers[n][group][key]["mean"] for n in names}) for group, key in cold},
        "differences": [
            (other, wording.difference(pair["recall"]), wording.difference(pair["ndcg"]))
            for other, pair in sorted(compared.items(), key=lambda named: names.index(named[0]))
        ],
        "simple": SIMPLE,
    }


def _best(values: Mapping[str, float | None]) -> set[str]:
    """The names with the highest value; none when there is nothing to choose between."""
    known = {name: round(value, 3) for name, value in values.items() if value is not None}
    if len(set(known.values())) < 2:
        return set()
    return {name for name, value in known.items() if value == max(known.values())}


def _example(split: Split, evaluation: Evaluation, titles: list[str], names: list[str], row: int) -> Example:
    user = int(split.users[row])
    start, end = (int(x) for x in split.train.offsets[user : user + 2])
    targets = split.targets(row)
    lists = []
    for name in names:
        shown = evaluation.lists[name][row]
        shown = shown[shown >= 0]
        hit = np.isin(shown, targets)
        place = int(np.flatnonzero(hit)[0]) + 1 if hit.any() else None
        lists.append(Shown(name, tuple(titles[i] for i in shown[:_SHOWN]), tuple(bool(x) for x in hit[:_SHOWN]), place))
    return Example(
        history=tuple(titles[i] for i in split.train.items[start:end][::-1][:_HISTORY]),
        n_history=end - start,
        chosen=tuple(titles[i] for i in targets[:_HISTORY]),
        lists=tuple(lists),
    )
