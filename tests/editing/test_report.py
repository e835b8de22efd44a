"""The report of an edit: what it says, that strangers' words cannot break it, and how it behaves in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipelines.editing import report
from pipelines.editing.plan import Edit, Segment, Source
from pipelines.editing.shared import SharedFeatures, share
from pipelines.editing.verdicts import Gate, Quality, Score, not_applicable
from pipelines.video.analysis import VideoFeatures, analyse
from tests.editing import golden

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = '</script><script>document.title="hacked"</script><img src=x onerror="document.title=1">海の声'


@dataclass(frozen=True)
class Written:
    path: Path
    edit: Edit


def short_edit(song: Path, clips: tuple[Source, ...]) -> Edit:
    cuts = [0, 50, 75, 100, 150, 200]
    segments = tuple(
        Segment(a, b, clip=k % len(clips), shot=0, source_time=0.2 + 2 * (k // len(clips)))
        for k, (a, b) in enumerate(pairwise(cuts))
    )
    music = Source(str(song), "m", golden.DURATION)
    return Edit("hybrid", (25, 1), 200, golden.WIDTH, golden.HEIGHT, music, 4.0, clips, segments, 0, {"flow": 1.0}, 1.0)


def some_quality(edit: Edit) -> Quality:
    scores = {name: Score(0.8, 0.8, 12, 0.5, 0.003, True, "it is so") for name in report.PARTS}
    scores["cut_rate"] = Score(0.4, -0.2, 5, 0.0, 0.6, True, "cuts come slower")
    scores["lyrics"] = not_applicable("no lyrics were given")
    gates = {name: Gate(True, "fine") for name in report.GATES}
    gates["song"] = Gate(False, f"the song starts 80 ms after the plan {HOSTILE}")
    gates["reproducible"] = Gate(None, "not solved a second time here")
    picture = np.zeros((90, 160, 3), np.uint8)
    pictures = np.stack([picture + np.uint8(40 * k) for k in range(len(edit.segments))])
    cuts = np.array([50, 75, 120, 150], np.int64)  # 100 is missed, 120 nobody planned
    return Quality("hybrid", scores, gates, 0.5, 1.0, cuts, np.zeros(edit.n_frames, np.float32), pictures)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A report whose file names and lyrics are hostile, with an MP4 beside it."""
    folder = tmp_path_factory.mktemp("report & ‘夢’ #1")
    song = folder / "song <b>&.wav"
    golden.write_song(song)
    paths = [folder / name for name in ("clip <i>\"'&.mp4", "海 100%.mp4")]
    features: list[VideoFeatures] = []
    for number, path in enumerate(paths):
        golden.write_clip(path, number, seconds=6)
        features.append(analyse(path))
    clips = tuple(Source(str(p), str(k), 6.0, (25, 1), 150, 320, 180) for k, p in enumerate(paths))
    edit = short_edit(song, clips)
    music = golden.true_music()
    lyrics = replace(golden.true_lyrics(), texts=(HOSTILE, *golden.true_lyrics().texts[1:]), language="ja")
    shared: SharedFeatures = share(
        music, features, lyrics, [("ocean",), ("fire",)], start=4.0, duration=8.0, embed=golden.embed, scorers={}
    )
    golden.render_plainly(edit, folder / "hy brid#.mp4")
    out = folder / "report.html"
    other = replace(edit, pattern="narrative")
    report.write(
        [edit, other], [some_quality(edit), None], music, features, lyrics, shared, out, {"hybrid": "hy brid#.mp4"}
    )
    return Written(out, edit)


def test_hostile_names_and_words_stay_text(written: Written) -> None:
    html = written.path.read_text(encoding="utf-8")
    assert html.count("<script>") == 1
    assert "onerror=&#34;" in html and 'onerror="' not in html
    assert "song &lt;b&gt;&amp;" in html
    assert "clip &lt;i&gt;" in html
    assert "海の声" in html


def test_nothing_outside_is_asked_for(written: Written) -> None:
    html = written.path.read_text(encoding="utf-8")
    assert "http:" not in html and "https:" not in html
    assert 'src="hy%20brid%23.mp4"' in html


