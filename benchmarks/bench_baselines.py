"""The bars that a recommender is held against, on MovieLens 100K: quality, tuned on validation only, and cost.

Full ranking of 1,682 films, seen ones removed. Beside each figure is the reference that it must reproduce.
"""

from __future__ import annotations

import time

from benchmarks import movielens100k
from benchmarks.measure import Figure, write
from pipelines.recommending import baselines, splits
from pipelines.recommending.baselines import BASELINES, tuned
from pipelines.recommending.evaluation import evaluate

# Recall@20 and NDCG@20 measured by others on leave-last-out, and recent popularity's on the split by time.
REFERENCES = {
    "leave_last_out": {
        "popularity": (0.126, 0.054),
        "item_knn": (0.199, 0.085),
        "ease": (0.228, 0.092),
        "ials": (0.226, 0.096),
        "decayed_ridge": (0.307, 0.133),
    },
    "global_time": {"recent_popularity": (0.204, 0.218)},
}


def run() -> dict[str, Figure]:
    events = movielens100k.interactions(*movielens100k.load())
    figures: dict[str, Figure] = {}
    for split in (splits.leave_last_out(events), splits.global_time(events)):
        earlier = splits.validation(split)
        start = time.process_time()
        settings = {name: tuned(name, earlier) for name, one in BASELINES.items() if one.tried}
        figures[f"{split.name}_tuning"] = Figure(
            time.process_time() - start, "CPU s", note="every setting of every baseline"
        )
        start = time.process_time()
        quick = evaluate(split, baselines.weekly(split).scorers)
        figures[f"{split.name}_weekly"] = Figure(
            time.process_time() - start, "CPU s", note="all with quick settings, judged"
        )
        fitted = baselines.fitted(split, settings)
        evaluation = evaluate(split, fitted.scorers)
        for name, judged in evaluation.judged.items():
            chosen = ", ".join(f"{key} {value}" for key, value in fitted.settings[name].items()) or "no settings"
            cost = f"fitted in {fitted.seconds[name]:.2f} s, {evaluation.n_warm} viewers in {judged.seconds:.2f} s"
            for place, measure in enumerate(("recall", "ndcg")):
                one, hasty = getattr(judged, measure), getattr(quick.judged[name], measure)
                reference = REFERENCES[split.name].get(name)
                bar = reference and reference[place]
                note = f"± {one.se:.3f}, 95 % {one.low:.3f} to {one.high:.3f}; quick settings {hasty.mean:.3f}"
                if bar:
                    note += f"; reference {bar}, {(one.mean - bar) / one.se:+.1f} standard errors"
                if place == 0:
                    note += f"; {chosen}; {cost}; coverage {judged.coverage:.0%}, novelty {judged.novelty:.2f} bits"
                # A bar that is too low flatters what is held against it; one above the reference does not.
                least = round(bar - one.se, 4) if bar else None
                figures[f"{split.name}_{name}_{measure}20"] = Figure(
                    round(one.mean, 4), measure, at_least=least, note=note
                )
    return figures


if __name__ == "__main__":
    results = run()
    for key, figure in results.items():
        print(f"{key}: {figure.value:.4f} {figure.unit}  {'' if figure.met else 'NOT MET'}  {figure.note}")
    write("baselines", results)
