"""Charts: what is drawn is what was measured; nothing of it is code, style or guesswork."""

from __future__ import annotations

import itertools
import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from defusedxml import ElementTree
from hypothesis import given
from hypothesis import strategies as st

from serving.pages import chart_lines, chart_scales, charts
from serving.pages.chart_lines import Point
from serving.pages.charts import Chart, Series, Threshold

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def series(label: str, *values: float | None, every: timedelta = HOUR) -> Series:
    return Series(label, tuple(Point(START + n * every, value) for n, value in enumerate(values)))


def drawn(chart: Chart) -> Element:
    """As a parser sees it that forgives nothing."""
    return ElementTree.fromstring(str(charts.draw(chart)))


def paths(figure: Element, kind: str, number: int = 0) -> list[str]:
    group = next(g for g in figure.iter("g") if g.get("class", "").endswith(f"series-{number}"))
    return [path.get("d", "") for path in group.iter("path") if path.get("class") == kind]


def corners(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)]


def test_line_goes_through_its_points_in_order_and_to_scale() -> None:
    figure = drawn(Chart("c", "Latency", (series("v1", 0.0, 5.0, 10.0),), "ms"))
    (line,) = paths(figure, "line")
    (x0, y0), (x1, y1), (x2, y2) = corners(line)
    assert x0 == charts.LEFT and x2 == charts.WIDTH - charts.RIGHT
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert (y0, y2) == (charts.HEIGHT - charts.BOTTOM, charts.TOP)
    assert y1 == pytest.approx((y0 + y2) / 2, abs=0.1)


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -math.inf])
def test_what_is_missing_is_a_gap_not_a_zero(nothing: float | None) -> None:
    figure = drawn(Chart("c", "Errors", (series("v1", 1.0, 2.0, nothing, 2.0, 1.0),)))
    (line,) = paths(figure, "line")
    assert line.count("M") == 2
    assert len(corners(line)) == 4
    assert "1 gap." in figure.findtext(".//desc", "")


def test_a_lone_point_between_gaps_is_seen() -> None:
    figure = drawn(Chart("c", "Errors", (series("v1", 1.0, None, 3.0, None, 1.0),)))
    assert paths(figure, "line") == [""]
    assert len(paths(figure, "mark")) == 3


def test_points_that_lie_too_far_apart_are_not_joined() -> None:
    far = Series("v1", (Point(START, 1.0), Point(START + HOUR, 2.0), Point(START + 9 * HOUR, 3.0)))
    apart = paths(drawn(Chart("c", "t", (far,), gap=2 * HOUR)), "line")[0]
    joined = paths(drawn(Chart("c", "t", (far,))), "line")[0]
    assert (len(corners(apart)), len(corners(joined))) == (2, 3)


def test_points_may_come_in_any_order_and_zone() -> None:
    one = series("v1", 1.0, 4.0, 2.0)
    zone = datetime.now().astimezone().tzinfo
    other = Series("v1", tuple(Point(p.at.astimezone(zone), p.value) for p in reversed(one.points)))
    assert charts.draw(Chart("c", "t", (one,))) == charts.draw(Chart("c", "t", (other,)))


def test_series_are_told_apart_without_colour() -> None:
    many = tuple(series(f"v{n}", 1.0 + n, 2.0 + n) for n in range(6))
    figure = drawn(Chart("c", "t", many))
    shapes = set()
    for number in range(6):
        x, y = corners(paths(figure, "line", number)[0])[0]
        commands = re.sub(r"[-\d. ]+", "", paths(figure, "mark", number)[0])
        first = re.match(r"M(-?[\d.]+) (-?[\d.]+)", paths(figure, "mark", number)[0])
        assert first is not None
        shapes.add((commands, round(float(first[1]) - x), round(float(first[2]) - y)))
    assert len(shapes) == 6
    css = (Path(charts.__file__).parent / "static" / "charts.css").read_text()
    dashes = re.findall(r"\.series-\d \.line \{ stroke: [^;]+; stroke-dasharray: ([^;]+);", css)
    assert len(set(dashes)) == 5  # and the first is whole
    legend = [item.text or "".join(item.itertext()) for item in figure.iter("li")]
    assert [text.strip() for text in legend] == [f"v{n}" for n in range(6)]


def test_area_stands_on_zero() -> None:
    figure = drawn(Chart("c", "Calls", (series("v1", 3.0, 9.0),), "count", "area"))
    (fill,) = paths(figure, "fill")
    ground = charts.HEIGHT - charts.BOTTOM
    assert fill.endswith("Z")
    assert corners(fill)[0][1] == corners(fill)[-1][1] == ground


def test_thresholds_lie_inside_even_when_no_value_comes_near() -> None:
    chart = Chart("c", "Drift", (series("v1", 0.01, 0.02),), thresholds=(Threshold("another population", 0.25),))
    figure = drawn(chart)
    group = next(g for g in figure.iter("g") if g.get("class") == "threshold")
    y = float(next(group.iter("line")).get("y1", ""))
    assert charts.TOP <= y <= charts.HEIGHT - charts.BOTTOM
    assert group.findtext("text") == "another population"
    assert "Line at 0.250: another population." in figure.findtext(".//desc", "")


