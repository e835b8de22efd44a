"""Pictures of scores, for a person's eye."""

from __future__ import annotations

import io

from pipelines.scoring.scored import Spread

_INK, _PAPER, _FAINT = "#e8e6e3", "#14161b", "#9aa3b2"
_LOW, _HIGH = "#2a4858", "#ffd166"
MOST = 24  # categories that one picture shows


def spread(found: Spread) -> bytes:
    """PNG: one bar a category, parted by score, lowest on the left; under it what the flags say of the rows."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    rubric = found.rubric
    # Fonts for Japanese are not on every machine.
    names = [n if n.isascii() else f"category {i}" for i, n in enumerate(rubric.categories[:MOST], 1)]
    scale = list(range(rubric.lowest, rubric.highest + 1))
    shades = LinearSegmentedColormap.from_list("scores", [_LOW, "#4fd1c5", _HIGH])
    figure = Figure(figsize=(11, 1.7 + 0.42 * len(names)), facecolor=_PAPER, layout="constrained")
    axes = figure.add_subplot(facecolor=_PAPER)
    left = [0.0] * len(names)
    for number, score in enumerate(scale):
        counts = [found.scores[c][score] for c in range(len(names))]
        totals = [max(sum(found.scores[c].values()), 1) for c in range(len(names))]
        widths = [100 * count / total for count, total in zip(counts, totals, strict=True)]
        shade = shades(number / max(len(scale) - 1, 1))
        label = str(score) if len(scale) <= 11 or score in (scale[0], scale[-1]) else None
        axes.barh(names, widths, left=left, color=shade, height=0.72, label=label)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the rows, %", color=_FAINT)
    axes.tick_params(colors=_INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.legend(ncols=min(len(scale), 11), loc="lower left", bbox_to_anchor=(0, 1), frameon=False, labelcolor=_INK)
    figure.suptitle(_heading(found), color=_INK, fontsize=11, x=0.01, ha="left")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100, facecolor=_PAPER)
    return stream.getvalue()


def _heading(found: Spread) -> str:
    said = found.flags[""]
    others = [f"{count:,} {flag.replace('_', ' ')}" for flag, count in sorted(found.flags.items()) if flag and count]
    hidden = len(found.rubric.categories) - MOST
    more = [f"{hidden} further categories not shown"] if hidden > 0 else []
    return "   ·   ".join([f"{said:,} rows scored", *others, *more])
