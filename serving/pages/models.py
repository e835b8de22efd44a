"""Models at a glance, and one model over time: how good its versions are, and how they behave. What the figures are is
serving/views/models.py's, how charts are drawn charts.py's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from pipelines.models import rules
from serving.api.callers import InHouse
from serving.dagster_ui import Pages
from serving.pages import charts, rendering
from serving.pages.chart_lines import Point
from serving.pages.chart_scales import Unit
from serving.pages.charts import Chart, Series, Threshold
from serving.pages.visits import Visit, visits
from serving.views import models as views
from serving.wire.models import Figure, FigureHistory, Model, ModelCard, ModelHistory, ModelVersion, Window

router = APIRouter()
Looks = Annotated[Visit, visits("operate")]
Days = Literal["7", "30", "90"]
MOST_SERIES = 6  # in one chart: as many as there are shapes
WORDS = {"1d": "last day", "7d": "last 7 days", "30d": "last 30 days"}
HOLES = {"1d": timedelta(hours=30)}  # figures are thinned to one a day after a week


@router.get("/models")
def models(request: Request, visit: Looks, house: InHouse) -> Response:
    found = views.listed(house, visit.caller).items
    return rendering.render(request, "models.html", models=found, policy=rules.policy, shown=shown, tone=tone)


@router.get("/models/{name}")
def model(
    request: Request,
    visit: Looks,
    house: InHouse,
    name: str,
    window: Annotated[Window, Query()] = "1d",
    days: Annotated[Days, Query()] = "30",
) -> Response:
    found = views.find(house, visit.caller, name)
    past = views.history(house, visit.caller, name, window=window, days=int(days))
    return rendering.render(
        request,
        "model.html",
        model=found,
        policy=rules.policy(name),
        quality=[charts.draw(chart) for chart in of_quality(found, past)],
        behaviour=[charts.draw(chart) for chart in of_behaviour(past)],
        window=window,
        windows=WORDS,
        days=days,
        spans=get_args(Days),
        shown=shown,
        tone=tone,
        asset_url=Pages(house.settings).asset(f"{name}_release"),
    )


def shown(card: ModelCard | ModelVersion, most: int = 3) -> tuple[Figure, ...]:
    """The figures that a card has room for: the headline, then one of each other measure."""
    version = card if isinstance(card, ModelVersion) else card.live or card.running or card.newest
    found, met = [version.headline], {version.headline.measure}
    for figure in version.figures:
        if figure.measure not in met:
            found.append(figure)
            met.add(figure.measure)
    return tuple(found[:most])


def tone(value: float | None, bound: float) -> str:
    """How a figure that should stay below ``bound`` looks."""
    return "" if value is None else "bad" if value > bound else "warn" if value > 0.8 * bound else "good"


def of_quality(model: Model, past: ModelHistory) -> list[Chart]:
    """The headline over the versions, then each measure, with its targets beside each other where their unit is one."""
    simple = {(f.measure, f.target): f.baseline for f in (model.newest.headline, *model.newest.figures)}
    found = [_made("headline", f"{_measure(past.headline)} by version", (past.headline,), simple)]
    groups: dict[tuple[str, str], list[FigureHistory]] = {}
    for figure in past.figures:
        if (figure.measure, figure.target) != (past.headline.measure, past.headline.target):
            groups.setdefault((figure.measure, figure.unit), []).append(figure)
    for number, ((measure, unit), figures) in enumerate(groups.items()):
        of = f" of {figures[0].target}" if len(figures) == 1 and figures[0].target else ""
        what = f"{measure}{of} in {unit}" if unit else f"{measure}{of}"
        for part, some in enumerate(_parts(figures)):
            found.append(_made(f"figure-{number}-{part}", f"{what} by version", some, simple))
    return found


def _parts(figures: list[FigureHistory]) -> Iterable[tuple[FigureHistory, ...]]:
    return (tuple(figures[i : i + MOST_SERIES]) for i in range(0, len(figures), MOST_SERIES))


def _made(
    key: str, title: str, figures: tuple[FigureHistory, ...], simple: Mapping[tuple[str, str], float | None]
) -> Chart:
    """``simple``: what knows nothing reaches; a line where there is but one series that it could belong to."""
    better = figures[0].better
    baseline = simple.get((figures[0].measure, figures[0].target)) if len(figures) == 1 else None
    lines = () if baseline is None else (Threshold(f"baseline {baseline:.3g}", baseline),)
    series = tuple(
        Series(figure.target or figure.measure, tuple(Point(p.at, p.value) for p in figure.points))
        for figure in figures
    )
    return Chart(key, f"{title}, {better} is better", series, thresholds=lines, from_zero=better == "lower")


def _measure(figure: FigureHistory) -> str:
    return f"{figure.measure} of {figure.target}" if figure.target else figure.measure


def of_behaviour(past: ModelHistory) -> list[Chart]:
    """Calls, latency, errors, second tries and drift, a series a version, with the bounds of the rules as lines."""
    bounds = rules.policy(past.name)
    words, moved = WORDS[past.window], Threshold("another population", bounds.max_psi)
    wanted: tuple[tuple[str, str, str, Unit, Threshold | None], ...] = (
        ("calls", "n", f"Calls, {words}", "count", None),
        ("latency", "latency_p95_ms", "Latency, 95th percentile", "ms", Threshold("too slow", bounds.max_p95_ms)),
        ("errors", "err_rate", "Error rate", "percent", Threshold("taken back above", bounds.max_err_rate)),
        ("retries", "retry_rate", "Second tries", "percent", Threshold("taken back above", bounds.max_retry_rate)),
        (
            "input-drift",
            "input_psi",
            "Drift of the inputs (PSI)",
            "number",
            moved,
        ),
        (
            "output-drift",
            "output_psi",
            "Drift of the answers (PSI)",
            "number",
            moved,
        ),
        ("output-ks", "output_ks", "Drift of the answers (KS distance)", "number", Threshold("too far", bounds.max_ks)),
    )
    versions = past.versions[:MOST_SERIES]
    found = []
    for key, field, title, unit, bound in wanted:
        series = tuple(
            Series(version.version, tuple(Point(p.at, getattr(p, field)) for p in version.points))
            for version in versions
        )
        if any(p.value is not None for one in series for p in one.points):
            lines = (bound,) if bound is not None else ()
            kind: Literal["area", "line"] = "area" if key == "calls" and len(series) == 1 else "line"
            found.append(Chart(key, title, series, unit, kind, lines, gap=HOLES.get(past.window)))
    return found
