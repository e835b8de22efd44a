"""Pictures of what a model learned, for a person's eye. They draw what training.py found and find nothing new."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.models.calibration import reliability
from pipelines.models.training import Trained
from pipelines.models.training_set import TrainingSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _PAPER, _GRID = "#e8e6e3", "#14161b", "#2a2e37"
_HELD, _LEARNED, _FAINT = "#4fd1c5", "#ffd166", "#9aa3b2"
_FEATURES = 15  # named in the picture of importance
_DOTS = 4000  # rows drawn one by one; more only make the picture slow and black


def learning_curve(trained: Trained) -> bytes:
    """PNG, 1500 x 560: the score against the number of rows, and the features that matter most."""
    figure, (left, right) = _figure(15, 5.6, 1, 2, width_ratios=[1.15, 1])
    curve = trained.learning_curve
    left.plot(curve.sizes, curve.learned, "o-", color=_LEARNED, lw=1.6, label="rows learned from")
    left.fill_between(curve.sizes, curve.held - curve.spread, curve.held + curve.spread, color=_HELD, alpha=0.18, lw=0)
    left.plot(curve.sizes, curve.held, "o-", color=_HELD, lw=2, label="held-out recordings (± deviation over folds)")
    left.set_xscale("log")
    left.set_xticks(curve.sizes, [f"{n:,}" for n in curve.sizes])
    left.minorticks_off()
    left.set_xlabel("rows learned from")
    left.set_ylabel(curve.measure)
    left.grid(color=_GRID, lw=0.8)
    _legend(left, "best")
    top = list(trained.importance.items())[:_FEATURES][::-1]
    right.barh([name for name, _ in top], [100 * share for _, share in top], color=_HELD, height=0.66)
    right.set_xlabel("share of the model's weight, %" if trained.estimator != "lightgbm" else "share of the gain, %")
    right.tick_params(axis="y", labelsize=9)
    return _png(figure, f"{trained.task.title}   ·   {trained.estimator}, {trained.metrics['n']:,} rows")


def residuals(trained: Trained, data: TrainingSet) -> bytes:
    """PNG: for each target, prediction against truth out of fold, and the distribution of the error.

    ``data`` is the set that ``trained`` comes from. Raises ValueError for a classifier.
    """
    if data.y is None:
        raise ValueError("residuals are a regression's")
    k = data.y.shape[1]
    figure, axes = _figure(3.9 * k, 6.4, 2, k, height_ratios=[2.4, 1])
    rows = np.linspace(0, len(data) - 1, min(len(data), _DOTS)).round().astype(int)
    for t, (name, unit) in enumerate(zip(trained.task.outputs, trained.task.units, strict=True)):
        truth, answer = data.y[:, t], trained.out_of_fold[:, t]
        upper, lower = axes[0][t], axes[1][t]
        upper.scatter(truth[rows], answer[rows], s=7, color=_HELD, alpha=0.35, lw=0)
        low, high = (float(v) for v in np.quantile(np.concatenate([truth, answer]), [0.001, 0.999]))
        pad = 0.05 * (high - low) + 1e-6
        upper.plot([low, high], [low, high], color=_LEARNED, lw=1.2)
        upper.set_xlim(low - pad, high + pad)
        upper.set_ylim(low - pad, high + pad)
        upper.set_xlabel(f"label, {unit}")
        upper.set_ylabel(f"predicted, {unit}" if t == 0 else "")
        upper.set_title(f"{name}\n{_against(trained.metrics['targets'][name], unit)}", color=_INK, fontsize=11)
        error = answer - truth
        reach = max(float(np.quantile(np.abs(error), 0.995)), 1e-6)
        lower.hist(np.clip(error, -reach, reach), bins=np.linspace(-reach, reach, 41), color=_HELD, alpha=0.8)
        lower.axvline(0, color=_LEARNED, lw=1.2)
        lower.set_xlabel(f"error, {unit}")
        lower.set_yticks([])
    return _png(figure, f"{trained.task.title}   ·   {trained.estimator}, out of fold, {len(data):,} rows")


def confusion(trained: Trained, data: TrainingSet) -> bytes:
    """PNG, 1500 x 700: which class is taken for which, and whether the probabilities mean what they say.

    ``data`` is the set that ``trained`` comes from. Raises ValueError for a regression.
    """
    if trained.classes is None or data.labels is None:
        raise ValueError("a confusion matrix is a classifier's")
    figure, (left, right) = _figure(15, 7, 1, 2, width_ratios=[1.25, 1])
    outputs = trained.out_of_fold.astype(np.float64)
    truth = np.searchsorted(np.array(trained.classes), data.labels)
    counts = np.zeros((len(trained.classes),) * 2)
    np.add.at(counts, (truth, outputs.argmax(axis=1)), 1)
    _draw_confusion(left, counts, trained.classes)
    _draw_reliability(right, outputs, np.asarray(truth, np.int64), trained)
    m = trained.metrics
    caption = f"{trained.task.title}   ·   {trained.estimator}, out of fold, {len(data):,} rows   ·   accuracy "
    caption += f"{m['accuracy']['all']:.1%} (majority {m['baseline']['majority']['accuracy']['all']:.1%}), "
    return _png(figure, caption + f"macro-F1 {m['f1_macro']['all']:.2f}")


def _draw_confusion(axes: Axes, counts: NDArray[np.float64], classes: tuple[str, ...]) -> None:
    shares = counts / counts.sum(axis=1, keepdims=True)
    axes.imshow(shares, cmap="magma", vmin=0, vmax=1, aspect="auto")
    places = np.arange(len(classes))
    axes.set_xticks(places, classes, rotation=30, ha="right", fontsize=9)
    axes.set_yticks(places, [f"{c} ({int(n):,})" for c, n in zip(classes, counts.sum(axis=1), strict=True)], fontsize=9)
    axes.set_xlabel("named by the model")
    axes.set_ylabel("label (rows)")
    for i, j in np.ndindex(shares.shape):
        if shares[i, j] >= 0.005:
            dark = _PAPER if shares[i, j] > 0.6 else _INK
            axes.text(j, i, f"{shares[i, j]:.0%}", color=dark, ha="center", va="center", fontsize=9)


def _draw_reliability(axes: Axes, outputs: NDArray[np.float64], truth: NDArray[np.int64], trained: Trained) -> None:
    found = reliability(outputs, truth)
    low = min(float(found.stated.min()), float(found.right.min()), 1 / outputs.shape[1])
    axes.plot([low, 1], [low, 1], color=_FAINT, lw=1, ls="--", label="as sure as it says")
    axes.plot(found.stated, found.right, "o-", color=_HELD, lw=2, label="bins of equally many rows")
    axes.vlines(found.stated, found.stated, found.right, color=_LEARNED, lw=1.2)
    axes.set_xlabel("probability of the named class")
    axes.set_ylabel("share that was right")
    told = trained.metrics["calibration"]
    made = f"temperature {told['temperature']:.2f}" if told["applied"] else "no temperature needed"
    title = f"calibration error {found.error:.3f} (by chance up to {told['ece_by_chance']:.3f}), {made}"
    axes.set_title(title, color=_INK, fontsize=11)
    axes.grid(color=_GRID, lw=0.8)
    _legend(axes, "upper left")


def _against(figures: dict[str, Any], unit: str) -> str:
    r2 = figures["r2"]["all"]
    ours, mean = figures["mae"]["all"], figures["baseline"]["mean"]["mae"]["all"]
    return f"MAE {ours:.2f} {unit} (mean {mean:.2f}), R² " + ("none" if r2 is None else f"{r2:.2f}")


def _figure(width: float, height: float, rows: int, columns: int, **ratios: list[float]) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=ratios)
    for one in axes.ravel():
        one.set_facecolor(_PAPER)
        one.tick_params(colors=_INK, labelsize=10, length=3)
        one.xaxis.label.set_color(_INK)
        one.yaxis.label.set_color(_INK)
        for spine in one.spines.values():
            spine.set_color(_GRID)
    return figure, axes[0] if rows == 1 else axes


def _legend(axes: Any, place: str) -> None:
    axes.legend(loc=place, facecolor=_PAPER, edgecolor=_GRID, labelcolor=_INK, fontsize=10)


def _png(figure: Figure, caption: str) -> bytes:
    figure.tight_layout(rect=(0, 0, 1, 0.945))
    figure.text(0.012, 0.955, caption, color=_INK, fontsize=14, fontweight="bold")
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor=_PAPER)
    return out.getvalue()
