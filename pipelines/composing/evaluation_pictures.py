"""Pictures for the assets' pages: the curves of a training, and all harmonisers with their intervals. PNG, dark.

They draw what training.py and evaluation.py found and find nothing themselves.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.composing.evaluation import BACH, NAME, WORDS, ranked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _PAPER, _GRID = "#e8e6e3", "#14161b", "#2a2e37"
_OURS, _SECOND, _FAINT = "#4fd1c5", "#ffd166", "#9aa3b2"
_SPLITS = {"valid": "validation pieces (they decide)", "test": "test pieces"}


def curves(epochs: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG, 1000 x 480: nats a hidden note by epoch, a line a member and set of pieces."""
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = _figure(10, 4.8, 1)
    members = sorted({epoch["member"] for epoch in epochs})
    for member in members:
        for key, colour, label in (("train", _SECOND, "training"), ("valid", _OURS, "validation")):
            known = [(e["number"], e[key]) for e in epochs if e["member"] == member and e[key] is not None]
            if known:
                shown = f"{label} pieces" if member == members[0] else "_"
                axes.plot(*zip(*known, strict=True), "o-", color=colour, lw=1.6, ms=4, label=shown)
    axes.set_xlabel("epoch")
    axes.set_ylabel("nats a note")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if epochs:
        axes.legend(facecolor=_PAPER, edgecolor=_GRID, labelcolor=_INK)
    return _png(figure, f"Training of the harmonizer: {len(members)} networks, {len(epochs)} epochs in all")


def comparison(evaluations: Mapping[str, Mapping[str, Any]]) -> bytes:
    """PNG, 1500 wide: the share of right sixteenths of every harmoniser with its 95 % interval, by split; faint: over
    the pieces whose tune nobody knew."""
    tallest = max((len(one["scorers"]) for one in evaluations.values()), default=1)
    figure, found = _figure(15, 1.6 + 0.42 * tallest, max(1, len(evaluations)))
    for axes, (split, judged) in zip(found, evaluations.items(), strict=False):
        names = [name for name in ranked(judged) if name != BACH][::-1]
        for row, name in enumerate(names):
            for pieces, shift, colour in (
                ("disjoint", -0.18, _FAINT),
                ("all", 0.1, _OURS if name == NAME else _SECOND),
            ):
                if pieces not in judged["scorers"][name]:
                    continue
                value, low, high = judged["scorers"][name][pieces]["frames"]
                if value is None or low is None:
                    continue
                axes.plot([low, high], [row + shift] * 2, color=colour, lw=2)
                axes.plot([value], [row + shift], "o", color=colour, ms=6)
            value = judged["scorers"][name]["all"]["frames"][0]
            if value is not None:
                axes.text(0.005, row + 0.1, f"{value:.3f}", color=_INK, fontsize=9, va="center")
        axes.set_yticks(range(len(names)), [WORDS.get(name, name) for name in names])
        axes.set_xlim(left=0)
        axes.set_title(_SPLITS.get(split, split), color=_INK, fontsize=11)
    return _png(figure, "Sixteenths of alto, tenor and bass with Bach's pitch (faint: pieces with a tune of their own)")


def _figure(width: float, height: float, n: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, facecolor=_PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    found: list[Axes] = []
    for i in range(n):
        axes = figure.add_subplot(1, n, i + 1, facecolor=_PAPER)
        axes.tick_params(colors=_INK)
        axes.xaxis.label.set_color(_INK)
        axes.yaxis.label.set_color(_INK)
        axes.grid(color=_GRID, lw=0.8)
        for spine in axes.spines.values():
            spine.set_color(_GRID)
        found.append(axes)
    return figure, found


def _png(figure: Figure, title: str) -> bytes:
    figure.suptitle(title, color=_INK, fontsize=13)
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor=_PAPER, metadata={"Software": None})
    return out.getvalue()
