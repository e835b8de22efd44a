"""A piece as a picture of pitch over time, for a composer's eye: parts in colours, bars, chords above, drums below.

It draws what the piece holds and judges nothing. The lead sheet is chord_chart.py's.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING

import numpy as np

from pipelines.composing.bars import Bar, bars, drawn, systems
from pipelines.composing.piece import Part, Piece, Role

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 1200  # px
MOST_SYSTEMS = 10
PAPER, INK, DIM, GRID = "#14161b", "#e8e6e3", "#9aa3b2", "#2a2e37"
COLOURS: dict[Role, str] = {
    "melody": "#ffd166",
    "alto": "#ef8a9d",
    "tenor": "#7bd88f",
    "bass": "#5ab0ff",
    "chords": "#c3a6ff",
    "pad": "#8fae7f",
    "arpeggio": "#4fd1c5",
    "drums": "#b8bfcc",
    "other": "#d8975f",
}
# Lanes of a drum part from below; General MIDI's percussion map, what plays alike on one line.
LANES: tuple[tuple[str, frozenset[int]], ...] = (
    ("kick", frozenset({35, 36})),
    ("snare", frozenset({37, 38, 39, 40})),
    ("toms", frozenset({41, 43, 45, 47, 48, 50})),
    ("hi-hat", frozenset({42, 44, 46})),
    ("cymbals", frozenset({49, 51, 52, 53, 55, 57, 59})),
)
OTHER_DRUMS = "shaken"  # shakers, tambourines, hands, blocks
_LANE = 13  # px
_BLACK = {1, 3, 6, 8, 10}


@dataclass(frozen=True, slots=True)
class _Lanes:
    """Drums' lanes below the roll, ``names`` from below; ``height`` and ``top`` in semitones."""

    names: tuple[str, ...]
    height: float
    top: float

    def middle(self, name: str) -> float:
        return self.top - self.height * (len(self.names) - self.names.index(name) - 0.5)


def shown(symbol: str) -> str:
    """A chord symbol as it is printed: with the signs for sharp and flat."""
    out = symbol.replace("#", "♯")
    return "".join("♭" if c == "b" and i and (out[i - 1] in "ABCDEFG" or out[i + 1 : i + 2].isdigit()) else c
                   for i, c in enumerate(out))  # fmt: skip


