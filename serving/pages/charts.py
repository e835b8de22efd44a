"""Charts as inline SVG, drawn on the server: lines or areas over time, with a table of the same figures beneath.

No script and no inline style: colours come from static/charts.css by class, light and dark alike. Series are told apart
by shape and dashes as well as by colour; what is missing is a gap. Ticks are chart_scales.py's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from markupsafe import Markup, escape

from serving.pages import chart_scales
from serving.pages.chart_lines import SHAPES, Point, by_time, coord, runs, shape, thinned
from serving.pages.chart_scales import Scale, Unit

WIDTH, HEIGHT = 520, 250  # of the drawing's own space; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 34
MOST_MARKS = 40  # beyond, the line alone carries the shape, and a mark stands at every so many points
MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Series:
    """Points in any order; of several at one moment the last counts."""

    label: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A line across the chart: what a value must not pass, or must reach."""

    label: str
    value: float


@dataclass(frozen=True, slots=True)
class Chart:
    """``key``: unique on its page, of letters, digits and hyphens. ``gap``: points further apart are not joined.
    ``from_zero``: the axis includes 0, which areas always do."""

    key: str
    title: str
    series: tuple[Series, ...]
    unit: Unit = "number"
    kind: Literal["line", "area"] = "line"
    thresholds: tuple[Threshold, ...] = ()
    from_zero: bool = True
    gap: timedelta | None = None
    empty: str = "Nothing has been measured yet."


def draw(chart: Chart) -> Markup:
    """The figure: heading, drawing, legend and table. All texts are escaped; a chart without a value says so."""
    series = tuple(Series(one.label, tuple(by_time(one.points))) for one in chart.series)
    known = [(point.at, point.value) for one in series for point in one.points if point.value is not None]
    head = Markup('<figcaption id="{0}-caption">{1}</figcaption>').format(chart.key, chart.title)
    if not known:
        said = Markup('<p class="chart-empty">{}</p>').format(chart.empty)
        return Markup('<figure class="chart" id="{}">{}{}</figure>').format(chart.key, head, said)
    parts = [head, _drawing(chart, series, known), _legend(chart, series), _table(chart, series)]
    return Markup('<figure class="chart" id="{}">{}</figure>').format(chart.key, _joined(parts))


