"""Heads: what suits what."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from pipelines.editing.grid import music_grid
from pipelines.editing.heads import Material, flow_between, nearness, score_heads, visible_between
from pipelines.editing.windows import cut_windows
from tests.editing.material import TAGS, clip, embed, song, words


@pytest.fixture(scope="module")
def material() -> Material:
    clips = tuple(clip(12.0, 3, seed=k) for k in range(6))
    music, lyrics = song(30), words(30, 8)
    grid = music_grid(music, lyrics, start=0.0, duration=30.0)
    return Material(music, clips, lyrics, ((),) * 6, grid, cut_windows(clips), 0)


def test_every_head_is_a_float32_matrix_in_0_to_1(material: Material) -> None:
    heads = score_heads(material, embed=embed, scorers={})
    assert set(heads) == {"sync", "semantic", "energy", "coverage"}
    for head in heads.values():
        assert head.dtype == np.float32
        assert head.shape == (material.grid.energy.size, material.windows.clip.size)
        assert head.min() >= 0 and head.max() <= 1


def test_loud_slots_want_fast_windows(material: Material) -> None:
    head = score_heads(material, embed=embed, scorers={})["energy"]
    fastest = int(np.argmax(material.windows.motion))
    loudest, quietest = int(np.argmax(material.grid.energy)), int(np.argmin(material.grid.energy))
    assert head[loudest, fastest] > 0.9 > 0.1 > head[quietest, fastest]


def test_the_shot_about_what_is_sung_comes_first(material: Material) -> None:
    assert material.lyrics is not None
    head = score_heads(material, embed=embed, scorers={})["semantic"]
    tags = [
        material.clips[c].shot_tags[s][0] for c, s in zip(material.windows.clip, material.windows.shot, strict=True)
    ]
    seen = 0
    for slot, phrase in enumerate(material.grid.phrase):
        about = np.array([t == material.lyrics.texts[phrase] for t in tags])
        if phrase < 0:
            assert np.all(head[slot] == 0.5)
        elif about.any():
            seen += 1
            assert head[slot][about].mean() > head[slot][~about].mean() + 0.2
    assert seen > 5


def test_nearness_ranks_shots_and_leaves_untagged_ones_in_the_middle() -> None:
    tags = [("sea", "sun"), (), ("night",), ("dance", "street")]
    got = nearness(embed(["night", "sea"]), tags, embed)
    assert got[0].argmax() == 2 and got[1].argmax() == 0
    assert np.all(got[:, 1] == 0.5)
    assert got.min() == 0 and got.max() == 1


def test_coverage_moves_through_the_clips(material: Material) -> None:
    head = score_heads(material, embed=embed, scorers={})["coverage"]
    late = material.windows.position > 0.8
    assert head[-1][late].mean() > head[0][late].mean() + 0.4


def test_no_cut_is_seen_within_a_shot_of_one_colour(material: Material) -> None:
    visible = visible_between(material.windows)
    w = material.windows
    same = (w.clip[:, None] == w.clip[None]) & (w.shot[:, None] == w.shot[None])
    assert not visible[same].any()
    assert visible[~same].mean() > 0.8
    np.testing.assert_array_equal(visible, visible.T)


def test_visible_is_conservative(material: Material) -> None:
    """The bound holds for the very frames: whatever sampled frames meet, their colours or brightness differ."""
    w = material.windows
    visible = visible_between(w)
    rng = np.random.default_rng(0)
    for a, b in rng.integers(0, w.clip.size, (200, 2)):
        if not visible[a, b]:
            continue
        rows = []
        for k in (a, b):
            video = material.clips[w.clip[k]]
            at = video.frame_times[video.sample_frames]
            rows.append(video.histograms[(at >= w.start[k]) & (at <= w.end[k])])
        for x in rows[0]:
            for y in rows[1]:
                far = np.sqrt(max(0.0, 1 - float(np.sqrt(x) @ np.sqrt(y))))
                assert far >= 0.25 - 1e-6 or abs(w.brightness[a] - w.brightness[b]) >= 0.2


def test_flow_is_a_rank_among_the_visible(material: Material) -> None:
    visible = visible_between(material.windows)
    flow = flow_between(material.windows, visible)
    assert np.all(flow[~visible] == 0)
    row = flow[0][visible[0]]
    assert row.max() == pytest.approx(1) and row.mean() == pytest.approx(0.5, abs=0.02)


def test_a_broken_scorer_is_named_and_the_rest_goes_on(material: Material, caplog: pytest.LogCaptureFixture) -> None:
    shape = (material.grid.energy.size, material.windows.clip.size)

    def fails(_: Material) -> np.ndarray:
        raise RuntimeError("no camera")

    extra = {
        "closeness": lambda _: np.full(shape, 2.0),
        "fails": fails,
        "flat": lambda _: np.zeros(3),
        "holes": lambda _: np.full(shape, np.nan),
        "sync": lambda _: np.zeros(shape),
    }
    with caplog.at_level(logging.WARNING):
        heads = score_heads(material, embed=embed, scorers=extra)
    assert set(heads) == {"sync", "semantic", "energy", "coverage", "closeness"}
    assert heads["closeness"].max() == 1 and heads["sync"].max() > 0
    for name in ("fails", "flat", "holes", "sync"):
        assert f"scorer {name}" in caplog.text
    assert "no camera" in caplog.text


def test_the_test_embedding_tells_its_words_apart() -> None:
    near = embed(TAGS) @ embed(TAGS).T
    assert np.all(near.argmax(axis=1) == np.arange(len(TAGS)))
