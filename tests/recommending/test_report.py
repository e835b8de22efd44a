from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

from pipelines.recommending import gates, report, report_drawings, report_pictures, splits
from pipelines.recommending.evaluation import evaluate
from pipelines.recommending.linear_models import decayed_ridge
from pipelines.recommending.popularity import popularity, recent_popularity
from pipelines.recommending.report import Example
from tests.recommending.generated_events import tastes

SCRIPT = "<script>alert(1)</script>"
CURVES = {
    "leave_last_out": [
        {"number": i, "loss": 6 - i / 3, "learning_rate": 1e-3, "seconds": 2.0, "recall": i / 20, "ndcg": i / 50}
        for i in range(1, 5)
    ],
    "whole": [{"number": 1, "loss": 6.0, "learning_rate": 1e-3, "seconds": 2.0, "recall": None, "ndcg": None}],
}


class Page(HTMLParser):
    """What a browser would be given: tags with their attributes, and the text that is read."""

    void = frozenset(("meta", "link", "br", "line", "circle", "polyline"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += " " + " ".join(data.split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def judged() -> tuple[dict[str, Any], list[Example]]:
    made = tastes(n_users=300)
    titles = [SCRIPT if i == 7 else None if i == 8 else f"Film {i}" for i in range(made.n_items)]
    items = pd.DataFrame({"item_id": made.item_ids, "title": titles})
    evaluations, examples = {}, []
    for split in (splits.leave_last_out(made), splits.global_time(made)):
        found = evaluate(
            split,
            {
                "popularity": popularity(split.train),
                "recent_popularity": recent_popularity(split.train),
                "two_tower": decayed_ridge(split.train, tau=1.0, regularisation=1.0),
            },
            k=2,
        )
        evaluations[split.name] = json.loads(json.dumps(found.to_json()))
        examples = examples or report.examples(split, found, items)
    return evaluations, examples


def page_of(judged: tuple[dict[str, Any], list[Example]], **more: Any) -> Page:
    return Page(report.html(judged[0], curves=CURVES, examples=judged[1], **more))


def test_the_verdict_comes_first_and_in_words(judged: tuple[dict[str, Any], list[Example]]) -> None:
    said = gates.problems(judged[0])
    assert said == []
    page = page_of(judged, problems=said)
    assert page.text.index("May be promoted") < page.text.index("Recall@2")
    share = judged[0]["leave_last_out"]["scorers"]["two_tower"]["recall"]["mean"]
    assert f"Of 300 viewers' next choices, {100 * share:.1f} % were among the 2 it showed them" in page.text
    assert "clearly better than the best simple scorer" in page.text
    refused = page_of(judged, problems=["It is worse than <b>chance</b>."])
    assert "Not to be promoted" in refused.text
    assert "One thing stands against it" in refused.text
    assert "It is worse than <b>chance</b>." in refused.text  # escaped, so read as it is


def test_every_figure_of_the_evaluation_is_on_the_page(judged: tuple[dict[str, Any], list[Example]]) -> None:
    text = page_of(judged).text
    for one in judged[0].values():
        for scorer in one["scorers"].values():
            assert f"{scorer['recall']['mean']:.3f}" in text
            assert f"{scorer['ndcg']['mean']:.3f}" in text
            assert f"{100 * scorer['coverage']:.1f} %" in text
    for term in ("Recall@20", "NDCG@20", "95 % interval", "Coverage", "Novelty", "Sampled AUC-PR"):
        assert term in text


def test_tables_can_be_listened_to_and_nothing_is_loaded(judged: tuple[dict[str, Any], list[Example]]) -> None:
    text = report.html(judged[0], curves=CURVES, examples=judged[1])
    page = Page(text)
    assert len(page.all("caption")) == len(page.all("table")) >= 6
    assert all(th.get("scope") in ("col", "row") for th in page.all("th"))
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in page.all("svg"))
    assert page.all("html")[0]["lang"] == "en"
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert not page.all("script")
    assert "prefers-color-scheme: dark" in text


def test_titles_of_strangers_are_text(judged: tuple[dict[str, Any], list[Example]]) -> None:
    hostile = [Example((SCRIPT,), 1, (SCRIPT,), (report.Shown("two_tower", (SCRIPT,), (True,), 1),))]
    page = Page(report.html(judged[0], examples=hostile, facts={"note": SCRIPT}, problems=[SCRIPT]))
    assert not page.all("script")
    assert page.text.count(SCRIPT) == 5


def test_examples_show_hits_and_misses_and_no_viewers_name(judged: tuple[dict[str, Any], list[Example]]) -> None:
    examples = judged[1]
    assert len(examples) == 4
    assert [one.lists[0].place is not None for one in examples] == [True, True, False, False]
    for one in examples:
        ours = one.lists[0]
        assert ours.scorer == "two_tower"
        assert not set(ours.titles) & set(one.history)
        assert ours.hits == tuple(title in one.chosen for title in ours.titles)
    text = report.html(judged[0], examples=examples)
    assert not re.search(r"\bu\d+\b", text)
    assert all(not isinstance(t, float) and t != "None" for one in examples for t in (*one.history, *one.chosen))


def test_examples_of_a_part_of_the_viewers_are_not_mixed_up() -> None:
    split = splits.leave_last_out(tastes())
    found = evaluate(split, {"two_tower": popularity(split.train)}, most_users=10)
    assert report.examples(split, found, pd.DataFrame({"item_id": split.train.item_ids})) == []


def test_a_page_of_nothing_says_so() -> None:
    page = Page(report.html({}, problems=gates.problems({})))
    assert "Not to be promoted" in page.text
    assert "no evaluation on leave-last-out" in page.text
    assert "Nothing was judged" in Page(report.html({})).text


def test_intervals_stand_where_their_figures_are() -> None:
    figures = {
        "a": {"mean": 0.2, "low": 0.1, "high": 0.35},
        "recent_popularity": {"mean": 0.1, "low": 0.05, "high": 0.15},
        "none": {"mean": None, "low": None, "high": None},
    }
    drawn = report_drawings.intervals(figures, "recent_popularity")
    assert drawn.most == 0.4
    assert drawn.bar == 25
    a = drawn.rows["a"]
    assert a is not None
    assert (a.low, a.mean, a.high) == (25, 50, 87.5)
    assert drawn.rows["none"] is None


@pytest.mark.parametrize("losses", [[5.0], [5.0, 5.0], [5.0, 4.0, float("nan")], list(np.linspace(7, 3, 60))])
def test_curves_of_any_length_stay_in_their_frame(losses: list[float]) -> None:
    epochs = [{"number": i + 1, "loss": loss} for i, loss in enumerate(losses)]
    (plot,) = report_drawings.curves("whole", epochs).plots
    for x, y in plot.lines[0].dots:
        assert plot.left <= x <= plot.right
        assert 0 <= y <= plot.base
    assert len(plot.x_ticks) <= 8
    assert 2 <= len(plot.y_ticks) <= 7


def test_pictures_are_png_of_the_promised_size(judged: tuple[dict[str, Any], list[Example]]) -> None:
    for png in (report_pictures.curves(CURVES), report_pictures.curves({})):
        assert cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR).shape == (560, 1500, 3)
    for evaluations in (judged[0], {}):
        png = report_pictures.comparison(evaluations)
        assert cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR).shape[1] == 1500
