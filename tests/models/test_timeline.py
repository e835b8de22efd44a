"""Figures of models over time, as charts want them."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from pipelines.models import figures, timeline
from pipelines.models.candidates import headline, measure
from pipelines.storage import metrics, models
from pipelines.storage.tables import ModelMetrics, ModelVersion
from pipelines.studio import Studio
from tests.models.registered import HOUR, MINUTE, NAME, START, register


def looked_at(studio: Studio, model_id: int, n: int, window: str = "1d") -> None:
    """``n`` looks, a minute apart, with as many calls as looks before them."""
    with studio.database.session() as session:
        for i in range(n):
            session.add(ModelMetrics(model_id=model_id, window=window, n=i, created_at=START + i * MINUTE))


@pytest.mark.parametrize(("n", "most"), [(0, 10), (1, 10), (10, 10), (11, 10), (100, 10), (97, 1)])
def test_many_looks_are_thinned_evenly_and_the_newest_stays(studio: Studio, n: int, most: int) -> None:
    model_id, other = register(studio.database, "v20261122"), register(studio.database, "v20261122.1")
    looked_at(studio, model_id, n)
    looked_at(studio, other, 3)
    looked_at(studio, model_id, 5, "7d")
    with studio.database.session() as session:
        found = metrics.history(session, [model_id], "1d", START - HOUR, most)
    assert set(found) == ({model_id} if n else set())
    counted = [row.n for row in found.get(model_id, [])]
    assert counted == sorted(counted) and len(counted) <= most and counted[-1:] == ([n - 1] if n else [])
    gaps = {b - a for a, b in itertools.pairwise(counted)}
    assert len(gaps) <= 1 and (n > most or counted == list(range(n)))


def test_only_what_is_asked_for(studio: Studio) -> None:
    ids = [register(studio.database, f"v20261122.{n}" if n else "v20261122") for n in range(3)]
    for model_id in ids[:2]:
        looked_at(studio, model_id, 4)
    with studio.database.session() as session:
        rows = models.newest(session, NAME, 9)
        measured = timeline.behaviour(session, rows, "1d", START + 2 * MINUTE)
        assert [(row.id, [look.n for look in looks]) for row, looks in measured] == [(ids[1], [2, 3]), (ids[0], [2, 3])]
        assert timeline.behaviour(session, rows, "30d", START) == []
        newest = metrics.newest_of(session, ids, "1d")
        assert {model_id: row.n for model_id, row in newest.items()} == {ids[0]: 3, ids[1]: 3}
        assert [row.id for row in models.newest(session, NAME, 1, [ids[0]])] == [ids[2], ids[0]]
        assert models.count(session, NAME) == 3


def test_quality_over_versions_with_other_measures() -> None:
    rows = []
    for n, (name, value) in enumerate((("frames", 0.1), ("NDCG@20", 0.2), ("frames", 0.3))):
        told = {"compared": {name: {"model": value, "baseline": None}}, "headline": {"measure": name, "value": value}}
        moment = START + n * timedelta(days=7)
        rows.insert(0, ModelVersion(id=n, name=NAME, version=f"v{n}", metrics=told, created_at=moment))
    (series,) = timeline.quality(rows)
    assert (series.measure, [point.value for point in series.points]) == ("frame accuracy", [0.1, 0.3])
    assert timeline.headline(rows) == series
    assert timeline.quality([]) == []


@pytest.mark.parametrize("metrics_", [{}, {"f1_macro": {"all": None}}, {"targets": {}}, {"judged": {"n": 3}}])
def test_figures_that_are_unknown_are_left_out(metrics_: dict[str, object]) -> None:
    assert figures.every(metrics_) == ()
    told = figures.headline(metrics_)
    assert (told.measure, told.value) == (measure(metrics_), headline(metrics_))