def _drawing(chart: Chart, series: tuple[Series, ...], known: list[tuple[datetime, float]]) -> Markup:
    first, last = min(at for at, _ in known), max(at for at, _ in known)
    if first == last:
        first, last = first - timedelta(hours=1), last + timedelta(hours=1)
    numbers = [value for _, value in known] + [line.value for line in chart.thresholds]
    zero = chart.from_zero or chart.kind == "area"
    scale = chart_scales.values(min(numbers), max(numbers), from_zero=zero)
    place = _Place(first, last, scale)
    described = Markup('<title id="{0}-title">{1}</title><desc id="{0}-desc">{2}</desc>').format(
        chart.key, chart.title, _words(chart, series, first, last)
    )
    parts = [described, _axes(chart, place)]
    parts += [_line(chart, n, one, place) for n, one in enumerate(series)]
    parts += [_threshold(line, place) for line in chart.thresholds]  # on top, or its words could not be read
    opening = Markup(
        '<svg viewBox="0 0 {w} {h}" role="img" aria-labelledby="{key}-title" aria-describedby="{key}-desc"'
        ' focusable="false">'
    ).format(w=WIDTH, h=HEIGHT, key=chart.key)
    return Markup("{}{}</svg>").format(opening, _joined(parts))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a moment and a value lie in the drawing."""

    first: datetime
    last: datetime
    scale: Scale

    def x(self, at: datetime) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((at - self.first) / (self.last - self.first))

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * self.scale.share(value)


def _axes(chart: Chart, place: _Place) -> Markup:
    parts = []
    for tick in place.scale.ticks:
        y = coord(place.y(tick))
        kind = "zero" if tick == 0 else "grid"
        label = chart_scales.figure(tick, chart.unit, place.scale.decimals)
        parts.append(
            Markup('<line class="{}" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(kind, LEFT, WIDTH - RIGHT, y=y)
        )
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="end" dominant-baseline="middle">{}</text>').format(
                LEFT - 7, y, label
            )
        )
    ticks = chart_scales.moments(place.first, place.last)
    for at, label in zip(ticks, chart_scales.moment_labels(ticks), strict=True):
        x = place.x(at)
        # At the right end a centred label would be cut off.
        anchor = "end" if x > WIDTH - RIGHT - 22 else "middle"
        low = HEIGHT - BOTTOM
        parts.append(
            Markup('<line class="tickmark" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(coord(x), low, low + 5)
        )
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>').format(
                coord(x), low + 22, anchor, label
            )
        )
    return Markup('<g class="axes" aria-hidden="true">{}</g>').format(_joined(parts))


def _threshold(line: Threshold, place: _Place) -> Markup:
    y = place.y(line.value)
    above = y > TOP + 16
    return Markup(
        '<g class="threshold"><line x1="{}" x2="{}" y1="{y}" y2="{y}"/>'
        '<text x="{}" y="{ty}" text-anchor="end">{label}</text></g>'
    ).format(
        LEFT,
        WIDTH - RIGHT,
        WIDTH - RIGHT - 4,
        y=coord(y),
        ty=coord(y - 5 if above else y + 14),
        label=line.label,
    )


def _line(chart: Chart, number: int, one: Series, place: _Place) -> Markup:
    stretches = [thinned(run) for run in runs(one.points, chart.gap)]
    drawn = [[(place.x(p.at), place.y(p.value)) for p in run if p.value is not None] for run in stretches]
    joined = ["L".join(f"{coord(x)} {coord(y)}" for x, y in run) for run in drawn if len(run) > 1]
    parts = [Markup('<path class="line" d="{}" fill="none"/>').format("".join(f"M{line}" for line in joined))]
    if chart.kind == "area":
        ground = coord(place.y(0.0))
        ends = [(coord(run[0][0]), coord(run[-1][0])) for run in drawn if len(run) > 1]
        areas = (f"M{a} {ground}L{line}L{b} {ground}Z" for line, (a, b) in zip(joined, ends, strict=True))
        parts.insert(0, Markup('<path class="fill" d="{}"/>').format("".join(areas)))
    every = math.ceil(sum(len(run) for run in stretches) / MOST_MARKS)
    kind = SHAPES[number % len(SHAPES)]
    for run, spots in zip(stretches, drawn, strict=True):
        for point, (x, y) in list(zip(run, spots, strict=True))[::every]:
            assert point.value is not None
            said = f"{one.label}, {_moment(point.at)}: {chart_scales.figure(point.value, chart.unit)}"
            parts.append(Markup('<path class="mark" d="{}"><title>{}</title></path>').format(shape(kind, x, y), said))
    return Markup('<g class="series series-{}">{}</g>').format(number % len(SHAPES), _joined(parts))


def _legend(chart: Chart, series: tuple[Series, ...]) -> Markup:
    if len(series) < 2:
        return Markup("")
    rows = []
    for number, one in enumerate(series):
        mark = shape(SHAPES[number % len(SHAPES)], 16, 8)
        rows.append(
            Markup(
                '<li><svg class="key series series-{}" viewBox="0 0 32 16" aria-hidden="true" focusable="false">'
                '<path class="line" d="M0 8H32" fill="none"/><path class="mark" d="{}"/></svg>{}</li>'
            ).format(number % len(SHAPES), mark, one.label)
        )
    return Markup('<ul class="legend" aria-label="Series of {}">{}</ul>').format(chart.title, _joined(rows))


def _table(chart: Chart, series: tuple[Series, ...]) -> Markup:
    by_moment: dict[datetime, dict[int, float]] = {}
    for number, one in enumerate(series):
        for point in one.points:
            if point.value is not None:
                by_moment.setdefault(point.at, {})[number] = point.value
    newest = sorted(by_moment, reverse=True)[:MOST_ROWS]
    head = _joined(Markup('<th scope="col" class="number">{}</th>').format(one.label) for one in series)
    body = []
    for at in newest:
        cells = (
            chart_scales.figure(by_moment[at][n], chart.unit) if n in by_moment[at] else "\u2013"
            for n in range(len(series))
        )
        row = _joined(Markup('<td class="number">{}</td>').format(cell) for cell in cells)
        body.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(_moment(at), row))
    more = f" (the newest {MOST_ROWS} of {len(by_moment)})" if len(by_moment) > MOST_ROWS else ""
    return Markup(
        '<details class="figures"><summary>Figures as a table{more}</summary>'
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="{key}-caption">'
        '<table><caption class="unseen">{title}</caption><thead><tr><th scope="col">Time (UTC)</th>{head}</tr></thead>'
        "<tbody>{body}</tbody></table></div></details>"
    ).format(more=more, key=chart.key, title=chart.title, head=head, body=_joined(body))


def _words(chart: Chart, series: tuple[Series, ...], first: datetime, last: datetime) -> str:
    """What the eye sees, for who hears the page."""
    said = [f"From {_moment(first)} to {_moment(last)} UTC."]
    for one in series:
        known = [point.value for point in one.points if point.value is not None]
        if not known:
            said.append(f"{one.label}: nothing measured.")
            continue
        lowest, highest, newest = (chart_scales.figure(v, chart.unit) for v in (min(known), max(known), known[-1]))
        gaps = len(runs(one.points, chart.gap)) - 1
        holes = f", {gaps} {'gap' if gaps == 1 else 'gaps'}" if gaps else ""
        said.append(f"{one.label}: lowest {lowest}, highest {highest}, last {newest}{holes}.")
    said += [f"Line at {chart_scales.figure(t.value, chart.unit)}: {t.label}." for t in chart.thresholds]
    return " ".join(said)


def _moment(at: datetime) -> str:
    return f"{at.day} {at:%b %Y %H:%M}"


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(escape(part) for part in parts)