def test_it_says_what_failed_what_luck_gives_and_what_does_not_apply(written: Written) -> None:
    html = written.path.read_text(encoding="utf-8")
    assert "1 gate failed" in html
    assert "not checked" in html
    assert "Does not apply." in html
    assert "No better than luck." in html and "Better than luck." in html
    assert html.count('<i class="missed"') == 2  # as a mark and as a line over all tracks
    assert html.count('<i class="unplanned"') == 2


def test_equal_inputs_give_equal_bytes(written: Written, tmp_path: Path) -> None:
    edit = replace(written.edit, music=replace(written.edit.music, path="gone.wav"))
    music, quality = golden.true_music(), some_quality(edit)
    shared: SharedFeatures = None  # type: ignore[assignment]  # only asked where phrases have no time of their own
    for name in ("a.html", "b.html"):
        report.write([edit], [quality], music, [], None, shared, tmp_path / name, {})
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", *quiet])
        yield opened
        opened.close()


def eventually(page: Page, condition: str) -> None:
    """Waits for a JavaScript condition (Playwright's own way needs eval, which the page forbids)."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never came true: {condition}")


@pytest.fixture
def page(browser: Browser, written: Written) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(written.path.as_uri())
    eventually(page, "document.querySelector('video').readyState >= 2")
    yield page
    assert troubles == []
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}
    assert page.title() == "song <b>& · Orimono edit report"  # no hostile script has run
    context.close()


def test_a_click_on_a_shot_seeks_and_moves_the_playhead(page: Page) -> None:
    page.locator("#hybrid .segments button").nth(3).click()
    eventually(page, "!document.querySelector('video').seeking")
    assert page.evaluate("document.querySelector('video').currentTime") == pytest.approx(100 / 25, abs=0.02)
    assert "Shot 4" in page.locator("#hybrid .readout").inner_text()
    playhead = page.locator("#hybrid .playhead").bounding_box()
    shot = page.locator("#hybrid .segments button").nth(3).bounding_box()
    assert playhead and shot
    assert playhead["x"] + playhead["width"] / 2 == pytest.approx(shot["x"], abs=1.5)


def test_pointing_at_a_shot_shows_it_and_leaving_goes_back(page: Page) -> None:
    page.locator("#hybrid .segments button").nth(2).hover()
    eventually(page, "Math.abs(document.querySelector('video').currentTime - 3.5) < 0.02")
    page.locator("h1").hover()
    eventually(page, "document.querySelector('video').currentTime < 0.02")


def test_arrow_keys_go_from_shot_to_shot_and_space_plays(page: Page) -> None:
    page.locator("#hybrid .segments button").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Shot 3")
    eventually(page, "Math.abs(document.querySelector('video').currentTime - 3) < 0.02")
    page.keyboard.press(" ")
    eventually(page, "document.querySelector('video').currentTime > 3.2")
    page.keyboard.press(" ")
    eventually(page, "document.querySelector('video').paused")


def test_a_pattern_without_a_video_shows_its_shots_still(page: Page) -> None:
    page.locator("#narrative .segments button").nth(2).click()
    shown = page.locator("#narrative .screen img").get_attribute("src")
    assert shown and shown.startswith("data:image/jpeg")
    assert shown == page.locator("#narrative .segments button img").nth(2).get_attribute("src")


@pytest.mark.parametrize("width", [1280, 390])
def test_everything_lies_on_one_axis_and_the_page_never_scrolls_sideways(
    page: Page, written: Written, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.locator("#hybrid [data-zoom=in]").click()
    box = page.locator("#hybrid .tracks").bounding_box()
    assert box
    segments = page.locator("#hybrid .segments button")
    for k, segment in enumerate(written.edit.segments):
        shown = segments.nth(k).bounding_box()
        assert shown
        left, right = (
            box["x"] + box["width"] * f / written.edit.n_frames for f in (segment.record_start, segment.record_end)
        )
        assert shown["x"] == pytest.approx(left, abs=1)
        assert shown["x"] + shown["width"] == pytest.approx(right, abs=1)
    for track in (".wave svg", ".energy svg", ".segments", ".phrases", ".section-track", ".cuts"):
        other = page.locator(f"#hybrid {track}").bounding_box()
        assert other
        assert (other["x"], other["width"]) == pytest.approx((box["x"], box["width"]), abs=1), track
    mark = page.locator("#hybrid .cuts i.seen").first.bounding_box()
    assert mark
    assert mark["x"] + mark["width"] / 2 == pytest.approx(box["x"] + box["width"] * 50 / 200, abs=1.5)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
