"""Pictures for the asset's page: the curves of each training, and all scorers with their intervals. PNG, dark.

They draw what training.py and evaluation.py found and find nothing themselves.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.recommending.gates import BAR, CANDIDATE
from pipelines.recommending.report_drawings import epoch_of
from pipelines.recommending.report_wording import NAMES, SPLITS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _PAPER, _GRID = "#e8e6e3", "#14161b", "#2a2e37"
_OURS, _SECOND, _FAINT = "#4fd1c5", "#ffd166", "#9aa3b2"
_TRAININGS = ("#4fd1c5", "#ffd166", "#ef7b5b", "#5b8def")


def curves(trainings: Mapping[str, Sequence[Any]]) -> bytes:
    """PNG, 1500 x 560: loss of each training by epoch, and recall and NDCG on validation where they were measured.

    ``trainings``: the epochs (training.Epoch or the same as a mapping) by the training's name.
    """
    figure, (left, right) = _figure(15, 5.6, 2)
    measured = False
    for i, (name, epochs) in enumerate(trainings.items()):
        told = [epoch_of(one) for one in epochs]
        numbers = [one["number"] for one in told]
        label = SPLITS[name][0].lower() if name in SPLITS else name
        colour = _TRAININGS[i % len(_TRAININGS)]
        left.plot(numbers, [one["loss"] for one in told], "o-", color=colour, lw=1.8, label=label)
        for key, style, shown in (("recall", "o-", "Recall@20"), ("ndcg", "s--", "NDCG@20")):
            if told and all(one.get(key) is not None for one in told):
                measured = True
                right.plot(numbers, [one[key] for one in told], style, color=colour, lw=1.8, label=f"{shown}, {label}")
    left.set_ylabel("loss")
    right.set_ylabel("on validation")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(color=_GRID, lw=0.8)
        if axes.get_legend_handles_labels()[1]:
            _legend(axes)
    if measured:
        right.set_ylim(bottom=0)
    else:
        right.text(0.5, 0.5, "validation was not measured", color=_FAINT, ha="center", transform=right.transAxes)
    total = sum(epoch_of(one).get("seconds") or 0.0 for epochs in trainings.values() for one in epochs)
    return _png(figure, f"Training of the towers   ·   {total:.0f} s")


def comparison(evaluations: Mapping[str, Mapping[str, Any]]) -> bytes:
    """PNG, 1500 wide: recall and NDCG of every scorer with 95 % intervals, side by side for each split, the best NDCG
    at the top. Dashes: recent popularity."""
    tallest = max((len(one["scorers"]) for one in evaluations.values()), default=1)
    height = 1.7 + 0.46 * tallest
    figure, axes = _figure(15, height, 2 * max(len(evaluations), 1))
    low, high = 0.45 / height, 1 - 0.85 / height
    room = 1 / max(len(evaluations), 1)
    for i, one in enumerate(evaluations.values()):
        scorers = {name: s for name, s in one["scorers"].items() if s["ndcg"]["mean"] is not None}
        ranked = sorted(scorers, key=lambda name: scorers[name]["ndcg"]["mean"])
        wide = (room - 0.135) / 2
        for j, (key, measure) in enumerate((("recall", "Recall"), ("ndcg", "NDCG"))):
            column = axes[2 * i + j]
            column.set_position((i * room + 0.105 + j * (wide + 0.016), low, wide, high - low))
            _intervals(column, {name: scorers[name][key] for name in ranked})
            column.set_yticks([])
            if j == 0:
                column.set_yticks(range(len(ranked)), [NAMES.get(name, name) for name in ranked])
            column.set_title(f"{SPLITS[one['split']][0]}: {measure}@{one['k']}", color=_INK, fontsize=11)
    viewers = " and ".join(f"{one['n_warm_users']:,}" for one in evaluations.values()) or "no"
    caption = f"Every scorer with its 95 % interval   ·   {viewers} viewers   ·   dashes: recent popularity"
    return _png(figure, caption, tight=False)


def _intervals(axes: Any, scorers: Mapping[str, Mapping[str, Any]]) -> None:
    if BAR in scorers:
        axes.axvline(scorers[BAR]["mean"], color=_SECOND, lw=1.2, ls="--", zorder=1)
    for y, (name, one) in enumerate(scorers.items()):
        colour = _OURS if name == CANDIDATE else _FAINT
        axes.plot([one["low"], one["high"]], [y, y], color=colour, lw=2.4, solid_capstyle="round")
        axes.plot([one["mean"]], [y], "o", color=colour, ms=7)
        text = {"textcoords": "offset points", "ha": "center", "color": _INK, "fontsize": 9}
        box = {"facecolor": _PAPER, "edgecolor": "none", "pad": 0.6}  # the dashes pass behind the figure
        axes.annotate(f"{one['mean']:.3f}", (one["mean"], y), (0, 7), bbox=box, **text)
    axes.set_ylim(-0.6, len(scorers) - 0.2)
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x", color=_GRID, lw=0.8)


def _figure(width: float, height: float, columns: int) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for one in axes:
        one.set_facecolor(_PAPER)
        one.tick_params(colors=_INK, labelsize=10, length=3)
        one.xaxis.label.set_color(_INK)
        one.yaxis.label.set_color(_INK)
        for spine in one.spines.values():
            spine.set_color(_GRID)
    return figure, axes


def _legend(axes: Any) -> None:
    axes.legend(loc="best", facecolor=_PAPER, edgecolor=_GRID, labelcolor=_INK, fontsize=9)


def _png(figure: Figure, caption: str, *, tight: bool = True) -> bytes:
    if tight:
        figure.tight_layout(rect=(0, 0, 1, 0.92))
    figure.text(0.012, 0.945, caption, color=_INK, fontsize=14, fontweight="bold")
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor=_PAPER)
    return out.getvalue()
