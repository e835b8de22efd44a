"""Every harmoniser on the same pieces, beside each other: the whole split, and the pieces whose tune none of them knew.

What is counted is metrics.py's, who is beside the model references.py's, what follows gates.py's. The page is
evaluation_report.py's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import metrics, references
from pipelines.composing.corpus import Chorale, Corpus, Split
from pipelines.composing.disjoint import disjoint
from pipelines.composing.metrics import Metrics
from pipelines.composing.references import Completer

if TYPE_CHECKING:
    from pipelines.composing.harmonizer import Harmonizer

NAME = "harmonizer"
LIVE = "live"
BACH = "bach"
ONE_SHOT = "one_shot_network"
# Learned in seconds, and known to everybody: what a model must clearly beat.
SIMPLE: dict[str, Callable[[Sequence[Chorale]], Completer]] = {
    "fixed_intervals": references.fixed_intervals,
    "most_frequent_voicing": references.most_frequent_voicing,
    "hidden_markov": references.hidden_markov,
    "boosted_trees": references.boosted_trees,
}
SETS = ("all", "disjoint")
COMPARED = ("frames", "onsets", "beat_chords")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """``made``: by scorer, what it made of each piece, int64[T, 4]; ``judged``: by scorer, over all pieces;
    ``apart`` bool[n]: the pieces that share no tune with what was learned from; ``seconds``: for the whole split."""

    split: str
    pieces: tuple[Chorale, ...]
    apart: NDArray[np.bool_]
    made: dict[str, list[NDArray[np.int64]]]
    judged: dict[str, Metrics]
    seconds: dict[str, float]

    def of(self, name: str, pieces: str) -> Metrics:
        """The figures of a scorer over one of ``SETS``."""
        return self.judged[name] if pieces == "all" else self.judged[name].of(self.apart)

    @property
    def best_simple(self) -> str | None:
        """The one of ``SIMPLE`` with the most right sixteenths."""
        known = [name for name in SIMPLE if name in self.judged]
        return max(known, key=lambda name: self.judged[name]["frames"], default=None)

    def to_json(self, candidate: str = NAME) -> dict[str, Any]:
        """What the registry and the report keep: figures as [value, low, high], nan as null; ``differences`` are the
        candidate's less the other's, paired by piece; ``by_piece``: the candidate's and the best simple one's share of
        right sixteenths."""
        n = {"all": len(self.pieces), "disjoint": int(self.apart.sum())}
        of = {(name, pieces): self.of(name, pieces) for name in self.judged for pieces in SETS if n[pieces]}
        scorers = {
            name: {
                **{pieces: _plain(of[name, pieces].to_json()) for pieces in SETS if n[pieces]},
                "seconds": self.seconds.get(name),
            }
            for name in self.judged
        }
        differences: dict[str, Any] = {}
        for name in self.judged:
            if candidate in self.judged and name not in (candidate, BACH):
                differences[name] = {
                    pieces: _plain(
                        {
                            key: metrics.difference(of[candidate, pieces], of[name, pieces], key).to_json()
                            for key in COMPARED
                        }
                    )
                    for pieces in SETS
                    if n[pieces]
                }
        shown = [name for name in (candidate, self.best_simple) if name in self.judged]
        return {
            "split": self.split,
            "n": n,
            "numbers": [piece.number for piece in self.pieces],
            "apart": self.apart.tolist(),
            "scorers": scorers,
            "differences": differences,
            "best_simple": self.best_simple,
            "by_piece": {name: self.judged[name].by_piece("frames").round(4).tolist() for name in shown if name},
        }


def evaluate(corpus: Corpus, split: Split, scorers: Mapping[str, Completer]) -> Evaluation:
    """``scorers`` are given each piece's soprano, in MIDI pitches, and nothing else; Bach is judged beside them."""
    pieces = corpus.split(split)
    known = [piece.frames[:, 0] for name in ("train", "valid") if name != split for piece in corpus.split(name)]
    sopranos, truth = [piece.frames[:, 0] for piece in pieces], [piece.frames for piece in pieces]
    made: dict[str, list[NDArray[np.int64]]] = {}
    seconds: dict[str, float] = {}
    for name, complete in scorers.items():
        started = time.perf_counter()
        made[name] = [complete(soprano) for soprano in sopranos]
        seconds[name] = time.perf_counter() - started
    made[BACH] = truth
    judged = {name: metrics.judge(truth, found) for name, found in made.items()}
    return Evaluation(split, pieces, disjoint(sopranos, known), made, judged, seconds)


def simple(train: Sequence[Chorale]) -> dict[str, Completer]:
    """Every simple reference, learned from these pieces; 20 s for the trees, seconds for the rest."""
    return {name: learn(train) for name, learn in SIMPLE.items()}


def of_harmonizer(harmonizer: Harmonizer) -> Completer:
    """The whole model, as who asks for voices gets it: chorale.complete's steps with this harmoniser."""
    from pipelines.composing import chorale

    def complete(soprano: NDArray[np.int64]) -> NDArray[np.int64]:
        return chorale.harmonize(soprano, harmonizer=harmonizer)[0].pitches

    return complete


def table(judged: Mapping[str, Any], pieces: str = "all") -> str:
    """Markdown: every scorer of an evaluation's JSON over one of ``SETS``, the best first, Bach last."""
    columns = ("frames", "onsets", "beat_chords", "parallels_beats", "parallels_eighths", "crossing")
    lines = [
        "| harmoniser | frames | 95 % | onsets | beat chords | parallels, beats | eighths | crossing |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in ranked(judged, pieces):
        one = judged["scorers"][name][pieces]
        value = {key: one[key][0] for key in columns}
        between = f"{_shown(one['frames'][1])} to {_shown(one['frames'][2])}" if name != BACH else ""
        cells = [_shown(value["frames"]), between, _shown(value["onsets"]), _shown(value["beat_chords"])]
        cells += [_shown(value[key], 2) for key in ("parallels_beats", "parallels_eighths")]
        cells.append("" if value["crossing"] is None else f"{value['crossing']:.1%}")
        lines.append(f"| {WORDS.get(name, name)} | {' | '.join(cells)} |")
    return "\n".join(lines)


WORDS = {
    NAME: "the model",
    LIVE: "the live version",
    ONE_SHOT: "its network alone, in one shot",
    "boosted_trees": "LightGBM",
    "hidden_markov": "hidden Markov model",
    "most_frequent_voicing": "most frequent voicing",
    "fixed_intervals": "fixed intervals",
    BACH: "Bach himself",
}


def ranked(judged: Mapping[str, Any], pieces: str = "all") -> list[str]:
    """Scorers with figures for these pieces, most right sixteenths first, Bach last."""
    found = [name for name, one in judged["scorers"].items() if pieces in one]
    return sorted(found, key=lambda name: (name == BACH, -(judged["scorers"][name][pieces]["frames"][0] or 0.0)))


def _plain(figures: dict[str, list[float]]) -> dict[str, list[float | None]]:
    return {
        name: [None if np.isnan(value) else round(float(value), 5) for value in values]
        for name, values in figures.items()
    }


def _shown(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"