def draw(piece: Piece, *, title: str = "", width: int = WIDTH) -> bytes:
    """PNG of the piece in systems of some eight bars, one below the other, ``width`` pixels wide.

    Long pieces have longer systems, at most MOST_SYSTEMS; beyond bars.MOST_DRAWN bars the picture ends and says so.
    Velocity is the colour's strength. A piece without notes is an empty roll.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown_bars, cut = drawn(bars(piece))
    rows = systems(shown_bars, quarters=32, ticks_per_quarter=piece.ticks_per_quarter, most=MOST_SYSTEMS)
    low, high = _range(piece.parts)
    lanes = _lanes(piece.parts)
    semitone = min(8.0, max(4.0, 260 / (high - low + 1)))  # px
    lane = _LANE / semitone  # height of a drum's lane in semitones
    tall = (high - low + 1) * semitone + _LANE * len(lanes)  # px of a system's roll
    head, gap = 78, 52
    height = head + len(rows) * (tall + gap) + 8
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor=PAPER)
    FigureCanvasAgg(figure)
    name = printable(title or piece.name) or "untitled"
    figure.text(14 / width, 1 - 26 / height, name, color=INK, fontsize=13, weight="bold",
                parse_math=False)  # fmt: skip
    figure.text(1 - 14 / width, 1 - 26 / height, summary(piece), color=DIM, fontsize=10, ha="right", parse_math=False)
    if cut:
        figure.text(1 - 14 / width, 1 - 48 / height, cut, color=COLOURS["melody"], fontsize=10, ha="right")
    keys = [
        Patch(color=COLOURS[part.role], label=printable(part.name or part.role)) for part in piece.parts if part.notes
    ]
    if keys:
        figure.legend(handles=keys[:12], loc="upper left", bbox_to_anchor=(6 / width, 1 - 32 / height),
                      ncols=min(12, len(keys)), frameon=False, labelcolor=INK, fontsize=9, handlelength=1,
                      handleheight=1, columnspacing=1.4)  # fmt: skip
    left, right = 54, 12
    longest = max(row[-1].end - row[0].start for row in rows)
    for i, row in enumerate(rows):
        bottom = height - head - (i + 1) * (tall + gap) + 14
        # A shorter last row keeps its scale.
        share = (row[-1].end - row[0].start) / longest
        axes = figure.add_axes(
            (left / width, bottom / height, (width - left - right) * share / width, tall / height), facecolor=PAPER
        )
        _draw_system(axes, piece, row, low, high, _Lanes(tuple(lanes), lane, low - 0.5), longest)
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor=PAPER, metadata={"Software": None})
    return out.getvalue()


def _draw_system(
    axes: Axes, piece: Piece, row: Sequence[Bar], low: int, high: int, lanes: _Lanes, longest: int
) -> None:
    """``longest``: ticks of the longest row, which all have the scale of."""
    from matplotlib.collections import LineCollection, PolyCollection

    start, end = row[0].start, row[-1].end
    axes.set_xlim(start, end)
    axes.set_ylim(lanes.top - lanes.height * len(lanes.names), high + 0.5)
    black = [
        [(start, p - 0.5), (end, p - 0.5), (end, p + 0.5), (start, p + 0.5)]
        for p in range(low, high + 1)
        if p % 12 in _BLACK
    ]
    axes.add_collection(PolyCollection(black, facecolors="#1a1d24", linewidths=0, zorder=0.5), autolim=False)
    lines = [float(bar.start) for bar in row]
    beats = [bar.start + n * bar.beat_ticks for bar in row for n in range(1, bar.numerator)] if len(row) <= 20 else []
    # Collections, since a line of its own for each beat takes longer to make than all that is played.
    for places, colour, thick, order in ((lines, "#4a5060", 1.0, 0.8), (beats, GRID, 0.6, 0.7)):
        upright = [[(x, 0.0), (x, 1.0)] for x in places]
        axes.add_collection(
            LineCollection(
                upright,
                colors=colour,
                linewidths=thick,
                zorder=order,
                snap=True,
                transform=axes.get_xaxis_transform(),
            ),
            autolim=False,
        )
    _draw_notes(axes, piece, start, end, lanes, longest)
    if lanes.names:
        axes.axhline(lanes.top, color="#4a5060", lw=0.8)
    marks = [p for p in range(low, high + 1) if p % 12 == 0] or [low]
    ticks = [(float(p), f"C{p // 12 - 1}" if p % 12 == 0 else str(p)) for p in marks]
    ticks += [(lanes.middle(name), name) for name in lanes.names]
    axes.set_yticks([y for y, _ in ticks], [name for _, name in ticks], color=DIM, fontsize=7.5)
    axes.set_xticks([])
    axes.tick_params(length=0, pad=4)
    for spine in axes.spines.values():
        spine.set_color(GRID)
    _write_above(axes, piece, row, start, end)


def _draw_notes(axes: Axes, piece: Piece, start: int, end: int, lanes: _Lanes, longest: int) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgb

    hair = longest / 1400  # between notes that touch, so that repeated ones are seen
    # The melody is drawn last: it is what everything else is heard against.
    for part in sorted(piece.parts, key=lambda part: part.role == "melody"):
        boxes, colours = [], []
        rgb = np.array(to_rgb(COLOURS[part.role]))
        for note in part.notes:  # in order of their beginnings
            if note.start >= end:
                break
            if note.end <= start:
                continue
            if part.drums:
                shape = _hit(note.start, lanes.middle(lane_of(note.pitch)), longest / 170, lanes.height * 0.36)
            else:
                a, b = max(note.start, start), max(min(note.end, end) - hair, note.start + hair)
                shape = [(a, note.pitch - 0.42), (b, note.pitch - 0.42), (b, note.pitch + 0.42), (a, note.pitch + 0.42)]
            boxes.append(shape)
            colours.append((*rgb, 0.35 + 0.65 * min(1.0, note.velocity / 110)))
        if boxes:
            axes.add_collection(PolyCollection(boxes, facecolors=colours, linewidths=0))


def _hit(x: float, y: float, width: float, half: float) -> list[tuple[float, float]]:
    """A wedge whose upright edge stands at the moment of the stroke."""
    return [(x, y - half), (x + width, y), (x, y + half)]


def _write_above(axes: Axes, piece: Piece, row: Sequence[Bar], start: int, end: int) -> None:
    """Bar numbers and metres, chord symbols, and the names of sections, in three lines that do not collide."""
    transform = axes.get_xaxis_transform()
    per_tick = axes.bbox.width / (end - start)  # px
    free = float(start) - 1e9
    for bar, after in zip_longest(row, row[1:]):
        text = f"{bar.number}" + (f"  {bar.numerator}/{bar.denominator}" if bar.changes else "")
        if after is not None and after.changes and 6 * len(text) + 4 > (bar.end - bar.start) * per_tick:
            text = f"{bar.number}"  # of a pick-up, so that there is room for the metre after it
        if (bar.start - free) * per_tick > 4:
            axes.text(bar.start, -0.012, text, color=DIM, fontsize=7.5, va="top", transform=transform)
            free = bar.start + 6 * len(text) / per_tick
    spans = [span for span in piece.chords if span.end > start and span.start < end]
    # One that only goes on from the row above is there in brackets, so that each row can be read alone.
    symbols = [shown(s.chord.symbol) if s.start >= start else f"({shown(s.chord.symbol)})" for s in spans]
    rooms = [(later.start - max(s.start, start)) * per_tick for s, later in pairwise(spans)]
    close = any(room < 8.2 * len(symbol) + 2 for room, symbol in zip(rooms, symbols, strict=False))
    size, wide = (7.0, 6.2) if close else (9.0, 8.2)
    free = float(start) - 1e9
    for span, symbol in zip(spans, symbols, strict=True):
        at = max(span.start, start)
        if (at - free) * per_tick > 0:
            axes.text(at, 1.012, symbol, color=INK, fontsize=size, va="bottom", transform=transform, parse_math=False)
            free = at + (wide * len(symbol) + 1) / per_tick
    free = float(start) - 1e9
    above = 1.012 + 16 / (axes.bbox.height)
    chords = {(span.start, span.chord.symbol) for span in piece.chords}
    for marker in piece.markers:
        if not start <= marker.tick < end or (marker.tick, marker.text) in chords:
            continue
        text = printable(marker.text)[:40]
        if text and (marker.tick - free) * per_tick > 3:
            axes.text(marker.tick, above, text, color=COLOURS["melody"], fontsize=8, va="bottom", transform=transform,
                      parse_math=False)  # fmt: skip
            free = marker.tick + 6.5 * len(text) / per_tick


def lane_of(pitch: int) -> str:
    return next((name for name, pitches in LANES if pitch in pitches), OTHER_DRUMS)


def _lanes(parts: Sequence[Part]) -> list[str]:
    used = {lane_of(note.pitch) for part in parts if part.drums for note in part.notes}
    return [name for name in (*(name for name, _ in LANES), OTHER_DRUMS) if name in used]


def _range(parts: Sequence[Part]) -> tuple[int, int]:
    pitches = [note.pitch for part in parts if not part.drums for note in part.notes]
    if not pitches:
        return (60, 72) if not any(part.notes for part in parts) else (60, 61)
    low, high = min(pitches) - 1, max(pitches) + 1
    return (low, max(high, low + 12))


def summary(piece: Piece) -> str:
    """Key, tempo, bars and length in one line."""
    found = bars(piece)
    key = shown(piece.keys[0].key.name) if piece.keys else ""
    tempo = f"♩ = {60e6 / piece.tempos[0].quarter_us:.0f}" if piece.tempos else ""
    seconds = round(piece.seconds(piece.length))
    many = f"{len(found)} bar{'s' if len(found) != 1 else ''}"
    return "   ".join(filter(None, (key, tempo, many, f"{seconds // 60}:{seconds % 60:02d}")))


def printable(text: str) -> str:
    """Without what cannot be drawn: names of tracks come from strangers."""
    return "".join(c for c in text if c.isprintable())[:48].strip()