def test_table_holds_the_same_figures_newest_first() -> None:
    figure = drawn(Chart("c", "Errors", (series("v1", 0.01, None, 0.025), series("v2", None, 0.5)), "percent"))
    rows = [["".join(cell.itertext()) for cell in row] for row in figure.iter("tr")]
    assert rows == [
        ["Time (UTC)", "v1", "v2"],
        ["2 Mar 2026 11:30", "2.5\u202f%", "–"],
        ["2 Mar 2026 10:30", "–", "50.0\u202f%"],
        ["2 Mar 2026 09:30", "1.0\u202f%", "–"],
    ]


def test_it_has_a_name_and_a_description_for_who_hears_it() -> None:
    figure = drawn(Chart("errors", "Error rate", (series("v1", 0.01, 0.03),), "percent"))
    svg = next(figure.iter("svg"))
    assert svg.get("role") == "img"
    by_id = {element.get("id"): element for element in figure.iter() if element.get("id")}
    assert by_id[svg.get("aria-labelledby")].text == "Error rate"
    said = by_id[svg.get("aria-describedby")].text or ""
    assert "v1: lowest 1.0\u202f%, highest 3.0\u202f%, last 3.0\u202f%." in said


def test_nothing_measured_is_said_in_words() -> None:
    figure = drawn(Chart("c", "Errors", (series("v1", None, math.nan),), empty="No calls yet."))
    assert not list(figure.iter("svg"))
    assert figure.findtext("p") == "No calls yet."


def test_texts_are_text_and_there_is_no_style_and_no_script() -> None:
    nasty = '"><script>alert(1)</script>{{7*7}}<img src=x onerror=alert(1)>'
    chart = Chart("c", nasty, (series(nasty, 1.0, 2.0), series("v2", 2.0)), thresholds=(Threshold(nasty, 1.5),))
    html = str(charts.draw(chart))
    figure = drawn(chart)
    tags = {element.tag for element in figure.iter()}
    assert not tags & {"script", "img", "style"}
    assert not re.search(r"\sstyle=|\son[a-z]+=", re.sub(r">[^<]*<", "><", re.sub(r'"[^"]*"', '""', html)))
    assert figure.findtext("figcaption") == nasty


def test_long_series_keep_their_peaks_and_stay_small() -> None:
    values = [1.0] * 5000
    values[3217] = 9.0
    chart = Chart("c", "t", (series("v1", *values, every=timedelta(minutes=15)),))
    html = str(charts.draw(chart))
    (line,) = paths(drawn(chart), "line")
    assert min(y for _, y in corners(line)) == pytest.approx(
        charts.TOP + (charts.HEIGHT - charts.TOP - charts.BOTTOM) / 10, abs=0.2
    )
    assert len(corners(line)) <= chart_lines.MOST_POINTS + 2
    assert len(html) < 60_000
    assert "the newest 200 of 5000" in html


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=20), st.booleans())
def test_scale_holds_every_value_between_ticks_that_differ(values: list[float], from_zero: bool) -> None:
    scale = chart_scales.values(min(values), max(values), from_zero=from_zero)
    room = 1e-6 * (scale.high - scale.low)
    assert scale.low - room <= min(values) and max(values) <= scale.high + room
    assert 2 <= len(scale.ticks) <= 12
    assert list(scale.ticks) == sorted(set(scale.ticks))
    labels = [chart_scales.figure(tick, "number", scale.decimals) for tick in scale.ticks]
    assert len(set(labels)) == len(labels)
    if from_zero:
        assert scale.low <= 0 <= scale.high


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 10, (0, 2.5, 5, 7.5, 10)),
        (0, 1, (0, 0.25, 0.5, 0.75, 1)),
        (0.6, 0.8, (0.6, 0.65, 0.7, 0.75, 0.8)),
        (0, 0.02, (0, 0.005, 0.01, 0.015, 0.02)),
        (-3, 3, (-4, -2, 0, 2, 4)),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: tuple[float, ...]) -> None:
    assert chart_scales.values(low, high).ticks == ticks


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), st.integers(60, 40 * 366 * 86400))
def test_moments_are_round_few_and_inside(start: datetime, seconds: int) -> None:
    first = start.replace(tzinfo=UTC)
    last = first + timedelta(seconds=seconds)
    ticks = chart_scales.moments(first, last)
    assert len(ticks) <= 6
    assert all(first <= tick <= last and tick.second == 0 for tick in ticks)
    if seconds >= 400:
        assert len(ticks) >= 1
    labels = chart_scales.moment_labels(ticks)
    assert all(one != other for one, other in itertools.pairwise(labels))


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (timedelta(hours=5), ("10:00", "11:00", "12:00", "13:00", "14:00")),
        (timedelta(days=1), ("12:00", "18:00", "3 Mar", "06:00")),
        (timedelta(days=28), ("9 Mar", "16 Mar", "23 Mar", "30 Mar")),
        (timedelta(days=180), ("Apr 2026", "May 2026", "Jun 2026", "Jul 2026", "Aug 2026")),
    ],
)
def test_moments_are_labelled_as_people_say_them(span: timedelta, labels: tuple[str, ...]) -> None:
    assert chart_scales.moment_labels(chart_scales.moments(START, START + span)) == labels


def test_figures_have_units_and_only_digits_that_mean_something() -> None:
    said = chart_scales.figure
    assert said(0.0249, "percent") == "2.5\u202f%"
    assert said(0.0025, "percent") == "0.25\u202f%"
    assert said(12.345, "ms") == "12.3\u202fms"
    assert said(1204, "count") == "1,204"
    assert said(-0.0001, "number") == "0.000"
    assert said(0.005, "percent", 3) == "0.5\u202f%"
