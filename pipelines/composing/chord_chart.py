"""The lead sheet's grid of a piece: its chords bar by bar, four bars a line, sections named; as cells and as a picture.

Chords are drawn as the piece has them; the piano roll is piano_roll.py's.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.composing.bars import Bar, bars, drawn, pick_up
from pipelines.composing.piano_roll import COLOURS, DIM, INK, PAPER, printable, shown, summary
from pipelines.composing.piece import Piece

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 1200  # px
MOST_LINES = 100  # a longer song has longer lines
SAME = "%"  # a bar with the chord of the one before
_LINE = "#5a6172"


@dataclass(frozen=True, slots=True)
class Cell:
    """A bar: ``chords`` as (where in the bar, 0..1; symbol as printed). SAME alone: as before; nothing: no chord."""

    bar: Bar
    chords: tuple[tuple[float, str], ...]
    section: str


def chart(piece: Piece) -> list[list[Cell]]:
    """Lines of cells; a section begins a new line, and a pick-up bar stands before the first line's four. Bars beyond
    bars.MOST_DRAWN are left out."""
    found, _ = drawn(bars(piece))
    starting = _sections(piece, found)
    lines: list[list[Cell]] = []
    spans, at, before = piece.chords, 0, ""
    per_line, leading = max(4, -(-len(found) // MOST_LINES)), pick_up(found)
    for index, bar in enumerate(found):
        while at < len(spans) and spans[at].end <= bar.start:
            at += 1
        chords: list[tuple[float, str]] = []
        k = at
        while k < len(spans) and spans[k].start < bar.end:
            place = max(0.0, (spans[k].start - bar.start) / (bar.end - bar.start))
            chords.append((place, shown(spans[k].chord.symbol)))
            k += 1
        merged = tuple(c for i, c in enumerate(chords) if not i or c[1] != chords[i - 1][1])
        section = starting.get(index, "")
        alone = merged[0][1] if len(merged) == 1 and merged[0][0] == 0 else ""
        full = lines and len(lines[-1]) >= per_line + (leading and len(lines) == 1)
        if not lines or full or (section and not (leading and index == 1)):
            lines.append([])
        same = bool(alone) and alone == before and not section and len(lines[-1]) > 0
        lines[-1].append(Cell(bar, ((0.0, SAME),) if same else merged, section))
        before = alone or (merged[-1][1] if merged else "")
    return lines


def draw(piece: Piece, *, title: str = "", width: int = WIDTH) -> bytes:
    """PNG of the chart, ``width`` pixels wide. A piece without chords gets a page that says so."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = chart(piece) if piece.chords else []
    head, tall = 64, 74
    height = head + max(1, len(lines)) * tall + 14
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor=PAPER)
    FigureCanvasAgg(figure)
    name = printable(title or piece.name) or "untitled"
    figure.text(20 / width, 1 - 32 / height, name, color=INK, fontsize=15, weight="bold", parse_math=False)
    figure.text(1 - 20 / width, 1 - 32 / height, summary(piece), color=DIM, fontsize=10, ha="right", parse_math=False)
    if lines and (cut := drawn(bars(piece))[1]):
        figure.text(1 - 20 / width, 1 - 52 / height, cut, color=COLOURS["melody"], fontsize=9, ha="right")
    if not lines:
        figure.text(20 / width, 0.3, "This piece has no chords.", color=DIM, fontsize=12)
    else:
        _draw_lines(figure, lines, width, height, head, tall)
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor=PAPER, metadata={"Software": None})
    return out.getvalue()


def _draw_lines(figure: Figure, lines: list[list[Cell]], width: int, height: int, head: int, tall: int) -> None:
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)  # px from above
    left, right = 20, width - 20
    whole = max(cell.bar.end - cell.bar.start for line in lines for cell in line)
    # All bars are equally wide but those that are shorter than a bar, and each line begins at the left.
    shares = [[max(0.4, (c.bar.end - c.bar.start) / whole) if i == 0 else 1.0 for i, c in enumerate(line)]
              for line in lines]  # fmt: skip
    per_bar = (right - left) / max(4.0, *(sum(share) for share in shares))
    for i, (line, widths) in enumerate(zip(lines, shares, strict=True)):
        top = head + i * tall + 18
        x = float(left)
        for cell, share in zip(line, widths, strict=True):
            _draw_cell(figure, cell, x, top, per_bar * share)
            x += per_bar * share
        axes.plot([x, x], [top, top + 44], color=_LINE, lw=1.2 if i < len(lines) - 1 else 4)


def _draw_cell(figure: Figure, cell: Cell, x: float, top: float, wide: float) -> None:
    axes = figure.axes[0]
    axes.plot([x, x], [top, top + 44], color=_LINE, lw=1.2)
    axes.plot([x, x + wide], [top + 44, top + 44], color="#2a2e37", lw=0.8)
    text = f"{cell.bar.number}" + (f"  {cell.bar.numerator}/{cell.bar.denominator}" if cell.bar.changes else "")
    axes.text(x + 5, top + 8, text, color=DIM, fontsize=7)
    if cell.section:
        axes.text(x + 2, top - 5, cell.section, color=COLOURS["melody"], fontsize=9, parse_math=False)
    for k, (place, symbol) in enumerate(cell.chords):
        until = cell.chords[k + 1][0] if k + 1 < len(cell.chords) else 1.0
        room = wide * (until - place) - 8
        size = min(17.0, max(6.0, room / (0.92 * max(2, len(symbol)))))
        colour = DIM if symbol == SAME else INK
        axes.text(x + 8 + wide * place, top + 34, symbol, color=colour, fontsize=size, parse_math=False)


def _sections(piece: Piece, found: list[Bar]) -> dict[int, str]:
    """Names of sections by the index of their first bar: the markers that are no chord symbols."""
    import bisect

    symbols = {(span.start, span.chord.symbol) for span in piece.chords}
    starts = [bar.start for bar in found]
    named: dict[int, str] = {}
    for marker in piece.markers:
        text = printable(marker.text)
        if text and marker.tick < found[-1].end and (marker.tick, marker.text) not in symbols:
            named.setdefault(max(0, bisect.bisect_right(starts, marker.tick) - 1), text)
    return named
