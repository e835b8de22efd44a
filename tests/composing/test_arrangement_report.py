"""The page of an arrangement: what it says, that strangers' words cannot break it, and how it behaves in a browser."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipelines.composing import bars, piano_roll, report, suggesting
from pipelines.composing.arranging import Arranged, Candidate, arrange
from pipelines.composing.piece import Piece
from pipelines.composing.report import Links
from pipelines.composing.wishes import Wishes
from pipelines.mastering.encoders import AAC, encode
from tests.composing import hand

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = '</script><script>document.title="hacked"</script><img src=x onerror="document.title=1">'
FILES = (Links("a #1.mid", "a.rpp", "a #1.m4a"), Links("b.mid", None, "b.m4a", "b.wav"))


def made(first: Piece, *others: Piece) -> Arranged:
    """An arrangement of which only its candidates are asked for by the page."""
    melody = arrange(first, Wishes(style="pop")).melody
    reasons = ("smoothest bass", "no parallel fifths or octaves")
    candidates = tuple(
        Candidate(
            i, piece, 2.0 - i, reasons, {"parallels": 0.0, "fit": 0.96, "cadence": 1.0, "newer": -1.5}, 7, "pop 1"
        )
        for i, piece in enumerate((first, *others), 1)
    )
    return Arranged(melody, candidates, ("The key is C major (97 % sure; next A minor).",))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page & ‘夢’ #1")
    for name in ("a #1.m4a", "b.m4a"):
        t = np.arange(3 * 44_100) / 44_100
        sound = np.stack([np.sin(2 * np.pi * 440 * t)] * 2).astype(np.float32) * 0.1
        encode([sound], folder / name, 44_100, ("FL", "FR"), AAC)
    song = hand.pop_song(8)
    parts = tuple(replace(part, name=HOSTILE) if part.role == "bass" else part for part in song.parts)
    offered = {"pad": suggesting.suggest(None, "pad", "pop")}
    out = folder / "a.html"
    arranged = made(song, replace(song, parts=parts))
    report.write(
        arranged, out, FILES, title="夢 & <b>song</b>", style="pop", notice="Built-in sounds.", suggestions=offered
    )
    return out


def test_it_says_what_was_found_and_why(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    for text in ("夢 &amp; &lt;b&gt;song", "C major", "97 % sure", "smoothest bass", "Am7", "Built-in sounds.",
                 "Verse", "★ rated best", "96 %", "−1.50", "Electric Piano 1"):  # fmt: skip
        assert text in html, text
    assert 'href="a%20%231.mid"' in html and 'src="a%20%231.m4a"' in html
    assert "http:" not in html and "https:" not in html
    assert HOSTILE not in html


def test_rolls_that_somebody_drew_are_not_drawn_again() -> None:
    song = hand.pop_song(8)
    drawn = [piano_roll.draw(song, title="one"), piano_roll.draw(song, title="two")]
    html = report.html(made(song, song), FILES, rolls=drawn)
    assert [base64.b64decode(roll) for roll in re.findall(r'data:image/png;base64,([^"]+)"', html)] == drawn
    assert "are shown" not in html


def test_a_long_piece_is_shown_up_to_a_bar_and_says_so() -> None:
    song = hand.pop_song(8)
    bar = song.metres[0].bar_ticks(song.ticks_per_quarter)
    long = replace(song, length=900 * bar, chords=(replace(song.chords[0], start=0, end=900 * bar),))
    html = report.html(made(song, long), FILES, rolls=[b"", b""])
    assert html.count("Bars 1 to 256 of 900 are shown. The files hold all of them.") == 1
    assert html.count('<span class="count">') <= bars.MOST_DRAWN + 20


def test_a_page_without_sound_or_chords_is_one(tmp_path: Path) -> None:
    bare = replace(hand.waltz(), chords=(), name="")
    html = report.html(made(bare), [Links("a.mid")])
    assert "<audio" not in html and "Chords</h3>" not in html and "Untitled" in html
    assert html == report.html(made(bare), [Links("a.mid")])


def test_pictures_for_an_asset() -> None:
    found = report.pictures(made(hand.pop_song(4)).candidates[0])
    assert sorted(found) == ["chord_chart", "piano_roll"]
    assert all(png.startswith(b"\x89PNG") for png in found.values())
    assert sorted(report.pictures(made(replace(hand.waltz(), chords=())).candidates[0])) == ["piano_roll"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    quiet = [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--autoplay-policy=no-user-gesture-required",
    ]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", *quiet])
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_its_window(page: Path, browser: Browser, width: int, scheme: str) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.goto(page.as_uri())
    assert tab.title() == "夢 & <b>song</b> · Orimono arrangement"
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert not said
    tab.close()


def test_one_candidate_sounds_at_a_time_and_by_key(page: Path, browser: Browser) -> None:
    tab = browser.new_page()
    tab.goto(page.as_uri())
    playing = "[...document.querySelectorAll('audio')].map(a => !a.paused)"
    for key, expected in (("1", [True, False]), ("2", [False, True]), ("2", [False, False]), ("9", [False, False])):
        tab.keyboard.press(key)
        for _ in range(100):
            if tab.evaluate(playing) == expected:
                break
            tab.wait_for_timeout(50)
        assert tab.evaluate(playing) == expected, key
    tab.close()
