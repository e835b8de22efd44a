"""Pictures of edits for the asset's page: the patterns of a job over the music that they cut to."""

from __future__ import annotations

import io
from collections.abc import Sequence

from pipelines.editing.plan import Edit
from pipelines.editing.shared import SharedFeatures


def patterns_over_time(edits: Sequence[Edit], shared: SharedFeatures) -> bytes:
    """PNG: one row a pattern, one block a segment (colour = clip), under the music's energy and above its grid."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    names = [c.path.rsplit("/", 1)[-1] for c in edits[0].clips]
    colours = [colormaps["tab10" if len(names) <= 10 else "tab20"](i % 20) for i in range(len(names))]
    figure = Figure(figsize=(11, 1.6 + 0.55 * len(edits)), layout="constrained", dpi=110)
    top, rows = figure.subplots(2, 1, sharex=True, height_ratios=[1, 0.6 * len(edits)])

    top.stairs(shared.slot_energy, shared.grid - shared.grid[0], fill=True, color="#c9a96a", alpha=0.9)
    strong = shared.grid_strength >= 0.9
    top.vlines((shared.grid - shared.grid[0])[strong], 0, 1, color="#444444", lw=0.6, alpha=0.6)
    top.set(ylabel="energy", yticks=[], ylim=(0, 1.05))
    for row, edit in enumerate(edits):
        fps = float(edit.rate)
        for segment in edit.segments:
            rows.barh(
                row,
                segment.n_frames / fps,
                left=segment.record_start / fps,
                height=0.78,
                color=colours[segment.clip],
                edgecolor="white",
                linewidth=0.8,
            )
    rows.set(yticks=range(len(edits)), yticklabels=[e.pattern for e in edits], xlabel="seconds of the edit")
    rows.set_xlim(0, edits[0].duration)
    rows.invert_yaxis()
    used = sorted({s.clip for e in edits for s in e.segments})
    rows.legend(
        handles=[rows.barh(0, 0, color=colours[i]) for i in used],
        labels=[_plain(names[i], i) for i in used],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.28),
        ncols=4,
        frameon=False,
        fontsize=8,
    )
    for axis in (top, rows):
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(length=0)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def _plain(name: str, index: int) -> str:
    """The name if the font at hand can draw it; fonts for Japanese are not on every machine."""
    return name if name.isascii() else f"clip {index + 1}"
